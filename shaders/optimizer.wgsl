// Clips the gradient by value, then by norm, and applies the rule to COUNT V of the flat arenas (an element or four
// each). A step whose report is not finite changes nothing. The rules and their hyper-parameters are those of
// src/op/optimizer.rs.
// $parameters: array<#{V}>
// $gradients: array<#{V}>
// $first: array<#{V}>, the rule's first arena
// $second: array<#{V}>, its second
// $hyper: array<#{F}>, lr, scale, update, corrections 1 and 2
// $report: array<#{F}>, loss, norm, 1 where both are finite
alias V = #{V};

#main(GROUP) id, groups {
    let i = flat(id, groups);
    if (i >= COUNT || $report[2] != 1.0) {
        return;
    }
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

#use flat
