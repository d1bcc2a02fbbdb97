//! The tiles that a search for the fastest one looks at from a tile.

use super::tile::{MOST_SLICES, Tile, WAVEFRONT_STEPS, alone};

/// Workgroups below which tiles are made smaller, where a search looks at that: the cores of a large GPU.
const FEWEST: usize = 128;
/// Steps between the layers of the first wavefront that a search looks at.
const WAVEFRONT: usize = 8;
/// Terms of a product's parts of the first ones that a search looks at.
const PART_DEPTH: usize = 256;

impl Tile {
    /// Tiles that differ in one size, with its name: what a search looks at next where so many workgroups may wait for one another.
    pub fn neighbours(&self, met: usize) -> Vec<(&'static str, Tile)> {
        type Change = fn(&mut Tile) -> &mut usize;
        let sizes: [(&str, usize, Change); 13] = [
            ("scan rows", 64, |t| &mut t.scan_rows),
            ("forward units", 4, |t| &mut t.scan_units[0]),
            ("backward units", 4, |t| &mut t.scan_units[1]),
            ("product rows", 64, |t| &mut t.product_rows),
            ("product columns", 16, |t| &mut t.product_columns),
            ("terms of a part", PART_DEPTH * 16, |t| &mut t.part_depth),
            ("workgroup", 256, |t| &mut t.group),
            ("steps of a wavefront", WAVEFRONT_STEPS, |t| {
                &mut t.wavefront_steps
            }),
            ("threads of a forward sum", MOST_SLICES, |t| {
                &mut t.slices[0]
            }),
            ("threads of a backward sum", MOST_SLICES, |t| {
                &mut t.slices[1]
            }),
            ("rows of a shared forward sum", 16, |t| &mut t.slice_rows[0]),
            ("rows of a shared backward sum", 16, |t| {
                &mut t.slice_rows[1]
            }),
            ("workgroups beside a shared sum", 4096, |t| &mut t.full),
        ];
        let mut all = Vec::new();
        let shares = self.slices != alone();
        for (name, most, size) in sizes {
            if name.ends_with("sum") && !shares {
                continue;
            }
            let mut next = *self;
            let value = *size(&mut next);
            for value in [value * 2, value / 2] {
                *size(&mut next) = value;
                if value <= most && next.usable() && next != *self {
                    all.push((name, next));
                }
            }
        }
        let wavefront_steps = match self.wavefront_steps {
            0 => WAVEFRONT,
            _ => 0,
        };
        let wavefront = Tile {
            wavefront_steps,
            ..*self
        };
        all.insert(0, ("wavefront", wavefront));
        let shared = if shares {
            Tile {
                slices: alone(),
                slice_rows: alone(),
                ..*self
            }
        } else {
            self.with_slices()
        };
        all.insert(1, ("threads of a sum", shared));
        if self.shared {
            let part_depth = if self.part_depth == 0 { PART_DEPTH } else { 0 };
            let parts = Tile {
                part_depth,
                ..*self
            };
            all.insert(2, ("parts of products", parts));
        }
        if shares && met > 0 {
            let span = if self.span == 0 { met } else { 0 };
            all.insert(2, ("kernels that span workgroups", Tile { span, ..*self }));
        }
        let merged = !self.merged;
        all.insert(2, ("one dispatch", Tile { merged, ..*self }));
        let unchecked = !self.unchecked;
        all.push(("unchecked indices", Tile { unchecked, ..*self }));
        let fewer = if self.fewest > 1 { 1 } else { FEWEST };
        all.push((
            "fewest workgroups",
            Tile {
                fewest: fewer,
                ..*self
            },
        ));
        if self.subgroup == 0 {
            let (vector, shared) = (!self.vector, !self.shared);
            all.push(("fours of units", Tile { vector, ..*self }));
            let part_depth = if shared { PART_DEPTH } else { 0 };
            all.push((
                "products through shared memory",
                Tile {
                    shared,
                    part_depth,
                    ..*self
                },
            ));
        }
        // Where products go through shared memory their tile is what it is.
        all.retain(|(name, tile)| !tile.shared || !self.shared || !name.starts_with("product "));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_usable_and_differ_in_one_thing() {
        for tile in [Tile::GPU, Tile::SOFTWARE, Tile::subgroups(8, 2)] {
            assert!(tile.usable(), "{tile}");
            let near = tile.neighbours(8);
            let spans = near.iter().filter(|(_, other)| other.span == 8).count();
            assert_eq!(spans, usize::from(tile.slices != alone()));
            assert!(near.len() > 4, "{near:?}");
            for (name, other) in near {
                assert!(other.usable() && other != tile, "{name}: {other}");
            }
        }
    }
}
