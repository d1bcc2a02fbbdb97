//! `lab` and `search` on an adapter: what is measured there is what the processor says, several points share the device, and what
//! was stopped or lost goes on to the same bits.

mod adapter;
mod sandbox;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sandbox::Sandbox;
use serde_json::{Value, json};
use wgrnn::evolve::{ProblemText, Search, SearchLimits, SearchState, TrainingSizes};
use wgrnn::exec::Device;
use wgrnn::lab::{
    EXPERIMENTS, Experiment, Facts, Finding, LabRun, Measured, Plot, Point, Size, experiment,
};
use wgrnn::{Kind, Result};

fn gpu() -> Device {
    Device::Gpu(adapter::device())
}

/// The first quick point of an experiment with other settings, which make it small.
fn small(name: &str, settings: Value) -> Point {
    let mut point = experiment(name).unwrap().points(Size::Quick, 1).remove(0);
    point.extend(settings.as_object().unwrap().clone());
    Point(point)
}

/// A small point of every experiment that any device measures; of some, one of each way in which they train.
fn points() -> Vec<(&'static str, Point)> {
    let of_length = |variant: &str| {
        json!({
            "variant": variant, "length": 4, "hidden": 5, "examples": 96, "held_out": 40, "most_updates": 12, "eval-every": 6,
        })
    };
    let with = |mut settings: Value, more: Value| {
        let more = more.as_object().unwrap().clone();
        settings.as_object_mut().unwrap().extend(more);
        settings
    };
    let of_start = |start: &str| {
        let settings = json!({"start": start, "most_updates": 8, "eval-every": 4});
        small("symmetry", settings)
    };
    let of_text = json!({
        "characters": 1200, "held_out": 4000, "updates": 8, "hidden": 5, "steps": 8, "batch": 4,
    });
    vec![
        ("latch", small("latch", of_length("gru"))),
        (
            "latch",
            small("latch", of_length("rnn, propagation penalty")),
        ),
        ("adding", small("adding", of_length("lstm, chrono T"))),
        ("copy", small("copy", of_length("rnn"))),
        (
            "temporal-order",
            small(
                "temporal-order",
                with(of_length("gru"), json!({"length": 10})),
            ),
        ),
        ("gap", small("gap", of_length("gru"))),
        (
            "hundred",
            small("hundred", of_length("lstm, forget bias 1")),
        ),
        (
            "interference",
            small(
                "interference",
                with(of_length("gru"), json!({"held_out_least": 2})),
            ),
        ),
        (
            "depth",
            small(
                "depth",
                with(of_length("residual"), json!({"layers": 2, "length": 10})),
            ),
        ),
        ("symmetry", of_start("all equal")),
        ("symmetry", of_start("drawn")),
        (
            "rare-words",
            small("rare-words", json!({"characters": 3000, "minibatches": 3})),
        ),
        (
            "memorise",
            small(
                "memorise",
                json!({"numbers": 80, "load": 0.5, "updates": 20, "batch": 20}),
            ),
        ),
        (
            "clipping",
            small(
                "clipping",
                with(of_text.clone(), json!({"clip-norm": 0.1, "lr": 1.0})),
            ),
        ),
        (
            "ranking",
            small(
                "ranking",
                with(of_text.clone(), json!({"hidden_of_gru": 4})),
            ),
        ),
        (
            "regularise",
            small(
                "regularise",
                with(of_text.clone(), json!({"way": "norm stabiliser"})),
            ),
        ),
        (
            "stages",
            small(
                "stages",
                with(of_text, json!({"updates": 4, "held_out": 300})),
            ),
        ),
        (
            "exposure",
            small(
                "exposure",
                json!({
                    "way": "scheduled sampling", "examples": 64, "held_out": 20, "length": 3, "hidden": 6, "updates": 8,
                }),
            ),
        ),
        (
            "batching",
            small(
                "batching",
                json!({
                    "examples": 100, "held_out": 20, "epochs": 1, "hidden": 4, "batch-tokens": 128,
                }),
            ),
        ),
        (
            "variants",
            small(
                "variants",
                json!({"task": "digit", "updates": 3, "hidden": 4}),
            ),
        ),
    ]
}

