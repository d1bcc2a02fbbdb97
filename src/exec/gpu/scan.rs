//! The scan's kernels: one per stage, its products unrolled over a register tile, its equations from the cell.

mod masks;
mod places;
mod products;
mod program;
mod reductions;
mod span;
mod span_kernel;
mod split;
mod split_kernel;
mod step_kernel;

use places::{Places, width};
use products::ThreadTile;
pub(super) use span::{POLLS, Span, span};
use split::SplitLayout;
use step_kernel::ScanWriter;

use super::attend;
use super::ranges::BoundRange;
use super::template::Template;
use super::tile::Tile;
use crate::cell::Stage;
use crate::op::scan::ScanStepPart;
use crate::op::{Direction, Exchange, Op, Plan, Scan};
use crate::{Error, Result};

/// The kernels of every stage, in order, then that of the initial states where the scan makes their gradients. Where a kernel
/// spans workgroups it has all stages, behind the one that fills its exchange; for a range of rows they are told where it begins.
pub(super) fn kernels(
    scan: &Scan,
    tile: &Tile,
    spanning: Option<(&Span, Exchange)>,
    bound: Option<&BoundRange>,
    plan: &Plan,
) -> Result<Vec<Template>> {
    let places = |vector| Places {
        scan,
        width: width(scan, vector),
        bound,
        exchanged: None,
    };
    let (rows, columns) = tile.scan(scan.direction, scan.batch, places(tile.vector).units());
    let writer = ScanWriter {
        places: places(tile.vector),
        tile: ThreadTile {
            rows,
            columns,
            lanes: tile.subgroup,
        },
    };
    let bytes = if plan.doubled() { 8 } else { 4 };
    let kernel = |stage: &Stage, label: &str| {
        // Threads that share sums read fours of units wherever rows allow it.
        let places = places(true);
        let split = tile.split(scan.direction);
        match split.and_then(|split| {
            SplitLayout::of(&places, stage, split, bytes, [tile.fewest, tile.full])
        }) {
            Some(layout) => {
                let tile = layout.thread();
                ScanWriter { places, tile }.split_kernel(stage, label, &layout)
            }
            None => writer.kernel(stage, label, tile),
        }
    };
    let mut kernels = match spanning {
        Some((span, exchange)) => {
            let layout = span.layout();
            let layout = layout.ok_or_else(|| Error::internal("a span without a layout"))?;
            let writer = ScanWriter {
                tile: layout.thread(),
                places: Places {
                    exchanged: Some(&span.sent),
                    ..places(true)
                },
            };
            writer.spanning(span, exchange, tile)?.into()
        }
        None => {
            let mut kernels = Vec::new();
            let mut stages = 0..;
            for part in scan.step_parts() {
                kernels.push(match part {
                    ScanStepPart::Stage(stage) => {
                        let n = stages.next().unwrap_or(0);
                        kernel(stage, &format!("{}.{n}", scan.name))?
                    }
                    ScanStepPart::Attention(op) => attention(scan, &op, tile)?,
                });
            }
            kernels
        }
    };
    if scan.initial && scan.direction == Direction::Backward {
        let label = format!("{}.initial", scan.name);
        kernels.push(kernel(&scan.compiled.initial, &label)?);
    }
    Ok(kernels)
}

/// The kernel of an attention's operation on the rows of a step.
fn attention(scan: &Scan, op: &Op, tile: &Tile) -> Result<Template> {
    match op {
        Op::Attend(op) => Ok(attend::kernel(op, tile, Some(scan))),
        Op::PairSum(op) => Ok(attend::pair_sum(op, tile, Some(scan))),
        _ => Err(Error::internal(format!("{}: no attention", op.name()))),
    }
}
