//! The tiles that were found fastest, for models of a shape on an adapter; another build has other kernels.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use wgrnn::Result;
use wgrnn::exec::gpu::{Adapter, Shape, Tile};

use super::super::adapter_cache::{self, AdapterKey};

const FILE: &str = "tiles.toml";

/// A tile for models of a shape.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct TunedTile {
    #[serde(flatten)]
    key: AdapterKey,
    shape: Shape,
    tile: Tile,
}

#[derive(Default, Serialize, Deserialize)]
struct TunedTiles {
    #[serde(default)]
    tiles: Vec<TunedTile>,
}

/// Those of an adapter, with this build.
pub fn tiles(adapter: &Adapter) -> Vec<(Shape, Tile)> {
    let list: TunedTiles = adapter_cache::read(FILE);
    let mine = list.tiles.iter().filter(|e| e.key.current(adapter));
    mine.map(|e| (e.shape, e.tile)).collect()
}

/// Remembers of a tile that its kernels' workgroups did not meet, where one is known for this shape: they wait for nobody from now on.
///
/// # Errors
/// Io, when the list cannot be written.
pub fn forbid_span(adapter: &Adapter, shape: Shape) -> Result<()> {
    match tiles(adapter).into_iter().find(|(of, _)| *of == shape) {
        Some((_, tile)) if tile.span > 1 => {
            keep(adapter, shape, Tile { span: 1, ..tile }).map(|_| ())
        }
        _ => Ok(()),
    }
}

/// Keeps a tile in place of what was known for its shape, and says where.
///
/// # Errors
/// Io, when the list cannot be written.
pub fn keep(adapter: &Adapter, shape: Shape, tile: Tile) -> Result<Option<PathBuf>> {
    let mut list: TunedTiles = adapter_cache::read(FILE);
    let stays =
        |e: &TunedTile| !e.key.same(adapter) || (e.key.current(adapter) && e.shape != shape);
    list.tiles.retain(stays);
    list.tiles.push(TunedTile {
        key: AdapterKey::new(adapter),
        shape,
        tile,
    });
    adapter_cache::write(FILE, &list)
}
