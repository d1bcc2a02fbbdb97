//! The training loop on the CPU executor, in process: it goes on to the bit, it evaluates whatever the batch size, it
//! stops at a loss that is not finite without touching the weights.

use std::collections::HashSet;
use std::sync::Arc;

use pollster::block_on;
use wgrnn::Kind;
use wgrnn::cell::library;
use wgrnn::data::{Dataset, LineOrder, Lines, Tokens, VocabKind, VocabularyRecipe};
use wgrnn::exec::Device;
use wgrnn::exec::cpu::Cpu;
use wgrnn::op::Hyper;
use wgrnn::task::Inputs;
use wgrnn::train::settings::{OptimizerName, Reduce, ScheduleName, TeacherForcingName};
use wgrnn::train::{
    About, Checkpoint, Dynamic, Evaluator, Event, Figures, Generator, Job, Learner, Length,
    MixedSegment, Mixer, Mixing, Settings, State, Trainer, spec,
};

/// A text with some structure, of a few hundred characters.
fn text(n: usize) -> String {
    let words = ["the", "cat", "sat", "on", "a", "mat", "and", "ran", "off"];
    (0..n)
        .map(|i| words[(i * i + i / 3) % words.len()])
        .collect::<Vec<_>>()
        .join(" ")
}

/// Two layers on an embedding, with every form of noise, penalties and connections; an epoch of a few steps.
fn settings() -> Settings {
    Settings {
        dropout: 0.4,
        dropout_input: 0.2,
        dropout_embedding: 0.1,
        dropout_weights: 0.3,
        dropout_locked: true,
        activation_penalty: 0.2,
        temporal_penalty: 0.1,
        norm_stabilizer: 0.1,
        zoneout: 0.1,
        zoneout_memory: 0.2,
        dropout_recurrent: 0.2,
        ..composed()
    }
}

/// With everything that stands between layers of a language model, and no noise.
fn composed() -> Settings {
    Settings {
        residual: true,
        skip: true,
        layer_norm: true,
        project: 4,
        learn_initial: true,
        ..plain()
    }
}

/// The same without any of that.
fn plain() -> Settings {
    Settings {
        cell: "gru-cho".into(),
        hidden: 7,
        layers: 2,
        embed: 5,
        seq_len: 5,
        batch: 3,
        clip_norm: 1.0,
        seed: 9,
        sample_every: 4,
        eval_every: Some(3),
        save_every: 0,
        schedule: ScheduleName::Plateau,
        patience: 0,
        val: 0.2,
        ..Settings::default()
    }
}

struct Setting {
    about: About,
    tokens: Vec<u32>,
    /// The words of the text as lines, where the settings say so.
    lines: Option<Lines>,
    settings: Settings,
}

impl Setting {
    fn new(settings: Settings) -> Setting {
        let text = text(50);
        let recipe = VocabularyRecipe {
            kind: VocabKind::Char,
            min_count: 1,
            max_size: None,
            lines: settings.lines,
            ..VocabularyRecipe::default()
        };
        let vocabulary = recipe.build(text.as_bytes()).unwrap();
        let lines = settings.lines.then(|| {
            let words = text.split_whitespace();
            let lists: Vec<Vec<u32>> = words
                .map(|w| vocabulary.encode(w.as_bytes()).unwrap())
                .collect();
            let (start, end) = (vocabulary.start_id(), vocabulary.end_id());
            Lines::from_lists(&lists, start.unwrap(), end.unwrap()).unwrap()
        });
        let cell = library::builtin(&settings.cell).unwrap();
        Setting {
            tokens: match lines {
                Some(_) => Vec::new(),
                None => vocabulary.encode(text.as_bytes()).unwrap(),
            },
            lines,
            about: About {
                program: "test".into(),
                settings: settings.to_toml().unwrap(),
                symbols: vocabulary.clone().into(),
                cells: vec![(&cell).into()],
                text: None,
                valid: None,
                floor: None,
            },
            settings,
        }
    }

