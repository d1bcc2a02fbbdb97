// to [N, M] = from [M, N] transposed. A thread copies one element; neighbours write neighbours.
// $from: array<f32>
// $to: array<f32>
@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat(id, groups);
    if (i >= TO_ROWS * TO_COLS) {
        return;
    }
    let row = i / TO_COLS;
    let column = i % TO_COLS;
    let value = $from[FROM_OFFSET + column * FROM_STRIDE + row];
    $to[TO_OFFSET + row * TO_STRIDE + column] = value;
}

#use flat
