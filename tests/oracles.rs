//! The oracles themselves are tested here: the gradients against central finite differences, the lstm also against
//! PyTorch's golden values, the other forward passes against a step worked by hand or another form of the equations.

mod golden;
mod oracle;

use golden::{Golden, assert_close};
use oracle::gru_cho::GruCho;
use oracle::head::head;
use oracle::layer::{Cell, Layer, Parameters};
use oracle::lstm::Lstm;
use oracle::lstm_fgr::LstmFgr;
use oracle::lstm_peephole::LstmPeephole;
use oracle::mut1::Mut1;
use oracle::slstm::Slstm;
use wgrnn::rng::{Purpose, Stream};

/// (D, H, B, T), odd and degenerate.
const SHAPES: [(usize, usize, usize, usize); 3] = [(5, 7, 3, 4), (3, 1, 1, 1), (2, 5, 2, 9)];

/// Step of the central differences of fourth order: their error is about step^4 / 30 times the fifth derivative, and
/// the rounding of the loss 1e-16 / step: some 1e-12 in all.
const STEP: f64 = 1e-3;
/// Relative to the gradient's size; the fifth derivative of a sigmoid inside a recurrence can be in the hundreds.
const TOLERANCE: f64 = 1e-9;

fn random(stream: &mut Stream, n: usize) -> Vec<f64> {
    (0..n).map(|_| stream.normal() * 0.7).collect()
}

/// d loss / d v at `v`, element by element.
fn differences(v: &[f64], loss: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let at = |i: usize, delta: f64| {
        let mut moved = v.to_vec();
        moved[i] += delta;
        loss(&moved)
    };
    let pair = |i: usize, delta: f64| at(i, delta) - at(i, -delta);
    (0..v.len())
        .map(|i| (8.0 * pair(i, STEP) - pair(i, 2.0 * STEP)) / (12.0 * STEP))
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A layer with random parameters.
fn layer(cell: &'static dyn Cell, d: usize, h: usize, stream: &mut Stream) -> Layer {
    let parameters = cell.parameters(d, h).into_iter();
    Layer {
        cell,
        p: parameters
            .map(|(name, n)| (name, random(stream, n)))
            .collect(),
    }
}

/// With a loss over every output, and over every last state beside.
fn passes_finite_differences(
    cell: &'static dyn Cell,
    seed: u64,
    shape: (usize, usize, usize, usize),
) {
    let (d, h, b, t) = shape;
    let d = cell.width(d, h);
    let s = &mut Stream::new(seed, Purpose::Check, 0);
    let layer = layer(cell, d, h, s);
    let states = cell.states();
    let x = random(s, t * b * d);
    let initial: Vec<Vec<f64>> = (0..states.len())
        .map(|k| {
            random(s, b * h)
                .iter()
                .map(|v| cell.initial(k, *v))
                .collect()
        })
        .collect();
    let dy = random(s, t * b * h);
    let dlast: Vec<Vec<f64>> = states.iter().map(|_| random(s, b * h)).collect();
    let run = layer.forward(&x, t, b, &initial);
    assert_eq!(run.last[0], run.y[(t - 1) * b * h..]);
    let got = layer.backward(&run, &dy, &dlast);

    // The loss whose gradients are dy and dlast.
    let loss = |layer: &Layer, x: &[f64], initial: &[Vec<f64>]| {
        let run = layer.forward(x, t, b, initial);
        let last: f64 = run.last.iter().zip(&dlast).map(|(a, d)| dot(a, d)).sum();
        dot(&run.y, &dy) + last
    };
    let check = |name: &str, got: &[f64], want: Vec<f64>| {
        let what = format!("{} {shape:?} {name}", cell.name());
        assert_close(&what, got, &want, TOLERANCE);
    };
    check(
        "dx",
        &got.dx,
        differences(&x, |v| loss(&layer, v, &initial)),
    );
    for (k, name) in states.iter().enumerate() {
        let want = differences(&initial[k], |v| {
            let mut moved = initial.clone();
            moved[k] = v.to_vec();
            loss(&layer, &x, &moved)
        });
        check(&format!("d{name}0"), &got.initial[k], want);
    }
    for (name, values) in &layer.p {
        let want = differences(values, |v| {
            let mut moved = layer.clone();
            moved.p.insert(name, v.to_vec());
            loss(&moved, &x, &initial)
        });
        check(&format!("d{name}"), &got.d[name], want);
    }
}

#[test]
fn every_oracle_passes_finite_differences() {
    for cell in oracle::CELLS {
        for (seed, shape) in SHAPES.into_iter().enumerate() {
            passes_finite_differences(cell, seed as u64, shape);
        }
    }
}

// Finite differences cannot see a wrong forward pass, and most of these cells are in no other library: so one unit, one
// step, by hand.

/// A layer of one unit with one input.
fn one_unit(cell: &'static dyn Cell, p: &[(&'static str, &[f64])]) -> Layer {
    let p: Parameters = p.iter().map(|(name, v)| (*name, v.to_vec())).collect();
    let want: Parameters = cell
        .parameters(1, 1)
        .into_iter()
        .map(|(name, n)| (name, vec![0.0; n]))
        .collect();
    let lengths =
        |p: &Parameters| -> Vec<_> { p.iter().map(|(name, v)| (*name, v.len())).collect() };
    assert_eq!(lengths(&p), lengths(&want));
    Layer { cell, p }
}

