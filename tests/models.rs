//! Models as text: every built-in one, every function and random models by finite differences, and packed against alone.

mod common;

use std::sync::Arc;

use common::models::{EXAMPLES, examples, patches, plan, settings, sizes};
use wgrnn::cell::{Cell, library as cells};
use wgrnn::exec::cpu::Cpu;
use wgrnn::exec::{FillSlots, Filling};
use wgrnn::model::text::{FieldSize, Model, Sizes, Target, library};
use wgrnn::model::{Dims, Mode, Softmax, Spec};
use wgrnn::op::{Plan, Recipe, SlotId};
use wgrnn::rng::{Purpose, Stream};
use wgrnn::task::differences::{differences, worst};
use wgrnn::task::{Column, LossWeight, MadeUp, Minibatch, Weighting};

fn check_differences(model: &Model, spec: &Spec) {
    for fast in [false, true] {
        let slopes = differences(plan(model, spec, Mode::Gradients), fast).unwrap();
        assert!(slopes.len() > 20, "{}", model.name);
        let worst = worst(&slopes).unwrap();
        assert!(worst.passed(), "{}: {}", model.name, worst.fault());
        let nonzero = slopes.iter().filter(|s| s.want.abs() > 1e-6).count();
        assert!(
            3 * nonzero > slopes.len(),
            "{}: most slopes are 0",
            model.name
        );
    }
}

#[test]
fn every_builtin_model_passes_finite_differences() {
    for name in library::names() {
        let model = library::builtin(name).unwrap();
        check_differences(&model, &settings("gru", 1));
    }
}

/// One of the examples alone.
fn one(columns: &[Column], n: usize) -> Vec<Column> {
    columns.iter().map(|column| column.some(&[n])).collect()
}

/// Draws that are the same for every row.
fn forced(plan: &Plan) -> Vec<(SlotId, Vec<f32>)> {
    let slots = plan
        .recipes
        .all(|recipe| matches!(recipe, Recipe::Draws { .. }));
    let draws = slots.map(|slot| {
        let cols = plan.matrix(slot).cols;
        let draw = |n: usize| ((n % cols) as f32 - 1.5) / 2.0;
        (slot, (0..plan.slot(slot).len()).map(draw).collect())
    });
    draws.collect()
}

/// The sum of the losses and the gradients of it, at the same parameters in every plan of a model. What an earlier run left
/// in the slots must not matter.
fn run(plan: &Arc<Plan>, columns: &[Column], fast: bool) -> (f64, Vec<f64>) {
    let minibatch = Minibatch::new(plan, columns, &Weighting::Sums).unwrap();
    let mut cpu = if fast {
        Cpu::<f64>::new(plan.clone())
    } else {
        Cpu::<f64>::plain(plan.clone())
    };
    let mut stream = Stream::new(9, Purpose::Check, 1);
    for p in cpu.write(plan.io.parameters.unwrap()) {
        *p = 0.6 * stream.normal();
    }
    cpu.run(&MadeUp::new(plan, 1).unwrap().inputs()).unwrap();
    let forced = forced(plan);
    let report = cpu.run(&minibatch.inputs().forced(&forced)).unwrap().report;
    assert!(report.finite);
    (report.loss, cpu.read(plan.io.gradients.unwrap()).to_vec())
}

fn check_packed(model: &Model, spec: &Spec, room: Sizes) {
    // Masks are another example's where examples lie elsewhere.
    let still = model.text.replace("rate = 0.2", "rate = 0");
    let model = &Model::parse(&model.name, &still).unwrap();
    let columns = examples(model);
    let plan_of = |sizes: &Sizes| Arc::new(model.plan(spec, sizes, Mode::Gradients).unwrap());
    let together = plan_of(&room);
    for fast in [false, true] {
        let (got, gradients) = run(&together, &columns, fast);
        let mut want = 0.0;
        let mut sums = vec![0.0; gradients.len()];
        for n in 0..EXAMPLES {
            let alone = plan_of(&sizes(model, 1, 5, 5));
            let (loss, gradients) = run(&alone, &one(&columns, n), false);
            want += loss;
            sums.iter_mut().zip(&gradients).for_each(|(s, g)| *s += g);
        }
        let name = &model.name;
        assert!((got - want).abs() < 1e-12 * want, "{name}: {got} {want}");
        let largest = sums.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        assert!(largest > 1e-3, "{name}");
        for (i, (got, want)) in gradients.iter().zip(&sums).enumerate() {
            let off = (got - want).abs();
            assert!(off < 1e-12 * (1.0 + largest), "{name} [{i}]: {got} {want}");
        }
    }
}

#[test]
fn packed_examples_are_those_alone() {
    for name in library::names() {
        let model = library::builtin(name).unwrap();
        let spec = settings("lstm", 2);
        check_packed(&model, &spec, sizes(&model, EXAMPLES, 5, 15));
        // Room for more of everything.
        check_packed(&model, &spec, sizes(&model, EXAMPLES + 2, 7, 24));
    }
}

const FIELDS: &str = "field text: tokens\nfield label: class\n";

fn parse(text: &str) -> Model {
    Model::parse("model", text).unwrap()
}

/// A classifier whose scores are made of the value of an expression with a row an example.
fn classifier(lines: &str, value: &str) -> Model {
    parse(&format!(
        "{FIELDS}{lines}loss cross_entropy(linear({value}), label)\n"
    ))
}

