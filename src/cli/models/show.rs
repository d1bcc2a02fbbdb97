//! `models show`: a model's text, and what follows from it.

use clap::ArgMatches;
use serde_json::json;
use wgrnn::Result;
use wgrnn::model::text::{Model, ModelFieldKind};
use wgrnn::model::{Mode, Spec};
use wgrnn::op::{FieldShape, PackedAxis, Packing, Plan, Role, SlotId};

use super::made_up::{CLASSES, STEP, SYMBOLS, WIDTH, shown, sizes};
use super::{Chosen, at_sizes, chosen};
use crate::cli::out;

/// Examples of the made-up minibatch, the most steps of one, and the most rows of all.
const MINIBATCH: (usize, usize, usize) = (4, 5, 13);

/// What a plan makes, one after another.
struct MadeValue {
    name: String,
    /// What it has a row for.
    along: String,
    width: usize,
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let (chosen, spec, plan) = planned(m)?;
    let model = &chosen.model;
    let (examples, steps, rows) = MINIBATCH;
    let values = values(model, &plan);
    let shape = |shape: &[usize]| {
        let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
        format!("[{}]", sizes.join(", "))
    };
    if m.get_flag("json") {
        let fields = model.fields().iter().enumerate().map(|(n, field)| {
            let (kind, holds) = field_text(model, n);
            json!({"name": field.name, "kind": kind, "files": holds})
        });
        let parameters = plan.parameters.iter();
        let parameters = parameters.map(|p| json!({"name": p.name, "shape": p.file_shape}));
        let values = values
            .iter()
            .map(|v| json!({"name": v.name, "along": v.along, "width": v.width}));
        return out::json(&json!({
            "name": model.name,
            "about": super::about(model),
            "text": model.text,
            "fields": fields.collect::<Vec<_>>(),
            "cell": spec.cell_names(),
            "hidden": spec.hidden,
            "layers": spec.cells.len(),
            "embed": spec.embed,
            "sizes": {"symbols": SYMBOLS, "classes": CLASSES, "width": WIDTH, "step_width": STEP, "examples": examples, "steps": steps, "rows": rows},
            "parameters": parameters.collect::<Vec<_>>(),
            "parameter_count": plan.parameter_count(),
            "values": values.collect::<Vec<_>>(),
            "operations": plan.ops.len(),
        }));
    }
    out::line(model.text.trim_end())?;
    out::line("\nfields")?;
    for (n, field) in model.fields().iter().enumerate() {
        let (kind, holds) = field_text(model, n);
        out::line(&format!("  {:<16} {kind:<24} {holds}", field.name))?;
    }
    out::line(&format!(
        "\nat {} x {} of H {}, {}, and made-up data: {}",
        spec.cell_names(),
        spec.cells.len(),
        spec.hidden,
        match spec.embed {
            0 => "embeddings one-hot, or H wide where rows are read".to_string(),
            width => format!("embed {width}"),
        },
        shown(model, &sizes(model, examples, steps, rows))
    ))?;
    out::line(&format!("\nparameters: {}", plan.parameter_count()))?;
    for p in &plan.parameters {
        out::line(&format!("  {:<32} {}", p.name, shape(&p.file_shape)))?;
    }
    out::line("\nwhat the plan makes, what it has a row for, and how wide it is")?;
    for v in &values {
        out::line(&format!("  {:<42} {:<28} {}", v.name, v.along, v.width))?;
    }
    let length = plan.ops.len();
    out::line(&format!("\n{length} operations from fields to losses"))
}

/// The model with its plan.
fn planned(m: &ArgMatches) -> Result<(Chosen, Spec, Plan)> {
    let (examples, steps, rows) = MINIBATCH;
    let chosen = chosen(m, &[])?;
    let spec = chosen.spec(m);
    let sizes = sizes(&chosen.model, examples, steps, rows);
    let plan = chosen.model.plan(&spec, &sizes, Mode::Evaluate);
    let plan = plan.map_err(|e| at_sizes(e, &spec))?;
    Ok((chosen, spec, plan))
}

/// What a field is, and what files hold for it.
fn field_text(model: &Model, field: usize) -> (String, String) {
    let name = |field: usize| &model.fields()[field].name;
    let of_words = model.fields().iter().any(|other| match other.kind {
        ModelFieldKind::Tokens { within, .. } => within == Some(field),
        ModelFieldKind::Classes { along } | ModelFieldKind::RealsAlong { along, .. } => {
            along == field
        }
        _ => false,
    });
    match model.fields()[field].kind {
        ModelFieldKind::Tokens {
            within: Some(of), ..
        } => (
            format!("tokens within {}", name(of)),
            format!("nothing: the letters of the words of {}", name(of)),
        ),
        ModelFieldKind::Tokens { .. } => {
            let holds = if of_words {
                "a sequence of words an example"
            } else {
                "a text an example, of characters or words (--vocab)"
            };
            ("tokens".into(), holds.into())
        }
        ModelFieldKind::Class => ("class".into(), "a label an example".into()),
        ModelFieldKind::Classes { along } => (
            format!("classes along {}", name(along)),
            format!("a label for every word of {}", name(along)),
        ),
        ModelFieldKind::Vector => ("vector".into(), "numbers, as many an example".into()),
        ModelFieldKind::RealsAlong { along, .. } => (
            format!("reals along {}", name(along)),
            format!("numbers, as many for every step of {}", name(along)),
        ),
        ModelFieldKind::Reals { set: true, .. } => (
            "set".into(),
            "rows of numbers in no order, some an example".into(),
        ),
        ModelFieldKind::Reals { bits: false, .. } => {
            ("reals".into(), "numbers, as many a step".into())
        }
        ModelFieldKind::Reals { bits: true, .. } => {
            ("bits".into(), "a set of whole numbers a step".into())
        }
    }
}

/// What the operations of a plan make of its fields, in order.
fn values(model: &Model, plan: &Plan) -> Vec<MadeValue> {
    let mut seen = Vec::new();
    let mut values = Vec::new();
    let mut take = |slot: SlotId, axis: Option<usize>, width: usize| {
        if axis.is_none() || seen.contains(&slot) {
            return;
        }
        seen.push(slot);
        values.push(MadeValue {
            name: plan.slot(slot).name.clone(),
            along: along(model, plan, axis),
            width,
        });
    };
    for op in &plan.ops {
        for scan in op.scans() {
            let is = |axis: &PackedAxis| {
                let own = [axis.first + Packing::ZERO, axis.first + Packing::STARTS];
                scan.packed
                    .is_some_and(|packed| own.contains(&packed.first))
            };
            take(scan.state, plan.axes.iter().position(is), scan.hidden);
        }
        for m in op.writes() {
            let slot = plan.slot(m.slot);
            let is = |axis: &PackedAxis| match m.row_count {
                Some(counted) => axis.first + Packing::ROWS == counted.word,
                // A row for every sequence.
                None => axis.packing.rows == m.rows,
            };
            if slot.role == Role::Activation && plan.io.losses != Some(m.slot) {
                // An operation may write some of the columns.
                take(m.slot, plan.axes.iter().position(is), m.stride);
            }
        }
    }
    values
}

/// What there is a row for along an axis.
fn along(model: &Model, plan: &Plan, axis: Option<usize>) -> String {
    if axis.is_some() && axis == plan.recipes.examples {
        return "every example".into();
    }
    let is = |rows: &FieldShape| axis.is_some() && rows.axis() == axis;
    match plan.recipes.fields.iter().position(is) {
        Some(field) => format!("every step of {}", model.fields()[field].name),
        None => "every row".into(),
    }
}
