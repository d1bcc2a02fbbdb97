//! How much one thread does: sizes that change speed and never results beyond rounding.

use serde::{Deserialize, Serialize};

use crate::op::{Direction, Op, Plan};

/// Elements of a vector load.
pub(super) const ELEMENT: usize = 4;

/// Bytes of memory that a workgroup of products on cooperative matrices shares: two operands of 1024 elements in f16, and 4096
/// sums in f32.
pub(super) const COOPERATIVE_BYTES: u32 = 2 * 2 * 1024 + 4 * 4096;

/// Tile sizes of the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tile {
    /// Whether units are taken four at a time where sizes allow it.
    pub vector: bool,
    /// Rows of a scan that one thread keeps in registers.
    pub scan_rows: usize,
    /// Units (or fours of units) of a scan that one thread keeps in registers, forward and backward.
    pub scan_units: [usize; 2],
    /// Rows of a product's result that one thread makes.
    pub product_rows: usize,
    /// Columns of a product's result that one thread makes; a multiple of 4.
    pub product_columns: usize,
    /// Whether products go through memory that a workgroup shares.
    pub shared: bool,
    /// Threads in a workgroup of scans and products.
    pub group: usize,
    /// Threads of a subgroup, which then all have the same rows and hand them to one another; 0 where nobody may count on
    /// subgroups. Divides `group` and the numbers of rows.
    pub subgroup: usize,
    /// Workgroups of a scan's step below which its tiles are made smaller, so that none of the device's parts is idle.
    pub fewest: usize,
    /// Steps of a scan that a dispatch goes through at most, where a workgroup can have all units of its rows: it then waits
    /// for nobody else. 0 where every stage of every step is a dispatch.
    pub loop_steps: usize,
    /// Scans that can run side by side do so; one that needs another's output runs so many steps behind it. 0 where they
    /// follow one another.
    #[serde(default)]
    pub wavefront_steps: usize,
    /// Threads in a workgroup of everything else.
    pub flat: usize,
    /// Threads that share a row or a column of a reduction.
    pub lanes: usize,
    /// Threads of a subgroup that multiplies cooperative matrices, for products of plans in half precision; 0 elsewhere.
    #[serde(default)]
    pub cooperative: usize,
    /// Rows and columns of these matrices, 8 or 16; 0 where there are none.
    #[serde(default)]
    pub matrices: usize,
}

/// Threads that share a long row or column where fewer would do for a short one.
const MANY_LANES: usize = 32;
/// llvmpipe ends a thread's loops, all of them together, after 65,535 rounds, and says nothing. No loop over a row or a
/// column gets longer than this, three of which follow one another in a softmax,
const LONGEST_ROW: usize = 16_384;
/// and no product sums over more than this in one go, four terms a round.
const DEEPEST: usize = 131_072;
/// Steps of a time loop at most, whatever a search finds.
const LOOP_STEPS: usize = 1024;
/// Those of the first one that a search looks at.
const LOOP: usize = 64;
/// Steps between the layers of the first wavefront that a search looks at.
const WAVEFRONT: usize = 8;

impl Tile {
    /// Threads that share a reduction over `length` elements.
    pub(super) fn lanes_for(&self, length: usize) -> usize {
        if length > LONGEST_ROW {
            self.lanes.max(MANY_LANES)
        } else {
            self.lanes
        }
    }

    /// The most terms of a product's sums.
    pub(super) fn deepest(&self) -> usize {
        DEEPEST
    }

    /// For a GPU: enough threads, products through shared memory.
    pub const GPU: Tile = Tile {
        vector: false,
        scan_rows: 2,
        scan_units: [1, 1],
        product_rows: 4,
        product_columns: 4,
        shared: true,
        group: 64,
        subgroup: 0,
        fewest: 1,
        loop_steps: 0,
        wavefront_steps: 0,
        flat: 64,
        lanes: 32,
        cooperative: 0,
        matrices: 0,
    };

    /// For a software adapter: every load is a loop over the lanes of a vector, so each thread keeps much in
    /// registers; workgroups are as small as the driver's vectors, so that all cores get some.
    ///
    /// Measured on llvmpipe (Mesa 22.3, LLVM 15, two cores that other work shared, so take the ratios), an LSTM's training
    /// step at H 128, B 32, T 50, V 65, milliseconds of processor time a step:
    /// rows of a scan 8 and products 8 x 8: 110; 16 and 16 x 8: 92 to 98; 32 and 16 x 16: 98; 32 and 32 x 8: 112;
    /// `fma` instead of a product and a sum: 7% slower. Products of 16 x 32 never finished compiling.
    pub const SOFTWARE: Tile = Tile {
        vector: true,
        scan_rows: 16,
        scan_units: [1, 2],
        product_rows: 16,
        product_columns: 8,
        shared: false,
        group: 8,
        subgroup: 0,
        fewest: 1,
        loop_steps: 0,
        wavefront_steps: 0,
        flat: 64,
        lanes: 1,
        cooperative: 0,
        matrices: 0,
    };