/// What the built-in models do not use, alone and in each other's company.
#[test]
fn every_function_passes_finite_differences() {
    let two = "field text: tokens\nfield other: tokens\nfield label: class\n";
    // Rows in no order: pooled, and looked at by an example and by the steps of a text.
    let set = "field rows: set\nfield text: tokens\nfield label: class\nv = tanh(linear(rows))\n\
               h = rnn(embed(text))\ns = dot(v, mean(h)) + sum(v)\n\
               loss cross_entropy(linear(concat(s, max(h * additive(v, h)))), label)\n";
    let models = [
        parse(set),
        classifier("", "sum(embed(text))"),
        classifier(
            "",
            "last(birnn(embed(text), hidden = 2, layers = 2, cell = \"lstm\"))",
        ),
        classifier("", "mean(dropout(norm(rnn(embed(text))), rate = 0.2))"),
        classifier(
            "h = rnn(embed(text))\n",
            "tanh(linear(last(h))) + mean(h) * sigmoid(sum(h))",
        ),
        classifier(
            "h = rnn(embed(text))\n",
            "last(rnn(h, given = mean(h), hidden = 4))",
        ),
        classifier(
            "h = rnn(embed(text))\ng = linear(last(h))\n",
            "(1 - g) * linear(mean(h), weight = g) - -g / 2",
        ),
        classifier("", "max(birnn(embed(text)))"),
        // Parts of one value, one of which nothing uses, and one layer over all of them.
        classifier(
            "z = last(rnn(embed(text), hidden = 6))\n",
            "split(z, 3, 3) * split(z, 1, 3) + split(linear(z, parts = 3, width = 4), 2, 6)",
        ),
        classifier(
            "h = rnn(embed(text))\na = linear(split(max(h), 1, 3))\n",
            "linear(split(max(h), 3, 3), weight = a) - a",
        ),
        // States that begin with a value, in both directions of two layers.
        classifier(
            "h = rnn(embed(text))\n",
            "last(birnn(h, start = tanh(linear(mean(h))), layers = 2, cell = \"lstm\"))",
        ),
        // States that begin with all last ones of others: of both directions in both, side by side in one, of one in both; an
        // encoder with its decoder, one of whose orders is the other's; along one field, beside the output.
        parse(&format!(
            "{two}m = birnn(embed(text))\nh = birnn(embed(other), start = m)\nloss cross_entropy(linear(mean(h)), label)\n"
        )),
        parse(
            "field source: tokens\nfield target: tokens\n\
            m = birnn(embed(source), hidden = 2, cell = \"lstm\")\nh = rnn(embed(target), hidden = 4, cell = \"lstm\", start = m)\n\
            loss cross_entropy(linear(h), next(target))\n",
        ),
        classifier(
            "m = rnn(embed(text))\n",
            "last(birnn(m, start = m)) * linear(mean(m), width = 6)",
        ),
        parse(
            "field text: tokens\nfield letters: tokens within text\nfield tags: classes along text\n\
            word = embed(text)\na = rnn(embed(letters), cell = \"lstm\")\nb = rnn(a, given = word, cell = \"lstm\", start = a)\n\
            loss cross_entropy(linear(last(b)), tags)\n",
        ),
        // Neighbouring tokens as one symbol: each its own, hashed, one-hot read from both ends, of what is predicted.
        classifier(
            "two = embed(grams(text, 2, 400))\n",
            "concat(sum(two), last(embed(grams(text, 3, 7), width = 4)), max(birnn(embed(grams(text, 2, 9)))))",
        ),
        parse(
            "field text: tokens\nh = rnn(concat(embed(text), embed(grams(text, 3, 11))))\nloss cross_entropy(linear(h), next(text))\n",
        ),
        // The number of a step: of a text, of letters within a word, of numbers, of what is predicted, of a set.
        classifier(
            "h = concat(embed(text), embed(positions(text, 3), width = 2))\n",
            "last(birnn(h)) + sum(embed(positions(text, 2), width = 6))",
        ),
        parse(
            "field text: tokens\nfield letters: tokens within text\nfield tags: classes along text\n\
            l = embed(letters) * embed(positions(letters, 2))\nloss cross_entropy(linear(concat(embed(text), sum(l))), tags)\n",
        ),
        parse(
            "field rows: set\nfield past: reals\nfield text: tokens\n\
            m = linear(concat(rows, embed(positions(rows, 9))))\np = concat(past, embed(positions(past, 2)))\n\
            h = rnn(concat(embed(text), embed(positions(text, 2))), given = last(rnn(p)))\n\
            loss cross_entropy(linear(concat(h, additive(m, h))), next(text))\n",
        ),
        // A row an example at every step, beside one that has it already.
        classifier("h = embed(text)\n", "last(h + mean(h))"),
        classifier(
            "h = embed(text, width = 4)\n",
            "last(concat(h, relu(mean(h)), h * h))",
        ),
        // A second axis has another order than the first.
        parse(&format!(
            "{two}h = rnn(embed(text), given = last(rnn(embed(other))))\nloss cross_entropy(linear(last(h)), label)\n"
        )),
        parse(&format!(
            "{two}h = rnn(embed(other), given = mean(embed(text)))\nloss cross_entropy(linear(mean(h)), label)\n"
        )),
        parse(&format!(
            "{two}h = rnn(embed(text), start = last(rnn(embed(other))), given = max(embed(other)))\nloss cross_entropy(linear(last(h)), label)\n"
        )),
        parse(&format!(
            "{two}h = concat(embed(text), sum(birnn(embed(other))))\nloss cross_entropy(linear(last(h)), label)\n"
        )),
        // Letters of words by their mean, words within every letter, and tags that are read.
        parse(
            "field text: tokens\nfield letters: tokens within text\nfield tags: classes along text\nfield label: class\n\
            word = embed(text)\nletter = rnn(embed(letters), given = word)\n\
            h = birnn(concat(word, mean(letter), embed(tags)))\nloss cross_entropy(linear(last(h)), label)\n",
        ),
        // Several losses, one of them with a weight, over a vector and a text.
        parse(
            "field image: vector\nfield text: tokens\nfield label: class\n\
            v = tanh(linear(image))\nh = rnn(embed(text), given = v)\n\
            loss cross_entropy(linear(h), next(text))\nloss cross_entropy(linear(v), label, weight = 0.25)\n",
        ),
        // Numbers: what lies further back, several losses with constants, sums that are as wide as what they meet.
        parse(
            "field past: reals\nh = rnn(concat(past, previous(past, 2)))\n\
            loss quantile(linear(h) + past, next(past), q = 0.1)\n\
            loss absolute(2 * linear(h) - past, next(past), weight = 0.5)\n",
        ),
        parse(
            "field past: reals\nm = linear(rnn(past), width = 12)\ny = past - previous(past, 1)\n\
            loss mixture(split(m, 1, 3), split(m, 2, 3), split(m, 3, 3), split(next(past), 2, 3))\n\
            loss gaussian(split(m, 1, 2), split(m, 2, 2), ahead(past, 2) * ahead(past, 2) - 1)\n\
            loss squared(linear(y), next(past))\n",
        ),
        // Behind all that is read, from both directions; every input of a program in a slot of its own.
        parse(
            "field past: reals\nfield label: class\nh = last(birnn(past))\n\
            loss squared(linear(h), last(ahead(past)))\nloss cross_entropy(linear(h), label)\n",
        ),
        parse(
            "field past: reals\nh = rnn(past)\na = linear(h, width = 2)\nb = linear(h, width = 2)\nc = linear(h, width = 2)\n\
            loss handwriting(a, b, c, a * b, b * c, tanh(c), linear(h, width = 1), split(past, 1, 3), split(past, 2, 3), split(next(past), 3, 3))\n",
        ),
        // Windows, and values that are repeated, learned ones too.
        parse(
            "field past: reals\nfield label: class\nx = past - last(past)\nm = linear(last(rnn(x)), width = 3)\n\
            day = last(window(past, 2))\nw = repeat(m, 2) * day - repeat(last(past), 2)\n\
            loss squared(linear(concat(m, day)) + w, last(ahead(past)))\nloss cross_entropy(linear(m), label)\n",
        ),
        // A class a step of numbers; a vector made again.
        parse(
            "field past: reals\nfield tags: classes along past\nfield image: vector\n\
            h = birnn(past, given = image)\nloss cross_entropy(linear(h), tags)\nloss squared(linear(max(h)), image)\n",
        ),
        // No text at all.
        parse(
            "field image: vector\nfield label: class\nloss cross_entropy(linear(relu(linear(image))), label)\n",
        ),
    ];
    for (n, model) in models.into_iter().enumerate() {
        let mut model = model;
        model.name = format!("model {n}");
        check_differences(&model, &settings("gru", 1));
        let two_layers = Spec {
            layer_norm: n % 2 == 0,
            ..settings("rnn", 2)
        };
        if !model.text.contains("layers = 2") {
            check_packed(&model, &two_layers, sizes(&model, EXAMPLES, 5, 15));
        }
    }
}

