//! Kernels that span workgroups: what they make, when a scan has one, and what becomes of a run whose workgroups do not meet.
//!
//! A software driver runs as many workgroups at once as there are processors, beside whatever else these do: a kernel here spans
//! two along the units, and a comparison whose workgroups waited in vain is made once more.

mod common;

use std::sync::Arc;

use common::pairs::{Batch, adamw, parameters, spec};
use common::{device, lacks};
use wgrnn::cell::{Noise, library};
use wgrnn::exec::Outcome;
use wgrnn::exec::check::Twins;
use wgrnn::exec::gpu::{Fault, Gpu, GpuDevice, Shape, Tile};
use wgrnn::model::{Dims, Mode, Spec};
use wgrnn::op::Plan;

/// Of H 17 to 32 where four does not divide it, and of H 36 to 64 where it does, two workgroups have the units.
const ODD: Tile = Tile {
    slices: [16, 16],
    slice_rows: [2, 3],
    full: 0,
    merged: false,
    span: 64,
    ..Tile::GPU
};
const FOURS: Tile = Tile {
    slices: [4, 8],
    ..ODD
};

/// The same without kernels that span workgroups.
fn ordinary(tile: Tile) -> Tile {
    Tile { span: 0, ..tile }
}

/// How many kernels span workgroups.
fn spans(plan: &Plan, tile: &Tile) -> usize {
    let sources = Gpu::sources(plan, tile).unwrap();
    sources.iter().filter(|s| s.0.ends_with(".span")).count()
}

/// How many there would be if all recurrent layers had them.
fn scans(plan: &Plan) -> usize {
    plan.ops.iter().filter(|op| op.kind() == "scan").count()
}

/// An executor whose threads look twice as often before they give up: other work holds processors up, but no part of a GPU.
fn patient(device: &Arc<GpuDevice>, plan: &Arc<Plan>, tile: &Tile) -> Gpu {
    let mut edit = |_: &str, text: &str| {
        let few = "const POLLS: u32 = 20000u";
        text.replace(few, "const POLLS: u32 = 45000u")
    };
    let gpu = Gpu::edited(device.clone(), plan.clone(), tile, &mut edit);
    pollster::block_on(gpu).unwrap()
}

/// Calls `f` until it gives something, as workgroups may have waited in vain for a processor that was busy.
#[track_caller]
fn at_last<T>(what: &str, mut f: impl FnMut() -> Option<T>) -> T {
    let found = (0..20).find_map(|_| f());
    found.unwrap_or_else(|| panic!("{what}: workgroups did not meet in twenty goes"))
}

/// Every operation from the CPU's slots, in a first minibatch and in one that goes on.
#[track_caller]
fn compare(device: &Arc<GpuDevice>, plan: Plan, tile: &Tile, what: &str) {
    let plan = Arc::new(plan);
    let left_out = patient(device, &plan, tile).left_out().to_vec();
    assert_eq!(left_out, Vec::<String>::new(), "{what}");
    let rows = at_last(what, || {
        let mut twins = Twins::new(patient(device, &plan, tile), &parameters(&plan)).unwrap();
        assert!(twins.gpu().spans(), "{what}");
        let mut rows = Vec::new();
        for seed in [1, 2] {
            // What is packed starts from a reset.
            let reset = seed == 1 || plan.packing().is_some();
            let batch = Batch::new(twins.plan(), seed, reset);
            let found = pollster::block_on(twins.operations(&batch.inputs()));
            match found {
                Ok(found) => rows.extend(found),
                Err(e) if e.message.contains("waited for one another in vain") => return None,
                Err(e) => panic!("{what}: {e}"),
            }
        }
        Some(rows)
    });
    for row in rows {
        assert!(row.passed(), "{what}: {}", row.fault());
    }
}

/// What a training leaves: the reports of all runs, and the bits of parameters, optimiser and states.
#[derive(PartialEq)]
struct Left {
    outcomes: Vec<Outcome>,
    bits: Vec<u32>,
}

/// Minibatches of which some go on from the one before.
fn train(gpu: &mut Gpu, runs: u64) -> Left {
    let plan = gpu.plan().clone();
    let start = parameters(&plan);
    gpu.write(plan.io.parameters.unwrap(), &start).unwrap();
    for seed in 0..runs {
        let reset = seed % 4 == 0 || plan.packing().is_some();
        let batch = Batch::new(&plan, seed, reset);
        pollster::block_on(gpu.run(&batch.inputs())).unwrap();
    }
    let outcomes = pollster::block_on(gpu.outcomes(true)).unwrap();
    assert_eq!(outcomes.len(), runs as usize);
    let states = plan.io.states.iter().map(|layout| layout.slot);
    let slots = plan.io.parameters.into_iter().chain(states);
    let slots = slots.chain(plan.io.optimizer.iter().copied());
    let bits = slots.flat_map(|slot| pollster::block_on(gpu.read(slot)).unwrap());
    Left {
        bits: bits.map(f32::to_bits).collect(),
        outcomes,
    }
}

