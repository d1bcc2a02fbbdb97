//! `check`: a GPU against the plain code, operation by operation and over whole training steps.

use std::sync::Arc;

use clap::{Arg, ArgMatches, Command};
use pollster::block_on;
use serde_json::{Value, json};
use wgrnn::cell::{Cell, Noise, library};
use wgrnn::exec::Inputs;
use wgrnn::exec::check::{Row, Twins};
use wgrnn::exec::gpu::{Choice, Device, Gpu};
use wgrnn::layer::{Connections, Recurrent};
use wgrnn::model::{
    Dims, Drops, Init, Mode, Penalties, Scheme, Softmax, Spec, Unroll, Update, initialize,
};
use wgrnn::op::{Control, Hyper, Plan, Rule};
use wgrnn::rng::{Purpose, Stream, key};
use wgrnn::{Error, Result};

use super::{flags, out, text};

/// Symbols in the made-up texts: few enough that ids repeat.
const VOCAB: usize = 11;
/// Whole training steps after the operations.
const STEPS: u64 = 5;

/// What a checked model has beside recurrent layers and dropout between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extra {
    /// Nothing.
    Plain,
    /// Every other form of dropout and every penalty.
    Regularized,
    /// Zoneout and dropout of the recurrent state, inside the cells.
    Noisy,
    /// Both directions, residual and skip connections, projections, layer normalisation and learned initial states, as far
    /// as they fit the cell.
    Composed,
    /// Sequences of different lengths.
    Packed,
    /// Two windows in pieces of a step, with all noise that is counted by step.
    Pieces,
    /// An adaptive softmax whose scores are made in chunks, and an embedding of which the rows in use are updated.
    Adaptive,
    /// A sampled softmax over a tied embedding of which the rows in use are updated.
    Sampled,
}

impl Extra {
    const NAMES: [(&str, Extra); 8] = [
        ("packed", Extra::Packed),
        ("plain", Extra::Plain),
        ("regularized", Extra::Regularized),
        ("noisy", Extra::Noisy),
        ("composed", Extra::Composed),
        ("pieces", Extra::Pieces),
        ("adaptive", Extra::Adaptive),
        ("sampled", Extra::Sampled),
    ];

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|n| n.1 == self).map_or("", |n| n.0)
    }
}

/// A model to check.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// H.
    pub hidden: usize,
    /// How many layers.
    pub layers: usize,
    /// B.
    pub batch: usize,
    /// T.
    pub steps: usize,
    /// The width of the embedding; 0 for one-hot input.
    pub embed: usize,
    /// The rate of dropout after every layer.
    pub dropout: f64,
    /// What else there is.
    pub extra: Extra,
}

const fn shape(sizes: [usize; 5], dropout: f64, extra: Extra) -> Shape {
    let [hidden, layers, batch, steps, embed] = sizes;
    Shape {
        hidden,
        layers,
        batch,
        steps,
        embed,
        dropout,
        extra,
    }
}

/// Odd sizes take the scalar paths, sizes divisible by four the vector ones; a table or rows of an embedding. A single
/// step has no pairs for a penalty on changes.
pub const SHAPES: [Shape; 12] = [
    shape([6, 2, 4, 5, 6], 0.2, Extra::Packed),
    shape([37, 2, 3, 5, 0], 0.3, Extra::Plain),
    shape([12, 1, 9, 3, 12], 0.0, Extra::Plain),
    shape([32, 2, 5, 2, 7], 0.2, Extra::Plain),
    shape([9, 2, 3, 4, 9], 0.2, Extra::Regularized),
    shape([5, 1, 1, 1, 5], 0.0, Extra::Regularized),
    shape([8, 1, 3, 4, 5], 0.0, Extra::Noisy),
    shape([7, 3, 2, 3, 7], 0.0, Extra::Composed),
    shape([8, 2, 3, 2, 8], 0.2, Extra::Composed),
    shape([16, 1, 3, 4, 5], 0.0, Extra::Adaptive),
    shape([7, 1, 2, 3, 7], 0.0, Extra::Sampled),
    shape([6, 1, 3, 2, 6], 0.2, Extra::Pieces),
];

