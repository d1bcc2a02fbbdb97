//! The kernels of every operation but scans and products: sizes, numbers and buffers filled into its template.

use super::binding_range::BindingRanges;
use super::flag::{FAILED, UNMET};
use super::template::{FOUR, ONE, Template, aligned, flat_groups};
use super::tile::{ELEMENT, Tile};
use crate::op::batch_matmul::Transposed;
use crate::op::dropout::Share;
use crate::op::filters::FiltersForm;
use crate::op::loss_scale::Phase;
use crate::op::{
    BatchMatMul, Carry, ColumnSum, Dropout, Filters, FlatKernel, Gather, LogSoftmax, LossScale,
    Matrix, Norm, Optimizer, Plan, Propagation, Rule, SampledScores, Scatter, SoftmaxGradient,
    SoftmaxStats, SoftmaxXent, SparseUpdate, Transpose,
};

/// The template of a shader.
macro_rules! shader {
    ($name:literal) => {
        Template::new(include_str!(concat!("../../../shaders/", $name, ".wgsl")))
    };
}

pub(super) use shader;

/// Whether all of these can be taken four elements at a time, and the matrices in units of that.
pub(super) fn in_fours(tile: &Tile, matrices: Vec<Matrix>) -> (&'static str, Vec<Matrix>) {
    let whole = |m: &Matrix| aligned(m) && m.cols.is_multiple_of(ELEMENT);
    if !tile.vector || !matrices.iter().all(whole) {
        return (ONE, matrices);
    }
    let quarter = |m: Matrix| Matrix {
        offset: m.offset / ELEMENT,
        cols: m.cols / ELEMENT,
        stride: m.stride / ELEMENT,
        ..m
    };
    (FOUR, matrices.into_iter().map(quarter).collect())
}

/// The same of so many.
fn fours<const N: usize>(tile: &Tile, matrices: [Matrix; N]) -> (&'static str, [Matrix; N]) {
    let (v, all) = in_fours(tile, matrices.to_vec());
    let mut units = matrices;
    units.iter_mut().zip(all).for_each(|(to, unit)| *to = unit);
    (v, units)
}

pub(super) fn flat(template: Template, tile: &Tile, name: &str, threads: usize) -> Template {
    let groups = flat_groups(threads, tile.flat);
    template.size("GROUP", tile.flat).kernel(name, groups)
}

/// Of a slot that no binding holds, with ranges of one state, or of its first and last steps.
pub(super) fn carry(op: &Carry, tile: &Tile, ranges: &mut BindingRanges) -> Template {
    let (mut state, mut last) = (op.state, op.state);
    let (mut first, mut late) = (op.first, op.first + op.last);
    let within = ranges.fit().within(ranges.plan(), op.state);
    if ranges.plan().slot(op.state).len() > within.binding {
        let from = first / within.align * within.align;
        if late + op.width - from <= within.binding {
            state = ranges.add(op.state, from, late + op.width);
            last = state;
            late -= from;
        } else {
            let from = late / within.align * within.align;
            state = ranges.add(
                op.state,
                first / within.align * within.align,
                first + op.width,
            );
            last = ranges.add(op.state, from, late + op.width);
            late -= from;
        }
        first %= within.align;
    }
    let start = op.start.map(|m| fours(tile, [m]));
    let whole = start.is_none_or(|(v, _)| v == FOUR);
    let fours_of =
        [op.together(), op.width, op.last, first, late].map(|n| n.is_multiple_of(ELEMENT));
    let vector = tile.vector && fours_of == [true; 5] && whole;
    let (v, element) = if vector { (FOUR, ELEMENT) } else { (ONE, 1) };
    let width = op.width / element;
    let mut template = shader!("carry")
        .flag("START", op.start.is_some())
        .flag("PARENTS", op.parents.is_some())
        .units(v)
        .size("STATES", op.states)
        .size("WIDTH", width)
        .size("PLANE", op.last / element + width)
        .size("FIRST", first / element)
        .size("LAST", late / element)
        .buffer("control", op.control)
        .buffer("state", state)
        .buffer("last", last);
    if let Some(parents) = op.parents {
        template = template
            .size("ROW", op.together() / element)
            .buffer("parents", parents.slot);
    }
    if let (Some(m), Some((_, [quarter]))) = (op.start, start) {
        template = template.matrix("start", if vector { &quarter } else { &m });
    }
    flat(
        flagged(template, ranges.plan()),
        tile,
        &op.name,
        op.states * width,
    )
}

