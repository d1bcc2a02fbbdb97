// losses[r] = FACTOR * (|v| / |g| - 1)^2 and pull = its derivative by v, for row r = (t, b): v is what step t sends to
// the step before, g all that arrives at step t, from above and from the next step, BATCH rows further. LANES threads
// share a row: each takes every LANES-th element, and all of them add the lanes in order.
// $upstream: array<#{F}>
// $sent: array<#{F}>
// $pull: array<#{F}>
// $losses: array<#{F}>, row r's is number step.y + r
#if SHARED
var<workgroup> arrives: array<#{F}, GROUP>;
var<workgroup> leaves: array<#{F}, GROUP>;
#end

#main(GROUP) group, groups, thread {
    let lane = thread % LANES;
    let row = (group.y * groups.x + group.x) * (GROUP / LANES) + thread / LANES;
    let own = min(row, SENT_ROWS - 1u);
    let last = own + BATCH >= SENT_ROWS;
    let later = select(own + BATCH, own, last);
    var g = 0.0;
    var v = 0.0;
    for (var c = lane; c < SENT_COLS; c += LANES) {
        let above = $upstream[UPSTREAM_OFFSET + own * UPSTREAM_STRIDE + c];
        let total = above + select($sent[SENT_OFFSET + later * SENT_STRIDE + c], 0.0, last);
        let sent = $sent[SENT_OFFSET + own * SENT_STRIDE + c];
        g += total * total;
        v += sent * sent;
    }
#if SHARED
    arrives[thread] = g;
    leaves[thread] = v;
    workgroupBarrier();
    g = 0.0;
    v = 0.0;
    for (var l = 0u; l < LANES; l++) {
        g += arrives[thread - lane + l];
        v += leaves[thread - lane + l];
    }
#end
    if (row >= SENT_ROWS) {
        return;
    }
    g = sqrt(g);
    v = sqrt(v);
    let counts = g != 0.0;
    let off = v / select(1.0, g, counts) - 1.0;
    let slope = 2.0 * FACTOR * off / select(1.0, g, counts);
    if (lane == 0u) {
        $losses[LOSSES_OFFSET + step.y + row] = select(0.0, FACTOR * (off * off), counts);
    }
    let sloped = counts && v != 0.0;
    for (var c = lane; c < SENT_COLS; c += LANES) {
        let sent = $sent[SENT_OFFSET + row * SENT_STRIDE + c];
        $pull[PULL_OFFSET + row * PULL_STRIDE + c] = select(0.0, slope * (sent / select(1.0, v, sloped)), sloped);
    }
}