/// The same with kernels that span workgroups, all of which met.
#[track_caller]
fn trained(device: &Arc<GpuDevice>, plan: &Arc<Plan>, tile: &Tile, what: &str) -> Left {
    at_last(what, || {
        let mut gpu = patient(device, plan, tile);
        assert!(gpu.spans(), "{what}: {:?}", gpu.left_out());
        let left = train(&mut gpu, 2);
        gpu.spans().then_some(left)
    })
}

fn without(device: &Arc<GpuDevice>, plan: &Arc<Plan>, tile: &Tile, runs: u64) -> Left {
    let tile = ordinary(*tile);
    let gpu = Gpu::with_tile(device.clone(), plan.clone(), &tile);
    let mut gpu = pollster::block_on(gpu).unwrap();
    assert!(!gpu.spans());
    train(&mut gpu, runs)
}

fn plan(spec: &Spec, steps: usize, batch: usize) -> Plan {
    spec.plan(Dims { steps, batch }, adamw()).unwrap()
}

/// All but cells without a recurrent product, with sums over rows, or whose stages differ too much.
#[test]
fn every_cell_that_fits_agrees_with_the_plain_code() {
    let device = device();
    // Fewer rows a thread: software drivers compile the kernels of some cells for seconds.
    let tile = Tile {
        slice_rows: [1, 1],
        ..ODD
    };
    let mut fit = Vec::new();
    for name in library::names() {
        let dims = Dims { steps: 3, batch: 2 };
        let plan = spec(name, 19, 1, 19).plan(dims, Mode::Gradients).unwrap();
        let all = spans(&plan, &tile) == scans(&plan);
        assert!(!all || !name.ends_with("-ln"), "{name}");
        if all {
            fit.push(name);
            compare(&device, plan, &tile, name);
        }
    }
    println!("{} of {} cells", fit.len(), library::names().count());
    for name in ["rnn", "lstm", "gru", "gru-cho", "lstm-peephole"] {
        assert!(fit.contains(&name), "{name} of {fit:?}");
    }
}

/// Learned states, both directions, noise, several layers; sequences of different lengths, some of which end early.
#[test]
fn masks_directions_and_packed_rows_agree() {
    let device = device();
    let noise = Noise {
        zoneout: 0.3,
        zoneout_memory: 0.2,
        recurrent: 0.25,
    };
    for (cell, hidden, packed, tile) in [
        ("lstm", 36, 0, FOURS),
        ("gru", 19, 0, ODD),
        ("lstm", 36, 17, FOURS),
        ("gru", 19, 11, ODD),
    ] {
        let spec = Spec {
            noise,
            bidirectional: packed == 0,
            learn_initial: true,
            packed,
            ..spec(cell, hidden, 2, hidden)
        };
        let what = format!("{cell} H {hidden} packed {packed}");
        compare(&device, plan(&spec, 5, 6), &tile, &what);
    }
}

/// Several dispatches, whose last one is shorter; few rows and many. The sums are those of the ordinary
/// kernels, in the same order.
#[test]
fn no_bit_differs_from_those_of_ordinary_kernels() {
    let device = device();
    // A driver that hands a processor workgroups that follow one another has none run beside its neighbour where they are more
    // than the processors, so one has the rows.
    let all_rows = Tile {
        slice_rows: [3, 5],
        ..FOURS
    };
    for (cell, hidden, steps, batch, tile) in [
        ("lstm", 19, 130, 3, ODD),
        ("gru", 36, 65, 1, FOURS),
        ("gru-cho", 19, 64, 2, ODD),
        ("lstm", 36, 3, 17, all_rows),
        ("rnn", 8, 70, 5, ODD),
    ] {
        let what = format!("{cell} H {hidden} T {steps} B {batch}");
        let plan = Arc::new(plan(&spec(cell, hidden, 2, 0), steps, batch));
        let found = trained(&device, &plan, &tile, &what);
        assert!(found == without(&device, &plan, &tile, 2), "{what}");
        assert!(found.bits.iter().any(|bits| *bits != found.bits[0]));
    }
}

#[test]
fn two_runs_give_the_same_bits_packed_too() {
    let device = device();
    let spec = Spec {
        packed: 40,
        ..spec("gru", 19, 2, 0)
    };
    let plan = Arc::new(plan(&spec, 9, 7));
    let [first, second] = [0, 1].map(|_| trained(&device, &plan, &ODD, "packed"));
    assert!(first == second);
    assert!(first == without(&device, &plan, &ODD, 2));
}

