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
    /// Threads that share the sums of a step's products, each some of the elements that are summed over, forward and
    /// backward; 1 where every thread makes its sums alone. Wavefronts have no such threads.
    #[serde(default = "alone")]
    pub slices: [usize; 2],
    /// Rows of a scan that such a thread keeps in registers, forward and backward, and four units of each.
    #[serde(default = "alone")]
    pub slice_rows: [usize; 2],
    /// Rows of a product's result that one thread makes.
    pub product_rows: usize,
    /// Columns of a product's result that one thread makes; a multiple of 4.
    pub product_columns: usize,
    /// Whether products go through memory that a workgroup shares.
    pub shared: bool,
    /// Terms of a part, at least, where the sums of products through shared memory are cut into parts because the product has
    /// fewer tiles than fill the device; the parts are then added in order. 0 where none is cut.
    #[serde(default)]
    pub part_depth: usize,
    /// Threads in a workgroup of scans and products.
    pub group: usize,
    /// Threads of a subgroup, which then all have the same rows and hand them to one another; 0 where nobody may count on
    /// subgroups. Divides `group` and the numbers of rows.
    pub subgroup: usize,
    /// Workgroups of a scan's step below which its tiles are made smaller, so that none of the device's parts is idle.
    pub fewest: usize,
    /// Workgroups of a step whose sums threads share that fill the device: as long as there are so many, fewer threads share a sum,
    /// and a workgroup has more rows and units, so that it asks less of the caches for each of them. 0 where that never is so.
    #[serde(default)]
    pub full: usize,
    /// Workgroups of a scan's kernel that may wait for one another: such a kernel goes through many steps in a dispatch where
    /// all its workgroups are no more, or where each has all units of its rows and waits for nobody. As many as were shown to run
    /// at once; 1 where none may wait for another; 0 where every stage of every step is a dispatch.
    #[serde(default)]
    pub span: usize,
    /// Scans that can run side by side do so; one that needs another's output runs so many steps behind it. 0 where they
    /// follow one another.
    #[serde(default)]
    pub wavefront_steps: usize,
    /// Whether operations that need nothing of one another share a dispatch, and the update ends the norm: for devices on which a
    /// dispatch and the wait before it cost as much as a small kernel.
    #[serde(default)]
    pub merged: bool,
    /// Whether kernels run without checks of every index and every loop: only on a device that is
    /// [trusted](super::GpuDevice::trust).
    #[serde(default)]
    pub unchecked: bool,
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

/// Nothing is shared.
pub(super) fn alone() -> [usize; 2] {
    [1, 1]
}

