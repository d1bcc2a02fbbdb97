//! How much one thread does: sizes that change speed and never results beyond rounding.

use crate::op::Direction;

/// Elements of a vector load.
pub(super) const ELEMENT: usize = 4;

/// Tile sizes of the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// Threads in a workgroup of everything else.
    pub flat: usize,
    /// Threads that share a row or a column of a reduction.
    pub lanes: usize,
}

/// Threads that share a long row or column where fewer would do for a short one.
const MANY_LANES: usize = 32;
/// llvmpipe ends a thread's loops, all of them together, after 65,535 rounds, and says nothing. No loop over a row or a
/// column gets longer than this, three of which follow one another in a softmax,
const LONGEST_ROW: usize = 16_384;
/// and no product sums over more than this in one go, four terms a round.
const DEEPEST: usize = 131_072;

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
        flat: 64,
        lanes: 32,
    };

    /// For a processor that plays a GPU: every load is a loop over the lanes of a vector, so each thread keeps much in
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
        flat: 64,
        lanes: 1,
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
        flat: 64,
        lanes: 1,
    };
}
