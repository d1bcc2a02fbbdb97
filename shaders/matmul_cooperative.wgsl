// C [M, N] = A B (+ bias, + C) on cooperative matrices of SIZE x SIZE, 8 or 16: operands rounded to f16, sums in f32. A
// workgroup of four subgroups makes a tile of 64 x 64 elements, 16 of K at a time, DEEP matrices; a subgroup makes 32 x 32
// of it, SIDE x SIDE matrices.
// A is [M, K], or [K, M] where TA; B is [K, N], or [N, K] where TB. Elements beyond an edge are read as 0.
// $a: array<f32>
// $b: array<f32>
// $bias: array<f32>
// $c: array<f32>
var<workgroup> left: array<f16, 1024>;
var<workgroup> right: array<f16, 1024>;
var<workgroup> sums: array<f32, 4096>;

fn a1(row: u32, k: u32) -> f32 {
    if (row >= M || k >= K) {
        return 0.0;
    }
#if TA
    return $a[A_OFFSET + k * A_STRIDE + row];
#else
    return $a[A_OFFSET + row * A_STRIDE + k];
#end
}

fn b1(k: u32, column: u32) -> f32 {
    if (column >= N || k >= K) {
        return 0.0;
    }
#if TB
    return $b[B_OFFSET + column * B_STRIDE + k];
#else
    return $b[B_OFFSET + k * B_STRIDE + column];
#end
}

#main(GROUP) group, groups, thread, part {
    let tile = group.y * groups.x + group.x;
    let row = tile / ACROSS * 64u;
    let column = tile % ACROSS * 64u;
    if (row >= M) {
        return;
    }
    // Sums start as what the product is added to.
    for (var e = thread; e < 4096u; e += GROUP) {
        let i = row + e / 64u;
        let j = column + e % 64u;
        var value = 0.0;
        if (i < M && j < N) {
#if BIASED
            value += $bias[BIAS_OFFSET + j];
#end
#if ACCUMULATE
            value += $c[C_OFFSET + i * C_STRIDE + j];
#end
        }
        sums[e] = value;
    }
    workgroupBarrier();
    let down = part / 2u * 32u;
    let across = part % 2u * 32u;
#for m in 0..SIDE
#for n in 0..SIDE
    var acc#{m}_#{n} = coopLoadT<coop_mat#{SIZE}x#{SIZE}<f32, C>>(&sums[(down + #{m}u * SIZE) * 64u + across + #{n}u * SIZE], 64u);
#end
#end
    for (var k = 0u; k < K; k += 16u) {
        // Left is [64 rows, 16 of K], right [16 of K, 64 columns]; neighbours read neighbours.
        for (var e = thread; e < 1024u; e += GROUP) {
#if TA
            left[e % 64u * 16u + e / 64u] = f16(a1(row + e % 64u, k + e / 64u));
#else
            left[e] = f16(a1(row + e / 16u, k + e % 16u));
#end
#if TB
            right[e % 16u * 64u + e / 16u] = f16(b1(k + e % 16u, column + e / 16u));
#else
            right[e] = f16(b1(k + e / 64u, column + e % 64u));
#end
        }
        workgroupBarrier();
#for q in 0..DEEP
        {
#for m in 0..SIDE
            let a#{m} = coopLoadT<coop_mat#{SIZE}x#{SIZE}<f16, A>>(&left[(down + #{m}u * SIZE) * 16u + #{q}u * SIZE], 16u);
            let b#{m} = coopLoadT<coop_mat#{SIZE}x#{SIZE}<f16, B>>(&right[#{q}u * SIZE * 64u + across + #{m}u * SIZE], 64u);
#end
#for m in 0..SIDE
#for n in 0..SIDE
            acc#{m}_#{n} = coopMultiplyAdd(a#{m}, b#{n}, acc#{m}_#{n});
#end
#end
        }
#end
        workgroupBarrier();
    }
#for m in 0..SIDE
#for n in 0..SIDE
    coopStoreT(acc#{m}_#{n}, &sums[(down + #{m}u * SIZE) * 64u + across + #{n}u * SIZE], 64u);
#end
#end
    storageBarrier();
    workgroupBarrier();
    for (var e = thread; e < 4096u; e += GROUP) {
        let i = row + e / 64u;
        let j = column + e % 64u;
        if (i < M && j < N) {
            $c[C_OFFSET + i * C_STRIDE + j] = sums[e];
        }
    }
}
