// Functions in f64 of which the shading language has none; D is f64 or four of them, I its i32 twin, S its f32 one. Errors
// are a few units of 2^-53 relative to the result. Bounds are comparisons, so that a NaN stays one.

// exp(x) = 2^n (1 + rest), |rest| below 0.42: this is n.
fn whole(x: D) -> D {
    return round(x * D(1.4426950408889634lf));
}

// And this is rest. x = n ln 2 + r, |r| <= ln 2 / 2; ln 2 in two parts, of which the first has 32 bits, so that its product
// with n is exact. The Taylor polynomial of exp(r) - 1 to r^13: what is left out is below 5e-18.
fn rest(x: D, n: D) -> D {
    let r = (x - n * D(0.6931471803691238lf)) - n * D(1.9082149292705877e-10lf);
    var p = D(1.0lf / 6227020800.0lf);
    p = p * r + D(1.0lf / 479001600.0lf);
    p = p * r + D(1.0lf / 39916800.0lf);
    p = p * r + D(1.0lf / 3628800.0lf);
    p = p * r + D(1.0lf / 362880.0lf);
    p = p * r + D(1.0lf / 40320.0lf);
    p = p * r + D(1.0lf / 5040.0lf);
    p = p * r + D(1.0lf / 720.0lf);
    p = p * r + D(1.0lf / 120.0lf);
    p = p * r + D(1.0lf / 24.0lf);
    p = p * r + D(1.0lf / 6.0lf);
    p = p * r + D(0.5lf);
    return r + r * r * p;
}

// Beyond the bounds it is infinite or 0.
fn exp_double(x: D) -> D {
    var a = select(x, D(710.0lf), x > D(710.0lf));
    a = select(a, D(-746.0lf), a < D(-746.0lf));
    let n = whole(a);
    // 2^1024 does not fit, so the power is applied in two factors.
    let first = I(n) / I(2);
    return ldexp(ldexp(D(1.0lf) + rest(a, n), first), I(n) - first);
}

// x = 2^n m with m near 1, log m = 2 artanh((m - 1) / (m + 1)) by its series to the 23rd power. n comes from an f32's
// logarithm, into whose range x is brought first.
fn log_double(x: D) -> D {
    var m = x;
    var n = D(0.0lf);
    for (var by = 512; by >= 64; by /= 2) {
        let up = ldexp(D(1.0lf), I(by));
        let down = ldexp(D(1.0lf), I(-by));
        let large = m >= up;
        let small = m < down;
        n = select(select(n, n - D(f64(by)), small), n + D(f64(by)), large);
        m = select(select(m, m * up, small), m * down, large);
    }
    let more = round(log2(S(m)));
    n = n + D(more);
    m = ldexp(m, -I(more));
    let s = (m - D(1.0lf)) / (m + D(1.0lf));
    let z = s * s;
    var p = D(1.0lf / 23.0lf);
    p = p * z + D(1.0lf / 21.0lf);
    p = p * z + D(1.0lf / 19.0lf);
    p = p * z + D(1.0lf / 17.0lf);
    p = p * z + D(1.0lf / 15.0lf);
    p = p * z + D(1.0lf / 13.0lf);
    p = p * z + D(1.0lf / 11.0lf);
    p = p * z + D(1.0lf / 9.0lf);
    p = p * z + D(1.0lf / 7.0lf);
    p = p * z + D(1.0lf / 5.0lf);
    p = p * z + D(1.0lf / 3.0lf);
    let near = D(2.0lf) * s + D(2.0lf) * s * z * p;
    let value = n * D(0.6931471803691238lf) + (near + n * D(1.9082149292705877e-10lf));
    // What is infinite or NaN stays so; 0 has -1 / 0, and below it there is none.
    let usual = (x > D(0.0lf)) & (x <= D(1.7976931348623157e308lf));
    let unusual = select(x, D(-1.0lf) / abs(x), x == D(0.0lf));
    return select(select(unusual, sqrt(x), x < D(0.0lf)), value, usual);
}

fn sigmoid(x: D) -> D {
    return D(1.0lf) / (D(1.0lf) + exp_double(-x));
}

// From e = exp(2 x) - 1, which loses no digits near 0; beyond +-20 it is +-1 in f64.
fn tanh_safe(x: D) -> D {
    var a = select(x, D(20.0lf), x > D(20.0lf));
    a = select(a, D(-20.0lf), a < D(-20.0lf));
    let n = whole(a + a);
    let e = ldexp(rest(a + a, n), I(n)) + (ldexp(D(1.0lf), I(n)) - D(1.0lf));
    return e / (e + D(2.0lf));
}

// A NaN is neither below nor equal to anything.
fn finite(x: f64) -> bool {
    return abs(x) <= 1.7976931348623157e308lf;
}
