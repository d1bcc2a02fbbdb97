// to [R, C] = 0. A thread zeroes one V (an element or four).
// $to: array<#{V}>
@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat(id, groups);
    if (i >= TO_ROWS * TO_COLS) {
        return;
    }
    $to[TO_OFFSET + i / TO_COLS * TO_STRIDE + i % TO_COLS] = #{V}(0.0);
}

#use flat
