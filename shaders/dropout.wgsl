// to = mask * from * SCALE, a mask that is a function of (key, step, stream, index). The index of an element is its
// place in the order of the rows; with BATCH, its place in the rows of one step; with TOKEN, the id of its row. A thread
// takes RUN elements in the order of the rows, RUN even; two indices share a counter. Rows count from step.y; step.z is
// the stream.
// $control: array<u32>, words 0..2 are the key, 2..4 the step
// $from: array<#{F}>
// $to: array<#{F}>
// $ids: array<u32>, where TOKEN
#use threefry
#use flat

#main(GROUP) id, groups {
    let first = flat(id, groups) * RUN;
    if (first >= FROM_ROWS * FROM_COLS) {
        return;
    }
    let at_step = threefry2x32(vec2<u32>($control[0], $control[1]), vec2<u32>($control[2], $control[3]));
    let key = threefry2x32(at_step, vec2<u32>(step.z, 0u));
    // No index has this pair: it would be beyond 32 bits.
    var pair = 0xffffffffu;
    var words = vec2<u32>(0u, 0u);
    for (var element = first; element < min(first + RUN, FROM_ROWS * FROM_COLS); element++) {
        let row = element / FROM_COLS;
        let column = element % FROM_COLS;
#if TOKEN
        let index = $ids[step.y + row];
#else
#if BATCH
        let index = row % BATCH * FROM_COLS + column;
#else
        let index = step.y * FROM_COLS + element;
#end
#end
        if (index / 2u != pair) {
            pair = index / 2u;
            words = threefry2x32(key, vec2<u32>(pair, 0u));
        }
        let word = select(words.x, words.y, index % 2u == 1u);
        let x = $from[FROM_OFFSET + row * FROM_STRIDE + column];
        $to[TO_OFFSET + row * TO_STRIDE + column] = select(0.0, x * SCALE, word >= THRESHOLD);
    }
}
