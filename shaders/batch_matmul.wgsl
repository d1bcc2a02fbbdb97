// c [R, M * N]: for each of the rows, a [M, K] times b [K, N], which stand in rows, too; TA: a lies as [K, M], TB: b as [N, K]. A
// thread makes one number.
// $a: array<#{F}>
// $b: array<#{F}>
// $c: array<#{F}>
#main(GROUP) id, groups {
    let t = flat(id, groups);
    if (t >= C_ROWS * C_COLS) {
        return;
    }
    let row = t / C_COLS;
    let i = t % C_COLS / N;
    let j = t % N;
    var sum = #{F}(0.0);
    for (var p = 0u; p < K; p++) {
#if TA
        let left = $a[A_OFFSET + row * A_STRIDE + p * M + i];
#else
        let left = $a[A_OFFSET + row * A_STRIDE + i * K + p];
#end
#if TB
        let right = $b[B_OFFSET + row * B_STRIDE + j * K + p];
#else
        let right = $b[B_OFFSET + row * B_STRIDE + p * N + j];
#end
        sum += left * right;
    }
    $c[C_OFFSET + row * C_STRIDE + t % C_COLS] = sum;
}

#use flat
