// to = mask * from * SCALE, a mask that is a function of (key, step, stream, element). A thread takes RUN elements,
// RUN even, in the order of the rows; two elements share a counter.
// $control: array<u32>, words 0..2 are the key, 2..4 the step
// $from: array<f32>
// $to: array<f32>
#use threefry
#use flat

@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let first = flat(id, groups) * RUN;
    if (first >= FROM_ROWS * FROM_COLS) {
        return;
    }
    let at_step = threefry2x32(vec2<u32>($control[0], $control[1]), vec2<u32>($control[2], $control[3]));
    let key = threefry2x32(at_step, vec2<u32>(STREAM, 0u));
    for (var pair = first / 2u; pair < (first + RUN) / 2u; pair++) {
        let words = threefry2x32(key, vec2<u32>(pair, 0u));
#for half in 0..2
        {
            let element = pair * 2u + #{half}u;
            if (element < FROM_ROWS * FROM_COLS) {
                let row = element / FROM_COLS;
                let column = element % FROM_COLS;
                let x = $from[FROM_OFFSET + row * FROM_STRIDE + column];
                let kept = select(0.0, x * SCALE, words[#{half}] >= THRESHOLD);
                $to[TO_OFFSET + row * TO_STRIDE + column] = kept;
            }
        }
#end
    }
}
