//! From an operation of the plan to its kernels and the order in which they are dispatched.

use super::template::{Source, Template, aligned, flat_groups};
use super::tile::{ELEMENT, Tile};
use super::{matmul, scan};
use crate::op::dropout::Share;
use crate::op::penalty::Form;
use crate::op::{
    Add, Carry, ColumnSum, Direction, Dropout, Gather, Matrix, Norm, Op, Optimizer, Penalty, Plan,
    Propagation, Rule, Scatter, SoftmaxXent, Transpose, Zero,
};
use crate::{Error, Result};

/// An operation's kernels, and which of them run at which step.
pub(super) struct Lowered {
    /// The kernels.
    pub kernels: Vec<Source>,
    /// Dispatches: a kernel, and the step and the place in the window that it is told.
    pub order: Vec<(usize, [u32; 2])>,
}

macro_rules! shader {
    ($name:literal) => {
        Template::new(include_str!(concat!("../../../shaders/", $name, ".wgsl")))
    };
}

/// The kernels of an operation, checked against what it says that it reads and writes.
pub(super) fn lower(op: &Op, plan: &Plan, tile: &Tile) -> Result<Lowered> {
    let kernels = match op {
        Op::Carry(op) => vec![carry(op, tile)?],
        Op::Zero(op) => vec![zero(op, tile)?],
        Op::Add(op) => vec![add(op, tile)?],
        Op::Gather(op) => vec![gather(op, tile)?],
        Op::MatMul(op) => vec![matmul::kernel(op, tile)?],
        Op::Transpose(op) => vec![transpose(op, tile)?],
        Op::Scan(op) => scan::kernels(op, tile)?,
        Op::Dropout(op) => vec![dropout(op, tile)?],
        Op::SoftmaxXent(op) => vec![softmax_xent(op, tile)?],
        Op::ColumnSum(op) => vec![column_sum(op, tile)?],
        Op::Scatter(op) => vec![scatter(op, tile)?],
        Op::Penalty(op) => vec![penalty(op, tile)?],
        Op::Propagation(op) => vec![propagation(op, tile)?],
        Op::Norm(op) => norm(op, tile)?,
        Op::Optimizer(op) => vec![optimizer(op, tile)?],
    };
    let at = at(op);
    let order = match op {
        Op::Scan(op) => {
            let stages = op.stages().len();
            let step = |t: usize| (0..stages).map(move |s| (s, [t as u32, at]));
            match op.direction {
                Direction::Forward => op.range.clone().flat_map(step).collect(),
                Direction::Backward => {
                    let steps = op.range.clone().rev().flat_map(step);
                    steps
                        .chain(op.initial.then_some((stages, [u32::MAX, at])))
                        .collect()
                }
            }
        }
        _ => (0..kernels.len()).map(|k| (k, [0, at])).collect(),
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
    Ok(Lowered { kernels, order })
}

/// Where an operation's piece of the window begins. Kernels are told so, instead of being others for every piece.
fn at(op: &Op) -> u32 {
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
    at as u32
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

fn gather(op: &Gather, tile: &Tile) -> Result<Source> {
    let (v, [table, out]) = fours(tile, [op.table, op.out]);
    let template = shader!("gather")
        .text("V", v)
        .buffer("ids", op.ids)
        .matrix("table", &table)
        .matrix("out", &out);
    flat(template, tile, &op.name, out.rows * out.cols)
}

fn scatter(op: &Scatter, tile: &Tile) -> Result<Source> {
    let (v, [from, into]) = fours(tile, [op.from, op.into]);
    let template = shader!("scatter")
        .text("V", v)
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
    let (v, [from, into]) = fours(tile, [op.from, op.into]);
    let group = if tile.lanes > 1 {
        8 * tile.lanes
    } else {
        tile.group
    };
    let across = group / tile.lanes;
    let mut template = shader!("column_sum")
        .text("V", v)
        .size("GROUP", group)
        .size("LANES", tile.lanes)
        .size("ACROSS", across)
        .flag("SHARED", tile.lanes > 1)
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
        .size("STREAM", op.stream as usize)
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
    let mut template = shader!("softmax_xent")
        .size("LANES", tile.lanes)
        .size("GROUP", tile.flat)
        .size("FIRST", op.first)
        .flag("SHARED", tile.lanes > 1)
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
    template.build(
        &op.name,
        flat_groups(op.logits.rows * tile.lanes, tile.flat),
    )
}

fn penalty(op: &Penalty, tile: &Tile) -> Result<Source> {
    shader!("penalty")
        .size("LANES", tile.lanes)
        .size("GROUP", tile.flat)
        .size("BATCH", op.batch)
        .number("FACTOR", op.factor())
        .flag("SHARED", tile.lanes > 1)
        .flag("TEMPORAL", op.form == Form::Temporal)
        .flag("NORM", op.form == Form::Norm)
        .flag("COUNTED", op.from.live.is_some())
        .size("MOST", op.from.rows)
        .matrix("from", &op.from)
        .matrix("grad", &op.grad)
        .matrix("losses", &op.losses)
        .build(&op.name, flat_groups(op.from.rows * tile.lanes, tile.flat))
}

fn propagation(op: &Propagation, tile: &Tile) -> Result<Source> {
    shader!("propagation")
        .size("LANES", tile.lanes)
        .size("GROUP", tile.flat)
        .size("BATCH", op.batch)
        .number("FACTOR", op.factor())
        .flag("SHARED", tile.lanes > 1)
        .matrix("upstream", &op.upstream)
        .matrix("sent", &op.sent)
        .matrix("pull", &op.pull)
        .matrix("losses", &op.losses)
        .build(&op.name, flat_groups(op.sent.rows * tile.lanes, tile.flat))
}

fn norm(op: &Norm, tile: &Tile) -> Result<Vec<Source>> {
    let base = || {
        shader!("norm")
            .size("GROUP", tile.flat)
            .size("CHUNK", Norm::CHUNK)
            .buffer("partials", op.partials)
            .buffer("report", op.report)
    };
    let losses = Norm::chunks(op.losses.cols);
    let gradients = op.gradients.map_or(0, |g| Norm::chunks(g.cols));
    let partial = |what: &str, values: &Matrix, first: usize, square: bool| {
        let chunks = Norm::chunks(values.cols);
        base()
            .flag("FINAL", false)
            .flag("SQUARE", square)
            .size("FIRST", first)
            .size("CHUNKS", chunks)
            .matrix("values", values)
            .build(format!("{}.{what}", op.name), flat_groups(chunks, 1))
    };
    let mut kernels = vec![partial("losses", &op.losses, 0, false)?];
    if let Some(g) = &op.gradients {
        kernels.push(partial("gradients", g, losses, true)?);
    }
    let penalties = op.penalties.map_or(0, |p| Norm::chunks(p.cols));
    if let Some(p) = &op.penalties {
        kernels.push(partial("penalties", p, losses + gradients, false)?);
    }
    let last = base()
        .flag("FINAL", true)
        .size("PENALTY_CHUNKS", penalties)
        .size("LOSS_CHUNKS", losses)
        .size("GRADIENT_CHUNKS", gradients);
    kernels.push(last.build(format!("{}.report", op.name), [1, 1, 1])?);
    Ok(kernels)
}

fn optimizer(op: &Optimizer, tile: &Tile) -> Result<Source> {
    let mut all = vec![op.parameters, op.gradients];
    all.extend(&op.arenas);
    let whole = |m: &Matrix| fours(tile, [*m]).0 != "f32";
    let vector = all.iter().all(whole);
    let place = |m: &Matrix| if vector { fours(tile, [*m]).1[0] } else { *m };
    let parameters = place(&op.parameters);
    let mut template = shader!("optimizer")
        .text("V", if vector { "vec4<f32>" } else { "f32" })
        .size("COUNT", parameters.rows * parameters.cols)
        .flag("CLIP_VALUES", op.clip_value > 0.0)
        .flag("CLIP_NORMS", op.clip_norm > 0.0)
        .number("CLIP_VALUE", op.clip_value)
        .number("CLIP_NORM", op.clip_norm)
        .buffer("hyper", op.hyper)
        .buffer("report", op.report)
        .matrix("parameters", &parameters)
        .matrix("gradients", &place(&op.gradients));
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
    flat(template, tile, &op.name, parameters.rows * parameters.cols)
}
