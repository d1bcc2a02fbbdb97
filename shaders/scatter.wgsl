// into [V, D] (+)= sums of the rows of from [R, D] with the same id; `into` starts with the row of id FIRST. LANES threads
// share a column, or four, of one id's run: each sums every LANES-th row in the order of the rows, then the first adds the lanes
// in order. Where BANDED, `from` has only those of all ROWS rows that begin with row ROW.
// $index: array<u32>, from step.y on row numbers sorted by id [ROWS], then where each id's run starts [V + 1]
// $from: array<#{V}>
// $into: array<#{V}>
#if SHARED
var<workgroup> shares: array<#{V}, GROUP>;
#end

#main(GROUP) group, groups, thread {
    let lane = thread / ACROSS;
    let i = (group.y * groups.x + group.x) * ACROSS + thread % ACROSS;
    let last = INTO_ROWS * INTO_COLS - 1u;
#if !SHARED
    if (i > last) {
        return;
    }
#end
    let row = min(i, last) / INTO_COLS;
    let column = min(i, last) % INTO_COLS;
    let at = INTO_OFFSET + row * INTO_STRIDE + column;
    var sum = #{V}(0.0);
    let starts = step.y + ROWS + FIRST + row;
    let end = $index[starts + 1u];
    for (var r = $index[starts] + lane; r < end; r += LANES) {
#if BANDED
        let own = $index[step.y + r] - ROW;
        if (own < FROM_ROWS) {
            sum += $from[FROM_OFFSET + own * FROM_STRIDE + column];
        }
#else
        sum += $from[FROM_OFFSET + $index[step.y + r] * FROM_STRIDE + column];
#end
    }
#if SHARED
    shares[thread] = sum;
    workgroupBarrier();
    if (lane > 0u || i > last) {
        return;
    }
    for (var l = 1u; l < LANES; l++) {
        sum += shares[l * ACROSS + thread];
    }
#end
#if ACCUMULATE
    sum += $into[at];
#end
    $into[at] = sum;
}