    fn job(&self, steps: u64) -> Job {
        let cells = self.about.cells().unwrap();
        let spec = spec(
            &self.settings,
            cells,
            self.about.vocabulary().unwrap().len(),
        );
        let cut = self.tokens.len() * 4 / 5;
        let (train, validation) = match &self.lines {
            Some(lines) => Dataset::from(lines.clone())
                .split(self.settings.val)
                .unwrap(),
            None => {
                let (train, validation) = self.tokens.split_at(cut);
                let stream = |tokens: &[u32]| Dataset::from(Tokens::from(tokens.to_vec()));
                (stream(train), stream(validation))
            }
        };
        Job::new(
            self.settings.clone(),
            spec,
            Length::Steps(steps),
            train,
            validation,
        )
        .unwrap()
    }

    /// Trains up to `steps` from `from`; gives the last state's file and all figures.
    fn train(&self, steps: u64, from: Option<&[u8]>) -> (Vec<u8>, Vec<Figures>) {
        let job = self.job(steps);
        let plan = job.plan.clone();
        let state = match from {
            None => job.start().unwrap(),
            Some(bytes) => {
                let checkpoint = Checkpoint::from_bytes(bytes).unwrap();
                State::from_checkpoint(&plan, &checkpoint).unwrap()
            }
        };
        let mut trainer = block_on(Trainer::new(Device::Cpu, job, state)).unwrap();
        let (mut last, mut figures) = (Vec::new(), Vec::new());
        loop {
            // The clock does not count here, so that files are equal to the byte.
            match block_on(trainer.next(0.0, false)).unwrap() {
                Event::Steps(new) => figures.extend(new),
                Event::Save { state, best: false } => {
                    last = state
                        .to_checkpoint(&plan, &self.about)
                        .unwrap()
                        .to_bytes()
                        .unwrap();
                }
                Event::Finished => return (last, figures),
                _ => {}
            }
        }
    }
}

#[test]
fn a_stopped_run_goes_on_to_the_bit() {
    for optimizer in [OptimizerName::Adam, OptimizerName::RmsProp] {
        let momentum = match optimizer {
            OptimizerName::RmsProp => 0.5,
            _ => 0.0,
        };
        let setting = Setting::new(Settings {
            optimizer,
            momentum,
            // Too much, so that evaluations get worse at times and the plateau has something to remember.
            lr: 0.05,
            ..settings()
        });
        let figures = goes_on(&setting);
        let plateaus = figures.iter().any(|f| f.lr < figures[0].lr);
        assert!(plateaus, "the schedule has nothing to remember");
    }
}

#[test]
fn a_stopped_run_over_lines_goes_on_to_the_bit() {
    for (batch_tokens, bucket, reduce, accumulate) in [
        (0, 0, Reduce::Token, 1),
        (23, 2, Reduce::Row, 1),
        (11, 0, Reduce::Token, 2),
    ] {
        let setting = Setting::new(Settings {
            lines: true,
            line_order: LineOrder::Target,
            batch_tokens,
            bucket,
            reduce,
            accumulate,
            learn_initial: true,
            ..plain()
        });
        let figures = goes_on(&setting);
        let lengths: HashSet<usize> = figures.iter().map(|f| f.tokens).collect();
        assert!(lengths.len() > 2, "minibatches of different sizes");
        let ends: Vec<&Figures> = figures.iter().filter(|f| f.train.is_some()).collect();
        assert_eq!(ends.len(), 2);
        for end in ends {
            // What an epoch's mean is: all predictions count the same.
            let epoch = figures.iter().filter(|f| f.epoch == end.epoch);
            let (sum, count) = epoch.fold((0.0, 0), |(sum, count), f| {
                (sum + f.loss * f.tokens as f64, count + f.tokens)
            });
            assert!((end.train.unwrap() - sum / count as f64).abs() < 1e-12);
            assert!(end.padding.is_some_and(|share| share > 0.0 && share < 0.5));
        }
        assert!(figures.last().unwrap().loss < figures[0].loss);
    }
}

