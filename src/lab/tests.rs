//! What experiments rest on, at small sizes; and that a run goes on where it was stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use super::*;
use crate::cell::library;
use crate::error::Kind;
use crate::exec::cpu::Cpu;
use crate::model::{Dims, Init, Mode, Scheme, Spec, initialize};
use crate::rng::{Purpose, Stream};
use crate::task::Inputs;
use crate::train::Settings;

#[test]
fn the_gradient_of_a_linear_network_is_multiplied_by_sigma() {
    for sigma in [0.5, 0.8, 1.25, 2.0] {
        let point = Point(facts(json!({
            "cell": "rnn-linear", "sigma": sigma, "hidden": 7, "lags": 12, "seed": 3,
        })));
        let found = gradient_flow::GradientFlow
            .measure(&point, &Device::Cpu)
            .unwrap();
        let slope = found["slope"].as_f64().unwrap();
        assert!(
            gradient_flow::follows(slope, f64::ln(sigma)),
            "sigma {sigma}: slope {slope}, not {}",
            f64::ln(sigma)
        );
        // Step by step, too: all singular values are sigma.
        let norms: Vec<f64> = serde_json::from_value(found["h"].clone()).unwrap();
        for pair in norms.windows(2) {
            assert!((pair[1] / pair[0] / sigma - 1.0).abs() < 1e-5, "{norms:?}");
        }
    }
}

/// The gradient of the loss of the last step alone with respect to states on the way, against finite differences.
#[test]
fn gradients_of_states_are_finite_differences() {
    for cell in ["rnn", "lstm", "gru"] {
        let point = Point(facts(
            json!({"cell": cell, "sigma": 1.1, "hidden": 3, "lags": 5, "seed": 2}),
        ));
        let (_, mut suffixes) = gradient_flow::suffixes(&point).unwrap();
        let suffix = &mut suffixes[3];
        suffix.run().unwrap();
        let gradient = suffix.gradient().unwrap().concat();
        assert_eq!(gradient.len(), suffix.start.len());
        for (n, gradient) in gradient.into_iter().enumerate() {
            let start = suffix.start[n];
            let mut at = |x: f64| {
                suffix.start[n] = x;
                suffix.run().unwrap()
            };
            let by_differences = (at(start + 1e-5) - at(start - 1e-5)) / 2e-5;
            at(start);
            let off = (gradient - by_differences).abs();
            // Rounding of the loss over the step, and the third derivative times its square.
            assert!(off < 1e-9, "{cell} {n}: {gradient} and {by_differences}");
        }
    }
}

/// A point of `task` at a small size.
fn small(task: &str, variant: &str, length: usize, updates: u64) -> Point {
    let points = experiment(task).unwrap().points(Size::Quick, 1);
    let mut point = points
        .into_iter()
        .find(|point| point["variant"] == variant)
        .unwrap();
    for (name, value) in [
        ("length", length),
        ("hidden", 6),
        ("examples", 320),
        ("held_out", 40),
    ] {
        point.insert(name.into(), value.into());
    }
    point.insert("most_updates".into(), updates.into());
    point.insert("eval-every".into(), 20.into());
    point.insert("lr".into(), 0.02.into());
    Point(point)
}

#[test]
fn every_task_is_trained_on_and_an_easy_one_is_learned() {
    for (task, length) in [
        ("adding", 4),
        ("copy", 1),
        ("temporal-order", 10),
        ("gap", 2),
    ] {
        let found = experiment(task)
            .unwrap()
            .measure(&small(task, "gru", length, 4), &Device::Cpu)
            .unwrap();
        let left = found["left"].as_f64().unwrap();
        assert!(
            left > 0.1 && left < 3.0 && found["solved"] == 0,
            "{task}: {found:?}"
        );
        assert_eq!(found["updates"], 4, "{task}");
    }
    for variant in lengths::VARIANTS {
        let latch = experiment("latch").unwrap();
        let found = latch
            .measure(&small("latch", variant.name, 3, 300), &Device::Cpu)
            .unwrap();
        assert_eq!(found["solved"], 1, "{}: {found:?}", variant.name);
        assert!(found["left"].as_f64().unwrap() <= 0.1);
    }
}

