// to = from, one vec4 a thread, neighbours beside neighbours: what the memory gives when nothing else is done.
// $from: array<vec4<f32>>
// $to: array<vec4<f32>>
@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat(id, groups);
    if (i >= COUNT) {
        return;
    }
    $to[i] = $from[i];
}

#use flat
