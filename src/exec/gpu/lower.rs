//! From an operation of the plan to its kernels and the order in which they are dispatched.

use super::concurrent::merged;
use super::ranges::Ranges;
use super::scan::Loop;
use super::split::split;
use super::template::Source;
use super::tile::Tile;
use super::window::{Fit, Windows};
use super::{double, half, matmul, operation, scan};
use crate::op::{ConcurrentScans, Direction, Matrix, Op, Operation, Plan, Scan, Scatter};
use crate::{Error, Result};

/// What a dispatch gives its kernel as a uniform, so that the kernel need not be another one for it: the step, where its
/// operation's piece of the window begins, the first stream of its random numbers, and how many steps it goes through; where
/// it binds a range of rows, the first one of them in place of that.
pub(super) type DispatchParameters = [u32; 4];

/// In place of one of an operation's costs: all of them.
pub(super) const WHOLE: usize = usize::MAX;

/// An operation's kernels, and which of them run at which step.
pub(super) struct Lowered {
    /// The kernels.
    pub kernels: Vec<Source>,
    /// For each kernel, which of the operation's costs it is a share of.
    pub parts: Vec<usize>,
    /// Dispatches: a kernel, and the parameters of each of its parts.
    pub order: Vec<(usize, Vec<DispatchParameters>)>,
    /// What the tile has and these kernels have not, and why.
    pub left_out: Option<String>,
}

/// The kernels of an operation, checked against what it says that it reads and writes. Bindings are as `fit` allows, and
/// what is too large for one is shared by several kernels.
pub(super) fn lower(op: &Op, plan: &Plan, tile: &Tile, fit: Fit) -> Result<Lowered> {
    if let Op::ConcurrentScans(op) = op {
        return side_by_side(op, plan, tile, fit);
    }
    if let Op::Scan(scan) = op
        && let Some(ranges) = Ranges::of(scan, plan, fit)
    {
        let made = |small| in_ranges(scan, &ranges, tile, Windows::new(plan, fit, small));
        // What does not even bind in ranges is bound whole, and refused.
        if let Ok(lowered) = made(true).or_else(|_: Error| made(false)) {
            return declared(op, plan, lowered);
        }
    }
    let scans = op.scans().iter().filter(|_| tile.loop_steps > 0);
    let mut times = scans.map(|scan| scan::time_loop(scan, tile, fit.threads, fit.sums));
    let (time, mut left_out) = match times.next() {
        Some(Ok(time)) => (Some(time), None),
        Some(Err(why)) => (None, Some(why)),
        None => (None, None),
    };
    let made = |small, time: Option<Loop>| {
        let made = kernels(op, tile, &mut Windows::new(plan, fit, small), time.as_ref())?;
        Ok((made, time))
    };
    let looped = time.and_then(|_| made(true, time).ok());
    if time.is_some() && looped.is_none() {
        left_out = Some("its stages together have too many bindings".into());
    }
    let left_out = left_out.map(|why| format!("no time loop: {why}"));
    let ((parts, pieces, kernels), time) = match looped {
        // What does not bind at once goes step by step, and what does not bind in windows is bound whole.
        None => made(true, None).or_else(|_: Error| made(false, None))?,
        Some(made) => made,
    };
    let [at, stream] = op.dispatch_parameters().map(|n| n as u32);
    let order = match (op.scans().first(), time) {
        (Some(scan), Some(time)) => looped_order(scan, &time, at, stream),
        (Some(scan), None) => step_order(scan, at, stream),
        (None, _) => { pieces.into_iter().enumerate() }
            .map(|(k, [at, stream])| (k, vec![[0, at, stream, 1]]))
            .collect(),
    };
    let lowered = Lowered {
        kernels,
        parts,
        order,
        left_out,
    };
    declared(op, plan, lowered)
}

