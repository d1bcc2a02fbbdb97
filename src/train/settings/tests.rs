use std::path::Path;

use proptest::prelude::*;
use toml::{Table, Value};

use super::*;
use crate::error::Kind;

const CELLS: &[&str] = &["lstm", "rnn", "rnn-linear", "elman", "gru", "gru-cho"];

fn from_file(text: &str) -> Result<Settings> {
    resolve(Some((Path::new("my.toml"), text)), Table::new(), CELLS)
}

/// Flags as the command line gives them: texts.
fn flags(pairs: &[(&str, &str)]) -> Table {
    let key = |name| Settings::keys().iter().find(|key| key.name == name);
    let value = |name, text: &str| key(name).map_or(Value::String(text.into()), |k| k.value(text));
    pairs
        .iter()
        .map(|(name, text)| (name.to_string(), value(*name, text)))
        .collect()
}

fn from_flags(pairs: &[(&str, &str)]) -> Result<Settings> {
    resolve(None, flags(pairs), CELLS)
}

#[test]
fn nothing_given_is_the_default() {
    assert_eq!(from_file("").unwrap(), Settings::default());
    assert_eq!(
        resolve(None, Table::new(), CELLS).unwrap(),
        Settings::default()
    );
    Settings::default().check(CELLS).unwrap();
    assert_eq!(Settings::default().lr, 2e-3);
    assert_eq!(Settings::default().init_scale, 1.0 / 128f64.sqrt());
}

#[test]
fn a_key_is_a_field_and_a_flag() {
    let table = Settings::default().to_table().unwrap();
    let names: Vec<&str> = Settings::keys().iter().map(|key| key.name).collect();
    for name in table.keys() {
        assert!(names.contains(&name.as_str()), "{name}");
    }
    for key in Settings::keys() {
        assert!(
            !key.help.is_empty() && !key.help.starts_with(' '),
            "{}",
            key.name
        );
        let unset = [
            "preset",
            "valid",
            "tokenizer",
            "forget-bias",
            "gate-bias",
            "chrono",
            "input-scale",
            "embed-scale",
            "cell-const",
            "cutoffs",
            "samples",
            "sampling-k",
            "sampling-slope",
            "sampling-floor",
            "epochs",
            "steps",
            "minutes",
            "eval-every",
            "columns",
            "format",
            "class-weights",
            "best-by",
            "split",
            "time",
            "notes",
        ]
        .contains(&key.name);
        assert_eq!(table.contains_key(key.name), !unset, "{}", key.name);
    }
}

