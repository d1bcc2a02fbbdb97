// C [M, N] = A B (+ bias, + C) on cooperative matrices of 16 x 16: operands rounded to f16, sums in f32. A workgroup of
// four subgroups makes a tile of 64 x 64 elements, 16 of K at a time; a subgroup makes 32 x 32 of it, four matrices.
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

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32, @builtin(subgroup_id) part: u32) {
    let row = group.y * 64u;
    let column = group.x * 64u;
#if COUNTED_ROWS
    if (row >= M) {
        return;
    }
#end
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
#for m in 0..2
#for n in 0..2
    var acc#{m}#{n} = coopLoadT<coop_mat16x16<f32, C>>(&sums[(down + #{m}u * 16u) * 64u + across + #{n}u * 16u], 64u);
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
#for m in 0..2
        let a#{m} = coopLoadT<coop_mat16x16<f16, A>>(&left[(down + #{m}u * 16u) * 16u], 16u);
        let b#{m} = coopLoadT<coop_mat16x16<f16, B>>(&right[across + #{m}u * 16u], 64u);
#end
#for m in 0..2
#for n in 0..2
        acc#{m}#{n} = coopMultiplyAdd(a#{m}, b#{n}, acc#{m}#{n});
#end
#end
        workgroupBarrier();
    }
#for m in 0..2
#for n in 0..2
    coopStoreT(acc#{m}#{n}, &sums[(down + #{m}u * 16u) * 64u + across + #{n}u * 16u], 64u);
#end
#end
    workgroupBarrier();
    for (var e = thread; e < 4096u; e += GROUP) {
        let i = row + e / 64u;
        let j = column + e % 64u;
        if (i < M && j < N) {
            $c[C_OFFSET + i * C_STRIDE + j] = sums[e];
        }
    }
}
