#if DOUBLE
#use double
#else
// Pointwise functions on V, finite for every finite argument. A NaN stays one: `clamp` may drop it and a compiler may
// drop `x != x`, so it is told by its bits. U is V's unsigned twin.
fn keep_nan(x: V, y: V) -> V {
    return select(y, x, (bitcast<U>(x) & U(0x7fffffffu)) > U(0x7f800000u));
}

// Beyond +-30 it is 0 or 1 in every sum of f32; a smaller share of 1 would make subnormal products, slow and flushed by
// some devices, whose logarithm is infinite.
fn sigmoid(x: V) -> V {
    return keep_nan(x, V(1.0) / (V(1.0) + exp(clamp(-x, V(-30.0), V(30.0)))));
}

// Beyond +-9.02 it is +-1 in f32. Near 0 the quotient of exponentials loses digits, so there an odd polynomial (the
// series of tanh) takes over.
fn tanh_safe(x: V) -> V {
    let a = clamp(x, V(-9.02), V(9.02));
    let e = exp(a + a);
    let far = (e - V(1.0)) / (e + V(1.0));
    let s = a * a;
    let near = a * (V(1.0) + s * (V(-1.0 / 3.0) + s * (V(2.0 / 15.0) + s * (V(-17.0 / 315.0) + s * V(62.0 / 2835.0)))));
    return keep_nan(x, select(far, near, s < V(0.0625)));
}
#end
