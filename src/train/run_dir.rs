//! A run's folder: `settings.toml`, `metrics.jsonl`, `checkpoints/step-00001000.safetensors` and `best.safetensors`.
//!
//! Reading needs no lock; one writer at a time holds the file `lock`.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::atomic::{self, failed};
use super::checkpoint::Checkpoint;
use super::files;
use crate::data::plain_text;
use crate::error::{Error, Kind, Result};

const SETTINGS: &str = "settings.toml";
const METRICS: &str = "metrics.jsonl";
const CHECKPOINTS: &str = "checkpoints";
/// The name of the file that one writer at a time holds.
pub const LOCK: &str = "lock";
const BEST: &str = "best.safetensors";

/// A run's folder, for reading.
#[derive(Clone, Debug)]
pub struct Run {
    path: PathBuf,
}

/// A run's folder, for the one process that writes into it.
#[derive(Debug)]
pub struct RunWriter {
    run: Run,
    /// Held as long as it is open.
    _lock: File,
}

/// The newest checkpoint that is whole.
#[derive(Clone, Debug)]
pub struct Newest {
    /// Its step.
    pub step: u64,
    /// Its file.
    pub path: PathBuf,
    /// What it holds.
    pub checkpoint: Checkpoint,
    /// One line for each newer checkpoint that could not be used.
    pub warnings: Vec<String>,
}

impl Run {
    /// Opens the run in the folder `path`; kind `Checkpoint` if there is none.
    pub fn open(path: &Path) -> Result<Run> {
        let shown = path.display();
        if !path.is_dir() {
            return Err(Error::checkpoint(format!(
                "{shown}: expected a run's folder, found none"
            )));
        }
        let (settings, checkpoints) = (path.join(SETTINGS), path.join(CHECKPOINTS));
        let missing = match (settings.is_file(), checkpoints.is_dir()) {
            (true, true) => {
                return Ok(Run {
                    path: path.to_path_buf(),
                });
            }
            (true, false) => format!("no {CHECKPOINTS}"),
            (false, true) => format!("no {SETTINGS}"),
            (false, false) => "neither".to_string(),
        };
        Err(Error::checkpoint(format!(
            "{shown}: expected a run's folder with {SETTINGS} and {CHECKPOINTS}, found {missing}"
        )))
    }

    /// What of this run a user would miss without being told, a line each: `best` is whether an evaluation was the best of
    /// all so far, and `step` how many steps are done.
    pub fn missing(&self, best: bool, step: u64) -> Vec<String> {
        let mut lines = Vec::new();
        let (metrics, file) = (self.metrics_path(), self.best_path());
        if best && !file.exists() {
            lines.push(format!("{}: is missing", file.display()));
        }
        if step > 0 && !metrics.exists() {
            lines.push(format!(
                "{}: is missing; a new one begins",
                metrics.display()
            ));
        }
        lines
    }
    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of the run's settings file.
    pub fn settings_path(&self) -> PathBuf {
        self.path.join(SETTINGS)
    }

    /// The text of the run's settings file.
    pub fn settings(&self) -> Result<String> {
        let path = self.settings_path();
        let bytes = fs::read(&path).map_err(|e| Error::io("read", &path, &e))?;
        plain_text(&bytes, &path).map(str::to_string)
    }

    /// The path of the run's metrics, one JSON object a line.
    pub fn metrics_path(&self) -> PathBuf {
        self.path.join(METRICS)
    }

    /// The path of the checkpoint of `step`.
    pub fn checkpoint_path(&self, step: u64) -> PathBuf {
        let name = format!("step-{step:08}.safetensors");
        self.path.join(CHECKPOINTS).join(name)
    }

    /// The path of the best checkpoint, which need not exist.
    pub fn best_path(&self) -> PathBuf {
        self.path.join(CHECKPOINTS).join(BEST)
    }