/// Runs that stop in mid-epoch, at an epoch's end, after the first step, equal one that does not, whose figures are given
/// back.
fn goes_on(setting: &Setting) -> Vec<Figures> {
    let per_epoch = setting.job(1).steps_per_epoch();
    let total = 2 * per_epoch + 4;
    let (whole, figures) = setting.train(total, None);
    assert_eq!(figures.len() as u64, total);
    for stop in [1, 6, per_epoch, per_epoch + 5] {
        let (half, before) = setting.train(stop, None);
        let (rest, after) = setting.train(total, Some(&half));
        let both: Vec<Figures> = before.into_iter().chain(after).collect();
        assert_eq!(both, figures, "stopped at {stop}");
        let (a, b) = (
            Checkpoint::from_bytes(&whole).unwrap(),
            Checkpoint::from_bytes(&rest).unwrap(),
        );
        assert_eq!(a.tensors, b.tensors, "stopped at {stop}");
        // A stop adds an evaluation of its own, which may be a best one; nothing of training hangs on it.
        for key in ["step", "plateau", "meter", "steps_per_epoch"] {
            let at = format!("/counters/{key}");
            assert_eq!(a.meta.pointer(&at), b.meta.pointer(&at), "{key}");
        }
    }
    figures
}

#[test]
fn a_stopped_run_with_scheduled_sampling_goes_on_to_the_bit() {
    let setting = Setting::new(Settings {
        learn_initial: true,
        scheduled_sampling: TeacherForcingName::InverseSigmoid,
        sampling_k: Some(5.0),
        lr: 0.02,
        ..settings()
    });
    let figures = goes_on(&setting);
    // 5 / (5 + exp(s / 5)) at s = 0 and s = 10.
    let epsilons = [0, 10].map(|s: usize| figures[s].epsilon.unwrap());
    let want = [5.0 / 6.0, 5.0 / (5.0 + 1f64.exp().powi(2))];
    for (got, want) in epsilons.into_iter().zip(want) {
        assert!((got - want).abs() < 1e-12, "got {got}, want {want}");
    }
    let line = serde_json::to_value(figures[0]).unwrap();
    assert_eq!(line["epsilon"], epsilons[0]);
    let (_, without) = Setting::new(settings()).train(1, None);
    let line = serde_json::to_value(without[0]).unwrap();
    assert!(line.get("epsilon").is_none(), "{line}");
}

/// Settings whose noise and penalties do not look from one checkpoint segment to the next.
fn checkpointed() -> Settings {
    Settings {
        temporal_penalty: 0.0,
        norm_stabilizer: 0.0,
        seq_len: 6,
        ..settings()
    }
}

#[test]
fn recomputation_changes_no_more_than_rounding() {
    let [plain, all_states, few_states] =
        [(0, 0), (2, 0), (1, 2)].map(|(recompute, recompute_states)| {
            let settings = Settings {
                recompute,
                recompute_states,
                accumulate: 2,
                ..checkpointed()
            };
            let (_, figures) = Setting::new(settings).train(6, None);
            figures
                .iter()
                .map(|f| (f.loss, f.penalty))
                .collect::<Vec<_>>()
        });
    assert_eq!(plain.len(), 6);
    for other in [all_states, few_states] {
        for ((a, p), (b, q)) in plain.iter().zip(other) {
            // Rounding of f32, which a few steps enlarge.
            assert!(
                (a - b).abs() < 1e-4 && (p - q).abs() < 1e-4,
                "{a} {b} {p} {q}"
            );
        }
    }
}

#[test]
fn a_stopped_run_of_several_windows_an_update_goes_on_to_the_bit() {
    for (accumulate, recompute) in [(2, 0), (1, 3), (2, 2)] {
        let setting = Setting::new(Settings {
            accumulate,
            recompute,
            recompute_states: recompute.min(1),
            scheduled_sampling: TeacherForcingName::InverseSigmoid,
            sampling_k: Some(5.0),
            lr: 0.02,
            ..checkpointed()
        });
        goes_on(&setting);
    }
}

