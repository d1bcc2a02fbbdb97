//! Scheduled sampling: the inputs that a model makes of a segment, on the processor and, beside it, on an adapter.

use std::sync::Arc;

use pollster::block_on;
use wgrnn::cell::{Cell, library};
use wgrnn::exec::gpu::{AdapterChoice, INSTALL};
use wgrnn::exec::{Device, cpu::Cpu, gpu};
use wgrnn::model::{Dims, Init, Mode, Scheme, Spec, initialize};
use wgrnn::op::Plan;
use wgrnn::rng::{Purpose, Stream};
use wgrnn::task::Inputs;
use wgrnn::train::settings::TeacherForcingName;
use wgrnn::train::{Event, Generator, Job, Length, MixedSegment, Mixer, Mixing, Settings, Trainer};

const VOCAB: usize = 7;
/// The sums that a draw hangs on differ in their last bits between plans and devices, so that a draw next to an interval's
/// border may fall to either side; a few hundred draws with fixed seeds meet none.
const SEED: u64 = 21;

fn spec(cells: &[&str], embed: usize) -> Spec {
    let cells = cells.iter().map(|c| library::builtin(c).unwrap().into());
    Spec {
        vocab: VOCAB,
        cells: cells.collect(),
        hidden: 6,
        embed,
        ..Spec::default()
    }
}

fn parameters(plan: &Plan) -> Vec<f32> {
    let init = Init {
        scheme: Scheme::Normal,
        scale: 0.9,
        seed: SEED,
        ..Init::default()
    };
    initialize(plan, &init).unwrap()
}

fn tokens(n: usize, below: usize) -> Vec<u32> {
    let mut stream = Stream::new(SEED, Purpose::Check, 5);
    (0..n)
        .map(|_| (stream.uniform() * below as f32) as u32)
        .collect()
}

fn segment(ids: &[u32], epsilon: f64) -> MixedSegment<'_> {
    MixedSegment {
        ids,
        states: None,
        mixing: Mixing {
            seed: SEED,
            step: 3,
            epsilon,
        },
    }
}

fn mix(
    device: &Device,
    spec: &Spec,
    batch: usize,
    parameters: &[f32],
    segment: &MixedSegment<'_>,
) -> Vec<u32> {
    let plan = Arc::new(Generator::plan(spec, batch).unwrap());
    let mut mixer = Mixer::new(block_on(Generator::new(device, plan, parameters)).unwrap());
    let mixed = block_on(mixer.mix(segment)).unwrap();
    // Nothing stays from segment to segment.
    assert_eq!(block_on(mixer.mix(segment)).unwrap(), mixed);
    mixed
}

/// Models that predict one token with certainty, whatever they read: without a memory, with learned first states, in
/// several layers.
#[test]
fn a_certain_token_becomes_every_later_input() {
    let feed_forward = Cell::parse("ff", "state h\nh = tanh(linear(x))\n").unwrap();
    let learned = Spec {
        learn_initial: true,
        ..spec(&["lstm", "rnn"], 4)
    };
    let specs = [
        spec(&["gru"], 0),
        learned,
        Spec {
            cells: vec![Arc::new(feed_forward)],
            ..spec(&[], 0)
        },
    ];
    let (steps, batch, certain) = (5, 3, VOCAB as u32 - 1);
    // The certain token is nowhere else.
    let ids = tokens((steps + 1) * batch, VOCAB - 1);
    for spec in specs {
        let plan = Generator::plan(&spec, batch).unwrap();
        let mut parameters = parameters(&plan);
        let bias = plan.parameters.iter().find(|p| p.name == "head.bias");
        parameters[bias.unwrap().matrix.offset + certain as usize] = 1e4;
        let of = |epsilon| {
            mix(
                &Device::Cpu,
                &spec,
                batch,
                &parameters,
                &segment(&ids, epsilon),
            )
        };
        let mut want = ids.clone();
        want[batch..steps * batch].fill(certain);
        assert_eq!(of(0.0), want);
        assert_eq!(of(1.0), ids);
    }
}

