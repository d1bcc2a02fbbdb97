//! What programs on rows come to, and what is wrong with a text.

use proptest::prelude::*;

use super::*;

fn program(text: &str) -> RowProgram {
    RowProgram::parse("p", text).unwrap()
}

/// The outputs of a code for one row of each input.
fn run(code: &RowCode, inputs: &[&[f64]]) -> Vec<Vec<f64>> {
    let mut outputs = vec![Vec::new(); code.outputs.len()];
    code.plain(inputs, |n, row| outputs[n] = row.to_vec());
    outputs
}

fn value(text: &str, inputs: &[&[f64]]) -> Vec<f64> {
    let program = program(text);
    let widths: Vec<usize> = inputs.iter().map(|row| row.len()).collect();
    let code = program.forward(program.width(&widths).unwrap()).unwrap();
    run(&code, inputs).remove(0)
}

fn near(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!(
            (got - want).abs() < 1e-12 * (1.0 + want.abs()),
            "got {got}, want {want}"
        );
    }
}

#[test]
fn folds_are_numbers_of_the_row() {
    let x: &[f64] = &[1.0, -2.0, 4.0];
    near(&value("row x\no = sum(x)", &[x]), &[3.0]);
    near(&value("row x\no = mean(x)", &[x]), &[1.0]);
    near(&value("row x\no = max(x)", &[x]), &[4.0]);
    let want = (1f64.exp() + (-2f64).exp() + 4f64.exp()).ln();
    near(&value("row x\no = logsum(x)", &[x]), &[want]);
    near(&value("row x\no = x - mean(x)", &[x]), &[0.0, -3.0, 3.0]);
    // A number is spread over the row that it stands in for.
    near(
        &value(
            "row x\nnumber w\ns = 0 * x + w\no = sum(s) + max(s)",
            &[x, &[5.0]],
        ),
        &[20.0],
    );
    near(
        &value("row x\no = logsum(x - x + 2) + max(x)", &[x]),
        &[2.0 + 3f64.ln() + 4.0],
    );
    near(&value("number v, w\no = v - w", &[&[5.0], &[3.0]]), &[2.0]);
    // The middle equation is what the output line says it is.
    near(
        &value("row x\noutput a\na = x + 1", &[x]),
        &[2.0, -1.0, 5.0],
    );
}

#[test]
fn logsum_is_finite_wherever_its_result_is() {
    for shift in [-1e4, -800.0, 0.0, 800.0, 1e4, 1e30] {
        let got = value("row x\no = logsum(x)", &[&[shift, shift]])[0];
        assert!(
            (got - (shift + 2f64.ln())).abs() <= 1e-12 * shift.abs().max(1.0),
            "{got}"
        );
    }
    assert!(value("row x\no = logsum(x)", &[&[1.0, f64::NAN]])[0].is_nan());
}

#[test]
fn the_slope_of_max_goes_to_the_first_of_the_largest() {
    let program = program("row x\no = max(x)");
    let code = program.backward(4, &[true]).unwrap();
    let got = run(&code, &[&[1.0, 7.0, 7.0, 2.0], &[3.0]]);
    assert_eq!(got, [[0.0, 3.0, 0.0, 0.0]]);
}

#[test]
fn what_an_output_does_not_depend_on_has_no_slope_and_is_not_read() {
    let program = program("row x, y\no = x + 0 * y");
    let code = program.backward(2, &[true, true]).unwrap();
    let got = run(&code, &[&[], &[], &[3.0, 4.0]]);
    assert_eq!(got, [[3.0, 4.0], [0.0, 0.0]]);
    assert_eq!(code.used(), [false, false, true]);
    assert_eq!(code.only(&[1]).used(), [false; 3]);
    let second = program.backward(2, &[false, true]).unwrap();
    assert_eq!(second.outputs, [Width::Row]);
}

#[test]
fn a_loss_has_its_gradient_with_weight_and_scale() {
    let program = library::builtin("squared").unwrap();
    let factors = Factors {
        weight: true,
        scale: true,
    };
    let code = program.with_gradient(2, &[true, false], factors).unwrap();
    let got = run(&code, &[&[3.0, 1.0], &[1.0, 2.0], &[10.0], &[0.5]]);
    assert_eq!(got, [vec![25.0], vec![10.0, -5.0]]);
    let plain = program
        .with_gradient(2, &[false, false], Factors::default())
        .unwrap();
    assert_eq!(run(&plain, &[&[3.0, 1.0], &[1.0, 2.0]]), [[2.5]]);
}