/// The same, where kernels bind nothing but what the operation says that it reads and writes.
fn declared(op: &Op, plan: &Plan, lowered: Lowered) -> Result<Lowered> {
    let (reads, writes) = (op.reads(), op.writes());
    for kernel in &lowered.kernels {
        for bind in &kernel.binds {
            let names = |m: &Matrix| m.slot == bind.slot;
            let written = writes.iter().any(names);
            if !written && (bind.write || !reads.iter().any(names)) {
                return Err(Error::internal(format!(
                    "kernel {}: {} {}, which the operation does not declare",
                    kernel.label,
                    if bind.write { "writes" } else { "reads" },
                    plan.slot(bind.slot).name
                )));
            }
        }
    }
    Ok(lowered)
}

/// A scan whose kernels bind ranges of rows.
fn in_ranges(scan: &Scan, ranges: &Ranges, tile: &Tile, mut windows: Windows) -> Result<Lowered> {
    let (mut kernels, mut parts) = (Vec::new(), Vec::new());
    let firsts = ranges.firsts(scan);
    for first in &firsts {
        let mut range = scan.clone();
        range.initial &= *first == 0;
        let bound = ranges.bind(&mut range, *first, &mut windows);
        let mut op = Op::Scan(range);
        windows.place(op.matrices_mut(), true);
        if let Op::Scan(range) = &op {
            let of = scan::kernels(range, tile, None, Some(&bound))?;
            parts.extend(0..of.len());
            kernels.extend(of);
        }
    }
    finish(&mut kernels, &windows)?;
    let [at, stream] = Operation::dispatch_parameters(scan).map(|n| n as u32);
    let why = "no time loop: a slot with the rows of all steps is more than a binding";
    Ok(Lowered {
        parts,
        order: ranges.order(scan, &firsts, at, stream),
        kernels,
        left_out: (tile.loop_steps > 0).then(|| why.into()),
    })
}

/// The plan with scans side by side, where the tile has such and kernels for them can be made.
pub(super) fn scheduled(plan: &Plan, tile: &Tile, fit: Fit) -> Option<Plan> {
    if tile.wavefront_steps == 0 {
        return None;
    }
    let possible = |plan: &Plan| {
        let mut concurrent = plan
            .ops
            .iter()
            .filter(|op| matches!(op, Op::ConcurrentScans(_)));
        concurrent.all(|op| lower(op, plan, tile, fit).is_ok())
    };
    // As many side by side as the bindings allow.
    (2..=fit.parts_of_kernel())
        .rev()
        .find_map(|most| plan.concurrent(tile.wavefront_steps, most).filter(possible))
}

/// Scans side by side: a kernel for each stage of all of them, then one for each that makes initial states' gradients.
fn side_by_side(op: &ConcurrentScans, plan: &Plan, tile: &Tile, fit: Fit) -> Result<Lowered> {
    let step = Tile {
        loop_steps: 0,
        ..*tile
    };
    if let Some(scan) = op.scans.iter().find(|s| Ranges::of(s, plan, fit).is_some()) {
        return Err(Error::internal(format!(
            "kernel {}: {} binds its rows in ranges",
            op.name, scan.name
        )));
    }
    let scans = op.scans.iter();
    let parts = scans.map(|scan| lower(&Op::Scan(scan.clone()), plan, &step, fit));
    let parts = parts.collect::<Result<Vec<Lowered>>>()?;
    let parameters = |scan: &Scan, t| {
        let stream = scan.streams.first().copied().unwrap_or(0);
        [t, scan.at as u32, stream, 1]
    };
    let with = |stage| { op.scans.iter() }.filter(move |s| stage < s.stages().len());
    let (mut kernels, mut order) = (Vec::new(), Vec::new());
    for stage in 0..op.stages() {
        let sources = { op.scans.iter().zip(&parts) }
            .filter(|(scan, _)| stage < scan.stages().len())
            .map(|(_, lowered)| lowered.kernels[stage].clone());
        let sources: Vec<Source> = sources.collect();
        let label = format!("{}.{stage}", op.name);
        kernels.push(merged(&label, &sources, plan, fit.bindings)?);
    }
    for i in 0..op.steps() {
        for stage in 0..op.stages() {
            let step = |scan: &Scan| match scan.direction {
                _ if i >= scan.range.len() => DispatchParameters::default(),
                Direction::Forward => parameters(scan, (scan.range.start + i) as u32),
                Direction::Backward => parameters(scan, (scan.range.end - 1 - i) as u32),
            };
            order.push((stage, with(stage).map(step).collect()));
        }
    }
    for (scan, lowered) in op.scans.iter().zip(parts) {
        if scan.initial && scan.direction == Direction::Backward {
            order.push((kernels.len(), vec![parameters(scan, u32::MAX)]));
            kernels.extend(lowered.kernels.into_iter().next_back());
        }
    }
    Ok(Lowered {
        parts: (0..kernels.len()).collect(),
        kernels,
        order,
        left_out: None,
    })
}