#[test]
fn presets_hold_what_they_are_named_after() {
    let of = |name| from_flags(&[("preset", name)]).unwrap();

    let s = of("min-char-rnn");
    assert_eq!(
        (s.cell.as_str(), s.hidden, s.layers, s.embed),
        ("elman", 100, 1, 0)
    );
    assert_eq!((s.seq_len, s.batch), (25, 1));
    assert_eq!(
        (s.optimizer, s.lr, s.eps),
        (OptimizerName::Adagrad, 0.1, 1e-8)
    );
    assert_eq!((s.clip_value, s.clip_norm), (5.0, 0.0));
    assert_eq!(
        (s.init, s.init_scale, s.forget_bias),
        (Scheme::Normal, 0.01, Some(0.0))
    );

    let s = of("char-rnn");
    assert_eq!(
        (s.cell.as_str(), s.hidden, s.layers, s.embed),
        ("lstm", 128, 2, 0)
    );
    assert_eq!((s.seq_len, s.batch, s.val), (50, 50, 0.05));
    assert_eq!(
        (s.optimizer, s.lr, s.alpha, s.eps),
        (OptimizerName::RmsProp, 2e-3, 0.95, 1e-8)
    );
    assert_eq!((s.clip_value, s.dropout), (5.0, 0.0));
    assert_eq!(
        (s.init, s.init_scale, s.forget_bias),
        (Scheme::Uniform, 0.08, Some(1.0))
    );
    assert_eq!(
        (s.schedule, s.lr_decay, s.decay_after, s.decay_every),
        (ScheduleName::Decay, 0.97, 10, 1)
    );
    assert_eq!(s.length(true), Length::Epochs(50));

    let s = of("torch-rnn");
    assert_eq!(
        (s.cell.as_str(), s.hidden, s.layers, s.embed),
        ("lstm", 128, 2, 64)
    );
    assert_eq!((s.seq_len, s.batch, s.val), (50, 50, 0.1));
    assert_eq!(
        (s.optimizer, s.lr, s.clip_value),
        (OptimizerName::Adam, 2e-3, 5.0)
    );
    assert_eq!(
        (s.schedule, s.lr_decay, s.decay_after, s.decay_every),
        (ScheduleName::Decay, 0.5, 5, 5)
    );

    let (s, m) = (of("zaremba-small"), of("zaremba-medium"));
    for s in [&s, &m] {
        assert_eq!((s.vocab, s.layers, s.batch), (Vocab::Word, 2, 20));
        assert_eq!(
            (s.optimizer, s.lr, s.clip_norm, s.reduce),
            (OptimizerName::Sgd, 1.0, 5.0, Reduce::Row)
        );
        assert_eq!((s.init, s.forget_bias), (Scheme::Uniform, Some(0.0)));
        assert_eq!((s.embed, s.schedule), (s.hidden, ScheduleName::Decay));
    }
    assert_eq!((s.hidden, s.seq_len, s.init_scale), (200, 20, 0.1));
    assert_eq!((s.lr_decay, s.decay_after, s.dropout), (0.5, 4, 0.0));
    assert_eq!((m.hidden, m.seq_len, m.init_scale), (650, 35, 0.05));
    assert_eq!((m.decay_after, m.dropout, m.dropout_input), (6, 0.5, 0.5));
    assert!((1.0 / m.lr_decay - 1.2).abs() < 1e-12);
    assert_eq!(s.length(false), Length::Epochs(13));
    assert_eq!(m.length(false), Length::Epochs(39));

    let s = of("names-tutorial");
    assert_eq!(
        (s.model.as_str(), s.cell.as_str(), s.hidden, s.embed),
        ("classify", "rnn-linear", 128, 0)
    );
    assert_eq!(
        (s.optimizer, s.lr, s.momentum, s.batch),
        (OptimizerName::Sgd, 0.005, 0.0, 1)
    );
    assert_eq!(s.length(true), Length::Steps(100_000));

    let s = of("sentiment");
    assert_eq!(
        (s.model.as_str(), s.cell.as_str(), s.vocab),
        ("classify-pooled", "lstm", Vocab::Word)
    );
    assert_eq!((s.dropout, s.dropout_input), (0.5, 0.5));

    assert_eq!(Preset::ALL.map(Preset::name), Preset::NAMES);
}

#[test]
fn a_higher_layer_wins() {
    let text = "preset = \"char-rnn\"\nhidden = 256\nlayers = 3\n";
    let s = resolve(
        Some((Path::new("my.toml"), text)),
        flags(&[("hidden", "37")]),
        CELLS,
    )
    .unwrap();
    assert_eq!((s.hidden, s.layers, s.batch), (37, 3, 50));
    assert_eq!(s.preset, Some(Preset::CharRnn));
    let s = resolve(
        Some((Path::new("my.toml"), text)),
        flags(&[("preset", "torch-rnn")]),
        CELLS,
    )
    .unwrap();
    assert_eq!((s.hidden, s.layers, s.embed), (256, 3, 64));
    assert_eq!(s.preset, Some(Preset::TorchRnn));
}

#[test]
fn a_higher_layers_length_replaces_a_lower_ones() {
    let s = from_flags(&[("preset", "char-rnn"), ("steps", "200")]).unwrap();
    assert_eq!(s.length(false), Length::Steps(200));
    assert_eq!((s.epochs, s.minutes), (None, None));
    assert_eq!(Settings::default().length(true), Length::Minutes(2.0));
    assert_eq!(Settings::default().length(false), Length::Epochs(10));
    let e = from_flags(&[("epochs", "2"), ("steps", "200")]).unwrap_err();
    assert_eq!(e.kind, Kind::Usage);
    assert!(e.message.contains("epochs and steps"), "{e}");
}