/// Values that follow from the definitions in the heads of the files.
#[test]
fn the_losses_are_those_of_their_definitions() {
    let of = |name: &str, inputs: &[&[f64]]| {
        let program = library::builtin(name).unwrap();
        let widths: Vec<usize> = inputs.iter().map(|row| row.len()).collect();
        let code = program.forward(program.width(&widths).unwrap()).unwrap();
        run(&code, inputs).remove(0)
    };
    let (x, y): (&[f64], &[f64]) = (&[0.5, -1.0, 2.0], &[1.0, 1.0, -1.0]);
    near(&of("squared", &[x, y]), &[(0.25 + 4.0 + 9.0) / 3.0]);
    near(&of("absolute", &[x, y]), &[(0.5 + 2.0 + 3.0) / 3.0]);
    near(&of("quantile", &[x, y]), &[(0.5 + 2.0 + 3.0) / 6.0]);
    let bits = [1.0, 0.0, 1.0];
    let log_p = |x: f64, bit: f64| {
        let p = 1.0 / (1.0 + (-x).exp());
        -(bit * p.ln() + (1.0 - bit) * (1.0 - p).ln())
    };
    let sum = x.iter().zip(bits).map(|(x, bit)| log_p(*x, bit)).sum();
    near(&of("bernoulli", &[x, &bits]), &[sum]);
    // Far scores cost as much as they are off.
    near(&of("bernoulli", &[&[-1e4, 1e4], &[1.0, 1.0]]), &[1e4]);
    let log_normal = |y: f64, mu: f64, s: f64| {
        -0.5 * (2.0 * std::f64::consts::PI * s.exp()).ln() - (y - mu) * (y - mu) / (2.0 * s.exp())
    };
    let s: &[f64] = &[0.3, -0.7, 0.0];
    let sum: f64 = (0..3).map(|i| log_normal(y[i], x[i], s[i])).sum();
    near(&of("gaussian", &[x, s, y]), &[-sum]);
    let a = [0.1, 0.9, -0.4];
    let total: f64 = a.iter().map(|a: &f64| a.exp()).sum();
    let p: f64 = (0..3)
        .map(|i| a[i].exp() / total * log_normal(0.8, x[i], s[i]).exp())
        .sum();
    near(&of("mixture", &[&a, x, s, &[0.8]]), &[-p.ln()]);
    // Of one element: log(1 / sigma) + (sigma^2 + mu^2 - 1) / 2.
    let of_one = |mu: f64, s: f64| -0.5 * s + 0.5 * (s.exp() + mu * mu - 1.0);
    let sum: f64 = (0..3).map(|i| of_one(x[i], s[i])).sum();
    near(&of("kl", &[x, s]), &[sum]);
    near(&of("kl", &[&[0.0, 0.0], &[0.0, 0.0]]), &[0.0]);
    // The log density of each element by its own weight, without what hangs on no mean or variance.
    let (reward, usual): (&[f64], &[f64]) = (&[1.0, 0.5, 2.0], &[0.25, 1.0, 0.0]);
    let log_2pi = (2.0 * std::f64::consts::PI).ln();
    let one = |i: usize| (reward[i] - usual[i]) * (-log_normal(y[i], x[i], s[i]) - 0.5 * log_2pi);
    let sum = (0..3).map(one).sum();
    near(&of("reinforce", &[x, s, y, usual, reward]), &[sum]);
    near(&of("activation", &[x]), &[5.25 / 3.0]);
    near(&of("temporal", &[x, y]), &[(0.25 + 4.0 + 9.0) / 3.0]);
    near(&of("norm", &[&[3.0, 4.0], &[0.0, 0.0]]), &[25.0]);
}

#[test]
fn the_slope_of_bernoulli_at_0_is_that_of_the_probability() {
    let program = library::builtin("bernoulli").unwrap();
    let code = program.backward(3, &[true, false]).unwrap();
    let got = run(&code, &[&[0.0, 0.0, 50.0], &[1.0, 0.0, 0.0], &[1.0]]);
    near(&got[0], &[-0.5, 0.5, 1.0]);
}

