// A sequence's own steps beside one row for the whole of it. SUM: sequences [B, D] (+)= the sum of each one's rows; else
// rows [R, D] (+)= the row of each one's sequence. MEAN divides by the number of its steps; MAX takes the largest of each
// column, and hands its gradient to the first of the largest values. PACKED: step t has the rows
// from starts[FIRST + t] on, one for every sequence longer than t; else every step has B. A thread does one V (an element or
// four) of a sequence, step after step.
// $rows: array<#{V}>
// $sequences: array<#{V}>
// $values: array<#{V}>, where MAX and not SUM
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
#if MAX
    var largest = #{V}(0.0);
    var first = #{U}(0u);
    for (var t = 0u; t < length; t++) {
#if PACKED
        let row = $starts[FIRST + t] + b;
#else
        let row = t * BATCH + b;
#end
#if SUM
        let value = $rows[ROWS_OFFSET + row * ROWS_STRIDE + column];
#else
        let value = $values[VALUES_OFFSET + row * VALUES_STRIDE + column];
#end
        // What is no number is larger than any.
        let better = (value > largest) | (value != value);
        let taken = better | (#{U}(t) == #{U}(0u));
        first = select(first, #{U}(t), taken);
        largest = select(largest, value, taken);
    }
#end
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
#if MAX
#else
        sum += scale * $rows[at];
#end
#else
#if MAX
        let share = select(#{V}(0.0), handed, first == #{U}(t));
#else
        let share = handed;
#end
#if ACCUMULATE
        $rows[at] += share;
#else
        $rows[at] = share;
#end
#end
    }
#if SUM
#if MAX
    $sequences[own] = largest;
#else
    $sequences[own] = sum;
#end
#end
}

#use flat
