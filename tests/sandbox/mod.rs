//! A folder of its own in which a test runs the binary as a user does.
#![allow(dead_code)] // each file of tests uses its part

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use wgrnn::train::{Checkpoint, Run};

/// A folder to work in, with a text.
pub struct Sandbox {
    pub folder: TempDir,
}

/// What a run of the program gave.
pub struct Done {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// A tiny model: seconds become milliseconds.
pub const TINY: &str = "--hidden 6 --seq-len 5 --batch 2 --sample-every 0";

impl Sandbox {
    pub fn new() -> Sandbox {
        let sandbox = Sandbox {
            folder: tempfile::tempdir().unwrap(),
        };
        let line = "the cat sat on a mat; ";
        fs::write(sandbox.at("a.txt"), line.repeat(12)).unwrap();
        sandbox
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wgrnn"));
        command
            .args(args.split_whitespace())
            .current_dir(self.folder.path())
            // Some graphics drivers print a line of their own where this is not set.
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &str) -> Done {
        finish(&mut self.command(args))
    }

    /// Kills a run as soon as its `file` has so many lines; the whole lines that it leaves.
    pub fn killed_after(&self, args: &str, file: &str, count: usize) -> String {
        let file = self.at(file);
        let mut child = self
            .command(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = || fs::read_to_string(&file).map_or(0, |text| text.lines().count());
        while lines() < count && child.try_wait().unwrap().is_none() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        text[..text.rfind('\n').unwrap() + 1].to_owned()
    }

    #[track_caller]
    pub fn ok(&self, args: &str) -> String {
        let done = self.run(args);
        assert_eq!(done.code, 0, "{args}: {}{}", done.out, done.err);
        done.out
    }

    /// A run that must end with `code`, an error line that holds every one of `parts`, and no file changed.
    #[track_caller]
    pub fn refuses(&self, args: &str, code: i32, parts: &[&str]) {
        let before = self.files();
        let done = self.run(args);
        assert_eq!(done.code, code, "{args}: {}{}", done.out, done.err);
        let errors: Vec<&str> = done
            .err
            .lines()
            .filter(|l| l.starts_with("error: "))
            .collect();
        assert!(!errors.is_empty(), "{args}: {}", done.err);
        assert!(!done.err.contains("panicked"), "{args}: {}", done.err);
        for part in parts {
            let found = errors.iter().any(|line| line.contains(part));
            assert!(found, "{args}: no {part:?} in {errors:?}");
        }
        assert_eq!(self.files(), before, "{args}: wrote something");
    }

    /// All files (but locks, which hold nothing) and their contents.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    found.insert(path.clone(), Vec::new());
                    folders.push(path);
                } else if path.file_name().unwrap() != "lock" {
                    found.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        found
    }

    /// The losses of a run's steps, as its metrics have them.
    pub fn losses(&self, run: &str) -> Vec<String> {
        let text = fs::read_to_string(self.at(run).join("metrics.jsonl")).unwrap();
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let losses = lines.filter_map(|line| Some(line.get("loss")?.to_string()));
        losses.collect()
    }

    /// The newest checkpoint of a run.
    pub fn newest(&self, run: &str) -> (u64, Checkpoint) {
        let newest = Run::open(&self.at(run)).unwrap().newest().unwrap();
        (newest.step, newest.checkpoint)
    }
}

pub fn finish(command: &mut Command) -> Done {
    let output = command.output().unwrap();
    Done {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The program with a fault in its device, and a cache folder of its own.
pub fn injected(sandbox: &Sandbox, args: &str, inject: &str) -> Done {
    let mut command = sandbox.command(args);
    command.env("XDG_CACHE_HOME", sandbox.at("cache"));
    // A driver that keeps what it compiled there goes on with what it has.
    if let Some(home) = std::env::var_os("HOME") {
        let kept = std::path::Path::new(&home).join(".cache");
        command.env("MESA_SHADER_CACHE_DIR", kept);
    }
    if !inject.is_empty() {
        command.env("WGRNN_INJECT", inject);
    }
    finish(&mut command)
}

/// What the program calls its own build.
pub fn build() -> String {
    let program = fs::read(env!("CARGO_BIN_EXE_wgrnn")).unwrap();
    let hash = blake3::hash(&program).to_hex();
    format!("{} {}", env!("CARGO_PKG_VERSION"), &hash[..16])
}

/// A list of adapters that passed, with this one.
pub fn passed(name: &Value, backend: &Value, driver: &Value, build: &str) -> String {
    format!(
        "[[passed]]\nadapter = {name}\nbackend = {backend}\ndriver = {driver}\nbuild = \"{build}\"\ncompared = 9\ntime = 1\n"
    )
}
