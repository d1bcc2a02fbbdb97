//! Texts that are written token by token: the scores of every step are those of the whole text at once, whatever is beside
//! it, in whatever order beginnings lie, on the processor and on an adapter.

mod common;

use std::collections::HashMap;
use std::sync::Arc;

use common::models::{EXAMPLES, examples, settings, sizes};
use common::{device, near};
use pollster::block_on;
use wgrnn::exec::{Device, Engine};
use wgrnn::model::text::{Model, library};
use wgrnn::model::{Init, Mode, Spec, initialize};
use wgrnn::op::{Part, Plan};
use wgrnn::task::{Beginning, Column, Minibatch, Weighting, looks_back};

/// The models, each with its cell and layers.
fn cases() -> Vec<(Model, &'static str, usize)> {
    let builtin = |name: &str| library::builtin(name).unwrap();
    let pair = |name: &str, lines: &str| {
        let text = format!("field source: tokens\nfield target: tokens\n{lines}");
        Model::parse(name, &text).unwrap()
    };
    let begun = "m = rnn(embed(source))\nh = rnn(embed(target), start = m)\n\
                 loss cross_entropy(linear(h), next(target))\n";
    let both = "m = birnn(embed(source))\n\
                h = rnn(embed(target), start = tanh(linear(last(m))), given = mean(m))\n\
                loss cross_entropy(linear(concat(h, last(m))), next(target))\n";
    // What is said of a text beside what it is: nothing of that is needed to write it.
    let beside = "field label: class\nm = rnn(embed(source))\nh = rnn(embed(target), start = m)\n\
                  loss cross_entropy(linear(h), next(target))\n\
                  loss cross_entropy(linear(mean(h)), label)\n";
    let attends = "m = rnn(concat(embed(source), embed(positions(source, 2))))\n\
                   h = rnn(concat(embed(target), embed(positions(target, 3))), start = m)\n\
                   c = additive(m, h)\nloss cross_entropy(linear(concat(h, c)), next(target))\n";
    vec![
        (builtin("translate"), "gru", 1),
        (builtin("translate"), "lstm", 2),
        (builtin("translate-additive"), "gru", 1),
        (builtin("translate-feed"), "lstm", 2),
        (pair("attends", attends), "lstm", 2),
        (builtin("show-attend-tell"), "lstm", 1),
        (builtin("caption-first"), "gru", 2),
        (builtin("s2vt"), "lstm", 1),
        (builtin("describe"), "lstm", 1),
        (builtin("caption-global"), "rnn", 1),
        (builtin("n-gram"), "rnn", 1),
        (builtin("language"), "gru", 2),
        (pair("begun", begun), "gru", 1),
        (pair("begun", begun), "lstm", 1),
        (pair("begun", begun), "gru", 2),
        (pair("begun", begun), "lstm-peephole", 2),
        (pair("both", both), "lstm", 1),
        (pair("beside", beside), "gru", 1),
    ]
}

/// Parameters that are no rounding error beside one another.
fn parameters(plan: &Plan) -> Vec<f32> {
    let init = Init {
        seed: 5,
        ..Init::default()
    };
    let drawn = initialize(plan, &init).unwrap();
    drawn.into_iter().map(|x| 1.5 * x).collect()
}

fn texts(columns: &[Column], field: usize) -> Vec<Vec<u32>> {
    match &columns[field] {
        Column::Tokens(all) => all.clone(),
        other => panic!("{other:?}"),
    }
}

type Scores = HashMap<(usize, usize), Vec<f64>>;

fn placed(
    all: &[f32],
    plan: &Plan,
    loss: usize,
    at: impl Iterator<Item = (usize, usize)>,
) -> Vec<((usize, usize), Vec<f64>)> {
    let m = plan.io.outputs[loss].scores.unwrap();
    let row = |r: usize| &all[m.offset + r * m.stride..][..m.cols];
    at.enumerate()
        .map(|(r, place)| (place, row(r).iter().map(|x| f64::from(*x)).collect()))
        .collect()
}

