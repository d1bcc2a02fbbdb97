//! A training that is followed to its end.

use pollster::block_on;

use crate::error::{Kind, Result};
use crate::exec::Device;
use crate::train::{Evaluation, Event, Figures, Job, State, Trainer};

/// What a training came to.
#[derive(Debug)]
pub struct Course {
    /// Of every update.
    pub figures: Vec<Figures>,
    /// Updates, and what held-out examples came to after them.
    pub curve: Vec<(u64, Evaluation)>,
    /// Whether it diverged.
    pub diverged: bool,
    /// The flat parameters after the last update.
    pub parameters: Vec<f32>,
}

impl Course {
    /// Trains `job` on `device` from `state`, until what is held out has a loss of `enough`, or the job is over.
    ///
    /// # Errors
    /// What the trainer ends with, a lost device too, but for what diverged.
    pub fn follow(device: &Device, job: Job, state: State, enough: Option<f64>) -> Result<Course> {
        block_on(async {
            let mut trainer = Trainer::new(device.clone(), job, state).await?;
            let (mut figures, mut curve, mut diverged) = (Vec::new(), Vec::new(), false);
            loop {
                match trainer.next(0.0, false).await {
                    Ok(Event::Steps(steps)) => figures.extend(steps),
                    Ok(Event::Evaluated {
                        step, evaluation, ..
                    }) => {
                        curve.push((step, evaluation));
                        if enough.is_some_and(|enough| evaluation.nats <= enough) {
                            break;
                        }
                    }
                    Ok(Event::Finished) => break,
                    Ok(Event::Save { .. } | Event::Sample { .. }) => {}
                    Err(e) if e.kind == Kind::Diverged => {
                        diverged = true;
                        break;
                    }
                    Err(e) => return Err(e),
                }
            }
            let parameters = trainer.state().await?.parameters;
            Ok(Course {
                figures,
                curve,
                diverged,
                parameters,
            })
        })
    }

    /// After how many updates what is held out was last looked at, and its loss then, which is infinite where training diverged.
    pub fn last(&self) -> (u64, f64) {
        let (updates, nats) = self
            .curve
            .last()
            .map_or((0, f64::INFINITY), |(updates, e)| (*updates, e.nats));
        (updates, if self.diverged { f64::INFINITY } else { nats })
    }

    /// The least loss of what is held out; infinite where training diverged.
    pub fn least(&self) -> f64 {
        let all = self.curve.iter().map(|(_, e)| e.nats);
        match self.last().1.is_finite() {
            true => all.fold(f64::INFINITY, f64::min),
            false => f64::INFINITY,
        }
    }
}
