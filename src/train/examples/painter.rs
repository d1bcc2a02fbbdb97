//! Images that a model makes of draws: those of examples again, or new ones of draws from the unit Gaussian.

use std::sync::Arc;

use super::{ExampleSet, sizes_for};
use crate::data::BatchSize;
use crate::data::fields::FieldCodes;
use crate::error::{Error, Result};
use crate::exec::{Device, Engine};
use crate::model::text::{Model, Painting};
use crate::model::{Mode, Spec};
use crate::op::{FieldShape, Matrix, Plan};
use crate::rng::{self, Purpose};
use crate::task::{Column, Minibatch, Weighting};

/// Images at once.
const TOGETHER: usize = 64;

/// An image round by round, the last of them the image itself; one where the model has no rounds. Of bits they are
/// probabilities.
pub type Canvases = Vec<Vec<f32>>;

/// What is painted.
#[derive(Clone, Copy, Debug)]
pub enum Paint<'a> {
    /// The images of examples, by draws that the model makes of them.
    Again(&'a ExampleSet),
    /// So many new ones.
    New(usize),
}

/// Paints with a model and its flat parameters, which `weights` gives for a plan; the draws are those of `seed`.
///
/// # Errors
/// Usage, for a model that paints nothing, and for new images of one that reads anything but vectors; a device that cannot hold it.
pub async fn paint(
    device: &Device,
    (model, spec): (&Model, &Spec),
    codes: &FieldCodes,
    paint: Paint<'_>,
    seed: u64,
    weights: impl FnOnce(&Plan) -> Result<Vec<f32>>,
) -> Result<Vec<Canvases>> {
    let Some(painting) = model.painting() else {
        return Err(Error::usage(format!(
            "model {}: expected one that makes vectors of draws",
            model.name
        )));
    };
    let (sizes, count) = match paint {
        Paint::Again(set) => (
            set.sizes(codes, BatchSize::Sentences(TOGETHER.min(set.len())))?,
            set.len(),
        ),
        Paint::New(count) => (sizes_for(model, codes, TOGETHER.min(count), 1)?, count),
    };
    let spec = Spec {
        prior: matches!(paint, Paint::New(_)),
        ..spec.clone()
    };
    let plan = Arc::new(model.plan(&spec, &sizes, Mode::Scores)?);
    let weights = weights(&plan)?;
    let mut engine = Engine::with_parameters(device, plan.clone(), &weights).await?;
    let key = rng::key(seed, Purpose::Draw);
    let all: Vec<u32> = (0..count as u32).collect();
    let mut painted = Vec::new();
    for (number, images) in all.chunks(TOGETHER).enumerate() {
        let columns = match paint {
            Paint::Again(set) => set.columns(images)?,
            Paint::New(_) => nothing(model, &plan, images.len())?,
        };
        let minibatch = Minibatch::new(&plan, &columns, &Weighting::Sums)?;
        let inputs = minibatch.inputs().draws(key, number as u64);
        engine.run(&inputs).await?;
        engine.outcomes(true).await?;
        painted.extend(read(&mut engine, &plan, &minibatch, painting).await?);
    }
    Ok(painted)
}

/// Vectors of 0, which nothing that is painted hangs on.
fn nothing(model: &Model, plan: &Plan, count: usize) -> Result<Vec<Column>> {
    let of = |field: &FieldShape| match field {
        FieldShape::Vector { width } => Ok(Column::Vector(vec![vec![0.0; *width]; count])),
        _ => Err(Error::usage(format!(
            "model {}: expected one whose fields are vectors, as new images are made of draws alone",
            model.name
        ))),
    };
    plan.recipes.fields.iter().map(of).collect()
}

/// The canvases of a minibatch, in the order of its examples.
async fn read(
    engine: &mut Engine,
    plan: &Plan,
    minibatch: &Minibatch,
    painting: Painting,
) -> Result<Vec<Canvases>> {
    let output = &plan.io.outputs[painting.loss];
    let last = output.values.first().copied().flatten();
    let rounds: Vec<Matrix> = output.rounds.iter().copied().chain(last).collect();
    let places = minibatch.places(painting.loss);
    let mut images = vec![Canvases::new(); places.len()];
    for m in rounds {
        let slot = engine.read(m.slot).await?;
        for (row, (example, _)) in places.iter().enumerate() {
            let numbers = slot[m.offset + row * m.stride..][..m.cols].iter();
            let probability = |score: &f32| 1.0 / (1.0 + (-score).exp());
            images[*example].push(match painting.bits {
                true => numbers.map(probability).collect(),
                false => numbers.copied().collect(),
            });
        }
    }
    Ok(images)
}