#[test]
fn deep_networks_of_every_kind_are_trained() {
    let depth = experiment("depth").unwrap();
    let mut left = Vec::new();
    for kind in ["plain", "residual", "highway"] {
        let found = depth
            .measure(&small("depth", kind, 10, 20), &Device::Cpu)
            .unwrap();
        left.push(found["left"].as_f64().unwrap());
    }
    // Three networks, none of which is another.
    assert!(left.iter().all(|x| *x > 0.1 && *x < 3.0), "{left:?}");
    assert!(left[0] != left[1] && left[1] != left[2] && left[0] != left[2]);
}

#[test]
fn equal_units_stay_equal_and_others_do_not() {
    let symmetry = experiment("symmetry").unwrap();
    let points = symmetry.points(Size::Quick, 1).into_iter();
    for mut point in points.filter(|point| point["variant"] == "rnn" || point["variant"] == "gru") {
        point.insert("most_updates".into(), 8.into());
        point.insert("eval-every".into(), 4.into());
        let start = point["start"].clone();
        let found = symmetry.measure(&Point(point), &Device::Cpu).unwrap();
        let (apart, gone) = (
            found["apart"].as_f64().unwrap(),
            found["gone"].as_f64().unwrap(),
        );
        assert!(gone > 1e-3, "{found:?}");
        assert_eq!(apart == 0.0, start == "all equal", "{start}: {found:?}");
    }
}

#[test]
fn plans_of_long_sequences_grow_as_they_should() {
    let memory = experiment("memory").unwrap();
    let measured = memory
        .points(Size::Quick, 1)
        .into_iter()
        .map(Point)
        .map(|point| Measured {
            result: memory.measure(&point, &Device::Cpu).unwrap(),
            point,
        });
    let measured: Vec<Measured> = measured.collect();
    for finding in memory.findings(&measured) {
        assert_eq!(
            finding.holds,
            Some(true),
            "{}: {}",
            finding.claim,
            finding.found
        );
    }
}

const HIDDEN: usize = 5;

/// c after so many steps of an LSTM whose input and forget gates are held open (1) or shut (0), and c before them.
fn cell_state(input: bool, forget: bool, steps: usize, start: &[f32]) -> Vec<f32> {
    let spec = Spec {
        vocab: 4,
        cells: vec![Arc::new(library::builtin("lstm").unwrap())],
        hidden: HIDDEN,
        ..Spec::default()
    };
    let plan = Arc::new(
        spec.plan(Dims { steps, batch: 1 }, Mode::Gradients)
            .unwrap(),
    );
    let bias = |open: bool| if open { 1e4 } else { -1e4 };
    let init = Init {
        scheme: Scheme::Xavier,
        scale: 1.0,
        gate_bias: vec![("i".into(), bias(input)), ("f".into(), bias(forget))],
        ..Init::default()
    };
    let mut cpu = Cpu::<f32>::new(plan.clone());
    let parameters = initialize(&plan, &init).unwrap();
    cpu.write(plan.io.parameters.unwrap())
        .copy_from_slice(&parameters);
    // The states [2, T+1, 1, H] go on from the last step; h begins with zeros.
    let slot = plan.io.states[0].slot;
    let last = (steps + 1 + steps) * HIDDEN;
    cpu.write(slot)[last..last + HIDDEN].copy_from_slice(start);
    let mut stream = Stream::new(5, Purpose::Check, 0);
    let ids: Vec<u32> = (0..=steps).map(|_| stream.below(4) as u32).collect();
    cpu.run(&Inputs::new(&ids).scale(1.0)).unwrap();
    cpu.read(slot)[last..last + HIDDEN].to_vec()
}

#[test]
fn an_open_forget_gate_keeps_c_to_the_bit() {
    // Far above what a shut input gate lets through, sigmoid(-30).
    let start = [0.3, -1.7, 1e-3, 42.0, -0.01];
    let bits = |c: &[f32]| c.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let end = cell_state(false, true, 1000, &start);
    assert_eq!(bits(&end), bits(&start));
}