/// A template that looks whether the workgroups of kernels that span them have met, where the plan has such kernels.
fn flagged(template: Template, plan: &Plan) -> Template {
    let exchange = plan.io.exchange;
    let template = template.flag("SPANNING", exchange.is_some());
    match exchange {
        Some(exchange) => template
            .size("UNMET", UNMET as usize)
            .number("FAILED", FAILED)
            .buffer("flag", exchange.flag),
        None => template,
    }
}

/// A plain kernel, as its operation describes it.
pub(super) fn plain(template: Template, op: &str, kernel: &FlatKernel, tile: &Tile) -> Template {
    let (v, matrices) = in_fours(tile, kernel.matrices.iter().map(|m| m.1).collect());
    let mut template = template.units(v);
    for (name, value) in &kernel.flags {
        template = template.flag(name, *value);
    }
    for (name, value) in &kernel.sizes {
        template = template.size(name, *value);
    }
    for (name, slot) in &kernel.buffers {
        template = template.buffer(name, *slot);
    }
    for ((name, _), matrix) in kernel.matrices.iter().zip(&matrices) {
        template = template.matrix(name, matrix);
    }
    let cols = matrices.first().map_or(1, |m| m.cols);
    flat(template, tile, op, kernel.rows * cols)
}

/// With `first`, for a part of the table that starts at this row: the rows of other tokens are left to other kernels.
pub(super) fn gather(op: &Gather, tile: &Tile, first: Option<usize>) -> Template {
    let (v, [table, out]) = fours(tile, [op.table, op.out]);
    let template = shader!("gather")
        .units(v)
        .flag("RANGED", first.is_some())
        .size("FIRST", first.unwrap_or(0))
        .buffer("ids", op.ids)
        .matrix("table", &table)
        .matrix("out", &out);
    flat(template, tile, &op.name, out.rows * out.cols)
}

/// Rows for each id, on average, from which on several threads share the run of one,
const LONG_RUN: usize = 4;
/// and how many share it, where the tile has as many for a reduction.
const RUN_LANES: usize = 8;

/// For the part of the table that starts at row `first`, and the rows from `row` on of `rows` that the index is of.
pub(super) fn scatter(
    op: &Scatter,
    tile: &Tile,
    first: usize,
    (row, rows): (usize, usize),
) -> Template {
    let (v, [from, into]) = fours(tile, [op.from, op.into]);
    // Of few ids the frequent ones have long runs; of many, most have none.
    let long = rows >= LONG_RUN * op.into.rows;
    let lanes = if long { tile.lanes.min(RUN_LANES) } else { 1 };
    let across = if lanes > 1 {
        256 / RUN_LANES
    } else {
        tile.flat
    };
    let template = shader!("scatter")
        .units(v)
        .size("GROUP", across * lanes)
        .size("LANES", lanes)
        .size("ACROSS", across)
        .flag("SHARED", lanes > 1)
        .size("FIRST", first)
        .size("ROW", row)
        .size("ROWS", rows)
        .flag("BANDED", op.from.rows < rows)
        .flag("ACCUMULATE", op.accumulate)
        .buffer("index", op.index)
        // The index lists only rows that count.
        .matrix("from", &from.uncounted())
        .matrix("into", &into);
    template.kernel(&op.name, flat_groups(into.rows * into.cols, across))
}

pub(super) fn transpose(op: &Transpose, tile: &Tile) -> Template {
    let template = shader!("transpose")
        .matrix("from", &op.from)
        .matrix("to", &op.to);
    flat(template, tile, &op.name, op.to.rows * op.to.cols)
}

pub(super) fn column_sum(op: &ColumnSum, tile: &Tile) -> Template {
    let lanes = tile.lanes_for(op.from.rows);
    let (v, [from, into]) = fours(tile, [op.from, op.into]);
    let group = if lanes > 1 { 8 * lanes } else { tile.group };
    let across = group / lanes;
    let mut template = shader!("column_sum")
        .units(v)
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
    template.kernel(&op.name, flat_groups(from.cols, across))
}

