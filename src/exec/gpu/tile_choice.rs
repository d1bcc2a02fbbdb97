//! Which tile a plan has on a device: one that a search is trying, one that a search found, or the usual one.

use super::device::GpuDevice;
use super::precision;
use super::tile::{Shape, Tile};
use crate::op::Plan;

impl GpuDevice {
    /// The tiles that were found fastest, for models of their shapes. They are used where the device is trusted.
    pub fn tuned(&self, tiles: Vec<(Shape, Tile)>) {
        if let Ok(mut known) = self.tiles.lock() {
            known.tuned = tiles;
            known.tuned.retain(|(_, tile)| tile.usable());
        }
    }

    /// Which kernels plans are given, in words: checked of all indices; those of a trusted device; or such with tiles that were found,
    /// which a hash tells from others.
    pub fn kernels(&self) -> String {
        let known = self.tiles.lock().unwrap_or_else(|e| e.into_inner());
        match (self.trusted(), known.tuned.is_empty()) {
            (false, _) => "kernels of any adapter".to_owned(),
            (true, true) => "kernels of a checked adapter".to_owned(),
            (true, false) => {
                let hash = blake3::hash(format!("{:?}", known.tuned).as_bytes());
                format!("kernels tuned by {}", &hash.to_hex()[..8])
            }
        }
    }

    /// The tile of every plan from the next one on, until there is none: for a search.
    pub fn force(&self, tile: Option<Tile>) {
        if let Ok(mut known) = self.tiles.lock() {
            known.forced = tile;
        }
    }

    /// Forbids kernels that span workgroups for models of this plan's shape: they did not meet.
    pub(super) fn forbid_span(&self, plan: &Plan) {
        if let (Ok(mut known), Some(shape)) = (self.tiles.lock(), Shape::of(plan)) {
            known.unspanned.push(shape);
        }
    }

    /// The shapes of models for which workgroups that wait for one another did not meet; their kernels wait for nobody now.
    pub fn unspanned(&self) -> Vec<Shape> {
        let known = self.tiles.lock().unwrap_or_else(|e| e.into_inner());
        known.unspanned.clone()
    }

    /// What a thread does in the kernels of this plan, and whether a search found it.
    pub fn tile(&self, plan: &Plan) -> (Tile, bool) {
        let (mut tile, found) = self.chosen(plan);
        if Shape::of(plan).is_some_and(|shape| self.unspanned().contains(&shape)) {
            tile.span = 0;
        }
        // Whatever a file says.
        (tile.cooperative, tile.matrices) = if self.cooperative && plan.halved() {
            (
                self.adapter.subgroup as usize,
                self.adapter.cooperative as usize,
            )
        } else {
            (0, 0)
        };
        (precision::tile(tile, plan), found)
    }

    fn chosen(&self, plan: &Plan) -> (Tile, bool) {
        let known = self.tiles.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(tile) = known.forced {
            return (tile, true);
        }
        let shape = Shape::of(plan);
        let mut tuned = known.tuned.iter().filter(|_| self.trusted());
        match tuned.find(|(of, _)| Some(*of) == shape) {
            Some((_, tile)) => (*tile, true),
            None => (self.usual_tile(), false),
        }
    }

    /// The tile where nothing was measured.
    fn usual_tile(&self) -> Tile {
        let subgroup = self.adapter.subgroup as usize;
        if !self.adapter.software {
            Tile::GPU
        } else if self.trusted() && matches!(subgroup, 4 | 8 | 16 | 32) {
            let cores = std::thread::available_parallelism();
            Tile::subgroups(subgroup, cores.map_or(1, |n| n.get()))
        } else {
            Tile::SOFTWARE
        }
    }
}
