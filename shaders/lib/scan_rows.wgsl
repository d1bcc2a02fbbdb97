// Which rows of a scan's step t there are: `running` of them, and where PARTED those from `low` on.
#if PACKED
    // Where this step's rows and states start, and the next step's; the step before the first has every row.
    let before = t == 0xffffffffu;
    let here = select($counts[STARTS + min(t, STEPS)], 0u, before);
    let next = $counts[STARTS + min(t + 1u, STEPS)];
    let later = select($counts[STARTS + min(t + 2u, STEPS)] - next, 0u, t + 1u >= STEPS);
#if PARTED
    let present = select(next - here, BATCH, before);
#else
    let running = select(next - here, BATCH, before);
#end
    let old = select(BATCH + $counts[STARTS + min(max(t, 1u) - 1u, STEPS)], 0u, t == 0u);
    let now = BATCH + here;
#else
#if PARTED
    let here = t * BATCH;
    let present = BATCH;
#else
    let running = BATCH;
#end
#end
#if PARTED
    let low = max(step.w, here) - here;
    let running = min(present, max(step.w + OWNED, here) - here);
#end
