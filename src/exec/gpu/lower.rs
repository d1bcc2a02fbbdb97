//! From an operation of the plan to its kernels and the order in which they are dispatched.

use super::abreast::merged;
use super::scan::Loop;
use super::template::{Source, Template, aligned, flat_groups};
use super::tile::{ELEMENT, Tile};
use super::window::{Fit, Windows, pieces};
use super::{double, half, matmul, scan};
use crate::op::dropout::Share;
use crate::op::loss_scale::Phase;
use crate::op::penalty::Form;
use crate::op::{
    Abreast, Add, Carry, ColumnSum, Direction, Dropout, Gather, LogSoftmax, LossScale, Matrix,
    Norm, Op, Optimizer, Penalty, Plan, Propagation, Rule, SampledScores, Scan, Scatter,
    SoftmaxGradient, SoftmaxStats, SoftmaxXent, SparseUpdate, Transpose, Zero,
};
use crate::{Error, Result};

/// What a kernel is told instead of being another one for it: the step, where its operation's piece of the window begins,
/// the first stream of its random numbers, and how many steps it goes through.
pub(super) type Told = [u32; 4];

/// In place of one of an operation's costs: all of them.
pub(super) const WHOLE: usize = usize::MAX;

/// An operation's kernels, and which of them run at which step.
pub(super) struct Lowered {
    /// The kernels.
    pub kernels: Vec<Source>,
    /// For each kernel, which of the operation's costs it is a share of.
    pub parts: Vec<usize>,
    /// Dispatches: a kernel, and what each of its parts is told.
    pub order: Vec<(usize, Vec<Told>)>,
    /// What the tile has and these kernels have not, and why.
    pub left_out: Option<String>,
}

macro_rules! shader {
    ($name:literal) => {
        Template::new(include_str!(concat!("../../../shaders/", $name, ".wgsl")))
    };
}

