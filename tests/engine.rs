//! The engine against the plain-Rust oracles (tests/oracle) in f64: a stack of layers in a language model, at odd shapes
//! and random values: outputs, final states, losses, and every gradient.
//!
//! dx of the first layer is seen through the embedding: a token's row gets the sum of the dx of its places.

mod golden;
mod oracle;

use std::collections::BTreeMap;
use std::sync::Arc;

use golden::assert_close;
use oracle::head::head;
use oracle::layer::{Cell, Layer};
use wgrnn::cell::library;
use wgrnn::exec::cpu::Cpu;
use wgrnn::model::{self, Dims, Mode, Spec, Tensor};
use wgrnn::rng::{Purpose, Stream};
use wgrnn::task::Inputs;

/// Sums of a few dozen terms in another order, through at most 19 steps.
const TOLERANCE: f64 = 1e-12;

/// What every layer and the whole model make: name -> values.
type Values = BTreeMap<String, Vec<f64>>;
type Parameters = BTreeMap<String, Tensor<f64>>;

#[derive(Clone, Copy, Debug)]
struct Shape {
    layers: usize,
    vocab: usize,
    embed: usize,
    hidden: usize,
    batch: usize,
    steps: usize,
}

/// With 21 symbols and 6 rows the engine gathers embedded rows, with few symbols it multiplies the whole table.
const SHAPES: [Shape; 5] = [
    shape(1, 5, 3, 7, 3, 4),
    shape(2, 21, 5, 3, 2, 3),
    shape(3, 4, 2, 5, 1, 9),
    shape(1, 2, 1, 1, 1, 1),
    shape(2, 7, 9, 13, 5, 19),
];

const fn shape(
    layers: usize,
    vocab: usize,
    embed: usize,
    hidden: usize,
    batch: usize,
    steps: usize,
) -> Shape {
    Shape {
        layers,
        vocab,
        embed,
        hidden,
        batch,
        steps,
    }
}

/// The whole model by oracles; `initial` is by layer and state.
fn want(
    cell: &'static dyn Cell,
    shape: Shape,
    values: &Parameters,
    initial: &[Vec<Vec<f64>>],
    ids: &[u32],
) -> Values {
    let (t, b) = (shape.steps, shape.batch);
    let rows = t * b;
    let table = &values["embedding.weight"].data;
    let row = |id: &u32| &table[*id as usize * shape.embed..][..shape.embed];
    let mut x: Vec<f64> = ids[..rows].iter().flat_map(row).copied().collect();
    let mut layers = Vec::new();
    let mut out = Values::new();
    for (l, initial) in initial.iter().enumerate() {
        let parameters = cell.parameters(x.len() / rows, shape.hidden).into_iter();
        let get = |(name, _)| (name, values[&format!("rnn.{name}_l{l}")].data.clone());
        let layer = Layer {
            cell,
            p: parameters.map(get).collect(),
        };
        let run = layer.forward(&x, t, b, initial);
        x = run.y.clone();
        for (s, last) in run.last.iter().enumerate() {
            out.insert(format!("last.{s}.{l}"), last.clone());
        }
        out.insert(format!("output.{l}"), x.clone());
        layers.push((layer, run));
    }
    let (weight, bias) = (&values["head.weight"].data, &values["head.bias"].data);
    let end = head(weight, bias, &x, &ids[shape.batch..]);
    out.insert("losses".into(), end.logprob.iter().map(|p| -p).collect());
    out.insert("grad.head.weight".into(), end.dw);
    out.insert("grad.head.bias".into(), end.db);
    let mut dy = end.dy;
    for (l, (layer, run)) in layers.iter().enumerate().rev() {
        let nothing: Vec<Vec<f64>> = run.last.iter().map(|v| vec![0.0; v.len()]).collect();
        let got = layer.backward(run, &dy, &nothing);
        for (name, values) in got.d {
            out.insert(format!("grad.rnn.{name}_l{l}"), values);
        }
        for (s, values) in got.initial.into_iter().enumerate() {
            out.insert(format!("grad.state.{s}.{l}"), values);
        }
        dy = got.dx;
    }
    let mut dtable = vec![0.0; table.len()];
    for (row, id) in ids[..rows].iter().enumerate() {
        for k in 0..shape.embed {
            dtable[*id as usize * shape.embed + k] += dy[row * shape.embed + k];
        }
    }
    out.insert("grad.embedding.weight".into(), dtable);
    out
}

