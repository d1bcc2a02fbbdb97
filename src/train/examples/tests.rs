//! Examples on their way through training: minibatches fit their plans, measures are those of the scores, texts come back.

use std::io::Cursor;
use std::sync::Arc;

use pollster::block_on;

use super::*;
use crate::cell::library;
use crate::data::fields::{FieldFile, ReadRules, VocabularyRules, read};
use crate::data::{BatchSize, VocabKind, VocabularyRecipe};
use crate::exec::{Device, Engine};
use crate::model::{Init, Mode, Spec, initialize};
use crate::task::{Minibatch, Weighting};
use crate::train::generator;
use crate::train::settings::{BestBy, TeacherForcingName};
use crate::train::{Choice, Event, FieldData, Job, Length, Mixing, Settings, Trainer};

/// The examples that `text` has for `model`, in the format called `format`.
fn examples(model: &str, text: &str, format: &str) -> (FieldCodes, ExampleSet) {
    let model = Arc::new(text::library::builtin(model).unwrap());
    let file = FieldFile {
        field: None,
        path: "-".into(),
    };
    let rules = ReadRules {
        format: Some(crate::data::fields::FileFormat::parse(format).unwrap()),
        ..ReadRules::default()
    };
    let folder = std::env::temp_dir();
    let mut stdin = Cursor::new(text.to_string());
    let read = read(&fields(&model), &[file], &rules, &folder, &mut stdin).unwrap();
    let words = format == "conll";
    let default = VocabularyRecipe {
        kind: if words {
            VocabKind::Word
        } else {
            VocabKind::Char
        },
        ..VocabularyRecipe::default()
    };
    let rules = VocabularyRules {
        default,
        ..VocabularyRules::default()
    };
    let (codes, _) = FieldCodes::build(&read, &rules).unwrap();
    let records = Arc::new(codes.encode(&read, &folder).unwrap());
    let numbers = (0..records.len() as u32).collect();
    (
        codes,
        ExampleSet::new(model, records, numbers, Some(1)).unwrap(),
    )
}

const LABELS: &str =
    "a\tmoon and sun\nb\tsea\na\tmoons\nb\tseas and\na\tsun\nc\tso\nc\tsum of it all\n";
const TAGS: &str = "the D\ncat N\nsat V\n\nit P\nsat V\n\ncats N\n\nso A\nthe D\nvery A\nbig A\n";

fn spec(settings: &Settings) -> Spec {
    crate::train::spec(settings, vec![library::builtin("gru").unwrap()], 0)
}

#[test]
fn every_minibatch_fits_the_sizes() {
    let sets = [
        ("classify", LABELS.to_string(), "tsv"),
        ("describe", LABELS.to_string(), "tsv"),
        ("tag", TAGS.replace(' ', "\t"), "conll"),
        ("tag-letters", TAGS.replace(' ', "\t"), "conll"),
    ];
    let settings = Settings {
        hidden: 3,
        embed: 2,
        ..Settings::default()
    };
    for (model, text, format) in sets {
        let (codes, set) = examples(model, &text, format);
        for size in [
            BatchSize::Sentences(2),
            BatchSize::Sentences(99),
            BatchSize::Tokens(1),
            BatchSize::Tokens(9),
        ] {
            let sizes = set.sizes(&codes, size).unwrap();
            let plan = set
                .model()
                .plan(&spec(&settings), &sizes, Mode::Evaluate)
                .unwrap();
            // Whichever examples meet.
            for seed in 0..6 {
                let batching = crate::data::Batching {
                    order: crate::data::LineOrder::Shuffle,
                    size,
                    bucket: 0,
                };
                for batch in batching.epoch(&set, seed, 0).iter() {
                    let columns = set.columns(batch).unwrap();
                    let made = Minibatch::new(&plan, &columns, &Weighting::Sums);
                    assert!(made.is_ok(), "{model} {size:?}: {made:?}");
                }
            }
        }
        let all: Vec<u32> = (0..set.len() as u32).collect();
        let steps: usize = all.iter().map(|e| set.target(*e)).sum();
        let want = if model == "classify" {
            set.len()
        } else {
            steps
        };
        assert_eq!(set.predictions(), want as u64, "{model}");
    }
}