#[test]
fn another_optimiser_brings_its_own_numbers() {
    let s = from_flags(&[("preset", "char-rnn"), ("optimizer", "adagrad")]).unwrap();
    assert_eq!((s.lr, s.eps, s.alpha), (0.05, 1e-10, 0.99));
    // A rate that no choice of optimiser came with stays.
    let file = Some((Path::new("my.toml"), "lr = 0.3"));
    let s = resolve(file, flags(&[("optimizer", "sgd")]), CELLS).unwrap();
    assert_eq!(s.lr, 0.3);
    let file = Some((Path::new("my.toml"), "preset = \"char-rnn\"\nlr = 0.3"));
    let s = resolve(file, flags(&[("optimizer", "sgd")]), CELLS).unwrap();
    assert_eq!((s.lr, s.alpha), (0.3, 0.99));
    // The same choice again takes nothing away.
    let s = from_flags(&[("preset", "char-rnn"), ("optimizer", "rmsprop")]).unwrap();
    assert_eq!(s.alpha, 0.95);
    let s = from_flags(&[("optimizer", "adamw")]).unwrap();
    assert_eq!((s.lr, s.eps, s.weight_decay), (2e-3, 1e-8, 0.01));
    assert_eq!(from_flags(&[("optimizer", "sgd")]).unwrap().lr, 0.5);
    let s = from_flags(&[("preset", "char-rnn"), ("init", "normal")]).unwrap();
    assert_eq!(s.init_scale, 0.01);
    assert_eq!(from_flags(&[("hidden", "64")]).unwrap().init_scale, 0.125);
}

#[test]
fn initialisation_has_defaults_of_its_own() {
    for (init, scale) in [("identity", 1.0), ("spectral", 1.1)] {
        let s = from_flags(&[("init", init)]).unwrap();
        assert_eq!((s.init_scale, s.input_scale), (scale, None));
        from_flags(&[("init", init), ("input-scale", "0.01"), ("chrono", "50")]).unwrap();
    }
    // Another cell or scheme in a higher layer takes along what was said of the lower one's.
    let text = "cell = \"lstm\"\ngate-bias = \"o=-1\"\ncell-const = \"a=1\"\ninit = \"identity\"\ninput-scale = 0.1\n";
    let file = Some((Path::new("my.toml"), text));
    let s = resolve(file, Table::new(), CELLS).unwrap();
    assert_eq!(s.gate_bias.as_deref(), Some("o=-1"));
    let s = resolve(file, flags(&[("cell", "gru"), ("init", "xavier")]), CELLS).unwrap();
    assert_eq!(
        (s.gate_bias, s.cell_const, s.input_scale),
        (None, None, None)
    );
}

#[test]
fn every_bad_value_is_refused_by_name() {
    let cases = [
        ("hidden", "0"),
        ("hidden", "1000000000"),
        ("hidden", "-1"),
        ("hidden", "2.5"),
        ("hidden", "many"),
        ("hidden", "99999999999999999999"),
        ("layers", "0"),
        ("layers", "65"),
        ("embed", "65537"),
        ("dropout", "1"),
        ("dropout", "0.99999999999"),
        ("dropout", "-0.1"),
        ("dropout", "nan"),
        ("dropout-input", "1"),
        ("dropout-input", "0.1"),
        ("dropout-embedding", "0.1"),
        ("dropout-weights", "nan"),
        ("dropout-locked", "maybe"),
        ("activation-penalty", "-1"),
        ("temporal-penalty", "inf"),
        ("norm-stabilizer", "nan"),
        ("propagation-penalty", "-0.5"),
        ("softmax", "fast"),
        ("cutoffs", "5,9"),
        ("samples", "100"),
        ("sparse", "yes"),
        ("scheduled-sampling", "quadratic"),
        ("sampling-k", "0.5"),
        ("sampling-slope", "0.5"),
        ("sampling-floor", "0"),
        ("cell", "lstmm"),
        ("cell", ""),
        ("tie", "true"),
        ("tie", "yes"),
        ("lr", "nan"),
        ("lr", "inf"),
        ("lr", "-1"),
        ("lr", "0"),
        ("lr", "1e39"),
        ("lr", "1e-60"),
        ("momentum", "1"),
        ("momentum", "0.5"),
        ("nesterov", "true"),
        ("weight-decay", "-1"),
        ("weight-decay", "inf"),
        ("alpha", "1"),
        ("beta1", "nan"),
        ("beta2", "1"),
        ("eps", "0"),
        ("clip-norm", "-1"),
        ("clip-value", "nan"),
        ("optimizer", "adma"),
        ("schedule", "cosin"),
        ("init", "zeros"),
        ("init-scale", "0"),
        ("forget-bias", "inf"),
        ("gate-bias", "f"),
        ("gate-bias", "f=1,f=2"),
        ("cell-const", "a=1e99"),
        ("chrono", "2"),
        ("chrono", "nan"),
        ("input-scale", "0.1"),
        ("embed-scale", "0"),
        ("vocab", "sentence"),
        ("max-vocab", "3"),
        ("vocab", "tokenizer"),
        ("lines", "perhaps"),
        ("max-line", "9"),
        ("long-lines", "cut"),
        ("long-lines", "wrap"),
        ("batch-tokens", "500"),
        ("line-order", "target"),
        ("line-order", "size"),
        ("bucket", "5"),
        ("min-count", "0"),
        ("val", "0.91"),
        ("val", "nan"),
        ("seq-len", "0"),
        ("batch", "0"),
        ("batch", "65537"),
        ("accumulate", "0"),
        ("accumulate", "4097"),
        ("recompute", "7"),
        ("recompute", "100"),
        ("recompute-states", "2"),
        ("lr-decay", "0"),
        ("lr-decay", "1.1"),
        ("decay-every", "0"),
        ("step-size", "0"),
        ("gamma", "nan"),
        ("warmup", "5"),
        ("lr-min", "1"),
        ("plateau-factor", "0"),
        ("patience", "-1"),
        ("epochs", "0"),
        ("steps", "0"),
        ("minutes", "0"),
        ("minutes", "nan"),
        ("keep", "0"),
        ("seed", "-1"),
        ("preset", "charrnn"),
        ("hiden", "3"),
    ];
    for (name, text) in cases {
        let e = from_flags(&[(name, text)]).unwrap_err();
        assert_eq!(e.kind, Kind::Usage, "{name} {text}");
        assert_eq!(e.message.lines().count(), 1, "{name} {text}: {e}");
        assert!(
            e.message.starts_with(&format!("--{name}: ")),
            "{name} {text}: {e}"
        );
        assert!(
            e.message.contains("got ") || name == "hiden",
            "{name} {text}: {e}"
        );
    }
}

