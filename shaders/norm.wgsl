// report = [sum of losses, root of the sum of squares of the gradients, 1 if all are finite, sum of penalties].
//
// First one workgroup per CHUNK elements leaves a partial sum (of $values, squared where SQUARE, to $partials from
// FIRST on; where CUT, gradients are cut to +-CLIP_VALUE before); then, where FINAL, one workgroup adds the partial sums.
// Every thread sums its share in order and the first one adds the threads in order, so that the result is the same every
// time.
// $values: array<#{F}>
// $partials: array<#{F}>
// $flag: array<u32>, where kernels span workgroups
// $report: array<#{F}>
// $hyper: array<#{F}>, numbers 5 and 6 are 1 / factor and factor, where gradients are SCALED
// $parts: array<#{F}>, of SUMS matrices of the gradients, each in parts that are added in order first
#if FINAL
#use report

#main(GROUP) thread {
    let report = report_of(thread);
    if (thread == 0u) {
        $report[0] = report.x;
        $report[1] = report.y;
        $report[2] = report.z;
        $report[3] = report.w;
    }
}
#else
var<workgroup> sums: array<#{F}, GROUP>;
#if CUT

#use finite
#end
#if SUMS

// An element whose parts are added; where ADDED, to what it was.
fn completed(i: u32) -> #{F} {
#for q in 0..SUMS
    if (i >= SUM#{q}_BEGIN && i < SUM#{q}_END) {
        let row = (i - SUM#{q}_BEGIN) / SUM#{q}_STRIDE;
        let column = (i - SUM#{q}_BEGIN) % SUM#{q}_STRIDE;
        if (column < SUM#{q}_COLS) {
            var sum = 0.0;
            for (var p = 0u; p < SUM#{q}_PARTS; p++) {
                sum += $parts[SUM#{q}_FROM + p * SUM#{q}_PART + row * SUM#{q}_FROM_STRIDE + column];
            }
            if (SUM#{q}_ADDED > 0u) {
                sum += $values[VALUES_OFFSET + i];
            }
            $values[VALUES_OFFSET + i] = sum;
            return sum;
        }
    }
#end
    return $values[VALUES_OFFSET + i];
}
#end

#main(GROUP) group, groups, thread {
    let chunk = group.y * groups.x + group.x;
    let end = min((chunk + 1u) * CHUNK, VALUES_COLS);
#if CUT
#if SCALED
    let most = CLIP_VALUE * $hyper[6];
#else
    let most = CLIP_VALUE;
#end
#end
    var sum = 0.0;
    for (var i = chunk * CHUNK + thread; i < end; i += GROUP) {
#if SUMS
        let made = completed(i);
#else
        let made = $values[VALUES_OFFSET + i];
#end
#if CUT
        // What is not finite stays so, for the sum to tell of it.
        let x = select(made, clamp(made, -most, most), finite(made));
#else
        let x = made;
#end
#if SQUARE
        sum += x * x;
#else
        sum += x;
#end
    }
    sums[thread] = sum;
    workgroupBarrier();
    if (thread > 0u || chunk >= CHUNKS) {
        return;
    }
    var all = 0.0;
    for (var l = 0u; l < GROUP; l++) {
        all += sums[l];
    }
    $partials[FIRST + chunk] = all;
}
#end