/// A model that predicts the successor of what it reads, with certainty: it goes on from its own inputs.
#[test]
fn the_model_reads_what_it_made() {
    let cell = Cell::parse("copy", "state h\nh = linear(x)\n").unwrap();
    let spec = Spec {
        cells: vec![Arc::new(cell)],
        hidden: VOCAB,
        ..spec(&[], 0)
    };
    let (steps, batch) = (12, 4);
    let plan = Generator::plan(&spec, batch).unwrap();
    let mut parameters = vec![0.0; plan.arena];
    for (name, shift) in [("rnn.weight", 0), ("head.weight", 1)] {
        let found = plan.parameters.iter().find(|p| p.name.starts_with(name));
        let parameter = found.unwrap();
        let m = parameter.matrix;
        assert_eq!((m.rows, m.cols), (VOCAB, VOCAB));
        for row in 0..VOCAB {
            // From input to output, else from output to input.
            let forward = parameter.transposed || shift == 0;
            let by = if forward { shift } else { VOCAB - shift };
            let column = (row + by) % VOCAB;
            parameters[m.offset + row * m.stride + column] = 100.0;
        }
    }
    let ids = tokens((steps + 1) * batch, VOCAB);
    let mixed = mix(&Device::Cpu, &spec, batch, &parameters, &segment(&ids, 0.0));
    for row in 0..batch {
        for step in 0..steps {
            let want = (ids[row] as usize + step) % VOCAB;
            assert_eq!(mixed[step * batch + row] as usize, want, "{step}, {row}");
        }
        assert_eq!(mixed[steps * batch + row], ids[steps * batch + row]);
    }
}

#[test]
fn the_share_of_true_inputs_is_epsilon() {
    let spec = spec(&["rnn"], 0);
    let (steps, batch, certain) = (40, 25, VOCAB as u32 - 1);
    let ids = tokens((steps + 1) * batch, VOCAB - 1);
    let plan = Arc::new(Generator::plan(&spec, batch).unwrap());
    let mut parameters = parameters(&plan);
    let bias = plan.parameters.iter().find(|p| p.name == "head.bias");
    parameters[bias.unwrap().matrix.offset + certain as usize] = 1e4;
    let mut mixer = Mixer::new(block_on(Generator::new(&Device::Cpu, plan, &parameters)).unwrap());
    for epsilon in [0.5, 0.1] {
        let mut masks = Vec::new();
        for step in 0..4 {
            let mut segment = segment(&ids, epsilon);
            segment.mixing.step = step;
            let mixed = block_on(mixer.mix(&segment)).unwrap();
            assert_eq!(mixed[..batch], ids[..batch]);
            let mask: Vec<bool> = mixed[batch..steps * batch]
                .iter()
                .map(|id| *id != certain)
                .collect();
            assert!(!masks.contains(&mask), "step {step} repeats another");
            masks.push(mask);
        }
        let of = |mask: &[bool], epsilon: f64| {
            let n = mask.len() as f64;
            let kept = mask.iter().filter(|kept| **kept).count() as f64;
            let deviation = (n * epsilon * (1.0 - epsilon)).sqrt();
            let off = (kept - n * epsilon).abs() / deviation;
            assert!(
                off < 5.0,
                "{kept} of {n} kept, {off} deviations off {epsilon}"
            );
        };
        of(&masks.concat(), epsilon);
        // No row and no step has a coin of its own that is loaded, and neighbours are independent.
        let all = masks.concat();
        for row in 0..batch {
            let column: Vec<bool> = all.iter().skip(row).step_by(batch).copied().collect();
            of(&column, epsilon);
        }
        for distance in [1, batch] {
            let both: Vec<bool> = (distance..all.len())
                .map(|i| all[i] && all[i - distance])
                .collect();
            of(&both, epsilon * epsilon);
        }
    }
}

