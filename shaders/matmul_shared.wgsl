// C [M, N] = A B (+ bias, + C) through memory that a workgroup shares: a workgroup of 16 x 16 threads makes a tile of
// 64 x 64 elements, 16 of K at a time; a thread makes 4 x 4, rows 16 apart so that neighbours store neighbours.
// A is [M, K], or [K, M] where TA; B is [K, N], or [N, K] where TB. Elements beyond an edge are read as 0.
// $a: array<#{F}>
// $b: array<#{F}>
// $bias: array<#{F}>
// $c: array<#{F}>
var<workgroup> left: array<#{F}, 1088>;
var<workgroup> right: array<#{F}, 1088>;

fn a1(row: u32, k: u32) -> #{F} {
    if (row >= M || k >= K) {
        return 0.0;
    }
#if TA
    return $a[A_OFFSET + k * A_STRIDE + row];
#else
    return $a[A_OFFSET + row * A_STRIDE + k];
#end
}

fn b1(k: u32, column: u32) -> #{F} {
    if (column >= N || k >= K) {
        return 0.0;
    }
#if TB
    return $b[B_OFFSET + column * B_STRIDE + k];
#else
    return $b[B_OFFSET + k * B_STRIDE + column];
#end
}

#main(GROUP) group, groups, thread {
    let tile = group.y * groups.x + group.x;
    let row = tile / ACROSS * 64u;
    let column = tile % ACROSS * 64u;
    let x = thread % 16u;
    let y = thread / 16u;
    if (row >= M) {
        return;
    }
#for m in 0..4
    var acc#{m} = vec4<#{F}>(0.0);
#end
    for (var k = 0u; k < K; k += 16u) {
        // Left is [64 rows, 16 of K] and right [64 columns, 16 of K], both as [16, 68] so that banks differ.
        for (var e = thread; e < 1024u; e += GROUP) {
#if TA
            left[e / 64u * 68u + e % 64u] = a1(row + e % 64u, k + e / 64u);
#else
            left[e % 16u * 68u + e / 16u] = a1(row + e / 16u, k + e % 16u);
#end
#if TB
            right[e % 16u * 68u + e / 16u] = b1(k + e % 16u, column + e / 16u);
#else
            right[e / 64u * 68u + e % 64u] = b1(k + e / 64u, column + e % 64u);
#end
        }
        workgroupBarrier();
#for q in 0..16
        {
            let w = vec4<#{F}>(right[#{q}u * 68u + x], right[#{q}u * 68u + x + 16u], right[#{q}u * 68u + x + 32u], right[#{q}u * 68u + x + 48u]);
#for m in 0..4
            acc#{m} = fma(vec4<#{F}>(left[#{q}u * 68u + y + #{m}u * 16u]), w, acc#{m});
#end
        }
#end
        workgroupBarrier();
    }
#for m in 0..4
    {
        let i = row + y + #{m}u * 16u;
        let at = C_OFFSET + i * C_STRIDE;
#for n in 0..4
        {
            let j = column + x + #{n}u * 16u;
            if (i < M && j < N) {
                var value = acc#{m}[#{n}];
#if BIASED
                value += $bias[BIAS_OFFSET + j];
#end
#if ACCUMULATE
                value += $c[at + j];
#end
                $c[at + j] = value;
            }
        }
#end
    }
#end
}
