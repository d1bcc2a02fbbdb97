// C [M, N] = A B (+ bias, + C) through memory that a workgroup shares: a workgroup of 16 x 16 threads makes a tile of SIDE x SIDE
// elements, 64 or 128, DEEP of K a round; a thread makes QUADS x QUADS squares of 4 x 4, 64 apart.
//
// Rows of A and columns of B lie in shared memory four by four, [DEEP][PITCH] fours, PITCH one more than a tile has so that
// banks differ. There are two buffers of HALF fours: a round is multiplied out of one while the next round comes from memory, and
// then goes to the other one, so that a round has one barrier. Each thread loads one four of each operand, where there are as
// many: LOADS.
// A is [M, K], or [K, M] where TA; B is [K, N], or [N, K] where TB. AV, BV, CV: fours lie side by side in memory where offset and
// stride allow it, and are read and stored as such. Rows and columns beyond the edge repeat the last ones and are not stored;
// terms beyond the end are 0. Where PARTED, C is [PARTS * PART_ROWS, N]: of TILES tiles each, one matrix of sums of DEPTH
// terms after another.
// $a: array<#{A}>
// $b: array<#{B}>
// $bias: array<#{BIAS}>
// $c: array<#{C}>
var<workgroup> left: array<vec4<#{F}>, LENGTH>;
var<workgroup> right: array<vec4<#{F}>, LENGTH>;

// Four rows of A at a term.
fn a4(row: u32, k: u32, end: u32) -> vec4<#{F}> {
    let p = min(k, K_LAST);
#if TA
    let at = A_OFFSET + p * A_STRIDE;
#if AV
    let x = $a[(at + min(row, A_LAST)) / 4u];
#else
    let x = vec4<#{F}>($a[at + min(row, M_LAST)], $a[at + min(row + 1u, M_LAST)], $a[at + min(row + 2u, M_LAST)], $a[at + min(row + 3u, M_LAST)]);
#end
#else
    let at = A_OFFSET + p;
    let x = vec4<#{F}>($a[at + min(row, M_LAST) * A_STRIDE], $a[at + min(row + 1u, M_LAST) * A_STRIDE], $a[at + min(row + 2u, M_LAST) * A_STRIDE], $a[at + min(row + 3u, M_LAST) * A_STRIDE]);
#end
    return select(vec4<#{F}>(0.0), x, k < end);
}

// Four columns of B at a term.
fn b4(column: u32, k: u32, end: u32) -> vec4<#{F}> {
    let p = min(k, K_LAST);
#if TB
    let at = B_OFFSET + p;
    let x = vec4<#{F}>($b[at + min(column, N_LAST) * B_STRIDE], $b[at + min(column + 1u, N_LAST) * B_STRIDE], $b[at + min(column + 2u, N_LAST) * B_STRIDE], $b[at + min(column + 3u, N_LAST) * B_STRIDE]);
#else
    let at = B_OFFSET + p * B_STRIDE;
#if BV
    let x = $b[(at + min(column, B_LAST)) / 4u];
#else
    let x = vec4<#{F}>($b[at + min(column, N_LAST)], $b[at + min(column + 1u, N_LAST)], $b[at + min(column + 2u, N_LAST)], $b[at + min(column + 3u, N_LAST)]);
#end
#end
    return select(vec4<#{F}>(0.0), x, k < end);
}

#main(GROUP) group, groups, thread {
    let number = group.y * groups.x + group.x;
#if PARTED
    let part = number / TILES;
    let tile = number % TILES;
    let first = part * DEPTH;
    let end = min(first + DEPTH, K);
    let above = part * PART_ROWS;
#else
    let part = 0u;
    let tile = number;
    let first = 0u;
    let end = K;
    let above = 0u;
#end
    let row = tile / ACROSS * SIDE;
    let column = tile % ACROSS * SIDE;
    if (row >= M || part >= PARTS) {
        return;
    }
    let x = thread % 16u;
    let y = thread / 16u;
    // Neighbours load neighbours: along the tile, or along K.
#if TA
    let a_four = thread % FOURS;
    let a_term = thread / FOURS;
#else
    let a_four = thread / DEEP;
    let a_term = thread % DEEP;
#end
#if TB
    let b_four = thread / DEEP;
    let b_term = thread % DEEP;
#else
    let b_four = thread % FOURS;
    let b_term = thread / FOURS;
#end
    let loads = thread < LOADS;
#for m in 0..QUADS
#for e in 0..4
#for n in 0..QUADS
    var acc#{m}_#{e}_#{n} = vec4<#{F}>(0.0);
#end
#end
#end
    if (loads) {
        left[a_term * PITCH + a_four] = a4(row + a_four * 4u, first + a_term, end);
        right[b_term * PITCH + b_four] = b4(column + b_four * 4u, first + b_term, end);
    }
    workgroupBarrier();
    var now = 0u;
    for (var k = first; k < end; k += DEEP) {
        let next_a = a4(row + a_four * 4u, k + DEEP + a_term, end);
        let next_b = b4(column + b_four * 4u, k + DEEP + b_term, end);
#for q in 0..DEEP
        {
#for m in 0..QUADS
            let x#{m} = left[now + #{q}u * PITCH + y + #{m}u * 16u];
            let w#{m} = right[now + #{q}u * PITCH + x + #{m}u * 16u];
#end
#for m in 0..QUADS
#for e in 0..4
#for n in 0..QUADS
#if DOUBLE
            acc#{m}_#{e}_#{n} += vec4<#{F}>(x#{m}[#{e}]) * w#{n};
#else
            acc#{m}_#{e}_#{n} = fma(vec4<#{F}>(x#{m}[#{e}]), w#{n}, acc#{m}_#{e}_#{n});
#end
#end
#end
#end
        }
#end
        let then = HALF - now;
        if (loads) {
            left[then + a_term * PITCH + a_four] = next_a;
            right[then + b_term * PITCH + b_four] = next_b;
        }
        workgroupBarrier();
        now = then;
    }
#for m in 0..QUADS
#for e in 0..4
    {
        let i = row + (y + #{m}u * 16u) * 4u + #{e}u;
        let at = C_OFFSET + (above + i) * C_STRIDE;
#for n in 0..QUADS
        {
            let j = column + (x + #{n}u * 16u) * 4u;
#if CV
            if (i < M && j < N) {
                var value = acc#{m}_#{e}_#{n};
#if BIASED
                value += $bias[(BIAS_OFFSET + j) / 4u];
#end
#if ACCUMULATE
                value += $c[(at + j) / 4u];
#end
                $c[(at + j) / 4u] = value;
            }
#else
#for f in 0..4
            if (i < M && j + #{f}u < N) {
                var value = acc#{m}_#{e}_#{n}[#{f}];
#if BIASED
                value += $bias[BIAS_OFFSET + j + #{f}u];
#end
#if ACCUMULATE
                value += $c[at + j + #{f}u];
#end
                $c[at + j + #{f}u] = value;
            }
#end
#end
        }
#end
    }
#end
#end
}
