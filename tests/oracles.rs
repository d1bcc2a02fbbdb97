//! The oracles themselves are tested here: the gradients against central finite differences, the lstm also against
//! PyTorch's golden values, and the gru-cho's forward pass against a step worked by hand.

mod golden;
mod oracle;

use golden::{Golden, assert_close};
use oracle::{gru_cho::GruCho, head::head, lstm::Lstm};
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

#[test]
fn lstm_oracle_passes_finite_differences() {
    for (seed, (d, h, b, t)) in SHAPES.into_iter().enumerate() {
        let s = &mut Stream::new(seed as u64, Purpose::Check, 0);
        let cell = Lstm {
            d,
            h,
            w_ih: random(s, 4 * h * d),
            w_hh: random(s, 4 * h * h),
            b_ih: random(s, 4 * h),
            b_hh: random(s, 4 * h),
        };
        let (x, h0, c0) = (random(s, t * b * d), random(s, b * h), random(s, b * h));
        let dy = random(s, t * b * h);
        let run = cell.forward(&x, t, b, &h0, &c0);
        assert_eq!(run.hn, run.y[(t - 1) * b * h..]);
        let got = cell.backward(&run, &dy);

        // The loss whose gradient with respect to y is dy.
        let loss = |cell: &Lstm, x: &[f64], h0: &[f64], c0: &[f64]| {
            dot(&cell.forward(x, t, b, h0, c0).y, &dy)
        };
        let with = |edit: &dyn Fn(&mut Lstm)| {
            let mut changed = cell.clone();
            edit(&mut changed);
            loss(&changed, &x, &h0, &c0)
        };
        let check = |name: &str, got: &[f64], want: Vec<f64>| {
            assert_close(
                &format!("lstm {:?} {name}", SHAPES[seed]),
                got,
                &want,
                TOLERANCE,
            );
        };
        check("dx", &got.dx, differences(&x, |v| loss(&cell, v, &h0, &c0)));
        check(
            "dh0",
            &got.dh0,
            differences(&h0, |v| loss(&cell, &x, v, &c0)),
        );
        check(
            "dc0",
            &got.dc0,
            differences(&c0, |v| loss(&cell, &x, &h0, v)),
        );
        let want = differences(&cell.w_ih, |v| with(&|c| c.w_ih = v.to_vec()));
        check("dw_ih", &got.d.w_ih, want);
        let want = differences(&cell.w_hh, |v| with(&|c| c.w_hh = v.to_vec()));
        check("dw_hh", &got.d.w_hh, want);
        let want = differences(&cell.b_ih, |v| with(&|c| c.b_ih = v.to_vec()));
        check("db_ih", &got.d.b_ih, want);
        let want = differences(&cell.b_hh, |v| with(&|c| c.b_hh = v.to_vec()));
        check("db_hh", &got.d.b_hh, want);
    }
}

#[test]
fn gru_cho_oracle_passes_finite_differences() {
    for (seed, (d, h, b, t)) in SHAPES.into_iter().enumerate() {
        let s = &mut Stream::new(seed as u64, Purpose::Check, 1);
        let cell = GruCho {
            d,
            h,
            w: random(s, 3 * h * d),
            u: random(s, 3 * h * h),
            bias: random(s, 3 * h),
        };
        let (x, h0, dy) = (random(s, t * b * d), random(s, b * h), random(s, t * b * h));
        let run = cell.forward(&x, t, b, &h0);
        assert_eq!(run.hn, run.y[(t - 1) * b * h..]);
        let got = cell.backward(&run, &dy);

        let loss = |cell: &GruCho, x: &[f64], h0: &[f64]| dot(&cell.forward(x, t, b, h0).y, &dy);
        let with = |edit: &dyn Fn(&mut GruCho)| {
            let mut changed = cell.clone();
            edit(&mut changed);
            loss(&changed, &x, &h0)
        };
        let check = |name: &str, got: &[f64], want: Vec<f64>| {
            assert_close(
                &format!("gru-cho {:?} {name}", SHAPES[seed]),
                got,
                &want,
                TOLERANCE,
            );
        };
        check("dx", &got.dx, differences(&x, |v| loss(&cell, v, &h0)));
        check("dh0", &got.dh0, differences(&h0, |v| loss(&cell, &x, v)));
        let want = differences(&cell.w, |v| with(&|c| c.w = v.to_vec()));
        check("dw", &got.d.w, want);
        let want = differences(&cell.u, |v| with(&|c| c.u = v.to_vec()));
        check("du", &got.d.u, want);
        let want = differences(&cell.bias, |v| with(&|c| c.bias = v.to_vec()));
        check("dbias", &got.d.bias, want);
    }
}

// Finite differences cannot see a wrong forward pass, and no PyTorch cell is this one: so one unit, one step, by hand.
#[test]
fn gru_cho_oracle_gives_a_step_worked_by_hand() {
    let cell = GruCho {
        d: 1,
        h: 1,
        w: vec![0.5, -0.25, 1.0],
        u: vec![1.0, 0.5, 2.0],
        bias: vec![0.125, 0.25, -0.5],
    };
    let run = cell.forward(&[0.5], 1, 1, &[-0.75]);
    // r = sigmoid(0.25 - 0.75 + 0.125), z = sigmoid(-0.125 - 0.375 + 0.25), n = tanh(0.5 - 1.5 r - 0.5)
    let r = 1.0 / (1.0 + 0.375f64.exp());
    let z = 1.0 / (1.0 + 0.25f64.exp());
    let n = (-1.5 * r).tanh();
    assert_close(
        "gru-cho by hand",
        &run.y,
        &[-0.75 * z + (1.0 - z) * n],
        1e-14,
    );
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
        let get = |part: &str| golden.get(&format!("rnn.{part}_l{layer}")).to_vec();
        let cell = Lstm {
            d: if layer == 0 { width } else { h },
            h,
            w_ih: get("weight_ih"),
            w_hh: get("weight_hh"),
            b_ih: get("bias_ih"),
            b_hh: get("bias_hh"),
        };
        let run = cell.forward(&x, t, b, &layer_of("h0", layer), &layer_of("c0", layer));
        x = run.y.clone();
        cells.push(cell);
        runs.push(run);
    }
    golden.assert_close("output", &x, TOLERANCE);
    let hn: Vec<f64> = runs.iter().flat_map(|run| run.hn.clone()).collect();
    let cn: Vec<f64> = runs.iter().flat_map(|run| run.cn.clone()).collect();
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
        let got = cells[layer].backward(&runs[layer], &dy);
        for (part, values) in [
            ("weight_ih", &got.d.w_ih),
            ("weight_hh", &got.d.w_hh),
            ("bias_ih", &got.d.b_ih),
            ("bias_hh", &got.d.b_hh),
        ] {
            golden.assert_close(&format!("grad.rnn.{part}_l{layer}"), values, TOLERANCE);
        }
        dh0[layer * b * h..][..b * h].copy_from_slice(&got.dh0);
        dc0[layer * b * h..][..b * h].copy_from_slice(&got.dc0);
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
    let lstms: Vec<&Golden> = files.iter().filter(|file| file.cell() == "lstm").collect();
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
        assert_eq!(file.shape("output"), [t, b, h], "{name}");
        assert_eq!(file.shape("hn"), [layers, b, h], "{name}");
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