/// The scores behind every token of every example, by example and step, from whole texts.
fn at_once(model: &Model, spec: &Spec, columns: &[Column], device: &Device) -> Scores {
    let (loss, _) = model.written().unwrap();
    let plan = Arc::new(
        model
            .plan(spec, &sizes(model, EXAMPLES, 5, 15), Mode::Scores)
            .unwrap(),
    );
    let minibatch = Minibatch::new(&plan, columns, &Weighting::Sums).unwrap();
    let all = block_on(async {
        let parameters = parameters(&plan);
        let made = Engine::with_parameters(device, plan.clone(), &parameters);
        let mut engine = made.await.unwrap();
        engine.run(&minibatch.inputs()).await.unwrap();
        engine.outcomes(true).await.unwrap();
        let slot = plan.io.outputs[loss].scores.unwrap().slot;
        engine.read(slot).await.unwrap()
    });
    let places = minibatch.places(loss).iter().copied();
    placed(&all, &plan, loss, places).into_iter().collect()
}

/// The same token by token, beside beginnings that go another way.
fn by_steps(model: &Model, spec: &Spec, columns: &[Column], device: &Device) -> Scores {
    let (loss, field) = model.written().unwrap();
    let plan = model.steps_plan(spec, &sizes(model, EXAMPLES, 5, 15), 2 * EXAMPLES + 1);
    let plan = Arc::new(plan.unwrap());
    let (texts, back) = (texts(columns, field), looks_back(&plan, field));
    let mut columns = columns.to_vec();
    let mut found = Scores::new();
    block_on(async {
        let parameters = parameters(&plan);
        let made = Engine::with_parameters(device, plan.clone(), &parameters);
        let mut engine = made.await.unwrap();
        // By example the row of its text in the step before.
        let mut before = [0; EXAMPLES];
        for step in 0.. {
            let mut rows = Vec::new();
            let mut own = Vec::new();
            for (example, text) in texts.iter().enumerate().filter(|(_, t)| t.len() >= step) {
                let mut begin = text[..step].to_vec();
                for (way, wanted) in [(0, true), (1, false)] {
                    if let Some(last) = begin.last_mut() {
                        *last = (*last + way) % 7;
                    }
                    if wanted || step > 0 {
                        let last = begin[begin.len().saturating_sub(back)..].to_vec();
                        let parent = before[example];
                        own.push(wanted.then_some(example));
                        rows.push(Beginning {
                            example,
                            parent,
                            step,
                            last,
                        });
                    }
                }
            }
            if rows.is_empty() {
                break;
            }
            if step % 2 == 1 {
                rows.reverse();
                own.reverse();
            }
            let examples = EXAMPLES;
            columns[field] = Column::Written { examples, rows };
            let minibatch = match step {
                0 => Minibatch::new(&plan, &columns, &Weighting::Sums),
                _ => Minibatch::step(&plan, &columns),
            };
            let minibatch = minibatch.unwrap();
            let part = minibatch.part();
            engine.run_part(&minibatch.inputs(), part).await.unwrap();
            engine.outcomes(true).await.unwrap();
            let slot = plan.io.outputs[loss].scores.unwrap().slot;
            let all = engine.read(slot).await.unwrap();
            let places = own.iter().map(|own| (own.unwrap_or(EXAMPLES), step));
            for (row, (place, scores)) in placed(&all, &plan, loss, places).into_iter().enumerate()
            {
                if place.0 < EXAMPLES {
                    before[place.0] = row;
                    found.insert(place, scores);
                }
            }
        }
    });
    found
}

fn compare(device: &Device) {
    for (model, cell, layers) in cases() {
        let spec = settings(cell, layers);
        let columns = examples(&model);
        let whole = at_once(&model, &spec, &columns, &Device::Cpu);
        let steps = by_steps(&model, &spec, &columns, device);
        assert_eq!(whole.len(), steps.len(), "{}", model.name);
        for (place, want) in &whole {
            let what = format!("{} of {cell}, {layers} layers, {place:?}", model.name);
            near(&what, &steps[place], want, 1e-5);
        }
        // The scores hang on what a text is about, and on what it begins with.
        let distinct = |a: usize, b: usize| whole[&(a, 1)] != whole[&(b, 1)];
        assert!(distinct(0, 1) || distinct(1, 3), "{}", model.name);
    }
}

#[test]
fn steps_have_the_scores_of_whole_texts() {
    compare(&Device::Cpu);
}

#[test]
fn steps_on_an_adapter_have_the_scores_of_whole_texts() {
    compare(&Device::Gpu(device()));
}