/// The four corners of input and forget gate: remember, overwrite, add, forget.
#[test]
fn the_corners_of_the_gates_do_what_they_are_called() {
    let (start, other) = ([0.3, -1.7, 0.5, 42.0, -0.01], [9.0, 8.0, -7.0, 0.25, 3.0]);
    let step = |input, forget, start: &[f32]| cell_state(input, forget, 1, start);
    assert_eq!(step(false, true, &start), start, "remember");
    let written = step(true, false, &start);
    assert_eq!(written, step(true, false, &other), "overwrite");
    assert!(
        written.iter().all(|g| *g != 0.0 && g.abs() < 1.0),
        "{written:?}"
    );
    let sum: Vec<f32> = start.iter().zip(&written).map(|(c, g)| c + g).collect();
    assert_eq!(step(true, true, &start), sum, "add");
    // The engine's sigmoid ends at -30: what is left is less than 1e-13 of c and of g.
    for (c, left) in start.iter().zip(step(false, false, &start)) {
        assert!(left.abs() < 1e-13 * (c.abs() + 1.0), "forget {c}: {left}");
    }
}

/// A run on the processor.
fn of(experiment: &dyn Experiment, size: Size, seed: u64) -> LabRun<'_> {
    LabRun {
        experiment,
        size,
        seed,
        device: &Device::Cpu,
    }
}

/// Measurements that were made of the experiment below.
static MEASURED: AtomicUsize = AtomicUsize::new(0);
/// Set by its third one.
static STOP: AtomicBool = AtomicBool::new(false);

struct Squares;

impl Experiment for Squares {
    fn name(&self) -> &'static str {
        "squares"
    }

    fn about(&self) -> &'static str {
        "What is the square of 0 to 9? <b>"
    }

    fn method(&self) -> &'static str {
        "By multiplication."
    }

    fn points(&self, _: Size, seed: u64) -> Vec<Facts> {
        (0..10)
            .map(|n| facts(json!({"n": n, "seed": seed})))
            .collect()
    }

    fn check(&self, point: &Point) -> Result<()> {
        match number(point, "seed")? {
            13.0 => Err(Error::usage("13 brings bad luck")),
            _ => Ok(()),
        }
    }

    fn measure(&self, point: &Point, _: &Device) -> Result<Facts> {
        if MEASURED.fetch_add(1, Ordering::SeqCst) == 2 {
            STOP.store(true, Ordering::SeqCst);
        }
        let n = number(point, "n")?;
        Ok(facts(json!({"square": n * n})))
    }

    fn columns(&self) -> &'static [&'static str] {
        &["n", "square", "cube"]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        let points = measured.iter();
        let points = points.filter_map(|m| Some((m.number("n")?, m.number("square")?)));
        Plot {
            title: "Squares".into(),
            across: "n".into(),
            up: "n^2".into(),
            across_scale: Scale::Linear,
            up_scale: Scale::Log,
            series: vec![Series {
                name: "a & b".into(),
                points: points.collect(),
            }],
        }
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        vec![Finding {
            claim: "9 has the square 80",
            by: "nobody",
            found: format!("{} points", measured.len()),
            holds: measured.last().map(|m| m.number("square") == Some(80.0)),
        }]
    }
}