#[test]
fn a_tokenizer_is_a_vocabulary() {
    let file = ("tokenizer", "t.json");
    assert_eq!(from_flags(&[file]).unwrap().vocab, Vocab::Tokenizer);
    from_flags(&[file, ("vocab", "tokenizer")]).unwrap();
    for (name, text) in [("vocab", "word"), ("min-count", "2"), ("max-vocab", "500")] {
        let e = from_flags(&[file, (name, text)]).unwrap_err();
        assert_eq!(e.message.lines().count(), 1, "{e}");
        assert!(e.message.contains("tokenizer"), "{e}");
    }
    let e = from_flags(&[("vocab", "bpe"), ("max-vocab", "258")]).unwrap_err();
    assert!(e.message.contains("259 or more"), "{e}");
    from_flags(&[("vocab", "bpe"), ("max-vocab", "259")]).unwrap();
}

#[test]
fn settings_of_lines_need_lines() {
    let lines = ("lines", "true");
    for (name, text) in [
        ("max-line", "9"),
        ("batch-tokens", "500"),
        ("line-order", "target-source"),
        ("bucket", "5"),
        ("accumulate", "4"),
    ] {
        let order = ("line-order", "source");
        let order = if name == "bucket" { order } else { lines };
        from_flags(&[lines, order, (name, text)]).unwrap();
    }
    for faulty in [
        vec![lines, ("long-lines", "drop")],
        vec![lines, ("line-order", "shuffle"), ("bucket", "5")],
        vec![lines, ("batch-tokens", "99999999999")],
        vec![lines, ("pad", "true"), ("accumulate", "2")],
    ] {
        let e = from_flags(&faulty).unwrap_err();
        assert_eq!(e.message.lines().count(), 1, "{e}");
    }
    let s = from_flags(&[
        lines,
        ("max-line", "9"),
        ("long-lines", "drop"),
        ("batch-tokens", "500"),
    ])
    .unwrap();
    assert_eq!(
        (s.line_rules().max, s.line_rules().long),
        (9, crate::data::LongLines::Drop)
    );
    assert_eq!(s.batching().size, crate::data::BatchSize::Tokens(500));
    assert_eq!(s.batching().order, crate::data::LineOrder::Shuffle);
    assert!(s.recipe().lines);
}