/// Draws that are forced by the run's key, of a row a step and of one an example, and what they cost; layers of every kind round
/// by round, rounds after others, and losses there: what a round hands on is the next one's.
#[test]
fn draws_and_rounds_pass_finite_differences() {
    let draws = parse(
        "field past: reals\nfield label: class\nh = rnn(past)\ns = linear(h)\nz = sample(h, s)\n\
         m = linear(last(h), width = 2)\nloss kl(h, s)\nloss kl(m, m, weight = 0.5)\n\
         loss squared(linear(z), next(past))\nloss cross_entropy(linear(sample(m, m)), label)\n",
    );
    let rounds = parse(
        "field text: tokens\nfield past: reals\nfield label: class\nc = zeros(last(past))\nh = zeros(past)\n\
         repeat 2\n\
         h = norm(rnn(concat(past, h), start = c)) + dropout(h, rate = 0.2)\n\
         e = embed(text)\n\
         l = tanh(linear(e, width = 4))\n\
         a = additive(birnn(e, cell = \"lstm\", hidden = 2), c)\n\
         s = tanh(c)\n\
         c = sample(linear(concat(a, mean(l))), s) + linear(last(h), parts = 3, width = 1)\n\
         loss squared(linear(h), past)\n\
         end\n\
         d = c + 0\n\
         repeat 2\n\
         m = tanh(linear(d))\n\
         loss kl(m, m, weight = 0.5)\n\
         d = d + sample(m, m)\n\
         end\n\
         loss cross_entropy(linear(d), label)\n",
    );
    for model in [draws, rounds] {
        check_differences(&model, &settings("gru", 1));
        check_packed(&model, &settings("rnn", 2), sizes(&model, EXAMPLES, 5, 15));
    }
}