    /// The steps of all checkpoints, rising. Other files are none of ours.
    pub fn checkpoints(&self) -> Result<Vec<u64>> {
        let folder = self.path.join(CHECKPOINTS);
        let mut steps = Vec::new();
        for entry in fs::read_dir(&folder).map_err(|e| Error::io("read", &folder, &e))? {
            let entry = entry.map_err(|e| Error::io("read", &folder, &e))?;
            if let Some(step) = entry.file_name().to_str().and_then(step_of)
                && entry.path() == self.checkpoint_path(step)
            {
                steps.push(step);
            }
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// The newest checkpoint that is whole; kind `Checkpoint` if there is none.
    pub fn newest(&self) -> Result<Newest> {
        let mut warnings = Vec::new();
        for step in self.checkpoints()?.into_iter().rev() {
            let path = self.checkpoint_path(step);
            match Checkpoint::load(&path) {
                Ok(checkpoint) => {
                    return Ok(Newest {
                        step,
                        path,
                        checkpoint,
                        warnings,
                    });
                }
                Err(e) => warnings.push(e.message),
            }
        }
        let shown = self.path.display();
        Err(Error::checkpoint(if warnings.is_empty() {
            format!("{shown}: expected a checkpoint, found none")
        } else {
            format!("{shown}: no checkpoint is whole: {}", warnings.join("; "))
        }))
    }
}

impl RunWriter {
    /// Makes a new run in the folder `path` with `settings`, the text of its settings file.
    ///
    /// Kind `Usage` if the folder holds a run or anything else; nothing is then written.
    pub fn create(path: &Path, settings: &str) -> Result<RunWriter> {
        refuse_taken(path)?;
        let checkpoints = path.join(CHECKPOINTS);
        files::create_folder(&checkpoints).map_err(|e| failed("create", &checkpoints, &e))?;
        let lock = lock(path)?;
        // Another process may have been here between the first look and the lock.
        refuse_taken(path)?;
        let run = Run {
            path: path.to_path_buf(),
        };
        // Last, as the settings make a folder a run.
        atomic::write(&run.settings_path(), settings.as_bytes())?;
        Ok(RunWriter { run, _lock: lock })
    }

    /// Whether a new run could be made in the folder `path`: kind `Usage` if it holds a run or anything else.
    pub fn check_free(path: &Path) -> Result<()> {
        refuse_taken(path)
    }

    /// Opens the run in the folder `path` to go on with it: kind `Checkpoint` if there is none, `Io` if another process
    /// writes into it. Removes unfinished files that a killed process left.
    pub fn resume(path: &Path) -> Result<RunWriter> {
        let run = Run::open(path)?;
        let lock = lock(path)?;
        for folder in [path.to_path_buf(), path.join(CHECKPOINTS)] {
            let entries = fs::read_dir(&folder).map_err(|e| Error::io("read", &folder, &e))?;
            for entry in entries.flatten() {
                if is_unfinished(&entry.path()) {
                    remove(&entry.path())?;
                }
            }
        }
        Ok(RunWriter { run, _lock: lock })
    }

    /// The run, for reading.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Replaces the run's settings file.
    pub fn write_settings(&self, settings: &str) -> Result<()> {
        atomic::write(&self.run.settings_path(), settings.as_bytes())
    }

    /// Saves the checkpoint of `step`, then removes all but the newest `keep` (at least this one).
    pub fn save(&self, step: u64, checkpoint: &Checkpoint, keep: usize) -> Result<PathBuf> {
        let path = self.run.checkpoint_path(step);
        checkpoint.save(&path)?;
        let steps = self.run.checkpoints()?;
        let old: Vec<u64> = steps.into_iter().filter(|s| *s <= step).collect();
        for step in old.iter().rev().skip(keep.max(1)) {
            remove(&self.run.checkpoint_path(*step))?;
        }
        Ok(path)
    }

    /// Saves the best checkpoint so far, which is kept whatever becomes of the others.
    pub fn save_best(&self, checkpoint: &Checkpoint) -> Result<PathBuf> {
        let path = self.run.best_path();
        checkpoint.save(&path)?;
        Ok(path)
    }

    /// Appends a line to the metrics: an object with its `step`.
    pub fn append(&self, line: &impl Serialize) -> Result<()> {
        let path = self.run.metrics_path();
        let mut line = serde_json::to_string(line)
            .map_err(|e| Error::internal(format!("metrics cannot be written as JSON: {e}")))?;
        line.push('\n');
        files::append(&path, line.as_bytes()).map_err(|e| failed("append to", &path, &e))
    }

    /// Goes back to `step`: cuts off metrics that lie beyond it (and a torn last line), and sets newer checkpoints, which
    /// could not be used, aside under the ending `.damaged`.
    pub fn rewind(&self, step: u64) -> Result<()> {
        for late in self.run.checkpoints()?.into_iter().filter(|s| *s > step) {
            let path = self.run.checkpoint_path(late);
            let aside = path.with_extension("safetensors.damaged");
            files::rename(&path, &aside).map_err(|e| failed("rename", &path, &e))?;
        }
        let path = self.run.metrics_path();
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(|e| Error::io("open", &path, &e))?,
        };
        let length = length_up_to(&file, step).map_err(|e| Error::io("read", &path, &e))?;
        files::cut(&file, &path, length).map_err(|e| failed("cut", &path, &e))
    }
}

/// Whether a file is one that a killed process left half-written.
fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') && name.ends_with(atomic::UNFINISHED)
}

