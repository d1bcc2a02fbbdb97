// losses[r] = FACTOR * what row r = (t, b) adds to a penalty; grad += its derivative. ACTIVATION: |h_t|^2; TEMPORAL:
// |h_t - h_{t+1}|^2; NORM: (|h_t| - |h_{t+1}|)^2. The next step's row is BATCH rows further; a row without a neighbour
// is its own. LANES threads share a row: each takes every LANES-th element, and all of them add the lanes in order.
// $from: array<#{F}>
// $grad: array<#{F}>
// $hyper: array<#{F}>, number 6 is the factor of gradients, where they are SCALED
// $losses: array<#{F}>, row r's is number step.y + r
#if SHARED
var<workgroup> sums: array<#{F}, GROUP>;
#end

fn total(own: #{F}, thread: u32) -> #{F} {
#if SHARED
    sums[thread] = own;
    workgroupBarrier();
    var sum = 0.0;
    for (var l = 0u; l < LANES; l++) {
        sum += sums[thread - thread % LANES + l];
    }
    workgroupBarrier();
    return sum;
#else
    return own;
#end
}

fn length_of(row: u32, thread: u32) -> #{F} {
    var sum = 0.0;
    for (var c = thread % LANES; c < FROM_COLS; c += LANES) {
        let h = $from[FROM_OFFSET + row * FROM_STRIDE + c];
        sum += h * h;
    }
    return sqrt(total(sum, thread));
}

#main(GROUP) group, groups, thread {
    let lane = thread % LANES;
    let row = (group.y * groups.x + group.x) * (GROUP / LANES) + thread / LANES;
    let own = min(row, FROM_ROWS - 1u);
    let before = select(own, own - BATCH, own >= BATCH);
    let after = select(own, own + BATCH, own + BATCH < FROM_ROWS);
#if NORM
    let norm = length_of(own, thread);
    let change = norm - length_of(after, thread);
    let along = 2.0 * FACTOR * (change + (norm - length_of(before, thread))) / norm;
    let sum = change * change;
#else
    var part = 0.0;
    for (var c = lane; c < FROM_COLS; c += LANES) {
#if TEMPORAL
        let x = $from[FROM_OFFSET + own * FROM_STRIDE + c] - $from[FROM_OFFSET + after * FROM_STRIDE + c];
#else
        let x = $from[FROM_OFFSET + own * FROM_STRIDE + c];
#end
        part += x * x;
    }
    let sum = total(part, thread);
#end
    if (row >= FROM_ROWS) {
#if COUNTED
        if (row < MOST && lane == 0u) {
            $losses[LOSSES_OFFSET + step.y + row] = 0.0;
        }
#end
        return;
    }
    if (lane == 0u) {
        $losses[LOSSES_OFFSET + step.y + row] = FACTOR * sum;
    }
#if NORM
    if (!(norm > 0.0)) {
        return;
    }
#end
    for (var c = lane; c < FROM_COLS; c += LANES) {
        let h = $from[FROM_OFFSET + own * FROM_STRIDE + c];
#if NORM
        let pull = along * h;
#else
#if TEMPORAL
        let last = h - $from[FROM_OFFSET + before * FROM_STRIDE + c];
        let pull = 2.0 * FACTOR * (h - $from[FROM_OFFSET + after * FROM_STRIDE + c] + last);
#else
        let pull = 2.0 * FACTOR * h;
#end
#end
#if SCALED
        $grad[GRAD_OFFSET + row * GRAD_STRIDE + c] += pull * $hyper[6];
#else
        $grad[GRAD_OFFSET + row * GRAD_STRIDE + c] += pull;
#end
    }
}