/// The mean over draws of what a stopped draw gives is the gradient of the mean: that of draws that are not stopped. Five nodes of
/// Gauss and Hermite take means of polynomials up to degree 9 exactly.
#[test]
fn a_stopped_draw_is_learned_without_bias_whatever_its_baseline() {
    const NODES: [(f32, f64); 5] = [
        (-2.856_97, 0.011_257_411_327_720_69),
        (-1.355_626_2, 0.222_075_922_005_612_7),
        (0.0, 8.0 / 15.0),
        (1.355_626_2, 0.222_075_922_005_612_7),
        (2.856_97, 0.011_257_411_327_720_69),
    ];
    let own = [("plain".to_string(), "row a\nloss = sum(a)\n".to_string())].into();
    let mean = |lines: &str| {
        let head = "field image: vector\nm = linear(image, width = 2)\ns = linear(m, width = 2)\n";
        let model = Model::with_losses("drawn", &format!("{head}{lines}"), &own).unwrap();
        let plan = plan(&model, &settings("gru", 1), Mode::Gradients);
        let minibatch = Minibatch::new(&plan, &examples(&model), &Weighting::Sums).unwrap();
        let draws = plan
            .recipes
            .all(|recipe| matches!(recipe, Recipe::Draws { .. }));
        let draws: Vec<SlotId> = draws.collect();
        let mut cpu = Cpu::<f64>::new(plan.clone());
        let mut stream = Stream::new(9, Purpose::Check, 1);
        for p in cpu.write(plan.io.parameters.unwrap()) {
            *p = 0.3 * stream.normal();
        }
        let mut sums = vec![0.0; plan.arena];
        for (node, weight) in NODES {
            let slot = draws[0];
            let forced = [(slot, vec![node; plan.slot(slot).len()])];
            cpu.run(&minibatch.inputs().forced(&forced)).unwrap();
            let gradients = cpu.read(plan.io.gradients.unwrap());
            let all = sums.iter_mut().zip(gradients);
            all.for_each(|(sum, g)| *sum += weight * g);
        }
        let of = |name: &str| {
            let found = plan.parameters.iter().find(|p| p.name == name).unwrap();
            let m = found.matrix;
            sums[m.offset..m.offset + m.rows * m.cols].to_vec()
        };
        ["m.weight", "m.bias", "s.weight", "s.bias"]
            .map(of)
            .concat()
    };
    let want = mean("at = sample(m, s)\nloss plain(0 - at * at)\n");
    let stopped = "at = stop(sample(m, s))\nreward = stop(at * at)\n";
    for baseline in [
        "zeros(image, width = 2)",
        "stop(5 * linear(image, width = 2))",
    ] {
        let got = mean(&format!(
            "{stopped}loss reinforce(m, s, at, {baseline}, reward)\n"
        ));
        assert!(want.iter().all(|g| g.abs() > 1e-3), "{want:?}");
        for (got, want) in got.iter().zip(&want) {
            // The nodes are those of f32.
            assert!(
                (got - want).abs() < 2e-6 * (1.0 + want.abs()),
                "{got} {want}"
            );
        }
    }
}

#[test]
fn what_is_seen_and_stopped_passes_finite_differences() {
    let model = parse(
        "field image: vector\nfield label: class\nfield text: tokens\n\
         m = linear(image, width = 2)\nat = stop(sample(m, tanh(m)))\n\
         repeat 2\n\
         b = linear(stop(m), width = 2)\n\
         m = m + linear(glimpse(image, at, size = 2, scales = 2), width = 2)\n\
         end\n\
         scores = linear(m)\nloss cross_entropy(scores, label)\n\
         words = linear(rnn(embed(text), given = at))\nloss cross_entropy(words, next(text))\n\
         r = repeat(right(scores, label), 4)\n\
         loss reinforce(rounds(m), rounds(b), repeat(at, 2), stop(rounds(b)), r)\n\
         loss squared(linear(embed(text), width = 3), repeat(right(words, next(text)), 3))\n",
    );
    check_differences(&model, &settings("gru", 1));
    check_packed(&model, &settings("rnn", 2), sizes(&model, EXAMPLES, 5, 15));
}

/// Rows that are drawn of a text's own steps, a set's and within rounds: used in part, and with draws that the loss does not weigh.
#[test]
fn hard_attention_passes_finite_differences() {
    let model = parse(
        "field image: set\nfield text: tokens\nfield label: class\n\
         h = rnn(embed(text))\n\
         soft = additive(linear(image), h, width = 4)\n\
         look = hard(soft)\n\
         own = hard(dot(h, mean(h)))\n\
         scores = linear(last(h) + own)\n\
         loss cross_entropy(linear(look + soft), next(text))\n\
         reward = right(scores, label)\n\
         loss cross_entropy(scores, label)\n\
         repeat 2\n\
         more = hard(additive(h, own, width = 2))\n\
         loss policy(log_prob(more), entropy(more), reward * 0.5, reward, bonus = 0.3)\n\
         end\n\
         loss policy(log_prob(own), entropy(own), stop(mean(linear(h, width = 1))), reward)\n\
         loss squared(log_prob(look), linear(embed(text), width = 1))\n",
    );
    check_differences(&model, &settings("gru", 1));
    check_packed(&model, &settings("rnn", 2), sizes(&model, EXAMPLES, 5, 15));
}

#[test]
fn patches_pass_finite_differences() {
    let model = patches();
    check_differences(&model, &settings("gru", 1));
    check_packed(&model, &settings("rnn", 2), sizes(&model, EXAMPLES, 5, 15));
}