/// Two segments an update: their mean loss is that of two single segments at the same weights, and an epoch has half the
/// steps.
#[test]
fn an_update_of_two_windows_has_their_mean_loss() {
    let of = |accumulate| {
        let setting = Setting::new(Settings {
            accumulate,
            // Weights stay, up to what f32 cannot see.
            optimizer: OptimizerName::Sgd,
            lr: 1e-20,
            // An even number of segments, so that streams are equally long.
            seq_len: 4,
            batch: 2,
            ..plain()
        });
        let per_epoch = setting.job(1).steps_per_epoch();
        (per_epoch, setting.train(4, None).1)
    };
    let ((single, one), (double, two)) = (of(1), of(2));
    assert_eq!(single, 2 * double);
    for n in 0..2 {
        let mean = (one[2 * n].loss + one[2 * n + 1].loss) / 2.0;
        assert!((two[n].loss - mean).abs() < 1e-5, "{} {mean}", two[n].loss);
    }
}

#[test]
fn scheduled_sampling_of_true_tokens_alone_changes_no_bit() {
    let truth = Settings {
        scheduled_sampling: TeacherForcingName::Linear,
        sampling_slope: Some(0.0),
        ..settings()
    };
    let half = Settings {
        sampling_k: Some(0.5),
        ..truth.clone()
    };
    let [none, truth, half] = [settings(), truth, half].map(|s| {
        let (file, figures) = Setting::new(s).train(15, None);
        let losses: Vec<f64> = figures.iter().map(|f| f.loss).collect();
        (Checkpoint::from_bytes(&file).unwrap().tensors, losses)
    });
    assert!(none == truth);
    // The first step has the same weights, but other inputs.
    assert_ne!(none.1[0], half.1[0]);
}

/// A step's loss is that of the true targets after the inputs that the model makes of the states and weights before it.
#[test]
fn a_step_is_made_of_mixed_inputs_and_true_targets() {
    let setting = Setting::new(Settings {
        scheduled_sampling: TeacherForcingName::Exponential,
        sampling_k: Some(0.5),
        learn_initial: true,
        // Large, so that the next token hangs on the states.
        init_scale: 3.0,
        ..plain()
    });
    let spec = setting.job(1).spec;
    let (all, per_epoch) = (setting.train(14, None).1, setting.job(1).steps_per_epoch());
    let mut hang_on_states = 0;
    // In mid-epoch, and where an epoch begins from the learned states.
    for step in [1, 2, per_epoch, per_epoch + 1] {
        let job = setting.job(step);
        let (file, _) = setting.train(step, None);
        let checkpoint = Checkpoint::from_bytes(&file).unwrap();
        let state = State::from_checkpoint(&job.plan, &checkpoint).unwrap();
        let (t, b) = (setting.settings.seq_len, setting.settings.batch);
        let length = per_epoch as usize * t;
        let at = (step % per_epoch) as usize * t;
        let ids: Vec<u32> = (0..=t)
            .flat_map(|s| (0..b).map(move |row| (s, row)))
            .map(|(s, row)| setting.tokens[row * length + at + s])
            .collect();
        let reset = step % per_epoch == 0;
        let segment = MixedSegment {
            ids: &ids,
            states: (!reset).then_some(&state.states),
            mixing: Mixing {
                seed: 9,
                step,
                epsilon: 0.5f64.powi(step as i32),
            },
        };
        let plan = Arc::new(Generator::plan(&spec, b).unwrap());
        let generator = Generator::new(&Device::Cpu, plan, &state.parameters);
        let mut mixer = Mixer::new(block_on(generator).unwrap());
        let mixed = block_on(mixer.mix(&segment)).unwrap();
        assert_ne!(mixed, ids);
        let anew = MixedSegment {
            states: None,
            ..segment
        };
        let anew = block_on(mixer.mix(&anew)).unwrap();
        hang_on_states += usize::from(anew != mixed);

        let mut cpu = Cpu::<f32>::new(job.plan.clone());
        let io = &job.plan.io;
        let write = cpu.write(io.parameters.unwrap());
        write.copy_from_slice(&state.parameters);
        for (layout, last) in io.states.iter().zip(&state.states) {
            layout.write(layout.steps, last, cpu.write(layout.slot));
        }
        let outcome = cpu.run(&Inputs::new(&mixed).targets(Some(&ids[b..])).reset(reset));
        let loss = outcome.unwrap().report.loss / (t * b) as f64;
        assert_eq!(loss, all[step as usize].loss, "after {step} steps");
    }
    assert!(hang_on_states > 0, "no input hangs on the states");
}

