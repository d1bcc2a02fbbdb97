// Sums along the pairs of attention, of which pairs [R, S] has a number c each. MEMORY: into[j] (+)= the sum of c[r, j]
// from[r] over the rows r that look at row j of the memory: row starts[FIRST + s] + k is step s of sequence k, at which the
// rows starts[ROWS_FIRST + t] + sequences[k] look. Else into[r] (+)= the sum of c[r, s] from[starts[FIRST + s] + k] over the
// steps of sequence k = sequences[r]. ADDITIVE: in place of from stands vector (1 - tanh(query[r] + keys[j])^2), and
// totals[j] = the sum of c[r, j] tanh(query[r] + keys[j]) where there are TOTALS. WINDOW: in place of from stands the
// derivative of a exp(-b (k - s - 1)^2) / PARTS by a, b, k, the three parts of query[r], each of PARTS columns. A thread has one V (an element or four) of
// a row.
// $pairs: array<#{F}>
// $sequences: array<u32>
// $starts: array<u32>
// $from: array<#{V}>
// $query: array<#{V}>
// $keys: array<#{V}>
// $vector: array<#{V}>
// $totals: array<#{V}>
// $into: array<#{V}>
alias V = #{V};
alias U = #{U};

#if ADDITIVE
#use activations
#else
#if WINDOW
#if DOUBLE
#use double
#end
#end
#end
#main(GROUP) id, groups {
    let i = flat(id, groups);
    let column = i % INTO_COLS;
#if MEMORY
    let k = i / INTO_COLS % BATCH;
    let s = i / INTO_COLS / BATCH;
    if (s >= STEPS) {
        return;
    }
    let row = $starts[FIRST + s] + k;
    if (row >= $starts[FIRST + s + 1u]) {
        return;
    }
    let b = $sequences[k];
#else
#if STEPPED
    // The rows of a step of a scan alone.
    let row = $counts[OWN + step.x] + i / INTO_COLS;
    if (row >= $counts[OWN + step.x + 1u]) {
        return;
    }
#else
    let row = i / INTO_COLS;
    if (row >= INTO_ROWS) {
        return;
    }
#end
    let k = $sequences[row];
#end
    let at = INTO_OFFSET + row * INTO_STRIDE + column;
#if ACCUMULATE
    var sum = $into[at];
#else
    var sum = V(0.0);
#end
#if ADDITIVE
    let v = $vector[VECTOR_OFFSET + column];
#end
#if TOTALS
    var all = V(0.0);
#end
#if WINDOW
    let part = INTO_COLS / 3u;
    let own = QUERY_OFFSET + row * QUERY_STRIDE + column % part;
    let share = #{F}(1.0) / #{F}(PARTS);
    let a = $query[own];
    let b = $query[own + part];
    let centre = $query[own + 2u * part];
#end
#if MEMORY
    for (var t = 0u; t < ROWS_STEPS; t++) {
        let other = $starts[ROWS_FIRST + t] + b;
        if (other >= $starts[ROWS_FIRST + t + 1u]) {
            break;
        }
        let c = $pairs[PAIRS_OFFSET + other * PAIRS_STRIDE + s];
#if ADDITIVE
        let t = tanh_safe($query[QUERY_OFFSET + other * QUERY_STRIDE + column] + $keys[KEYS_OFFSET + row * KEYS_STRIDE + column]);
#end
#else
    for (var s = 0u; s < STEPS; s++) {
        let other = $starts[FIRST + s] + k;
        if (other >= $starts[FIRST + s + 1u]) {
            break;
        }
        let c = $pairs[PAIRS_OFFSET + row * PAIRS_STRIDE + s];
#if ADDITIVE
        let t = tanh_safe($query[QUERY_OFFSET + row * QUERY_STRIDE + column] + $keys[KEYS_OFFSET + other * KEYS_STRIDE + column]);
#end
#end
#if WINDOW
        let away = centre - V(#{F}(s + 1u));
        let e = c * exp(-b * away * away) * share;
        if (column < part) {
            sum += e;
        } else if (column < 2u * part) {
            sum -= a * away * away * e;
        } else {
            sum -= #{F}(2.0) * a * b * away * e;
        }
#else
#if ADDITIVE
        sum += c * v * (V(1.0) - t * t);
#if TOTALS
        all += c * t;
#end
#else
        sum += c * $from[FROM_OFFSET + other * FROM_STRIDE + column];
#end
#end
    }
    $into[at] = sum;
#if TOTALS
    $totals[TOTALS_OFFSET + row * TOTALS_STRIDE + column] = all;
#end
}

#use flat