/// A dispatch goes through 64 steps at most, and has another one before it.
#[test]
fn a_window_takes_as_few_dispatches_as_its_steps_allow() {
    let count =
        |steps, tile: Tile| Gpu::count(&plan(&spec("lstm", 19, 1, 0), steps, 3), &tile).unwrap();
    for (steps, dispatches) in [(2, 1), (64, 1), (65, 2), (128, 2), (130, 3)] {
        let others = count(steps, ordinary(ODD)) - 2 * steps;
        assert_eq!(count(steps, ODD), others + 2 * 2 * dispatches, "T {steps}");
    }
    assert_eq!(count(1, ODD), count(1, ordinary(ODD)));
}

/// The second workgroup of every kernel does nothing: the others end by their bound, and every run is made again.
#[test]
fn an_absent_workgroup_costs_no_bit() {
    let plain = device();
    for (packed, steps) in [(0, 70), (20, 9)] {
        let spec = Spec {
            packed,
            ..spec("lstm", 19, 2, 0)
        };
        let plan = Arc::new(plan(&spec, steps, 3));
        let broken = device();
        broken.inject(Fault::Absent);
        let gpu = Gpu::with_tile(broken.clone(), plan.clone(), &ODD);
        let mut gpu = pollster::block_on(gpu).unwrap();
        assert!(gpu.spans());
        let found = train(&mut gpu, 6);
        assert!(!gpu.spans(), "the workgroup was there");
        let want = without(&plain, &plan, &ODD, 6);
        assert_eq!(found.outcomes, want.outcomes);
        assert!(found.bits == want.bits);
        // No later plan of this shape has such kernels.
        let shape = Shape::of(&plan).unwrap();
        assert_eq!(broken.unspanned(), [shape]);
        broken.force(Some(ODD));
        assert_eq!(broken.tile(&plan).0.span, 0);
    }
}

/// A run that fails after others have gone well goes on from what these have left, and those behind it from what it leaves.
#[test]
fn a_failure_in_the_middle_costs_no_bit() {
    let device = device();
    // With masks the kernel reads the key, which is another one in every run.
    let spec = Spec {
        noise: Noise {
            recurrent: 0.25,
            ..Noise::default()
        },
        ..spec("gru", 19, 2, 0)
    };
    let plan = Arc::new(plan(&spec, 6, 3));
    let want = without(&device, &plan, &ODD, 6);
    let (outcomes, gpu) = at_last("middle", || {
        let mut edit = |name: &str, text: &str| {
            let first = "for (var done = 0u";
            if name != "forward.l1.span" {
                return text.to_string();
            }
            let key = text.find("[5], buffer").unwrap();
            let key = &text[text[..key].rfind("buffer").unwrap()..key];
            let set = text.find("[0], UNMET);").unwrap();
            let set = &text[text[..set].rfind("atomicStore").unwrap()..set];
            // As a thread does that has waited too long.
            let fails = format!("if ({key}[0] == 2u) {{ polls = POLLS; {set}[0], UNMET); }}");
            text.replace(first, &format!("{fails}\n{first}"))
        };
        let gpu = Gpu::edited(device.clone(), plan.clone(), &ODD, &mut edit);
        let mut gpu = pollster::block_on(gpu).unwrap();
        let start = parameters(&plan);
        gpu.write(plan.io.parameters.unwrap(), &start).unwrap();
        let mut outcomes = Vec::new();
        for seed in 0..6 {
            let batch = Batch::new(&plan, seed, seed % 4 == 0);
            if seed == 2 {
                pollster::block_on(gpu.settle()).unwrap();
                if !gpu.spans() {
                    return None;
                }
            }
            pollster::block_on(gpu.run(&batch.inputs())).unwrap();
            outcomes.extend(pollster::block_on(gpu.outcomes(false)).unwrap());
        }
        outcomes.extend(pollster::block_on(gpu.outcomes(true)).unwrap());
        Some((outcomes, gpu))
    });
    assert!(!gpu.spans());
    assert_eq!(outcomes, want.outcomes);
    let slot = plan.io.parameters.unwrap();
    let found = pollster::block_on(gpu.read(slot)).unwrap();
    let bits = found.iter().map(|x| x.to_bits());
    assert!(bits.eq(want.bits[..found.len()].iter().copied()));
}