    /// [`Tile::SOFTWARE`] on a driver whose subgroups have `size` threads, for a processor of `cores`: threads hand the rows'
    /// elements to one another, which costs nothing where a subgroup is a vector, so that a thread can have more rows.
    ///
    /// Measured as above, alone on the machine: rows of a scan 16 and products 16 x 8: 46 ms without subgroups, 33 with
    /// them; 32 and 32 x 8: 32; 32 and 16 x 16: 33. At H 256, 2 layers: 394, 253, 200, 221.
    pub fn subgroups(size: usize, cores: usize) -> Tile {
        Tile {
            scan_rows: 32,
            product_rows: 32,
            group: size.max(8),
            subgroup: size,
            fewest: cores,
            ..Tile::SOFTWARE
        }
    }

    /// Tiles that differ in one size, with its name: what a search looks at next.
    pub fn neighbours(&self) -> Vec<(&'static str, Tile)> {
        type Change = fn(&mut Tile) -> &mut usize;
        let sizes: [(&str, usize, Change); 8] = [
            ("scan rows", 64, |t| &mut t.scan_rows),
            ("forward units", 4, |t| &mut t.scan_units[0]),
            ("backward units", 4, |t| &mut t.scan_units[1]),
            ("product rows", 64, |t| &mut t.product_rows),
            ("product columns", 16, |t| &mut t.product_columns),
            ("workgroup", 256, |t| &mut t.group),
            ("steps of a dispatch", LOOP_STEPS, |t| &mut t.loop_steps),
            ("steps of a wavefront", LOOP_STEPS, |t| {
                &mut t.wavefront_steps
            }),
        ];
        let mut all = Vec::new();
        for (name, most, size) in sizes {
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
        if self.subgroup == 0 {
            let (vector, shared) = (!self.vector, !self.shared);
            all.push(("fours of units", Tile { vector, ..*self }));
            all.push(("products through shared memory", Tile { shared, ..*self }));
        }
        // Where products go through shared memory their tile is what it is.
        all.retain(|(name, tile)| !tile.shared || !self.shared || !name.starts_with("product "));
        all
    }

    /// Whether kernels can be made of these sizes, which may come from a file; the largest take long to compile.
    pub fn usable(&self) -> bool {
        let within = |value: usize, most: usize| (1..=most).contains(&value);
        let rows = [self.scan_rows, self.product_rows];
        within(self.group, 256)
            && within(self.flat, 256)
            && within(self.lanes, self.flat)
            && rows.iter().all(|rows| within(*rows, 64))
            && self.scan_units.iter().all(|units| within(*units, 4))
            && within(self.product_columns, 16)
            && self.product_columns.is_multiple_of(ELEMENT)
            && self.product_rows * self.product_columns <= 512
            && self.scan_rows * self.scan_units[0].max(self.scan_units[1]) <= 128
            && self.fewest <= 1 << 16
            && match self.cooperative {
                0 => self.matrices == 0,
                threads => matches!(threads, 8 | 16 | 32 | 64) && matches!(self.matrices, 8 | 16),
            }
            && self.loop_steps <= LOOP_STEPS
            && self.wavefront_steps <= LOOP_STEPS
            && match self.subgroup {
                0 => true,
                4 | 8 | 16 | 32 => {
                    let parts = [self.group, self.scan_rows, self.product_rows];
                    parts.iter().all(|n| n.is_multiple_of(self.subgroup))
                }
                _ => false,
            }
    }

    /// The rows and units (or fours of units) that a thread of a scan has.
    pub(super) fn scan(&self, direction: Direction, batch: usize, units: usize) -> (usize, usize) {
        let mut columns = self.scan_units[usize::from(direction == Direction::Backward)];
        let mut rows = self.scan_rows.min(batch);
        if self.subgroup == 0 {
            return (rows, columns);
        }
        let whole = |rows: usize| rows.next_multiple_of(self.subgroup);
        rows = whole(batch.div_ceil(batch.div_ceil(rows)));
        let groups = |rows, columns| batch.div_ceil(rows) * units.div_ceil(columns * self.group);
        while groups(rows, columns) < self.fewest && (columns > 1 || rows > self.subgroup) {
            match columns {
                1 => rows = whole(rows / 2),
                _ => columns /= 2,
            }
        }
        (rows, columns)
    }

    /// The rows and units (or fours of units) that a thread of a loop over time has, and the threads of its workgroup, which
    /// has all units; none where it would need more than `most` threads.
    pub(super) fn time_loop(
        &self,
        direction: Direction,
        batch: usize,
        units: usize,
        most: usize,
    ) -> Option<(usize, usize, usize)> {
        let lanes = self.subgroup.max(1);
        let whole = |rows: usize| rows.next_multiple_of(lanes);
        let mut rows = whole(self.scan_rows.min(batch));
        rows = whole(batch.div_ceil(batch.div_ceil(rows)));
        while batch.div_ceil(rows) < self.fewest && rows > lanes {
            rows = whole(rows / 2);
        }
        let mut columns = self.scan_units[usize::from(direction == Direction::Backward)];
        let group = |columns| units.div_ceil(columns).next_multiple_of(lanes);
        while group(columns) > most && columns < 4 {
            columns += 1;
        }
        (group(columns) <= most).then(|| (rows, columns, group(columns)))
    }

    /// One unit of one row a thread: the slow twin that the others are compared with.
    pub const NAIVE: Tile = Tile {
        vector: false,
        scan_rows: 1,
        scan_units: [1, 1],
        product_rows: 1,
        product_columns: 4,
        shared: false,
        group: 64,
        subgroup: 0,
        fewest: 1,
        loop_steps: 0,
        wavefront_steps: 0,
        flat: 64,
        lanes: 1,
        cooperative: 0,
        matrices: 0,
    };
}

/// The sizes of a model that decide which tile is fastest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// H of the first recurrent layer.
    pub hidden: usize,
    /// B.
    pub batch: usize,
}

