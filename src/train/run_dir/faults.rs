//! A fault at every change of a file that a run makes: a failing disk, a full one, a read-only one, a kill. Whatever comes,
//! the newest checkpoint is the old or the new one, and the error names the file.

use std::io::ErrorKind;

use super::tests::{checkpoint, new_run};
use super::*;
use crate::error::Kind;
use crate::train::files::Step;
use crate::train::files::faults::{How, during};

const WAYS: [How; 5] = [
    How::Fail(ErrorKind::Other),
    How::Fail(ErrorKind::StorageFull),
    How::Fail(ErrorKind::ReadOnlyFilesystem),
    How::Fail(ErrorKind::FileTooLarge),
    How::Stop,
];

/// How many changes `work` makes to files, and every fault at each of them.
fn points<T>(setting: impl Fn() -> T, work: impl Fn(&T) -> Result<()>) -> Vec<(usize, How)> {
    let setting = setting();
    let (done, log) = during(None, || work(&setting));
    done.unwrap();
    assert!(log.len() > 2, "{log:?}");
    let places = 0..log.len();
    places.flat_map(|at| WAYS.map(|how| (at, how))).collect()
}

/// The error of a fault is one line of kind `Io` that names the file.
#[track_caller]
fn named(result: Result<()>, log: &[(Step, PathBuf)], (at, how): (usize, How)) {
    let e = match result {
        Ok(()) => panic!("{:?}: a fault that nobody hears of", log[at]),
        Err(e) => e,
    };
    assert_eq!(e.kind, Kind::Io, "{e}");
    assert_eq!(e.message.lines().count(), 1, "{e}");
    let file = log[at].1.file_name().unwrap().to_str().unwrap();
    // An unfinished file is known by the name that it is to have.
    let known = file
        .trim_start_matches('.')
        .split(".safetensors")
        .next()
        .unwrap();
    let known = known.split(".toml").next().unwrap();
    assert!(e.message.contains(known), "{known}: {e}");
    if how == How::Fail(ErrorKind::StorageFull) {
        assert!(e.message.contains("disk full"), "{e}");
    }
}

fn unfinished(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in [folder.to_path_buf(), folder.join(CHECKPOINTS)] {
        let entries = fs::read_dir(folder).into_iter().flatten();
        let paths = entries.map(|e| e.unwrap().path());
        found.extend(paths.filter(|p| p.to_string_lossy().ends_with(atomic::UNFINISHED)));
    }
    found
}

/// A run with checkpoints 10 and 20, the best of them 10.
fn two() -> (tempfile::TempDir, PathBuf, RunWriter) {
    let (folder, path, writer) = new_run();
    for step in [10, 20] {
        writer.save(step, &checkpoint(step), 2).unwrap();
    }
    writer.save_best(&checkpoint(10)).unwrap();
    (folder, path, writer)
}

#[test]
fn a_fault_at_any_point_of_a_checkpoint_leaves_the_old_or_the_new_one() {
    let save = |run: &(_, _, RunWriter)| run.2.save(30, &checkpoint(30), 2).map(drop);
    let points = points(two, save);
    // Created, written in two pieces, synced, renamed, the folder synced, the oldest removed.
    assert_eq!(points.len(), 7 * WAYS.len());
    let mut seen = std::collections::BTreeSet::new();
    for fault in points {
        let run = two();
        let (result, log) = during(Some(fault), || save(&run));
        named(result, &log, fault);
        let (_folder, path, writer) = run;
        let newest = writer.run().newest().unwrap();
        assert!([20, 30].contains(&newest.step), "{fault:?}");
        assert_eq!(newest.checkpoint, checkpoint(newest.step), "{fault:?}");
        assert!(
            newest.warnings.is_empty(),
            "{fault:?}: {:?}",
            newest.warnings
        );
        let best = Checkpoint::load(&writer.run().best_path()).unwrap();
        assert_eq!(best, checkpoint(10));
        if fault.1 != How::Stop {
            assert!(unfinished(&path).is_empty(), "{fault:?}");
        }
        seen.insert(newest.step);
        drop(writer);
        // Whoever comes next goes on as if nothing had been.
        let writer = RunWriter::resume(&path).unwrap();
        assert!(unfinished(&path).is_empty(), "{fault:?}");
        writer.save(40, &checkpoint(40), 2).unwrap();
        assert_eq!(writer.run().newest().unwrap().checkpoint, checkpoint(40));
    }
    assert_eq!(
        seen.into_iter().collect::<Vec<_>>(),
        [20, 30],
        "both must have been seen"
    );
}

/// Without these a power cut could lose what a kill cannot: the contents before their name, the name before the removal.
#[test]
fn contents_are_synced_before_their_name_and_the_name_before_old_ones_go() {
    let run = two();
    let (done, log) = during(None, || run.2.save(30, &checkpoint(30), 2));
    done.unwrap();
    let steps: Vec<Step> = log.iter().map(|(step, _)| *step).collect();
    use Step::*;
    assert_eq!(
        steps,
        [Create, Write, Write, Sync, Rename, SyncFolder, Remove]
    );
    assert_ne!(log[3].1, log[4].1, "what is synced is the unfinished file");
    assert!(log[6].1.ends_with("step-00000010.safetensors"));
}

