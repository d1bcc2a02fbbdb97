// to [R, C] = 0. A thread zeroes one V (an element or four).
// $to: array<#{V}>
#main(GROUP) id, groups {
    let i = flat(id, groups);
    if (i >= TO_ROWS * TO_COLS) {
        return;
    }
    $to[TO_OFFSET + i / TO_COLS * TO_STRIDE + i % TO_COLS] = #{V}(0.0);
}

#use flat
