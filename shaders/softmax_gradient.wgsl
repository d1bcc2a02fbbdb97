// logits [R, C] of symbols from FROM on = (softmax - onehot) * weight * scale, given each row's largest score and sum of
// exponentials over the whole vocabulary. A thread makes one element.
// $logits: array<#{F}>
// $ids: array<u32>, row r's target is word FIRST + r
// $weights: array<#{F}>, where WEIGHTED
// $hyper: array<#{F}>, number 1 is scale
// $stats: array<#{F}>
#main(GROUP) id, groups {
    let i = flat(id, groups);
    if (i >= LOGITS_ROWS * LOGITS_COLS) {
        return;
    }
    let row = i / LOGITS_COLS;
    let column = i % LOGITS_COLS;
    let at = LOGITS_OFFSET + row * LOGITS_STRIDE + column;
    let place = STATS_OFFSET + row * STATS_STRIDE;
#if WEIGHTED
    let factor = $weights[WEIGHTS_OFFSET + row] * $hyper[1];
#else
    let factor = $hyper[1];
#end
    let below = $logits[at] - $stats[place];
    // Further below it is as good as 0, and would be subnormal.
    let gradient = select(exp(below) * (factor / $stats[place + 1u]), 0.0, below < LOWEST);
    $logits[at] = select(gradient, gradient - factor, column + FROM == $ids[FIRST + row]);
}

#use flat
#if DOUBLE

#use double
#end
