// to [N, M] = from [M, N] transposed. A thread copies one element; neighbours write neighbours.
// $from: array<#{F}>
// $to: array<#{F}>
#main(GROUP) id, groups {
    let i = flat(id, groups);
    if (i >= TO_ROWS * TO_COLS) {
        return;
    }
    let row = i / TO_COLS;
    let column = i % TO_COLS;
    let value = $from[FROM_OFFSET + column * FROM_STRIDE + row];
    $to[TO_OFFSET + row * TO_STRIDE + column] = value;
}

#use flat
