// A draw by weights [R, STEPS], each row of which has a weight for every step of a memory's sequence: row r looks at sequence k =
// sequences[r], whose step j is row starts[FIRST + j] + k of it; it has as many steps as that lies before the start of the next.
// drawn[r] = 1 at the first step with which the weights sum to more than u = exp(-(a^2 + b^2) / 2), a and b draws[r], or with
// LIKELIEST at the largest weight, and 0 at the others; facts[r] = the logarithm of the weight that is drawn, and the entropy of all.
// A thread makes one of the facts, the first one the draw. SCORES: scores[r, j] = likely[r] (drawn[r, j] - w_j) -
// entropy[r] w_j (log w_j + facts[r, 1]); a thread makes one score.
// $sequences: array<u32>
// $starts: array<u32>
// $weights: array<#{V}>
// $draws: array<#{V}>, but where LIKELIEST or SCORES
// $drawn: array<#{V}>
// $facts: array<#{V}>
// $likely: array<#{V}>, where SCORES
// $entropy: array<#{V}>, where SCORES
// $scores: array<#{V}>, where SCORES
#main(GROUP) id, groups {
    let i = flat(id, groups);
#if SCORES
    if (i >= SCORES_ROWS * SCORES_COLS) {
        return;
    }
    let row = i / SCORES_COLS;
    let j = i % SCORES_COLS;
    let k = $sequences[row];
    if ($starts[FIRST + j] + k >= $starts[FIRST + j + 1u]) {
        return;
    }
    let w = $weights[WEIGHTS_OFFSET + row * WEIGHTS_STRIDE + j];
    let of_all = $facts[FACTS_OFFSET + row * FACTS_STRIDE + 1u];
    var score = $likely[LIKELY_OFFSET + row * LIKELY_STRIDE] * ($drawn[DRAWN_OFFSET + row * DRAWN_STRIDE + j] - w);
    if (w > 0.0) {
        score -= $entropy[ENTROPY_OFFSET + row * ENTROPY_STRIDE] * w * (log(w) + of_all);
    }
    $scores[SCORES_OFFSET + row * SCORES_STRIDE + j] = score;
#else
    if (i >= FACTS_ROWS * FACTS_COLS) {
        return;
    }
    let row = i / FACTS_COLS;
    let k = $sequences[row];
    let at = WEIGHTS_OFFSET + row * WEIGHTS_STRIDE;
    var count = 0u;
    while (count < STEPS && $starts[FIRST + count] + k < $starts[FIRST + count + 1u]) {
        count++;
    }
    let fact = FACTS_OFFSET + row * FACTS_STRIDE + i % FACTS_COLS;
    if (i % FACTS_COLS == 1u) {
        var entropy = #{F}(0.0);
        for (var j = 0u; j < count; j++) {
            let w = $weights[at + j];
            if (w > 0.0) {
                entropy -= w * log(w);
            }
        }
        $facts[fact] = entropy;
        return;
    }
    var best = 0u;
#if LIKELIEST
    for (var j = 1u; j < count; j++) {
        if ($weights[at + j] > $weights[at + best]) {
            best = j;
        }
    }
#else
    let draw = DRAWS_OFFSET + row * DRAWS_STRIDE;
    let u = exp(-0.5 * ($draws[draw] * $draws[draw] + $draws[draw + 1u] * $draws[draw + 1u]));
    // Rounding may leave the last sum below u: then the last step with any weight is drawn.
    var sum = #{F}(0.0);
    for (var j = 0u; j < count && sum <= u; j++) {
        let w = $weights[at + j];
        sum += w;
        if (w > 0.0) {
            best = j;
        }
    }
#end
    for (var j = 0u; j < count; j++) {
        $drawn[DRAWN_OFFSET + row * DRAWN_STRIDE + j] = select(#{F}(0.0), #{F}(1.0), j == best);
    }
    var log_prob = #{F}(0.0);
    if (count > 0u) {
        log_prob = log($weights[at + best]);
    }
    $facts[fact] = log_prob;
#end
}

#use flat
