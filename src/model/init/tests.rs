//! What each scheme and each word about a bias puts into the arena.

use std::sync::Arc;

use super::*;
use crate::cell::library;
use crate::model::{Dims, Mode, Spec, export};

const H: usize = 13;

/// Every parameter of one layer of `cell` at its start, by name.
fn start(cell: &str, init: &Init) -> std::collections::BTreeMap<String, Vec<f32>> {
    stack(&[cell], init)
}

fn stack(cells: &[&str], init: &Init) -> std::collections::BTreeMap<String, Vec<f32>> {
    let spec = Spec {
        vocab: 11,
        cells: cells
            .iter()
            .map(|c| Arc::new(library::builtin(c).unwrap()))
            .collect(),
        hidden: H,
        ..Spec::default()
    };
    let plan = spec
        .plan(Dims { steps: 1, batch: 1 }, Mode::Scores)
        .unwrap();
    let flat = initialize(&plan, init).unwrap();
    let named = export(&plan, &flat).into_iter();
    named.map(|(name, tensor)| (name, tensor.data)).collect()
}

/// Gate `n` of a bias.
fn gate(bias: &[f32], n: usize) -> &[f32] {
    &bias[n * H..(n + 1) * H]
}

fn deviation(values: &[f32]) -> f64 {
    let square: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
    (square / values.len() as f64).sqrt()
}

#[test]
fn identity_is_the_irnn() {
    let init = Init {
        scheme: Scheme::Identity,
        scale: 0.7,
        ..Init::default()
    };
    let found = start("rnn", &init);
    for (i, value) in found["rnn.weight_hh_l0"].iter().enumerate() {
        let want = if i / H == i % H { 0.7 } else { 0.0 };
        assert_eq!(*value, want, "element {i}");
    }
    for name in ["rnn.bias_ih_l0", "rnn.bias_hh_l0", "head.bias"] {
        assert!(found[name].iter().all(|v| *v == 0.0), "{name}");
    }
    // The deviation of 143 draws is within 20 % of the one that they are drawn with.
    for name in ["rnn.weight_ih_l0", "head.weight"] {
        let got = deviation(&found[name]);
        assert!((got / 1e-3 - 1.0).abs() < 0.2, "{name}: {got}");
    }
    let wide = Init {
        input_scale: Some(0.5),
        ..init
    };
    let got = deviation(&start("rnn", &wide)["rnn.weight_ih_l0"]);
    assert!((got / 0.5 - 1.0).abs() < 0.2, "{got}");
    // Every gate has an identity of its own; the forget gate's bias stays the cell's.
    let found = start("lstm", &wide);
    for block in found["rnn.weight_hh_l0"].chunks(H * H) {
        let want = |i: usize| if i / H == i % H { 0.7 } else { 0.0 };
        assert!(block.iter().enumerate().all(|(i, v)| *v == want(i)));
    }
    assert!(gate(&found["rnn.bias_ih_l0"], 1).iter().all(|v| *v == 1.0));
}

#[test]
fn spectral_blocks_have_the_radius_that_was_asked_for() {
    for scale in [0.5, 1.1] {
        let init = Init {
            scheme: Scheme::Spectral,
            scale,
            ..Init::default()
        };
        for (cell, gates) in [("rnn", 1), ("lstm", 4)] {
            let found = start(cell, &init);
            let weight = &found["rnn.weight_hh_l0"];
            assert_eq!(weight.len(), gates * H * H);
            for block in weight.chunks(H * H) {
                let block: Vec<f64> = block.iter().map(|v| f64::from(*v)).collect();
                // Another vector to start from than the one that the scale was found with.
                let mut stream = Stream::new(99, Purpose::Check, 0);
                let got = matrix::spectral_radius(&block, H, &mut stream);
                assert!((got / scale - 1.0).abs() < 0.005, "{cell} {scale}: {got}");
            }
            assert!(found["rnn.bias_hh_l0"].iter().all(|v| *v == 0.0));
        }
    }
}

#[test]
fn chrono_draws_once_a_unit_for_both_gates() {
    let longest = 50.0;
    let init = Init {
        scheme: Scheme::Normal,
        chrono: Some(longest),
        forget_bias: Some(3.0),
        ..Init::default()
    };
    let found = stack(&["lstm", "lstm"], &init);
    let bias = &found["rnn.bias_ih_l0"];
    let (i, f) = (gate(bias, 0), gate(bias, 1));
    let spans: Vec<f64> = f.iter().map(|b| f64::from(*b).exp()).collect();
    for (unit, span) in spans.iter().enumerate() {
        assert!((1.0..=longest - 1.0).contains(span), "{span}");
        assert_eq!(i[unit], -f[unit]);
    }
    // Uniform in [1, 49]: the mean of 13 is within three deviations of 25.
    let mean = spans.iter().sum::<f64>() / H as f64;
    assert!((mean - 25.0).abs() < 3.0 * 48.0 / 12f64.sqrt() / (H as f64).sqrt());
    assert!(gate(bias, 2).iter().chain(gate(bias, 3)).all(|v| *v == 0.0));
    assert!(found["rnn.bias_hh_l0"].iter().all(|v| *v == 0.0));
    assert_ne!(found["rnn.bias_ih_l1"], *bias, "layers draw apart");

    // An open z keeps in a gru and writes in mut3.
    let gru = start("gru", &init);
    assert_eq!(gate(&gru["rnn.bias_ih_l0"], 1), f);
    let mut3 = start("mut3", &init);
    let written: Vec<f32> = f.iter().map(|v| -v).collect();
    assert_eq!(gate(&mut3["rnn.bias_ih_l0"], 0), written);
}

