    // Clipping by value and by `norm`, and the rules, on the elements at `at`, `at_gradient`, `at_first` and `at_second`.
    let lr = $hyper[0];
    var p = $parameters[at];
    var g = $gradients[at_gradient];
#if SCALED
    g = g * $hyper[5];
#end
#if CLIP_VALUES
    // Comparisons, not clamp, so that a NaN stays one.
    g = select(g, V(CLIP_VALUE), g > V(CLIP_VALUE));
    g = select(g, V(-CLIP_VALUE), g < V(-CLIP_VALUE));
#end
#if CLIP_NORMS
    g = g * min(1.0, CLIP_NORM / (norm + 1e-6));
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
    let buffer = MOMENTUM * $first[at_first] + g;
    $first[at_first] = buffer;
#if NESTEROV
    g = g + MOMENTUM * buffer;
#else
    g = buffer;
#end
#end
    p = p - lr * g;
#end
#if ADAGRAD
    let sum = $first[at_first] + g * g;
    $first[at_first] = sum;
    p = p - lr * g / (sqrt(sum) + V(EPS));
#end
#if RMSPROP
    let mean = ALPHA * $first[at_first] + REST * g * g;
    $first[at_first] = mean;
    var change = g / (sqrt(mean) + V(EPS));
#if MOMENTUMS
    change = MOMENTUM * $second[at_second] + change;
    $second[at_second] = change;
#end
    p = p - lr * change;
#end
#if ADAM
    let m = BETA1 * $first[at_first] + REST1 * g;
    let v = BETA2 * $second[at_second] + REST2 * g * g;
    $first[at_first] = m;
    $second[at_second] = v;
    p = p - lr / $hyper[3] * m / (sqrt(v) / sqrt($hyper[4]) + V(EPS));
#end
    $parameters[at] = p;
