//! From an operation of the plan to its kernels and the order in which they are dispatched.

use super::binding_range::{BindingLimits, BindingRanges, SplitLimits};
use super::concurrent::merged;
use super::kernel::{DispatchParameters, KernelSource};
use super::operation::shader;
use super::ranges::Ranges;
use super::scan::Span;
use super::template::Template;
use super::tile::Tile;
use super::{attend, matmul, operation, rows, scan};
use crate::op::{
    ConcurrentScans, Direction, Exchange, FlatKernel, Matrix, Op, Operation, Plan, Scan, Scatter,
    Together,
};
use crate::{Error, Result};

/// In place of one of an operation's costs: all of them.
pub(super) const WHOLE: usize = usize::MAX;
/// In place of one of them: none.
pub(super) const FILL: usize = usize::MAX - 1;

/// An operation's kernels, and which of them run at which step.
pub(super) struct Lowered {
    /// The kernels.
    pub kernels: Vec<KernelSource>,
    /// For each kernel, which of the operation's costs it is a share of.
    pub parts: Vec<usize>,
    /// Dispatches: a kernel, and the parameters of each of its parts.
    pub order: Vec<(usize, Vec<DispatchParameters>)>,
    /// What the tile has and these kernels have not, and why.
    pub left_out: Option<String>,
    /// Whether a dispatch goes through as many steps as its parameters say.
    pub spans: bool,
}

impl Lowered {
    /// The first of the steps of an operation that a dispatch goes through.
    pub fn first_step(&self, op: &Op, [step, _, _, steps]: DispatchParameters) -> u32 {
        let backward = |scan: &Scan| scan.direction == Direction::Backward;
        if self.spans && op.scans().iter().any(backward) {
            step.wrapping_sub(steps - 1)
        } else {
            step
        }
    }
}

/// A kernel that spans workgroups, and what they exchange.
type Spanning<'a> = (&'a Span, Exchange);

/// The kernels of an operation, checked against what it says that it reads and writes. Bindings are as `fit` allows, and
/// what is too large for one is shared by several kernels.
pub(super) fn lower(op: &Op, plan: &Plan, tile: &Tile, fit: BindingLimits) -> Result<Lowered> {
    match op {
        Op::ConcurrentScans(op) => return side_by_side(op, plan, tile, fit),
        Op::Together(op) => return in_one_dispatch(op, plan, tile, fit),
        _ => {}
    }
    if let Op::Scan(scan) = op
        && let Some(ranges) = Ranges::of(scan, plan, fit)
    {
        let made = |small| in_ranges(scan, &ranges, tile, BindingRanges::new(plan, fit, small));
        // What does not even bind in ranges is bound whole, and refused.
        if let Ok(lowered) = made(true).or_else(|_: Error| made(false)) {
            declared(op, plan, &lowered.kernels)?;
            return Ok(lowered);
        }
    }
    let scans = op.scans().iter().filter(|_| tile.span > 0);
    let mut spans = scans.map(|scan| {
        let span = scan::span(scan, plan, tile, fit)?;
        let exchange = plan.io.exchange;
        let exchange = exchange.ok_or("a run that fails could not be repeated")?;
        Ok((span, exchange))
    });
    let (span, mut left_out) = match spans.next() {
        Some(Ok(span)) => (Some(span), None),
        Some(Err::<_, String>(why)) => (None, Some(why)),
        None => (None, None),
    };
    let spanning = span.as_ref().map(|(span, exchange)| (span, *exchange));
    let binds = |drafts: &Drafts<'_>| drafts.kernels.iter().all(|k| k.binds.len() <= fit.bindings);
    let spanned = match spanning.map(|_| drafted(op, tile, plan, fit, spanning)) {
        Some(Ok(drafts)) if binds(&drafts) => Some(drafts),
        Some(Ok(_)) => {
            left_out = Some("its stages together have too many bindings".into());
            None
        }
        Some(Err(why)) => {
            left_out = Some(why.message);
            None
        }
        None => None,
    };
    let left_out = left_out.map(|why| format!("no kernel spans workgroups: {why}"));
    let (drafts, span) = match spanned {
        // What does not bind at once goes step by step.
        None => (drafted(op, tile, plan, fit, None)?, None),
        Some(drafts) => (drafts, span),
    };
    let [at, stream] = op.dispatch_parameters().map(|n| n as u32);
    let order = match (op.scans().first(), &span) {
        (Some(scan), Some((span, _))) => spanned_order(scan, span.steps, at, stream),
        (Some(scan), None) => step_order(scan, at, stream),
        (None, _) => {
            let pieces = drafts.parameters.into_iter().enumerate();
            let dispatch = |(k, [at, stream]): (usize, [u32; 2])| (k, vec![[0, at, stream, 1]]);
            pieces.map(dispatch).collect()
        }
    };
    Ok(Lowered {
        kernels: drafts.kernels,
        parts: drafts.parts,
        order,
        left_out,
        spans: span.is_some(),
    })
}

