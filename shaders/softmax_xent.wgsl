// losses[r] = weight * (log sum exp(row) - goal . row); where GRADIENT, row = (softmax - goal) * weight * scale. The goal is
// one-hot; where SMOOTHED, 1 - SMOOTHING at the target and EACH = SMOOTHING / V more at every symbol.
// LANES threads share a row of V scores: each takes every LANES-th, and all of them add the lanes in the same order.
// $logits: array<#{F}>
// Row r's target, weight and loss are those of position step.y + r.
// $ids: array<u32>, a position's target is FIRST words further
// $weights: array<#{F}>, where WEIGHTED
// $hyper: array<#{F}>, number 1 is scale
// $losses: array<#{F}>
#if SHARED
var<workgroup> maxima: array<#{F}, GROUP>;
var<workgroup> sums: array<#{F}, GROUP>;
#end

#main(GROUP) group, groups, thread {
#use exponentials
    let goal = $ids[FIRST + step.y + own];
    let score = $logits[at + goal];
#if SMOOTHED
    var all = 0.0;
    for (var c = lane; c < LOGITS_COLS; c += LANES) {
        all += $logits[at + c];
    }
#if SHARED
    // The maxima are read by now: every lane has come to the barrier behind them.
    maxima[thread] = all;
    workgroupBarrier();
    all = 0.0;
    for (var l = 0u; l < LANES; l++) {
        all += maxima[thread - lane + l];
    }
#end
#end
#if SHARED
    // The target's score is read before its lane replaces it: in storage, which a barrier of the workgroup alone leaves unordered.
    storageBarrier();
#end
    if (row >= LOGITS_ROWS) {
#if COUNTED
        if (row < MOST && lane == 0u) {
            $losses[LOSSES_OFFSET + step.y + row] = 0.0;
        }
#end
        return;
    }
#if WEIGHTED
    let weight = $weights[step.y + row];
#else
    let weight = 1.0;
#end
    if (lane == 0u) {
#if SMOOTHED
        let smoothed = (1.0 - SMOOTHING) * score + EACH * all;
        $losses[LOSSES_OFFSET + step.y + row] = weight * (largest + log(sum) - smoothed);
#else
        $losses[LOSSES_OFFSET + step.y + row] = weight * (largest + log(sum) - score);
#end
    }
#if GRADIENT
    let factor = weight * $hyper[1];
    let share = factor / sum;
    for (var c = lane; c < LOGITS_COLS; c += LANES) {
        let below = $logits[at + c] - largest;
        // Further below it is as good as 0, and would be subnormal.
        let gradient = select(exp(below) * share, 0.0, below < LOWEST);
#if SMOOTHED
        let below_goal = gradient - factor * EACH;
        $logits[at + c] = select(below_goal, below_goal - factor * (1.0 - SMOOTHING), c == goal);
#else
        $logits[at + c] = select(gradient, gradient - factor, c == goal);
#end
    }
#end
}
#if DOUBLE

#use double
#end
