// stats [R, 4] = running (largest, sum of exp(x - largest), the target's score, -) over chunks of the vocabulary, this
// one from symbol FROM on; where LAST, losses[r] = weight * (largest + log(sum) - score). LANES threads share a row, as
// in softmax_xent.wgsl.
// $logits: array<#{F}>
// $ids: array<u32>, row r's target is word FIRST + r
// $weights: array<#{F}>, where WEIGHTED
// $stats: array<#{F}>
// $losses: array<#{F}>
#if SHARED
var<workgroup> maxima: array<#{F}, GROUP>;
var<workgroup> sums: array<#{F}, GROUP>;
#end

#main(GROUP) group, groups, thread {
#use exponentials
    if (row >= LOGITS_ROWS || lane > 0u) {
#if COUNTED
        if (row < MOST && lane == 0u) {
            $losses[LOSSES_OFFSET + row] = 0.0;
        }
#end
        return;
    }
    let place = STATS_OFFSET + row * STATS_STRIDE;
#if FROM
    let before = $stats[place];
    let here = largest;
    // A NaN that no comparison saw is in one of the sums.
    largest = select(before, here, here > before);
    sum = $stats[place + 1u] * exp(before - largest) + sum * exp(here - largest);
    var score = $stats[place + 2u];
#else
    var score = 0.0;
#end
    let goal = $ids[FIRST + row];
    if (goal >= FROM && goal < FROM + LOGITS_COLS) {
        score = $logits[at + goal - FROM];
    }
    $stats[place] = largest;
    $stats[place + 1u] = sum;
    $stats[place + 2u] = score;
#if LAST
#if WEIGHTED
    let weight = $weights[WEIGHTS_OFFSET + row];
#else
    let weight = 1.0;
#end
    $losses[LOSSES_OFFSET + row] = weight * (largest + log(sum) - score);
#end
}
#if DOUBLE

#use double
#end