/// The pairs that a row is in: with the row before and with the one after.
#[test]
fn a_loss_of_neighbours_counts_for_the_earlier_row_and_moves_both() {
    let program = library::builtin("temporal").unwrap();
    let factors = Factors {
        weight: true,
        scale: false,
    };
    let code = program.of_neighbours(1, factors).unwrap();
    // 2 * ((5 - 9) + (5 - 2)).
    assert_eq!(
        run(&code, &[&[2.0], &[5.0], &[9.0], &[1.0]]),
        [[16.0], [-2.0]]
    );
    let one = library::builtin("activation").unwrap();
    let error = one.of_neighbours(1, factors).unwrap_err();
    assert_eq!(
        error.message,
        "activation: a loss of neighbours expects two rows"
    );
}

#[test]
fn a_row_of_zeros_has_a_length_without_slope() {
    let program = library::builtin("norm").unwrap();
    let code = program.backward(2, &[true, true]).unwrap();
    let got = run(&code, &[&[0.0, 0.0], &[3.0, 4.0], &[1.0]]);
    assert_eq!(got[0], [0.0, 0.0]);
    near(&got[1], &[6.0, 8.0]);
}

#[test]
fn faults_have_their_place() {
    for (text, want) in [
        (
            "",
            "p: a program on rows needs a line `row NAME` or `number NAME`: what it reads",
        ),
        (
            "row x",
            "p: a program on rows needs an equation `NAME = ...`: what it makes",
        ),
        (
            "row x\no = sum(3)",
            "p:2:5: `sum` expects a row, found one number a row",
        ),
        (
            "row x\nm = mean(x)\no = x + logsum(m)",
            "p:3:9: `logsum` expects a row, found one number a row",
        ),
        (
            "number w\no = max(w)",
            "p:2:5: `max` expects a row, found one number a row",
        ),
        (
            "row x\no = mean(x, x)",
            "p:2:5: `mean` expects 1 operands, found 2",
        ),
        (
            "row x\no = max(x, x, x)",
            "p:2:5: `max` expects 2 operands, found 3",
        ),
        (
            "row x\no = tanh(x, x)",
            "p:2:5: `tanh` expects 1 operands, found 2",
        ),
        (
            "row x\no = maen(x)",
            "p:2:5: unknown function `maen`; did you mean `mean`?",
        ),
        (
            "row input\no = imput",
            "p:2:5: unknown name `imput`; did you mean `input`?",
        ),
        (
            "row x\no = a + x\na = x",
            "p:2:5: `a` is used before line 3 makes it",
        ),
        ("row x, y\no = x", "p:1:8: input `y` is never used"),
        ("row x\na = x\no = x", "p:2:1: `a` is made and never used"),
        ("row x\no = x\no = x", "p:3:1: `o` is made a second time"),
        ("row x\nx = x", "p:2:1: `x` is made a second time"),
        ("row x\nnumber x\no = x", "p:2:8: `x` is declared twice"),
        ("row x\nconst x = 1\no = x", "p:2:7: `x` is declared twice"),
        ("row sum\no = sum", "p:1:5: `sum` is a reserved word"),
        (
            "row x\nconst max = 1\no = x",
            "p:2:7: `max` is a reserved word",
        ),
        ("row x\nmean = x", "p:2:1: `mean` is a reserved word"),
        ("row x\noutput y\no = x", "p:2:8: no equation makes `y`"),
        (
            "row a, b, c, d, e, f, g, h, i, j, k, l, m\no = a",
            "p:1:41: `m` is one input too many: expected at most 12",
        ),
        (
            "row x\no = x * (1 / 0)",
            "p:2:12: `/` makes inf of constants",
        ),
        (
            "row x\no = x + linear(x)",
            "p:2:9: unknown function `linear`",
        ),
        ("state h\nrow x\no = x", "p:1:7: expected `=`, found `h`"),
        (
            "row x\no = x x",
            "p:2:7: expected the end of the line, found `x`",
        ),
        (
            "row\no = 1",
            "p:1:4: expected `=`, found the end of the line",
        ),
        (
            "row x,\no = x",
            "p:1:7: expected the name of an input, found the end of the line",
        ),
        ("row x\no = x ^ 2", "p:2:7: `^` has no meaning here"),
    ] {
        let error = RowProgram::parse("p", text).unwrap_err();
        assert_eq!(error.message, want, "{text}");
        assert_eq!(error.kind, crate::Kind::Data, "{text}");
    }
    let long = "#".repeat(crate::cell::parse::MAX_BYTES + 1);
    let error = RowProgram::parse("p", &long).unwrap_err();
    assert!(
        error.message.starts_with("p: a program on rows is at most"),
        "{error}"
    );
    // The words of the one language mean nothing in the other.
    let error = crate::cell::Cell::parse("c", "row x\nstate h\nh = x\n").unwrap_err();
    assert_eq!(error.message, "c:1:5: expected `=`, found `x`");
}