/// Two rows of three pixels, read and written by filters that one value places, beside the sums of the equations.
#[test]
fn patches_are_those_of_the_equations() {
    let model = parse(
        "field image: vector\nfield place: vector\nat = place + 0\n\
         a = read(image, at, size = 2, width = 3)\nb = write(a, at, image, width = 3)\n\
         loss squared(linear(concat(a, b)), image)\n",
    );
    let sizes = Sizes {
        examples: 1,
        fields: vec![FieldSize::Vector(6), FieldSize::Vector(5)],
    };
    let plan = model.plan(&settings("gru", 1), &sizes, Mode::Evaluate);
    let plan = Arc::new(plan.unwrap());
    let image: [f32; 6] = [0.1, -0.2, 0.5, 0.9, 0.3, -0.7];
    for at in [[0.3, -0.4, -0.2, 0.4, 0.5f32], [-1.3, 0.2, 0.6, 0.1, -0.3]] {
        let columns = [image.to_vec(), at.to_vec()].map(|row| Column::Vector(vec![row]));
        let minibatch = Minibatch::new(&plan, &columns, &Weighting::Sums).unwrap();
        let mut cpu = Cpu::<f64>::new(plan.clone());
        cpu.run(&minibatch.inputs()).unwrap();
        let [x, y, variance, gap, gamma] = at.map(f64::from);
        let delta = 2.0 * gap.exp();
        let filters = |g: f64, pixels: usize| {
            let middle = (pixels + 1) as f64 / 2.0 * (g + 1.0);
            [-0.5, 0.5].map(|i| {
                let away = |a: usize| (a + 1) as f64 - middle - i * delta;
                let share = |a| (-away(a) * away(a) / (2.0 * variance.exp())).exp();
                let sum: f64 = (0..pixels).map(share).sum();
                (0..pixels).map(|a| share(a) / sum).collect::<Vec<f64>>()
            })
        };
        let (fx, fy) = (filters(x, 3), filters(y, 2));
        let pixels: Vec<(usize, usize)> = (0..6).map(|n| (n / 3, n % 3)).collect();
        let spots = [(0, 0), (0, 1), (1, 0), (1, 1)];
        let read = spots.map(|(i, j)| {
            let terms = pixels.iter().zip(image);
            let terms = terms.map(|((b, a), x)| fy[i][*b] * f64::from(x) * fx[j][*a]);
            gamma.exp() * terms.sum::<f64>()
        });
        let write = pixels.iter().map(|(b, a)| {
            let terms = spots.iter().zip(read);
            let terms = terms.map(|((i, j), x)| fy[*i][*b] * x * fx[*j][*a]);
            terms.sum::<f64>() / gamma.exp()
        });
        for (name, want) in [("line.a", read.to_vec()), ("line.b", write.collect())] {
            let slot = plan.slots.iter().position(|slot| slot.name == name);
            let got = cpu.read(SlotId(slot.unwrap()));
            assert_eq!(got.len(), want.len(), "{name}");
            for (got, want) in got.iter().zip(&want) {
                assert!((got - want).abs() < 1e-14, "{name}: {got} {want}");
            }
        }
    }
}

/// Every state of a cell with several hands its adjoint to the one it began, one that no equation uses elementwise too.
#[test]
fn last_states_of_every_cell_with_several_pass_finite_differences() {
    let model = parse(
        "field source: tokens\nfield target: tokens\nm = rnn(embed(source))\nh = rnn(embed(target), start = m)\n\
         loss cross_entropy(linear(h), next(target))\n",
    );
    let own =
        "state h, s\ns = tanh(linear(x) + linear(s))\nh = sigmoid(linear(x) + linear(h)) * s\n";
    let names = cells::names().map(|name| cells::builtin(name).unwrap());
    let own = Cell::parse("own", own).unwrap();
    let several = names.chain([own]).filter(|cell| cell.states.len() > 1);
    let several: Vec<Cell> = several.collect();
    assert!(several.len() > 10);
    for cell in several {
        let mut model = model.clone();
        model.name = cell.name.clone();
        let spec = Spec {
            cells: vec![Arc::new(cell)],
            ..settings("gru", 1)
        };
        check_differences(&model, &spec);
        check_packed(&model, &spec, sizes(&model, EXAMPLES, 6, 20));
    }
}

/// The words that a plan's slot of this kind is filled with for two texts, the second longer, whose symbols are embedded and summed.
fn symbols_of(symbols: &str, texts: [&[u32]; 2], is: impl Fn(&Recipe) -> bool) -> Vec<u32> {
    let text = format!(
        "field text: tokens\nfield label: class\n\
         loss cross_entropy(linear(sum(embed({symbols}, width = 2))), label)\n"
    );
    let model = Model::parse("m", &text).unwrap();
    let tokens = FieldSize::Tokens {
        symbols: 10,
        marks: [7, 8],
        steps: 4,
        rows: 6,
    };
    let sizes = Sizes {
        examples: 2,
        fields: vec![tokens, FieldSize::Classes(2)],
    };
    let plan = model
        .plan(&Spec::default(), &sizes, Mode::Gradients)
        .unwrap();
    let slot = plan.recipes.find(is).unwrap();
    let texts = Column::Tokens(texts.map(<[u32]>::to_vec).to_vec());
    let columns = [texts, Column::Class(vec![0, 1])];
    let minibatch = Minibatch::new(&plan, &columns, &Weighting::Sums).unwrap();
    let inputs = minibatch.inputs();
    let fillings = inputs.fill(&plan).unwrap();
    let filling = fillings.iter().find(|filling| filling.0 == slot);
    let Some((_, Filling::Words(words))) = filling else {
        panic!("{filling:?}");
    };
    words.to_vec()
}

#[test]
fn each_token_is_read_with_those_before_it_and_start_marks_before_the_first() {
    let is = |recipe: &Recipe| matches!(recipe, Recipe::Grams { .. });
    let words = symbols_of("grams(text, 3, 1000)", [&[1, 2], &[3, 4, 5]], is);
    // The longer text comes first; decimal digits are the tokens.
    assert_eq!(words[..5], [773, 771, 734, 712, 345]);
}

