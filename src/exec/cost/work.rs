//! What a kernel asks of a device, counted from its operation and the sizes that its text is made with.

use std::collections::HashSet;

use crate::cell::Stage;
use crate::exec::gpu::PartOutline;
use crate::op::scan::ScanStepPart;
use crate::op::{Direction, Op, Plan, Scan};

/// What one dispatch of a kernel asks. Bytes and operations are those of all workgroups together, padding included.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Workgroups.
    pub workgroups: f64,
    /// Threads of a workgroup.
    pub threads: f64,
    /// 32-bit registers of a thread, estimated.
    pub registers: f64,
    /// Bytes of memory that a workgroup shares.
    pub shared_memory: f64,
    /// Floating point operations.
    pub flops: f64,
    /// Bytes that go through workgroups' memory.
    pub shared: f64,
    /// Bytes that threads ask of the first caches.
    pub l1: f64,
    /// Bytes that workgroups ask of the last cache.
    pub l2: f64,
    /// Bytes that are touched at all, each once.
    pub distinct: f64,
    /// Those of them that no kernel has touched shortly before.
    pub streamed: f64,
    /// Rounds of loads of a thread, each of which waits for the one before, on average over the workgroups.
    pub rounds: f64,
    /// The same of the workgroup that has the most, where that is more.
    pub longest: f64,
    /// Loads of a round, side by side.
    pub loads: f64,
    /// Barriers that a workgroup comes to, on average.
    pub barriers: f64,
    /// Loads that wait for one another beside those rounds.
    pub epilogue: f64,
}

impl Work {
    /// Both in one dispatch: workgroups side by side.
    #[must_use]
    pub fn beside(self, other: Work) -> Work {
        // The threads of a workgroup are those of the larger one; the other's are fewer workgroups for it.
        let threads = self.threads.max(other.threads);
        let groups = |work: Work| (work.workgroups * work.threads / threads).ceil();
        let chain = |of: fn(&Work) -> f64| of(&self).max(of(&other));
        let all = (groups(self) + groups(other)).max(1.0);
        let mean =
            |of: fn(&Work) -> f64| (groups(self) * of(&self) + groups(other) * of(&other)) / all;
        Work {
            workgroups: groups(self) + groups(other),
            threads,
            registers: chain(|w| w.registers),
            shared_memory: chain(|w| w.shared_memory),
            flops: self.flops + other.flops,
            shared: self.shared + other.shared,
            l1: self.l1 + other.l1,
            l2: self.l2 + other.l2,
            distinct: self.distinct + other.distinct,
            streamed: self.streamed + other.streamed,
            rounds: mean(|w| w.rounds),
            longest: chain(|w| w.rounds.max(w.longest)),
            loads: chain(|w| w.loads),
            barriers: mean(|w| w.barriers),
            epilogue: chain(|w| w.epilogue),
        }
    }
}

/// Registers beside those of sums and operands: places, counters, equations.
const OTHERS: f64 = 24.0;
/// The share of a minibatch's tokens that are the most frequent one: a letter of a text in English.
const FREQUENT: f64 = 0.15;
/// Registers of sums that a thread of a split step has at a time.
const SUMS: f64 = 64.0;