/// What a clock says, and what hangs on draws that a rounding may turn.
const NOT_THE_SAME: [&str; 4] = ["symbols_a_second", "sample", "right", "counted"];
/// Where all units begin alike, so does the head, and the first gradient of the layer below cancels but for its rounding, of which Adam
/// makes steps like any other.
const OF_ROUNDING: (&str, &str) = ("all equal", "gone");

/// How far numbers are apart at most, over their size.
fn apart(ours: &Value, theirs: &Value) -> f64 {
    match (ours, theirs) {
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let all = a.iter().zip(b).map(|(a, b)| apart(a, b));
            all.fold(0.0, f64::max)
        }
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() / a.abs().max(1e-3)
        }
        (a, b) if a == b => 0.0,
        _ => f64::INFINITY,
    }
}

/// One of each way in which experiments train: by fields, with a penalty of their own, by one engine, along a text.
const DECISIVE: [&str; 3] = ["latch", "rare-words", "regularise"];

#[test]
fn an_adapter_measures_what_the_processor_does() {
    let all = points();
    for experiment in EXPERIMENTS {
        let small = all.iter().any(|(name, _)| *name == experiment.name());
        assert_eq!(
            small,
            experiment.processor_only().is_none(),
            "{}",
            experiment.name()
        );
    }
    let decisive = all.into_iter();
    agree(decisive.filter(|(name, _)| DECISIVE.contains(name)));
}

/// Every experiment that does not say that it needs the processor.
#[test]
#[ignore = "a step of tests/long.sh: each compiles a plan's kernels"]
fn an_adapter_measures_every_experiment_as_the_processor_does() {
    agree(points().into_iter());
}

/// Whether figures of an adapter are those of the processor.
fn agree(points: impl Iterator<Item = (&'static str, Point)>) {
    let adapter = adapter::device();
    let device = Device::Gpu(adapter.clone());
    for (name, point) in points {
        let experiment = experiment(name).unwrap();
        let ours = experiment.measure(&point, &Device::Cpu).unwrap();
        let before = adapter.submissions();
        let theirs = experiment.measure(&point, &device).unwrap();
        assert!(
            adapter.submissions() > before + 2,
            "{name}: not measured on the adapter"
        );
        let names = |facts: &Facts| facts.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&theirs), "{name}");
        let start = point.0.get("start").and_then(Value::as_str);
        let compared = |what: &str| {
            !NOT_THE_SAME.contains(&what) && (start, what) != (Some(OF_ROUNDING.0), OF_ROUNDING.1)
        };
        for (what, number) in ours.iter().filter(|(what, _)| compared(what)) {
            let apart = apart(number, &theirs[what]);
            // Sums in another order, over a few updates.
            assert!(
                apart <= 1e-3,
                "{name}: {what}: {number} and {}, {apart}",
                theirs[what]
            );
        }
    }
}

/// Trainings of one kind, which are counted.
struct Latches<'a> {
    measured: &'a AtomicUsize,
    /// Set when so many were measured.
    stop: (&'a AtomicBool, usize),
    /// How many are measured at this moment, and the most that were.
    at_once: &'a Mutex<(usize, usize)>,
}

impl Experiment for Latches<'_> {
    fn name(&self) -> &'static str {
        "latches"
    }

    fn about(&self) -> &'static str {
        "?"
    }

    fn method(&self) -> &'static str {
        "-"
    }

    fn points(&self, _: Size, seed: u64) -> Vec<Facts> {
        let settings = |n: u64| {
            json!({
                "variant": "gru", "length": 3 + n, "hidden": 5, "examples": 96, "held_out": 40, "most_updates": 10, "eval-every": 5,
                "seed": seed,
            })
        };
        (0..6).map(|n| small("latch", settings(n)).0).collect()
    }

    fn measure(&self, point: &Point, device: &Device) -> Result<Facts> {
        {
            let mut at_once = self.at_once.lock().unwrap();
            at_once.0 += 1;
            at_once.1 = at_once.0.max(at_once.1);
        }
        let found = experiment("latch").unwrap().measure(point, device);
        self.at_once.lock().unwrap().0 -= 1;
        if self.measured.fetch_add(1, Ordering::SeqCst) + 1 == self.stop.1 {
            self.stop.0.store(true, Ordering::SeqCst);
        }
        found
    }

    fn columns(&self) -> &'static [&'static str] {
        &["length", "left"]
    }

    fn plot(&self, _: &[Measured]) -> Plot {
        experiment("latch").unwrap().plot(&[])
    }

    fn findings(&self, _: &[Measured]) -> Vec<Finding> {
        Vec::new()
    }
}

