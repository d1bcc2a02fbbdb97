//! How a product is laid out on workgroups that share memory: the tiles of its result, and the parts of its sums.

use super::tile::Tile;
use crate::op::MatMul;

/// Rows and columns of a tile.
const SIDES: [usize; 2] = [64, 128];
/// Threads of a workgroup, 16 x 16.
pub(super) const THREADS: usize = 256;
/// Terms of a part are a multiple of so many, so that only the last part has a round that is not full.
const ROUND: usize = 16;

/// Where a product is worked out.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProductPlace {
    /// Bytes of memory that a workgroup can share.
    pub memory: usize,
    /// Whether it is computed in double precision.
    pub double: bool,
}

impl ProductPlace {
    /// The terms of a round through tiles of this size, as many as a workgroup has loads for at once and memory allows; none
    /// where it does not allow the fewest.
    fn round(self, side: usize) -> Option<usize> {
        let number = if self.double { 8 } else { 4 };
        let bytes = |terms: usize| elements(side, terms) * 2 * number;
        // The first one has a load of each operand for every thread.
        let rounds = [4 * THREADS / side, 8].into_iter();
        // Sixteen numbers of a thread in f64 are as many registers as a larger tile's in f32.
        let usual = !self.double || side == SIDES[0];
        rounds
            .filter(|terms| usual && bytes(*terms) <= self.memory)
            .max()
    }
}

/// Numbers that one operand has in shared memory, in two buffers of rows that are one four longer than a tile.
fn elements(side: usize, terms: usize) -> usize {
    2 * terms * (side + 4)
}

/// The layout of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ProductTile {
    /// Rows and columns of a workgroup's tile.
    pub side: usize,
    /// Terms of a round.
    pub terms: usize,
    /// Terms of each part, where the sums are cut.
    pub depth: Option<usize>,
}

impl ProductTile {
    /// The layout of `op`; none where memory is too little for any tile.
    ///
    /// A large tile asks a quarter as often for each number, but is a quarter as many workgroups. It is taken where those, in
    /// parts or not, fill the device, and where the edges of the result do not leave much more of it idle.
    pub fn of(op: &MatMul, tile: &Tile, place: ProductPlace) -> Option<ProductTile> {
        let (m, k, n) = op.dims();
        let of = |side: usize| {
            place.round(side).map(|terms| ProductTile {
                side,
                terms,
                depth: depth(op, tile, side),
            })
        };
        let large = of(SIDES[1]).filter(|large| {
            let parts = large.depth.map_or(1, |depth| k.div_ceil(depth));
            let area = |side: usize| tiles(m, n, side) * side * side;
            tiles(m, n, large.side) * parts >= tile.full.max(1)
                && area(large.side) * 8 <= area(SIDES[0]) * 9
        });
        large.or_else(|| of(SIDES[0]))
    }

    /// Numbers of each operand in shared memory.
    pub fn elements(&self) -> usize {
        elements(self.side, self.terms)
    }
}

fn tiles(m: usize, n: usize, side: usize) -> usize {
    m.div_ceil(side) * n.div_ceil(side)
}

