// scores [R, N] -= corrections [N]; a column from SAMPLES on is NOTHING in rows with another target. A thread does one
// element.
// $scores: array<#{F}>
// $corrections: array<#{F}>
// $columns: array<u32>, the column of each row's target
#main(GROUP) id, groups {
    let i = flat(id, groups);
    if (i >= SCORES_ROWS * SCORES_COLS) {
        return;
    }
    let row = i / SCORES_COLS;
    let column = i % SCORES_COLS;
    let at = SCORES_OFFSET + row * SCORES_STRIDE + column;
    let counts = column < SAMPLES || column == $columns[row];
    $scores[at] = select(NOTHING, $scores[at] - $corrections[column], counts);
}

#use flat