/// The mean of -ln softmax(scores)[gold], and the first of the highest scores, one prediction at a time.
#[test]
fn losses_and_labels_are_those_of_the_scores() {
    let settings = Settings {
        hidden: 4,
        embed: 3,
        ..Settings::default()
    };
    for (model, text, format) in [
        ("classify", LABELS.to_string(), "tsv"),
        ("tag", TAGS.replace(' ', "\t"), "conll"),
    ] {
        let (codes, set) = examples(model, &text, format);
        let mut evaluator = FieldEvaluator::new(&spec(&settings), set.clone(), &codes).unwrap();
        let parameters: Vec<f32> = (0..evaluator.plan().arena)
            .map(|i| ((i * 37 % 101) as f32 / 50.0 - 1.0) * 1.5)
            .collect();
        let mut rows = Vec::new();
        let found = block_on(
            evaluator.run(&Device::Cpu, &parameters, &mut |scored: Scored<'_>| {
                rows.push((scored.example, scored.step, scored.scores.to_vec()));
                Ok(())
            }),
        );
        let loss = &found.unwrap().losses[0];
        let labels = loss.labels.as_ref().unwrap();
        assert_eq!((rows.len(), loss.count), (labels.gold.len(), rows.len()));
        assert_eq!(set.predictions(), rows.len() as u64);
        let mut sum = 0.0;
        for (n, (example, step, scores)) in rows.iter().enumerate() {
            assert_eq!(labels.places[n], (*example, *step));
            let columns = set.columns(&[*example]).unwrap();
            let gold = columns.iter().find_map(|column| match column {
                Column::Class(of) => Some(of[0]),
                Column::Classes(of) => Some(of[0][*step]),
                _ => None,
            });
            assert_eq!(Some(labels.gold[n]), gold);
            let exps = scores.iter().map(|s| f64::from(*s).exp());
            let p = f64::from(scores[labels.gold[n] as usize]).exp() / exps.sum::<f64>();
            sum -= p.ln();
            let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(scores[labels.predicted[n] as usize], best);
        }
        assert!(
            (sum / rows.len() as f64 - loss.nats).abs() < 1e-5,
            "{model}"
        );
    }
}

#[test]
fn metrics_are_compared_by_what_is_better() {
    let of = |by, value| Metric { by, value }.score();
    assert!(of(BestBy::Loss, 0.2) < of(BestBy::Loss, 0.3));
    assert!(of(BestBy::Accuracy, 0.3) < of(BestBy::Accuracy, 0.2));
    assert!(of(BestBy::MacroF1, 0.3) < of(BestBy::MacroF1, 0.2));
    let labels = Labels {
        classes: 3,
        gold: vec![0, 0, 1, 1],
        predicted: vec![0, 0, 1, 0],
        places: vec![(0, 0), (1, 0), (2, 0), (3, 0)],
    };
    let found = FieldEvaluation {
        glimpses: Vec::new(),
        losses: vec![LossEvaluation {
            field: Some(1),
            nats: 0.7,
            count: 4,
            labels: Some(labels),
            right: None,
            numbers: None,
        }],
        nats: 0.7,
    };
    let metric = |by| Metric::of(&found, by).unwrap();
    assert_eq!(metric(BestBy::Accuracy).value, 0.75);
    // F1 of class 0: 4/5, of class 1: 2/3; class 2 is in neither list.
    assert!((metric(BestBy::MacroF1).value - 22.0 / 30.0).abs() < 1e-12);
    assert_eq!(metric(BestBy::Loss).value, 0.7);
}

/// Trains on all examples and returns the flat parameters of the training plan.
fn trained(settings: Settings, steps: u64, codes: &FieldCodes, set: &ExampleSet) -> Vec<f32> {
    let data = FieldData {
        codes: codes.clone(),
        train: set.clone(),
        validation: None,
    };
    let model = spec(&settings);
    let job = Job::of_fields(settings, model, Length::Steps(steps), &data).unwrap();
    let start = job.start().unwrap();
    block_on(async {
        let mut trainer = Trainer::new(Device::Cpu, job, start).await.unwrap();
        let mut kept = None;
        loop {
            match trainer.next(0.0, false).await.unwrap() {
                Event::Save { state, .. } => kept = Some(state.parameters),
                Event::Finished => break,
                _ => {}
            }
        }
        kept.unwrap()
    })
}

