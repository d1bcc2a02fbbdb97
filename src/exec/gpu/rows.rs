//! The kernel of a program on rows: its passes and results as WGSL, filled into the skeleton.

use std::fmt::Write;

use super::template::{Template, flat_groups};
use super::tile::Tile;
use crate::cell::graph::Fold;
use crate::cell::operator::Unary;
use crate::cell::rows::{LOWEST, RowLoad, RowStore, Width};
use crate::cell::stage::Instr;
use crate::cell::wgsl::statements;
use crate::op::Rows;
use crate::op::rows::{RowInput, RowOutput};

pub(super) fn kernel(op: &Rows, tile: &Tile) -> Template {
    let code = &op.code;
    let mut folds = code.passes.iter().flat_map(|pass| &pass.folds);
    let sums = folds.clone().any(|fold| *fold == Fold::Sum);
    let maxima = folds.any(|fold| *fold != Fold::Sum);
    let any_losses = |output: &RowOutput| matches!(output, RowOutput::Losses(_));
    let count = op.counted().and_then(|m| m.row_count);
    // Without a row to go along, one thread has all of a row.
    let lanes = if code.passes.is_empty() && code.rows.stores.is_empty() {
        1
    } else {
        tile.lanes_for(code.width)
    };
    let mut template = Template::new(include_str!("../../../shaders/rows.wgsl"))
        .size("LANES", lanes)
        .size("GROUP", tile.flat)
        .size("COLS", code.width)
        .counted("ROWS", op.rows(), count)
        .size("MOST", op.rows())
        .flag("FUNCTIONS", functions(op))
        .flag("SHARED", lanes > 1 && (sums || maxima))
        .flag("SUMS", sums)
        .flag("MAXIMA", maxima)
        .flag(
            "COUNTED",
            count.is_some() && op.outputs.iter().any(any_losses),
        );
    for (n, input) in op.used() {
        let name = format!("in{n}");
        template = match input {
            RowInput::Rows(m) | RowInput::Neighbour(m, _) | RowInput::Positions(m) => template
                .buffer(&name, m.slot)
                .size(&format!("IN{n}_OFFSET"), m.offset)
                .size(&format!("IN{n}_STRIDE"), m.stride),
            RowInput::Hyper(slot, _) => template.buffer(&name, *slot),
            RowInput::Share(value) => template.number(&format!("IN{n}"), *value),
        };
    }
    for (n, output) in op.outputs.iter().enumerate() {
        let m = output.matrix();
        template = template
            .buffer(&format!("out{n}"), m.slot)
            .size(&format!("OUT{n}_OFFSET"), m.offset)
            .size(&format!("OUT{n}_STRIDE"), m.stride);
    }
    template
        .text("numbers", numbers(op))
        .text("passes", passes(op))
        .text("nothing", nothing(op))
        .text("results", results(op))
        .kernel(&op.name, flat_groups(op.rows() * lanes, tile.flat))
}

/// Whether any function is used that the skeleton has to bring, in f64 if not in f32.
fn functions(op: &Rows) -> bool {
    let passes = op.code.passes.iter().map(|pass| &pass.program);
    let mut all = passes.chain([&op.code.rows, &op.code.numbers]);
    let function = |instr: &Instr<RowLoad>| {
        let of = [Unary::Sigmoid, Unary::Tanh, Unary::Exp, Unary::Log];
        matches!(instr, Instr::Unary(op, _) if of.contains(op))
    };
    all.any(|program| program.instrs.iter().any(function))
}

/// The row of a matrix in which input `n` of row `own` lies.
fn place(n: usize, row: &str) -> String {
    format!("IN{n}_OFFSET + {row} * IN{n}_STRIDE")
}

/// The inputs that are numbers of a row, and where neighbours' rows are.
fn numbers(op: &Rows) -> String {
    let mut text = String::new();
    for (n, input) in op.used() {
        if let RowInput::Neighbour(_, by) = input {
            let distance = by.unsigned_abs();
            let (sign, beyond) = if *by < 0 {
                ('-', format!("own < {distance}u"))
            } else {
                ('+', format!("own + {distance}u >= ROWS"))
            };
            let _ = writeln!(
                text,
                "    let at{n} = select(own {sign} {distance}u, own, {beyond});"
            );
        }
        if op.code.inputs[n] == Width::Row {
            continue;
        }
        let value = match input {
            RowInput::Rows(_) => format!("$in{n}[{}]", place(n, "own")),
            RowInput::Neighbour(..) => format!("$in{n}[{}]", place(n, &format!("at{n}"))),
            RowInput::Positions(_) => format!("$in{n}[IN{n}_OFFSET + step.y + own]"),
            RowInput::Hyper(_, number) => format!("$in{n}[{number}]"),
            RowInput::Share(_) => format!("IN{n}"),
        };
        let _ = writeln!(text, "    let number{n} = {value};");
    }
    text
}

