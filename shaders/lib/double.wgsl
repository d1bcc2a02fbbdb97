// Functions in f64 of which the shading language has none, in place of those of the same names; D is f64 or four of them,
// I its i32 twin, S its f32 one. Errors are a few units of 2^-53 relative to the result. Bounds are comparisons, so that a
// NaN stays one.
alias D = #{V};
alias I = #{I};
alias S = #{S};

// exp(x) = 2^n (1 + rest), |rest| below 0.42: this is n.
fn whole(x: D) -> D {
    return round(x * D(1.4426950408889634));
}

// And this is rest. x = n ln 2 + r, |r| <= ln 2 / 2; ln 2 in two parts, of which the first has 32 bits, so that its product
// with n is exact. The Taylor polynomial of exp(r) - 1 to r^13: what is left out is below 5e-18.
fn rest(x: D, n: D) -> D {
    let r = (x - n * D(0.6931471803691238)) - n * D(1.9082149292705877e-10);
    var p = D(1.0 / 6227020800.0);
    p = p * r + D(1.0 / 479001600.0);
    p = p * r + D(1.0 / 39916800.0);
    p = p * r + D(1.0 / 3628800.0);
    p = p * r + D(1.0 / 362880.0);
    p = p * r + D(1.0 / 40320.0);
    p = p * r + D(1.0 / 5040.0);
    p = p * r + D(1.0 / 720.0);
    p = p * r + D(1.0 / 120.0);
    p = p * r + D(1.0 / 24.0);
    p = p * r + D(1.0 / 6.0);
    p = p * r + D(0.5);
    return r + r * r * p;
}

// Beyond the bounds it is infinite or 0.
fn exp(x: D) -> D {
    var a = select(x, D(710.0), x > D(710.0));
    a = select(a, D(-746.0), a < D(-746.0));
    let n = whole(a);
    // 2^1024 does not fit, so the power is applied in two factors.
    let first = I(n) / I(2);
    return ldexp(ldexp(D(1.0) + rest(a, n), first), I(n) - first);
}

// x = 2^n m with m near 1, log m = 2 artanh((m - 1) / (m + 1)) by its series to the 23rd power. n comes from an f32's
// logarithm, into whose range x is brought first.
fn log(x: D) -> D {
    var m = x;
    var n = D(0.0);
    for (var by = 512; by >= 64; by /= 2) {
        let up = ldexp(D(1.0), I(by));
        let down = ldexp(D(1.0), I(-by));
        let large = m >= up;
        let small = m < down;
        n = select(select(n, n - D(#{F}(by)), small), n + D(#{F}(by)), large);
        m = select(select(m, m * up, small), m * down, large);
    }
    let more = round(log2(S(m)));
    n = n + D(more);
    m = ldexp(m, -I(more));
    let s = (m - D(1.0)) / (m + D(1.0));
    let z = s * s;
    var p = D(1.0 / 23.0);
    p = p * z + D(1.0 / 21.0);
    p = p * z + D(1.0 / 19.0);
    p = p * z + D(1.0 / 17.0);
    p = p * z + D(1.0 / 15.0);
    p = p * z + D(1.0 / 13.0);
    p = p * z + D(1.0 / 11.0);
    p = p * z + D(1.0 / 9.0);
    p = p * z + D(1.0 / 7.0);
    p = p * z + D(1.0 / 5.0);
    p = p * z + D(1.0 / 3.0);
    let near = D(2.0) * s + D(2.0) * s * z * p;
    let value = n * D(0.6931471803691238) + (near + n * D(1.9082149292705877e-10));
    // What is infinite or NaN stays so; 0 has -1 / 0, and below it there is none.
    let usual = (x > D(0.0)) & (x <= D(1.7976931348623157e308));
    let unusual = select(x, D(-1.0) / abs(x), x == D(0.0));
    return select(select(unusual, sqrt(x), x < D(0.0)), value, usual);
}

fn sigmoid(x: D) -> D {
    return D(1.0) / (D(1.0) + exp(-x));
}

// From e = exp(2 x) - 1, which loses no digits near 0; beyond +-20 it is +-1 in f64.
fn tanh_safe(x: D) -> D {
    var a = select(x, D(20.0), x > D(20.0));
    a = select(a, D(-20.0), a < D(-20.0));
    let n = whole(a + a);
    let e = ldexp(rest(a + a, n), I(n)) + (ldexp(D(1.0), I(n)) - D(1.0));
    return e / (e + D(2.0));
}

// A NaN is neither below nor equal to anything.
fn finite(x: #{F}) -> bool {
    return abs(x) <= 1.7976931348623157e308;
}
