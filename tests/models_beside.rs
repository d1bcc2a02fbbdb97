//! Models as text beside others: what PyTorch computes, and an adapter beside the plain code.

mod common;
mod golden;

use std::sync::Arc;

use common::models::{EXAMPLES, patches, sizes};
use common::{device, pairs};
use wgrnn::cell::{Cell, Noise, library as cells};
use wgrnn::exec::check::Twins;
use wgrnn::exec::cpu::{Cpu, Number};
use wgrnn::exec::gpu::{Gpu, Tile};
use wgrnn::model::text::{FieldSize, Model, ModelFieldKind, Sizes, library};
use wgrnn::model::{self, Mode, Spec};
use wgrnn::op::{Hyper, Op, Recipe, SlotId};
use wgrnn::task::{Column, LossWeight, MadeUp, Minibatch, Weighting};

fn settings(cell: &str, layers: usize, hidden: usize, embed: usize) -> Spec {
    let cell = Arc::new(cells::builtin(cell).unwrap());
    Spec {
        cells: vec![cell; layers],
        hidden,
        embed,
        ..Spec::default()
    }
}

/// Steps ahead of models that do not say them.
const HORIZON: usize = 2;

/// The model, its name among the goldens, its cell and layers, and whether its classes have weights.
fn cases() -> Vec<(Model, &'static str, &'static str, usize, bool)> {
    let builtin = |name: &str| library::builtin(name).unwrap();
    let both = builtin("classify").text.replace("= rnn(", "= birnn(");
    let both = Model::parse("classify-both", &both).unwrap();
    let begun = Model::parse(
        "begun",
        "field image: vector\nfield text: tokens\nfield label: class\n\
         h = rnn(embed(text), start = tanh(linear(image)))\n\
         loss cross_entropy(linear(max(h)), label)\n",
    );
    let normal = Model::parse(
        "normal",
        "field past: reals\nh = rnn(past)\no = linear(h, width = 6)\n\
         loss gaussian(split(o, 1, 2), split(o, 2, 2), next(past))\n",
    );
    let quantile = Model::parse(
        "quantile",
        "field past: reals\nh = rnn(past)\nloss quantile(linear(h), next(past), q = 0.1)\n",
    );
    let absolute = Model::parse(
        "absolute",
        "field past: reals\nh = rnn(past)\nloss absolute(linear(h), next(past))\n",
    );
    let mixture = Model::parse(
        "mixture",
        "field past: reals\nh = rnn(past)\nm = linear(h, width = 12)\n\
         loss mixture(split(m, 1, 3), split(m, 2, 3), split(m, 3, 3), split(next(past), 1, 3))\n",
    );
    let additive = Model::parse(
        "additive-after",
        "field source: tokens\nfield target: tokens\n\
         m = rnn(embed(source))\nh = rnn(embed(target), start = m)\na = additive(m, h, width = 4)\n\
         loss cross_entropy(linear(concat(h, a)), next(target))\n",
    );
    let bahdanau = Model::parse(
        "bahdanau",
        "field source: tokens\nfield target: tokens\n\
         both = birnn(embed(source), cell = \"gru\")\nstart = tanh(linear(last(both)))\nmemory = linear(both)\n\
         h = rnn(embed(target), start = start, memory = memory)\n\
         loss cross_entropy(linear(h), next(target))\n",
    );
    vec![
        (begun.unwrap(), "begun", "gru", 1, false),
        (builtin("classify"), "classify", "lstm", 2, true),
        (builtin("tag"), "tag", "gru", 1, false),
        (both, "classify-both", "gru", 1, false),
        (builtin("caption-global"), "caption-global", "rnn", 1, false),
        (builtin("forecast"), "forecast", "lstm", 1, false),
        (normal.unwrap(), "normal", "lstm", 1, false),
        (quantile.unwrap(), "quantile", "lstm", 1, false),
        (absolute.unwrap(), "absolute", "lstm", 1, false),
        (mixture.unwrap(), "mixture", "lstm", 1, false),
        (builtin("chorale"), "chorale", "lstm", 1, false),
        (builtin("strokes"), "strokes", "lstm", 1, false),
        (builtin("strokes-text"), "strokes-text", "lstm", 1, false),
        (
            builtin("forecast-window"),
            "forecast-window",
            "gru",
            1,
            false,
        ),
        (builtin("sequence-label"), "sequence-label", "gru", 1, false),
        (builtin("translate"), "translate", "gru", 1, false),
        (additive.unwrap(), "additive-after", "lstm", 2, false),
        (bahdanau.unwrap(), "bahdanau", "gru-attend", 1, false),
        (
            builtin("show-attend-tell"),
            "show-attend-tell",
            "lstm",
            1,
            false,
        ),
        (
            builtin("show-attend-tell-hard"),
            "show-attend-tell-hard",
            "lstm",
            1,
            false,
        ),
        (builtin("vae"), "vae", "lstm", 1, false),
        (builtin("draw"), "draw", "lstm", 1, false),
        (builtin("draw-attend"), "draw-attend", "lstm", 1, false),
        (builtin("s2vt"), "s2vt", "lstm", 1, false),
        (
            builtin("translate-feed"),
            "translate-feed",
            "lstm",
            1,
            false,
        ),
    ]
}

