//! Dynamic loss scaling: gradients in half precision are multiplied by a factor that keeps small ones above what f16 can
//! hold, as large as it can be without that large ones go beyond it. Micikevicius and others, "Mixed precision training"
//! (2018).
//!
//! The factor, and what an update that was left out must not change, live on the device: no step waits for the host.

use super::{Access, Cost, Hyper, Operand, Operation, Report, Segment, SlotId, bytes};
use crate::cell::real::Real;

/// Which end of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before the backward pass: the factor goes into the scale of the loss.
    Begin,
    /// After the norm: the next step's factor, and the corrections of the update that is made.
    End,
}

/// The factor is 2^(START + scaling `[0]`), so that a zeroed slot is a fresh start. Begin: hyper `[1]` *= factor, hyper
/// `[5]` = 1 / factor, hyper `[6]` = factor. End: after PERIOD good steps the factor doubles, after one whose gradient is
/// beyond f16 it halves; and a good step sets corrections c = 1 - beta^n, of n updates that were made, by
/// c = beta c + (1 - beta), in hyper `[3]` and `[4]`. The slot: exponent, good steps, c1, c2.
#[derive(Clone, Debug)]
pub struct LossScale {
    /// The name in the plan.
    pub name: String,
    /// Which end of a step.
    pub phase: Phase,
    /// The slot of hyper-parameters, which is changed.
    pub hyper: SlotId,
    /// What is kept from step to step.
    pub scaling: SlotId,
    /// The report of this step.
    pub report: SlotId,
    /// Adam's two; 0 for other rules.
    pub betas: [f64; 2],
}

impl LossScale {
    /// The numbers in the slot.
    pub const NUMBERS: usize = 4;
    /// The exponent of the first factor: 2^15.
    pub const START: f64 = 15.0;
    /// Good steps until the factor doubles.
    pub const PERIOD: f64 = 2000.0;
    /// The largest exponent; the least is 0, where a gradient that is not finite is no matter of f16's range.
    pub const MOST: f64 = 24.0;
    /// What a report says of a step that was left out, in place of 1 or 0 for finite or not.
    pub const BEYOND: f64 = -1.0;

    /// What is wrong with a slot's contents, if anything.
    pub fn fault(scaling: &[f32]) -> Option<String> {
        let [exponent, good, c1, c2] = *scaling else {
            return Some(format!("expected 4 numbers, found {}", scaling.len()));
        };
        let exponent = f64::from(exponent) + Self::START;
        let fits = (0.0..=Self::MOST).contains(&exponent) && exponent.fract() == 0.0;
        let rest = (0.0..=Self::PERIOD).contains(&f64::from(good))
            && [c1, c2].iter().all(|c| (0.0..=1.0).contains(c));
        (!fits || !rest)
            .then(|| format!("expected an exponent, steps and two corrections, found {scaling:?}"))
    }

    /// The plain code.
    pub fn plain<F: Real>(&self, hyper: &mut [F], scaling: &mut [F], report: &[F]) {
        let exponent = scaling[0].f64() + Self::START;
        match self.phase {
            Phase::Begin => {
                let factor = exponent.exp2();
                hyper[1] = hyper[1] * F::of(factor);
                (hyper[5], hyper[6]) = (F::of(1.0 / factor), F::of(factor));
            }
            Phase::End if report[2] == F::ONE => {
                for (n, beta) in self.betas.into_iter().enumerate() {
                    scaling[2 + n] = F::of(beta) * scaling[2 + n] + F::of(1.0 - beta);
                    hyper[3 + n] = scaling[2 + n];
                }
                scaling[1] += F::ONE;
                if scaling[1] >= F::of(Self::PERIOD) {
                    scaling[1] = F::ZERO;
                    scaling[0] = F::of((exponent + 1.0).min(Self::MOST) - Self::START);
                }
            }
            Phase::End if report[2] == F::of(Self::BEYOND) => {
                scaling[1] = F::ZERO;
                scaling[0] = F::of((exponent - 1.0).max(0.0) - Self::START);
            }
            Phase::End => {}
        }
    }
}