pub fn command() -> Command {
    Command::new("check")
        .about("Compare a GPU with the plain code: every operation, then whole training steps")
        .arg(flags::device().default_value("gpu"))
        .arg(
            Arg::new("cell")
                .long("cell")
                .value_name("NAME|FILE.cell")
                .help("One cell only (default: every built-in one)"),
        )
        .arg(flags::cell_const().requires("cell"))
        .arg(flags::whole("hidden", 1, 4096).help("Hidden size H, with --layers, --batch, --seq-len (default: several odd sizes)"))
        .arg(flags::whole("layers", 1, 16).help("Layers (default with --hidden: 1)"))
        .arg(flags::whole("batch", 1, 1024).help("Rows B (default with --hidden: 3)"))
        .arg(flags::whole("seq-len", 1, 1024).help("Steps T (default with --hidden: 5)"))
        .arg(
            Arg::new("extra")
                .long("extra")
                .value_name("NAME")
                .value_parser(Extra::NAMES.map(|n| n.0))
                .requires("hidden")
                .help(
                    "With --hidden, what else there is: every form of dropout and penalty; noise inside the cells; both \
                     directions, residual, skip, projections, layer normalisation and learned states; sequences of \
                     different lengths; windows in pieces (default: plain)",
                ),
        )
        .arg(
            Arg::new("from")
                .long("from")
                .value_name("OPERATION")
                .help("Run the CPU up to this operation and the GPU from it on"),
        )
        .arg(flags::json())
        .after_help(
            "Examples:\n  wgrnn check\n  wgrnn check --cell lstm --hidden 37 --batch 3 --from backward.l0\n\n\
             Exits with 1 on a mismatch and names the operation.",
        )
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let choice = m.get_one::<String>("device").map_or("gpu", |d| d);
    if choice == "cpu" {
        return Err(Error::usage(
            "--device cpu: check compares a GPU with the CPU; name an adapter",
        ));
    }
    let device = open(choice)?;
    let cells = match m.get_one::<String>("cell") {
        Some(name) => {
            let list = m.get_one::<String>("cell-const").map(String::as_str);
            text::constants(vec![text::cell(name)?], list)?
        }
        None => library::names()
            .map(library::builtin)
            .collect::<Result<Vec<Cell>>>()?,
    };
    let size = |name: &str| m.get_one::<u64>(name).map(|n| *n as usize);
    let shapes = match size("hidden") {
        None => SHAPES.to_vec(),
        Some(h) => {
            let (layers, batch) = (size("layers").unwrap_or(1), size("batch").unwrap_or(3));
            let steps = size("seq-len").unwrap_or(5);
            let name = m.get_one::<String>("extra").map_or("plain", |n| n);
            let known = Extra::NAMES.iter().find(|n| n.0 == name);
            let extra = known.map_or(Extra::Plain, |n| n.1);
            vec![shape([h, layers, batch, steps, h], 0.0, extra)]
        }
    };
    let json = m.get_flag("json");
    let from = m.get_one::<String>("from").map(String::as_str);
    let every = cells.len() > 1;
    let mut report = Vec::new();
    let mut faults = Vec::new();
    let mut compared = 0;
    if !json {
        let adapter = &device.adapter;
        out::line(&format!(
            "{} ({}, driver {})",
            adapter.name, adapter.backend, adapter.driver
        ))?;
    }
    for cell in cells {
        let cell = Arc::new(cell);
        for shape in &shapes {
            // What stands between layers is the same for every cell, so one of many will do.
            let between = [Extra::Composed, Extra::Adaptive, Extra::Sampled];
            let once = between.contains(&shape.extra) && every && cell.name != "lstm";
            if once {
                continue;
            }
            let title = title(&cell, *shape);
            let rows = block_on(compare(&device, cell.clone(), *shape, from))
                .map_err(|e| Error::new(e.kind, format!("{title}: {}", e.message)))?;
            if !json {
                print(&title, &rows)?;
            }
            compared += rows.len();
            faults.extend(
                { rows.iter().filter(|r| !r.passed()) }.map(|r| format!("{title}: {}", r.fault())),
            );
            report
                .push(json!({"model": title, "rows": rows.iter().map(value).collect::<Vec<_>>()}));
        }
    }
    if json {
        out::json(
            &json!({"adapter": device.adapter.name, "driver": device.adapter.driver, "models": report, "compared": compared, "faults": faults.len()}),
        )?;
    }
    if faults.is_empty() {
        if !json {
            out::line(&format!(
                "\n{compared} comparisons, all within their tolerance"
            ))?;
        }
        return Ok(());
    }
    Err(Error::internal(format!(
        "{} of {compared} comparisons failed\n{}",
        faults.len(),
        faults.join("\n")
    )))
}