/// Every made input is the one that its numbers draw from the scores that a plan of the whole segment finds for the mixed
/// inputs: from zero, from learned and from carried states.
#[test]
fn made_inputs_are_draws_from_the_windows_scores() {
    let (steps, batch) = (9, 4);
    let ids = tokens((steps + 1) * batch, VOCAB);
    let learned = Spec {
        learn_initial: true,
        dropout: 0.4,
        ..spec(&["lstm", "gru"], 5)
    };
    for (spec, carried) in [
        (spec(&["gru-cho"], 0), false),
        (spec(&["lstm", "gru"], 5), true),
        (learned.clone(), false),
        (learned, true),
    ] {
        let dims = Dims { steps, batch };
        let whole = Arc::new(spec.plan(dims, Mode::Scores).unwrap());
        let mut parameters = parameters(&whole);
        for p in whole
            .parameters
            .iter()
            .filter(|p| p.name.contains("initial"))
        {
            let count = p.matrix.rows * p.matrix.cols;
            for (i, x) in parameters[p.matrix.offset..][..count]
                .iter_mut()
                .enumerate()
            {
                *x = (i as f32).cos();
            }
        }
        let states: Vec<Vec<f32>> = whole
            .io
            .states
            .iter()
            .map(|slot| {
                let len = whole.slot(slot.slot).len() / (steps + 1);
                (0..len).map(|i| (i as f32).sin()).collect()
            })
            .collect();
        let segment = MixedSegment {
            states: carried.then_some(&states),
            ..segment(&ids, 0.3)
        };
        let mixed = mix(&Device::Cpu, &spec, batch, &parameters, &segment);

        let mut cpu = Cpu::<f32>::plain(whole.clone());
        cpu.write(whole.io.parameters.unwrap())
            .copy_from_slice(&parameters);
        for (layout, last) in whole.io.states.iter().zip(&states) {
            layout.write(layout.steps, last, cpu.write(layout.slot));
        }
        cpu.run(&Inputs::new(&mixed).reset(!carried)).unwrap();
        let scores = cpu.read(whole.io.logits.unwrap());
        let mut stream = Stream::new(SEED, Purpose::Mix, 3);
        let (mut made, mut other) = (0, 0);
        for place in batch..steps * batch {
            stream.seek(2 * place as u64);
            if stream.uniform() < 0.3 {
                assert_eq!(mixed[place], ids[place], "{place}");
                continue;
            }
            let weights = scores[(place - batch) * VOCAB..][..VOCAB].iter();
            let weights: Vec<f64> = weights.map(|s| f64::from(*s).exp()).collect();
            let at = f64::from(stream.uniform()) * weights.iter().sum::<f64>();
            let mut sum = 0.0;
            let drawn = weights.iter().position(|w| {
                sum += w;
                at < sum
            });
            assert_eq!(Some(mixed[place] as usize), drawn, "{place}");
            made += 1;
            other += usize::from(mixed[place] != ids[place]);
        }
        assert!(made > 10 && other > 5, "{made} made, {other} of them other");
    }
}

#[test]
fn windows_that_do_not_fit_are_refused() {
    let spec = spec(&["lstm"], 0);
    let plan = Arc::new(Generator::plan(&spec, 3).unwrap());
    let parameters = parameters(&plan);
    let mut mixer = Mixer::new(block_on(Generator::new(&Device::Cpu, plan, &parameters)).unwrap());
    let ids = [1u32; 12];
    let few = [vec![0.0; 5]];
    let none: [Vec<f32>; 0] = [];
    for (ids, states, what) in [
        (&ids[..11], None, "ids"),
        (&ids[..3], None, "ids"),
        (&ids[..0], None, "ids"),
        (&[9; 12][..], None, "found 9"),
        (&ids[..], Some(&few[..]), "state.l0"),
        (&ids[..], Some(&none[..]), "states"),
    ] {
        let segment = MixedSegment {
            states,
            ..segment(ids, 0.0)
        };
        let e = block_on(mixer.mix(&segment)).unwrap_err();
        assert!(e.message.contains(what), "{e}");
    }
}