fn engine_agrees(cell: &'static dyn Cell, shape: Shape, fast: bool, seed: u64) -> f64 {
    let parsed = Arc::new(library::builtin(cell.name()).unwrap());
    assert_eq!(parsed.states, cell.states());
    let shape = Shape {
        embed: cell.width(shape.embed, shape.hidden),
        ..shape
    };
    let spec = Spec {
        vocab: shape.vocab,
        cells: vec![parsed; shape.layers],
        hidden: shape.hidden,
        embed: shape.embed,
        ..Spec::default()
    };
    let dims = Dims {
        steps: shape.steps,
        batch: shape.batch,
    };
    let plan = Arc::new(spec.plan(dims, Mode::Gradients).unwrap());
    let mut stream = Stream::new(seed, Purpose::Check, 0);
    let flat: Vec<f64> = (0..plan.arena).map(|_| 0.7 * stream.normal()).collect();
    let plane = shape.batch * shape.hidden;
    let ids: Vec<u32> = (0..(shape.steps + 1) * shape.batch)
        .map(|_| (stream.uniform() * shape.vocab as f32) as u32)
        .collect();
    let mut cpu = if fast {
        Cpu::<f64>::new(plan.clone())
    } else {
        Cpu::plain(plan.clone())
    };
    cpu.write(plan.io.parameters.unwrap())
        .copy_from_slice(&flat);
    // A run that does not reset takes its first states from the last step of the slots [S, T+1, B, H].
    let at = |s: usize, t: usize| (s * (shape.steps + 1) + t) * plane;
    let mut initial = Vec::new();
    for layout in &plan.io.states {
        let (slot, states) = (layout.slot, layout.states);
        let mut of_layer = Vec::new();
        for s in 0..states {
            let values: Vec<f64> = (0..plane)
                .map(|_| cell.initial(s, 0.5 * stream.normal()))
                .collect();
            cpu.write(slot)[at(s, shape.steps)..][..plane].copy_from_slice(&values);
            of_layer.push(values);
        }
        initial.push(of_layer);
    }
    let inputs = Inputs::new(&ids).scale(1.0 / (shape.steps * shape.batch) as f64);
    cpu.run(&inputs).unwrap();

    let mut got = Values::new();
    got.insert("losses".into(), cpu.read(plan.io.losses.unwrap()).to_vec());
    for (name, tensor) in model::export(&plan, cpu.read(plan.io.gradients.unwrap())) {
        got.insert(format!("grad.{name}"), tensor.data);
    }
    for (l, layout) in plan.io.states.iter().enumerate() {
        let all = cpu.read(layout.slot);
        got.insert(format!("output.{l}"), all[at(0, 1)..at(1, 0)].to_vec());
        // The backward pass runs from the top layer down.
        let m = plan.io.initial[shape.layers - 1 - l];
        for s in 0..initial[l].len() {
            got.insert(
                format!("last.{s}.{l}"),
                all[at(s, shape.steps)..][..plane].to_vec(),
            );
            let gradient = cpu.read(m.slot)[m.offset + s * plane..][..plane].to_vec();
            got.insert(format!("grad.state.{s}.{l}"), gradient);
        }
    }
    let values = model::export(&plan, &flat);
    let want = want(cell, shape, &values, &initial, &ids);
    assert_eq!(
        got.keys().collect::<Vec<_>>(),
        want.keys().collect::<Vec<_>>()
    );
    got.iter().fold(0.0, |worst, (name, got)| {
        let what = format!("{} {shape:?} fast {fast}: {name}", cell.name());
        f64::max(worst, assert_close(&what, got, &want[name], TOLERANCE))
    })
}

fn cell_agrees(cell: &'static dyn Cell) {
    let mut worst = 0.0;
    for (seed, shape) in SHAPES.into_iter().enumerate() {
        for fast in [true, false] {
            worst = f64::max(worst, engine_agrees(cell, shape, fast, seed as u64));
        }
    }
    println!("{}: worst relative error {worst:.2e}", cell.name());
}

macro_rules! agrees {
    ($($cell:ident: $oracle:expr,)+) => {$(
        #[test]
        fn $cell() {
            cell_agrees(&$oracle);
        }
    )+};
}

/// One test a cell.
mod agrees_with_its_oracle {
    use super::cell_agrees;
    use super::oracle::*;

    agrees! {
        lstm: lstm::Lstm,
        gru_cho: gru_cho::GruCho,
        lstm_peephole: lstm_peephole::LstmPeephole,
        lstm_fgr: lstm_fgr::LstmFgr,
        mut1: mut1::Mut1,
        slstm: slstm::Slstm,
    }
}