/// The states after one step from x and the old states.
fn one_step(layer: &Layer, x: f64, old: &[f64]) -> Vec<f64> {
    let old: Vec<Vec<f64>> = old.iter().map(|v| vec![*v]).collect();
    layer.forward(&[x], 1, 1, &old).last.concat()
}

#[test]
fn gru_cho_oracle_gives_a_step_worked_by_hand() {
    let layer = one_unit(
        &GruCho,
        &[
            ("weight_ih", &[0.5, -0.25, 1.0]),
            ("weight_hh", &[1.0, 0.5]),
            ("weight_n", &[2.0]),
            ("bias_ih", &[0.125, 0.25, -0.5]),
        ],
    );
    // r = sigmoid(0.25 - 0.75 + 0.125), z = sigmoid(-0.125 - 0.375 + 0.25), n = tanh(0.5 - 1.5 r - 0.5)
    let r = 1.0 / (1.0 + 0.375f64.exp());
    let z = 1.0 / (1.0 + 0.25f64.exp());
    let n = (-1.5 * r).tanh();
    let got = one_step(&layer, 0.5, &[-0.75]);
    assert_close("gru-cho", &got, &[-0.75 * z + (1.0 - z) * n], 1e-14);
}

/// g, i, f, o and the weights of both cells with peepholes.
const PEEPHOLE: [(&str, &[f64]); 4] = [
    ("weight_ih", &[1.0, -0.5, 0.5, 2.0]),
    ("weight_hh", &[0.5, 1.0, -1.0, 0.25]),
    ("bias_ih", &[0.25, 0.0, -0.125, -0.75]),
    ("peep", &[2.0, -1.0, 3.0]),
];

#[test]
fn lstm_peephole_oracle_gives_a_step_worked_by_hand() {
    let layer = one_unit(&LstmPeephole, &PEEPHOLE);
    // At x = 0.5, h' = -0.5, c' = 0.75: g = tanh(0.5 - 0.25 + 0.25), i = sigmoid(-0.25 - 0.5 + 1.5),
    // f = sigmoid(0.25 + 0.5 - 0.125 - 0.75), o = sigmoid(1 - 0.125 - 0.75 + 3 c) with the new c.
    let g = 0.5f64.tanh();
    let i = 1.0 / (1.0 + (-0.75f64).exp());
    let f = 1.0 / (1.0 + 0.125f64.exp());
    let c = i * g + f * 0.75;
    let o = 1.0 / (1.0 + (-0.125 - 3.0 * c).exp());
    let got = one_step(&layer, 0.5, &[-0.5, 0.75]);
    assert_close("lstm-peephole", &got, &[o * c.tanh(), c], 1e-14);
}

#[test]
fn lstm_fgr_oracle_gives_a_step_worked_by_hand() {
    let recurrent: [(&str, &[f64]); 3] = [
        ("weight_prev_i", &[1.0, -2.0, 0.5]),
        ("weight_prev_f", &[-1.0, 0.5, 2.0]),
        ("weight_prev_o", &[0.5, 1.0, -1.0]),
    ];
    let layer = one_unit(&LstmFgr, &[&PEEPHOLE[..], &recurrent[..]].concat());
    // As above, and i' = 0.25, f' = 0.5, o' = 0.75 add 0.25 - 0.5 + 0.375 to i, -0.5 + 0.25 + 0.75 to f,
    // 0.125 + 1 - 0.75 to o; nothing to g.
    let g = 0.5f64.tanh();
    let i = 1.0 / (1.0 + (-0.75f64 - 0.125).exp());
    let f = 1.0 / (1.0 + (0.125f64 - 0.5).exp());
    let c = i * g + f * 0.75;
    let o = 1.0 / (1.0 + (-0.125 - 0.375 - 3.0 * c).exp());
    let got = one_step(&layer, 0.5, &[-0.5, 0.75, 0.25, 0.5, 0.75]);
    assert_close("lstm-fgr", &got, &[o * c.tanh(), c, i, f, o], 1e-14);
}

