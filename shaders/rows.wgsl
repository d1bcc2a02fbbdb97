// A program on rows, for each row r: passes over its elements that end in numbers of the row, then what is stored. LANES
// threads share a row: each takes every LANES-th element, and all of them add the lanes in order.
// Row r's weight and loss are those of position step.y + r.
// $in#: array<#{F}>, by number of the input
// $out#: array<#{F}>, by number of the output
alias V = #{V};
alias U = #{U};

#if FUNCTIONS
#use activations
#end
#if SHARED
var<workgroup> shares: array<#{F}, GROUP>;
#end

#if SUMS
#use total

#end
#if MAXIMA
fn largest(own: #{F}, thread: u32) -> #{F} {
#if SHARED
    shares[thread] = own;
    workgroupBarrier();
    var found = own;
    for (var l = 0u; l < LANES; l++) {
        found = max(found, shares[thread - thread % LANES + l]);
    }
    workgroupBarrier();
    return found;
#else
    return own;
#end
}

#end
#main(GROUP) group, groups, thread {
    let lane = thread % LANES;
    let row = (group.y * groups.x + group.x) * (GROUP / LANES) + thread / LANES;
    let own = min(row, ROWS - 1u);
#{numbers}
#{passes}
    if (row >= ROWS) {
#if COUNTED
        if (row < MOST && lane == 0u) {
#{nothing}
        }
#end
        return;
    }
#{results}
}
