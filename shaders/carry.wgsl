// state[s, 0] = reset ? start[s] (0 without START) : state[s, T] for a slot [S, T+1, B * H], PLANE = (T + 1) * WIDTH; steps 0
// and T of the first state begin at FIRST and at LAST.
// $control: array<u32>, word 4 is reset
// $state: array<#{V}>
// $last: array<#{V}>, the same buffer, or another part of it
// $start: array<#{V}>, [S, START_COLS]
#main(GROUP) id, groups {
    let i = flat(id, groups);
    if (i >= STATES * WIDTH) {
        return;
    }
    let to = i / WIDTH * PLANE + i % WIDTH;
#if START
    var value = $start[START_OFFSET + i / WIDTH * START_STRIDE + i % START_COLS];
#else
    var value = #{V}(0.0);
#end
    if ($control[4] == 0u) {
        value = $last[LAST + to];
    }
    $state[FIRST + to] = value;
}

#use flat