impl Operation for LossScale {
    const KIND: &'static str = "loss_scale";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let hyper = Operand::slot(self.hyper, Hyper::NUMBERS).with(Access::Update);
        let scaling = Operand::slot(self.scaling, Self::NUMBERS);
        match self.phase {
            Phase::Begin => vec![hyper, scaling],
            Phase::End => vec![
                hyper,
                scaling.with(Access::Update),
                Operand::slot(self.report, Report::NUMBERS),
            ],
        }
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: 4.0,
            bytes: bytes(Hyper::NUMBERS + Self::NUMBERS),
        }
    }

    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    fn shape(&self) -> String {
        Self::NUMBERS.to_string()
    }

    fn sum_length(&self) -> usize {
        16
    }

    fn place(&mut self, _: Segment) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn op(phase: Phase) -> LossScale {
        LossScale {
            name: "loss-scale".into(),
            phase,
            hyper: SlotId(0),
            scaling: SlotId(1),
            report: SlotId(2),
            betas: [0.9, 0.999],
        }
    }

    #[test]
    fn a_zeroed_slot_is_a_fresh_start_and_the_factor_goes_into_the_scale() {
        let mut hyper = [0.1, 0.25, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        op(Phase::Begin).plain(&mut hyper, &mut [0.0f64; 4], &[]);
        assert_eq!(hyper[1], 0.25 * 32768.0);
        assert_eq!((hyper[5], hyper[6]), (1.0 / 32768.0, 32768.0));
    }

    #[test]
    fn corrections_are_those_of_the_updates_that_were_made() {
        let rule = crate::op::Rule::Adam {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            decoupled: false,
        };
        let (mut hyper, mut scaling) = ([0.0f32; 8], [0.0f32; 4]);
        let mut made = 0;
        for step in 0..5000 {
            let beyond = step % 7 == 3;
            let says = if beyond { -1.0 } else { 1.0 };
            made += u64::from(!beyond);
            op(Phase::End).plain(&mut hyper, &mut scaling, &[1.0, 1.0, says, 0.0]);
            let (c1, c2) = rule.corrections(made);
            for (got, want) in [(hyper[3], c1), (hyper[4], c2)] {
                // A few hundred roundings of 2^-24 at most are remembered.
                assert!((f64::from(got) / want - 1.0).abs() < 2e-5, "step {step}");
            }
        }
    }

    #[test]
    fn the_factor_halves_and_doubles_within_its_bounds() {
        let (mut hyper, mut scaling) = ([0.0f64; 8], [0.0; 4]);
        let mut step = |says: f64, times: usize| {
            for _ in 0..times {
                op(Phase::End).plain(&mut hyper, &mut scaling, &[1.0, 1.0, says, 0.0]);
            }
            (scaling[0], scaling[1])
        };
        assert_eq!(step(1.0, 1999), (0.0, 1999.0));
        assert_eq!(step(-1.0, 1), (-1.0, 0.0));
        assert_eq!(step(1.0, 2000), (0.0, 0.0));
        assert_eq!(step(1.0, 2000), (1.0, 0.0));
        assert_eq!(step(1.0, 40_000), (9.0, 0.0));
        // Not finite for another reason: nothing changes.
        assert_eq!(step(0.0, 1), (9.0, 0.0));
        assert_eq!(step(-1.0, 100), (-15.0, 0.0));
    }

    #[test]
    fn contents_that_no_run_could_leave_are_faults() {
        assert_eq!(LossScale::fault(&[9.0, 12.0, 0.5, 0.001]), None);
        assert_eq!(LossScale::fault(&[-15.0, 0.0, 0.0, 1.0]), None);
        for bad in [
            [0.5, 0.0, 0.0, 0.0],
            [10.0, 0.0, 0.0, 0.0],
            [-16.0, 0.0, 0.0, 0.0],
            [f32::NAN, 0.0, 0.0, 0.0],
            [0.0, -1.0, 0.0, 0.0],
            [0.0, 0.0, 1.5, 0.0],
            [0.0, 0.0, 0.0, f32::NAN],
        ] {
            assert!(LossScale::fault(&bad).is_some(), "{bad:?}");
        }
        assert!(LossScale::fault(&[0.0; 3]).is_some());
    }
}