#[test]
fn checkpoint_segments_divide_the_window_and_do_not_look_at_one_another() {
    let recompute = ("recompute", "10");
    assert_eq!(
        from_flags(&[recompute, ("recompute-states", "2")])
            .unwrap()
            .recompute,
        10
    );
    for (name, text) in [
        ("temporal-penalty", "1"),
        ("norm-stabilizer", "1"),
        ("propagation-penalty", "1"),
        ("seq-len", "45"),
        ("accumulate", "1000"),
    ] {
        let e = from_flags(&[recompute, (name, text)]).unwrap_err();
        assert_eq!(e.message.lines().count(), 1, "{name}: {e}");
        for part in ["recompute", "got "] {
            assert!(e.message.contains(part), "{name}: {e}");
        }
        // One segment has no neighbours.
        if name.contains("-") && name != "seq-len" {
            from_flags(&[("recompute", "50"), (name, text)]).unwrap();
        }
    }
}

#[test]
fn a_softmax_takes_its_own_parameters_alone() {
    let (adaptive, sampled) = (("softmax", "adaptive"), ("softmax", "sampled"));
    let tied = [("tie", "true"), ("embed", "128")];
    for (bad, part) in [
        (
            &[adaptive, ("cutoffs", "9,3")][..],
            "cutoffs: expected rising",
        ),
        (
            &[adaptive, ("samples", "3")],
            "samples: expected softmax sampled",
        ),
        (&[sampled, ("samples", "0")], "samples: expected 1 or more"),
        (
            &[sampled, ("cutoffs", "3")],
            "cutoffs: expected softmax adaptive",
        ),
        (&[adaptive, tied[0], tied[1]], "tie: expected"),
        (&[sampled, ("accumulate", "2")], "softmax: expected full"),
        (
            &[sampled, ("recompute", "10"), ("seq-len", "50")],
            "softmax: expected full beside recompute",
        ),
        (
            &[("sparse", "lazy"), ("recompute", "10")],
            "sparse: expected auto or off",
        ),
    ] {
        let error = from_flags(bad).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert!(error.message.contains(part), "{error}");
    }
    // The minibatches of lines of an update are packed together, so that any softmax will do.
    from_flags(&[sampled, ("lines", "true"), ("accumulate", "2")]).unwrap();
    from_flags(&[adaptive, ("cutoffs", "3,9")]).unwrap();
    from_flags(&[sampled, ("samples", "100"), tied[0], tied[1]]).unwrap();
    let of = |text: &str| from_file(text).unwrap();
    assert_eq!(of("softmax = \"sampled\"\nsamples = 7\n").samples, Some(7));
}

#[test]
fn parameters_of_scheduled_sampling_belong_to_a_schedule() {
    let linear = ("scheduled-sampling", "linear");
    let exponential = ("scheduled-sampling", "exponential");
    let sigmoid = ("scheduled-sampling", "inverse-sigmoid");
    for (schedule, name, text) in [
        (linear, "sampling-k", "0"),
        (linear, "sampling-k", "1.01"),
        (linear, "sampling-k", "nan"),
        (linear, "sampling-slope", "-1"),
        (linear, "sampling-slope", "inf"),
        (linear, "sampling-floor", "-0.1"),
        (linear, "sampling-floor", "1.1"),
        (linear, "sampling-floor", "nan"),
        (exponential, "sampling-k", "1"),
        (exponential, "sampling-k", "0"),
        (exponential, "sampling-slope", "0.1"),
        (sigmoid, "sampling-k", "0.9"),
        (sigmoid, "sampling-k", "inf"),
        (sigmoid, "sampling-floor", "0.5"),
    ] {
        let e = from_flags(&[schedule, (name, text)]).unwrap_err();
        assert_eq!(e.message.lines().count(), 1, "{schedule:?} {name}: {e}");
        let start = format!("--{name}: expected ");
        assert!(e.message.starts_with(&start), "{schedule:?} {name}: {e}");
    }
    for (schedule, name, text) in [
        (linear, "sampling-k", "1"),
        (linear, "sampling-slope", "0"),
        (linear, "sampling-floor", "1"),
        (exponential, "sampling-k", "0.999"),
        (sigmoid, "sampling-k", "1"),
    ] {
        from_flags(&[schedule, (name, text)]).unwrap();
    }
    // Another schedule does not inherit the old one's numbers.
    let text = "scheduled-sampling = \"linear\"\nsampling-k = 0.5\nsampling-floor = 0.1\n";
    let file = Some((Path::new("my.toml"), text));
    let s = resolve(file, flags(&[sigmoid]), CELLS).unwrap();
    assert_eq!((s.sampling_k, s.sampling_floor), (None, None));
}