/// More workgroups than a software driver runs at once: the run is repeated, and nobody hangs.
#[test]
fn more_workgroups_than_meet_cost_no_bit() {
    let device = device();
    let met = pollster::block_on(device.meeting(8)).unwrap();
    let plan = Arc::new(plan(&spec("rnn", 131, 1, 0), 4, 2));
    let gpu = Gpu::with_tile(device.clone(), plan.clone(), &ODD);
    let mut gpu = pollster::block_on(gpu).unwrap();
    assert!(gpu.spans());
    let found = train(&mut gpu, 3);
    println!("{met} workgroups meet, 9 were needed");
    assert!(met > 4 || !gpu.spans(), "{met} workgroups meet, and 9 did");
    assert!(found == without(&device, &plan, &ODD, 3));
}

/// As with other kernels: a report that is not finite, and parameters as they were.
#[test]
fn a_nan_is_reported_and_nobody_waits_for_it() {
    let device = device();
    let plan = Arc::new(plan(&spec("lstm", 19, 1, 0), 5, 3));
    let slot = plan.io.parameters.unwrap();
    for bits in [0x7fc0_0000, 0xffff_ffff] {
        let mut start = parameters(&plan);
        start.fill(f32::from_bits(bits));
        let outcome = at_last("NaN", || {
            let mut gpu = patient(&device, &plan, &ODD);
            gpu.write(slot, &start).unwrap();
            let batch = Batch::new(&plan, 1, true);
            pollster::block_on(gpu.run(&batch.inputs())).unwrap();
            let outcomes = pollster::block_on(gpu.outcomes(true)).unwrap();
            gpu.spans().then(|| outcomes[0])
        });
        assert!(!outcome.report.finite && !outcome.report.beyond);
    }
}

/// What is sent into the wrong plane is found, or waited for in vain.
#[test]
fn what_is_sent_to_the_wrong_place_is_found() {
    let device = device();
    let plan = Arc::new(plan(&spec("rnn", 19, 1, 0), 4, 3));
    for (right, wrong) in [
        ("send((((done + 1u) *", "send((((done) *"),
        ("send(", "send(1u + "),
    ] {
        let mut changed = 0;
        let mut edit = |name: &str, text: &str| {
            let new = text.replace(&format!("\n{right}"), &format!("\n{wrong}"));
            changed += usize::from(name.ends_with(".span") && new != text);
            new
        };
        let gpu = Gpu::edited(device.clone(), plan.clone(), &ODD, &mut edit);
        let gpu = pollster::block_on(gpu).unwrap();
        assert_eq!(changed, 2, "{wrong}");
        let mut twins = Twins::new(gpu, &parameters(&plan)).unwrap();
        let batch = Batch::new(twins.plan(), 1, true);
        match pollster::block_on(twins.operations(&batch.inputs())) {
            Ok(rows) => assert!(rows.iter().any(|row| !row.passed()), "{wrong}: unseen"),
            Err(e) => assert!(e.message.contains("in vain"), "{wrong}: {e}"),
        }
    }
}

/// The rule: what no kernel can span goes step by step, and says why.
#[test]
fn what_no_kernel_spans_goes_step_by_step() {
    let device = device();
    let why = |spec: &Spec, mode, steps, tile: &Tile| {
        let plan = Arc::new(spec.plan(Dims { steps, batch: 3 }, mode).unwrap());
        let gpu = Gpu::with_tile(device.clone(), plan, tile);
        let gpu = pollster::block_on(gpu).unwrap();
        assert!(!gpu.spans());
        gpu.left_out().first().cloned().unwrap_or_default()
    };
    let lstm = spec("lstm", 19, 1, 0);
    let few = Tile { span: 1, ..ODD };
    let alone = Tile {
        slices: [1, 1],
        ..ODD
    };
    for (found, part) in [
        (why(&lstm, adamw(), 1, &ODD), "1 steps"),
        (
            why(&spec("lstm-ln", 19, 1, 0), adamw(), 2, &ODD),
            "sums over rows",
        ),
        (why(&lstm, adamw(), 2, &few), "2 workgroups, of which 1 may"),
        (why(&lstm, adamw(), 2, &alone), "no threads share its sums"),
        (
            why(&spec("highway", 19, 1, 19), adamw(), 2, &ODD),
            "1 steps",
        ),
    ] {
        assert!(found.contains(part), "{part}: {found}");
    }
    if !lacks("half") {
        let half = Spec { half: true, ..lstm };
        let found = why(&half, adamw(), 2, &ODD);
        assert!(found.contains("another precision"), "{found}");
    }
    // Workgroups that have all units of their rows wait for nobody.
    let small = plan(&spec("lstm", 9, 1, 0), 2, 40);
    assert_eq!(spans(&small, &few), 2);
    assert_eq!(spans(&small, &ordinary(few)), 0);
}
