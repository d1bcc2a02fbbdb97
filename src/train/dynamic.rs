//! Dynamic evaluation: a model that goes on learning from the text it is measured on, each segment after its loss is known.
//!
//! Source: Krause, Kahembwe, Murray, Renals, "Dynamic evaluation of neural sequence models" (2018). With eta the rate and
//! lambda the decay towards the trained parameters p0, after a segment with gradient g (of its mean loss):
//!   p = p - eta g + lambda (p0 - p)                                       without mean squares
//!   p = p - eta g / (sqrt(ms) + eps) + min(lambda r, 1) (p0 - p)          with them: equations 3 to 5
//! where ms are the mean squares of gradients over the text that the model was trained on, and r = sqrt(ms) / mean(sqrt(ms)).

use std::sync::Arc;

use super::evaluate::Evaluation;
use crate::data::Tokens;
use crate::error::{Error, Result};
use crate::exec::{Device, Engine};
use crate::model::{Dims, Drops, Mode, Penalties, Softmax, Spec};
use crate::op::{Plan, SlotId};
use crate::task::Inputs;

/// How a model learns while it is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dynamic {
    /// eta, the learning rate.
    pub lr: f64,
    /// lambda, the decay towards the trained parameters, in [0, 1].
    pub decay: f64,
    /// eps, added to the root of the mean squares.
    pub eps: f64,
}

/// Measures models of one specification, segment after segment of a text.
#[derive(Debug)]
pub struct Learner {
    plan: Arc<Plan>,
    steps: usize,
    engine: Option<Engine>,
}