#[test]
fn a_fault_at_any_point_leaves_the_old_or_the_new_best() {
    let save = |run: &(_, _, RunWriter)| run.2.save_best(&checkpoint(20)).map(drop);
    for fault in points(two, save) {
        let run = two();
        let (result, log) = during(Some(fault), || save(&run));
        named(result, &log, fault);
        let best = Checkpoint::load(&run.2.run().best_path()).unwrap();
        assert!(
            [checkpoint(10), checkpoint(20)].contains(&best),
            "{fault:?}"
        );
        assert_eq!(run.2.run().newest().unwrap().checkpoint, checkpoint(20));
    }
}

#[test]
fn a_fault_at_any_point_leaves_the_old_or_the_new_settings() {
    let write = |run: &(_, _, RunWriter)| run.2.write_settings("seed = 2\n");
    for fault in points(two, write) {
        let run = two();
        let (result, log) = during(Some(fault), || write(&run));
        named(result, &log, fault);
        let text = run.2.run().settings().unwrap();
        assert!(
            ["seed = 1\n", "seed = 2\n"].contains(&text.as_str()),
            "{fault:?}"
        );
    }
}

#[test]
fn a_fault_at_any_point_of_a_runs_making_leaves_a_run_or_a_folder_that_can_become_one() {
    let folder = || tempfile::tempdir().unwrap();
    let make = |folder: &tempfile::TempDir| {
        RunWriter::create(&folder.path().join("deep/run"), "seed = 1\n").map(drop)
    };
    let mut runs = 0;
    for fault in points(folder, make) {
        let folder = folder();
        let (result, _) = during(Some(fault), || make(&folder));
        let e = result.unwrap_err();
        assert_eq!(e.kind, Kind::Io, "{e}");
        assert!(e.message.contains("deep/run"), "{e}");
        let path = folder.path().join("deep/run");
        match Run::open(&path) {
            Ok(run) => {
                assert_eq!(run.settings().unwrap(), "seed = 1\n");
                runs += 1;
            }
            Err(_) => drop(RunWriter::create(&path, "seed = 1\n").unwrap()),
        }
        drop(RunWriter::resume(&path).unwrap());
        assert!(unfinished(&path).is_empty(), "{fault:?}");
    }
    assert!(runs > 0);
}

#[test]
fn a_fault_while_metrics_are_written_costs_at_most_the_last_line() {
    let line = |step: u64| serde_json::json!({ "step": step });
    let append = |run: &(_, _, RunWriter)| run.2.append(&line(21));
    let setting = || {
        let run = two();
        run.2.append(&line(20)).unwrap();
        run
    };
    for fault in points(setting, append) {
        let run = setting();
        let (result, log) = during(Some(fault), || append(&run));
        named(result, &log, fault);
        run.2.rewind(20).unwrap();
        let text = fs::read_to_string(run.2.run().metrics_path()).unwrap();
        assert_eq!(text, "{\"step\":20}\n", "{fault:?}");
    }
}

#[test]
fn going_back_can_be_broken_off_and_done_again() {
    let setting = || {
        let run = two();
        run.2.save(30, &checkpoint(30), 3).unwrap();
        fs::write(run.2.run().checkpoint_path(30), "garbage").unwrap();
        for step in [19, 20, 21] {
            run.2.append(&serde_json::json!({ "step": step })).unwrap();
        }
        run
    };
    let back = |run: &(_, _, RunWriter)| run.2.rewind(20);
    for fault in points(setting, back) {
        let run = setting();
        let (result, log) = during(Some(fault), || back(&run));
        named(result, &log, fault);
        assert_eq!(run.2.run().newest().unwrap().checkpoint, checkpoint(20));
        back(&run).unwrap();
        assert_eq!(run.2.run().checkpoints().unwrap(), [10, 20]);
        let text = fs::read_to_string(run.2.run().metrics_path()).unwrap();
        assert_eq!(text, "{\"step\":19}\n{\"step\":20}\n", "{fault:?}");
    }
}

/// A day of checkpoints in small: the folder never holds more than it should.
#[test]
fn hundreds_of_checkpoints_leave_the_last_few_and_the_best() {
    let (_folder, path, writer) = new_run();
    for step in 1..=300 {
        writer.save(step, &checkpoint(step), 3).unwrap();
        if step % 70 == 0 {
            writer.save_best(&checkpoint(step)).unwrap();
        }
        let files = fs::read_dir(path.join(CHECKPOINTS)).unwrap().count();
        assert!(files <= 4, "{files} files after {step}");
    }
    assert_eq!(writer.run().checkpoints().unwrap(), [298, 299, 300]);
}