fn adapter() -> Device {
    match block_on(gpu::GpuDevice::open(&AdapterChoice::Gpu)) {
        Ok(Some(device)) => Device::Gpu(device),
        Ok(None) => panic!("no adapter: {INSTALL}"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn an_adapter_makes_the_processors_inputs() {
    let (steps, batch) = (9, 4);
    let ids = tokens((steps + 1) * batch, VOCAB);
    let device = adapter();
    for spec in [spec(&["lstm", "gru"], 5), spec(&["rnn"], 0)] {
        let parameters = parameters(&Generator::plan(&spec, batch).unwrap());
        let segment = segment(&ids, 0.3);
        let [cpu, gpu] =
            [&Device::Cpu, &device].map(|d| mix(d, &spec, batch, &parameters, &segment));
        assert_eq!(cpu, gpu);
        assert_ne!(cpu, ids);
    }
}

#[test]
fn a_run_on_an_adapter_follows_the_processors() {
    let settings = Settings {
        hidden: 6,
        seq_len: 6,
        batch: 3,
        scheduled_sampling: TeacherForcingName::Linear,
        sampling_k: Some(0.6),
        sampling_slope: Some(0.1),
        sampling_floor: Some(0.2),
        learn_initial: true,
        sample_every: 0,
        save_every: 0,
        ..Settings::default()
    };
    let spec = Spec {
        learn_initial: true,
        // What the model reads is not what it is to predict.
        targets_apart: true,
        ..spec(&["lstm", "rnn"], 0)
    };
    let run = |device: &Device| {
        // Five steps an epoch, so that the states start anew in mid-run.
        let text = wgrnn::data::Tokens::from(tokens(5 * 18 + 1, VOCAB));
        let length = Length::Steps(8);
        let job = Job::new(
            settings.clone(),
            spec.clone(),
            length,
            text,
            wgrnn::data::Tokens::from(Vec::new()),
        )
        .unwrap();
        assert_eq!(job.steps_per_epoch(), 5);
        let state = job.start().unwrap();
        let mut trainer = block_on(Trainer::new(device.clone(), job, state)).unwrap();
        let mut losses = Vec::new();
        loop {
            match block_on(trainer.next(0.0, false)).unwrap() {
                Event::Steps(figures) => losses.extend(figures.iter().map(|f| f.loss)),
                Event::Finished => return losses,
                _ => {}
            }
        }
    };
    let (cpu, gpu) = (run(&Device::Cpu), run(&adapter()));
    assert_eq!((cpu.len(), gpu.len()), (8, 8));
    for (step, (want, got)) in cpu.iter().zip(&gpu).enumerate() {
        // Eight steps of Adam from equal weights, sums of at most 18 rows in another order.
        assert!((got - want).abs() < 1e-4, "{step}: got {got}, want {want}");
    }
}

/// What evaluates and what draws samples reads the parameters where they are trained.
#[test]
fn on_an_adapter_evaluations_and_samples_move_no_parameters() {
    let settings = Settings {
        hidden: 256,
        seq_len: 4,
        batch: 2,
        eval_every: Some(2),
        sample_every: 2,
        save_every: 0,
        ..Settings::default()
    };
    let spec = Spec {
        hidden: 256,
        ..spec(&["lstm"], 0)
    };
    let text = |n: usize| wgrnn::data::Tokens::from(tokens(n, VOCAB));
    let length = Length::Steps(4);
    let job = Job::new(settings, spec, length, text(41), text(13)).unwrap();
    let parameters = 4 * job.plan.arena as u64;
    let Device::Gpu(gpu) = adapter() else {
        panic!("no adapter: {INSTALL}");
    };
    let state = job.start().unwrap();
    let trainer = Trainer::new(Device::Gpu(gpu.clone()), job, state);
    let mut trainer = block_on(trainer).unwrap();
    let (mut evaluations, mut samples) = (Vec::new(), 0);
    loop {
        let before = gpu.moved();
        let event = block_on(trainer.next(0.0, false)).unwrap();
        let moved = gpu.moved() - before;
        match event {
            Event::Evaluated { evaluation, .. } => evaluations.push(evaluation.nats),
            Event::Sample { .. } => samples += 1,
            Event::Finished => break,
            Event::Steps(_) | Event::Save { .. } => continue,
        }
        assert!(moved < parameters / 2, "{moved} bytes of {parameters}");
    }
    // What they read is what was trained.
    assert_eq!((evaluations.len(), samples), (2, 2));
    assert!(evaluations[1] != evaluations[0], "{evaluations:?}");
}