#[test]
fn good_edges_are_taken() {
    for (name, text) in [
        ("hidden", "1"),
        ("hidden", "65536"),
        ("dropout", "0.9"),
        ("dropout-weights", "0.5"),
        ("norm-stabilizer", "500"),
        ("lr", "1"),
        ("val", "0"),
        ("cell", "mine.cell"),
        ("seed", "9223372036854775807"),
        ("minutes", "0.05"),
        ("sample-every", "0"),
    ] {
        let s = from_flags(&[(name, text)]).unwrap_or_else(|e| panic!("{name} {text}: {e}"));
        let got = &s.to_table().unwrap()[name];
        assert_eq!(
            got.to_string().trim_matches('"').trim_end_matches(".0"),
            text,
            "{name}"
        );
    }
    from_flags(&[("tie", "true"), ("embed", "128")]).unwrap();
    from_flags(&[
        ("optimizer", "sgd"),
        ("momentum", "0.9"),
        ("nesterov", "true"),
    ])
    .unwrap();
    from_flags(&[("schedule", "cosine"), ("warmup", "5"), ("lr-min", "1e-4")]).unwrap();
}

#[test]
fn all_faults_are_reported_at_once_with_line_and_nearest_name() {
    let text = "# mine\nhiden = 3\nlayers = 0\n\n\"optimizer\" = \"adma\"\nlr = \"fast\"\n[model]\nhidden = 3\n";
    let e = from_file(text).unwrap_err();
    assert_eq!(e.kind, Kind::Data);
    let mut lines: Vec<&str> = e.message.lines().collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "my.toml:2: hiden: no such setting; did you mean hidden?",
            "my.toml:3: layers: expected 1 to 64, got 0",
            "my.toml:5: optimizer: expected sgd, adagrad, rmsprop, adam or adamw, got \"adma\"; did you mean adam?",
            "my.toml:6: lr: expected a number, got \"fast\"",
            "my.toml:7: model: settings have no sections, expected key = value",
        ]
    );
}

#[test]
fn a_fault_in_a_flag_makes_it_a_fault_of_usage() {
    let file = Some((Path::new("my.toml"), "layers = 0\nembed = 64\n"));
    let e = resolve(file, flags(&[("tie", "true")]), CELLS).unwrap_err();
    assert_eq!(e.kind, Kind::Usage);
    assert_eq!(
        e.message,
        "my.toml:1: layers: expected 1 to 64, got 0\n\
         --tie: expected embed = hidden for tied weights, got embed 64, hidden 128"
    );
    // A flag heals what a file has wrong.
    resolve(file, flags(&[("layers", "1")]), CELLS).unwrap();
}

#[test]
fn a_fault_is_one_line_whatever_it_quotes() {
    let long = "x".repeat(1000);
    let text = format!(
        "hidden = \"a\\nb\"\n\"c\\nd\" = 1\ncell = \"e\\nf\"\nlr = [1,\n2]\nbatch = \"{long}\"\n"
    );
    let e = from_file(&text).unwrap_err();
    assert_eq!(e.message.lines().count(), 5, "{e}");
    assert!(e.message.lines().all(|line| line.len() < 160), "{e}");
}

#[test]
fn a_fault_brings_no_others_with_it() {
    let e = from_flags(&[("tie", "true"), ("embed", "wide")]).unwrap_err();
    assert_eq!(e.message, "--embed: expected a whole number, got \"wide\"");
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    for (text, line) in [
        ("hidden = 3\nlayers = = 2\n", 2),
        ("a b", 1),
        ("hidden = 1\nhidden = 2\n", 2),
    ] {
        let e = from_file(text).unwrap_err();
        assert_eq!(e.kind, Kind::Data);
        assert_eq!(e.message.lines().count(), 1, "{e}");
        assert!(
            e.message
                .starts_with(&format!("my.toml:{line}: no valid TOML: ")),
            "{e}"
        );
    }
}

#[test]
fn a_written_file_is_commented_and_comes_back() {
    for preset in Preset::NAMES {
        let pairs = [("preset", *preset), ("steps", "7"), ("optimizer", "adamw")];
        let mut s = from_flags(&pairs).unwrap();
        s.set_length(Length::Minutes(0.1));
        let text = s.to_toml().unwrap();
        assert!(text.contains("# ---- model ----\n"));
        assert!(text.contains("\n# Width H of a layer's hidden state\nhidden = "));
        assert_eq!(from_file(&text).unwrap(), s, "{text}");
    }
    let quoted = Settings {
        cell: "a \"b\"\n.cell".to_string(),
        ..Settings::default()
    };
    assert_eq!(from_file(&quoted.to_toml().unwrap()).unwrap(), quoted);
}

