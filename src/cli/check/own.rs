//! `train --check`: the run's own model against the plain code, before anything is trained.

use std::sync::Arc;

use pollster::block_on;
use wgrnn::data::fields::FieldCodes;
use wgrnn::exec::Device;
use wgrnn::model::text::{FieldSize, Model, Sizes};
use wgrnn::model::{Dims, Mode, Spec, Update};
use wgrnn::op::Plan;
use wgrnn::train::examples::sizes_for;
use wgrnn::train::{About, Job, ModelText, Settings, Symbols, unroll, update};
use wgrnn::{Error, Kind, Result};

use super::models::CheckedModel;
use super::passed;
use crate::cli::out;

/// Operations of a step that the plain code runs in a few seconds.
const AFFORDABLE: f64 = 3e8;

/// Refuses to train where an operation of the run's model, or a few whole steps, differ from the plain code.
pub fn check(
    device: &Device,
    job: &Job,
    about: &About,
    parameters: &[f32],
    quiet: bool,
) -> Result<()> {
    let Device::Gpu(gpu) = device else {
        let text = "--check: the run is on the processor; name an adapter with --device";
        return Err(Error::usage(text));
    };
    // What is trained with after this is what was checked.
    gpu.trust();
    let (model, at) = match &about.symbols {
        Symbols::Fields { model, codes } => of_fields(job, model, codes, parameters)?,
        Symbols::Text { .. } => {
            let model = model(&job.settings, &job.spec, &job.plan, parameters)?;
            let Dims { steps, batch } = model.dims;
            (model, format!("B {batch}, T {steps}"))
        }
    };
    let found = block_on(model.compare(gpu, None, false))?;
    let faults = found.rows.iter().filter(|row| !row.passed());
    let faults: Vec<String> = faults.map(|row| row.fault()).collect();
    if let Some(first) = faults.first() {
        return Err(Error::new(
            Kind::Device,
            format!(
                "--check: {}: {} of {} comparisons of this model failed, so nothing was trained; `wgrnn check --report \
                 FILE` looks at everything: {first}",
                gpu.adapter.name,
                faults.len(),
                found.rows.len()
            ),
        ));
    }
    if !quiet {
        out::note(&format!(
            "check: {} comparisons of this model at {at}, all within their tolerance{}",
            found.rows.len(),
            if passed::passed(&gpu.adapter) {
                "; the adapter passed the whole `wgrnn check`"
            } else {
                "; `wgrnn check` would look at everything"
            }
        ));
    }
    Ok(())
}

/// Examples of a minibatch of a model of fields, and the most tokens of one.
const EXAMPLES: usize = 4;
const TOKENS: usize = 5;

/// The run's model of fields with its own widths, codes and parameters, for few and short examples; and these sizes in words.
fn of_fields(
    job: &Job,
    text: &ModelText,
    codes: &FieldCodes,
    parameters: &[f32],
) -> Result<(CheckedModel, String)> {
    let model = Arc::new(text.model()?);
    let sizes = sizes_for(&model, codes, EXAMPLES, TOKENS)?;
    let checked = within(model, &job.spec, sizes, update(&job.settings), parameters);
    let at = format!("{EXAMPLES} examples of up to {TOKENS} tokens");
    Ok((checked, at))
}

/// A model of fields with these parameters, of which a minibatch has `sizes`.
fn within(
    model: Arc<Model>,
    spec: &Spec,
    sizes: Sizes,
    update: Update,
    parameters: &[f32],
) -> CheckedModel {
    let mut checked = CheckedModel::of_fields(model, spec.clone(), sizes);
    checked.update = update;
    checked.parameters = Some(parameters.to_vec());
    checked.steps = 2;
    checked
}

/// A model of fields with these parameters, for few and short examples of the same fields as those of `sizes`.
pub fn few(
    model: &Arc<Model>,
    spec: &Spec,
    sizes: &Sizes,
    update: Update,
    parameters: &[f32],
) -> CheckedModel {
    let mut sizes = sizes.clone();
    sizes.examples = sizes.examples.min(EXAMPLES);
    for size in &mut sizes.fields {
        if let FieldSize::Tokens { steps, rows, .. } = size {
            *steps = (*steps).min(TOKENS);
            // Every token may be a sequence itself.
            *rows = (*rows).min(sizes.examples * TOKENS * TOKENS);
        }
    }
    within(model.clone(), spec, sizes, update, parameters)
}

/// The run's model with its own widths, vocabulary and parameters; fewer steps and rows where the plain code would take
/// too long.
pub fn model(
    settings: &Settings,
    spec: &Spec,
    plan: &Plan,
    parameters: &[f32],
) -> Result<CheckedModel> {
    let mut model = CheckedModel {
        spec: spec.clone(),
        fields: None,
        dims: Dims {
            steps: settings.seq_len,
            batch: settings.batch,
        },
        how: unroll(settings),
        update: update(settings),
        parameters: Some(parameters.to_vec()),
        steps: 2,
        double: false,
        split: false,
        span: 0,
    };
    if let Some(packing) = plan.packing() {
        (model.dims.steps, model.dims.batch) = (packing.steps, packing.batch);
    }
    loop {
        let Dims { steps, batch } = model.dims;
        if plan.packing().is_some() {
            model.spec.packed = model.spec.packed.min(steps * batch);
        }
        let smaller = model
            .spec
            .unrolled(model.dims, model.how, Mode::Train(model.update));
        let cost: f64 = smaller?.ops.iter().map(|op| op.cost().flops).sum();
        match (cost > AFFORDABLE, steps > 4, batch > 3) {
            (true, true, _) => model.dims.steps = steps.div_ceil(2),
            (true, false, true) => model.dims.batch = batch.div_ceil(2),
            _ => return Ok(model),
        }
    }
}
