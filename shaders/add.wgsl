// to = from (+ to), where FLIP with steps of BATCH rows in reverse order. A thread takes one element or four.
// $from: array<#{V}>
// $to: array<#{V}>
@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let i = flat(id, groups);
    if (i >= TO_ROWS * TO_COLS) {
        return;
    }
    let row = i / TO_COLS;
    let column = i % TO_COLS;
    let at = TO_OFFSET + row * TO_STRIDE + column;
#if FLIP
    let source = TO_ROWS - BATCH - row / BATCH * BATCH + row % BATCH;
#else
    let source = row;
#end
    var value = $from[FROM_OFFSET + source * FROM_STRIDE + column];
#if ACCUMULATE
    value += $to[at];
#end
    $to[at] = value;
}

#use flat