/// Kernels bind nothing but what their operation says that it reads and writes, and the exchange of those that span workgroups.
fn declared(op: &Op, plan: &Plan, kernels: &[KernelSource]) -> Result<()> {
    let (reads, writes) = (op.reads(), op.writes());
    for kernel in kernels {
        let exchanged = |slot| {
            plan.io
                .exchange
                .is_some_and(|e| [e.words, e.flag].contains(&slot))
        };
        for bind in kernel.binds.iter().filter(|bind| !exchanged(bind.slot)) {
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
    Ok(())
}

/// A scan whose kernels bind ranges of rows.
fn in_ranges(
    scan: &Scan,
    ranges: &Ranges,
    tile: &Tile,
    mut bindings: BindingRanges,
) -> Result<Lowered> {
    let (mut templates, mut parts) = (Vec::new(), Vec::new());
    let firsts = ranges.firsts(scan);
    for first in &firsts {
        let mut range = scan.clone();
        range.initial &= *first == 0;
        let bound = ranges.bind(&mut range, *first, &mut bindings);
        let mut op = Op::Scan(range);
        bindings.place(op.matrices_mut(), true);
        if let Op::Scan(range) = &op {
            let of = scan::kernels(range, tile, None, Some(&bound), bindings.plan())?;
            parts.extend(0..of.len());
            templates.extend(of);
        }
    }
    let kernels = built(&templates, &bindings)?;
    let [at, stream] = Operation::dispatch_parameters(scan).map(|n| n as u32);
    let why =
        "no kernel spans workgroups: a slot with the rows of all steps is more than a binding";
    Ok(Lowered {
        parts,
        order: ranges.order(scan, &firsts, at, stream),
        kernels,
        left_out: (tile.span > 0).then(|| why.into()),
        spans: false,
    })
}

/// Operations that need nothing of one another, each of one kernel, in one dispatch; of a norm without its report all kernels.
pub(super) fn in_one_dispatch(
    op: &Together,
    plan: &Plan,
    tile: &Tile,
    fit: BindingLimits,
) -> Result<Lowered> {
    let whole = BindingLimits { whole: true, ..fit };
    let mut all = Vec::new();
    for op in &op.ops {
        let drafts = drafts(op, tile, plan, whole, None, false)?;
        let kernels = drafts.templates.len();
        if kernels != 1 && !matches!(op, Op::Norm(_)) {
            return Err(Error::internal(format!(
                "{}: {kernels} kernels, expected one",
                op.name()
            )));
        }
        declared(op, plan, &drafts.kernels)?;
        all.push(drafts);
    }
    let parts = all.iter().flat_map(|drafts| {
        let templates = drafts.templates.iter();
        templates.map(|template| (template, &drafts.bindings))
    });
    let parts: Vec<(&Template, &BindingRanges)> = parts.collect();
    let kernel = merged(&op.name, &parts, plan, fit)?;
    let parameters = all.iter().flat_map(|drafts| &drafts.parameters);
    let parameters = parameters.map(|[at, stream]| [0, *at, *stream, 1]);
    Ok(Lowered {
        kernels: vec![kernel],
        parts: vec![0],
        order: vec![(0, parameters.collect())],
        left_out: None,
        spans: false,
    })
}

/// Scans side by side: a kernel for each stage of all of them, then one for each that makes initial states' gradients.
fn side_by_side(
    op: &ConcurrentScans,
    plan: &Plan,
    tile: &Tile,
    fit: BindingLimits,
) -> Result<Lowered> {
    if let Some(scan) = op.scans.iter().find(|s| Ranges::of(s, plan, fit).is_some()) {
        return Err(Error::internal(format!(
            "kernel {}: {} binds its rows in ranges",
            op.name, scan.name
        )));
    }
    let scans = op.scans.iter();
    let drafts = scans.map(|scan| drafted(&Op::Scan(scan.clone()), tile, plan, fit, None));
    let drafts = drafts.collect::<Result<Vec<Drafts>>>()?;
    let parameters = |scan: &Scan, t| {
        let stream = scan.streams.first().copied().unwrap_or(0);
        [t, scan.at as u32, stream, 1]
    };
    let with = |stage| op.scans.iter().filter(move |s| stage < s.stages().len());
    let (mut kernels, mut order) = (Vec::new(), Vec::new());
    for stage in 0..op.stages() {
        let scans = op.scans.iter().zip(&drafts);
        let scans = scans.filter(|(scan, _)| stage < scan.stages().len());
        let parts = scans.map(|(_, drafts)| (&drafts.templates[stage], &drafts.bindings));
        let parts: Vec<(&Template, &BindingRanges)> = parts.collect();
        let label = format!("{}.{stage}", op.name);
        kernels.push(merged(&label, &parts, plan, fit)?);
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
    for (scan, drafts) in op.scans.iter().zip(drafts) {
        if scan.initial && scan.direction == Direction::Backward {
            order.push((kernels.len(), vec![parameters(scan, u32::MAX)]));
            kernels.extend(drafts.kernels.into_iter().next_back());
        }
    }
    Ok(Lowered {
        parts: (0..kernels.len()).collect(),
        kernels,
        order,
        left_out: None,
        spans: false,
    })
}

/// The dispatches of a scan that goes step by step: each of its stages, and last the initial states' gradients.
fn step_order(op: &Scan, at: u32, stream: u32) -> Vec<(usize, Vec<DispatchParameters>)> {
    let stages = op.step_parts().len();
    let step = |t: usize| (0..stages).map(move |s| (s, vec![[t as u32, at, stream, 1]]));
    match op.direction {
        Direction::Forward => op.range.clone().flat_map(step).collect(),
        Direction::Backward => {
            let last = op
                .initial
                .then(|| (stages, vec![[u32::MAX, at, stream, 1]]));
            let steps = op.range.clone().rev().flat_map(step);
            steps.chain(last).collect()
        }
    }
}

/// The dispatches of a scan whose kernel spans workgroups: each fills the exchange, then goes through some steps.
fn spanned_order(
    op: &Scan,
    most: usize,
    at: u32,
    stream: u32,
) -> Vec<(usize, Vec<DispatchParameters>)> {
    let range = op.range.clone();
    let firsts = range.clone().step_by(most);
    let parts = firsts.map(|first| (first - range.start, most.min(range.end - first)));
    let last = op.initial.then(|| (2, vec![[u32::MAX, at, stream, 1]]));
    let parts = parts.flat_map(|(done, steps)| {
        // The last steps first in a backward scan, each dispatch from its own last step on.
        let from = match op.direction {
            Direction::Forward => range.start + done,
            Direction::Backward => range.end - 1 - done,
        };
        [0, 1].map(|kernel| (kernel, vec![[from as u32, at, stream, steps as u32]]))
    });
    let last = last.filter(|_| op.direction == Direction::Backward);
    parts.chain(last).collect()
}

/// The kernels of an operation, and the templates that they are made of.
struct Drafts<'a> {
    /// For each kernel, which of the operation's costs it is a share of.
    parts: Vec<usize>,
    /// For each kernel, its part of the dispatch parameters.
    parameters: Vec<[u32; 2]>,
    templates: Vec<Template>,
    bindings: BindingRanges<'a>,
    kernels: Vec<KernelSource>,
}

/// The kernels of an operation, checked against what it says that it reads and writes. What does not bind in ranges is bound
/// whole, but for a kernel that spans workgroups.
fn drafted<'a>(
    op: &Op,
    tile: &Tile,
    plan: &'a Plan,
    fit: BindingLimits,
    spanning: Option<Spanning<'_>>,
) -> Result<Drafts<'a>> {
    let made = |small| drafts(op, tile, plan, fit, spanning, small);
    let drafts = made(true).or_else(|fault: Error| match spanning {
        Some(_) => Err(fault),
        None => made(false),
    })?;
    declared(op, plan, &drafts.kernels)?;
    Ok(drafts)
}