/// A model that is no longer finite is found out while it makes inputs, too.
#[test]
fn scheduled_sampling_from_weights_that_are_not_finite_stops_the_run() {
    let setting = Setting::new(Settings {
        scheduled_sampling: TeacherForcingName::Exponential,
        sampling_k: Some(0.5),
        ..settings()
    });
    let job = setting.job(50);
    let mut state = job.start().unwrap();
    // The first step keeps all its true inputs.
    let bad = job.plan.parameters.iter().find(|p| p.name == "head.bias");
    state.parameters[bad.unwrap().matrix.offset] = f32::NAN;
    state.counters.step = 3;
    let mut trainer = block_on(Trainer::new(Device::Cpu, job, state)).unwrap();
    let e = block_on(trainer.next(0.0, false)).unwrap_err();
    assert_eq!(e.kind, Kind::Diverged);
    for part in ["step 4:", "score of token 0", "NaN"] {
        assert!(e.message.contains(part), "{e}");
    }
    assert_eq!(trainer.counters().step, 3);
}

#[test]
fn the_seed_decides() {
    let a = Setting::new(settings());
    let b = Setting::new(Settings {
        seed: 10,
        ..settings()
    });
    assert_eq!(a.train(5, None), a.train(5, None));
    assert_ne!(a.train(5, None).1, b.train(5, None).1);
}

#[test]
fn training_learns() {
    let setting = Setting::new(Settings {
        cell: "lstm".into(),
        hidden: 24,
        layers: 1,
        embed: 0,
        lr: 0.02,
        schedule: ScheduleName::Constant,
        ..plain()
    });
    let (_, figures) = setting.train(150, None);
    let ln_v = (setting.about.vocabulary().unwrap().len() as f64).ln();
    assert!((figures[0].loss - ln_v).abs() < 0.2, "{}", figures[0].loss);
    let last = figures[figures.len() - 1].loss;
    assert!(last < 0.5, "{last} after {}", figures[0].loss);
}

#[test]
fn evaluation_gives_one_figure_for_all_batch_sizes() {
    let setting = Setting::new(settings());
    let spec = setting.job(1).spec;
    let state = setting.job(1).start().unwrap();
    let tokens: Vec<u32> = setting
        .tokens
        .iter()
        .cycle()
        .take(30_000)
        .copied()
        .collect();
    let of = |batch| {
        let mut evaluator = Evaluator::new(&spec, Tokens::from(tokens.clone()), batch).unwrap();
        block_on(evaluator.run(&Device::Cpu, &state.parameters)).unwrap()
    };
    let alone = of(1);
    assert_eq!(alone.count, 29_999);
    for batch in [2, 3, 64] {
        let found = of(batch);
        assert_eq!(found.count, alone.count);
        // The losses are equal; f32 sums of a segment's losses round in another order.
        let difference = (found.nats - alone.nats).abs();
        assert!(difference <= 1e-6, "batch {batch}: {difference}");
    }
}

#[test]
fn lines_are_evaluated_as_each_alone() {
    let setting = Setting::new(Settings {
        lines: true,
        ..plain()
    });
    let (state, lines) = (setting.job(1).start().unwrap(), setting.lines.clone());
    let lines = lines.unwrap();
    let cells = setting.about.cells().unwrap();
    let spec = spec(
        &setting.settings,
        cells,
        setting.about.vocabulary().unwrap().len(),
    );
    let of = |lines: Lines| {
        let mut evaluator = Evaluator::new(&spec, lines, 32).unwrap();
        block_on(evaluator.run(&Device::Cpu, &state.parameters)).unwrap()
    };
    let all = of(lines.clone());
    let mut loss = 0.0;
    for line in 0..lines.len() {
        let one = of(lines.slice(line..line + 1));
        assert_eq!(one.count, lines.length(line) + 1);
        loss += one.nats * one.count as f64;
    }
    assert_eq!(all.count as u64, lines.predictions());
    assert!((all.nats - loss / all.count as f64).abs() < 1e-6);
}

