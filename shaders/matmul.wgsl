// C [M, N] = A B (+ bias, + C): every thread makes ROWS x COLUMNS elements in registers, FOURS = COLUMNS / 4.
//
// Each operand is read in fours along its rows in memory: a vector where offset and stride allow it (AV, BV), else four
// numbers. A is [M, K], or [K, M] where TA; B is [K, N], or [N, K] where TB. Rows and columns beyond the edge repeat the
// last ones and are not stored; TAIL = K % 4 elements are added after the loop. COUNTED_ROWS, COUNTED_DEPTH: M, K is what
// the run counts.
// $a: array<#{A}>
// $b: array<#{B}>
// $bias: array<#{BIAS}>
// $c: array<#{C}>

// Four neighbours of a row of A; beyond the last column they are of no use.
fn left(row: u32, column: u32) -> vec4<#{F}> {
    let at = A_OFFSET + min(row, A_ROWS - 1u) * A_STRIDE;
#if AV
    return $a[(at + min(column, A_LAST)) / 4u];
#else
    let end = A_COLS - 1u;
    return vec4<#{F}>($a[at + min(column, end)], $a[at + min(column + 1u, end)], $a[at + min(column + 2u, end)], $a[at + min(column + 3u, end)]);
#end
}

fn right(row: u32, column: u32) -> vec4<#{F}> {
    let at = B_OFFSET + min(row, B_ROWS - 1u) * B_STRIDE;
#if BV
    return $b[(at + min(column, B_LAST)) / 4u];
#else
    let end = B_COLS - 1u;
    return vec4<#{F}>($b[at + min(column, end)], $b[at + min(column + 1u, end)], $b[at + min(column + 2u, end)], $b[at + min(column + 3u, end)]);
#end
}

#main(GROUP) id, groups, group#{LANE} {
    let thread = flat(id, groups);
#if !SUBGROUP
    if (thread >= THREADS) {
        return;
    }
#end
#if UNIFORM
    // The same rows for a whole workgroup, in words from which a compiler sees it.
    let i = (group.y * groups.x + group.x) / (ACROSS / GROUP) * ROWS;
#else
    let i = thread / ACROSS * ROWS;
#end
    let j = thread % ACROSS * COLUMNS;
#if COUNTED_ROWS
    if (i >= M) {
        return;
    }
#end
#for m in 0..ROWS
#for n in 0..FOURS
    var acc#{m}_#{n} = vec4<#{F}>(0.0);
#end
#end
#if COUNTED_DEPTH
    let depth = K;
    let whole = depth / 4u * 4u;
#else
    let whole = WHOLE;
#end
    for (var k = 0u; k < whole; k += 4u) {
#{LOADS}
        // All terms of a sum follow one another: where sums are more than registers, each is fetched once a round.
#for m in 0..ROWS
#for n in 0..FOURS
#for q in 0..4
        acc#{m}_#{n} += vec4<#{F}>(x#{m}_#{q}) * y#{n}_#{q};
#end
#end
#end
    }
#if COUNTED_DEPTH
    if (whole < depth) {
        let k = whole;
#{LOADS}
#for q in 0..3
        if (k + #{q}u < depth) {
#for m in 0..ROWS
#for n in 0..FOURS
            acc#{m}_#{n} += vec4<#{F}>(x#{m}_#{q}) * y#{n}_#{q};
#end
#end
        }
#end
    }
#else
#if TAIL
    {
        let k = WHOLE;
#{LOADS}
#for q in 0..TAIL
#for m in 0..ROWS
#for n in 0..FOURS
        acc#{m}_#{n} += vec4<#{F}>(x#{m}_#{q}) * y#{n}_#{q};
#end
#end
#end
    }
#end
#end
#for m in 0..ROWS
    if (i + #{m}u < M) {
        let at = C_OFFSET + (i + #{m}u) * C_STRIDE + j;
#for n in 0..FOURS
#if CV
        if (j + #{n}u * 4u < N) {
            var value = acc#{m}_#{n};
#if BIASED
            value += $bias[(BIAS_OFFSET + j) / 4u + #{n}u];
#end
#if ACCUMULATE
            value += $c[at / 4u + #{n}u];
#end
            $c[at / 4u + #{n}u] = value;
        }
#else
#for e in 0..4
        if (j + #{n}u * 4u + #{e}u < N) {
            var value = acc#{m}_#{n}[#{e}];
#if BIASED
            value += $bias[BIAS_OFFSET + j + #{n}u * 4u + #{e}u];
#end
#if ACCUMULATE
            value += $c[at + #{n}u * 4u + #{e}u];
#end
            $c[at + #{n}u * 4u + #{e}u] = value;
        }
#end
#end
#end
    }
#end
}

#use flat
