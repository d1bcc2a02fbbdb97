//! A loop over time within a dispatch: when a scan has one, and of which size.

use super::super::tile::Tile;
use super::places::width;
use crate::op::Scan;

/// A loop over time within a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::exec::gpu) struct Loop {
    /// Rows of a workgroup, all of which every thread has.
    pub rows: usize,
    /// Units (or fours of units) of a thread.
    pub columns: usize,
    /// Threads of a workgroup.
    pub group: usize,
    /// Steps of a dispatch.
    pub steps: usize,
}

/// Floating point operations of a workgroup in one dispatch: 40 ms at 5 GFLOP/s, what a submission is meant to take on a
/// processor of a slow device.
const SHORT: usize = 200_000_000;
/// Rounds of a thread's loops in one dispatch: llvmpipe ends them after 65,535, and says nothing.
const ROUNDS: usize = 60_000;

/// The loop over time of a scan, where the tile has one and it is possible: the rule.
///
/// Rows must run from the first step to the last, which packed ones do not; there must be steps to loop over; a workgroup
/// must have a thread for every unit or few units; it has `sums` sums over rows at most; and a dispatch must be short: no longer than a submission is meant to be
/// on a slow device, and of no more rounds than llvmpipe goes through.
pub(in crate::exec::gpu) fn time_loop(
    scan: &Scan,
    tile: &Tile,
    threads: usize,
    sums: usize,
) -> std::result::Result<Loop, String> {
    let steps = scan.range.len();
    if scan.packed.is_some() {
        return Err("rows are packed".into());
    }
    if steps < 2 {
        return Err(format!("{steps} steps"));
    }
    let width = width(scan, tile.vector);
    let units = scan.hidden / width;
    let shape = tile.time_loop(scan.direction, scan.batch, units, threads);
    let (rows, columns, group) =
        shape.ok_or(format!("{units} units need more than {threads} threads"))?;
    let reductions: usize = scan.stages().iter().map(|s| s.reductions.len()).sum();
    if rows * reductions > sums {
        let found = rows * reductions;
        return Err(format!("{found} sums over rows, and {sums} are the limit"));
    }
    let (mut flops, mut rounds) = (0, 1);
    for stage in scan.stages() {
        for product in stage.products() {
            flops += 2 * product.blocks * scan.hidden * product.feeds.len();
            rounds += product.blocks * units;
        }
        rounds += rows * (stage.reductions.len() * units + columns);
    }
    let short = SHORT / (flops * rows * scan.hidden).max(1);
    let steps = [tile.loop_steps, steps, short, ROUNDS / rounds];
    let steps = steps.into_iter().min().filter(|steps| *steps > 0);
    let steps = steps.ok_or("a single step is longer than a dispatch may be")?;
    Ok(Loop {
        rows,
        columns,
        group,
        steps,
    })
}