#[test]
fn a_run_that_was_stopped_measures_what_is_missing_and_nothing_twice() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("squares");
    let go = |stop: &AtomicBool| of(&Squares, Size::Quick, 7).run(&out, &|_, _| {}, stop);
    let e = go(&STOP).unwrap_err();
    assert_eq!(e.kind, Kind::Interrupted, "{e}");
    let before = MEASURED.load(Ordering::SeqCst);
    assert!((3..10).contains(&before), "{before}");
    let points = out.join("points.jsonl");
    // A program that was killed leaves half a line.
    let mut text = std::fs::read_to_string(&points).unwrap();
    assert_eq!(text.lines().count(), before);
    text.push_str("{\"point\":{\"n\":9");
    std::fs::write(&points, text).unwrap();

    let report = go(&AtomicBool::new(false)).unwrap();
    assert_eq!((report.kept, MEASURED.load(Ordering::SeqCst)), (before, 10));
    {
        let _held = crate::train::run_dir::lock(&out).unwrap();
        let e = go(&AtomicBool::new(false)).unwrap_err();
        assert!(
            e.kind == Kind::Io && e.message.contains("another process"),
            "{e}"
        );
    }
    let again = go(&AtomicBool::new(false)).unwrap();
    assert_eq!((again.kept, MEASURED.load(Ordering::SeqCst)), (10, 10));
    assert_eq!(again.measured, report.measured);
    let lines: Vec<&str> = report.table.lines().collect();
    assert_eq!((lines[0], lines[4]), ("n\tsquare\tcube", "3\t9\t-"));
    assert_eq!(report.findings[0].verdict(), "does not hold");

    let read = |name: &str| std::fs::read_to_string(out.join(name)).unwrap();
    assert_eq!(read("points.jsonl").lines().count(), 10);
    let settings: toml::Table = read("settings.toml").parse().unwrap();
    assert_eq!(settings["experiment"].as_str(), Some("squares"));
    assert_eq!(settings["seed"].as_integer(), Some(7));
    assert_eq!(settings["device"].as_str(), Some("cpu"));
    let page = read("index.html");
    for part in [
        "9 has the square 80",
        "nobody",
        "does not hold",
        "&lt;b&gt;",
        "on cpu; 10 points",
        "<td>81</td>",
        "<svg",
    ] {
        assert!(page.contains(part), "no {part}");
    }
    // Nothing comes from elsewhere: the one address is the name of SVG's own vocabulary.
    let foreign = page.replace("http://www.w3.org/2000/svg", "");
    assert!(!foreign.contains("http") && !foreign.contains("src=") && !foreign.contains("href"));
    assert!(read("plot.svg").contains("a &amp; b"));

    // Of several, the one page has what each has, and its links lead to itself.
    let page = together(&[(&Squares, report)]);
    assert!(is_page(&page) && page.contains("<td>81</td>") && page.contains("does not hold"));
    let links = page.matches("href=").count();
    assert!(links == 1 && links == page.matches("href=\"#squares\"").count());
    assert!(page.contains("id=\"squares\""));

    // What cannot be measured is said before there is a folder.
    let unlucky = scratch.path().join("unlucky");
    let stop = AtomicBool::new(false);
    let unlucky_run = of(&Squares, Size::Quick, 13);
    let e = unlucky_run.run(&unlucky, &|_, _| {}, &stop).unwrap_err();
    assert!(
        e.message == "squares: 13 brings bad luck" && !unlucky.exists(),
        "{e}"
    );

    // Another run does not come here.
    for (size, seed) in [(Size::Full, 7), (Size::Quick, 8)] {
        let e = of(&Squares, size, seed).check(&out).unwrap_err();
        assert_eq!(e.kind, Kind::Usage);
        assert!(
            e.message.contains("--out") && e.message.contains(size.name()),
            "{e}"
        );
    }
    std::fs::write(&points, "{}\n").unwrap();
    let e = go(&AtomicBool::new(false)).unwrap_err();
    assert!(
        e.kind == Kind::Data && e.message.contains("points.jsonl:1"),
        "{e}"
    );
}

#[test]
fn every_experiment_has_points_of_its_columns_and_no_two_alike() {
    for experiment in EXPERIMENTS {
        for size in [Size::Quick, Size::Full] {
            let points = experiment.points(size, 1);
            assert!(points.len() > 1, "{}", experiment.name());
            for (n, point) in points.iter().enumerate() {
                assert!(
                    !points[..n].contains(point),
                    "{}: {point:?}",
                    experiment.name()
                );
                let known = experiment
                    .columns()
                    .iter()
                    .any(|name| point.contains_key(*name));
                assert!(known, "{}", experiment.name());
            }
        }
        // At its usual sizes and any seed it can run as it is told.
        let path = std::path::Path::new("no such folder");
        for size in [Size::Quick, Size::Full] {
            of(experiment, size, 7).check(path).unwrap();
        }
        // Nothing is said of what was not measured.
        let nothing = experiment.findings(&[]);
        assert!(
            nothing.iter().all(|finding| finding.holds.is_none()),
            "{}",
            experiment.name()
        );
    }
}

/// The first quick point of an experiment, with other settings.
fn altered(experiment: &dyn Experiment, settings: Value) -> Point {
    let mut point = experiment.points(Size::Quick, 1).remove(0);
    point.extend(facts(settings));
    Point(point)
}

