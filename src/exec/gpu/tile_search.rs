//! The tiles that a search for the fastest one looks at from a tile.

use super::tile::{LOOP_STEPS, MOST_SLICES, Tile, alone};

/// Those of the first one that a search looks at.
const LOOP: usize = 64;
/// Workgroups below which tiles are made smaller, where a search looks at that: the cores of a large GPU.
const FEWEST: usize = 128;
/// Steps between the layers of the first wavefront that a search looks at.
const WAVEFRONT: usize = 8;
/// Terms of a product's parts of the first ones that a search looks at.
const PART_DEPTH: usize = 256;

impl Tile {
    /// Tiles that differ in one size, with its name: what a search looks at next.
    pub fn neighbours(&self) -> Vec<(&'static str, Tile)> {
        type Change = fn(&mut Tile) -> &mut usize;
        let sizes: [(&str, usize, Change); 14] = [
            ("scan rows", 64, |t| &mut t.scan_rows),
            ("forward units", 4, |t| &mut t.scan_units[0]),
            ("backward units", 4, |t| &mut t.scan_units[1]),
            ("product rows", 64, |t| &mut t.product_rows),
            ("product columns", 16, |t| &mut t.product_columns),
            ("terms of a part", PART_DEPTH * 16, |t| &mut t.part_depth),
            ("workgroup", 256, |t| &mut t.group),
            ("steps of a dispatch", LOOP_STEPS, |t| &mut t.loop_steps),
            ("steps of a wavefront", LOOP_STEPS, |t| {
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
        let or_none = |steps: usize, first: usize| if steps == 0 { first } else { 0 };
        let (loop_steps, wavefront_steps) = (
            or_none(self.loop_steps, LOOP),
            or_none(self.wavefront_steps, WAVEFRONT),
        );
        let time_loop = Tile {
            loop_steps,
            ..*self
        };
        let wavefront = Tile {
            wavefront_steps,
            ..*self
        };
        all.splice(0..0, [("time loop", time_loop), ("wavefront", wavefront)]);
        let shared = if shares {
            Tile {
                slices: alone(),
                slice_rows: alone(),
                ..*self
            }
        } else {
            self.with_slices()
        };
        all.insert(2, ("threads of a sum", shared));
        if self.shared {
            let part_depth = or_none(self.part_depth, PART_DEPTH);
            all.insert(
                3,
                (
                    "parts of products",
                    Tile {
                        part_depth,
                        ..*self
                    },
                ),
            );
        }
        let merged = !self.merged;
        all.insert(3, ("one dispatch", Tile { merged, ..*self }));
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
            let near = tile.neighbours();
            assert!(near.len() > 4, "{near:?}");
            for (name, other) in near {
                assert!(other.usable() && other != tile, "{name}: {other}");
            }
        }
    }
}
