//! What a found cell must be before it is worth a training.

use std::sync::Arc;

use super::sketch::Sketch;
use crate::cell::Cell;
use crate::error::{Error, Result};
use crate::exec::cpu::Cpu;
use crate::model::{Dims, Init, Mode, Scheme, Spec, initialize};
use crate::op::{Parameter, Plan};
use crate::rng::{Purpose, Stream};
use crate::task::Inputs;

/// Sizes of the plan that gradients are looked for in.
const HIDDEN: usize = 5;
const SYMBOLS: usize = 4;
const STEPS: usize = 4;
const BATCH: usize = 3;

/// A cell with more learned numbers than this times H squared is too dear to measure: an LSTM has 8.
const MOST_PRODUCTS: usize = 12;

/// A cell that can be trained, with its hash.
#[derive(Clone, Debug)]
pub struct Sound {
    /// The cell.
    pub cell: Cell,
    /// The hash of its normal form.
    pub hash: u64,
}

/// The cell of a sketch, called `name`.
///
/// # Errors
/// Data, with what is wrong: no cell at all, a step that hangs on none before it or on no input, more products than are worth
/// their time, a parameter without a gradient.
pub fn sound(sketch: &Sketch, name: &str) -> Result<Sound> {
    let text = sketch.text();
    let cell = Cell::parse(name, &text)?;
    let normal = cell.normal();
    if let Some(idle) = normal.idle.first() {
        return Err(Error::data(format!(
            "{name}: the output does not hang on the {idle}"
        )));
    }
    if !normal.recurrent || !normal.reads_input {
        return Err(Error::data(format!(
            "{name}: expected a step that hangs on the input and on the step before it"
        )));
    }
    if cell.gates.len() > MOST_PRODUCTS {
        return Err(Error::data(format!(
            "{name}: expected at most {MOST_PRODUCTS} products, found {}",
            cell.gates.len()
        )));
    }
    if let Some(idle) = without_gradient(&cell)? {
        return Err(Error::data(format!("{name}: no gradient reaches {idle}")));
    }
    Ok(Sound {
        hash: normal.hash,
        cell,
    })
}

/// A parameter of the cell that no gradient reaches, at random weights and inputs.
fn without_gradient(cell: &Cell) -> Result<Option<String>> {
    let spec = Spec {
        vocab: SYMBOLS,
        cells: vec![Arc::new(cell.clone())],
        hidden: HIDDEN,
        embed: HIDDEN,
        ..Spec::default()
    };
    let dims = Dims {
        steps: STEPS,
        batch: BATCH,
    };
    let plan = Arc::new(spec.plan(dims, Mode::Gradients)?);
    let init = Init {
        scheme: Scheme::Uniform,
        scale: 1.0,
        ..Init::default()
    };
    let drawn = initialize(&plan, &init)?;
    let mut cpu = Cpu::<f64>::new(plan.clone());
    let (Some(parameters), Some(gradients)) = (plan.io.parameters, plan.io.gradients) else {
        return Err(Error::internal("the plan has no gradients"));
    };
    for (to, from) in cpu.write(parameters).iter_mut().zip(drawn) {
        *to = f64::from(from);
    }
    let mut stream = Stream::new(1, Purpose::Check, 0);
    let ids: Vec<u32> = (0..(STEPS + 1) * BATCH)
        .map(|_| stream.below(SYMBOLS as u64) as u32)
        .collect();
    let outcome = cpu.run(&Inputs::new(&ids).reset(true).scale(1.0))?;
    if !outcome.report.loss.is_finite() {
        return Ok(Some("anything: the loss is not finite".into()));
    }
    Ok(idle(&plan, cpu.read(gradients)))
}

/// The first block of a parameter whose gradients are all 0, or one that is not finite.
fn idle(plan: &Plan, gradients: &[f64]) -> Option<String> {
    let blocks = |parameter: &Parameter| {
        let (matrix, count) = (parameter.matrix, parameter.fill.len());
        let cols = matrix.cols / count;
        let name = parameter.name.clone();
        (0..count).map(move |block| (name.clone(), matrix.columns(block * cols, cols)))
    };
    let mut all = plan.parameters.iter().flat_map(blocks);
    let found = all.find(|(_, m)| {
        let rows = (0..m.rows).flat_map(|r| &gradients[m.offset + r * m.stride..][..m.cols]);
        let (mut some, mut finite) = (false, true);
        for g in rows {
            some |= *g != 0.0;
            finite &= g.is_finite();
        }
        !some || !finite
    });
    found.map(|(name, _)| name)
}
