//! What a run leaves: settings, files of a line of JSON each, and whole files.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Kind, Result};
use crate::train::atomic;
use crate::train::run_dir::{LOCK, lock};

/// The file of its settings.
const SETTINGS: &str = "settings.toml";

/// A folder of one run.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// One line at a time.
    writing: Mutex<()>,
    /// One process at a time.
    _lock: File,
}

impl Folder {
    /// The folder at `path` of a run with these settings, a new one or one of the same run.
    ///
    /// # Errors
    /// As [`check_settings`]; Io.
    pub fn with(path: &Path, settings: &str) -> Result<Folder> {
        check_settings(path, settings)?;
        fs::create_dir_all(path).map_err(|e| Error::io("create", path, &e))?;
        let folder = Folder {
            path: path.to_owned(),
            writing: Mutex::new(()),
            _lock: lock(path)?,
        };
        if !folder.file(SETTINGS).exists() {
            folder.write(SETTINGS, settings)?;
        }
        Ok(folder)
    }

    /// A file of the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Puts `text` into a file of the folder.
    ///
    /// # Errors
    /// Io.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        atomic::write(&self.file(name), text.as_bytes())
    }

    /// Adds a line of JSON to a file of the folder.
    ///
    /// # Errors
    /// Io.
    pub fn add_line(&self, name: &str, value: &impl Serialize) -> Result<()> {
        let line = serde_json::to_string(value)
            .map_err(|e| Error::internal(format!("{name}: cannot write a line: {e}")))?;
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let file = self.file(name);
        let added = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&file)
            .and_then(|mut out| out.write_all(format!("{line}\n").as_bytes()));
        added.map_err(|e| atomic::failed("write", &file, &e))
    }

    /// An error that ended a run; of a device, which another moment or another process may have whole, with what is not lost.
    pub fn with_kept(&self, e: Error) -> Error {
        match e.kind {
            Kind::Device => Error::new(
                e.kind,
                format!(
                    "{}; {} keeps what was done: the same command goes on",
                    e.message,
                    self.path.display()
                ),
            ),
            _ => e,
        }
    }

    /// The lines of a file of the folder. What a killed run left of a line is cut off.
    ///
    /// # Errors
    /// Data: a line that is something else. Io.
    pub fn lines<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>> {
        let file = self.file(name);
        if !file.exists() {
            return Ok(Vec::new());
        }
        let text = fs::read_to_string(&file).map_err(|e| Error::io("read", &file, &e))?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if whole < text.len() {
            self.write(name, &text[..whole])?;
        }
        let lines = text[..whole].lines().enumerate();
        lines
            .map(|(n, line)| {
                serde_json::from_str(line).map_err(|e| {
                    Error::data(format!(
                        "{}:{}: expected what this program writes, found something else: {e}",
                        file.display(),
                        n + 1
                    ))
                })
            })
            .collect()
    }
}

/// Whether a run with these settings, a line each, can have the folder at `path`; nothing is written.
///
/// # Errors
/// Usage: a folder of something else, or of a run with other settings.
pub fn check_settings(path: &Path, wanted: &str) -> Result<()> {
    // A run that was killed at its very beginning has left a lock.
    let empty = |path: &Path| {
        let mut all = fs::read_dir(path).into_iter().flatten().flatten();
        all.all(|entry| entry.file_name() == LOCK)
    };
    if !path.exists() || path.is_dir() && empty(path) {
        return Ok(());
    }
    let found = match fs::read_to_string(path.join(SETTINGS)) {
        Ok(old) if old == wanted => return Ok(()),
        Ok(old) => format!("one with {}", old.lines().collect::<Vec<_>>().join(", ")),
        Err(_) => format!("one without {SETTINGS}"),
    };
    let wanted = wanted.lines().collect::<Vec<_>>().join(", ");
    Err(Error::usage(format!(
        "--out {}: expected a new folder or one with {wanted}, found {found}",
        path.display()
    )))
}
