// into [V, D] (+)= sums of the rows of from [R, D] with the same id, in the order of the rows; `into` starts with
// the row of id FIRST. A thread sums one column, or four, of one id's run. Where BANDED, `from` has only those of all ROWS
// rows that begin with row ROW.
// $index: array<u32>, from step.y on row numbers sorted by id [ROWS], then where each id's run starts [V + 1]
// $from: array<#{V}>
// $into: array<#{V}>
#main(GROUP) id, groups {
    let i = flat(id, groups);
    if (i >= INTO_ROWS * INTO_COLS) {
        return;
    }
    let row = i / INTO_COLS;
    let token = FIRST + row;
    let column = i % INTO_COLS;
    let at = INTO_OFFSET + row * INTO_STRIDE + column;
    var sum = #{V}(0.0);
    let starts = step.y + ROWS + token;
    let end = $index[starts + 1u];
    for (var r = $index[starts]; r < end; r++) {
#if BANDED
        let own = $index[step.y + r] - ROW;
        if (own < FROM_ROWS) {
            sum += $from[FROM_OFFSET + own * FROM_STRIDE + column];
        }
#else
        sum += $from[FROM_OFFSET + $index[step.y + r] * FROM_STRIDE + column];
#end
    }
#if ACCUMULATE
    sum += $into[at];
#end
    $into[at] = sum;
}

#use flat
