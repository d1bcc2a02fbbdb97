// to [R, C] = logits - log sum exp(their row) (+ add [R, 1] where ADDED). LANES threads share a row: see
// lib/exponentials.wgsl.
// $logits: array<#{F}>
// $add: array<#{F}>
// $to: array<#{F}>
#if SHARED
var<workgroup> maxima: array<#{F}, GROUP>;
var<workgroup> sums: array<#{F}, GROUP>;
#end

#main(GROUP) group, groups, thread {
#use exponentials
    if (row >= LOGITS_ROWS) {
        return;
    }
#if ADDED
    let by = $add[ADD_OFFSET + row * ADD_STRIDE] - log(sum);
#else
    let by = -log(sum);
#end
    for (var c = lane; c < LOGITS_COLS; c += LANES) {
        let x = $logits[at + c];
        $to[TO_OFFSET + row * TO_STRIDE + c] = (x - largest) + by;
    }
}
#if DOUBLE

#use double
#end