/// A text a class comes back when its class is given, whatever is beside it; a draw hangs on the example's number alone.
#[test]
fn texts_that_were_learned_are_written() {
    let text = "kind\ttext\na\tmoon\nb\tsea\nc\tsoon\n";
    let (codes, set) = examples("describe", text, "tsv");
    let settings = Settings {
        hidden: 24,
        embed: 6,
        lr: 0.02,
        batch: 3,
        ..Settings::default()
    };
    let parameters = trained(settings.clone(), 150, &codes, &set);
    let vocabulary = codes.vocabulary("text").unwrap();
    let begun = |set: &ExampleSet, prime: &str, temperature: f64, most: usize| {
        let limits = TextLimits {
            prime: vocabulary.encode(prime.as_bytes()).unwrap(),
            most,
            ..TextLimits::default()
        };
        let choice = Choice {
            temperature,
            ..Choice::default()
        };
        let weights = |_: &crate::op::Plan| Ok(parameters.clone());
        let model = spec(&settings);
        let ids = block_on(async {
            let made = TextWriter::new(&Device::Cpu, &model, set.clone(), &codes, weights, limits);
            made.await?.write(&choice).await
        });
        let texts = ids.unwrap().into_iter();
        texts
            .map(|found| String::from_utf8(vocabulary.decode(&found[0].tokens)).unwrap())
            .collect::<Vec<_>>()
    };
    let write = |set: &ExampleSet, temperature, most| begun(set, "", temperature, most);
    assert_eq!(write(&set, 0.0, 9), ["moon", "sea", "soon"]);
    assert_eq!(write(&set, 0.0, 3), ["moo", "sea", "soo"]);
    assert_eq!(begun(&set, "mo", 0.0, 1)[0], "moo");
    assert_eq!(begun(&set, "s", 0.0, 0), ["s", "s", "s"]);
    let alone =
        ExampleSet::new(set.model().clone(), set.records.clone(), vec![0], Some(1)).unwrap();
    for temperature in [0.0, 2.0] {
        let (one, all) = (write(&alone, temperature, 9), write(&set, temperature, 9));
        assert_eq!(one[0], all[0]);
    }
}

#[test]
fn a_run_ends_when_nothing_gets_better() {
    let (codes, set) = examples("classify", LABELS, "tsv");
    let settings = Settings {
        hidden: 3,
        batch: 7,
        stop_after: 2,
        eval_every: Some(1),
        best_by: Some(BestBy::Accuracy),
        ..Settings::default()
    };
    let data = FieldData {
        codes,
        train: set.clone(),
        validation: Some(set),
    };
    let model = spec(&settings);
    let job = Job::of_fields(settings, model, Length::Steps(1000), &data).unwrap();
    let start = job.start().unwrap();
    let (mut evaluations, mut best) = (0, 0);
    let counters = block_on(async {
        let mut trainer = Trainer::new(Device::Cpu, job, start).await.unwrap();
        loop {
            match trainer.next(0.0, false).await.unwrap() {
                Event::Evaluated { best: true, .. } => {
                    (evaluations, best) = (evaluations + 1, evaluations + 1)
                }
                Event::Evaluated { .. } => evaluations += 1,
                Event::Finished => break *trainer.counters(),
                _ => {}
            }
        }
    });
    assert_eq!(evaluations - best, 2);
    assert_eq!(counters.step, evaluations);
    assert_eq!(counters.without_better, 2);
    assert!(matches!(
        counters.best.unwrap().metric,
        Some(Metric {
            by: BestBy::Accuracy,
            ..
        })
    ));
}