#[test]
fn what_is_memorised_is_counted_in_bits() {
    assert_eq!(memorise::entropy(0.5), 1.0);
    assert_eq!((memorise::entropy(0.0), memorise::entropy(1.0)), (0.0, 0.0));
    let memorise = &memorise::Memorise;
    for cell in ["rnn", "gru", "lstm"] {
        let settings =
            json!({"cell": cell, "numbers": 120, "load": 0.5, "updates": 150, "batch": 60});
        let found = memorise
            .measure(&altered(memorise, settings), &Device::Cpu)
            .unwrap();
        let number = |name: &str| found[name].as_f64().unwrap();
        assert!(number("learned_numbers") <= 120.0, "{found:?}");
        // One unit more has too many.
        assert!(number("learned_numbers") > 60.0, "{found:?}");
        assert!(number("right") > 0.75, "{cell}: {found:?}");
        let bits = 60.0 * (1.0 - memorise::entropy(number("right")));
        assert!((number("bits_a_number") - bits / number("learned_numbers")).abs() < 1e-12);
    }
}

#[test]
fn sorted_lines_have_less_padding() {
    let batching = &batching::BatchingOrders;
    let padding = ["shuffle", "source", "target"].map(|order| {
        let settings = json!({
            "order": order, "examples": 200, "held_out": 20, "epochs": 1, "hidden": 4, "batch-tokens": 128,
        });
        let found = batching.measure(&altered(batching, settings), &Device::Cpu).unwrap();
        assert!(found["perplexity"].as_f64().unwrap() > 1.0, "{found:?}");
        assert!(found["symbols_a_second"].as_f64().unwrap() > 0.0, "{found:?}");
        found["padding"].as_f64().unwrap()
    });
    let [shuffled, source, target] = padding;
    assert!(
        target < 0.2 * shuffled && target < 0.2 * source,
        "{padding:?}"
    );
}

#[test]
fn what_closes_is_counted() {
    let closed = |text: &str, kind| {
        let found = stages::closed(&[text.to_owned()], kind);
        (found.right, found.all)
    };
    assert_eq!(closed("([]{})\n()\n", "brackets"), (4, 4));
    assert_eq!(closed("([)]\n", "brackets"), (0, 2));
    // What is open at the end of a line is wrong; a line that has no end does not count.
    assert_eq!(closed("((\n())\n((((", "brackets"), (1, 4));
    assert_eq!(closed("<ab><c></c></ab>\n", "xml"), (2, 2));
    assert_eq!(closed("<ab></ac>\n<a>b</a>\n<a<b>\n", "xml"), (0, 2));
    assert_eq!(
        closed("=== a b ===\n[[a]] '''b [[c]]''' [['''d''' e]]\n", "wiki"),
        (6, 6)
    );
    // A heading has as many signs at its end, bold words close before the link around them, and other signs close nothing.
    assert_eq!(closed("== a ===\n", "wiki"), (0, 1));
    assert_eq!(closed("[['''a]]''' [[b\n", "wiki"), (0, 3));
    assert_eq!(closed("[a]] ''b'' '''c'''\n", "wiki"), (1, 5));
}

#[test]
fn a_network_writes_after_its_training() {
    let stages = &stages::Stages;
    for kind in ["text", "brackets", "xml", "wiki"] {
        let settings = json!({
            "kind": kind, "updates": 2, "characters": 1200, "held_out": 300, "hidden": 4, "steps": 8, "batch": 2,
        });
        let found = stages
            .measure(&altered(stages, settings), &Device::Cpu)
            .unwrap();
        let right = found["right"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&right), "{found:?}");
        assert!(!found["sample"].as_str().unwrap().contains('\n'));
        assert!(!found["sample"].as_str().unwrap().is_empty());
    }
}

#[test]
fn clipping_bounds_nothing_but_updates() {
    let clipping = &clipping::Clipping;
    let norms = [0.0, 1e-3].map(|norm| {
        let settings = json!({
            "characters": 1200, "held_out": 300, "updates": 1, "hidden": 4, "clip-norm": norm, "lr": 1.0,
        });
        let found = clipping.measure(&altered(clipping, settings), &Device::Cpu).unwrap();
        [found["norm"].as_f64().unwrap(), found["last"].as_f64().unwrap()]
    });
    assert_eq!(norms[0][0], norms[1][0]);
    assert!(norms[0][1] < norms[1][1], "{norms:?}");
}