/// The kernels of an operation, checked against what it says that it reads and writes. Bindings are as `fit` allows, and
/// what is too large for one is shared by several kernels.
pub(super) fn lower(op: &Op, plan: &Plan, tile: &Tile, fit: Fit) -> Result<Lowered> {
    if let Op::Abreast(op) = op {
        return side_by_side(op, plan, tile, fit);
    }
    let time = match op {
        Op::Scan(op) if tile.loop_steps > 0 => {
            Some(scan::time_loop(op, tile, fit.threads, fit.sums))
        }
        _ => None,
    };
    let (time, mut left_out) = match time {
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
    let ((parts, kernels), time) = match looped {
        // What does not bind at once goes step by step, and what does not bind in windows is bound whole.
        None => made(true, None).or_else(|_: Error| made(false, None))?,
        Some(made) => made,
    };
    let [at, stream] = told(op);
    let order = match op {
        Op::Scan(op) if let Some(time) = time => looped_order(op, &time, at, stream),
        Op::Scan(op) => {
            let stages = op.stages().len();
            let step = |t: usize| (0..stages).map(move |s| (s, vec![[t as u32, at, stream, 1]]));
            match op.direction {
                Direction::Forward => op.range.clone().flat_map(step).collect(),
                Direction::Backward => {
                    let steps = op.range.clone().rev().flat_map(step);
                    steps
                        .chain(
                            op.initial
                                .then(|| (stages, vec![[u32::MAX, at, stream, 1]])),
                        )
                        .collect()
                }
            }
        }
        _ => (0..kernels.len())
            .map(|k| (k, vec![[0, at, stream, 1]]))
            .collect(),
    };
    let (reads, writes) = (op.reads(), op.writes());
    for kernel in &kernels {
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
    Ok(Lowered {
        kernels,
        parts,
        order,
        left_out,
    })
}

/// The plan with scans side by side, where the tile has such and kernels for them can be made.
pub(super) fn scheduled(plan: &Plan, tile: &Tile, fit: Fit) -> Option<Plan> {
    if tile.wave_steps == 0 {
        return None;
    }
    let possible = |plan: &Plan| {
        let mut abreast = plan.ops.iter().filter(|op| matches!(op, Op::Abreast(_)));
        abreast.all(|op| lower(op, plan, tile, fit).is_ok())
    };
    // As many side by side as the bindings allow.
    (2..=fit.parts_of_kernel())
        .rev()
        .find_map(|most| plan.abreast(tile.wave_steps, most).filter(possible))
}

/// Scans side by side: a kernel for each stage of all of them, then one for each that makes initial states' gradients.
fn side_by_side(op: &Abreast, plan: &Plan, tile: &Tile, fit: Fit) -> Result<Lowered> {
    let step = Tile {
        loop_steps: 0,
        ..*tile
    };
    let scans = op.scans.iter();
    let parts = scans.map(|scan| lower(&Op::Scan(scan.clone()), plan, &step, fit));
    let parts = parts.collect::<Result<Vec<Lowered>>>()?;
    let told = |scan: &Scan, t| {
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
                _ if i >= scan.range.len() => Told::default(),
                Direction::Forward => told(scan, (scan.range.start + i) as u32),
                Direction::Backward => told(scan, (scan.range.end - 1 - i) as u32),
            };
            order.push((stage, with(stage).map(step).collect()));
        }
    }
    for (scan, lowered) in op.scans.iter().zip(parts) {
        if scan.initial && scan.direction == Direction::Backward {
            order.push((kernels.len(), vec![told(scan, u32::MAX)]));
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

/// The dispatches of a scan that loops over time.
fn looped_order(op: &Scan, time: &Loop, at: u32, stream: u32) -> Vec<(usize, Vec<Told>)> {
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

/// The kernels of an operation, each after which of the operation's costs it is a share of.
fn kernels(
    op: &Op,
    tile: &Tile,
    windows: &mut Windows,
    time: Option<&Loop>,
) -> Result<(Vec<usize>, Vec<Source>)> {
    let (mut parts, mut kernels) = (Vec::new(), Vec::new());
    for mut piece in pieces(op, windows.plan(), windows.fit(), tile) {
        for (part, source) in piece_kernels(&mut piece, tile, windows, time)? {
            kernels.push(source);
            parts.push(part);
        }
    }
    for kernel in &mut kernels {
        windows.resolve(kernel)?;
        half::narrow(kernel, windows.plan())?;
        double::widen(kernel, windows.plan())?;
    }
    Ok((parts, kernels))
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
        return norm(op, tile, windows);
    }
    // Rows of a table that are too many for one binding: each kernel has some of them.
    let bands = match op {
        Op::Gather(op) => fit.bands(plan, &op.table),
        Op::Scatter(op) => fit.bands(plan, &op.into),
        Op::SparseUpdate(op) => fit.bands(plan, &op.update.parameters),
        _ => Vec::new(),
    };
    if bands.len() > 1 {
        let band = |(first, count): &(usize, usize)| {
            let mut part = op.clone();
            match &mut part {
                Op::Gather(op) => op.table = op.table.band(*first, *count),
                Op::Scatter(op) => op.into = op.into.band(*first, *count),
                Op::SparseUpdate(op) => {
                    let update = &mut op.update;
                    for table in [&mut update.parameters]
                        .into_iter()
                        .chain(&mut update.arenas)
                    {
                        *table = table.band(*first, *count);
                    }
                }
                _ => {}
            }
            windows.place(part.matrices_mut(), false);
            let source = match &part {
                Op::Gather(op) => gather(op, tile, Some(*first))?,
                Op::Scatter(op) => scatter(op, tile, *first)?,
                Op::SparseUpdate(op) => sparse_update(op, tile, *first)?,
                _ => return Err(Error::internal("no operation on a table")),
            };
            Ok((0, source))
        };
        return bands.iter().map(band).collect();
    }
    // The operands of a product have windows of their own, so that equal chunks have equal kernels.
    let join = !matches!(op, Op::MatMul(_));
    windows.place(op.matrices_mut(), join);
    let kernels = match op {
        Op::Carry(op) => vec![carry(op, tile)?],
        Op::Zero(op) => vec![zero(op, tile)?],
        Op::Add(op) => vec![add(op, tile)?],
        Op::Gather(op) => vec![gather(op, tile, None)?],
        Op::MatMul(op) => vec![matmul::kernel(op, tile)?],
        Op::Transpose(op) => vec![transpose(op, tile)?],
        Op::Scan(op) => {
            let parts = match time {
                Some(_) if op.stages().len() > 1 => vec![WHOLE, op.stages().len()],
                _ => (0..=op.stages().len()).collect(),
            };
            let kernels = scan::kernels(op, tile, time)?;
            return Ok(parts.into_iter().zip(kernels).collect());
        }
        Op::Dropout(op) => vec![dropout(op, tile)?],
        Op::SoftmaxXent(op) => vec![softmax_xent(op, tile)?],
        Op::SoftmaxStats(op) => vec![softmax_stats(op, tile)?],
        Op::SoftmaxGradient(op) => vec![softmax_gradient(op, tile)?],
        Op::ColumnSum(op) => vec![column_sum(op, tile)?],
        Op::Scatter(op) => vec![scatter(op, tile, 0)?],
        Op::Penalty(op) => vec![penalty(op, tile)?],
        Op::Propagation(op) => vec![propagation(op, tile)?],
        Op::Norm(_) | Op::Abreast(_) => Vec::new(),
        Op::LossScale(op) => vec![loss_scale(op)?],
        Op::Optimizer(op) => vec![optimizer(op, tile)?],
        Op::LogSoftmax(op) => vec![log_softmax(op, tile)?],
        Op::SampledScores(op) => vec![sampled_scores(op, tile)?],
        Op::SparseUpdate(op) => vec![sparse_update(op, tile, 0)?],
    };
    Ok(kernels.into_iter().map(|source| (0, source)).collect())
}

/// Where an operation's piece of the window begins, and its first stream.
fn told(op: &Op) -> [u32; 2] {
    let at = match op {
        Op::Gather(op) => op.at,
        Op::Scan(op) => op.at,
        Op::Dropout(op) => op.at,
        Op::SoftmaxXent(op) => op.at,
        Op::Scatter(op) => op.at,
        Op::Penalty(op) => op.at,
        Op::Propagation(op) => op.at,
        _ => 0,
    };
    let stream = match op {
        Op::Scan(op) => op.streams.first().copied().unwrap_or(0),
        Op::Dropout(op) => op.stream,
        _ => 0,
    };
    [at as u32, stream]
}

/// Whether all of these can be taken four elements at a time, and the matrices in units of that.
fn fours<const N: usize>(tile: &Tile, matrices: [Matrix; N]) -> (&'static str, [Matrix; N]) {
    let whole = |m: &Matrix| aligned(m) && m.cols.is_multiple_of(ELEMENT);
    if tile.vector && matrices.iter().all(whole) {
        let quarter = |m: Matrix| Matrix {
            offset: m.offset / ELEMENT,
            cols: m.cols / ELEMENT,
            stride: m.stride / ELEMENT,
            ..m
        };
        ("vec4<f32>", matrices.map(quarter))
    } else {
        ("f32", matrices)
    }
}

fn flat(template: Template, tile: &Tile, name: &str, threads: usize) -> Result<Source> {
    let groups = flat_groups(threads, tile.flat);
    template.size("GROUP", tile.flat).build(name, groups)
}

fn carry(op: &Carry, tile: &Tile) -> Result<Source> {
    let start = op.start.map(|m| fours(tile, [m]));
    let whole = start.is_none_or(|(v, _)| v != "f32");
    let vector = tile.vector && op.width.is_multiple_of(ELEMENT) && whole;
    let (v, element) = if vector {
        ("vec4<f32>", ELEMENT)
    } else {
        ("f32", 1)
    };
    let width = op.width / element;
    let mut template = shader!("carry")
        .flag("START", op.start.is_some())
        .text("V", v)
        .size("STATES", op.states)
        .size("WIDTH", width)
        .size("PLANE", op.last / element + width)
        .size("LAST", op.last / element)
        .buffer("control", op.control)
        .buffer("state", op.state);
    if let (Some(m), Some((_, [quarter]))) = (op.start, start) {
        template = template.matrix("start", if vector { &quarter } else { &m });
    }
    flat(template, tile, &op.name, op.states * width)
}

fn zero(op: &Zero, tile: &Tile) -> Result<Source> {
    let (v, [to]) = fours(tile, [op.to]);
    let template = shader!("zero").text("V", v).matrix("to", &to);
    flat(template, tile, &op.name, to.rows * to.cols)
}

fn add(op: &Add, tile: &Tile) -> Result<Source> {
    let (v, [from, to]) = fours(tile, [op.from, op.to]);
    let template = shader!("add")
        .text("V", v)
        .flag("ACCUMULATE", op.accumulate)
        .flag("FLIP", op.flip.is_some())
        .size("BATCH", op.flip.unwrap_or(1))
        .matrix("from", &from)
        .matrix("to", &to);
    flat(template, tile, &op.name, to.rows * to.cols)
}

/// With `first`, for a part of the table that starts at this row: the rows of other tokens are left to other kernels.
fn gather(op: &Gather, tile: &Tile, first: Option<usize>) -> Result<Source> {
    let (v, [table, out]) = fours(tile, [op.table, op.out]);
    let template = shader!("gather")
        .text("V", v)
        .flag("RANGED", first.is_some())
        .size("FIRST", first.unwrap_or(0))
        .buffer("ids", op.ids)
        .matrix("table", &table)
        .matrix("out", &out);
    flat(template, tile, &op.name, out.rows * out.cols)
}

/// For the part of the table that starts at row `first`.
fn scatter(op: &Scatter, tile: &Tile, first: usize) -> Result<Source> {
    let (v, [from, into]) = fours(tile, [op.from, op.into]);
    let template = shader!("scatter")
        .text("V", v)
        .size("FIRST", first)
        .flag("ACCUMULATE", op.accumulate)
        .buffer("index", op.index)
        // The index lists only rows that count.
        .matrix("from", &Matrix { live: None, ..from })
        .matrix("into", &into);
    flat(template, tile, &op.name, into.rows * into.cols)
}

fn transpose(op: &Transpose, tile: &Tile) -> Result<Source> {
    let template = shader!("transpose")
        .matrix("from", &op.from)
        .matrix("to", &op.to);
    flat(template, tile, &op.name, op.to.rows * op.to.cols)
}

fn column_sum(op: &ColumnSum, tile: &Tile) -> Result<Source> {
    let lanes = tile.lanes_for(op.from.rows);
    let (v, [from, into]) = fours(tile, [op.from, op.into]);
    let group = if lanes > 1 { 8 * lanes } else { tile.group };
    let across = group / lanes;
    let mut template = shader!("column_sum")
        .text("V", v)
        .size("GROUP", group)
        .size("LANES", lanes)
        .size("ACROSS", across)
        .flag("SHARED", lanes > 1)
        .flag("ACCUMULATE", op.accumulate)
        .flag("RESET_ONLY", op.reset_only.is_some())
        .matrix("from", &from)
        .matrix("into", &into);
    if let Some(control) = op.reset_only {
        template = template.buffer("control", control);
    }
    template.build(&op.name, [from.cols.div_ceil(across) as u32, 1, 1])
}

fn dropout(op: &Dropout, tile: &Tile) -> Result<Source> {
    const RUN: usize = 8;
    let batch = match op.share {
        Share::Steps { batch } => batch,
        _ => 0,
    };
    let mut template = shader!("dropout")
        .size("RUN", RUN)
        .size("BATCH", batch)
        .flag("TOKEN", matches!(op.share, Share::Token { .. }))
        .size("THRESHOLD", op.threshold() as usize)
        .number("SCALE", 1.0 / (1.0 - op.rate))
        .buffer("control", op.control)
        .matrix("from", &op.from)
        .matrix("to", &op.to);
    if let Share::Token { ids } = op.share {
        template = template.buffer("ids", ids);
    }
    let elements = op.from.rows * op.from.cols;
    flat(template, tile, &op.name, elements.div_ceil(RUN))
}

fn softmax_xent(op: &SoftmaxXent, tile: &Tile) -> Result<Source> {
    let lanes = tile.lanes_for(op.logits.cols);
    let mut template = shader!("softmax_xent")
        .size("LANES", lanes)
        .size("GROUP", tile.flat)
        .size("FIRST", op.first)
        .flag("SHARED", lanes > 1)
        .flag("GRADIENT", op.gradient)
        .flag("COUNTED", op.logits.live.is_some())
        .size("MOST", op.logits.rows)
        .number("LOWEST", crate::op::softmax_xent::LOWEST)
        .flag("WEIGHTED", op.weights.is_some())
        .matrix("logits", &op.logits)
        .matrix("losses", &op.losses)
        .buffer("ids", op.ids)
        .buffer("hyper", op.hyper);
    if let Some(weights) = op.weights {
        template = template.buffer("weights", weights);
    }
    template.build(&op.name, flat_groups(op.logits.rows * lanes, tile.flat))
}

fn softmax_stats(op: &SoftmaxStats, tile: &Tile) -> Result<Source> {
    let lanes = tile.lanes_for(op.logits.cols);
    let mut template = shader!("softmax_stats")
        .size("LANES", lanes)
        .size("GROUP", tile.flat)
        .size("FIRST", op.first)
        .size("FROM", op.from)
        .flag("SHARED", lanes > 1)
        .flag("LAST", op.losses.is_some())
        .flag("COUNTED", op.logits.live.is_some() && op.losses.is_some())
        .size("MOST", op.logits.rows)
        .flag("WEIGHTED", op.weights.is_some())
        .matrix("logits", &op.logits)
        .matrix("stats", &op.stats)
        .buffer("ids", op.ids);
    if let Some(losses) = &op.losses {
        template = template.matrix("losses", losses);
    }
    if let Some(weights) = &op.weights {
        template = template.matrix("weights", weights);
    }
    template.build(&op.name, flat_groups(op.logits.rows * lanes, tile.flat))
}

fn softmax_gradient(op: &SoftmaxGradient, tile: &Tile) -> Result<Source> {
    let mut template = shader!("softmax_gradient")
        .size("FIRST", op.first)
        .size("FROM", op.from)
        .number("LOWEST", crate::op::softmax_xent::LOWEST)
        .flag("WEIGHTED", op.weights.is_some())
        .matrix("logits", &op.logits)
        .matrix("stats", &op.stats)
        .buffer("ids", op.ids)
        .buffer("hyper", op.hyper);
    if let Some(weights) = &op.weights {
        template = template.matrix("weights", weights);
    }
    flat(template, tile, &op.name, op.logits.rows * op.logits.cols)
}

fn log_softmax(op: &LogSoftmax, tile: &Tile) -> Result<Source> {
    let lanes = tile.lanes_for(op.from.cols);
    let mut template = shader!("log_softmax")
        .size("LANES", lanes)
        .size("GROUP", tile.flat)
        .flag("SHARED", lanes > 1)
        .flag("ADDED", op.add.is_some())
        .matrix("logits", &op.from)
        .matrix("to", &op.to);
    if let Some(add) = &op.add {
        template = template.matrix("add", add);
    }
    template.build(&op.name, flat_groups(op.from.rows * lanes, tile.flat))
}

fn sampled_scores(op: &SampledScores, tile: &Tile) -> Result<Source> {
    let template = shader!("sampled_scores")
        .size("SAMPLES", op.samples)
        .number("NOTHING", SampledScores::NOTHING)
        .matrix("scores", &op.scores)
        .buffer("corrections", op.corrections)
        .buffer("targets", op.targets);
    flat(template, tile, &op.name, op.scores.rows * op.scores.cols)
}

/// For the part of the table that starts at row `first`.
fn sparse_update(op: &SparseUpdate, tile: &Tile, first: usize) -> Result<Source> {
    let template = shader!("sparse_update")
        .size("FIRST", first)
        .buffer("ids", op.ids);
    let (template, gradients) = rules(template, &op.update, tile);
    flat(template, tile, &op.name, gradients.rows * gradients.cols)
}

fn penalty(op: &Penalty, tile: &Tile) -> Result<Source> {
    let lanes = tile.lanes_for(op.from.cols);
    let mut template = shader!("penalty")
        .flag("SCALED", op.scaled.is_some())
        .size("LANES", lanes)
        .size("GROUP", tile.flat)
        .size("BATCH", op.batch)
        .number("FACTOR", op.factor())
        .flag("SHARED", lanes > 1)
        .flag("TEMPORAL", op.form == Form::Temporal)
        .flag("NORM", op.form == Form::Norm)
        .flag("COUNTED", op.from.live.is_some())
        .size("MOST", op.from.rows)
        .matrix("from", &op.from)
        .matrix("grad", &op.grad)
        .matrix("losses", &op.losses);
    if let Some(hyper) = op.scaled {
        template = template.buffer("hyper", hyper);
    }
    template.build(&op.name, flat_groups(op.from.rows * lanes, tile.flat))
}

fn propagation(op: &Propagation, tile: &Tile) -> Result<Source> {
    let lanes = tile.lanes_for(op.sent.cols);
    shader!("propagation")
        .size("LANES", lanes)
        .size("GROUP", tile.flat)
        .size("BATCH", op.batch)
        .number("FACTOR", op.factor())
        .flag("SHARED", lanes > 1)
        .matrix("upstream", &op.upstream)
        .matrix("sent", &op.sent)
        .matrix("pull", &op.pull)
        .matrix("losses", &op.losses)
        .build(&op.name, flat_groups(op.sent.rows * lanes, tile.flat))
}

fn norm(op: &Norm, tile: &Tile, windows: &mut Windows) -> Result<Vec<(usize, Source)>> {
    let base = || {
        shader!("norm")
            .size("GROUP", tile.flat)
            .size("CHUNK", Norm::CHUNK)
            .buffer("partials", op.partials)
            .buffer("report", op.report)
    };
    let losses = Norm::chunks(op.losses.cols);
    let penalties = op.penalties.map_or(0, |p| Norm::chunks(p.cols));
    let mut first = 0;
    let mut kernels = Vec::new();
    let mut part = 0;
    for (values, square) in op.sums() {
        let what = match (part, square) {
            (0, _) => "losses",
            (_, true) => "gradients",
            (_, false) => "penalties",
        };
        for (from, count) in windows.fit().parts(windows.plan(), &values, Norm::CHUNK) {
            let mut values = values.columns(from, count);
            windows.place(vec![&mut values], false);
            let chunks = Norm::chunks(count);
            let source = base()
                .flag("FINAL", false)
                .flag("SQUARE", square)
                .size("FIRST", first + from / Norm::CHUNK)
                .size("CHUNKS", chunks)
                .matrix("values", &values)
                .build(format!("{}.{what}", op.name), flat_groups(chunks, 1))?;
            kernels.push((part, source));
        }
        first += Norm::chunks(values.cols);
        part += 1;
    }
    let mut last = base()
        .flag("FINAL", true)
        .flag("SCALED", op.scaled.is_some())
        .number("BEYOND", LossScale::BEYOND)
        .size("PENALTY_CHUNKS", penalties)
        .size("LOSS_CHUNKS", losses)
        .size("GRADIENT_CHUNKS", first - losses - penalties);
    if let Some(hyper) = op.scaled {
        last = last.buffer("hyper", hyper);
    }
    kernels.push((part, last.build(format!("{}.report", op.name), [1, 1, 1])?));
    Ok(kernels)
}

fn loss_scale(op: &LossScale) -> Result<Source> {
    let [beta1, beta2] = op.betas;
    shader!("loss_scale")
        .flag("BEGIN", op.phase == Phase::Begin)
        .number("START", LossScale::START)
        .number("PERIOD", LossScale::PERIOD)
        .number("MOST", LossScale::MOST)
        .number("BEYOND", LossScale::BEYOND)
        .number("BETA1", beta1)
        .number("BETA2", beta2)
        .number("REST1", 1.0 - beta1)
        .number("REST2", 1.0 - beta2)
        .buffer("hyper", op.hyper)
        .buffer("scaling", op.scaling)
        .buffer("report", op.report)
        .build(&op.name, [1, 1, 1])
}

fn optimizer(op: &Optimizer, tile: &Tile) -> Result<Source> {
    let (template, gradients) = rules(shader!("optimizer"), op, tile);
    let count = gradients.rows * gradients.cols;
    flat(template.size("COUNT", count), tile, &op.name, count)
}

/// A template with what the rules of `op` need, and the gradients in the units in which it takes them.
fn rules(template: Template, op: &Optimizer, tile: &Tile) -> (Template, Matrix) {
    let mut all = vec![op.parameters, op.gradients];
    all.extend(&op.arenas);
    let whole = |m: &Matrix| fours(tile, [*m]).0 != "f32";
    let vector = all.iter().all(whole);
    let place = |m: &Matrix| if vector { fours(tile, [*m]).1[0] } else { *m };
    let gradients = place(&op.gradients);
    let mut template = template
        .text("V", if vector { "vec4<f32>" } else { "f32" })
        .flag("ARENAS", !op.arenas.is_empty())
        .flag("SECOND", op.arenas.len() > 1)
        .flag("SCALED", op.scaled)
        .flag("CLIP_VALUES", op.clip_value > 0.0)
        .flag("CLIP_NORMS", op.clip_norm > 0.0)
        .number("CLIP_VALUE", op.clip_value)
        .number("CLIP_NORM", op.clip_norm)
        .buffer("hyper", op.hyper)
        .buffer("report", op.report)
        .matrix("parameters", &place(&op.parameters))
        .matrix("gradients", &gradients);
    for (name, arena) in ["first", "second"].iter().zip(&op.arenas) {
        template = template.matrix(name, &place(arena));
    }
    let (kind, decay, numbers): (&str, f64, Vec<(&str, f64)>) = match op.rule {
        Rule::Sgd {
            momentum,
            weight_decay,
            ..
        } => ("SGD", weight_decay, vec![("MOMENTUM", momentum)]),
        Rule::Adagrad { eps, weight_decay } => ("ADAGRAD", weight_decay, vec![("EPS", eps)]),
        Rule::RmsProp {
            alpha,
            eps,
            momentum,
            weight_decay,
        } => {
            let means = [("ALPHA", alpha), ("REST", 1.0 - alpha)];
            let numbers = [("EPS", eps), ("MOMENTUM", momentum)];
            (
                "RMSPROP",
                weight_decay,
                means.into_iter().chain(numbers).collect(),
            )
        }
        Rule::Adam {
            beta1,
            beta2,
            eps,
            weight_decay,
            ..
        } => {
            let betas = [("BETA1", beta1), ("BETA2", beta2), ("EPS", eps)];
            let rests = [("REST1", 1.0 - beta1), ("REST2", 1.0 - beta2)];
            let numbers = betas.into_iter().chain(rests).collect();
            ("ADAM", weight_decay, numbers)
        }
    };
    for rule in ["SGD", "ADAGRAD", "RMSPROP", "ADAM"] {
        template = template.flag(rule, rule == kind);
    }
    let momentum = numbers.iter().any(|n| n.0 == "MOMENTUM" && n.1 != 0.0);
    for (name, value) in numbers {
        template = template.number(name, value);
    }
    let nesterov = matches!(op.rule, Rule::Sgd { nesterov: true, .. });
    let decoupled = matches!(
        op.rule,
        Rule::Adam {
            decoupled: true,
            ..
        }
    );
    let template = template
        .number("WEIGHT_DECAY", decay)
        .flag("DECAY", decay != 0.0)
        .flag("DECOUPLED", decoupled)
        .flag("NESTEROV", nesterov)
        .flag("MOMENTUMS", momentum);
    (template, gradients)
}