pub(super) fn dropout(op: &Dropout, tile: &Tile) -> Template {
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

pub(super) fn softmax_xent(op: &SoftmaxXent, tile: &Tile) -> Template {
    let lanes = tile.lanes_for(op.logits.cols);
    let mut template = shader!("softmax_xent")
        .size("LANES", lanes)
        .size("GROUP", tile.flat)
        .size("FIRST", op.first)
        .flag("SHARED", lanes > 1)
        .flag("GRADIENT", op.gradient)
        .flag("COUNTED", op.logits.row_count.is_some())
        .size("MOST", op.logits.rows)
        .number("LOWEST", crate::op::softmax_xent::LOWEST)
        .flag("SMOOTHED", op.smoothing > 0.0)
        .flag("WEIGHTED", op.weights.is_some())
        .matrix("logits", &op.logits)
        .matrix("losses", &op.losses)
        .buffer("ids", op.ids)
        .buffer("hyper", op.hyper);
    if let Some(weights) = op.weights {
        template = template.buffer("weights", weights);
    }
    if op.smoothing > 0.0 {
        let each = op.smoothing / op.logits.cols as f64;
        template = template
            .number("SMOOTHING", op.smoothing)
            .number("EACH", each);
    }
    template.kernel(&op.name, flat_groups(op.logits.rows * lanes, tile.flat))
}

pub(super) fn softmax_stats(op: &SoftmaxStats, tile: &Tile) -> Template {
    let lanes = tile.lanes_for(op.logits.cols);
    let mut template = shader!("softmax_stats")
        .size("LANES", lanes)
        .size("GROUP", tile.flat)
        .size("FIRST", op.first)
        .size("FROM", op.from)
        .flag("SHARED", lanes > 1)
        .flag("LAST", op.losses.is_some())
        .flag(
            "COUNTED",
            op.logits.row_count.is_some() && op.losses.is_some(),
        )
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
    template.kernel(&op.name, flat_groups(op.logits.rows * lanes, tile.flat))
}

pub(super) fn softmax_gradient(op: &SoftmaxGradient, tile: &Tile) -> Template {
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

pub(super) fn log_softmax(op: &LogSoftmax, tile: &Tile) -> Template {
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
    template.kernel(&op.name, flat_groups(op.from.rows * lanes, tile.flat))
}

pub(super) fn sampled_scores(op: &SampledScores, tile: &Tile) -> Template {
    let template = shader!("sampled_scores")
        .size("SAMPLES", op.samples)
        .number("NOTHING", SampledScores::NOTHING)
        .matrix("scores", &op.scores)
        .buffer("corrections", op.corrections)
        .buffer("columns", op.columns);
    flat(template, tile, &op.name, op.scores.rows * op.scores.cols)
}

/// For the part of the table that starts at row `first`.
pub(super) fn sparse_update(op: &SparseUpdate, tile: &Tile, first: usize) -> Template {
    let template = shader!("sparse_update")
        .size("FIRST", first)
        .buffer("ids", op.ids);
    let (template, gradients) = rules(template, &op.update, tile);
    flat(template, tile, &op.name, gradients.rows * gradients.cols)
}

pub(super) fn propagation(op: &Propagation, tile: &Tile) -> Template {
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
        .kernel(&op.name, flat_groups(op.sent.rows * lanes, tile.flat))
}

pub(super) fn filters(op: &Filters, tile: &Tile) -> Template {
    let backward = matches!(op.form, FiltersForm::Backward { .. });
    let template = shader!("filters")
        .size("LANES", tile.lanes)
        .size("GROUP", tile.flat)
        .size("SIZE", op.grid.size)
        .size("WIDTH", op.grid.width)
        .size("HEIGHT", op.grid.height)
        .number("SPREAD", op.grid.spread())
        .number("SIGN", op.intensity.sign())
        .number("FARTHEST", Filters::FARTHEST)
        .number("MOST", Filters::MOST)
        .number("NOTHING", Filters::NOTHING)
        .flag("BACKWARD", backward)
        .flag("SHARED", tile.lanes > 1)
        .counted("ROWS", op.at.rows, op.at.row_count)
        .matrix("at", &op.at.uncounted());
    let template = match op.form {
        FiltersForm::Forward { out } => template.matrix("filters", &out.uncounted()),
        FiltersForm::Backward {
            filters,
            upstream,
            into,
        } => template
            .matrix("filters", &filters.uncounted())
            .matrix("upstream", &upstream.uncounted())
            .matrix("into", &into.uncounted()),
    };
    flat(template, tile, &op.name, op.at.rows * tile.lanes)
}

pub(super) fn batch_matmul(op: &BatchMatMul, tile: &Tile) -> Template {
    let (m, k, n) = op.dims();
    let template = shader!("batch_matmul")
        .flag("TA", op.transposed == Transposed::A)
        .flag("TB", op.transposed == Transposed::B)
        .size("M", m)
        .size("K", k)
        .size("N", n)
        .matrix("a", &op.a.uncounted())
        .matrix("b", &op.b.uncounted())
        .matrix("c", &op.c);
    flat(template, tile, &op.name, op.c.rows * op.c.cols)
}

pub(super) fn norm(op: &Norm, tile: &Tile, ranges: &mut BindingRanges) -> Vec<(usize, Template)> {
    let base = || {
        shader!("norm")
            .size("GROUP", tile.flat)
            .size("CHUNK", Norm::CHUNK)
            .buffer("partials", op.partials)
            .buffer("report", op.report)
    };
    let mut first = 0;
    let mut kernels = Vec::new();
    let mut part = 0;
    for (whole, square) in op.sums() {
        let what = match (part, square) {
            (0, _) => "losses",
            (_, true) => "gradients",
            (_, false) => "penalties",
        };
        for (from, count) in ranges.fit().parts(ranges.plan(), &whole, Norm::CHUNK) {
            let mut values = whole.columns(from, count);
            ranges.place(vec![&mut values], false);
            let chunks = Norm::chunks(count);
            let cut = square && op.clip_value > 0.0;
            let mut source = base()
                .flag("FINAL", false)
                .flag("SQUARE", square)
                .flag("CUT", cut)
                .size("SUMS", 0)
                .size("FIRST", first + from / Norm::CHUNK)
                .size("CHUNKS", chunks)
                .matrix("values", &values);
            if cut {
                source = source
                    .flag("SCALED", op.scaled.is_some())
                    .number("CLIP_VALUE", op.clip_value);
                if let Some(hyper) = op.scaled {
                    source = source.buffer("hyper", hyper);
                }
            }
            if op.gradients.is_some_and(|of| of == whole) {
                source = completes(source, op, whole.offset + from);
            }
            let source = source.kernel(format!("{}.{what}", op.name), flat_groups(chunks, 1));
            kernels.push((part, source));
        }
        first += Norm::chunks(whole.cols);
        part += 1;
    }
    if !op.open {
        let last = report(base().flag("FINAL", true), op, ranges.plan());
        kernels.push((part, last.kernel(format!("{}.report", op.name), [1, 1, 1])));
    }
    kernels
}

/// A template with the sums that a norm makes of parts, where its first element is one of the gradients' slot.
fn completes(template: Template, op: &Norm, begin: usize) -> Template {
    let mut template = template.size("SUMS", op.completes.len());
    for (q, sum) in op.completes.iter().enumerate() {
        let size = |template: Template, name: &str, value: usize| {
            template.size(&format!("SUM{q}_{name}"), value)
        };
        template = template.buffer("parts", sum.from.slot);
        for (name, value) in [
            ("BEGIN", sum.to.offset - begin),
            ("END", sum.to.end() - begin),
            ("COLS", sum.to.cols),
            ("STRIDE", sum.to.stride),
            ("PARTS", sum.parts),
            ("FROM", sum.from.offset),
            ("PART", sum.to.rows * sum.from.stride),
            ("FROM_STRIDE", sum.from.stride),
            ("ADDED", usize::from(sum.accumulate)),
        ] {
            template = size(template, name, value);
        }
    }
    template
}

/// A template with what the report of a norm needs.
fn report(template: Template, op: &Norm, plan: &Plan) -> Template {
    let losses = Norm::chunks(op.losses.cols);
    let penalties = op.penalties.map_or(0, |p| Norm::chunks(p.cols));
    let template = flagged(template, plan)
        .flag("SCALED", op.scaled.is_some())
        .number("BEYOND", LossScale::BEYOND)
        .size("PENALTY_CHUNKS", penalties)
        .size("LOSS_CHUNKS", losses)
        .size("GRADIENT_CHUNKS", op.partial_count() - losses - penalties)
        .buffer("partials", op.partials);
    match op.scaled {
        Some(hyper) => template.buffer("hyper", hyper),
        None => template,
    }
}

pub(super) fn loss_scale(op: &LossScale) -> Template {
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
        .kernel(&op.name, [1, 1, 1])
}

pub(super) fn optimizer(op: &Optimizer, tile: &Tile, plan: &Plan) -> Template {
    /// V of a thread that makes the report as well.
    const EACH: usize = 8;
    let (template, gradients) = rules(shader!("optimizer"), op, tile);
    let count = gradients.rows * gradients.cols;
    let template = template
        .size("COUNT", count)
        .flag("ENDS", op.ends.is_some());
    match &op.ends {
        None => flat(template, tile, &op.name, count),
        Some(norm) => {
            let template = report(template.size("EACH", EACH), norm, plan);
            flat(template, tile, &op.name, count.div_ceil(EACH))
        }
    }
}

/// A template with what the rules of `op` need, and the gradients in the units in which it takes them.
fn rules(template: Template, op: &Optimizer, tile: &Tile) -> (Template, Matrix) {
    let mut all = vec![op.parameters, op.gradients];
    all.extend(&op.arenas);
    let whole = |m: &Matrix| fours(tile, [*m]).0 == FOUR;
    let vector = all.iter().all(whole);
    let place = |m: &Matrix| if vector { fours(tile, [*m]).1[0] } else { *m };
    let gradients = place(&op.gradients);
    let mut template = template
        .units(if vector { FOUR } else { ONE })
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
