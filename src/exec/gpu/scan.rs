//! The scan's kernels: one per stage, its products unrolled over a register tile, its equations from the cell.

mod masks;
mod places;
mod products;
mod program;
mod reductions;
mod step_kernel;
mod time_loop;

use places::{Places, width};
use products::ThreadTile;
use step_kernel::ScanWriter;
pub(super) use time_loop::{Loop, time_loop};

use super::ranges::BoundRange;
use super::template::Template;
use super::tile::Tile;
use crate::Result;
use crate::op::{Direction, Scan};

/// The kernels of every stage, in order, then that of the initial states where the scan makes their gradients. With a loop
/// over time one kernel has all stages; for a range of rows they are told where it begins.
pub(super) fn kernels(
    scan: &Scan,
    tile: &Tile,
    time: Option<&Loop>,
    bound: Option<&BoundRange>,
) -> Result<Vec<Template>> {
    let places = || Places {
        scan,
        width: width(scan, tile),
        bound,
    };
    let (rows, columns) = tile.scan(scan.direction, scan.batch, places().units());
    let with = |rows, columns| ScanWriter {
        places: places(),
        tile: ThreadTile {
            rows,
            columns,
            lanes: tile.subgroup,
        },
    };
    let writer = with(rows, columns);
    let label = |n: usize| format!("{}.{n}", scan.name);
    let mut kernels = match time {
        Some(time) => vec![with(time.rows, time.columns).looped(time)?],
        None => {
            let stages = scan.stages().iter().enumerate();
            let kernels = stages.map(|(n, stage)| writer.kernel(stage, &label(n), tile));
            kernels.collect::<Result<_>>()?
        }
    };
    if scan.initial && scan.direction == Direction::Backward {
        let label = format!("{}.initial", scan.name);
        kernels.push(writer.kernel(&scan.compiled.initial, &label, tile)?);
    }
    Ok(kernels)
}