/// The adapter that `choice` names; `auto` passes software adapters by, but here there may be nothing else to check.
pub fn open(choice: &str) -> Result<Arc<Device>> {
    match block_on(Device::open(&Choice::parse(choice)))? {
        Some(device) => Ok(device),
        None => block_on(Device::open(&Choice::Gpu))?
            .ok_or_else(|| Error::device("no adapter to check")),
    }
}

pub fn title(cell: &Cell, shape: Shape) -> String {
    let input = match shape.embed {
        0 => "one-hot".to_string(),
        width => format!("embedding {width}"),
    };
    format!(
        "{} H {} x {}, B {}, T {}, {input}, dropout {}, {}",
        cell.name,
        shape.hidden,
        shape.layers,
        shape.batch,
        shape.steps,
        shape.dropout,
        shape.extra.name()
    )
}

/// Operations and whole steps of a model of `cell`, on `device` and in the plain code.
pub async fn compare(
    device: &Arc<Device>,
    cell: Arc<Cell>,
    shape: Shape,
    from: Option<&str>,
) -> Result<Vec<Row>> {
    let Shape {
        hidden,
        layers,
        batch,
        steps,
        embed,
        dropout,
        extra,
    } = shape;
    let spec = Spec {
        vocab: VOCAB,
        // A cell that uses x elementwise needs an input as wide as H.
        embed: if cell.raw_input { hidden } else { embed },
        cells: vec![cell; layers],
        hidden,
        dropout,
        ..Spec::default()
    };
    let spec = match extra {
        Extra::Plain => spec,
        Extra::Regularized => regularized(spec),
        Extra::Noisy => noisy(spec),
        Extra::Composed => composed(spec),
        Extra::Adaptive => Spec {
            softmax: Softmax::Adaptive {
                cutoffs: vec![3, 7],
            },
            scores_at_once: 24,
            sparse: true,
            ..spec
        },
        Extra::Sampled => Spec {
            softmax: Softmax::Sampled { samples: 4 },
            tie: true,
            embed: hidden,
            sparse: true,
            ..spec
        },
        Extra::Packed => Spec {
            packed: batch * steps,
            ..spec
        },
        Extra::Pieces => pieces(spec),
    };
    let how = match extra {
        Extra::Pieces => Unroll {
            recompute: 1,
            states: 1,
            windows: 2,
        },
        _ => Unroll::default(),
    };
    // Plain descent keeps a step's error as small as the gradient's; Adam would turn the sign of a rounding into a step.
    let update = Update {
        rule: Rule::Sgd {
            momentum: 0.9,
            nesterov: true,
            weight_decay: 0.01,
        },
        clip_norm: 0.5,
        clip_value: 0.05,
    };
    let plan = Arc::new(spec.unrolled(Dims { steps, batch }, how, Mode::Train(update))?);
    let positions = how.windows * steps * batch;
    let init = Init {
        scheme: Scheme::Uniform,
        scale: 0.4,
        seed: 5,
        ..Init::default()
    };
    let parameters = initialize(&plan, &init)?;
    let gpu = Gpu::new(device.clone(), plan.clone()).await?;
    let mut twins = Twins::new(gpu, &parameters)?;
    let minibatches: Vec<Vec<u32>> = (0..STEPS).map(|n| ids(&plan, n)).collect();
    let apart = plan.io.targets.is_some();
    let starts = plan.packing.map(|p| p.falling());
    let inputs = |n: usize| Inputs {
        ids: &minibatches[n],
        // The tokens of another minibatch: none of them is the next input but by chance.
        targets: apart.then(|| &minibatches[(n + 1) % minibatches.len()][..positions]),
        weights: None,
        starts: starts.as_deref(),
        control: Control {
            key: key(5, Purpose::Dropout),
            step: [n as u32, 0],
            reset: u32::from(n == 0 || starts.is_some()),
        },
        hyper: Hyper {
            lr: 0.1,
            scale: 1.0 / positions as f64,
            update: n as f64 + 1.0,
            correction1: 1.0,
            correction2: 1.0,
        },
    };
    if let Some(from) = from {
        return twins.from_op(&inputs(0), from).await;
    }
    let mut rows = twins.operations(&inputs(0)).await?;
    rows.extend(twins.steps((1..minibatches.len()).map(inputs)).await?);
    Ok(rows)
}