fn load(op: &Rows, what: RowLoad) -> String {
    match what {
        RowLoad::Row(n) => {
            let row = match op.inputs[n] {
                RowInput::Neighbour(..) => format!("at{n}"),
                _ => "own".to_string(),
            };
            format!("$in{n}[{} + c]", place(n, &row))
        }
        RowLoad::Place => "V(c)".to_string(),
        RowLoad::Number(n) => format!("number{n}"),
    }
}

/// A loop over the elements of a row that this thread has.
fn looped(statements: &str) -> String {
    format!("    for (var c = lane; c < COLS; c += LANES) {{\n{statements}    }}\n")
}

fn passes(op: &Rows) -> String {
    let mut text = String::new();
    for pass in &op.code.passes {
        let folds = pass.folds.iter().enumerate();
        let (mut before, mut after) = (String::new(), String::new());
        for (n, fold) in folds.map(|(n, fold)| (pass.first + n, fold)) {
            let _ = match fold {
                Fold::Sum => {
                    let _ = writeln!(before, "    var fold{n} = V(0.0);");
                    writeln!(after, "    let number{n} = total(fold{n}, thread);")
                }
                Fold::Max => {
                    let _ = writeln!(before, "    var fold{n} = V({LOWEST:?});");
                    writeln!(after, "    let number{n} = largest(fold{n}, thread);")
                }
                // The first place of a lane, then the first of those whose element is the largest of all.
                Fold::First => {
                    let _ = writeln!(before, "    var fold{n} = V({LOWEST:?});");
                    let _ = writeln!(before, "    var place{n} = V(0.0);");
                    let _ = writeln!(after, "    let most{n} = largest(fold{n}, thread);");
                    writeln!(
                        after,
                        "    let number{n} = -largest(select(V(-{:?}), -place{n}, fold{n} >= most{n}), thread);",
                        op.code.width as f64
                    )
                }
            };
        }
        let inner = statements(
            &pass.program,
            |what| load(op, what),
            |what, value| {
                let RowStore::Fold(k) = what else {
                    return String::new();
                };
                let n = pass.first + k;
                match pass.folds[k] {
                    Fold::Sum => format!("fold{n} += {value};"),
                    Fold::Max => format!("fold{n} = select(fold{n}, {value}, {value} > fold{n});"),
                    Fold::First => format!(
                        "place{n} = select(place{n}, V(c), {value} > fold{n});\nfold{n} = select(fold{n}, {value}, {value} > fold{n});"
                    ),
                }
            },
        );
        text += &(before + &looped(&inner) + &after);
    }
    text
}

/// Losses of rows that do not count.
fn nothing(op: &Rows) -> String {
    let losses = op.outputs.iter().enumerate();
    let losses = losses.filter(|(_, output)| matches!(output, RowOutput::Losses(_)));
    let lines = losses.map(|(n, _)| format!("$out{n}[OUT{n}_OFFSET + step.y + row] = 0.0;"));
    lines.collect::<Vec<_>>().join("\n")
}

fn results(op: &Rows) -> String {
    let store = |what: RowStore, value: &str| {
        let RowStore::Output(n) = what else {
            return String::new();
        };
        let element = match (&op.outputs[n], op.code.outputs[n]) {
            (RowOutput::Losses(_), _) => {
                return format!("$out{n}[OUT{n}_OFFSET + step.y + row] = {value};");
            }
            (RowOutput::Rows(..), Width::Row) => " + c",
            (RowOutput::Rows(..), Width::Number) => "",
        };
        let adds = matches!(op.outputs[n], RowOutput::Rows(_, true));
        let operator = if adds { "+=" } else { "=" };
        format!("$out{n}[OUT{n}_OFFSET + row * OUT{n}_STRIDE{element}] {operator} {value};")
    };
    let text = |program| statements(program, |what| load(op, what), store);
    let mut all = String::new();
    if !op.code.numbers.stores.is_empty() {
        let numbers = text(&op.code.numbers);
        let _ = writeln!(all, "    if (lane == 0u) {{\n{numbers}    }}");
    }
    if !op.code.rows.stores.is_empty() {
        all += &looped(&text(&op.code.rows));
    }
    all
}