/// The terms of each part where the sums of a product are cut, which brings it several times as many workgroups as it has
/// tiles; none where they are not.
///
/// Parts are as many as make two workgroups for each of the workgroups that [fill](Tile::full) the device, and have no fewer
/// terms than [`Tile::part_depth`], as their results must be written and added up. A product over rows of a minibatch, the
/// gradient of a weight, is one of several whose sums are made together before the update; the sum of another one has a
/// dispatch to itself, and parts of twice as many terms.
fn depth(op: &MatMul, tile: &Tile, side: usize) -> Option<usize> {
    let (m, k, n) = op.dims();
    let least = if op.transpose_a {
        tile.part_depth
    } else {
        2 * tile.part_depth
    };
    let most = k.checked_div(least)?;
    let parts = (2 * tile.full / tiles(m, n, side).max(1)).min(most);
    let depth = k.div_ceil(parts.max(1)).next_multiple_of(ROUND.min(least));
    (parts > 1 && depth < k).then_some(depth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Matrix, SlotId};

    const USUAL: ProductPlace = ProductPlace {
        memory: 32 << 10,
        double: false,
    };

    fn product(m: usize, k: usize, n: usize, transpose_a: bool) -> MatMul {
        let matrix = |rows, cols| Matrix::new(SlotId(0), rows, cols);
        MatMul {
            name: "product".into(),
            a: if transpose_a {
                matrix(k, m)
            } else {
                matrix(m, k)
            },
            b: matrix(k, n),
            c: matrix(m, n),
            transpose_a,
            transpose_b: false,
            bias: None,
            accumulate: false,
        }
    }

    #[test]
    fn parts_fill_the_device_and_are_not_short() {
        let of = |m, k, n, transpose_a| {
            let tile = ProductTile::of(&product(m, k, n, transpose_a), &Tile::GPU, USUAL);
            tile.map(|tile| (tile.side, tile.depth)).unwrap()
        };
        // The weights of an LSTM of 128 units: 16 tiles, 1600 terms in 6 parts of 256 and more.
        assert_eq!(of(128, 1600, 512, true), (64, Some(272)));
        // 256 units: 16 large tiles in 16 parts.
        assert_eq!(of(256, 4800, 1024, true), (128, Some(304)));
        // 2048 units: 1024 large tiles fill the device by themselves.
        assert_eq!(of(2048, 4800, 8192, true), (128, None));
        assert_eq!(of(128, 511, 512, true), (64, None));
        assert_eq!(of(128, 512, 512, true), (64, Some(256)));
        // Parts that need a dispatch for themselves are longer.
        assert_eq!(of(128, 512, 65, false), (64, None));
        assert_eq!(of(128, 1024, 65, false), (64, Some(512)));
        let whole = Tile {
            part_depth: 0,
            ..Tile::GPU
        };
        let tile = ProductTile::of(&product(128, 1600, 512, true), &whole, USUAL);
        assert_eq!(tile.and_then(|tile| tile.depth), None);
    }

    #[test]
    fn large_tiles_are_for_results_that_fill_them_and_the_device() {
        let of = |m, k, n| {
            let tile = ProductTile::of(&product(m, k, n, false), &Tile::GPU, USUAL);
            tile.unwrap().side
        };
        // 13 x 16 tiles; 13 x 4 of them leave cores idle.
        assert_eq!((of(1600, 128, 2048), of(1600, 128, 512)), (128, 64));
        // 65 columns are one large tile or two small ones, 64 are one of either, and 130 two or three.
        assert_eq!((of(1 << 16, 128, 65), of(1 << 16, 128, 64)), (128, 64));
        assert_eq!(of(1 << 16, 128, 130), 64);
    }

    #[test]
    fn tiles_fit_the_memory_of_a_workgroup() {
        let of = |memory, double| {
            let place = ProductPlace { memory, double };
            let tile = ProductTile::of(&product(4096, 128, 4096, false), &Tile::GPU, place);
            tile.map(|tile| {
                assert!(2 * tile.elements() * if double { 8 } else { 4 } <= memory);
                (tile.side, tile.terms)
            })
        };
        assert_eq!(of(32 << 10, false), Some((128, 8)));
        assert_eq!(of(16 << 10, false), Some((64, 8)));
        assert_eq!(of(32 << 10, true), Some((64, 8)));
        assert_eq!(of(16 << 10, true), None);
        let small = |memory| {
            let place = ProductPlace {
                memory,
                double: false,
            };
            ProductTile::of(&product(5, 128, 5, false), &Tile::GPU, place).unwrap()
        };
        assert_eq!((small(32 << 10).terms, small(16 << 10).terms), (16, 8));
    }
}