impl Shape {
    /// Those of a plan, if it has a recurrent layer.
    pub fn of(plan: &Plan) -> Option<Shape> {
        let mut scans = plan.ops.iter().flat_map(Op::scans);
        scans.next().map(|scan| Shape {
            hidden: scan.hidden,
            batch: scan.batch,
        })
    }
}

impl std::fmt::Display for Tile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [forward, backward] = self.scan_units;
        let fours = if self.vector { " fours of" } else { "" };
        write!(
            f,
            "scans of {} rows x {forward} and {backward}{fours} units, products ",
            self.scan_rows
        )?;
        if self.shared {
            write!(f, "through shared memory")?
        } else {
            write!(f, "of {} x {}", self.product_rows, self.product_columns)?
        }
        write!(f, ", workgroups of {}", self.group)?;
        if self.loop_steps > 0 {
            write!(f, ", time loops of {} steps", self.loop_steps)?;
        }
        if self.wavefront_steps > 0 {
            write!(f, ", wavefronts of {} steps", self.wavefront_steps)?;
        }
        match self.subgroup {
            0 => Ok(()),
            size => write!(f, ", subgroups of {size}"),
        }
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

    #[test]
    fn sizes_that_no_kernel_has_are_not_usable() {
        let good = Tile::subgroups(8, 2);
        let bad = [
            Tile { group: 0, ..good },
            Tile { group: 12, ..good },
            Tile {
                subgroup: 7,
                ..good
            },
            Tile {
                scan_rows: 12,
                ..good
            },
            Tile {
                product_columns: 6,
                ..good
            },
            Tile {
                product_rows: 1 << 40,
                ..good
            },
            Tile {
                scan_units: [1, 0],
                ..good
            },
            Tile { lanes: 65, ..good },
        ];
        for tile in bad {
            assert!(!tile.usable(), "{tile:?}");
        }
    }

    #[test]
    fn tiles_get_smaller_until_every_core_has_a_workgroup() {
        let tile = |cores| Tile::subgroups(8, cores);
        let scan = |cores, batch, units| tile(cores).scan(Direction::Backward, batch, units);
        assert_eq!(scan(2, 32, 32), (32, 2));
        assert_eq!(scan(8, 32, 32), (16, 1));
        assert_eq!(scan(1000, 32, 32), (8, 1));
        // Rows as even as whole subgroups allow.
        assert_eq!(scan(2, 41, 64), (24, 2));
        assert_eq!(scan(1, 3, 8), (8, 2));
    }
}
