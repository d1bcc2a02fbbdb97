// The report of a step, from the partial sums of its norm: the loss, the norm of the gradients, whether all are finite, and the
// penalty. Every thread of a workgroup of GROUP adds its share in order and all of them add the threads in order, so that the
// result is the same every time and in every workgroup.
// $partials: array<#{F}>
// $hyper: array<#{F}>, numbers 5 and 6 are 1 / factor and factor, where gradients are SCALED
var<workgroup> sums: array<#{F}, GROUP>;

fn total(first: u32, count: u32, thread: u32) -> #{F} {
    var sum = 0.0;
    for (var i = thread; i < count; i += GROUP) {
        sum += $partials[first + i];
    }
    sums[thread] = sum;
    workgroupBarrier();
    var all = 0.0;
    for (var l = 0u; l < GROUP; l++) {
        all += sums[l];
    }
    workgroupBarrier();
    return all;
}

#use finite

fn report_of(thread: u32) -> vec4<#{F}> {
    let loss = total(0u, LOSS_CHUNKS, thread);
    let square = total(LOSS_CHUNKS, GRADIENT_CHUNKS, thread);
#if PENALTY_CHUNKS
    let penalty = total(LOSS_CHUNKS + GRADIENT_CHUNKS, PENALTY_CHUNKS, thread);
#else
    let penalty = 0.0;
#end
#if SCALED
    let good = finite(loss) && finite(penalty);
    // A smaller factor may help.
    let beyond = good && !finite(square) && $hyper[6] > 1.0;
    let norm = sqrt(square) * $hyper[5];
    let verdict = select(select(0.0, 1.0, good && finite(square)), BEYOND, beyond);
#else
    let norm = sqrt(square);
    let verdict = select(0.0, 1.0, finite(loss) && finite(square) && finite(penalty));
#end
#if SPANNING
    // Workgroups that wait for one another did not meet.
    return vec4<#{F}>(loss, norm, select(verdict, FAILED, $flag[0] == UNMET), penalty);
#else
    return vec4<#{F}>(loss, norm, verdict, penalty);
#end
}