impl Learner {
    /// For segments of `steps` = T tokens.
    ///
    /// # Errors
    /// Sizes that do not fit together.
    pub fn new(spec: &Spec, steps: usize) -> Result<Learner> {
        // What is measured is the model itself: no noise, no penalties, all symbols.
        let softmax = match &spec.softmax {
            Softmax::Sampled { .. } => Softmax::Full,
            other => other.clone(),
        };
        let spec = Spec {
            dropout: 0.0,
            drops: Drops::default(),
            penalties: Penalties::default(),
            still: true,
            softmax,
            sparse: false,
            targets_apart: false,
            packed: 0,
            weighted: true,
            ..spec.clone()
        };
        let plan = spec.plan(Dims { steps, batch: 1 }, Mode::Gradients)?;
        Ok(Learner {
            plan: Arc::new(plan),
            steps,
            engine: None,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    fn slots(&self) -> Result<[SlotId; 2]> {
        match (self.plan.io.parameters, self.plan.io.gradients) {
            (Some(parameters), Some(gradients)) => Ok([parameters, gradients]),
            _ => Err(Error::internal("the plan has no gradients")),
        }
    }

    async fn engine(&mut self, device: &Device) -> Result<&mut Engine> {
        if self.engine.is_none() {
            self.engine = Some(Engine::new(device, self.plan.clone()).await?);
        }
        self.engine
            .as_mut()
            .ok_or_else(|| Error::internal("no executor"))
    }

    /// Runs the segment of `text` that begins at token `at`: the sum of its losses and how many they are.
    async fn segment(&mut self, device: &Device, text: &Tokens, at: usize) -> Result<(f64, usize)> {
        let steps = self.steps;
        let count = steps.min(text.len() - 1 - at);
        let mut ids = vec![0; steps + 1];
        text.read(at, &mut ids[..=count])?;
        let weights: Vec<f32> = (0..steps)
            .map(|t| if t < count { 1.0 } else { 0.0 })
            .collect();
        let inputs = Inputs::new(&ids)
            .weights(Some(&weights))
            .reset(at == 0)
            .scale(1.0 / count as f64);
        let engine = self.engine(device).await?;
        engine.run(&inputs).await?;
        let outcomes = engine.outcomes(true).await?;
        Ok((outcomes.iter().map(|o| o.report.loss).sum(), count))
    }

    /// Where the segments of a text begin.
    fn starts(&self, text: &Tokens) -> Result<impl Iterator<Item = usize> + use<>> {
        if text.len() < 2 {
            return Err(Error::data(format!(
                "the text to evaluate has {} tokens, expected at least 2 (one to read, one to predict)",
                text.len()
            )));
        }
        Ok((0..text.len() - 1).step_by(self.steps))
    }

    /// The mean squares of the gradients of the flat `parameters` over the segments of `text`.
    ///
    /// # Errors
    /// A text of fewer than two tokens; gradients that are not finite; a lost device.
    pub async fn mean_squares(
        &mut self,
        device: &Device,
        parameters: &[f32],
        text: &Tokens,
    ) -> Result<Vec<f32>> {
        let [p, g] = self.slots()?;
        self.engine(device).await?.write(p, parameters).await?;
        let mut sums = vec![0.0f64; parameters.len()];
        let mut segments = 0;
        for at in self.starts(text)? {
            self.segment(device, text, at).await?;
            let gradients = self.engine(device).await?.read(g).await?;
            for (sum, g) in sums.iter_mut().zip(&gradients) {
                *sum += f64::from(*g) * f64::from(*g);
            }
            segments += 1;
        }
        let means: Vec<f32> = sums
            .iter()
            .map(|s| (s / f64::from(segments)) as f32)
            .collect();
        if means.iter().all(|m| m.is_finite()) {
            Ok(means)
        } else {
            Err(diverged("the gradients of the text to learn from"))
        }
    }

    /// The mean loss on `text` of a model that starts with the flat `parameters` and learns as `how` says, with mean
    /// squares if there are any.
    ///
    /// # Errors
    /// A text of fewer than two tokens; Diverged when a segment's loss is not finite; a lost device.
    pub async fn run(
        &mut self,
        device: &Device,
        parameters: &[f32],
        mean_squares: Option<&[f32]>,
        how: Dynamic,
        text: &Tokens,
    ) -> Result<Evaluation> {
        let [p, g] = self.slots()?;
        let (rates, decays) = factors(how, mean_squares, parameters.len());
        let mut now = parameters.to_vec();
        let (mut loss, mut count) = (0.0, 0);
        for at in self.starts(text)? {
            self.engine(device).await?.write(p, &now).await?;
            let (sum, predictions) = self.segment(device, text, at).await?;
            if !sum.is_finite() {
                return Err(diverged(&format!("the loss at token {at}")));
            }
            (loss, count) = (loss + sum, count + predictions);
            let gradients = self.engine(device).await?.read(g).await?;
            for (i, now) in now.iter_mut().enumerate() {
                let back = decays[i.min(decays.len() - 1)] * (parameters[i] - *now);
                *now += back - rates[i.min(rates.len() - 1)] * gradients[i];
            }
        }
        Ok(Evaluation::of(loss, count))
    }
}

/// What gradients and ways back are multiplied by: one number for all, or one each.
fn factors(how: Dynamic, mean_squares: Option<&[f32]>, len: usize) -> (Vec<f32>, Vec<f32>) {
    let Some(squares) = mean_squares else {
        return (vec![how.lr as f32], vec![how.decay as f32]);
    };
    let roots: Vec<f64> = squares.iter().map(|s| f64::from(*s).sqrt()).collect();
    let mean = roots.iter().sum::<f64>() / len as f64;
    let rates = roots.iter().map(|r| (how.lr / (r + how.eps)) as f32);
    let decay = |r: &f64| match mean {
        0.0 => how.decay,
        mean => (how.decay * r / mean).min(1.0),
    };
    let decays = roots.iter().map(|r| decay(r) as f32);
    (rates.collect(), decays.collect())
}

fn diverged(what: &str) -> Error {
    Error::new(
        crate::Kind::Diverged,
        format!("{what} is no longer finite; try a lower --dynamic rate"),
    )
}