/// Leaving out one symbol after another, each time its losses are missing and nothing else: together they are all losses.
#[test]
fn losses_without_a_symbol_are_those_of_all_others() {
    for lines in [false, true] {
        let setting = Setting::new(Settings { lines, ..plain() });
        let vocabulary = setting.about.vocabulary().unwrap();
        let cells = setting.about.cells().unwrap();
        let spec = spec(&setting.settings, cells, vocabulary.len());
        let parameters = setting.job(1).start().unwrap().parameters;
        let dataset: Dataset = match setting.lines.clone() {
            Some(lines) => lines.into(),
            None => text_of(&setting, 9000).into(),
        };
        let of = |unknown| {
            let evaluator = Evaluator::new(&spec, dataset.clone(), 3).unwrap();
            block_on(evaluator.apart(unknown).run(&Device::Cpu, &parameters)).unwrap()
        };
        let all = of(None);
        assert_eq!(all.unknown, None);
        let total = all.nats * all.count as f64;
        let (mut losses, mut count) = (0.0, 0);
        for symbol in 0..vocabulary.len() as u32 {
            let found = of(Some(symbol));
            assert_eq!((found.nats, found.count), (all.nats, all.count));
            let unknown = found.unknown.unwrap();
            let rest = all.count - unknown.count;
            losses += total - unknown.known_nats.unwrap() * rest as f64;
            count += unknown.count;
        }
        assert_eq!(count, all.count);
        assert!((losses - total).abs() < 1e-5 * total, "{losses} {total}");
    }
}

/// So many tokens, the text again and again.
fn text_of(setting: &Setting, n: usize) -> Tokens {
    let all = setting.tokens.iter().cycle().take(n);
    Tokens::from(all.copied().collect::<Vec<u32>>())
}

/// A model at its start, for dynamic evaluation.
fn learner(steps: usize) -> (Learner, Vec<f32>, Setting) {
    let setting = Setting::new(Settings {
        dropout: 0.3,
        ..settings()
    });
    let cells = setting.about.cells().unwrap();
    let spec = spec(
        &setting.settings,
        cells,
        setting.about.vocabulary().unwrap().len(),
    );
    let learner = Learner::new(&spec, steps).unwrap();
    let parameters = setting.job(1).start().unwrap().parameters;
    (learner, parameters, setting)
}

#[test]
fn dynamic_evaluation_without_a_rate_is_evaluation() {
    let (mut learner, parameters, setting) = learner(7);
    let cells = setting.about.cells().unwrap();
    let spec = spec(
        &setting.settings,
        cells,
        setting.about.vocabulary().unwrap().len(),
    );
    let tokens = text_of(&setting, 500);
    let mut evaluator = Evaluator::new(&spec, tokens.clone(), 1).unwrap();
    let want = block_on(evaluator.run(&Device::Cpu, &parameters)).unwrap();
    let still = Dynamic {
        lr: 0.0,
        decay: 0.5,
        eps: 1e-8,
    };
    let got = block_on(learner.run(&Device::Cpu, &parameters, None, still, &tokens)).unwrap();
    assert_eq!(got.count, want.count);
    assert!(
        (got.nats - want.nats).abs() < 1e-6,
        "{} {}",
        got.nats,
        want.nats
    );
}

