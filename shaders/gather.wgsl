// out [R, D] = table [V, D] at ids [R], which begin at step.y. A thread copies one element or four. Where RANGED, the
// table has the rows of tokens from FIRST on, and rows of other tokens stay as they are.
// $ids: array<u32>
// $table: array<#{V}>
// $out: array<#{V}>
#main(GROUP) id, groups {
    let i = flat(id, groups);
    if (i >= OUT_ROWS * OUT_COLS) {
        return;
    }
    let row = i / OUT_COLS;
    let column = i % OUT_COLS;
    let token = $ids[step.y + row];
#if RANGED
    if (token < FIRST || token >= FIRST + TABLE_ROWS) {
        return;
    }
#end
    let value = $table[TABLE_OFFSET + (token - FIRST) * TABLE_STRIDE + column];
    $out[OUT_OFFSET + row * OUT_STRIDE + column] = value;
}

#use flat
