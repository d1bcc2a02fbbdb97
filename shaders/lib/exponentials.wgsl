// A row of scores that LANES threads share: its largest, and the sum of the exponentials of all beside it.
    let lane = thread % LANES;
    let row = (group.y * groups.x + group.x) * (GROUP / LANES) + thread / LANES;
    let own = min(row, LOGITS_ROWS - 1u);
    let at = LOGITS_OFFSET + own * LOGITS_STRIDE;
    var largest = $logits[at];
    for (var c = lane; c < LOGITS_COLS; c += LANES) {
        let x = $logits[at + c];
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
    // A NaN that no comparison saw comes into the loss through the sum.
    var sum = 0.0;
    for (var c = lane; c < LOGITS_COLS; c += LANES) {
        sum += exp($logits[at + c] - largest);
    }
#if SHARED
    sums[thread] = sum;
    // In storage, too: every lane has read the first score, which its own lane may replace from here on.
    storageBarrier();
    workgroupBarrier();
    sum = 0.0;
    for (var l = 0u; l < LANES; l++) {
        sum += sums[thread - lane + l];
    }
#end