/// Threads that share a long row or column where fewer would do for a short one.
const MANY_LANES: usize = 32;
/// llvmpipe ends a thread's loops, all of them together, after 65,535 rounds, and says nothing. No loop over a row or a
/// column gets longer than this, three of which follow one another in a softmax,
const LONGEST_ROW: usize = 16_384;
/// and no product sums over more than this in one go, four terms a round.
const DEEPEST: usize = 131_072;
/// Threads that share a sum at most.
pub(super) const MOST_SLICES: usize = 64;
/// Steps between the layers of a wavefront at most, whatever a search finds.
pub(super) const WAVEFRONT_STEPS: usize = 1024;

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

    /// For a GPU: enough threads, products through shared memory. A step of a scan waits for its loads, one round of them
    /// after another, so threads share its sums: at H 512 an LSTM's step has 8 rounds where a thread alone has 512 forward and
    /// 2048 backward. Worked out from the latencies of GPUs, and unmeasured on one.
    pub const GPU: Tile = Tile {
        vector: false,
        scan_rows: 2,
        scan_units: [1, 1],
        slices: [16, 64],
        slice_rows: [4, 8],
        product_rows: 4,
        product_columns: 4,
        shared: true,
        part_depth: 256,
        group: 64,
        subgroup: 0,
        fewest: 1,
        full: 128,
        span: 0,
        wavefront_steps: 0,
        merged: true,
        unchecked: true,
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
        slices: [1, 1],
        slice_rows: [1, 1],
        product_rows: 16,
        product_columns: 8,
        shared: false,
        part_depth: 0,
        group: 8,
        subgroup: 0,
        fewest: 1,
        full: 0,
        span: 0,
        wavefront_steps: 0,
        merged: false,
        unchecked: false,
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
            && self.part_depth <= DEEPEST
            && self.full <= 1 << 16
            && match self.cooperative {
                0 => self.matrices == 0,
                threads => matches!(threads, 8 | 16 | 32 | 64) && matches!(self.matrices, 8 | 16),
            }
            && self
                .slices
                .iter()
                .all(|n| within(*n, MOST_SLICES) && n.is_power_of_two())
            && self.slice_rows.iter().all(|rows| within(*rows, 16))
            && self.span <= 1 << 16
            && self.wavefront_steps <= WAVEFRONT_STEPS
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
        let lanes = self.subgroup.max(1);
        let whole = |rows: usize| rows.next_multiple_of(lanes);
        if self.subgroup > 0 {
            rows = whole(batch.div_ceil(batch.div_ceil(rows)));
        }
        let groups = |rows: usize, columns: usize| match self.subgroup {
            // Threads of all rows lie one after another.
            0 => (batch.div_ceil(rows) * units.div_ceil(columns)).div_ceil(self.group),
            _ => batch.div_ceil(rows) * units.div_ceil(columns * self.group),
        };
        while groups(rows, columns) < self.fewest && (columns > 1 || rows > lanes) {
            match columns {
                1 => rows = whole(rows / 2),
                _ => columns /= 2,
            }
        }
        (rows, columns)
    }

    /// The threads that share a sum of a scan's step, and the rows that each has, where there are several.
    pub(super) fn split(&self, direction: Direction) -> Option<(usize, usize)> {
        let of = usize::from(direction == Direction::Backward);
        let (slices, rows) = (self.slices[of], self.slice_rows[of]);
        (self.wavefront_steps == 0 && slices > 1).then_some((slices, rows))
    }

    /// The same with the sums of a step shared and operations merged as on a GPU, and so without wavefronts.
    pub fn with_slices(&self) -> Tile {
        Tile {
            slices: Tile::GPU.slices,
            slice_rows: Tile::GPU.slice_rows,
            full: Tile::GPU.full,
            merged: Tile::GPU.merged,
            unchecked: Tile::GPU.unchecked,
            wavefront_steps: 0,
            ..*self
        }
    }

    /// One unit of one row a thread: the slow twin that the others are compared with.
    pub const NAIVE: Tile = Tile {
        vector: false,
        scan_rows: 1,
        scan_units: [1, 1],
        slices: [1, 1],
        slice_rows: [1, 1],
        product_rows: 1,
        product_columns: 4,
        shared: false,
        part_depth: 0,
        group: 64,
        subgroup: 0,
        fewest: 1,
        full: 0,
        span: 0,
        wavefront_steps: 0,
        merged: false,
        unchecked: false,
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
            write!(f, "through shared memory")?;
            if self.part_depth > 0 {
                write!(f, " in parts of {} terms and more", self.part_depth)?
            }
        } else {
            write!(f, "of {} x {}", self.product_rows, self.product_columns)?
        }
        write!(f, ", workgroups of {}", self.group)?;
        let ways = [Direction::Forward, Direction::Backward];
        if ways.into_iter().any(|way| self.split(way).is_some()) {
            let ([forward, backward], rows) = (self.slices, self.slice_rows);
            write!(
                f,
                ", {forward} and {backward} threads a sum of {} and {} rows",
                rows[0], rows[1]
            )?;
        }
        if self.span > 0 {
            write!(f, ", kernels that span {} workgroups", self.span)?;
        }
        if self.merged {
            write!(f, ", independent operations in one dispatch")?;
        }
        if self.unchecked {
            write!(f, ", unchecked indices")?;
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
            Tile {
                slices: [12, 64],
                ..good
            },
            Tile {
                slice_rows: [4, 17],
                ..good
            },
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
        // Without subgroups, too: 32 rows of 32 units are 8 workgroups of 64 threads, two rows each.
        let alone = |fewest| Tile {
            fewest,
            ..Tile::GPU
        };
        let scan = |fewest| alone(fewest).scan(Direction::Backward, 32, 32);
        assert_eq!([8, 9, 1000].map(scan), [(2, 1), (1, 1), (1, 1)]);
    }
}