#[test]
fn least_squares_find_what_numbers_hang_on() {
    use least_squares::{Row, explained, share_of};
    let mut stream = Stream::new(4, Purpose::Check, 0);
    let mut row = |_| {
        let terms: Vec<f64> = (0..3).map(|_| stream.normal()).collect();
        // The parts have variances of 9 and 1, and nothing hangs on the second term.
        Row {
            number: 5.0 + 3.0 * terms[0] - terms[2],
            terms,
        }
    };
    let rows: Vec<Row> = (0..400).map(&mut row).collect();
    let groups = [7, 8, 9];
    assert!((explained(&rows, |_| true).unwrap() - 1.0).abs() < 1e-6);
    for (group, share) in [(7, 0.9), (8, 0.0), (9, 0.1)] {
        let found = share_of(&rows, &groups, group).unwrap();
        assert!((found - share).abs() < 0.03, "{group}: {found}");
    }
    assert_eq!(explained(&rows[..4], |_| true), None);
}

#[test]
fn trials_of_variants_are_ranked_and_explained() {
    let variants = &variants::MADE_UP;
    for task in ["pen", "digit"] {
        let settings = json!({"task": task, "updates": 3, "hidden": 4});
        let found = variants
            .measure(&altered(variants, settings), &Device::Cpu)
            .unwrap();
        assert!(found["nats"].as_f64().unwrap().is_finite(), "{found:?}");
    }
    // Losses that hang on the rate alone.
    let worse = |point: &Facts| point["cell"] == "lstm-nfg" || point["cell"] == "lstm-noaf";
    let of_rate = |(by_cell, point): (f64, Facts)| {
        let nats = (point["lr"].as_f64().unwrap().ln() + 5.0).powi(2);
        let nats = nats + if worse(&point) { by_cell } else { 0.0 };
        Measured {
            point: Point(point),
            result: facts(json!({"nats": nats})),
        }
    };
    let measured = |by_cell: f64| -> Vec<Measured> {
        let points = variants.points(Size::Quick, 1).into_iter();
        points.map(|point| of_rate((by_cell, point))).collect()
    };
    // And on two cells, beside the rate.
    let apart = variants.findings(&measured(5.0));
    assert_eq!(
        (apart[0].holds, apart[1].holds),
        (Some(true), Some(true)),
        "{}",
        apart[0].found
    );
    let measured = measured(0.0);
    let findings = variants.findings(&measured);
    assert_eq!(findings[1].holds, Some(false), "{}", findings[1].found);
    let verdicts: Vec<Option<bool>> = findings.iter().map(|f| f.holds).collect();
    assert_eq!(
        verdicts[3..],
        [Some(true), Some(true)],
        "{}",
        findings[3].found
    );
    let map = variants.heat(&measured).unwrap();
    assert!(map.svg().unwrap().contains("learning rate"));
    assert_eq!((map.rows.len(), map.rows[0].len()), (3, 5));
}

/// What lies on the way from an example to a minibatch of a stream.
#[test]
fn labels_lie_where_their_steps_are() {
    let read = |text: &str, ending, symbols| {
        let made = Made {
            text: text.into(),
            ending,
            symbols,
        };
        streamed::labelled(&made)
    };
    let (all, symbols) = read("a\tabca\nb\tba\n", "tsv", None);
    // a, b, c in the order in which they come; the label is one of them.
    assert_eq!(symbols, 3);
    assert_eq!(
        (&all[0].symbols[..], &all[0].labels[..]),
        (&[0, 1, 2, 0][..], &[(3, 0)][..])
    );
    assert_eq!(
        (&all[1].symbols[..], &all[1].labels[..]),
        (&[1, 0][..], &[(1, 1)][..])
    );
    let words = Some(crate::data::VocabKind::Word);
    let (all, symbols) = read("x\tof a of\n", "tsv", words);
    assert_eq!((all[0].symbols.clone(), symbols), (vec![0, 1, 0], 3));
    let (all, _) = read("a\t-\nb\ta\n\nb\tb\n\n", "conll", None);
    assert_eq!(
        (&all[0].symbols[..], &all[0].labels[..]),
        (&[0, 2][..], &[(0, 1), (1, 0)][..])
    );
    assert_eq!(all.len(), 2);
}