#[test]
fn what_the_examples_are_about_runs_once_and_nothing_runs_in_vain() {
    for (model, cell, layers) in cases() {
        let plan = model.steps_plan(&settings(cell, layers), &sizes(&model, EXAMPLES, 5, 15), 9);
        let plan = plan.unwrap();
        let steps = plan.step.as_ref().unwrap();
        let once = plan.ops.iter().zip(&steps.ops).filter(|(_, step)| !**step);
        let once: Vec<&str> = once.map(|(op, _)| op.name()).collect();
        let scans = |names: &[&str]| names.iter().filter(|n| n.starts_with("forward.")).count();
        let own = plan.ops.iter().zip(&steps.ops).filter(|(_, step)| **step);
        let own: Vec<&str> = own.map(|(op, _)| op.name()).collect();
        let want = match model.name.as_str() {
            "n-gram" => [0, 0],
            "s2vt" => [2, 2],
            "both" => [2, layers],
            "translate" | "translate-additive" => [2 * layers, layers],
            "translate-feed" => [layers, layers],
            "attends" | "begun" | "beside" => [layers, layers],
            _ => [0, layers],
        };
        assert_eq!([scans(&once), scans(&own)], want, "{once:?} {own:?}");
        assert!(
            !own.iter().any(|name| name.starts_with("start.")),
            "{own:?}"
        );
        let all = [once, own].concat();
        // The label's loss has a mean, which no text needs.
        let pooled = all.iter().any(|name| name.starts_with("pooled"));
        let means = ["both", "show-attend-tell"].contains(&model.name.as_str());
        assert_eq!(pooled, means, "{all:?}");
        assert_eq!(plan.faults(), Vec::<String>::new());
    }
}

#[test]
fn what_is_no_step_is_refused() {
    let model = library::builtin("describe").unwrap();
    let spec = settings("gru", 1);
    let plan = model
        .steps_plan(&spec, &sizes(&model, EXAMPLES, 5, 15), 3)
        .unwrap();
    let beginning = |example, parent| Beginning {
        example,
        parent,
        step: 0,
        last: vec![],
    };
    let kinds = Column::Class(vec![0, 1]);
    let fault = |rows: Vec<Beginning>| {
        let columns = [kinds.clone(), Column::Written { examples: 2, rows }];
        Minibatch::new(&plan, &columns, &Weighting::Sums)
            .map(|_| ())
            .unwrap_err()
            .message
    };
    assert!(fault(vec![]).contains("beginnings"));
    assert!(fault(vec![beginning(2, 0)]).contains("example 2 of 2"));
    let four = vec![beginning(0, 0); 4];
    assert!(fault(four).contains("at most 3"));
    let columns = [kinds.clone(), Column::Tokens(vec![vec![1], vec![2]])];
    assert!(Minibatch::new(&plan, &columns, &Weighting::Sums).is_err());
    // A parent that is no row, and the steps of a plan that has none.
    let rows = vec![beginning(1, 3)];
    let columns = [kinds.clone(), Column::Written { examples: 2, rows }];
    let minibatch = Minibatch::new(&plan, &columns, &Weighting::Sums).unwrap();
    block_on(async {
        let plan = Arc::new(plan);
        let mut engine = Engine::new(&Device::Cpu, plan).await.unwrap();
        let e = engine.run(&minibatch.inputs()).await.unwrap_err();
        assert!(
            e.message.contains("parents") && e.message.contains("below 3"),
            "{e}"
        );
        let whole = model.plan(&spec, &sizes(&model, EXAMPLES, 5, 15), Mode::Scores);
        let mut engine = Engine::new(&Device::Cpu, Arc::new(whole.unwrap()))
            .await
            .unwrap();
        let columns = [kinds, Column::Tokens(vec![vec![1], vec![2]])];
        let minibatch = Minibatch::new(engine.plan(), &columns, &Weighting::Sums).unwrap();
        let e = engine
            .run_part(&minibatch.inputs(), Part::Step)
            .await
            .unwrap_err();
        assert!(e.message.contains("no steps"), "{e}");
    });
}

#[test]
fn a_model_without_one_next_token_writes_nothing() {
    let refused = |name: &str, text: &str| Model::parse(name, text).unwrap().written().unwrap_err();
    let two = "field a: tokens\nfield b: tokens\nloss cross_entropy(linear(rnn(embed(a))), next(a))\n\
               loss cross_entropy(linear(rnn(embed(b))), next(b))\n";
    assert!(
        refused("two", two)
            .message
            .contains("expected one loss that predicts a next token")
    );
}