/// The step of a checkpoint's file name.
fn step_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("step-")?.strip_suffix(".safetensors")?;
    digits.parse().ok()
}

/// The bytes of the leading lines that are whole and do not lie beyond `step`; whole lines that somebody edited so that
/// they cannot be read stay.
fn length_up_to(file: &File, step: u64) -> io::Result<u64> {
    #[derive(Deserialize)]
    struct MetricsLine {
        step: Option<u64>,
    }
    let mut reader = BufReader::new(file);
    let mut length = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)?;
        let whole = line.last() == Some(&b'\n');
        let beyond = serde_json::from_slice(&line)
            .is_ok_and(|l: MetricsLine| l.step.is_some_and(|found| found > step));
        if !whole || beyond {
            return Ok(length);
        }
        length += read as u64;
    }
}

fn refuse_taken(path: &Path) -> Result<()> {
    let shown = path.display();
    let entries = match fs::read_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
            return Err(Error::usage(format!(
                "{shown}: expected a folder for the run, found a file"
            )));
        }
        entries => entries.map_err(|e| Error::io("read", path, &e))?,
    };
    let lacks_checkpoints = fs::read_dir(path.join(CHECKPOINTS))
        .is_ok_and(|entries| entries.flatten().all(|e| is_unfinished(&e.path())));
    // Settings alone are what a process leaves that was killed before its first checkpoint; where the rest of a run is not
    // beside them, they are somebody's.
    let killed = lacks_checkpoints && path.join(LOCK).exists();
    if path.join(SETTINGS).exists() && !killed {
        return Err(Error::usage(format!(
            "{shown}: holds a run already; choose another folder, or go on with --resume {shown}"
        )));
    }
    for entry in entries {
        let entry = entry.map_err(|e| Error::io("read", path, &e))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // What a process leaves that was killed while it made the folder.
        let ours = name == LOCK
            || is_unfinished(&entry.path())
            || name == CHECKPOINTS && lacks_checkpoints
            || name == SETTINGS && killed;
        if !ours {
            return Err(Error::usage(format!(
                "{shown}: expected an empty or a new folder, found {name} in it"
            )));
        }
    }
    Ok(())
}

/// The file `lock` of a folder, held for as long as it is open.
///
/// # Errors
/// Io: another process holds it, or it cannot be opened.
pub fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|e| failed("open", &path, &e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::new(
            Kind::Io,
            format!(
                "{}: another process writes into this folder",
                folder.display()
            ),
        )),
        Err(TryLockError::Error(e)) => Err(Error::io("lock", &path, &e)),
    }
}

fn remove(path: &Path) -> Result<()> {
    files::remove(path).map_err(|e| failed("remove", path, &e))
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;
