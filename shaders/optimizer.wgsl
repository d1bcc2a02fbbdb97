// Clips the gradient by value, then by norm, and applies the rule to COUNT V of the flat arenas (an element or four
// each). A step whose report is not finite changes nothing. The rules and their hyper-parameters are those of
// src/op/optimizer.rs.
// $parameters: array<#{V}>
// $gradients: array<#{V}>
// $first: array<#{V}>, the rule's first arena
// $second: array<#{V}>, its second
// $hyper: array<f32>, lr, scale, update, corrections 1 and 2
// $report: array<f32>, loss, norm, 1 where both are finite
alias V = #{V};

@compute @workgroup_size(GROUP)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
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
