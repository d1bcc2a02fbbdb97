// to [M, N] = the PARTS matrices [PART_ROWS, N] of from, added in order (+ bias, + to). A thread takes one element or four.
// $from: array<#{V}>
// $bias: array<#{V}>
// $to: array<#{V}>
#main(GROUP) id, groups {
    let i = flat(id, groups);
    if (i >= TO_ROWS * TO_COLS) {
        return;
    }
    let row = i / TO_COLS;
    let column = i % TO_COLS;
    let at = TO_OFFSET + row * TO_STRIDE + column;
    var sum = #{V}(0.0);
    for (var p = 0u; p < PARTS; p++) {
        sum += $from[FROM_OFFSET + (p * PART_ROWS + row) * FROM_STRIDE + column];
    }
#if BIASED
    sum += $bias[BIAS_OFFSET + column];
#end
#if ACCUMULATE
    sum += $to[at];
#end
    $to[at] = sum;
}

#use flat