#[test]
fn dynamic_evaluation_learns_after_each_window_and_goes_back() {
    let (mut learner, parameters, setting) = learner(10);
    let text = |n: usize| text_of(&setting, n);
    let mut run = |lr: f64, decay: f64, squares: Option<&[f32]>, n: usize| {
        let how = Dynamic {
            lr,
            decay,
            eps: 1e-8,
        };
        let text = text(n);
        let run = learner.run(&Device::Cpu, &parameters, squares, how, &text);
        block_on(run).unwrap().nats
    };
    // The first segment is measured before anything is learned from it.
    assert_eq!(run(0.0, 0.0, None, 11), run(5.0, 0.0, None, 11));
    let (still, learned) = (run(0.0, 0.0, None, 1000), run(0.5, 0.0, None, 1000));
    assert!(learned < 0.9 * still, "{learned} {still}");
    // All the way back after every segment leaves one step from the trained parameters, which learns less.
    let back = run(0.5, 1.0, None, 1000);
    assert!(back > learned && back < still, "{back} {learned} {still}");
    let squares = block_on(learner.mean_squares(&Device::Cpu, &parameters, &text(300))).unwrap();
    assert!(squares.iter().all(|s| *s >= 0.0) && squares.iter().any(|s| *s > 0.0));
    let mut run = |lr: f64| {
        let how = Dynamic {
            lr,
            decay: 0.01,
            eps: 1e-4,
        };
        let text = text(1000);
        let run = learner.run(&Device::Cpu, &parameters, Some(&squares), how, &text);
        block_on(run).unwrap().nats
    };
    let (still, learned) = (run(0.0), run(0.01));
    assert!(learned < 0.95 * still, "{learned} {still}");
}

#[test]
fn a_loss_that_is_not_finite_stops_and_names_the_tensor() {
    let setting = Setting::new(settings());
    let job = setting.job(50);
    let plan = job.plan.clone();
    let mut state = job.start().unwrap();
    let bad = plan
        .parameters
        .iter()
        .find(|p| p.name == "head.bias")
        .unwrap();
    state.parameters[bad.matrix.offset] = f32::NAN;
    let before: Vec<u32> = state.parameters.iter().map(|x| x.to_bits()).collect();
    let mut trainer = block_on(Trainer::new(Device::Cpu, job, state)).unwrap();
    let e = block_on(trainer.next(0.0, false)).unwrap_err();
    assert_eq!(e.kind, Kind::Diverged);
    for part in ["step 1:", "the parameters", "NaN"] {
        assert!(e.message.contains(part), "{e}");
    }
    let after = block_on(trainer.state()).unwrap();
    let bits: Vec<u32> = after.parameters.iter().map(|x| x.to_bits()).collect();
    assert_eq!(bits, before);
    let e = after.to_checkpoint(&plan, &setting.about).unwrap_err();
    assert_eq!(e.kind, Kind::Diverged);
    assert!(e.message.contains("head.bias"), "{e}");
}

#[test]
fn an_activation_that_overflows_is_named_by_its_operation() {
    let setting = Setting::new(Settings {
        optimizer: OptimizerName::Sgd,
        lr: 3e38,
        clip_norm: 0.0,
        ..plain()
    });
    let job = setting.job(50);
    let state = job.start().unwrap();
    let mut trainer = block_on(Trainer::new(Device::Cpu, job, state)).unwrap();
    let e = loop {
        match block_on(trainer.next(0.0, false)) {
            Err(e) => break e,
            Ok(Event::Finished) => panic!("it should have diverged"),
            Ok(_) => {}
        }
    };
    assert_eq!(e.kind, Kind::Diverged, "{e}");
    assert!(e.message.contains("element ["), "{e}");
}

/// Where what is not finite gets in.
#[derive(Clone, Copy, Debug)]
enum Injected {
    /// The first element of this parameter.
    Weight(usize),
    /// A layer's carried state.
    State(usize),
    /// Every gradient, of a loss that is finite.
    Gradient,
}

