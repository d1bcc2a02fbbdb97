//! What runs were given that may have to be made again.

use std::collections::VecDeque;

use super::packed::Longest;
use super::tile::Tile;
use crate::op::{Part, SlotId};

/// A slot that the host fills with a write of its own, and its bytes.
pub(super) type OwnFilling = (SlotId, Vec<u8>);

/// What a run was given.
pub(super) struct GivenRun {
    pub run: u64,
    pub part: Part,
    pub staged: Vec<u8>,
    pub own: Vec<OwnFilling>,
    pub packed: Longest,
}

/// What repeating runs takes.
pub(super) struct Repeats {
    /// The runs whose reports have not come.
    pub runs: VecDeque<GivenRun>,
    /// Whether the first of them failed.
    pub failed: bool,
    pub tile: Tile,
    pub binding: u64,
}

impl Repeats {
    /// Of kernels of a tile, for bindings of so many bytes.
    pub fn new(tile: Tile, binding: u64) -> Repeats {
        Repeats {
            runs: VecDeque::new(),
            failed: false,
            tile,
            binding,
        }
    }
}