/// The dispatches of a scan that goes step by step: each of its stages, and last the initial states' gradients.
fn step_order(op: &Scan, at: u32, stream: u32) -> Vec<(usize, Vec<DispatchParameters>)> {
    let stages = op.stages().len();
    let step = |t: usize| (0..stages).map(move |s| (s, vec![[t as u32, at, stream, 1]]));
    match op.direction {
        Direction::Forward => op.range.clone().flat_map(step).collect(),
        Direction::Backward => {
            let last = { op.initial }.then(|| (stages, vec![[u32::MAX, at, stream, 1]]));
            let steps = op.range.clone().rev().flat_map(step);
            steps.chain(last).collect()
        }
    }
}

/// The dispatches of a scan that loops over time.
fn looped_order(
    op: &Scan,
    time: &Loop,
    at: u32,
    stream: u32,
) -> Vec<(usize, Vec<DispatchParameters>)> {
    let range = op.range.clone();
    let firsts = range.clone().step_by(time.steps);
    let parts = firsts.map(|first| (first, time.steps.min(range.end - first)));
    match op.direction {
        Direction::Forward => parts
            .map(|(first, steps)| (0, vec![[first as u32, at, stream, steps as u32]]))
            .collect(),
        Direction::Backward => {
            let last = op.initial.then(|| (1, vec![[u32::MAX, at, stream, 1]]));
            // The last steps first, each dispatch from its own last step on.
            let parts = parts.map(|(first, steps)| {
                let from = range.end - 1 - (first - range.start);
                (0, vec![[from as u32, at, stream, steps as u32]])
            });
            parts.chain(last).collect()
        }
    }
}

/// The kernels of an operation: of each, which of the operation's costs it is a share of, and its part of the dispatch
/// parameters.
type Kernels = (Vec<usize>, Vec<[u32; 2]>, Vec<Source>);

fn kernels(op: &Op, tile: &Tile, windows: &mut Windows, time: Option<&Loop>) -> Result<Kernels> {
    let (mut parts, mut pieces_parameters, mut kernels) = (Vec::new(), Vec::new(), Vec::new());
    for mut piece in split(op, windows.plan(), windows.fit(), tile) {
        let of_piece = piece.dispatch_parameters().map(|n| n as u32);
        for (part, source) in piece_kernels(&mut piece, tile, windows, time)? {
            kernels.push(source);
            pieces_parameters.push(of_piece);
            parts.push(part);
        }
    }
    finish(&mut kernels, windows)?;
    Ok((parts, pieces_parameters, kernels))
}

/// Slots and numbers of their own precision in place of windows and of f32.
fn finish(kernels: &mut [Source], windows: &Windows) -> Result<()> {
    for kernel in kernels {
        windows.resolve(kernel)?;
        half::narrow(kernel, windows.plan())?;
        double::widen(kernel, windows.plan())?;
    }
    Ok(())
}

/// The kernels of an operation of which every matrix fits a binding, or must be cut by the kernel's own means.
fn piece_kernels(
    op: &mut Op,
    tile: &Tile,
    windows: &mut Windows,
    time: Option<&Loop>,
) -> Result<Vec<(usize, Source)>> {
    let (fit, plan) = (windows.fit(), windows.plan());
    if let Op::Norm(op) = op {
        return operation::norm(op, tile, windows);
    }
    if let Op::Scatter(op) = op {
        let (tables, bands) = (fit.bands(plan, &op.into), fit.bands(plan, &op.from));
        if tables.len() * bands.len() > 1 {
            return scattered(op, tile, windows, &tables, &bands);
        }
    }
    // Rows of a table that are too many for one binding: each kernel has some of them.
    let table = op.tables_mut().first().map(|table| **table);
    let bands = table.map_or(Vec::new(), |table| fit.bands(plan, &table));
    if bands.len() > 1 {
        let mut all = Vec::new();
        for (first, count) in bands {
            let mut part = op.clone();
            for table in part.tables_mut() {
                *table = table.band(first, count);
            }
            windows.place(part.matrices_mut(), false);
            all.extend(placed_kernels(&part, tile, windows, time, Some(first))?);
        }
        return Ok(all);
    }
    // The operands of a product have windows of their own, so that equal chunks have equal kernels.
    let join = !matches!(op, Op::MatMul(_));
    windows.place(op.matrices_mut(), join);
    placed_kernels(op, tile, windows, time, None)
}