#[test]
fn what_is_not_finite_anywhere_changes_neither_weights_nor_moments() {
    let setting = Setting::new(Settings {
        dropout: 0.2,
        ..plain()
    });
    let plan = setting.job(9).plan;
    let start = setting.job(9).start().unwrap();
    let io = &plan.io;
    let (t, b) = (setting.settings.seq_len, setting.settings.batch);
    let ids = &setting.tokens[..(t + 1) * b];
    let step = |cpu: &mut Cpu<f32>, number: u32, scale: f64| {
        let inputs = Inputs::new(ids)
            .draws([0, 0], u64::from(number))
            .reset(number == 0)
            .hyper(Hyper {
                lr: 0.01,
                scale,
                update: f64::from(number + 1),
                correction1: 0.5,
                correction2: 0.5,
            });
        cpu.run(&inputs).unwrap().report
    };
    let scale = 1.0 / (t * b) as f64;
    // Weights and moments, bit by bit.
    let learned = |cpu: &Cpu<f32>| -> Vec<u32> {
        let slots = [io.parameters.unwrap()]
            .into_iter()
            .chain(io.optimizer.iter().copied());
        slots
            .flat_map(|slot| cpu.read(slot).iter().map(|x| x.to_bits()))
            .collect()
    };
    let begun = || {
        let mut cpu = Cpu::<f32>::new(plan.clone());
        let write = cpu.write(io.parameters.unwrap());
        write.copy_from_slice(&start.parameters);
        assert!(step(&mut cpu, 0, scale).finite);
        cpu
    };
    let mut undisturbed = begun();
    let one = learned(&undisturbed);
    assert!(step(&mut undisturbed, 1, scale).finite);
    let two = learned(&undisturbed);
    assert_ne!(one, two);

    let weights = { plan.parameters.iter().enumerate() }
        // A row of the embedding counts where its token occurs.
        .filter(|(_, p)| !p.name.starts_with("embedding"))
        .map(|(n, _)| Injected::Weight(n));
    let states = (0..io.states.len()).map(Injected::State);
    let mut cases: Vec<(Injected, f32)> = weights.chain(states).map(|p| (p, f32::NAN)).collect();
    let head = plan
        .parameters
        .iter()
        .position(|p| p.name == "head.weight")
        .unwrap();
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        cases.extend([
            (Injected::Gradient, bad),
            (Injected::Weight(head), bad),
            (Injected::State(1), bad),
        ]);
    }
    assert!(cases.len() > 15, "{cases:?}");
    for (place, bad) in cases {
        let mut cpu = begun();
        let mut wrong_scale = scale;
        match place {
            Injected::Weight(n) => {
                let at = plan.parameters[n].matrix.offset;
                cpu.write(io.parameters.unwrap())[at] = bad;
            }
            Injected::State(n) => cpu.write(io.states[n].slot).fill(bad),
            Injected::Gradient => wrong_scale = f64::from(bad),
        }
        let before = learned(&cpu);
        let report = step(&mut cpu, 1, wrong_scale);
        assert!(!report.finite, "{place:?} {bad}: {report:?}");
        assert!(learned(&cpu) == before, "{place:?} {bad} changed something");
        // What was well before is well still: the same step without the fault ends where it should.
        if let Injected::Gradient = place {
            assert_eq!(before, one);
            let mut again = begun();
            let slots = [io.parameters.unwrap()]
                .into_iter()
                .chain(io.optimizer.iter().copied());
            for slot in slots {
                let values = cpu.read(slot).to_vec();
                again.write(slot).copy_from_slice(&values);
            }
            assert!(step(&mut again, 1, scale).finite);
            assert!(learned(&again) == two);
        }
    }
}

/// Padding that is computed and has no weight changes nothing but the work.
#[test]
fn padded_lines_train_as_packed_ones() {
    let run = |pad: bool, line_order| {
        let setting = Setting::new(Settings {
            lines: true,
            pad,
            line_order,
            ..plain()
        });
        setting.train(6, None).1
    };
    let packed = run(false, LineOrder::Shuffle);
    let padded = run(true, LineOrder::Shuffle);
    assert_eq!(packed.len(), 6);
    for (a, b) in packed.iter().zip(&padded) {
        assert_eq!(a.tokens, b.tokens);
        assert!((a.loss - b.loss).abs() < 1e-5, "{} {}", a.loss, b.loss);
        assert!((a.norm - b.norm).abs() < 1e-4 * a.norm);
    }
    let sorted = run(false, LineOrder::Target);
    assert!((sorted[0].loss - packed[0].loss).abs() > 1e-5);
}