/// With every form of dropout, every penalty that fits the cell, and targets that are not the next inputs.
fn regularized(spec: Spec) -> Spec {
    let fits = spec.cells.iter().all(|cell| Recurrent::propagates(cell));
    let propagation = if fits { 0.2 } else { 0.0 };
    Spec {
        drops: Drops {
            input: 0.2,
            tokens: 0.2,
            weights: 0.3,
            locked: true,
        },
        penalties: Penalties {
            activation: 0.5,
            temporal: 0.4,
            norm: 0.3,
            propagation,
        },
        targets_apart: true,
        ..spec
    }
}

fn noisy(spec: Spec) -> Spec {
    let noise = Noise {
        zoneout: 0.3,
        zoneout_memory: 0.2,
        recurrent: 0.25,
    };
    Spec { noise, ..spec }
}

/// With everything that stands between layers; a cell that uses x elementwise allows nothing that changes widths.
fn composed(spec: Spec) -> Spec {
    let widens = !spec.cells.iter().any(|cell| cell.raw_input);
    Spec {
        project: if widens { spec.hidden - 2 } else { 0 },
        bidirectional: widens,
        layer_norm: true,
        learn_initial: true,
        connections: Connections {
            residual: true,
            skip: widens,
        },
        ..spec
    }
}

/// With what makes a piece of a window another one than the first: noise that is counted by step, sums over all pieces.
fn pieces(spec: Spec) -> Spec {
    let spec = noisy(regularized(spec));
    Spec {
        learn_initial: true,
        drops: Drops {
            locked: false,
            ..spec.drops
        },
        penalties: Penalties {
            activation: 0.5,
            ..Penalties::default()
        },
        ..spec
    }
}

/// A made-up minibatch.
fn ids(plan: &Plan, seed: u64) -> Vec<u32> {
    let mut stream = Stream::new(seed, Purpose::Check, 0);
    let count = plan.io.ids.map_or(0, |ids| plan.slot(ids).len());
    (0..count)
        .map(|_| (stream.uniform() * VOCAB as f32) as u32)
        .collect()
}

fn value(row: &Row) -> Value {
    let (index, got, want) = row.worst;
    json!({
        "operation": row.op, "kind": row.kind, "shape": row.shape, "slot": row.slot, "nmse": row.nmse,
        "worst": {"index": index, "got": got.to_string(), "want": want.to_string()},
        "tolerance": row.tolerance, "faults": row.faults, "passed": row.passed(),
    })
}

fn print(title: &str, rows: &[Row]) -> Result<()> {
    out::line(&format!("\n{title}"))?;
    out::line(&format!(
        "  {:<32} {:<28} {:<18} {:>9} {:>34} {:>9}  verdict",
        "operation", "shape", "slot", "NMSE", "worst element: got, want", "tolerance"
    ))?;
    for row in rows {
        let (index, got, want) = row.worst;
        out::line(&format!(
            "  {:<32} {:<28} {:<18} {:>9.1e} {:>34} {:>9.1e}  {}",
            row.op,
            row.shape,
            row.slot,
            row.nmse,
            format!("[{index}] {got:.5e}, {want:.5e}"),
            row.tolerance,
            if row.passed() { "ok" } else { "MISMATCH" }
        ))?;
    }
    Ok(())
}