/// Points that share a device come out as each does alone, and a run that was stopped goes on to the same bits.
#[test]
fn points_share_a_device_and_no_bit_changes() {
    let device = gpu();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("latches");
    let (measured, at_once) = (AtomicUsize::new(0), Mutex::new((0, 0)));
    let go = |stop: &AtomicBool| {
        let latches = Latches {
            measured: &measured,
            stop: (stop, 2),
            at_once: &at_once,
        };
        let run = LabRun {
            experiment: &latches,
            size: Size::Quick,
            seed: 4,
            device: &device,
        };
        run.run(&out, &|_, _| {}, stop)
    };
    let stopped = go(&AtomicBool::new(false)).unwrap_err();
    assert_eq!(stopped.kind, Kind::Interrupted, "{stopped}");
    let before = measured.load(Ordering::SeqCst);
    assert!((2..6).contains(&before), "{before}");
    let report = go(&AtomicBool::new(false)).unwrap();
    assert_eq!((report.kept, measured.load(Ordering::SeqCst)), (before, 6));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    assert_eq!(at_once.lock().unwrap().1, cores.min(6));
    for made in &report.measured {
        let alone = experiment("latch").unwrap().measure(&made.point, &device);
        assert_eq!(made.result, alone.unwrap(), "{:?}", made.point);
    }
    let settings = fs::read_to_string(out.join("settings.toml")).unwrap();
    let settings: toml::Table = settings.parse().unwrap();
    assert_eq!(
        settings["device"].as_str(),
        Some(device.identity().as_str())
    );
    assert!(report.section.contains("llvmpipe") || report.section.contains(&device.name()));
}

/// Evaluations of a search: the gru's, and one of the lstm. Each other cell has kernels of its own, which software compiles slowly.
const EVALUATIONS: u64 = 4;

/// A search so small that it is over in seconds.
fn search(device: Device) -> Search {
    let sizes = TrainingSizes {
        hidden: 4,
        batch: 8,
        examples: 24,
        held_out: 8,
        updates: 3,
        cheap_updates: 2,
    };
    Search {
        seed: 3,
        population: 4,
        sizes,
        text: ProblemText::builtin(sizes.examples + sizes.held_out).unwrap(),
        device,
    }
}

fn searched(
    search: &Search,
    evaluations: u64,
    out: &Path,
    stop_after: usize,
) -> Result<SearchState> {
    let limits = SearchLimits {
        evaluations: Some(evaluations),
        time: None,
        finals: false,
    };
    let (stop, seen) = (AtomicBool::new(false), AtomicUsize::new(0));
    let tell = |_: wgrnn::evolve::Told<'_>| {
        if seen.fetch_add(1, Ordering::SeqCst) + 1 == stop_after {
            stop.store(true, Ordering::SeqCst);
        }
    };
    search.run(limits, out, &tell, &stop)
}