#[test]
fn positions_are_counted_within_each_sequence_up_to_the_last_symbol() {
    let is = |recipe: &Recipe| matches!(recipe, Recipe::Positions { .. });
    let words = symbols_of("positions(text, 3)", [&[1, 2], &[3, 4, 5, 6]], is);
    // Step by step, the longer text first; the third symbol is that of the fourth step, too.
    assert_eq!(words[..6], [0, 0, 1, 1, 2, 2]);
}

/// What settings add to layers and losses of a text.
#[test]
fn settings_reach_the_layers_of_a_text() {
    let tag = library::builtin("tag").unwrap();
    let n_gram = library::builtin("n-gram").unwrap();
    let caption = library::builtin("caption-global").unwrap();
    let base = settings("gru", 2);
    let variants: [(&Model, Spec); 7] = [
        (
            &tag,
            Spec {
                label_smoothing: 0.2,
                ..base.clone()
            },
        ),
        (
            &tag,
            Spec {
                project: 4,
                learn_initial: true,
                ..base.clone()
            },
        ),
        (
            &tag,
            Spec {
                connections: wgrnn::model::Connections {
                    skip: true,
                    residual: false,
                },
                ..base.clone()
            },
        ),
        (
            &n_gram,
            Spec {
                tie: true,
                embed: 3,
                ..base.clone()
            },
        ),
        (
            &n_gram,
            Spec {
                scores_at_once: 12,
                ..base.clone()
            },
        ),
        (
            &caption,
            Spec {
                softmax: Softmax::Adaptive {
                    cutoffs: vec![2, 4],
                },
                hidden: 32,
                ..base.clone()
            },
        ),
        (
            &caption,
            Spec {
                dropout: 0.3,
                weighted: true,
                ..base.clone()
            },
        ),
    ];
    for (n, (model, spec)) in variants.into_iter().enumerate() {
        // A tied n-gram's scores are made of four embeddings, which an embedding is no matrix for.
        if n == 3 {
            let sizes = sizes(model, EXAMPLES, 5, 13);
            let error = model.plan(&spec, &sizes, Mode::Gradients).unwrap_err();
            assert!(error.message.starts_with("tied weights: "), "{error}");
            continue;
        }
        check_differences(model, &spec);
    }
}

/// A token's embedding is dropped wherever a model embeds it, whatever reads it; a class's is not.
#[test]
fn embeddings_of_tokens_are_dropped_wherever_they_are_read() {
    let model = parse(
        "field text: tokens\nfield kind: class\nfield label: class\nh = rnn(dropout(embed(text)))\n\
         s = concat(last(h), sum(embed(grams(text, 2, 9))), embed(kind))\nloss cross_entropy(linear(s), label)\n",
    );
    let mut spec = settings("gru", 1);
    let dropped = |spec: &Spec| {
        let plan = plan(&model, spec, Mode::Gradients);
        let names = plan.ops.iter().map(|op| op.name().to_string());
        let of_tokens = names.filter(|n| n.starts_with("dropout.") && n.ends_with(".tokens"));
        of_tokens.count()
    };
    assert_eq!(dropped(&spec), 0);
    spec.drops.tokens = 0.2;
    assert_eq!(dropped(&spec), 2);
    check_differences(&model, &spec);
}

/// Scores of what is to be predicted are log probabilities, at the rows that a minibatch names.
#[test]
fn scores_are_log_probabilities_of_the_losses() {
    for name in ["classify", "tag-letters", "describe"] {
        let model = library::builtin(name).unwrap();
        let spec = settings("lstm", 1);
        let columns = examples(&model);
        let mut losses: Vec<f64> = Vec::new();
        let evaluate = plan(&model, &spec, Mode::Evaluate);
        let with_targets = Minibatch::new(&evaluate, &columns, &Weighting::Sums).unwrap();
        let parameters = |cpu: &mut Cpu<f64>, plan: &Plan| {
            let mut stream = Stream::new(9, Purpose::Check, 1);
            for p in cpu.write(plan.io.parameters.unwrap()) {
                *p = 0.6 * stream.normal();
            }
        };
        let mut cpu = Cpu::<f64>::new(evaluate.clone());
        parameters(&mut cpu, &evaluate);
        cpu.run(&with_targets.inputs()).unwrap();
        let of = evaluate.io.outputs[0].losses.unwrap();
        losses.extend(&cpu.read(of.slot)[of.offset..of.offset + with_targets.places(0).len()]);

        let scores = plan(&model, &spec, Mode::Scores);
        let targets = model.losses()[0].target;
        let mut unknown = columns.clone();
        if let Target::Class(field) = targets {
            unknown[field] = Column::Absent(EXAMPLES);
        }
        let minibatch = Minibatch::new(&scores, &unknown, &Weighting::Sums).unwrap();
        assert_eq!(minibatch.places(0), with_targets.places(0));
        let mut cpu = Cpu::<f64>::new(scores.clone());
        parameters(&mut cpu, &scores);
        cpu.run(&minibatch.inputs()).unwrap();
        let rows = scores.io.outputs[0].scores.unwrap();
        for (r, (example, step)) in minibatch.places(0).iter().enumerate() {
            let row = &cpu.read(rows.slot)[rows.offset + r * rows.stride..][..rows.cols];
            let sum: f64 = row.iter().map(|x| x.exp()).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{name}: {sum}");
            let target = match (&columns[targets.field().unwrap()], targets) {
                (Column::Class(all), _) => all[*example],
                (Column::Classes(all), _) => all[*example][*step],
                (Column::Tokens(all), _) => all[*example].get(*step).copied().unwrap_or(6),
                _ => unreachable!(),
            };
            let off: f64 = row[target as usize] + losses[r];
            assert!(off.abs() < 1e-12, "{name} {r}: {off}");
        }
    }
}