#[test]
fn mut1_oracle_gives_a_step_worked_by_hand() {
    let layer = one_unit(
        &Mut1,
        &[
            ("weight_ih", &[0.5, 1.0]),
            ("weight_hh", &[2.0]),
            ("weight_n", &[-3.0]),
            ("bias_ih", &[0.25, 0.125]),
            ("bias_hh", &[0.5]),
        ],
    );
    // z = sigmoid(0.25 + 0.25), r = sigmoid(0.5 - 0.5 + 0.125), n = tanh(0.75 r + 0.5 + tanh(0.5))
    let z = 1.0 / (1.0 + (-0.5f64).exp());
    let r = 1.0 / (1.0 + (-0.125f64).exp());
    let n = (0.75 * r + 0.5 + 0.5f64.tanh()).tanh();
    let got = one_step(&layer, 0.5, &[-0.25]);
    assert_close("mut1", &got, &[n * z - 0.25 * (1.0 - z)], 1e-14);
}

// The paper defines the cell without a stabiliser first: C = sigmoid(f) C' + exp(i) z, N = sigmoid(f) N' + exp(i),
// h = o C / N. With it, c = C exp(-m) and n = N exp(-m).
#[test]
fn slstm_oracle_equals_the_cell_without_a_stabiliser() {
    let s = &mut Stream::new(3, Purpose::Check, 0);
    let layer = layer(&Slstm, 1, 1, s);
    let (w, u, bias) = (
        &layer.p["weight_ih"],
        &layer.p["weight_hh"],
        &layer.p["bias_ih"],
    );
    // Large enough that either branch of m = max(k, i) is taken.
    let x: Vec<f64> = random(s, 12).iter().map(|x| 4.0 * x).collect();
    let run = layer.forward(&x, 12, 1, &[vec![0.5], vec![0.25], vec![1.5], vec![-0.5]]);
    let scale = (-0.5f64).exp();
    let (mut h, mut c, mut n) = (0.5, 0.25 * scale, 1.5 * scale);
    let mut want = Vec::new();
    let mut above = 0;
    for x in &x {
        let a: Vec<f64> = (0..4).map(|j| w[j] * x + u[j] * h + bias[j]).collect();
        above += usize::from(a[0] > 0.0);
        let (input, forget) = (a[0].exp(), 1.0 / (1.0 + (-a[1]).exp()));
        c = forget * c + input * a[2].tanh();
        n = forget * n + input;
        h = c / n / (1.0 + (-a[3]).exp());
        want.push(h);
    }
    assert!((1..12).contains(&above), "{above}");
    assert_close("slstm h", &run.y, &want, 1e-13);
    let m = run.last[3][0];
    let last: Vec<f64> = run.last[1..3].iter().map(|v| v[0] * m.exp()).collect();
    assert_close("slstm c, n", &last, &[c, n], 1e-13);
}

