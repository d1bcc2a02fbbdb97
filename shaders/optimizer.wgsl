// Clips the gradient by value, then by norm, and applies the rule to COUNT V of the flat arenas (an element or four
// each). A step whose report is not finite changes nothing. The rules and their hyper-parameters are those of
// src/op/optimizer.rs. Where it ENDS the norm, every workgroup makes the report of the partial sums, the first one for others to
// read, and has EACH times as many V.
// $parameters: array<#{V}>
// $gradients: array<#{V}>
// $first: array<#{V}>, the rule's first arena
// $second: array<#{V}>, its second
// $hyper: array<#{F}>, lr, scale, update, corrections 1 and 2
// $report: array<#{F}>, loss, norm, 1 where both are finite
// $partials: array<#{F}>
// $flag: array<u32>, where kernels span workgroups
alias V = #{V};

#if ENDS
#use report

#main(GROUP) group, groups, thread {
    let number = group.y * groups.x + group.x;
    let report = report_of(thread);
    if (number == 0u && thread == 0u) {
        $report[0] = report.x;
        $report[1] = report.y;
        $report[2] = report.z;
        $report[3] = report.w;
    }
    if (report.z != 1.0) {
        return;
    }
    let norm = report.y;
    for (var n = 0u; n < EACH; n++) {
        let i = (number * EACH + n) * GROUP + thread;
        if (i >= COUNT) {
            return;
        }
        update(i, norm);
    }
}

fn update(i: u32, norm: #{F}) {
#else
#main(GROUP) id, groups {
    let i = flat(id, groups);
    if (i >= COUNT || $report[2] != 1.0) {
        return;
    }
    let norm = $report[1];
#end
    let at = PARAMETERS_OFFSET + i;
    let at_gradient = GRADIENTS_OFFSET + i;
#if ARENAS
    let at_first = FIRST_OFFSET + i;
#end
#if SECOND
    let at_second = SECOND_OFFSET + i;
#end
#use rules
}
#if !ENDS

#use flat
#end
