//! Mutants are cells, a search hangs on its seed alone, and it goes on where it was killed.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proptest::prelude::*;

use super::propose::{Proposal, propose};
use super::*;
use crate::cell::{Cell, library};
use crate::error::Kind;
use crate::exec::Device;
use crate::rng::{Purpose, Stream};

fn sketch(name: &str) -> Sketch {
    Sketch::of(&library::builtin(name).unwrap()).unwrap()
}

#[test]
fn a_sketch_writes_the_cell_that_it_was_made_from() {
    for name in [
        "gru",
        "lstm",
        "rnn",
        "gru-cho",
        "mut1",
        "mut2",
        "mut3",
        "rnn-leaky",
    ] {
        let cell = library::builtin(name).unwrap();
        let text = Sketch::of(&cell).unwrap().text();
        let again = Cell::parse(name, &text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(again.normal().hash, cell.normal().hash, "{name}:\n{text}");
        assert_eq!(again.parameters(7, 7), cell.parameters(7, 7), "{name}");
    }
    // A start of a bias is not lost, nor which state is the output.
    let text = sketch("lstm").text();
    assert_eq!(text.matches("bias v").count(), 2, "{text}");
    assert!(text.starts_with("state h, c\n"), "{text}");
}

/// States that change places, copy each other, or are read beside what another one becomes.
#[test]
fn a_state_is_read_as_it_was_before_the_step() {
    let cells = [
        "state h, c\nbefore = h\nh = tanh(linear(x, c))\nc = before\n",
        "state h, c\nold = c\nc = tanh(linear(x, h)) + 0.5 * c\nh = c * sigmoid(linear(x, old)) + old\n",
        "state a, b, c\noutput b\nt = a\na = tanh(linear(x, b))\nb = sigmoid(linear(x, c)) * t\nc = t\n",
    ];
    for text in cells {
        let cell = Cell::parse("test", text).unwrap();
        let again = Sketch::of(&cell).unwrap().text();
        let hash = Cell::parse("test", &again).map(|c| c.normal().hash);
        assert_eq!(hash, Ok(cell.normal().hash), "{text}\n{again}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// A sound mutant parses, compiles, and has a gradient for every parameter.
    #[test]
    fn sound_mutants_can_be_trained(seed in 0..10_000u64, start in 0..2usize) {
        let mut parent = sketch(["gru", "lstm"][start]);
        let mut stream = Stream::new(seed, Purpose::Search, 0);
        for _ in 0..3 {
            let Some(child) = mutated(&parent, &mut stream) else { continue };
            let Ok(found) = sound(&child, "mutant") else { continue };
            let again = Cell::parse("mutant", &found.cell.text).unwrap();
            prop_assert_eq!(again.normal().hash, found.hash);
            // Read and written once more it is still the same, though sums may stand in another order.
            let twice = Cell::parse("mutant", &Sketch::of(&again).unwrap().text()).unwrap();
            prop_assert_eq!(twice.normal().hash, found.hash);
            let compiled = again.compile();
            prop_assert!(compiled.gate_delta.iter().all(Option::is_some), "{}", again.text);
            parent = child;
        }
    }
}

#[test]
fn cells_that_cannot_learn_are_weeded_out() {
    let refused = |text: &str, part: &str| {
        let cell = Cell::parse("test", text).unwrap();
        let error = sound(&Sketch::of(&cell).unwrap(), "test").unwrap_err();
        assert!(error.message.contains(part), "{error}");
    };
    // Nothing learned may cancel, be squashed to nothing, or come too late for the output; a cell looks back, and at its input.
    refused(
        "state h\na = linear(x)\nh = tanh(linear(x, h)) + a - a\n",
        "does not hang on",
    );
    refused(
        "state h\nh = tanh(linear(x, h)) + relu(-relu(linear(x)))\n",
        "no gradient",
    );
    refused("state h\nh = tanh(linear(x))\n", "step before");
    refused("state h\nh = tanh(linear(h))\n", "input");
}

/// Of mutants of the first cells and of their mutants, most are cells that were not there before.
#[test]
fn most_mutants_differ() {
    let (mut hashes, mut all, mut sketches) =
        (HashSet::new(), 0, vec![sketch("gru"), sketch("lstm")]);
    for parent in &sketches {
        hashes.insert(sound(parent, "first").unwrap().hash);
    }
    let mut stream = Stream::new(7, Purpose::Search, 1);
    while all < 200 {
        let parent = &sketches[stream.below(sketches.len() as u64) as usize];
        let Some(child) = mutated(parent, &mut stream) else {
            continue;
        };
        let Ok(found) = sound(&child, "mutant") else {
            continue;
        };
        all += 1;
        if hashes.insert(found.hash) {
            sketches.push(child);
        }
    }
    let distinct = hashes.len() - 2;
    println!("{distinct} of {all} mutants are new");
    assert!(10 * distinct >= 6 * all, "{distinct} of {all}");
}

/// A search so small that it is over in seconds.
fn small(seed: u64) -> Search {
    let sizes = TrainingSizes {
        hidden: 4,
        batch: 8,
        examples: 24,
        held_out: 8,
        updates: 3,
        cheap_updates: 2,
    };
    Search {
        device: Device::Cpu,
        seed,
        population: 5,
        sizes,
        text: ProblemText::builtin(sizes.examples + sizes.held_out).unwrap(),
    }
}

fn limits(evaluations: u64) -> SearchLimits {
    SearchLimits {
        evaluations: Some(evaluations),
        time: None,
        finals: false,
    }
}

fn run(search: &Search, evaluations: u64, out: &Path) -> SearchState {
    let never = AtomicBool::new(false);
    search
        .run(limits(evaluations), out, &|_| {}, &never)
        .unwrap()
}

#[test]
fn a_search_that_was_stopped_and_goes_on_comes_to_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    let search = small(3);
    let at_once = run(&search, 30, &whole);
    assert_eq!(at_once.evaluated.len(), 30);
    assert_eq!(at_once.population.members.len(), 5);
    // Stopped in the middle of evaluations, then with half of a line left, then by the number.
    let (stop, seen) = (AtomicBool::new(false), AtomicUsize::new(0));
    let tell = |_: Told| {
        if seen.fetch_add(1, Ordering::SeqCst) == 9 {
            stop.store(true, Ordering::SeqCst);
        }
    };
    let error = search.run(limits(30), &parts, &tell, &stop).unwrap_err();
    assert_eq!(error.kind, Kind::Interrupted, "{error}");
    let file = parts.join("evaluations.jsonl");
    let left = std::fs::read_to_string(&file).unwrap();
    assert!(left.lines().count() < 20, "{left}");
    std::fs::write(&file, left + "{\"number\": 99, \"na").unwrap();
    run(&search, 21, &parts);
    let resumed = run(&search, 30, &parts);
    assert_eq!(resumed, at_once);
    // Another seed is another search, which the folder is not for.
    let error = check(&small(4), &parts).unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    assert!(
        error.message.contains("seed = 4") && error.message.contains("seed = 3"),
        "{error}"
    );
    // What is left is what cells read.
    for member in &resumed.population.members {
        let text =
            std::fs::read_to_string(parts.join(format!("cells/{}.cell", member.name))).unwrap();
        assert!(
            text.starts_with(&format!("# {}.cell - score ", member.name)),
            "{text}"
        );
        let cell = Cell::parse(&member.name, &text).unwrap();
        assert_eq!(format!("{:016x}", cell.normal().hash), member.hash);
    }
    let page = std::fs::read_to_string(parts.join("index.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("Family tree") && !page.contains("href"));
}

#[test]
fn the_best_are_trained_anew_beside_the_gru() {
    let folder = tempfile::tempdir().unwrap();
    let search = small(5);
    let never = AtomicBool::new(false);
    let all = SearchLimits {
        finals: true,
        ..limits(20)
    };
    // After the gru's tries alone there is nothing to train anew.
    let early = SearchLimits {
        evaluations: Some(2),
        ..all
    };
    let state = search.run(early, folder.path(), &|_| {}, &never);
    assert_eq!(state.unwrap().finals, None);
    let state = search.run(all, folder.path(), &|_| {}, &never).unwrap();
    let tally = state.finals.unwrap();
    assert!(tally.others.iter().all(|cell| cell.hash != tally.gru.hash));
    assert_eq!(tally.ahead(&tally.gru), [(0.0, 0.0); 3]);
    // Fresh settings on every seed: not one share five times.
    let shares: HashSet<u64> = tally.gru.accuracy[2].iter().map(|x| x.to_bits()).collect();
    assert!(shares.len() > 1);
    let trained = std::fs::read_to_string(folder.path().join("finals.jsonl")).unwrap();
    assert_eq!(trained.lines().count(), (tally.others.len() + 1) * 15);
}

/// Accuracies of a cell on the problems, as an evaluation has them.
fn evaluated(number: u64, hash: &str, accuracy: Option<[f64; 3]>) -> Evaluated {
    Evaluated {
        number,
        name: hash.into(),
        hash: hash.into(),
        parent: None,
        text: String::new(),
        attempt: 0,
        lr: 0.01,
        cheap: Some(0.5),
        accuracy,
    }
}

#[test]
fn cells_are_kept_by_their_worst_problem() {
    let gru = [[0.5, 0.8, 0.4], [0.4, 0.7, 0.5], [0.1, 0.1, 0.1]];
    let first = (0..3).map(|n| evaluated(n as u64, "gru", Some(gru[n])));
    let later = [
        evaluated(3, "a", Some([0.6, 0.9, 0.4])),
        evaluated(4, "weeded", None),
        evaluated(5, "b", Some([0.5, 0.8, 0.45])),
        evaluated(6, "c", Some([0.1, 0.9, 0.9])),
        evaluated(7, "a", Some([0.1, 0.1, 0.6])),
    ];
    let all: Vec<Evaluated> = first.chain(later).collect();
    let population = Population::after(3, &all);
    // The gru's best on each problem, of its tries; a's too.
    assert_eq!((population.gru, population.cheap), ([0.5, 0.8, 0.5], 0.5));
    let names: Vec<&str> = population.members.iter().map(|m| &*m.name).collect();
    assert_eq!(names, ["a", "gru", "b"]);
    assert_eq!(population.members[0].best, [0.6, 0.9, 0.6]);
    assert_eq!(population.members[0].tries, 2);
    assert_eq!(worst(&[0.6, 0.9, 0.6], &population.gru), 1.125);
}

#[test]
fn a_proposal_hangs_on_what_lies_long_enough_before_it() {
    let gru = Evaluated {
        text: library::builtin("gru").unwrap().text,
        ..evaluated(0, "gru", Some([0.5; 3]))
    };
    let population = Population::after(9, &[gru]);
    let one = |pending: &[Proposal]| propose(1, 40, &population, &HashSet::new(), pending);
    let (a, b) = (one(&[]).unwrap(), one(&[]).unwrap());
    assert_eq!((a.hash, a.cell.text), (b.hash, b.cell.text));
    let first = propose(1, 4, &population, &HashSet::new(), &[]).unwrap();
    assert_eq!((first.cell.name.as_str(), first.attempt), ("lstm", 1));
}
