//! The binary on bad days: a full disk, a read-only folder, a second run in the same folder, kills at random moments, a
//! long run's memory. Each mechanism is a real one; a test that can use none of them fails and says so.
//!
//! `WGRNN_KILLS` and `WGRNN_STEPS` make the loops longer; `tests/long.sh` sets them.
#![cfg(unix)]

mod sandbox;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use wgrnn::train::Run;

use sandbox::{Done, Sandbox, TINY, finish};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wgrnn");

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().expect(name))
}

impl Sandbox {
    fn shell(&self, script: &str) -> Done {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(self.folder.path());
        command.env("XDG_RUNTIME_DIR", self.folder.path());
        finish(command.stdin(Stdio::null()))
    }

    fn start(&self, args: &str) -> Child {
        let mut command = self.command(args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// A run `r` of four steps whose checkpoints take much more space than its other files.
    fn with_a_run() -> Sandbox {
        let sandbox = Sandbox::new();
        sandbox.ok(
            "train a.txt --out r --steps 4 --hidden 64 --seq-len 5 --batch 2 --sample-every 0 -q",
        );
        sandbox
    }

    /// The run is as it was after four steps, and can be used.
    fn is_intact(&self, run: &str) {
        let newest = Run::open(&self.at(run)).unwrap().newest().unwrap();
        assert_eq!(newest.step, 4);
        assert!(newest.warnings.is_empty(), "{:?}", newest.warnings);
        self.ok(&format!("sample {run} --length 3 --checkpoint last"));
    }
}

/// One error line that names the file, exit code 7, no panic.
fn failed_to_write(done: &Done, parts: &[&str]) {
    assert_eq!(done.code, 7, "{}{}", done.out, done.err);
    let errors: Vec<&str> = done
        .err
        .lines()
        .filter(|l| l.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{}", done.err);
    for part in parts {
        assert!(errors[0].contains(part), "no {part:?} in {}", errors[0]);
    }
    assert!(!done.err.contains("panicked"), "{}", done.err);
}

/// A file system of a megabyte, in a namespace of its own; where none can be mounted, a limit of the size of files.
#[test]
fn a_full_disk_exits_7_and_the_old_checkpoint_is_intact() {
    let sandbox = Sandbox::with_a_run();
    fs::create_dir(sandbox.at("disk")).unwrap();
    let done = sandbox.shell(&format!(
        "unshare -rm sh -c 'mount -t tmpfs -o size=1m none disk || exit 99; cp -r r disk/r; \
         cat /dev/zero > disk/fill 2>/dev/null; {PROGRAM} train --resume disk/r --steps 9 --save-every 1 -q; code=$?; \
         rm disk/fill; cp -r disk/r after; exit $code'"
    ));
    if done.code == 99 || done.err.contains("unshare") {
        println!(
            "no mount here ({}): a limit of the size of files instead",
            done.err.trim()
        );
        return a_limit_of_the_size_of_files_exits_7_and_the_old_checkpoint_is_intact();
    }
    failed_to_write(&done, &["disk/r", "disk full"]);
    sandbox.is_intact("after");
    sandbox.ok("train --resume after --steps 9 -q");
}

/// The kernel refuses what goes beyond the limit, whoever runs the test and on whatever file system.
#[test]
fn a_limit_of_the_size_of_files_exits_7_and_the_old_checkpoint_is_intact() {
    let sandbox = Sandbox::with_a_run();
    let size = |name: &str| fs::metadata(sandbox.at(name)).unwrap().len();
    let (settings, checkpoint) = (
        size("r/settings.toml"),
        size("r/checkpoints/best.safetensors"),
    );
    // Blocks of 512 bytes, or of 1024 in some shells.
    assert!(
        settings < 32 * 512 && checkpoint > 32 * 1024,
        "{settings} {checkpoint}"
    );
    let done = sandbox.shell(&format!(
        "trap '' XFSZ; ulimit -f 32 || exit 99; {PROGRAM} train --resume r --steps 9 --save-every 1 -q"
    ));
    failed_to_write(&done, &["step-00000005.safetensors"]);
    assert!(!done.err.contains("unfinished"), "{}", done.err);
    sandbox.is_intact("r");
    let left = fs::read_dir(sandbox.at("r/checkpoints")).unwrap().count();
    sandbox.ok("train --resume r --steps 9 -q");
    assert_eq!(sandbox.newest("r").0, 9);
    assert!(left <= 4, "{left} files were left");
}

/// Permissions bind everyone but root, so root gives up the privilege to overrule them.
#[test]
fn a_read_only_folder_exits_7_and_names_it() {
    let sandbox = Sandbox::with_a_run();
    let set = |name: &str, mode| {
        fs::set_permissions(sandbox.at(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    fs::create_dir(sandbox.at("closed")).unwrap();
    let closed = ["closed", "r/checkpoints", "r"];
    for name in closed {
        set(name, 0o555);
    }
    let plain = sandbox.shell("touch closed/x");
    let without = match plain.code {
        // Nothing has to be given up.
        1 => "",
        _ => "setpriv --bounding-set -dac_override,-dac_read_search --inh-caps -all",
    };
    let touch = sandbox.shell(&format!("rm -f closed/x; {without} touch closed/y"));
    let before = sandbox.files();
    let train = sandbox.shell(&format!(
        "{without} {PROGRAM} train a.txt --out closed/new --steps 3 {TINY}"
    ));
    let resume = sandbox.shell(&format!(
        "{without} {PROGRAM} train --resume r --steps 9 -q"
    ));
    let after = sandbox.files();
    for name in closed {
        set(name, 0o755);
    }
    assert!(
        touch.err.contains("denied"),
        "permissions bind nobody here: run the tests as a user, or with setpriv: {}",
        touch.err
    );
    failed_to_write(&train, &["closed/new"]);
    failed_to_write(&resume, &["r/"]);
    assert_eq!(before, after);
    sandbox.is_intact("r");
}

#[test]
fn a_second_run_in_the_folder_is_refused_and_a_killed_one_leaves_no_lock() {
    let sandbox = Sandbox::with_a_run();
    let mut child = sandbox.start("train --resume r --steps 100000000 --save-every 1000000 -q");
    // Its first figures come after the lock.
    let metrics = fs::metadata(sandbox.at("r/metrics.jsonl")).unwrap().len();
    let limit = Instant::now() + Duration::from_secs(60);
    while fs::metadata(sandbox.at("r/metrics.jsonl")).unwrap().len() <= metrics {
        assert!(Instant::now() < limit, "no step within a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
    let second = sandbox.run("train --resume r --steps 9 -q");
    failed_to_write(&second, &["r: another process writes into this folder"]);
    let new = sandbox.run(&format!("train a.txt --out r --steps 9 {TINY}"));
    assert_eq!(new.code, 2, "{}", new.err);
    // Reading needs no lock.
    sandbox.ok("sample r --length 3 --checkpoint last");
    child.kill().unwrap();
    child.wait().unwrap();
    sandbox.ok("train --resume r --steps 9 -q");
    assert_eq!(sandbox.newest("r").0, 9);
}

/// Steps and losses of a run's metrics.
fn losses(sandbox: &Sandbox, run: &str) -> Vec<(u64, String)> {
    let text = fs::read_to_string(sandbox.at(run).join("metrics.jsonl")).unwrap();
    text.lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap())
        .filter(|l| l.get("loss").is_some())
        .map(|l| (l["step"].as_u64().unwrap(), l["loss"].to_string()))
        .collect()
}

/// Killed without warning at random moments, a training goes on each time, and ends in the bits of one that never
/// stopped: weights, optimiser, carried states and every loss on the way.
#[test]
fn a_training_killed_at_random_moments_ends_in_the_same_bits() {
    let wanted = number("WGRNN_KILLS", 4);
    let sandbox = Sandbox::new();
    let flags = format!(
        "{TINY} --layers 2 --embed 4 --dropout 0.3 --val 0.1 --save-every 2 --keep 2 --eval-every 7 --steps 60 -q --device cpu"
    );
    let start = Instant::now();
    sandbox.ok(&format!("train a.txt --out whole {flags}"));
    let most = start.elapsed().as_micros() as u64;
    let whole = sandbox.newest("whole");
    let mut seed = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64;
    println!("seed {seed}");
    let mut draw = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % most.max(1)
    };
    let (mut kills, mut runs, mut anew) = (0, 0, 0);
    while kills < wanted {
        runs += 1;
        let run = format!("run-{runs}");
        loop {
            // Killed before its first checkpoint, a run begins again; nobody has to clean up.
            let begun = Run::open(&sandbox.at(&run)).is_ok_and(|r| r.newest().is_ok());
            anew += u64::from(!begun);
            let args = if begun {
                format!("train --resume {run} -q --device cpu")
            } else {
                format!("train a.txt --out {run} {flags}")
            };
            if kills == wanted {
                let done = sandbox.run(&args);
                assert!([0, 2].contains(&done.code), "{}", done.err);
                break;
            }
            let mut child = sandbox.start(&args);
            std::thread::sleep(Duration::from_micros(draw()));
            let ended = child.try_wait().unwrap();
            child.kill().unwrap();
            let status = child.wait().unwrap();
            match (ended, status.code()) {
                (None, None) => kills += 1,
                // "Nothing is left to do", where the kill came after the last save.
                (_, Some(0 | 2)) => break,
                _ => panic!("{run} ended with {status} after {kills} kills"),
            }
        }
        let (step, checkpoint) = sandbox.newest(&run);
        assert_eq!(step, whole.0, "{run}");
        assert_eq!(
            checkpoint.tensors, whole.1.tensors,
            "{run} after {kills} kills"
        );
        assert_eq!(
            losses(&sandbox, &run),
            losses(&sandbox, "whole"),
            "{run} after {kills} kills"
        );
        let left = fs::read_dir(sandbox.at(&run).join("checkpoints")).unwrap();
        let names: Vec<_> = left.map(|e| e.unwrap().file_name()).collect();
        assert!(names.len() <= 3 + 1, "{names:?}");
    }
    println!(
        "{kills} kills in {runs} runs, {} of them before the first checkpoint",
        anew - runs
    );
}

/// The second Ctrl-C does not wait for a step that takes seconds, nor for a save.
#[test]
fn a_second_interrupt_leaves_at_once() {
    use std::io::{BufRead, BufReader};
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("b.txt"), "the cat sat on a mat; ".repeat(2000)).unwrap();
    let mut child = sandbox
        .command(
            "train b.txt --out r --hidden 256 --seq-len 20000 --batch 1 --epochs 9 --save-every 1000 --sample-every 0 --val 0 \
             --device cpu",
        )
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    let interrupt = || Command::new("kill").args(["-INT", &pid]).status().unwrap();
    let notes = BufReader::new(child.stderr.take().unwrap()).lines();
    // In its second step.
    let limit = Instant::now() + Duration::from_secs(300);
    while !fs::read(sandbox.at("r/metrics.jsonl")).is_ok_and(|text| !text.is_empty()) {
        assert!(Instant::now() < limit, "no step within five minutes");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(interrupt().success());
    let told = notes
        .map(|line| line.unwrap())
        .any(|line| line.contains("once more leaves at once"));
    assert!(told, "it ended without a word");
    assert!(interrupt().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    // The checkpoint of the beginning alone.
    assert_eq!(
        sandbox.newest("r").0,
        0,
        "it waited for the step and saved it"
    );
}

/// Epochs of minibatches of a size in tokens differ in length, and are counted as they come: neither more epochs than
/// anybody can count nor a forged step keeps the first step or the error from coming.
#[test]
fn epochs_and_steps_beyond_counting_take_no_time() {
    let limit = Duration::from_secs(60);
    let sandbox = Sandbox::new();
    let lines = ["the cat sat", "on a mat", "and ran off", "a", "the cat did"];
    fs::write(sandbox.at("lines.txt"), lines.join("\n").repeat(5)).unwrap();
    let newest = |sandbox: &Sandbox| {
        let run = Run::open(&sandbox.at("r")).ok()?;
        run.newest().ok().filter(|newest| newest.step > 6)
    };
    let mut child = sandbox.start(
        "train lines.txt --out r --hidden 4 --lines --batch-tokens 60 --epochs 1000000000 --save-every 1 --sample-every 0 \
         -q --device cpu",
    );
    let start = Instant::now();
    while newest(&sandbox).is_none() && start.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let newest = newest(&sandbox).expect("no seventh step within a minute");

    let mut checkpoint = newest.checkpoint;
    let began = checkpoint.meta.pointer("/counters/began/step").unwrap();
    assert!(began.as_u64().is_some_and(|step| step < newest.step));
    *checkpoint.meta.pointer_mut("/counters/step").unwrap() = (1u64 << 60).into();
    fs::write(&newest.path, checkpoint.to_bytes().unwrap()).unwrap();
    let mut child = sandbox
        .command("train --resume r -q --device cpu")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() && start.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    let done = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(4), "{error}");
    assert!(error.contains("expected a step of the epoch"), "{error}");
}

/// Bytes that a process has in memory now.
#[cfg(target_os = "linux")]
fn resident(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
    Some(1024 * line.trim().trim_end_matches(" kB").parse::<u64>().ok()?)
}

/// What a run holds in memory after a fifth of its steps it holds at its end: with evaluations, samples, checkpoints and
/// metrics on the way, each of which could keep something.
#[cfg(target_os = "linux")]
#[test]
fn memory_is_flat_over_a_long_run() {
    let steps = number("WGRNN_STEPS", 1500);
    let sandbox = Sandbox::new();
    let every = steps / 50;
    let args = format!(
        "train a.txt --out r --hidden 16 --layers 2 --embed 8 --seq-len 10 --batch 4 --steps {steps} --sample-every \
         {every} --eval-every {every} --save-every {every} -q --device cpu"
    );
    let mut child = sandbox.start(&args);
    let mut samples = Vec::new();
    while child.try_wait().unwrap().is_none() {
        if let Some(bytes) = resident(&child) {
            let text = fs::read_to_string(sandbox.at("r/metrics.jsonl")).unwrap_or_default();
            let step = text.lines().filter(|l| l.contains("\"loss\"")).count() as u64;
            // Beyond a thousand steps every tenth has a line.
            let step = if step > 1000 {
                1000 + 10 * (step - 1000)
            } else {
                step
            };
            samples.push((step, bytes));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(child.wait().unwrap().success());
    let late = |from: u64, to: u64| {
        let within = samples
            .iter()
            .filter(|(s, _)| (from..to).contains(&(100 * s / steps)));
        within.map(|(_, bytes)| *bytes).max()
    };
    let (Some(early), Some(end)) = (late(20, 40), late(80, 101)) else {
        panic!("too few samples to say anything: {samples:?}");
    };
    println!("{steps} steps: {early} bytes after a fifth, {end} at the end");
    // Half a megabyte: the allocator's own slack. A step that keeps 1 KiB would show within a thousand.
    assert!(end <= early + (512 << 10), "{early} bytes grew to {end}");
}

/// More than a day's checkpoints: never more files than the last few, the best and the one that is being written.
#[test]
#[ignore = "a step of tests/long.sh"]
fn thousands_of_checkpoints_are_rotated() {
    let sandbox = Sandbox::new();
    let mut child = sandbox.start(&format!(
        "train a.txt --out r {TINY} --val 0.1 --steps 5000 --save-every 1 --eval-every 5 --keep 3 -q"
    ));
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        if let Ok(entries) = fs::read_dir(sandbox.at("r/checkpoints")) {
            most = most.max(entries.count());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(child.wait().unwrap().success());
    // Three, the best, one to come, one to go.
    assert!((4..=6).contains(&most), "{most} files at once");
    let run = Run::open(&sandbox.at("r")).unwrap();
    assert_eq!(run.checkpoints().unwrap(), [4998, 4999, 5000]);
    assert_eq!(run.newest().unwrap().step, 5000);
    assert!(run.best_path().exists());
}

/// A text far larger than what may be held of it.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "a step of tests/long.sh"]
fn a_text_of_a_gigabyte_takes_little_memory() {
    use std::io::Write;
    let sandbox = Sandbox::new();
    let mut file = std::io::BufWriter::new(fs::File::create(sandbox.at("big.txt")).unwrap());
    let mut written = 0;
    for line in 0u64.. {
        let text = format!(
            "line {line} of a text that goes on and on, {} times\n",
            line * line % 997
        );
        written += text.len();
        file.write_all(text.as_bytes()).unwrap();
        if written >= 1 << 30 {
            break;
        }
    }
    file.into_inner().unwrap();
    let mut child = sandbox.start(&format!(
        "train big.txt --out r {TINY} --val 0.00001 --steps 50 -q"
    ));
    let mut most = 0;
    while child.try_wait().unwrap().is_none() {
        most = most.max(resident(&child).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(child.wait().unwrap().success());
    println!("{written} bytes of text, {most} bytes resident at most");
    assert!(
        (1 << 20..512 << 20).contains(&most),
        "{most} bytes resident"
    );
    assert_eq!(sandbox.newest("r").0, 50);
}
