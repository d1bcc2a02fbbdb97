// to [R, C] = logits - log sum exp(their row) (+ add [R, 1] where ADDED). LANES threads share a row: see
// lib/exponentials.wgsl.
// $logits: array<f32>
// $add: array<f32>
// $to: array<f32>
#if SHARED
var<workgroup> maxima: array<f32, GROUP>;
var<workgroup> sums: array<f32, GROUP>;
#end

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
#use exponentials
    if (row >= LOGITS_ROWS) {
        return;
    }
#if ADDED
    let by = $add[ADD_OFFSET + row * ADD_STRIDE] - log(sum);
#else
    let by = -log(sum);
#end
    for (var c = lane; c < LOGITS_COLS; c += LANES) {
        let x = $logits[at + c];
        $to[TO_OFFSET + row * TO_STRIDE + c] = (x - largest) + by;
    }
}
