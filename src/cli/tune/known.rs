//! The tiles that were found fastest: a list in the user's cache folder, beside that of the adapters that passed.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use wgrnn::exec::gpu::{Adapter, Shape, Tile};
use wgrnn::train::atomic;
use wgrnn::{Error, Result};

use super::super::check::passed;

/// A tile for models of a shape on an adapter with its driver; another build has other kernels.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    adapter: String,
    backend: String,
    driver: String,
    build: String,
    shape: Shape,
    tile: Tile,
}

#[derive(Default, Serialize, Deserialize)]
struct List {
    #[serde(default)]
    tiles: Vec<Entry>,
}

fn file() -> Option<PathBuf> {
    passed::folder().map(|f| f.join("tiles.toml"))
}

/// A list that cannot be read is as good as none: nothing needs it.
fn read() -> List {
    let text = file().and_then(|path| std::fs::read_to_string(path).ok());
    text.and_then(|text| toml::from_str(&text).ok())
        .unwrap_or_default()
}

fn same(entry: &Entry, adapter: &Adapter) -> bool {
    entry.adapter == adapter.name
        && entry.backend == adapter.backend
        && entry.driver == adapter.driver
}

/// Those of an adapter, with this build.
pub fn tiles(adapter: &Adapter) -> Vec<(Shape, Tile)> {
    let mut list = read().tiles;
    list.retain(|e| same(e, adapter));
    if list.is_empty() {
        return Vec::new();
    }
    let build = passed::build();
    list.retain(|e| e.build == build);
    list.iter().map(|e| (e.shape, e.tile)).collect()
}

/// Keeps a tile in place of what was known for its shape, and says where.
///
/// # Errors
/// Io, when the list cannot be written.
pub fn keep(adapter: &Adapter, shape: Shape, tile: Tile) -> Result<Option<PathBuf>> {
    let Some(path) = file() else { return Ok(None) };
    let mut list = read();
    let build = passed::build();
    list.tiles
        .retain(|e| !same(e, adapter) || (e.build == build && e.shape != shape));
    list.tiles.push(Entry {
        adapter: adapter.name.clone(),
        backend: adapter.backend.clone(),
        driver: adapter.driver.clone(),
        build,
        shape,
        tile,
    });
    let text = toml::to_string(&list).map_err(|e| Error::internal(format!("the list: {e}")))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, &e))?;
    }
    atomic::write(&path, text.as_bytes())?;
    Ok(Some(path))
}
