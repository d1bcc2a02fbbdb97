// to = from (+ to), where FLIP with steps of BATCH rows in reverse order. A thread takes one element or four.
// $from: array<#{V}>
// $to: array<#{V}>
#main(GROUP) id, groups {
    let i = flat(id, groups);
    if (i >= TO_ROWS * TO_COLS) {
        return;
    }
    let row = i / TO_COLS;
    let column = i % TO_COLS;
    let at = TO_OFFSET + row * TO_STRIDE + column;
#if FLIP
    let source = TO_ROWS - BATCH - row / BATCH * BATCH + row % BATCH;
#else
    let source = row;
#end
    var value = $from[FROM_OFFSET + source * FROM_STRIDE + column];
#if ACCUMULATE
    value += $to[at];
#end
    $to[at] = value;
}

#use flat
