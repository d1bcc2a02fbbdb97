//! What is known about adapters from run to run: lists in the user's cache folder, each entry of an adapter, its driver and
//! a build of the program.

use std::path::PathBuf;
use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wgrnn::exec::gpu::Adapter;
use wgrnn::train::atomic;
use wgrnn::{Error, Result};

/// Whom an entry is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdapterKey {
    adapter: String,
    backend: String,
    driver: String,
    build: String,
}

impl AdapterKey {
    /// An adapter with this build.
    pub fn new(adapter: &Adapter) -> AdapterKey {
        AdapterKey {
            adapter: adapter.name.clone(),
            backend: adapter.backend.clone(),
            driver: adapter.driver.clone(),
            build: build().to_string(),
        }
    }

    /// Whether it is of an adapter with its driver, whatever the build.
    pub fn same(&self, adapter: &Adapter) -> bool {
        self.adapter == adapter.name
            && self.backend == adapter.backend
            && self.driver == adapter.driver
    }

    /// Whether it is of this build, too.
    pub fn current(&self, adapter: &Adapter) -> bool {
        self.same(adapter) && self.build == build()
    }
}

/// The program's version and the hash of its file: two builds of one version may hold different kernels.
pub fn build() -> &'static str {
    static BUILD: OnceLock<String> = OnceLock::new();
    BUILD.get_or_init(|| {
        let bytes = std::env::current_exe().and_then(std::fs::read);
        let hash = bytes.map_or("unknown".into(), |b| {
            blake3::hash(&b).to_hex()[..16].to_string()
        });
        format!("{} {hash}", env!("CARGO_PKG_VERSION"))
    })
}

/// The folder of what can be made again: the system's own convention.
fn folder() -> Option<PathBuf> {
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

/// The list in a file; one that cannot be read is as good as none.
pub fn read<T: Default + DeserializeOwned>(file: &str) -> T {
    let text = folder().and_then(|folder| std::fs::read_to_string(folder.join(file)).ok());
    text.and_then(|text| toml::from_str(&text).ok())
        .unwrap_or_default()
}

/// Writes a list, and says where; nowhere, where the system names no folder.
///
/// # Errors
/// Io, when it cannot be written.
pub fn write<T: Serialize>(file: &str, list: &T) -> Result<Option<PathBuf>> {
    let Some(folder) = folder() else {
        return Ok(None);
    };
    let path = folder.join(file);
    let text = toml::to_string(list).map_err(|e| Error::internal(format!("the list: {e}")))?;
    std::fs::create_dir_all(&folder).map_err(|e| Error::io("create", &folder, &e))?;
    atomic::write(&path, text.as_bytes())?;
    Ok(Some(path))
}