/// The work of one of `calls` dispatches.
pub fn work(part: &PartOutline, plan: &Plan, calls: usize) -> Work {
    let number = |name: &str| part.constants.get(name).copied().unwrap_or(1) as f64;
    let costs = plan.costs(&part.op);
    let cost = costs
        .get(part.part)
        .copied()
        .unwrap_or_else(|| costs.iter().copied().sum());
    let calls = calls.max(1) as f64;
    let number_bytes = if plan.doubled() { 8.0 } else { 4.0 };
    let base = Work {
        workgroups: part.workgroups as f64,
        threads: part.threads as f64,
        registers: OTHERS,
        shared_memory: number_bytes * part.shared as f64,
        flops: cost.flops / calls,
        l1: cost.bytes / calls,
        l2: cost.bytes / calls,
        distinct: cost.bytes / calls,
        streamed: 0.0,
        rounds: 1.0,
        loads: 1.0,
        barriers: part.barriers as f64,
        epilogue: 1.0,
        ..Work::default()
    };
    match &part.op {
        Op::Scan(scan) if part.constants.contains_key("PLANE") => filled(base, scan, &number),
        Op::Scan(scan) if part.constants.contains_key("POLLS") => spanning(
            base,
            scan,
            (scan.range.len() as f64 / calls).max(1.0),
            &number,
        ),
        Op::Scan(scan) => match scan.step_parts().get(part.part) {
            Some(ScanStepPart::Stage(stage)) => step(base, scan, stage, &number),
            // The initial states' gradients stand behind all others.
            None if scan.direction == Direction::Backward => {
                step(base, scan, &scan.compiled.initial, &number)
            }
            Some(ScanStepPart::Attention(_)) | None => base,
        },
        Op::MatMul(op) => {
            let (_, k, _) = op.dims();
            let terms = k as f64;
            if part.constants.contains_key("COLUMNS") {
                let (rows, columns) = (number("ROWS"), number("COLUMNS"));
                let threads = base.workgroups * base.threads;
                let loaded = number_bytes * threads * terms * (rows + columns);
                return Work {
                    registers: OTHERS + rows * columns + 4.0 * (rows + columns),
                    flops: 2.0 * threads * rows * columns * terms,
                    l1: loaded,
                    // Neighbours have the same rows, and those below one another the same columns.
                    l2: loaded / base.threads.sqrt(),
                    rounds: terms / 4.0,
                    loads: rows + columns,
                    ..base
                };
            }
            through_memory(base, terms, &number, number_bytes)
        }
        Op::ProductParts(op) => through_memory(base, op.depth as f64, &number, number_bytes),
        Op::PartSum(op) => Work {
            loads: op.parts as f64,
            ..base
        },
        Op::ColumnSum(op) => Work {
            rounds: op.from.rows as f64 / number("LANES"),
            ..base
        },
        Op::Scatter(op) => {
            let rows = op.from.rows as f64;
            let run = (FREQUENT * rows).max(rows / op.into.rows as f64).max(1.0);
            // The row's number, then the row.
            let rounds = |run: f64| 2.0 * (run / number("LANES")).ceil();
            Work {
                rounds: rounds(rows / op.into.rows as f64),
                longest: rounds(run),
                ..base
            }
        }
        Op::SoftmaxXent(op) => Work {
            rounds: 3.0 * (op.logits.cols as f64 / number("LANES")).ceil(),
            epilogue: 2.0,
            ..base
        },
        Op::Norm(op) if part.constants.get("FINAL") == Some(&0) => {
            let parts = op.completes.iter().map(|sum| sum.parts);
            let sums = part.constants.get("SUMS").is_some_and(|sums| *sums > 0);
            Work {
                rounds: number("CHUNK") / number("GROUP"),
                loads: parts.filter(|_| sums).max().unwrap_or(1) as f64,
                ..base
            }
        }
        Op::Norm(op) => Work {
            rounds: op.partial_count() as f64 / number("GROUP"),
            barriers: 4.0,
            ..base
        },
        Op::Optimizer(op) => {
            let partials = op
                .ends
                .as_ref()
                .map_or(0.0, |norm| norm.partial_count() as f64);
            let added = partials * number_bytes * base.workgroups;
            Work {
                rounds: number("EACH") + (partials / number("GROUP")).ceil(),
                loads: 4.0,
                l1: base.l1 + added,
                l2: base.l2 + added,
                // Parameters and the optimiser's numbers were last touched a step ago.
                streamed: base.distinct,
                ..base
            }
        }
        op => {
            let cols = op.reads().iter().map(|m| m.cols).max().unwrap_or(1) as f64;
            let lanes = part.constants.get("LANES");
            Work {
                rounds: lanes.map_or(1.0, |lanes| (cols / *lanes as f64).ceil()),
                ..base
            }
        }
    }
}

/// A product, or its parts, of so many terms through tiles in memory that workgroups share.
fn through_memory(base: Work, terms: f64, number: &dyn Fn(&str) -> f64, number_bytes: f64) -> Work {
    let (side, deep, quads) = (number("FOURS") * 4.0, number("DEEP"), number("QUADS"));
    let rounds = (terms / deep).ceil();
    let each = deep * rounds;
    let loaded = base.workgroups * 2.0 * side * each * number_bytes;
    // A thread reads eight numbers for each of the squares along one edge of what it makes.
    let read = base.workgroups * base.threads * 8.0 * quads * each * number_bytes;
    // A four of each operand, from one place or from four.
    let loads = |name: &str| 4.0 - 3.0 * number(name);
    Work {
        registers: OTHERS + 16.0 * quads * quads + 8.0 * quads + 8.0,
        flops: 2.0 * base.workgroups * side * side * each,
        shared: read + loaded,
        l1: loaded,
        l2: loaded,
        rounds,
        loads: loads("AV") + loads("BV"),
        barriers: rounds,
        ..base
    }
}