#[test]
fn a_gate_bias_goes_to_one_bias_and_wins() {
    let init = Init {
        scheme: Scheme::Uniform,
        scale: 0.25,
        chrono: Some(9.0),
        forget_bias: Some(3.0),
        gate_bias: vec![("f".into(), 2.5), ("o".into(), -1.5)],
        ..Init::default()
    };
    let found = start("lstm", &init);
    let bias = &found["rnn.bias_ih_l0"];
    assert_eq!(gate(bias, 1), [2.5; H]);
    assert_eq!(gate(bias, 3), [-1.5; H]);
    assert!(gate(bias, 0).iter().all(|v| *v <= 0.0), "chrono's");
    assert!(gate(bias, 2).iter().all(|v| v.abs() <= 0.25), "drawn");
    let other = &found["rnn.bias_hh_l0"];
    assert!(other.iter().all(|v| v.abs() <= 0.25), "drawn");

    // A variable that has no input in its `linear` has one bias too: mut2's r = sigmoid(x + linear(h)).
    let mut init = init;
    init.gate_bias = vec![("r".into(), 0.5)];
    init.chrono = None;
    let spec = Spec {
        vocab: 11,
        cells: vec![Arc::new(library::builtin("mut2").unwrap())],
        hidden: H,
        embed: H,
        ..Spec::default()
    };
    let plan = spec
        .plan(Dims { steps: 1, batch: 1 }, Mode::Scores)
        .unwrap();
    let found = export(&plan, &initialize(&plan, &init).unwrap());
    assert_eq!(found["rnn.bias_hh_l0"].data, [0.5; H]);
}

#[test]
fn a_normalised_gate_starts_by_its_shift() {
    // A bias that is the same for all units vanishes in `norm`, so it is the shift that must start there.
    let found = start("lstm-ln", &Init::default());
    let cell = library::builtin("lstm-ln").unwrap();
    let shift = cell.bias_of("f").unwrap();
    assert_eq!(cell.vectors[shift].parameter(), "norm_bias");
    let before = cell.vectors[..shift]
        .iter()
        .filter(|v| v.parameter() == "norm_bias");
    let n = before.count();
    let shifts = &found["rnn.norm_bias_l0"];
    assert_eq!(gate(shifts, n), [1.0; H]);
    let rest = shifts.len() / H - 1;
    assert_eq!(shifts.iter().filter(|v| **v == 0.0).count(), rest * H);
    for name in ["rnn.bias_ih_l0", "rnn.bias_hh_l0"] {
        assert!(found[name].iter().all(|v| v.abs() <= 0.1), "{name}");
    }
}

#[test]
fn what_is_said_of_biases_leaves_the_weights_alone() {
    let plain = Init::default();
    let said = Init {
        forget_bias: Some(2.0),
        ..Init::default()
    };
    let (a, b) = (start("lstm", &plain), start("lstm", &said));
    for (name, values) in &a {
        let same = *values == b[name];
        assert_eq!(same, name != "rnn.bias_ih_l0", "{name}");
    }
}

#[test]
fn embeddings_have_a_deviation_of_their_own() {
    let spec = Spec {
        vocab: 60,
        embed: 25,
        cells: vec![Arc::new(library::builtin("gru").unwrap())],
        hidden: H,
        ..Spec::default()
    };
    let dims = Dims { steps: 1, batch: 1 };
    let plan = spec.plan(dims, Mode::Scores).unwrap();
    let with = |embed_scale: Option<f64>| {
        let init = Init {
            embed_scale,
            ..Init::default()
        };
        export(&plan, &initialize(&plan, &init).unwrap())
    };
    for ((name, plain), (_, scaled)) in with(None).into_iter().zip(with(Some(2.0))) {
        if name == "embedding.weight" {
            // 1,500 draws: the deviation is within a tenth of the one that they are drawn with.
            assert!((1.8..2.2).contains(&deviation(&scaled.data)), "{name}");
            assert!(plain.data.iter().all(|x| x.abs() <= 0.1));
        } else {
            assert_eq!(plain.data, scaled.data, "{name}");
        }
    }

    let one_hot = Spec { embed: 0, ..spec };
    let plan = one_hot.plan(dims, Mode::Scores).unwrap();
    let init = Init {
        embed_scale: Some(2.0),
        ..Init::default()
    };
    let e = initialize(&plan, &init).unwrap_err();
    assert!(e.message.starts_with("embed-scale: expected"), "{e}");
}