/// The loss is the weighted mean where classes have weights, and its gradient, too: a class of weight 0 says nothing.
#[test]
fn classes_that_weigh_nothing_are_not_learned() {
    let (codes, set) = examples("classify", LABELS, "tsv");
    let settings = |weights: &str| Settings {
        hidden: 8,
        batch: 7,
        lr: 0.02,
        class_weights: Some(weights.into()),
        ..Settings::default()
    };
    let share = |weights: &str, class: &str| {
        let settings = settings(weights);
        let parameters = trained(settings.clone(), 60, &codes, &set);
        let mut evaluator = FieldEvaluator::new(&spec(&settings), set.clone(), &codes).unwrap();
        let found = block_on(evaluator.run(&Device::Cpu, &parameters, &mut |_| Ok(()))).unwrap();
        let class = codes.classes("label").unwrap().find(class).unwrap();
        let labels = found.losses[0].labels.clone().unwrap();
        labels.predicted.iter().filter(|p| **p == class).count()
    };
    assert_eq!(share("none", "c"), 2);
    assert_eq!(share("c=0", "c"), 0);
    let e = Job::of_fields(
        settings("d=2"),
        spec(&settings("d=2")),
        Length::Steps(1),
        &FieldData {
            codes: codes.clone(),
            train: set.clone(),
            validation: None,
        },
    );
    let e = e.unwrap_err();
    assert!(e.message.contains('d'), "{e}");
}

const PAIRS: &str = "source\ttarget\nabc\tcba\nbca\tacbacb\nc\tc\naab\tbaa\n";

/// Every token that scheduled sampling puts in the place of a true one is drawn from what the whole model makes of the inputs before
/// it, and nothing but inputs changes.
#[test]
fn a_decoder_reads_what_the_whole_model_draws() {
    let settings = Settings {
        hidden: 5,
        embed: 4,
        ..Settings::default()
    };
    for (model, text) in [
        ("describe", LABELS.replacen("a\t", "kind\ttext\na\t", 1)),
        ("translate", PAIRS.into()),
    ] {
        let (codes, set) = examples(model, &text, "tsv");
        let (loss, field) = set.model().written().unwrap();
        let (model, spec) = (set.model().clone(), spec(&settings));
        let size = BatchSize::Sentences(set.len());
        let sizes = set.sizes(&codes, size).unwrap();
        let whole = Arc::new(model.plan(&spec, &sizes, Mode::Scores).unwrap());
        let init = Init {
            seed: 3,
            scale: 3.0,
            ..Init::default()
        };
        let parameters = initialize(&whole, &init).unwrap();
        let order: Vec<u32> = (0..set.len() as u32).rev().collect();
        let Column::Tokens(truth) = set.columns(&order).unwrap().swap_remove(field) else {
            panic!("tokens");
        };
        for epsilon in [1.0, 0.6, 0.0] {
            let mixing = Mixing {
                seed: 4,
                step: 7,
                epsilon,
            };
            let (mixed, places, scores) = block_on(async {
                let made = Engine::with_parameters(&Device::Cpu, whole.clone(), &parameters);
                let mut engine = made.await.unwrap();
                let steps = model.steps_plan(&spec, &sizes, sizes.examples).unwrap();
                let mixer = ExampleMixer::shared(&mut engine, Arc::new(steps), set.clone());
                let mixed = mixer.await.unwrap().mix(&order, &mixing).await.unwrap();
                let Some(columns) = mixed else {
                    return (None, Vec::new(), Vec::new());
                };
                let minibatch = Minibatch::new(&whole, &columns, &Weighting::Sums).unwrap();
                engine.run(&minibatch.inputs()).await.unwrap();
                engine.outcomes(true).await.unwrap();
                let m = whole.io.outputs[loss].scores.unwrap();
                let all = engine.read(m.slot).await.unwrap();
                let places = minibatch.places(loss).to_vec();
                let row = |row: usize| all[m.offset + row * m.stride..][..m.cols].to_vec();
                let scores: Vec<Vec<f32>> = (0..places.len()).map(row).collect();
                (Some(columns), places, scores)
            });
            let Some(columns) = mixed else {
                assert_eq!(epsilon, 1.0);
                continue;
            };
            let Column::Mixed { tokens, read } = &columns[field] else {
                panic!("mixed tokens");
            };
            assert_eq!(*tokens, truth);
            let crate::model::text::FieldSize::Tokens { marks, .. } = sizes.fields[field] else {
                panic!("marks");
            };
            let first = |example: usize| truth[..example].iter().map(Vec::len).sum::<usize>();
            let (mut drawn, mut kept) = (0, 0);
            for ((example, step), scores) in places.into_iter().zip(scores) {
                let Some(token) = read[example].get(step) else {
                    continue;
                };
                let [keeps, u] = mixing.numbers(first(example) + step);
                if f64::from(keeps) < epsilon {
                    assert_eq!(*token, truth[example][step]);
                    kept += 1;
                } else {
                    assert_eq!(Ok(*token), generator::draw(&scores, u, &marks));
                    drawn += 1;
                }
            }
            assert!(drawn > 4 && (kept > 4 || epsilon == 0.0), "{drawn} {kept}");
            // What is to be predicted stays.
            let plan = model.plan(&spec, &sizes, Mode::Evaluate).unwrap();
            let of = |columns: &[Column]| {
                let made = Minibatch::new(&plan, columns, &Weighting::Sums).unwrap();
                made.targets(loss).to_vec()
            };
            assert_eq!(of(&columns), of(&set.columns(&order).unwrap()));
        }
    }
}

