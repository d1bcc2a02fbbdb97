//! The adapters that passed the whole `check` with this build of the program: a list in the user's cache folder.
//!
//! Whatever trusts an adapter without looking must ask here first. Another driver or another build has not passed.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use wgrnn::exec::gpu::Adapter;
use wgrnn::train::atomic;
use wgrnn::{Error, Result};

/// An adapter that passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    adapter: String,
    backend: String,
    driver: String,
    build: String,
    /// Comparisons that were made.
    compared: usize,
    /// Seconds since 1970.
    time: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct List {
    #[serde(default)]
    passed: Vec<Entry>,
}

/// The folder of what can be made again: the system's own convention.
pub fn folder() -> Option<PathBuf> {
    let variable = |name: &str| {
        let path = std::env::var_os(name).filter(|v| !v.is_empty())?;
        Some(PathBuf::from(path))
    };
    let home = || variable("HOME");
    let folder = match std::env::consts::OS {
        "windows" => variable("LOCALAPPDATA"),
        "macos" => home().map(|h| h.join("Library/Caches")),
        _ => variable("XDG_CACHE_HOME").or_else(|| home().map(|h| h.join(".cache"))),
    };
    Some(folder?.join("wgrnn"))
}

/// The file of the list; none where the system names no folder.
pub fn file() -> Option<PathBuf> {
    folder().map(|f| f.join("passed.toml"))
}

/// The program's version and the hash of its file: two builds of one version may hold different kernels.
pub fn build() -> String {
    let bytes = std::env::current_exe().and_then(std::fs::read);
    let hash = bytes.map_or("unknown".into(), |b| {
        blake3::hash(&b).to_hex()[..16].to_string()
    });
    format!("{} {hash}", env!("CARGO_PKG_VERSION"))
}

/// A list that cannot be read is as good as none.
fn read() -> List {
    let text = file().and_then(|path| std::fs::read_to_string(path).ok());
    text.and_then(|text| toml::from_str(&text).ok())
        .unwrap_or_default()
}

/// Whether an adapter with its driver passed with this build.
pub fn passed(adapter: &Adapter) -> bool {
    let list = read().passed;
    let mut of = list.iter().filter(|e| same(e, adapter)).peekable();
    if of.peek().is_none() {
        return false;
    }
    let build = build();
    of.any(|e| e.build == build)
}

fn same(entry: &Entry, adapter: &Adapter) -> bool {
    entry.adapter == adapter.name
        && entry.backend == adapter.backend
        && entry.driver == adapter.driver
}

/// Puts an adapter on the list, or, where it `failed`, takes it off; says where the list is.
///
/// # Errors
/// Io, when the list cannot be written.
pub fn note(adapter: &Adapter, compared: usize, failed: bool) -> Result<Option<PathBuf>> {
    let Some(path) = file() else { return Ok(None) };
    let mut list = read();
    let known = list.passed.len();
    list.passed.retain(|e| !same(e, adapter));
    if failed && list.passed.len() == known {
        return Ok(None);
    }
    if !failed {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        list.passed.push(Entry {
            adapter: adapter.name.clone(),
            backend: adapter.backend.clone(),
            driver: adapter.driver.clone(),
            build: build(),
            compared,
            time: now.map_or(0, |t| t.as_secs()),
        });
    }
    let text = toml::to_string(&list).map_err(|e| Error::internal(format!("the list: {e}")))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, &e))?;
    }
    atomic::write(&path, text.as_bytes())?;
    Ok(Some(path))
}
