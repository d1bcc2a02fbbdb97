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
    let lr = $hyper[0];
    var p = $parameters[PARAMETERS_OFFSET + i];
    var g = $gradients[GRADIENTS_OFFSET + i];
#if CLIP_VALUES
    // Comparisons, not clamp, so that a NaN stays one.
    g = select(g, V(CLIP_VALUE), g > V(CLIP_VALUE));
    g = select(g, V(-CLIP_VALUE), g < V(-CLIP_VALUE));
#end
#if CLIP_NORMS
    g = g * min(1.0, CLIP_NORM / ($report[1] + 1e-6));
#end
#if DECOUPLED
    p = p * (1.0 - lr * WEIGHT_DECAY);
#else
#if DECAY
    g = g + WEIGHT_DECAY * p;
#end
#end
#if SGD
#if MOMENTUMS
    let buffer = MOMENTUM * $first[FIRST_OFFSET + i] + g;
    $first[FIRST_OFFSET + i] = buffer;
#if NESTEROV
    g = g + MOMENTUM * buffer;
#else
    g = buffer;
#end
#end
    p = p - lr * g;
#end
#if ADAGRAD
    let sum = $first[FIRST_OFFSET + i] + g * g;
    $first[FIRST_OFFSET + i] = sum;
    p = p - lr * g / (sqrt(sum) + V(EPS));
#end
#if RMSPROP
    let mean = ALPHA * $first[FIRST_OFFSET + i] + REST * g * g;
    $first[FIRST_OFFSET + i] = mean;
    var change = g / (sqrt(mean) + V(EPS));
#if MOMENTUMS
    change = MOMENTUM * $second[SECOND_OFFSET + i] + change;
    $second[SECOND_OFFSET + i] = change;
#end
    p = p - lr * change;
#end
#if ADAM
    let m = BETA1 * $first[FIRST_OFFSET + i] + REST1 * g;
    let v = BETA2 * $second[SECOND_OFFSET + i] + REST2 * g * g;
    $first[FIRST_OFFSET + i] = m;
    $second[SECOND_OFFSET + i] = v;
    p = p - lr / $hyper[3] * m / (sqrt(v) / sqrt($hyper[4]) + V(EPS));
#end
    $parameters[PARAMETERS_OFFSET + i] = p;
}

#use flat