/// What fills the exchange of a kernel that spans workgroups: each of its threads stores a V.
fn filled(base: Work, scan: &Scan, number: &dyn Fn(&str) -> f64) -> Work {
    let width = scan.hidden as f64 / number("UNITS");
    let stored = base.workgroups * base.threads * 4.0 * width;
    Work {
        flops: 0.0,
        l1: stored,
        l2: stored,
        distinct: stored,
        ..base
    }
}

/// Some steps in one dispatch whose workgroups wait for one another: what a stage takes, and the way of what the others have made
/// through the last cache and back.
fn spanning(base: Work, scan: &Scan, steps: f64, number: &dyn Fn(&str) -> f64) -> Work {
    /// Loads that wait for one another on that way.
    const WAY: f64 = 2.0;
    let mut all = Work {
        flops: 0.0,
        l1: 0.0,
        l2: 0.0,
        rounds: 0.0,
        barriers: steps * base.barriers,
        epilogue: 0.0,
        ..base
    };
    for stage in scan.stages() {
        let own = step(
            Work {
                flops: 0.0,
                l1: 0.0,
                l2: 0.0,
                ..base
            },
            scan,
            stage,
            number,
        );
        all = Work {
            registers: all.registers.max(own.registers),
            flops: all.flops + steps * own.flops,
            shared: all.shared + steps * own.shared,
            l1: all.l1 + steps * own.l1,
            l2: all.l2 + steps * own.l2,
            streamed: all.streamed.max(own.streamed),
            rounds: all.rounds + steps * own.rounds,
            loads: all.loads.max(own.loads),
            epilogue: all.epilogue + steps * (own.epilogue + WAY),
            ..all
        };
    }
    Work {
        flops: all.flops.max(base.flops),
        l1: all.l1.max(base.l1),
        l2: all.l2.max(base.l2),
        ..all
    }
}

/// A stage of a step: sums over H for every unit and row, then the cell's equations.
fn step(base: Work, scan: &Scan, stage: &Stage, number: &dyn Fn(&str) -> f64) -> Work {
    let units = number("UNITS");
    let width = scan.hidden as f64 / units;
    let (rows, columns) = (number("ROWS"), number("COLUMNS"));
    let (lanes, bands, slices) = (number("LANES"), number("BANDS"), number("SLICES"));
    let split = slices > 1.0 || bands > 1.0;
    let threads = base.workgroups * base.threads;
    let (mut rounds, mut loads, mut flops, mut l1, mut l2) = (0.0, 0.0f64, 0.0, 0.0, 0.0);
    let mut weights = HashSet::new();
    for product in stage.products() {
        let feeds = product.feeds.len() as f64;
        let terms = product.blocks as f64 * units;
        let own = (terms / slices).ceil();
        // A V of what is summed over: its weights for each unit, and a V of each row.
        let each = feeds * columns * width + rows;
        rounds += own;
        loads = loads.max(each);
        flops += threads * own * 2.0 * feeds * columns * rows * width * width;
        l1 += threads * own * each * 4.0 * width;
        let of_group = if split {
            lanes * columns * width * feeds + rows * bands
        } else {
            // Threads lie along the units, and have the same rows.
            base.threads.min(units / columns) * columns * width * feeds + rows
        };
        l2 += base.workgroups * terms * width * of_group * 4.0;
        let blocks = 0..product.blocks;
        let read = product.feeds.iter().flat_map(|feed| {
            let first = (feed.source, feed.block);
            blocks.clone().map(move |n| (first.0, first.1 + n))
        });
        weights.extend(read);
    }
    let sums = stage.sums.len() as f64 * rows * columns * width;
    let held = 4.0 * (weights.len() * scan.hidden * scan.hidden) as f64;
    Work {
        registers: OTHERS + sums.min(SUMS) + width * rows.max(4.0),
        flops: flops.max(base.flops),
        shared: if split {
            2.0 * threads * sums * 4.0
        } else {
            0.0
        },
        l1: l1.max(base.l1),
        l2: l2.max(base.l2),
        // What is kept for the way back leaves the cache for the memory; weights stay.
        streamed: (base.distinct - held).max(0.0),
        rounds: rounds.max(1.0),
        loads: loads.max(1.0),
        epilogue: 2.0,
        ..base
    }
}