#[test]
fn a_search_on_an_adapter_goes_on_to_the_same_bits_there_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let adapter = adapter::device();
    let search = search(Device::Gpu(adapter.clone()));
    let at_once = searched(&search, EVALUATIONS, &whole, usize::MAX).unwrap();
    assert_eq!(at_once.evaluated.len() as u64, EVALUATIONS);
    // Three updates of each of three problems, and what is held out.
    assert!(
        adapter.submissions() >= 12 * EVALUATIONS,
        "{}",
        adapter.submissions()
    );
    let stopped = searched(&search, EVALUATIONS, &parts, 1).unwrap_err();
    assert_eq!(stopped.kind, Kind::Interrupted, "{stopped}");
    let lines = || {
        fs::read_to_string(parts.join("evaluations.jsonl"))
            .unwrap()
            .lines()
            .count()
    };
    assert!((1..EVALUATIONS as usize).contains(&lines()), "{}", lines());
    assert_eq!(
        searched(&search, EVALUATIONS, &parts, usize::MAX).unwrap(),
        at_once
    );
    // The device is part of what the search is.
    let on_cpu = Search {
        device: Device::Cpu,
        ..search.clone()
    };
    let error = searched(&on_cpu, EVALUATIONS, &parts, usize::MAX).unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    for part in ["device = \"cpu\"", &search.device.name()] {
        assert!(error.message.contains(part), "{error}");
    }
    let page = fs::read_to_string(parts.join("index.html")).unwrap();
    let cell = fs::read_to_string(parts.join("cells/gru.cell")).unwrap();
    for text in [page, cell] {
        assert!(text.contains(&search.device.identity()), "{text}");
    }
    // The same cells on the processor, whose shares a rounding may turn by an example.
    let theirs = searched(&on_cpu, EVALUATIONS, &folder.path().join("cpu"), usize::MAX).unwrap();
    for (ours, theirs) in at_once.evaluated.iter().zip(&theirs.evaluated) {
        assert_eq!(
            (&ours.hash, ours.attempt, ours.lr),
            (&theirs.hash, theirs.attempt, theirs.lr)
        );
        let pairs = ours
            .accuracy
            .unwrap()
            .into_iter()
            .zip(theirs.accuracy.unwrap());
        let apart = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(apart <= 0.02, "{}: {apart}", ours.name);
    }
}

/// What needs the processor says so before anything is measured; of all, it is measured there.
#[test]
fn experiments_that_need_the_processor_say_so() {
    let sandbox = Sandbox::new();
    for name in ["gradient-flow", "memory"] {
        for device in ["gpu", "0"] {
            sandbox.refuses(
                &format!("lab {name} --device {device} --out new"),
                2,
                &["--device", "expected cpu", name, "got"],
            );
        }
    }
    sandbox.refuses(
        "lab latch --device radion --out new",
        5,
        &["--device radion", "no adapter"],
    );
    sandbox.refuses(
        "search --device radion --out new",
        5,
        &["--device radion", "no adapter"],
    );
    // The last one's folder is in the way, so that nothing runs.
    let last = EXPERIMENTS[EXPERIMENTS.len() - 1].name();
    fs::create_dir_all(sandbox.at(&format!("all/{last}"))).unwrap();
    fs::write(sandbox.at(&format!("all/{last}/a.txt")), "kept").unwrap();
    let done = sandbox.run("lab all --device gpu --out all");
    assert_eq!(done.code, 2, "{}", done.err);
    let told: Vec<&str> = done
        .err
        .lines()
        .filter(|line| line.ends_with("on the processor"))
        .collect();
    let names: Vec<&str> = told
        .iter()
        .filter_map(|line| Some(line.split_once(',')?.0))
        .collect();
    assert_eq!(names, ["gradient-flow", "memory"], "{}", done.err);
}

/// As a user does it: killed and gone on, lost, and asked for on another device.
#[test]
fn a_run_on_an_adapter_is_killed_lost_and_goes_on() {
    let sandbox = Sandbox::new();
    let go = "lab rare-words --out rare --device gpu";
    let points = sandbox.at("rare/points.jsonl");
    let lines = || fs::read_to_string(&points).map_or(0, |text| text.lines().count());
    let before = sandbox.killed_after(go, "rare/points.jsonl", 1);
    sandbox.refuses(
        "lab rare-words --out rare --device cpu",
        2,
        &[
            "--out rare",
            "device = \"cpu\"",
            "found one with",
            "kernels",
        ],
    );
    if cfg!(debug_assertions) {
        let lost = sandbox
            .command(go)
            .env("WGRNN_INJECT", "lost-after=2")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&lost.stderr).into_owned();
        assert_eq!(lost.status.code(), Some(5), "{told}");
        for part in ["the device was lost", "the same command goes on"] {
            assert!(told.contains(part), "{told}");
        }
    } else {
        println!("SKIPPED: faults cannot be injected in a release build of the program");
    }
    assert!(fs::read_to_string(&points).unwrap().starts_with(&before));
    sandbox.ok(go);
    assert_eq!(lines(), 4);
    // Software is never chosen by itself.
    let adapters = pollster::block_on(wgrnn::exec::gpu::adapters());
    if adapters.iter().all(|adapter| adapter.software) {
        let wanted = ["--out rare", "expected a new folder", "device = \"cpu\""];
        sandbox.refuses("lab rare-words --out rare", 2, &wanted);
    }
}
