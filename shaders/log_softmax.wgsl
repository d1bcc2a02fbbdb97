// to [R, C] = from - log sum exp(from's row) (+ add [R, 1] where ADDED). LANES threads share a row, as in
// softmax_xent.wgsl.
// $from: array<f32>
// $add: array<f32>
// $to: array<f32>
#if SHARED
var<workgroup> maxima: array<f32, GROUP>;
var<workgroup> sums: array<f32, GROUP>;
#end

@compute @workgroup_size(GROUP)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let lane = thread % LANES;
    let row = (group.y * groups.x + group.x) * (GROUP / LANES) + thread / LANES;
    let own = min(row, FROM_ROWS - 1u);
    let at = FROM_OFFSET + own * FROM_STRIDE;
    var largest = $from[at];
    for (var c = lane; c < FROM_COLS; c += LANES) {
        let x = $from[at + c];
        largest = select(largest, x, x > largest);
    }
#if SHARED
    maxima[thread] = largest;
    workgroupBarrier();
    for (var l = 0u; l < LANES; l++) {
        let x = maxima[thread - lane + l];
        largest = select(largest, x, x > largest);
    }
#end
    var sum = 0.0;
    for (var c = lane; c < FROM_COLS; c += LANES) {
        sum += exp($from[at + c] - largest);
    }
#if SHARED
    sums[thread] = sum;
    workgroupBarrier();
    sum = 0.0;
    for (var l = 0u; l < LANES; l++) {
        sum += sums[thread - lane + l];
    }
#end
    if (row >= FROM_ROWS) {
        return;
    }
#if ADDED
    let by = $add[ADD_OFFSET + row * ADD_STRIDE] - log(sum);
#else
    let by = -log(sum);
#end
    for (var c = lane; c < FROM_COLS; c += LANES) {
        let x = $from[at + c];
        $to[TO_OFFSET + row * TO_STRIDE + c] = (x - largest) + by;
    }
}