/// The language model of a golden file, with stacked lstm oracles in its middle, agrees in everything but the optimisers.
fn lstm_agrees_with(golden: &Golden) {
    // Sums of a few dozen terms in another order than PyTorch's.
    const TOLERANCE: f64 = 1e-12;
    let [layers, v, h, b, t] = ["layers", "V", "H", "B", "T"].map(|key| golden.size(key));
    let ids = golden.ids();
    let width = golden.embed().unwrap_or(v);
    let mut x = vec![0.0; t * b * width];
    for row in 0..t * b {
        let id = ids[row] as usize;
        if golden.embed().is_some() {
            let table = golden.get("embedding.weight");
            x[row * width..][..width].copy_from_slice(&table[id * width..][..width]);
        } else {
            x[row * width + id] = 1.0;
        }
    }

    let layer_of =
        |tensor: &str, layer: usize| golden.get(tensor)[layer * b * h..][..b * h].to_vec();
    let (mut cells, mut runs) = (Vec::new(), Vec::new());
    for layer in 0..layers {
        let d = if layer == 0 { width } else { h };
        let get = |(part, _)| (part, golden.get(&format!("rnn.{part}_l{layer}")).to_vec());
        let cell = Layer {
            cell: &Lstm,
            p: Lstm.parameters(d, h).into_iter().map(get).collect(),
        };
        let run = cell.forward(&x, t, b, &[layer_of("h0", layer), layer_of("c0", layer)]);
        x = run.y.clone();
        cells.push(cell);
        runs.push(run);
    }
    golden.assert_close("output", &x, TOLERANCE);
    let last = |s: usize| -> Vec<f64> { runs.iter().flat_map(|run| run.last[s].clone()).collect() };
    let (hn, cn) = (last(0), last(1));
    golden.assert_close("hn", &hn, TOLERANCE);
    golden.assert_close("cn", &cn, TOLERANCE);

    let weight = golden.get(if golden.tied() {
        "embedding.weight"
    } else {
        "head.weight"
    });
    let end = head(weight, golden.get("head.bias"), &x, &ids[b..]);
    golden.assert_close("logits", &end.logits, TOLERANCE);
    golden.assert_close("logprob", &end.logprob, TOLERANCE);
    golden.assert_close("loss", &[end.loss()], TOLERANCE);
    golden.assert_close("grad.head.bias", &end.db, TOLERANCE);
    let (mut dy, dhead) = (end.dy, end.dw);

    let (mut dh0, mut dc0) = (vec![0.0; layers * b * h], vec![0.0; layers * b * h]);
    for layer in (0..layers).rev() {
        let got = cells[layer].backward(&runs[layer], &dy, &vec![vec![0.0; b * h]; 2]);
        for (part, values) in &got.d {
            golden.assert_close(&format!("grad.rnn.{part}_l{layer}"), values, TOLERANCE);
        }
        dh0[layer * b * h..][..b * h].copy_from_slice(&got.initial[0]);
        dc0[layer * b * h..][..b * h].copy_from_slice(&got.initial[1]);
        dy = got.dx;
    }
    golden.assert_close("grad.h0", &dh0, TOLERANCE);
    golden.assert_close("grad.c0", &dc0, TOLERANCE);
    if golden.embed().is_some() {
        let mut table = if golden.tied() {
            dhead.clone()
        } else {
            vec![0.0; v * width]
        };
        for row in 0..t * b {
            for k in 0..width {
                table[ids[row] as usize * width + k] += dy[row * width + k];
            }
        }
        golden.assert_close("grad.embedding.weight", &table, TOLERANCE);
    }
    if !golden.tied() {
        golden.assert_close("grad.head.weight", &dhead, TOLERANCE);
    }
}

#[test]
fn lstm_oracle_agrees_with_pytorch() {
    let files: Vec<Golden> = golden::names()
        .iter()
        .map(|name| golden::load(name))
        .collect();
    let known = |file: &&Golden| file.cell() == "lstm" && file.is_plain();
    let lstms: Vec<&Golden> = files.iter().filter(known).collect();
    let depths: Vec<usize> = lstms.iter().map(|file| file.size("layers")).collect();
    assert!((1..=3).all(|layers| depths.contains(&layers)), "{depths:?}");
    lstms.into_iter().for_each(lstm_agrees_with);
}

#[test]
fn every_golden_file_is_complete() {
    for name in golden::names() {
        let file = golden::load(&name);
        let [layers, v, h, b, t] = ["layers", "V", "H", "B", "T"].map(|key| file.size(key));
        assert_eq!(file.shape("ids"), [t + 1, b], "{name}");
        let directions = file.directions();
        assert_eq!(file.shape("output"), [t, b, directions * h], "{name}");
        assert_eq!(file.shape("hn"), [directions * layers, b, h], "{name}");
        assert_eq!(file.shape("logits"), [t, b, v], "{name}");
        for (optimizer, _) in file.settings["optimizers"].as_object().unwrap() {
            assert_eq!(
                file.shape(&format!("{optimizer}.losses")),
                [file.size("steps")]
            );
            assert_eq!(
                file.get(&format!("{optimizer}.losses"))[0],
                file.get("loss")[0]
            );
            for parameter in file.parameters() {
                let after = file.shape(&format!("{optimizer}.{parameter}"));
                assert_eq!(after, file.shape(&parameter), "{name}: {parameter}");
            }
        }
        let finite = |(_, values): &(Vec<usize>, Vec<f64>)| values.iter().all(|x| x.is_finite());
        assert!(file.tensors.values().all(finite), "{name}");
    }
}

#[test]
#[should_panic(expected = "1 of 3 elements differ")]
fn a_nan_is_never_close() {
    assert_close("nan", &[1.0, f64::NAN, 3.0], &[1.0, 2.0, 3.0], 1e300);
}