/// A variant that learned more lengths reaches further; where all or none were learned, nothing is said.
#[test]
fn what_reaches_further_is_decided_by_lengths() {
    let holds = |own: [u8; 2], other: [u8; 2]| {
        let of = |variant: &str, solved: [u8; 2]| {
            let points = [10, 30]
                .into_iter()
                .zip(solved)
                .map(|(length, solved)| Measured {
                    point: Point(facts(json!({"variant": variant, "length": length}))),
                    result: facts(json!({"solved": solved})),
                });
            points.collect::<Vec<Measured>>()
        };
        let measured = [of(lengths::PENALISED, own), of(lengths::RNN, other)].concat();
        lengths::penalty_reaches_further(&measured).holds
    };
    assert_eq!(holds([1, 1], [1, 0]), Some(true));
    assert_eq!(holds([1, 0], [1, 0]), Some(false));
    assert_eq!(holds([0, 0], [1, 0]), Some(false));
    assert_eq!(holds([1, 1], [1, 1]), None);
    assert_eq!(holds([0, 0], [0, 0]), None);
}

/// Held-out examples of a point that asks for the longest are as long as it says, and others are of any length.
#[test]
fn the_longest_are_held_out_where_only_they_count() {
    let lengths_of = |experiment: &dyn Experiment, settings| {
        let made = lengths::made(&altered(experiment, settings)).unwrap();
        let letters = made.text.lines().map(|line| line.len() - 2);
        letters.collect::<Vec<usize>>()
    };
    let settings = json!({"examples": 30, "held_out": 10});
    let all = lengths_of(&interference::EXPERIMENT, settings);
    assert_eq!(all.len(), 40);
    assert!(all[30..].iter().all(|length| *length == 100));
    assert!(all[..30].iter().any(|length| *length < 50));
}

#[test]
fn a_penalty_changes_what_a_stream_learns_and_nothing_else_does() {
    let penalised = |weight: f64| {
        let point = small("latch", lengths::PENALISED, 6, 3);
        let examples = streamed::labelled(&lengths::made(&point).unwrap());
        let settings = Settings {
            hidden: 5,
            embed: 3,
            batch: 4,
            lr: 0.01,
            propagation_penalty: weight,
            ..Settings::default()
        };
        let rnn = library::builtin("rnn").unwrap();
        streamed::learned(&Device::Cpu, &examples, 320, rnn, &settings, 3, 0.0).unwrap()
    };
    assert_eq!(penalised(0.5), penalised(0.5));
    assert_ne!(penalised(0.5), penalised(0.0));
    // Padding has no part in a loss: a guess among 8 letters pays about ln 8.
    let (updates, nats) = penalised(0.0);
    assert_eq!(updates, 3);
    assert!((nats - 8f64.ln()).abs() < 0.5, "{nats}");
}

#[test]
fn lengths_that_stay_alike_have_no_deviation() {
    assert_eq!(regularise::relative_deviation(&[3.0, 3.0, 3.0]), 0.0);
    assert_eq!(regularise::relative_deviation(&[1.0, 3.0]), 0.5);
    let settings = json!({"way": "norm stabiliser", "updates": 2, "characters": 1200, "held_out": 4000, "hidden": 4});
    let found = regularise::Regularise
        .measure(&altered(&regularise::Regularise, settings), &Device::Cpu)
        .unwrap();
    let spread = found["spread"].as_f64().unwrap();
    assert!(spread > 0.0 && spread < 1.0, "{found:?}");
}

#[test]
fn letters_are_counted_in_their_places() {
    let targets = [vec![1, 2, 3], vec![4], vec![]];
    let written = [(vec![1, 3, 3], true), (vec![4, 4], true), (vec![], true)];
    // Two and the end; one, and an end too late; nothing but the end.
    assert_eq!(exposure::in_place(&targets, &written), (5, 1));
    // A text that was cut off has no end.
    assert_eq!(
        exposure::in_place(&targets[1..2], &[(vec![4], false)]),
        (1, 0)
    );
}

#[test]
fn scheduled_sampling_is_another_training() {
    let nats = ["true tokens", "scheduled sampling"].map(|way| {
        let settings = json!({
            "way": way, "examples": 64, "held_out": 20, "length": 3, "hidden": 8, "updates": 20, "lr": 0.01,
        });
        let point = altered(&exposure::Exposure, settings);
        let found = exposure::Exposure.measure(&point, &Device::Cpu).unwrap();
        for name in ["forced", "free", "complete"] {
            assert!((0.0..=1.0).contains(&found[name].as_f64().unwrap()), "{found:?}");
        }
        found["nats"].as_f64().unwrap()
    });
    assert_ne!(nats[0], nats[1]);
}