/// Losses are means over their own rows, weighted by class and by share.
#[test]
fn losses_weigh_their_rows_by_class_and_themselves_by_share() {
    let model = parse(
        "field text: tokens\nfield tags: classes along text\nfield label: class\nh = rnn(embed(text))\n\
         loss cross_entropy(linear(h), tags)\nloss cross_entropy(linear(last(h)), label, weight = 0.5)\n",
    );
    assert_eq!(model.losses()[1].weight, 0.5);
    let spec = settings("gru", 1);
    let columns = examples(&model);
    let evaluate = plan(&model, &spec, Mode::Evaluate);
    let train = plan(&model, &spec, Mode::Gradients);
    let classes = vec![0.5f32, 2.0, 0.0];
    let means = Weighting::Means(vec![
        LossWeight {
            classes: classes.clone(),
            ..LossWeight::default()
        },
        LossWeight {
            share: 0.5,
            classes: Vec::new(),
        },
    ]);
    let run = |plan: &Arc<Plan>, weighting: &Weighting| {
        let minibatch = Minibatch::new(plan, &columns, weighting).unwrap();
        let mut cpu = Cpu::<f64>::new(plan.clone());
        let mut stream = Stream::new(9, Purpose::Check, 1);
        for p in cpu.write(plan.io.parameters.unwrap()) {
            *p = 0.6 * stream.normal();
        }
        let loss = cpu.run(&minibatch.inputs()).unwrap().report.loss * minibatch.scale();
        let of = |n: usize| {
            let of = plan.io.outputs[n].losses.unwrap();
            cpu.read(of.slot)[of.offset..of.offset + minibatch.places(n).len()].to_vec()
        };
        let places = minibatch.places(0).to_vec();
        (loss, of(0), of(1), places)
    };
    let (loss, ..) = run(&train, &means);
    let (sum, tags, labels, places) = run(&evaluate, &Weighting::Sums);
    let all: f64 = tags.iter().chain(&labels).sum();
    assert!((sum - all).abs() < 1e-12 * all);
    let Column::Classes(given) = &columns[1] else {
        unreachable!()
    };
    let weight =
        |(example, step): &(usize, usize)| f64::from(classes[given[*example][*step] as usize]);
    let weights: Vec<f64> = places.iter().map(weight).collect();
    let weighted: f64 = weights.iter().zip(&tags).map(|(w, l)| w * l).sum();
    let mean: f64 = labels.iter().sum::<f64>() / labels.len() as f64;
    let want = weighted / weights.iter().sum::<f64>() + 0.5 * mean;
    // Weights are filled in as f32.
    assert!((loss - want).abs() < 1e-6 * want, "{loss} {want}");
}

/// Language models of a text and of a specification are one plan, whether a stream or lines.
#[test]
fn the_language_model_of_lines_is_that_of_a_specification() {
    let model = library::builtin("language").unwrap();
    let spec = Spec {
        vocab: 7,
        packed: 15,
        targets_apart: true,
        ..settings("lstm", 2)
    };
    let dims = Dims {
        steps: 5,
        batch: EXAMPLES,
    };
    for mode in [Mode::Gradients, Mode::Evaluate] {
        let (own, text) = (
            spec.plan(dims, mode).unwrap(),
            plan(&model, &settings("lstm", 2), mode),
        );
        assert_eq!(own.slots, text.slots);
        let operations = |plan: &Plan| -> Vec<String> {
            plan.ops
                .iter()
                .map(|op| {
                    format!(
                        "{} {} {:?} {:?}",
                        op.name(),
                        op.shape(),
                        op.reads(),
                        op.writes()
                    )
                })
                .collect()
        };
        assert_eq!(operations(&own), operations(&text));
        let parameters = |plan: &Plan| format!("{:?}", plan.parameters);
        assert_eq!(parameters(&own), parameters(&text));
        let names: Vec<&str> = own.parameters.iter().map(|p| p.name.as_str()).collect();
        let first = ["embedding.weight", "rnn.weight_ih_l0", "rnn.weight_hh_l0"];
        assert_eq!(
            (names[..3].to_vec(), names[names.len() - 2..].to_vec()),
            (first.to_vec(), vec!["head.weight", "head.bias"])
        );
    }
}

/// A random model, from its loss down; every value is made by a line of its own or within another.
struct Drawn {
    stream: Stream,
    lines: Vec<String>,
    /// Which fields are used.
    fields: [bool; 5],
}

/// The fields: what a text declares of each.
const DECLARED: [&str; 5] = [
    "field text: tokens",
    "field other: tokens",
    "field letters: tokens within text",
    "field image: vector",
    "field kind: class",
];

/// What a drawn value has a row for.
#[derive(Clone, Copy, PartialEq)]
enum Rows {
    Text,
    Other,
    Letters,
    Examples,
}

impl Drawn {
    fn below(&mut self, n: usize) -> usize {
        ((self.stream.uniform() * n as f32) as usize).min(n - 1)
    }

