// The exchange of a dispatch of shaders/scan_span.wgsl before it: plane 0 has what the first step reads of earlier dispatches,
// all else has not come.
// $exchange: array<U>
// $state#: array<V>, of a state by its number
// $delta: array<V>
// $counts: array<u32>, from word STARTS on where each step's rows start
alias V = #{V};
alias U = #{U};

#use sent_words

#main(GROUP) id, groups {
    let i = flat(id, groups);
    if (i >= (step.w + 1u) * PLANE) {
        return;
    }
    var words = U(ABSENT);
    if (i < PLANE) {
        let t = step.x;
        let b = i / (SENT * UNITS);
        let j = i % UNITS;
#use scan_rows
        if (b < running) {
            switch i / UNITS % SENT {
#{CASES}
                default: {}
            }
        }
    }
    $exchange[i] = words;
}

#use flat
