//! The adapters that passed the whole `check` with this build of the program.
//!
//! Whatever trusts an adapter without looking must ask here first. Another driver or another build has not passed.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use wgrnn::Result;
use wgrnn::exec::gpu::Adapter;

use super::super::adapter_cache::{self, AdapterKey};

const FILE: &str = "passed.toml";

/// An adapter that passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct PassedAdapter {
    #[serde(flatten)]
    key: AdapterKey,
    /// Comparisons that were made.
    compared: usize,
    /// Seconds since 1970.
    time: u64,
}

#[derive(Default, Serialize, Deserialize)]
struct PassedAdapters {
    #[serde(default)]
    passed: Vec<PassedAdapter>,
}

/// Whether an adapter with its driver passed with this build.
pub fn passed(adapter: &Adapter) -> bool {
    let list: PassedAdapters = adapter_cache::read(FILE);
    list.passed.iter().any(|e| e.key.current(adapter))
}

/// Puts an adapter on the list, or, where it `failed`, takes it off; says where the list is.
///
/// # Errors
/// Io, when the list cannot be written.
pub fn note(adapter: &Adapter, compared: usize, failed: bool) -> Result<Option<PathBuf>> {
    let mut list: PassedAdapters = adapter_cache::read(FILE);
    let before = list.passed.len();
    list.passed.retain(|e| !e.key.same(adapter));
    if failed && list.passed.len() == before {
        return Ok(None);
    }
    if !failed {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        list.passed.push(PassedAdapter {
            key: AdapterKey::new(adapter),
            compared,
            time: now.map_or(0, |t| t.as_secs()),
        });
    }
    adapter_cache::write(FILE, &list)
}