    /// The name of a field, which is then used.
    fn field(&mut self, n: usize) -> &'static str {
        self.fields[n] = true;
        // What lies within a text needs it.
        self.fields[0] |= n == 2;
        DECLARED[n][6..].split_once(':').unwrap().0
    }

    /// A value 3 wide, at most `depth` calls deep.
    fn value(&mut self, rows: Rows, depth: usize) -> String {
        let made = self.made(rows, depth);
        if self.below(3) > 0 {
            return made;
        }
        let name = format!("v{}", self.lines.len());
        self.lines.push(format!("{name} = {made}"));
        name
    }

    fn made(&mut self, rows: Rows, depth: usize) -> String {
        let above = match rows {
            Rows::Letters => Rows::Text,
            _ => Rows::Examples,
        };
        let leaf = depth == 0;
        if rows == Rows::Examples {
            let source = [Rows::Text, Rows::Other][self.below(2)];
            return match self.below(if leaf { 2 } else { 10 }) {
                0 => format!("linear({})", self.field(3)),
                1 => format!("embed({}, width = 3)", self.field(4)),
                2 | 3 => format!("last({})", self.value(source, depth - 1)),
                4 => format!("linear(last(birnn({})))", self.value(source, depth - 1)),
                5 => format!("mean({})", self.value(source, depth - 1)),
                6 => format!("tanh({})", self.value(rows, depth - 1)),
                7 => format!("max({})", self.value(source, depth - 1)),
                8 => format!(
                    "split(concat({}, {}), 2, 2)",
                    self.value(rows, depth - 1),
                    self.value(rows, depth - 1)
                ),
                _ => format!(
                    "{} - {}",
                    self.value(rows, depth - 1),
                    self.value(rows, depth - 1)
                ),
            };
        }
        let field = match rows {
            Rows::Text => 0,
            Rows::Other => 1,
            _ => 2,
        };
        match self.below(if leaf { 2 } else { 11 }) {
            0 => format!("embed({}, width = 3)", self.field(field)),
            1 => format!("embed(previous({}, 1), width = 3)", self.field(field)),
            2 | 3 => format!("rnn({})", self.value(rows, depth - 1)),
            4 => format!(
                "rnn({}, given = {})",
                self.value(rows, depth - 1),
                self.value(above, depth - 1)
            ),
            8 => format!(
                "rnn({}, start = {})",
                self.value(rows, depth - 1),
                self.value(above, depth - 1)
            ),
            9 => {
                let sequences = match rows {
                    Rows::Letters => rows,
                    _ => [Rows::Text, Rows::Other][self.below(2)],
                };
                format!(
                    "rnn({}, start = rnn({}))",
                    self.value(rows, depth - 1),
                    self.value(sequences, depth - 1)
                )
            }
            5 => format!(
                "linear(concat({}, {}))",
                self.value(rows, depth - 1),
                self.value(above, depth - 1)
            ),
            6 => format!(
                "{} * {}",
                self.value(rows, depth - 1),
                self.value(above, depth - 1)
            ),
            7 if rows == Rows::Text => {
                let letters = self.value(Rows::Letters, depth - 1);
                format!("{} + sum({letters})", self.value(rows, depth - 1))
            }
            _ => format!("norm(dropout({}, rate = 0.2))", self.value(rows, depth - 1)),
        }
    }

    /// The whole text.
    fn model(seed: u64) -> String {
        let mut this = Drawn {
            stream: Stream::new(seed, Purpose::Check, 7),
            lines: Vec::new(),
            fields: [false; 5],
        };
        let text = this.value(Rows::Text, 3);
        let example = this.value(Rows::Examples, 3);
        this.fields[0] = true;
        let declared = DECLARED.iter().zip(this.fields).filter(|(_, used)| *used);
        let mut lines: Vec<String> = declared.map(|(line, _)| line.to_string()).collect();
        lines.push("field tags: classes along text".into());
        lines.push("field label: class".into());
        lines.extend(this.lines);
        lines.push(format!("loss cross_entropy(linear({text}), tags)"));
        lines.push(format!("loss cross_entropy(linear({example}), label)"));
        lines.join("\n")
    }
}

#[test]
fn random_models_pass_finite_differences_and_are_those_alone() {
    for seed in 0..12 {
        let text = Drawn::model(seed);
        let model =
            Model::parse(&format!("seed-{seed}"), &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let cell = ["gru", "rnn", "lstm"][seed as usize % 3];
        check_differences(&model, &settings(cell, 1));
        check_packed(&model, &settings(cell, 1), sizes(&model, EXAMPLES, 5, 15));
    }
}

/// A cell's memories are those that the line gives, in the order in which the cell declares them.
#[test]
fn memories_are_given_in_the_order_of_the_cell() {
    let loss = |declared: &str, given: &str| {
        let cell = format!(
            "memory {declared}\nstate h\na = dot(m, h)\nb = additive(n, h)\nh = tanh(linear(x, h, a) * b)\n"
        );
        let model = parse(&format!(
            "field source: tokens\nfield target: tokens\nm = rnn(embed(source), cell = \"rnn\")\nn = tanh(linear(m))\n\
             h = rnn(embed(target), {given})\nloss cross_entropy(linear(h), next(target))\n"
        ));
        let spec = Spec {
            cells: vec![Arc::new(Cell::parse("two", &cell).unwrap())],
            ..settings("rnn", 1)
        };
        let room = sizes(&model, EXAMPLES, 5, 15);
        let plan = Arc::new(model.plan(&spec, &room, Mode::Gradients).unwrap());
        run(&plan, &examples(&model), true).0
    };
    let as_written = loss("m, n", "memory = m, memory2 = n");
    assert_eq!(as_written, loss("n, m", "memory = n, memory2 = m"));
    assert_ne!(as_written, loss("m, n", "memory = n, memory2 = m"));
}