/// The columns of a golden file for the fields of a model.
fn columns(model: &Model, file: &golden::Golden) -> Vec<Column> {
    let lengths = file.get("lengths");
    let longest = file.shape("text")[1];
    let padded = |name: &str| {
        let own = format!("{name}_lengths");
        let lengths = file.get(if file.has(&own) { &own } else { "lengths" });
        let row = |b: usize| file.get(name)[b * longest..][..lengths[b] as usize].iter();
        let rows = (0..lengths.len()).map(|b| row(b).map(|x| *x as u32).collect());
        rows.collect::<Vec<Vec<u32>>>()
    };
    let column = |(field, name, kind): (usize, &str, ModelFieldKind)| match kind {
        ModelFieldKind::Reals { .. } => {
            let [_, longest, width] = file.shape("reals")[..] else {
                panic!()
            };
            let steps = |b: usize| lengths[b] as usize + model.ahead(field, HORIZON);
            let row = |b| &file.get("reals")[b * longest * width..][..steps(b) * width];
            let rows = (0..lengths.len()).map(|b| row(b).iter().map(|x| *x as f32).collect());
            Column::Reals(rows.collect())
        }
        ModelFieldKind::Tokens { .. } => Column::Tokens(padded(name)),
        ModelFieldKind::Classes { .. } => Column::Classes(padded(name)),
        ModelFieldKind::RealsAlong { .. } => panic!("no golden values of {name}"),
        ModelFieldKind::Class => Column::Class(file.get(name).iter().map(|x| *x as u32).collect()),
        ModelFieldKind::Vector => {
            let width = file.shape(name)[1];
            let vector = |v: &[f64]| v.iter().map(|x| *x as f32).collect();
            Column::Vector(file.get(name).chunks(width).map(vector).collect())
        }
    };
    let fields = model.fields().iter().enumerate();
    fields.map(|(n, f)| column((n, &f.name, f.kind))).collect()
}