/// The same, unchecked; with `small`, slots that could be bound whole are bound in ranges as well.
fn drafts<'a>(
    op: &Op,
    tile: &Tile,
    plan: &'a Plan,
    fit: BindingLimits,
    spanning: Option<Spanning<'_>>,
    small: bool,
) -> Result<Drafts<'a>> {
    let mut bindings = BindingRanges::new(plan, fit, small);
    let (mut parts, mut parameters, mut templates) = (Vec::new(), Vec::new(), Vec::new());
    for mut piece in op.split(&SplitLimits {
        plan,
        fit,
        deepest: tile.deepest(),
    }) {
        let of_piece = piece.dispatch_parameters().map(|n| n as u32);
        for (part, template) in piece_kernels(&mut piece, tile, &mut bindings, spanning)? {
            templates.push(template);
            parameters.push(of_piece);
            parts.push(part);
        }
    }
    Ok(Drafts {
        kernels: built(&templates, &bindings)?,
        parts,
        parameters,
        templates,
        bindings,
    })
}

fn built(templates: &[Template], bindings: &BindingRanges) -> Result<Vec<KernelSource>> {
    let kernels = templates.iter().map(|template| template.build(bindings));
    kernels.collect()
}

/// The kernels of an operation of which every matrix fits a binding, or must be cut by the kernel's own means.
fn piece_kernels(
    op: &mut Op,
    tile: &Tile,
    bindings: &mut BindingRanges,
    spanning: Option<Spanning<'_>>,
) -> Result<Vec<(usize, Template)>> {
    let (fit, plan) = (bindings.fit(), bindings.plan());
    if let Op::Norm(op) = op {
        return Ok(operation::norm(op, tile, bindings));
    }
    if let Op::Scatter(op) = op {
        let (tables, bands) = (fit.bands(plan, &op.into), fit.bands(plan, &op.from));
        if tables.len() * bands.len() > 1 {
            return Ok(scattered(op, tile, bindings, &tables, &bands));
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
            bindings.place(part.matrices_mut(), false);
            all.extend(placed_kernels(
                &part,
                tile,
                bindings,
                spanning,
                Some(first),
            )?);
        }
        return Ok(all);
    }
    // The operands of a product have ranges of their own, so that equal chunks have equal kernels.
    let join = !matches!(op, Op::MatMul(_) | Op::ProductParts(_));
    bindings.place(op.matrices_mut(), join);
    placed_kernels(op, tile, bindings, spanning, None)
}