proptest! {
    #[test]
    fn any_numbers_come_back_to_the_bit(lr in 1e-30f64..1e30, eps in 1e-30f64..1.0, hidden in 1usize..=65536, seed in 0u64..1 << 63) {
        let s = Settings { lr, eps, hidden, seed, ..Settings::default() };
        prop_assert_eq!(from_file(&s.to_toml().unwrap()).unwrap(), s);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}") {
        let _ = from_file(&text);
    }

    #[test]
    fn no_value_makes_it_panic(place in any::<proptest::sample::Index>(), text in "\\PC{0,8}|-?[0-9]{1,25}(\\.[0-9]+)?(e-?[0-9]{1,4})?") {
        let key = place.get(Settings::keys());
        if let Err(e) = from_flags(&[(key.name, &text)]) {
            prop_assert_eq!(e.kind, Kind::Usage);
        }
    }
}

#[test]
fn every_setting_has_its_range_and_its_place_in_a_resumed_run() {
    let lines = Settings::keys()
        .iter()
        .map(|key| format!("{}: {:?}, {}\n", key.name, key.on_resume, key.range));
    assert_eq!(lines.collect::<String>(), include_str!("keys.txt"));
}

#[test]
fn what_does_not_go_together_is_refused_by_both_names() {
    for (given, want) in [
        (
            "lines=true temporal-penalty=1",
            "temporal-penalty: expected a stream, got lines",
        ),
        (
            "lines=true norm-stabilizer=1",
            "norm-stabilizer: expected a stream, got lines",
        ),
        (
            "lines=true propagation-penalty=1",
            "propagation-penalty: expected a stream, got lines",
        ),
        (
            "lines=true dropout-locked=true",
            "dropout-locked: expected a stream, got lines",
        ),
        (
            "lines=true scheduled-sampling=linear",
            "scheduled-sampling: expected a stream, got lines",
        ),
        (
            "lines=true recompute=10",
            "recompute: expected a stream, got lines",
        ),
        (
            "recompute=10 norm-stabilizer=0.5",
            "recompute: expected 0, as norm-stabilizer looks from a step at its neighbour, which may lie in another \
             segment, got 10",
        ),
        (
            "softmax=sampled accumulate=2",
            "softmax: expected full beside accumulate, got sampled",
        ),
        (
            "softmax=adaptive recompute=50",
            "softmax: expected full beside recompute, got adaptive",
        ),
        (
            "sparse=lazy accumulate=2",
            "sparse: expected auto or off beside accumulate, got lazy",
        ),
        (
            "half=true propagation-penalty=0.5",
            "half: expected propagation-penalty 0, whose gradient does not grow with the loss, got 0.5",
        ),
        (
            "dropout-input=0.1",
            "dropout-input: expected an embedding (embed above 0), got 0.1 with embed 0",
        ),
        (
            "dropout-embedding=0.1",
            "dropout-embedding: expected an embedding (embed above 0), got 0.1 with embed 0",
        ),
        (
            "skip=true layers=2",
            "skip: expected embed above 0, which skip connections pass on, got embed 0",
        ),
        (
            "softmax=adaptive tie=true embed=128",
            "tie: expected softmax full or sampled, whose matrix of all symbols an embedding can share, got adaptive",
        ),
        (
            "tie=true embed=64",
            "tie: expected embed = hidden for tied weights, got embed 64, hidden 128",
        ),
        (
            "tie=true embed=128 project=64",
            "tie: expected embed = project for tied weights, got embed 128, project 64",
        ),
        (
            "tie=true embed=128 skip=true layers=2",
            "tie: expected no skip connections, which widen what the head reads, got skip true",
        ),
        (
            "bidirectional=true",
            "bidirectional: expected false: a model that predicts the next token must not read backward from it, got true",
        ),
    ] {
        let given: Vec<(&str, &str)> = given
            .split(' ')
            .filter_map(|word| word.split_once('='))
            .collect();
        let error = from_flags(&given).unwrap_err();
        assert_eq!(error.message, format!("--{want}"));
    }
}
