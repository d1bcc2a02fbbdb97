//! Plans that write the tokens of a field one at a time, for several beginnings of an example side by side.

use super::graph::Target;
use super::{FieldSize, Model, Sizes};
use crate::error::{Error, Result};
use crate::model::{Mode, Plan, Spec};

impl Model {
    /// The loss that predicts the next token, and the field of these.
    ///
    /// # Errors
    /// Usage, where there is none or where there are several.
    pub fn written(&self) -> Result<(usize, usize)> {
        let losses = self.losses.iter().enumerate();
        let next = losses.filter_map(|(n, loss)| match loss.target {
            Target::Next(field) => Some((n, field)),
            Target::Class(_) | Target::Numbers(_) | Target::Draws => None,
        });
        match next.collect::<Vec<_>>()[..] {
            [found] => Ok(found),
            _ => Err(Error::usage(format!(
                "model {}: expected one loss that predicts a next token",
                self.name
            ))),
        }
    }

    /// The plan that makes the scores of the next token of the field of [`Model::written`], whose sequences are written one
    /// token a run: `rows` beginnings side by side, of any of the examples, each of which goes on from one of the run before.
    /// The first run is of the whole plan, those behind it of its [steps](crate::op::StepPart). `sizes` are as for
    /// [`Model::plan`]; those of the written field do not count.
    ///
    /// # Errors
    /// As [`Model::written`] and [`Model::plan`].
    pub fn steps_plan(&self, spec: &Spec, sizes: &Sizes, rows: usize) -> Result<Plan> {
        let (loss, field) = self.written()?;
        let mut sizes = sizes.clone();
        if let Some(FieldSize::Tokens {
            steps, rows: most, ..
        }) = sizes.fields.get_mut(field)
        {
            (*steps, *most) = (1, rows);
        }
        let mut plan = self.plan_of(spec, &sizes, Mode::Scores, Some(field))?;
        let Some(scores) = plan.io.outputs[loss].scores else {
            return Err(Error::internal(
                "a plan without the scores of the next token",
            ));
        };
        plan.write_steps(&[scores]);
        Ok(plan)
    }
}
