// A sequence's own steps beside one row for the whole of it. SUM: sequences [B, D] (+)= the sum of each one's rows; else
// rows [R, D] (+)= the row of each one's sequence. MEAN divides by the number of its steps. PACKED: step t has the rows
// from starts[FIRST + t] on, one for every sequence longer than t; else every step has B. A thread does one V (an element or
// four) of a sequence, step after step.
// $rows: array<#{V}>
// $sequences: array<#{V}>
// $starts: array<u32>
#main(GROUP) id, groups {
    let i = flat(id, groups);
    if (i >= BATCH * ROWS_COLS) {
        return;
    }
    let b = i / ROWS_COLS;
    let column = i % ROWS_COLS;
#if PACKED
    var length = 0u;
    while (length < STEPS && $starts[FIRST + length] + b < $starts[FIRST + length + 1u]) {
        length++;
    }
#else
    let length = STEPS;
#end
    let own = SEQUENCES_OFFSET + b * SEQUENCES_STRIDE + column;
#if MEAN
    let scale = #{V}(1.0) / #{V}(#{F}(max(length, 1u)));
#else
    let scale = #{V}(1.0);
#end
#if SUM
    var sum = #{V}(0.0);
#if ACCUMULATE
    sum = $sequences[own];
#end
#else
    let handed = scale * $sequences[own];
#end
    for (var t = 0u; t < length; t++) {
#if PACKED
        let row = $starts[FIRST + t] + b;
#else
        let row = t * BATCH + b;
#end
        let at = ROWS_OFFSET + row * ROWS_STRIDE + column;
#if SUM
        sum += scale * $rows[at];
#else
#if ACCUMULATE
        $rows[at] += handed;
#else
        $rows[at] = handed;
#end
#end
    }
#if SUM
    $sequences[own] = sum;
#end
}

#use flat
