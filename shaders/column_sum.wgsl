// into [1, N] (+)= sums over the rows of from [R, N]. LANES threads share a column (or four): each sums every
// LANES-th row, then the first adds the lanes in order.
// $from: array<#{V}>
// $into: array<#{V}>
// $control: array<u32>, word 4 is reset: RESET_ONLY sums count only then
#if SHARED
var<workgroup> lanes: array<#{V}, GROUP>;
#end

#main(GROUP) group, groups, thread {
    let lane = thread / ACROSS;
    let column = (group.y * groups.x + group.x) * ACROSS + thread % ACROSS;
    let own = min(column, FROM_COLS - 1u);
    var sum = #{V}(0.0);
    for (var r = lane; r < FROM_ROWS; r += LANES) {
        sum += $from[FROM_OFFSET + r * FROM_STRIDE + own];
    }
#if SHARED
    lanes[thread] = sum;
    workgroupBarrier();
    if (lane > 0u || column >= FROM_COLS) {
        return;
    }
    for (var l = 1u; l < LANES; l++) {
        sum += lanes[l * ACROSS + thread];
    }
#else
    if (column >= FROM_COLS) {
        return;
    }
#end
#if RESET_ONLY
    sum *= #{F}($control[4]);
#end
#if ACCUMULATE
    sum += $into[INTO_OFFSET + column];
#end
    $into[INTO_OFFSET + column] = sum;
}