fn golden_models<F: Number>(fast: bool, tolerance: f64) {
    for (model, name, cell, layers, weighted) in cases() {
        let file = golden::load(&format!("models/{name}"));
        let size = |kind: ModelFieldKind| match kind {
            ModelFieldKind::Tokens { .. } => FieldSize::Tokens {
                symbols: file.size("V"),
                marks: [7, 8],
                steps: 7,
                rows: 18,
            },
            ModelFieldKind::Class | ModelFieldKind::Classes { .. } => FieldSize::Classes(4),
            ModelFieldKind::Vector => FieldSize::Vector(file.shape("image")[1]),
            ModelFieldKind::RealsAlong { .. } => FieldSize::Vector(3),
            ModelFieldKind::Reals { .. } => FieldSize::Reals {
                width: 3,
                steps: 7,
                rows: 18,
            },
        };
        let sizes = Sizes {
            examples: 4,
            fields: model.fields().iter().map(|f| size(f.kind)).collect(),
        };
        let spec = Spec {
            weighted,
            horizon: HORIZON,
            label_smoothing: if name == "begun" { 0.1 } else { 0.0 },
            ..settings(cell, layers, file.size("H"), file.size("embed"))
        };
        let plan = Arc::new(model.plan(&spec, &sizes, Mode::Gradients).unwrap());
        let classes = file.get("class_weights").iter().map(|x| *x as f32);
        let weight = LossWeight {
            classes: classes.filter(|_| weighted).collect(),
            ..LossWeight::default()
        };
        let means = Weighting::Means(vec![weight]);
        let minibatch = Minibatch::new(&plan, &columns(&model, &file), &means).unwrap();
        let mut cpu = if fast {
            Cpu::<F>::new(plan.clone())
        } else {
            Cpu::<F>::plain(plan.clone())
        };
        let names: Vec<&str> = plan.parameters.iter().map(|p| p.name.as_str()).collect();
        let tensors: Vec<Vec<F>> = names
            .iter()
            .map(|n| file.get(n).iter().map(|x| F::of(*x)).collect())
            .collect();
        let parts = names.iter().zip(&tensors);
        let parts = parts.map(|(n, data)| (*n, file.shape(n), data.as_slice()));
        let flat = model::import(&plan, parts).unwrap();
        cpu.write(plan.io.parameters.unwrap())
            .copy_from_slice(&flat);
        let slots = plan
            .recipes
            .all(|recipe| matches!(recipe, Recipe::Draws { .. }));
        let draws: Vec<(SlotId, Vec<f32>)> = slots
            .enumerate()
            .map(|(round, slot)| {
                let given = file.get(&format!("draws.{round}"));
                let mut draws: Vec<f32> = given.iter().map(|x| *x as f32).collect();
                draws.resize(plan.slot(slot).len(), 0.0);
                (slot, draws)
            })
            .collect();
        let inputs = minibatch.inputs().forced(&draws);
        let loss = cpu.run(&inputs).unwrap().report.loss * minibatch.scale();
        file.assert_close("loss", &[loss], tolerance);
        for (name, tensor) in model::export(&plan, cpu.read(plan.io.gradients.unwrap())) {
            let got: Vec<f64> = tensor.data.iter().map(|x| x.f64()).collect();
            file.assert_close(&format!("grad.{name}"), &got, tolerance);
        }
    }
}

#[test]
fn losses_and_gradients_are_those_of_pytorch() {
    for fast in [false, true] {
        golden_models::<f64>(fast, 1e-10);
        golden_models::<f32>(fast, 1e-4);
    }
}

/// The models that software drivers' kernels are made for, too, where each other one is compared in those of GPUs.
const BOTH_WAYS: [&str; 3] = ["classify", "caption-global", "within"];

#[test]
fn an_adapter_agrees_with_the_plain_code() {
    beside(|name, tile| *tile == Tile::GPU || BOTH_WAYS.contains(&name));
}

#[test]
#[ignore = "a step of tests/long.sh: the same operations in kernels of software drivers"]
fn an_adapter_agrees_with_the_plain_code_in_every_tile() {
    beside(|_, _| true);
}

