use serde_json::json;

use super::*;
use crate::error::Kind;
use crate::train::checkpoint::StoredTensor;

pub fn checkpoint(step: u64) -> Checkpoint {
    Checkpoint {
        tensors: [("w".to_string(), StoredTensor::f32([1], vec![step as f32]))].into(),
        meta: json!({ "step": step }),
    }
}

pub fn new_run() -> (tempfile::TempDir, PathBuf, RunWriter) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/run");
    let writer = RunWriter::create(&path, "seed = 1\n").unwrap();
    (folder, path, writer)
}

/// Every file below a folder with its contents.
fn snapshot(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(snapshot(&path))
        } else {
            all.push((path.clone(), fs::read(&path).unwrap()))
        }
    }
    all.sort();
    all
}

#[test]
fn a_run_is_made_once() {
    let (_folder, path, writer) = new_run();
    assert_eq!(writer.run().settings().unwrap(), "seed = 1\n");
    writer.save(0, &checkpoint(0), 1).unwrap();
    drop(writer);
    let before = snapshot(&path);
    let e = RunWriter::create(&path, "seed = 2\n").unwrap_err();
    assert_eq!(e.kind, Kind::Usage);
    assert!(e.message.contains("--resume"), "{e}");
    assert_eq!(snapshot(&path), before);
}

#[test]
fn a_folder_with_other_things_and_a_file_are_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "all of it").unwrap();
    let before = snapshot(folder.path());
    for path in [
        folder.path().to_path_buf(),
        folder.path().join("thesis.tex"),
    ] {
        assert_eq!(RunWriter::create(&path, "").unwrap_err().kind, Kind::Usage);
    }
    assert_eq!(snapshot(folder.path()), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_half_made_folder_can_be_used() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(CHECKPOINTS)).unwrap();
    fs::write(folder.path().join(LOCK), "").unwrap();
    RunWriter::create(folder.path(), "").unwrap();
}

#[test]
fn a_run_killed_before_its_first_checkpoint_is_made_anew() {
    let (_folder, path, writer) = new_run();
    let half = format!(
        "{CHECKPOINTS}/.step-00000000.safetensors.7{}",
        atomic::UNFINISHED
    );
    fs::write(path.join(half), "half").unwrap();
    // Not while the process is alive.
    let e = RunWriter::create(&path, "seed = 2\n").unwrap_err();
    assert_eq!(e.kind, Kind::Io);
    drop(writer);
    let writer = RunWriter::create(&path, "seed = 2\n").unwrap();
    assert_eq!(writer.run().settings().unwrap(), "seed = 2\n");
    // Settings that no run of ours left are somebody's own.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(SETTINGS), "mine").unwrap();
    let e = RunWriter::create(folder.path(), "").unwrap_err();
    assert_eq!(e.kind, Kind::Usage);
}

#[test]
fn what_is_no_run_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_path_buf(), folder.path().join("no")] {
        assert_eq!(Run::open(&path).unwrap_err().kind, Kind::Checkpoint);
        assert_eq!(RunWriter::resume(&path).unwrap_err().kind, Kind::Checkpoint);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn one_process_writes_and_any_number_read() {
    let (_folder, path, writer) = new_run();
    let e = RunWriter::resume(&path).unwrap_err();
    assert_eq!(e.kind, Kind::Io);
    let folder = path.display().to_string();
    assert!(
        e.message.contains("another process") && e.message.contains(&folder),
        "{e}"
    );
    Run::open(&path).unwrap();
    drop(writer);
    RunWriter::resume(&path).unwrap();
}

#[test]
fn the_last_few_and_the_best_are_kept() {
    let (_folder, path, writer) = new_run();
    for step in [10, 20, 30, 40] {
        writer.save(step, &checkpoint(step), 2).unwrap();
        if step == 10 {
            writer.save_best(&checkpoint(step)).unwrap();
        }
    }
    let run = Run::open(&path).unwrap();
    assert_eq!(run.checkpoints().unwrap(), [30, 40]);
    assert_eq!(run.newest().unwrap().checkpoint, checkpoint(40));
    assert_eq!(Checkpoint::load(&run.best_path()).unwrap(), checkpoint(10));
    writer.save(50, &checkpoint(50), 0).unwrap();
    assert_eq!(run.checkpoints().unwrap(), [50]);
    assert!(path.join("checkpoints/step-00000050.safetensors").is_file());
}

#[test]
fn a_damaged_newest_checkpoint_is_passed_over_with_a_warning() {
    let (_folder, _path, writer) = new_run();
    let run = writer.run();
    assert_eq!(run.newest().unwrap_err().kind, Kind::Checkpoint);
    for step in [10, 20, 30] {
        writer.save(step, &checkpoint(step), 3).unwrap();
    }
    fs::write(run.checkpoint_path(30), "garbage").unwrap();
    let newest = run.newest().unwrap();
    assert_eq!((newest.step, &newest.checkpoint), (20, &checkpoint(20)));
    assert_eq!(newest.warnings.len(), 1);
    assert!(
        newest.warnings[0].contains("step-00000030"),
        "{:?}",
        newest.warnings
    );

    // The damaged one must not count as one of those that are kept.
    writer.rewind(20).unwrap();
    writer.save(25, &checkpoint(25), 1).unwrap();
    assert_eq!(run.checkpoints().unwrap(), [25]);

    fs::write(run.checkpoint_path(25), "garbage").unwrap();
    let e = run.newest().unwrap_err();
    assert_eq!(e.kind, Kind::Checkpoint);
    assert!(e.message.contains("step-00000025"), "{e}");
}

#[test]
fn steps_beyond_eight_digits_stay_in_order() {
    let (_folder, _path, writer) = new_run();
    for step in [99_999_999, 100_000_000] {
        writer.save(step, &checkpoint(step), 2).unwrap();
    }
    assert_eq!(writer.run().newest().unwrap().step, 100_000_000);
}

#[test]
fn unfinished_files_are_cleared_away_on_resume() {
    let (_folder, path, writer) = new_run();
    drop(writer);
    let left = path
        .join(CHECKPOINTS)
        .join(format!(".a.1{}", atomic::UNFINISHED));
    fs::write(&left, "half").unwrap();
    let writer = RunWriter::resume(&path).unwrap();
    assert!(!left.exists());
    assert!(writer.run().checkpoints().unwrap().is_empty());
}

#[test]
fn metrics_end_at_the_step_that_is_resumed() {
    let (_folder, _path, writer) = new_run();
    writer.rewind(5).unwrap();
    writer.append(&json!({"start": "now"})).unwrap();
    for step in 1..=4 {
        writer.append(&json!({"step": step, "loss": 1.5})).unwrap();
    }
    let path = writer.run().metrics_path();
    let text = fs::read_to_string(&path).unwrap();
    // Torn within the object, and just before its end of line.
    for torn in ["{\"step\":", "{\"step\":5}"] {
        fs::write(&path, format!("{text}{torn}")).unwrap();
        writer.rewind(9).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    writer.rewind(2).unwrap();
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        "{\"start\":\"now\"}\n{\"loss\":1.5,\"step\":1}\n{\"loss\":1.5,\"step\":2}\n"
    );
    writer.append(&json!({"step": 3})).unwrap();
    assert!(
        fs::read_to_string(&path)
            .unwrap()
            .ends_with("}\n{\"step\":3}\n")
    );
}
