//! `cells`: the cells that the program brings, and what follows from a cell's equations.

mod check;
mod compare;

use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;
use wgrnn::cell::{Cell, language, library};
use wgrnn::exec::gpu::{Gpu, Tile};
use wgrnn::model::text::{FieldSize, Model, Sizes};
use wgrnn::model::{Dims, Mode, Spec};
use wgrnn::{Error, Result};

use super::{flags, out, text};

pub fn command() -> Command {
    Command::new("cells")
        .about("List cells, or show what follows from one's equations")
        .arg(flags::json())
        .arg(
            Arg::new("language")
                .long("language")
                .action(ArgAction::SetTrue)
                .help("Print the page that documents the cell language"),
        )
        .subcommand(
            Command::new("show")
                .about("Show a cell's equations, parameters, stages, backward equations and the generated WGSL")
                .arg(cell())
                .arg(flags::cell_const())
                .arg(size("input", "Width D of the input"))
                .arg(size("hidden", "Width H of the hidden state"))
                .arg(flags::json())
                .after_help("Example:\n  wgrnn cells show gru --hidden 256"),
        )
        .subcommand(check::command())
        .subcommand(compare::command())
        .after_help("Examples:\n  wgrnn cells\n  wgrnn cells show lstm\n  wgrnn cells --language")
}

/// The cell, the first argument.
fn cell() -> Arg {
    Arg::new("cell")
        .value_name("NAME|FILE.cell")
        .required(true)
        .value_parser(flags::file_name())
        .help("A cell that `cells` lists, or a file of your own")
}

fn size(name: &'static str, help: &'static str) -> Arg {
    flags::whole(name, 1, 65536).default_value("128").help(help)
}

pub fn run(m: &ArgMatches) -> Result<()> {
    if let Some(("show", m)) = m.subcommand() {
        return show(m);
    }
    if let Some(("check", m)) = m.subcommand() {
        return check::run(m);
    }
    if let Some(("compare", m)) = m.subcommand() {
        return compare::run(m);
    }
    if m.get_flag("language") {
        return out::line(language::page().trim_end());
    }
    let mut rows = Vec::new();
    for name in library::all_names() {
        let cell = library::builtin(name)?;
        let about = about(&cell);
        let summary = cell.summary(&cell.compile());
        if !m.get_flag("json") {
            out::line(&format!("{name:<11} {about}"))?;
            out::line(&format!("{:<11} {summary}", ""))?;
        }
        rows.push(json!({"name": name, "about": about, "summary": summary}));
    }
    if m.get_flag("json") {
        out::json(&rows.into())
    } else {
        Ok(())
    }
}

/// The comment at a cell's head, without the file's name.
fn about(cell: &Cell) -> String {
    let line = cell.text.lines().find_map(|l| l.strip_prefix('#'));
    let line = line.unwrap_or("").trim();
    let name = format!("{}.cell - ", cell.name);
    line.strip_prefix(&name).unwrap_or(line).to_string()
}

/// The cell that the command line names, with its constants.
fn named(m: &ArgMatches) -> Result<Cell> {
    let name = m.get_one::<String>("cell").map_or("", |c| c);
    let list = m.get_one::<String>("cell-const").map(String::as_str);
    let cells = text::constants(vec![text::cell(name)?], list)?;
    cells
        .into_iter()
        .next()
        .ok_or_else(|| Error::usage("expected a cell"))
}

fn show(m: &ArgMatches) -> Result<()> {
    let cell = named(m)?;
    let size = |name: &str| m.get_one::<u64>(name).map_or(128, |n| *n as usize);
    let (d, h) = (size("input"), size("hidden"));
    let compiled = cell.compile();
    let parameters = cell.parameters(d, h);
    let [forward, backward] = cell.equations(&compiled);
    let kernels = kernels(&cell, d, h)?;
    if m.get_flag("json") {
        return out::json(&json!({
            "name": cell.name,
            "text": cell.text,
            "states": cell.states,
            "input": d,
            "hidden": h,
            "parameters": parameters,
            "stages": {"forward": compiled.forward.len(), "backward": compiled.backward.len()},
            "forward": forward,
            "backward": backward,
            "wgsl": kernels.iter().map(|(name, text)| json!({"kernel": name, "text": text})).collect::<Vec<_>>(),
        }));
    }
    out::line(cell.text.trim_end())?;
    out::line(&format!("\nparameters at D {d}, H {h}: {parameters}"))?;
    out::line(&cell.summary(&compiled))?;
    out::line(&format!(
        "\nforward\n{forward}\nbackward\n{}",
        backward.trim_end()
    ))?;
    for (name, text) in &kernels {
        out::line(&format!(
            "\n// WGSL of {name} for a GPU, B 32\n{}",
            text.trim_end()
        ))?;
    }
    Ok(())
}

/// Name and WGSL of the step kernels of one layer.
fn kernels(cell: &Cell, d: usize, h: usize) -> Result<Vec<(String, String)>> {
    let memory = !cell.memories.is_empty();
    let spec = Spec {
        vocab: d,
        // A cell that uses x elementwise reads rows as wide as H.
        embed: if cell.raw_input { h } else { 0 },
        cells: vec![Arc::new(cell.clone())],
        hidden: h,
        ..Spec::default()
    };
    let dims = Dims {
        steps: 2,
        batch: 32,
    };
    let plan = if memory {
        attending(cell)?.plan(&spec, &sizes(d), Mode::Gradients)?
    } else {
        spec.plan(dims, Mode::Gradients)?
    };
    let mut kernels = Gpu::sources(&plan, &Tile::GPU)?;
    let layer = if memory { "h." } else { "" };
    kernels.retain(|(name, _)| {
        let mut directions = ["forward", "backward"].iter();
        directions.any(|direction| name.starts_with(&format!("{direction}.{layer}")))
    });
    Ok(kernels)
}

/// A model whose layer `h` is of a cell that looks at memories: those that another layer makes.
fn attending(cell: &Cell) -> Result<Model> {
    let memories = ["memory = m", "memory2 = m"];
    let given = memories[..cell.memories.len().min(2)].join(", ");
    let text = format!(
        "field source: tokens\nfield target: tokens\nm = rnn(embed(source), cell = \"rnn\")\n\
         h = rnn(embed(target), {given})\nloss cross_entropy(linear(h), next(target))\n"
    );
    Model::parse(&cell.name, &text)
}

/// Sizes of its fields, of so many symbols.
fn sizes(symbols: usize) -> Sizes {
    let field = FieldSize::Tokens {
        symbols,
        marks: [0, 0],
        steps: 2,
        rows: 64,
    };
    Sizes {
        examples: 32,
        fields: vec![field; 2],
    }
}
