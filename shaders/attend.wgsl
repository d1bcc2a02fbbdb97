// Attention of rows over a memory. Row r looks at sequence k = sequences[r] of the memory, whose step j is row
// starts[FIRST + j] + k of it; it has as many steps as that lies before the start of the next. LANES threads share a row:
// each takes every LANES-th step of the memory, then every LANES-th column of the sum; all of them add the lanes in order.
// STEPPED: of the rows of a step of a scan alone. SCORES: scores[r, j] = weights[r, j] (g_j - sum_i weights[r, i] g_i), g_j = upstream[r] . values[j]; else weights[r] =
// softmax of query[r] . keys[j], or with ADDITIVE scores vector . tanh(query[r] + keys[j]), and out[r] = the sum of
// weights[r, j] values[j]. WINDOW: weights[r, j] is the mean of a exp(-b (k - j - 1)^2) over the columns of the three parts of
// query[r], without a softmax; its SCORES are g_j.
// $sequences: array<u32>
// $starts: array<u32>
// $query: array<#{F}>
// $keys: array<#{F}>, but where WINDOW
// $values: array<#{F}>
// $vector: array<#{F}>, where ADDITIVE
// $weights: array<#{F}>, but where WINDOW and SCORES
// $out: array<#{F}>
// $upstream: array<#{F}>
// $scores: array<#{F}>
alias V = #{V};
alias U = #{U};

#if ADDITIVE
#use activations
#else
#if DOUBLE
#use double
#end
#end
#if SHARED
var<workgroup> shares: array<#{F}, GROUP>;
#end

#use total

#main(GROUP) group, groups, thread {
    let lane = thread % LANES;
    let row = (group.y * groups.x + group.x) * (GROUP / LANES) + thread / LANES;
#if STEPPED
    let here = $counts[OWN + step.x];
    let running = $counts[OWN + step.x + 1u] - here;
    let own = min(here + min(row, max(running, 1u) - 1u), ROWS - 1u);
#else
    let running = ROWS;
    let own = min(row, ROWS - 1u);
#end
    let k = $sequences[own];
    var count = 0u;
    while (count < STEPS && $starts[FIRST + count] + k < $starts[FIRST + count + 1u]) {
        count++;
    }
    // A row behind the last one goes along, for the barriers, and stores nothing.
    let stored = select(0u, count, row < running);
#if SCORES
#if WINDOW
#else
    let at = WEIGHTS_OFFSET + own * WEIGHTS_STRIDE;
#end
    let gradient = SCORES_OFFSET + own * SCORES_STRIDE;
#if WINDOW
#else
    var share = #{F}(0.0);
#end
    for (var j = lane; j < stored; j += LANES) {
        let first = VALUES_OFFSET + ($starts[FIRST + j] + k) * VALUES_STRIDE;
        var score = #{F}(0.0);
        for (var c = 0u; c < VALUES_COLS; c++) {
            score += $upstream[UPSTREAM_OFFSET + own * UPSTREAM_STRIDE + c] * $values[first + c];
        }
#if WINDOW
#else
        share += $weights[at + j] * score;
#end
        $scores[gradient + j] = score;
    }
#if WINDOW
#else
    let mean = total(share, thread);
#if SHARED
    storageBarrier();
#end
    for (var j = lane; j < stored; j += LANES) {
        let weighed = $weights[at + j] * ($scores[gradient + j] - mean);
        $scores[gradient + j] = weighed;
    }
#end
#else
    let at = WEIGHTS_OFFSET + own * WEIGHTS_STRIDE;
#if WINDOW
    let part = QUERY_COLS / 3u;
    for (var j = lane; j < stored; j += LANES) {
        var score = #{F}(0.0);
        for (var c = 0u; c < part; c++) {
            let q = QUERY_OFFSET + own * QUERY_STRIDE + c;
            let away = $query[q + 2u * part] - #{F}(j + 1u);
            score += $query[q] * exp(-$query[q + part] * away * away);
        }
        $weights[at + j] = score / #{F}(part);
    }
#else
    var largest = #{F}(LOWEST);
    for (var j = lane; j < stored; j += LANES) {
        let first = KEYS_OFFSET + ($starts[FIRST + j] + k) * KEYS_STRIDE;
        var score = #{F}(0.0);
        for (var c = 0u; c < KEYS_COLS; c++) {
            let q = $query[QUERY_OFFSET + own * QUERY_STRIDE + c];
#if ADDITIVE
            score += $vector[VECTOR_OFFSET + c] * tanh_safe(q + $keys[first + c]);
#else
            score += q * $keys[first + c];
#end
        }
        largest = select(largest, score, score > largest);
        $weights[at + j] = score;
    }
#if SHARED
    shares[thread] = largest;
    storageBarrier();
    workgroupBarrier();
    for (var l = 0u; l < LANES; l++) {
        let other = shares[thread - thread % LANES + l];
        largest = select(largest, other, other > largest);
    }
    workgroupBarrier();
#end
    // A NaN that no comparison saw comes into the sum.
    var share = #{F}(0.0);
    for (var j = lane; j < stored; j += LANES) {
        let e = exp($weights[at + j] - largest);
        $weights[at + j] = e;
        share += e;
    }
    let by = #{F}(1.0) / total(share, thread);
#if SHARED
    storageBarrier();
#end
    for (var j = lane; j < stored; j += LANES) {
        let weight = $weights[at + j] * by;
        $weights[at + j] = weight;
    }
#end
#if SHARED
    // Every lane reads what the others have stored.
    storageBarrier();
    workgroupBarrier();
#end
    if (row >= running) {
        return;
    }
    for (var c = lane; c < OUT_COLS; c += LANES) {
        var sum = #{F}(0.0);
        for (var j = 0u; j < count; j++) {
            sum += $weights[at + j] * $values[VALUES_OFFSET + ($starts[FIRST + j] + k) * VALUES_STRIDE + c];
        }
        $out[OUT_OFFSET + own * OUT_STRIDE + c] = sum;
    }
#end
}