/// With scheduled sampling other weights come out than without, and the same ones twice.
#[test]
fn scheduled_sampling_of_fields_hangs_on_the_seed_alone() {
    let (codes, set) = examples("translate", PAIRS, "tsv");
    let of = |scheduled_sampling, seed| {
        let settings = Settings {
            hidden: 5,
            embed: 4,
            batch: 2,
            scheduled_sampling,
            sampling_k: (scheduled_sampling != TeacherForcingName::Off).then_some(0.5),
            seed,
            ..Settings::default()
        };
        trained(settings, 6, &codes, &set)
    };
    let mixed = of(TeacherForcingName::Linear, 1);
    assert_eq!(mixed, of(TeacherForcingName::Linear, 1));
    assert_ne!(mixed, of(TeacherForcingName::Off, 1));
    let (codes, set) = examples("classify", LABELS, "tsv");
    let settings = Settings {
        scheduled_sampling: TeacherForcingName::Linear,
        ..Settings::default()
    };
    let data = FieldData {
        codes,
        train: set,
        validation: None,
    };
    let job = Job::of_fields(settings.clone(), spec(&settings), Length::Steps(1), &data);
    let e = job.unwrap_err();
    assert!(
        e.message.starts_with("scheduled-sampling: model classify"),
        "{e}"
    );
}

/// A next token is right where no symbol has a higher score behind the true ones, example by example.
#[test]
fn next_tokens_that_are_right_are_counted() {
    let settings = Settings {
        hidden: 16,
        embed: 6,
        lr: 0.02,
        batch: 4,
        ..Settings::default()
    };
    let text = LABELS.replacen("a\t", "kind\ttext\na\t", 1);
    let (codes, set) = examples("describe", &text, "tsv");
    let spec = spec(&settings);
    let parameters = trained(settings.clone(), 40, &codes, &set);
    let run = |evaluator: FieldEvaluator| {
        let mut evaluator = evaluator;
        block_on(evaluator.run(&Device::Cpu, &parameters, &mut |_| Ok(()))).unwrap()
    };
    let evaluator = || FieldEvaluator::new(&spec, set.clone(), &codes).unwrap();
    let found = run(evaluator().with_accuracy());
    assert_eq!(run(evaluator()).losses[0].right, None);
    let mut right = 0;
    for example in 0..set.len() as u32 {
        let columns = set.columns(&[example]).unwrap();
        let sizes = set.sizes(&codes, BatchSize::Sentences(1)).unwrap();
        let plan = Arc::new(set.model().plan(&spec, &sizes, Mode::Evaluate).unwrap());
        let minibatch = Minibatch::new(&plan, &columns, &Weighting::Sums).unwrap();
        let m = plan.io.outputs[0].scores.unwrap();
        let scores = block_on(async {
            let made = Engine::with_parameters(&Device::Cpu, plan.clone(), &parameters);
            let mut engine = made.await.unwrap();
            engine.run(&minibatch.inputs()).await.unwrap();
            engine.outcomes(true).await.unwrap();
            engine.read(m.slot).await.unwrap()
        });
        for (row, gold) in minibatch.targets(0).iter().enumerate() {
            let row = &scores[m.offset + row * m.stride..][..m.cols];
            right += usize::from(row.iter().all(|score| *score <= row[*gold as usize]));
        }
    }
    let loss = &found.losses[0];
    assert_eq!(loss.right, Some(right));
    assert!(
        right > loss.count / 4 && right < loss.count,
        "{right} of {}",
        loss.count
    );
}