/// The kernels of an operation whose matrices lie in their windows; with `first`, for the part of its table that starts at
/// this row.
fn placed_kernels(
    op: &Op,
    tile: &Tile,
    windows: &mut Windows,
    time: Option<&Loop>,
    first: Option<usize>,
) -> Result<Vec<(usize, Source)>> {
    let kernels = match op {
        Op::Carry(op) => vec![operation::carry(op, tile, windows)?],
        Op::Zero(op) => vec![operation::zero(op, tile)?],
        Op::Add(op) => vec![operation::add(op, tile)?],
        Op::Gather(op) => vec![operation::gather(op, tile, first)?],
        Op::MatMul(op) => vec![matmul::kernel(op, tile)?],
        Op::Transpose(op) => vec![operation::transpose(op, tile)?],
        Op::Scan(op) => {
            let parts = match time {
                Some(_) if op.stages().len() > 1 => vec![WHOLE, op.stages().len()],
                _ => (0..=op.stages().len()).collect(),
            };
            let kernels = scan::kernels(op, tile, time, None)?;
            return Ok(parts.into_iter().zip(kernels).collect());
        }
        Op::Dropout(op) => vec![operation::dropout(op, tile)?],
        Op::SoftmaxXent(op) => vec![operation::softmax_xent(op, tile)?],
        Op::SoftmaxStats(op) => vec![operation::softmax_stats(op, tile)?],
        Op::SoftmaxGradient(op) => vec![operation::softmax_gradient(op, tile)?],
        Op::ColumnSum(op) => vec![operation::column_sum(op, tile)?],
        Op::Scatter(op) => vec![operation::scatter(op, tile, 0, (0, op.from.rows))?],
        Op::Penalty(op) => vec![operation::penalty(op, tile)?],
        Op::Propagation(op) => vec![operation::propagation(op, tile)?],
        Op::Norm(_) | Op::ConcurrentScans(_) => Vec::new(),
        Op::LossScale(op) => vec![operation::loss_scale(op)?],
        Op::Optimizer(op) => vec![operation::optimizer(op, tile)?],
        Op::LogSoftmax(op) => vec![operation::log_softmax(op, tile)?],
        Op::SampledScores(op) => vec![operation::sampled_scores(op, tile)?],
        Op::SparseUpdate(op) => vec![operation::sparse_update(op, tile, first.unwrap_or(0))?],
    };
    Ok(kernels.into_iter().map(|source| (0, source)).collect())
}

/// Kernels of a scatter whose table, or whose rows, are too many for one binding: each has some of both. Those of later rows
/// add to what those of earlier ones have made.
fn scattered(
    op: &Scatter,
    tile: &Tile,
    windows: &mut Windows,
    tables: &[(usize, usize)],
    bands: &[(usize, usize)],
) -> Result<Vec<(usize, Source)>> {
    let mut kernels = Vec::new();
    for (row, rows) in bands {
        for (first, count) in tables {
            let mut part = Op::Scatter(Scatter {
                from: op.from.band(*row, *rows),
                into: op.into.band(*first, *count),
                accumulate: op.accumulate || *row > 0,
                ..op.clone()
            });
            windows.place(part.matrices_mut(), false);
            if let Op::Scatter(part) = &part {
                let source = operation::scatter(part, tile, *first, (*row, op.from.rows))?;
                kernels.push((0, source));
            }
        }
    }
    Ok(kernels)
}
