// state[s, 0] = reset ? start[s] (0 without START) : state[s, T] for a slot [S, T+1, B * H]; PLANE = (T + 1) * WIDTH, LAST = T * WIDTH.
// $control: array<u32>, word 4 is reset
// $state: array<#{V}>
// $start: array<#{V}>, [S, START_COLS]
@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
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
        value = $state[to + LAST];
    }
    $state[to] = value;
}

#use flat
