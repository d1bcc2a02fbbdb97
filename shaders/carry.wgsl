// state[s, 0] = reset ? start[s] (0 without START) : state[s, T] for a slot [S, T+1, B * H], PLANE = (T + 1) * WIDTH; steps 0
// and T of the first state begin at FIRST and at LAST. With PARENTS row b of ROW elements is row parents[b] of step T.
// $control: array<u32>, word 4 is reset
// $state: array<#{V}>
// $last: array<#{V}>, the same buffer, or another part of it
// $start: array<#{V}>, [S, START_COLS]
// $parents: array<u32>, [WIDTH / ROW]
// $flag: array<u32>
#main(GROUP) id, groups {
    let i = flat(id, groups);
    if (i >= STATES * WIDTH) {
        return;
    }
#if SPANNING
    // The runs before failed, or this one is repeated: first states lie where they belong.
    if ($flag[0] != 0u) {
        return;
    }
#end
    let to = i / WIDTH * PLANE + i % WIDTH;
#if START
    var value = $start[START_OFFSET + i / WIDTH * START_STRIDE + i % START_COLS];
#else
    var value = #{V}(0.0);
#end
    if ($control[4] == 0u) {
#if PARENTS
        value = $last[LAST + i / WIDTH * PLANE + $parents[i % WIDTH / ROW] * ROW + i % ROW];
#else
        value = $last[LAST + to];
#end
    }
    $state[FIRST + to] = value;
}

#use flat