/// The kernels of an operation whose matrices lie in their binding ranges; with `first`, for the part of its table that starts at
/// this row.
fn placed_kernels(
    op: &Op,
    tile: &Tile,
    bindings: &mut BindingRanges,
    spanning: Option<Spanning<'_>>,
    first: Option<usize>,
) -> Result<Vec<(usize, Template)>> {
    let plain = |template: Template, name: &str, kernel: &FlatKernel| {
        vec![operation::plain(template, name, kernel, tile)]
    };
    let kernels = match op {
        Op::Carry(op) => vec![operation::carry(op, tile, bindings)],
        Op::Zero(op) => plain(shader!("zero"), &op.name, &op.kernel()),
        Op::Steps(op) => plain(shader!("steps"), &op.name, &op.kernel()),
        Op::Retina(op) => plain(shader!("retina"), &op.name, &op.kernel()),
        Op::Filters(op) => vec![operation::filters(op, tile)],
        Op::BatchMatMul(op) => vec![operation::batch_matmul(op, tile)],
        Op::Attend(op) => vec![attend::kernel(op, tile, None)],
        Op::Categorical(op) => plain(shader!("categorical"), &op.name, &op.kernel()),
        Op::PairSum(op) => vec![attend::pair_sum(op, tile, None)],
        Op::Add(op) => plain(shader!("add"), &op.name, &op.kernel()),
        Op::Gather(op) => vec![operation::gather(op, tile, first)],
        Op::MatMul(op) => vec![matmul::kernel(op, tile, bindings.product_place())],
        Op::ProductParts(op) => vec![matmul::parts(op, tile, bindings.product_place())?],
        Op::PartSum(op) => plain(shader!("part_sum"), &op.name, &op.kernel()),
        Op::Transpose(op) => vec![operation::transpose(op, tile)],
        Op::Scan(op) => {
            let of_step = op.step_parts().len();
            let parts = match spanning {
                // Of the exchange, of all stages, and of the initial states.
                Some(_) => vec![FILL, if of_step > 1 { WHOLE } else { 0 }, of_step],
                None => (0..=of_step).collect(),
            };
            let kernels = scan::kernels(op, tile, spanning, None, bindings.plan())?;
            return Ok(parts.into_iter().zip(kernels).collect());
        }
        Op::Dropout(op) => vec![operation::dropout(op, tile)],
        Op::SoftmaxXent(op) => vec![operation::softmax_xent(op, tile)],
        Op::SoftmaxStats(op) => vec![operation::softmax_stats(op, tile)],
        Op::SoftmaxGradient(op) => vec![operation::softmax_gradient(op, tile)],
        Op::ColumnSum(op) => vec![operation::column_sum(op, tile)],
        Op::Scatter(op) => vec![operation::scatter(op, tile, 0, (0, op.from.rows))],
        Op::Rows(op) => vec![rows::kernel(op, tile)],
        Op::Propagation(op) => vec![operation::propagation(op, tile)],
        Op::Norm(_) | Op::ConcurrentScans(_) | Op::Together(_) => Vec::new(),
        Op::LossScale(op) => vec![operation::loss_scale(op)],
        Op::Optimizer(op) => vec![operation::optimizer(op, tile, bindings.plan())],
        Op::LogSoftmax(op) => vec![operation::log_softmax(op, tile)],
        Op::SampledScores(op) => vec![operation::sampled_scores(op, tile)],
        Op::SparseUpdate(op) => vec![operation::sparse_update(op, tile, first.unwrap_or(0))],
    };
    Ok(kernels.into_iter().map(|kernel| (0, kernel)).collect())
}

/// Kernels of a scatter whose table, or whose rows, are too many for one binding: each has some of both. Those of later rows
/// add to what those of earlier ones have made.
fn scattered(
    op: &Scatter,
    tile: &Tile,
    bindings: &mut BindingRanges,
    tables: &[(usize, usize)],
    bands: &[(usize, usize)],
) -> Vec<(usize, Template)> {
    let mut kernels = Vec::new();
    for (row, rows) in bands {
        for (first, count) in tables {
            let mut part = Op::Scatter(Scatter {
                from: op.from.band(*row, *rows),
                into: op.into.band(*first, *count),
                accumulate: op.accumulate || *row > 0,
                ..op.clone()
            });
            bindings.place(part.matrices_mut(), false);
            if let Op::Scatter(part) = &part {
                let kernel = operation::scatter(part, tile, *first, (*row, op.from.rows));
                kernels.push((0, kernel));
            }
        }
    }
    kernels
}