#[test]
fn widths_that_do_not_fit_are_named_with_their_place() {
    let program = program("row x\nrow y\nnumber w\no = x * y + w");
    assert_eq!(program.width(&[3, 3, 1]).unwrap(), 3);
    // Rows of one column are rows.
    assert_eq!(program.width(&[1, 1, 1]).unwrap(), 1);
    for (widths, want) in [
        (
            &[3, 5, 1][..],
            "p:2:5: `y` is a row as wide as `x`: expected width 3, found 5",
        ),
        (
            &[3, 3, 2],
            "p:3:8: `w` is one number a row: expected width 1, found 2",
        ),
        (&[3, 3], "p: expected 3 inputs (x, y, w), found 2"),
    ] {
        assert_eq!(program.width(widths).unwrap_err().message, want);
    }
    let error = program.must_be_loss().unwrap_err();
    assert_eq!(
        error.message,
        "p:4:1: a loss is one number a row, found `o`, a row"
    );
    let error = library::builtin("sqared").unwrap_err();
    assert!(error.message.contains("did you mean `squared`?"), "{error}");
}

/// A random expression over two rows and a number, of smooth operators whose results stay small.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("x".to_string()),
        Just("y".to_string()),
        Just("w".to_string()),
        Just("0.7".to_string()),
        Just("0".to_string()),
    ];
    leaf.prop_recursive(4, 24, 2, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            (pair.clone(), prop_oneof![Just("+"), Just("-"), Just("*")])
                .prop_map(|((a, b), op)| format!("({a} {op} {b})")),
            inner.clone().prop_map(|a| format!("tanh({a})")),
            inner.clone().prop_map(|a| format!("exp(-({a} * {a}))")),
            // Of a row, whatever the operand is.
            inner.clone().prop_map(|a| format!("mean({a} + 0 * x)")),
            inner
                .clone()
                .prop_map(|a| format!("tanh(sum({a} + 0 * y))")),
            inner.prop_map(|a| format!("tanh(logsum({a} + x))")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    /// The derivative of any program is its difference quotient.
    #[test]
    fn derivatives_of_random_programs_are_finite_differences(text in expression()) {
        let program = program(&format!("row x, y\nnumber w\no = {text} + x * y * w\n"));
        let (x, y, w) = ([0.3, -0.8, 1.1], [0.9, 0.2, -0.5], [0.6]);
        let sent = [0.7, -0.4, 1.3];
        let inputs = [x.to_vec(), y.to_vec(), w.to_vec()];
        let forward = program.forward(3).unwrap();
        let total = |inputs: &[Vec<f64>]| -> f64 {
            let inputs: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
            run(&forward, &inputs)[0].iter().zip(sent).map(|(o, s)| o * s).sum()
        };
        let backward = program.backward(3, &[true; 3]).unwrap();
        let gradient = run(&backward, &[&x, &y, &w, &sent]);
        for n in 0..3 {
            for i in 0..inputs[n].len() {
                let at = |by: f64| {
                    let mut moved = inputs.clone();
                    moved[n][i] += by;
                    total(&moved)
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                let off = (gradient[n][i] - slope).abs();
                prop_assert!(off < 1e-6 * (1.0 + slope.abs()), "{text} [{n}][{i}]: got {}, want {slope}", gradient[n][i]);
            }
        }
    }
}

/// The page says what the code does: its examples are programs, and every loss and function is on it.
#[test]
fn the_page_on_programs_on_rows_is_true() {
    let page = include_str!("../../../assets/losses/LANGUAGE.md");
    let mut examples: Vec<String> = vec![String::new()];
    for line in page.lines() {
        match line.strip_prefix("    ") {
            Some(code) => *examples.last_mut().unwrap() += &format!("{code}\n"),
            None => examples.push(String::new()),
        }
    }
    examples.retain(|text| !text.is_empty());
    assert_eq!(examples.len(), 2);
    examples.iter().for_each(|text| drop(program(text)));
    for word in library::names().chain(["sum(a)", "mean(a)", "max(a)", "logsum(a)"]) {
        assert!(page.contains(&format!("`{word}`")), "{word}");
    }
    assert!(page.contains(&format!("At most {MAX_INPUTS} inputs")));
}