/// Every operation of training, and all of them one after another.
fn beside(wanted: impl Fn(&str, &Tile) -> bool) {
    let parts = Model::parse(
        "parts",
        "field image: vector\nfield text: tokens\nfield label: class\n\
         z = tanh(linear(concat(image, linear(image, width = 6)), parts = 3, width = 4))\n\
         h = rnn(embed(text), start = z)\n\
         loss cross_entropy(linear(split(z, 2, 3) * max(linear(h, width = 4))), label)\n",
    );
    let begun = Model::parse(
        "begun",
        "field source: tokens\nfield target: tokens\n\
         m = birnn(embed(source), hidden = 6, cell = \"lstm\")\nh = rnn(embed(target), cell = \"lstm\", start = m)\n\
         loss cross_entropy(linear(h), next(target))\n",
    );
    // Numbers: windows, spread rows, programs of many inputs, losses along steps and once an example.
    let series = Model::parse(
        "series",
        "field past: reals\nh = rnn(concat(past, previous(past, 1)))\nm = linear(h, width = 12)\n\
         loss handwriting(split(m, 1, 6), split(m, 2, 6), split(m, 3, 6), split(m, 4, 6), split(m, 5, 6), split(m, 6, 6), \
         linear(h, width = 1), split(next(past), 1, 3), split(next(past), 2, 3), split(next(past), 3, 3))\n\
         loss gaussian(linear(h), linear(h), next(past))\n\
         loss squared(linear(last(window(past, 2))) + repeat(linear(last(rnn(past - last(past))), width = 3), 2), last(ahead(past, 2)))\n",
    );
    // Attention of steps and of examples, over a memory of its own and over that of the other.
    let attention = Model::parse(
        "attention",
        "field source: tokens\nfield target: tokens\nfield label: class\n\
         m = rnn(embed(source))\nh = rnn(embed(target), start = m)\n\
         a = additive(m, h, width = 5)\nq = additive(m, last(m))\nb = dot(h, linear(mean(h)))\n\
         loss cross_entropy(linear(concat(q, b)), label)\n\
         loss cross_entropy(linear(concat(h, a, dot(m, h))), next(target))\n",
    );
    // In the cell, which looks at two memories, before and after its state is made.
    let within = Model::parse(
        "within",
        "field source: tokens\nfield other: tokens\nfield target: tokens\n\
         m = rnn(embed(source), cell = \"gru\")\nn = rnn(embed(other), cell = \"gru\")\n\
         h = rnn(embed(target), memory = m, memory2 = n, start = last(m))\n\
         loss cross_entropy(linear(h), next(target))\n",
    );
    let two = "memory m, n\nstate h\na = dot(m, h)\nu = tanh(linear(x, h, a))\nb = additive(n, u)\n\
               z = sigmoid(linear(x, h, b))\nh = (1 - z) * u + z * h * b\n";
    let two = Arc::new(Cell::parse("two", two).unwrap());
    let gru = Arc::new(cells::builtin("gru").unwrap());
    let models = ["classify", "tag-letters", "caption-global"];
    let builtin = |name: &str| library::builtin(name).unwrap();
    let models = models.map(builtin);
    let [classify, letters, caption] = models;
    for (model, tile) in [
        (classify, Tile::SOFTWARE),
        (letters, Tile::GPU),
        (caption, Tile::SOFTWARE),
        (parts.clone().unwrap(), Tile::SOFTWARE),
        (parts.unwrap(), Tile::GPU),
        (series.clone().unwrap(), Tile::SOFTWARE),
        (series.unwrap(), Tile::GPU),
        (attention.clone().unwrap(), Tile::SOFTWARE),
        (attention.unwrap(), Tile::GPU),
        (begun.clone().unwrap(), Tile::SOFTWARE),
        (begun.unwrap(), Tile::GPU),
        (builtin("strokes-text"), Tile::SOFTWARE),
        (builtin("strokes-text"), Tile::GPU),
        (patches(), Tile::SOFTWARE),
        (patches(), Tile::GPU),
        (within.clone().unwrap(), Tile::SOFTWARE),
        (within.unwrap(), Tile::GPU),
    ] {
        let name = &model.name;
        if !wanted(name, &tile) {
            continue;
        }
        let cell = if name == "within" {
            two.clone()
        } else {
            gru.clone()
        };
        // Masks inside the cell take a binding more.
        let noise = if name == "within" { 0.2 } else { 0.0 };
        let spec = Spec {
            cells: vec![cell],
            noise: Noise {
                zoneout: noise,
                recurrent: noise,
                ..Noise::default()
            },
            dropout: 0.2,
            label_smoothing: if name == "parts" { 0.1 } else { 0.0 },
            ..settings("gru", 1, 12, 8)
        };
        let sizes = sizes(&model, EXAMPLES, 5, 13);
        let plan = Arc::new(model.plan(&spec, &sizes, pairs::adamw()).unwrap());
        let gpu = pollster::block_on(Gpu::with_tile(device(), plan.clone(), &tile)).unwrap();
        let mut twins = Twins::<f32>::new(gpu, &pairs::parameters(&plan)).unwrap();
        let made = MadeUp::new(&plan, 1).unwrap();
        let hyper = Hyper {
            lr: 0.1,
            scale: made.scale(&plan),
            update: 1.0,
            correction1: 0.1,
            correction2: 0.001,
        };
        let inputs = made.inputs().draws([3, 4], 9).hyper(hyper);
        let mut rows = pollster::block_on(twins.operations(&inputs)).unwrap();
        // Operations that share a dispatch are compared as one, under all their names.
        let missing = |op: &&Op| {
            // Where threads share a step's sums, weights are read as they lie.
            let needless = tile == Tile::GPU && op.kind() == "transpose";
            let named = |part: &str| part == op.name();
            !needless && !rows.iter().any(|row| row.op.split('+').any(named))
        };
        let left: Vec<&str> = plan.ops.iter().filter(missing).map(Op::name).collect();
        assert!(left.is_empty(), "{name}: {left:?}");
        let first = rows[0].op.clone();
        rows.extend(pollster::block_on(twins.from_op(&inputs, &first)).unwrap());
        for row in rows {
            assert!(row.passed(), "{name}: {}", row.fault());
        }
    }
}
