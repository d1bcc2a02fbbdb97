//! Clipping and the optimisers, over the flat arenas. A step whose report is not finite changes nothing.

use super::split::each;
use super::{
    Access, Cost, Hyper, Limits, Matrix, Norm, Operand, Operation, Report, Segment, SlotId, bytes,
};
use crate::cell::real::Real;

/// An update rule. Names and defaults of the hyper-parameters are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// b = momentum b + g; p -= lr (g + momentum b) with Nesterov, else p -= lr b.
    Sgd {
        /// The share of the buffer that stays; 0 keeps no buffer.
        momentum: f64,
        /// Nesterov's look ahead.
        nesterov: bool,
        /// Added to the gradient, times the parameter.
        weight_decay: f64,
    },
    /// s += g^2; p -= lr g / (sqrt(s) + eps). Duchi 2011.
    Adagrad {
        /// Added to the root.
        eps: f64,
        /// Added to the gradient, times the parameter.
        weight_decay: f64,
    },
    /// s = alpha s + (1 - alpha) g^2; p -= lr g / (sqrt(s) + eps), through a momentum buffer where momentum > 0.
    /// Tieleman and Hinton 2012.
    RmsProp {
        /// The share of the running mean that stays.
        alpha: f64,
        /// Added to the root.
        eps: f64,
        /// The share of the buffer that stays; 0 keeps no buffer.
        momentum: f64,
        /// Added to the gradient, times the parameter.
        weight_decay: f64,
    },
    /// Kingma and Ba 2015; with `decoupled` decay, Loshchilov and Hutter 2019.
    Adam {
        /// The share of the first moment that stays.
        beta1: f64,
        /// The share of the second moment that stays.
        beta2: f64,
        /// Added to the root.
        eps: f64,
        /// Added to the gradient (Adam), or taken from the parameter (AdamW), times the parameter.
        weight_decay: f64,
        /// AdamW: the decay acts on the parameter.
        decoupled: bool,
    },
}

impl Rule {
    /// The flat arenas that the rule keeps, by PyTorch's names.
    pub fn arenas(&self) -> &'static [&'static str] {
        match self {
            Rule::Sgd { momentum: 0.0, .. } => &[],
            Rule::Sgd { .. } => &["momentum_buffer"],
            Rule::Adagrad { .. } => &["sum"],
            Rule::RmsProp { momentum: 0.0, .. } => &["square_avg"],
            Rule::RmsProp { .. } => &["square_avg", "momentum_buffer"],
            Rule::Adam { .. } => &["exp_avg", "exp_avg_sq"],
        }
    }

    /// Whether the rule leaves a parameter whose gradient is 0 as it is, so that only rows in use need an update: descent without momentum, and Adagrad, both without weight decay.
    pub fn rests(&self) -> bool {
        match self {
            Rule::Sgd {
                momentum,
                weight_decay,
                ..
            } => *momentum == 0.0 && *weight_decay == 0.0,
            Rule::Adagrad { weight_decay, .. } => *weight_decay == 0.0,
            Rule::RmsProp { .. } | Rule::Adam { .. } => false,
        }
    }

    /// 1 - beta1^update and 1 - beta2^update for Adam, else 1 and 1.
    pub fn corrections(&self, update: u64) -> (f64, f64) {
        match self {
            Rule::Adam { beta1, beta2, .. } => (
                1.0 - beta1.powf(update as f64),
                1.0 - beta2.powf(update as f64),
            ),
            _ => (1.0, 1.0),
        }
    }
}

/// Clips the gradient by value, then by the norm of what is left, and applies the rule.
#[derive(Clone, Debug)]
pub struct Optimizer {
    /// The name in the plan.
    pub name: String,
    /// The rule.
    pub rule: Rule,
    /// Gradients are scaled so that their norm is at most this; 0 leaves them. The norm is the report's, which is that of
    /// the gradients cut by `clip_value`.
    pub clip_norm: f64,
    /// Every element of the gradient is clamped to [-v, v]; 0 leaves it.
    pub clip_value: f64,
    /// The flat parameters.
    pub parameters: Matrix,
    /// The flat gradients, which stay as they were.
    pub gradients: Matrix,
    /// The rule's arenas, in its order.
    pub arenas: Vec<Matrix>,
    /// The slot of hyper-parameters.
    pub hyper: SlotId,
    /// The report of this step.
    pub report: SlotId,
    /// Whether the gradients are multiplied by a factor, of which the hyper-parameters hold the inverse.
    pub scaled: bool,
    /// The norm whose last part is done here: the report is then made before it is read.
    pub ends: Option<Norm>,
}

impl Optimizer {
    /// What the gradient is multiplied by for its norm to be at most `clip_norm`; PyTorch's formula.
    #[inline(always)]
    fn norm_scale<F: Real>(&self, norm: F) -> F {
        let scale = F::of(self.clip_norm) / (norm + F::of(1e-6));
        if self.clip_norm > 0.0 && scale < F::ONE {
            scale
        } else {
            F::ONE
        }
    }

    /// The plain code over a run of elements; `arenas` are the rule's, cut to the same run; `hyper` and `report` are the
    /// slots' contents.
    #[inline(always)]
    pub fn plain<F: Real>(
        &self,
        p: &mut [F],
        g: &[F],
        arenas: [&mut [F]; 2],
        hyper: &[F],
        report: &[F],
    ) {
        if report[2] != F::ONE {
            return;
        }
        let lr = hyper[0];
        let (c1, c2) = (hyper[3], hyper[4]);
        let clip = Clip {
            value: F::of(self.clip_value),
            scale: self.norm_scale(report[1]),
            rest: if self.scaled { hyper[5] } else { F::ONE },
        };
        let [a, b] = arenas;
        let decay = |wd: f64, g: F, p: F| {
            if wd == 0.0 { g } else { g + F::of(wd) * p }
        };
        match self.rule {
            Rule::Sgd {
                momentum,
                nesterov,
                weight_decay,
            } => {
                let mu = F::of(momentum);
                for (i, (p, g)) in p.iter_mut().zip(g).enumerate() {
                    let g = decay(weight_decay, clip.apply(*g), *p);
                    let step = if momentum == 0.0 {
                        g
                    } else {
                        // PyTorch's buffer starts as the first gradient, which is what 0 momentum + g gives.
                        a[i] = mu * a[i] + g;
                        if nesterov { g + mu * a[i] } else { a[i] }
                    };
                    *p = *p - lr * step;
                }
            }
            Rule::Adagrad { eps, weight_decay } => {
                let eps = F::of(eps);
                for ((p, g), s) in p.iter_mut().zip(g).zip(a) {
                    let g = decay(weight_decay, clip.apply(*g), *p);
                    *s += g * g;
                    *p = *p - lr * g / (s.sqrt() + eps);
                }
            }
            Rule::RmsProp {
                alpha,
                eps,
                momentum,
                weight_decay,
            } => {
                let (rest, mu) = (F::of(1.0 - alpha), F::of(momentum));
                let (alpha, eps) = (F::of(alpha), F::of(eps));
                for (i, ((p, g), s)) in p.iter_mut().zip(g).zip(a).enumerate() {
                    let g = decay(weight_decay, clip.apply(*g), *p);
                    *s = alpha * *s + rest * g * g;
                    let mut step = g / (s.sqrt() + eps);
                    if momentum > 0.0 {
                        b[i] = mu * b[i] + step;
                        step = b[i];
                    }
                    *p = *p - lr * step;
                }
            }
            Rule::Adam {
                beta1,
                beta2,
                eps,
                weight_decay,
                decoupled,
            } => {
                // Rounded once: in f32 the rest of a rounded 0.999 is 1e-5 off, and every step with it.
                let (rest1, rest2) = (F::of(1.0 - beta1), F::of(1.0 - beta2));
                let (b1, b2, eps) = (F::of(beta1), F::of(beta2), F::of(eps));
                let (rate, root) = (lr / c1, c2.sqrt());
                let keep = F::ONE - lr * F::of(weight_decay);
                for (((p, g), m), v) in p.iter_mut().zip(g).zip(a).zip(b) {
                    let mut g = clip.apply(*g);
                    if decoupled {
                        *p = *p * keep;
                    } else {
                        g = decay(weight_decay, g, *p);
                    }
                    *m = b1 * *m + rest1 * g;
                    *v = b2 * *v + rest2 * g * g;
                    *p = *p - rate * *m / (v.sqrt() / root + eps);
                }
            }
        }
    }
}

impl Operation for Optimizer {
    const KIND: &'static str = "optimizer";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let mut operands = vec![
            Operand::update(&mut self.parameters),
            Operand::read(&mut self.gradients),
            Operand::slot(self.hyper, Hyper::NUMBERS),
        ];
        let report = Operand::slot(self.report, Report::NUMBERS);
        operands.push(match &self.ends {
            None => report,
            Some(_) => report.with(Access::Write).sum(),
        });
        let partials = |norm: &Norm| Operand::slot(norm.partials, norm.partial_count()).sum();
        operands.extend(self.ends.as_ref().map(partials));
        operands.extend(self.arenas.iter_mut().map(Operand::update));
        operands
    }

    fn cost(&self) -> Cost {
        let n = self.parameters.cols;
        Cost {
            flops: 10.0 * n as f64,
            bytes: bytes(n * (3 + 2 * self.arenas.len())),
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.arenas.len() != self.rule.arenas().len() {
            return Err(format!(
                "expected {} arenas, found {}",
                self.rule.arenas().len(),
                self.arenas.len()
            ));
        }
        Ok(())
    }

    fn shape(&self) -> String {
        format!("{}", self.parameters.cols)
    }

    fn sum_length(&self) -> usize {
        16
    }

    fn split(&self, limits: &dyn Limits) -> Vec<Optimizer> {
        each(limits.columns(&self.parameters, 64), |first, count| {
            let columns = |m: &Matrix| m.columns(first, count);
            Optimizer {
                // The first part has made the report.
                ends: self.ends.clone().filter(|_| first == 0),
                parameters: columns(&self.parameters),
                gradients: columns(&self.gradients),
                arenas: self.arenas.iter().map(columns).collect(),
                ..self.clone()
            }
        })
    }

    fn place(&mut self, _: Segment) {}
}

struct Clip<F> {
    value: F,
    scale: F,
    /// 1 over the factor of the gradients.
    rest: F,
}

impl<F: Real> Clip<F> {
    #[inline(always)]
    fn apply(&self, g: F) -> F {
        let mut g = g * self.rest;
        if self.value > F::ZERO {
            if g > self.value {
                g = self.value;
            }
            if g < -self.value {
                g = -self.value;
            }
        }
        g * self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LossScale, Norm};
    use super::*;

    fn rules() -> Vec<Rule> {
        let (eps, weight_decay) = (1e-8, 0.1);
        vec![
            Rule::Sgd {
                momentum: 0.9,
                nesterov: true,
                weight_decay,
            },
            Rule::Adagrad { eps, weight_decay },
            Rule::RmsProp {
                alpha: 0.95,
                eps,
                momentum: 0.9,
                weight_decay,
            },
            Rule::Adam {
                beta1: 0.9,
                beta2: 0.99,
                eps,
                weight_decay,
                decoupled: true,
            },
        ]
    }

    fn op(rule: Rule, clip_norm: f64, clip_value: f64) -> Optimizer {
        let row = Matrix::new(SlotId(0), 1, 4);
        Optimizer {
            name: "update".into(),
            rule,
            clip_norm,
            clip_value,
            parameters: row,
            gradients: row,
            arenas: rule.arenas().iter().map(|_| row).collect(),
            hyper: SlotId(1),
            report: SlotId(2),
            scaled: false,
            ends: None,
        }
    }

    const HYPER: [f64; 8] = [0.1, 1.0, 1.0, 0.1, 0.01, 0.0, 0.0, 0.0];

    #[test]
    fn a_report_that_is_not_finite_changes_nothing() {
        let g = [f64::NAN, 1.0, f64::INFINITY, -2.0];
        for rule in rules() {
            for (report, changes) in [
                ([f64::NAN, 1.0, 0.0, 0.0], false),
                ([1.0, f64::INFINITY, 0.0, 0.0], false),
                ([1.0, 1.0, 1.0, 0.0], true),
            ] {
                let (mut p, mut a, mut b) = ([1.0, 2.0, 3.0, 4.0], [0.5; 4], [0.25; 4]);
                op(rule, 0.0, 0.0).plain(&mut p, &g, [&mut a, &mut b], &HYPER, &report);
                let same = p == [1.0, 2.0, 3.0, 4.0] && a == [0.5; 4] && b == [0.25; 4];
                assert_eq!(same, !changes, "{rule:?} {report:?}: {p:?} {a:?} {b:?}");
            }
        }
    }

    #[test]
    fn a_step_in_f32_is_that_of_f64_to_a_few_roundings() {
        let rules = [
            Rule::RmsProp {
                alpha: 0.999,
                eps: 1e-8,
                momentum: 0.0,
                weight_decay: 0.0,
            },
            Rule::Adam {
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-8,
                weight_decay: 0.0,
                decoupled: false,
            },
        ];
        for rule in rules {
            let (c1, c2) = rule.corrections(1);
            let hyper = [0.01, 1.0, 1.0, c1, c2];
            let (mut wide, mut narrow) = ([0.0f64], [0.0f32]);
            let op = op(rule, 0.0, 0.0);
            op.plain(
                &mut wide,
                &[0.3],
                [&mut [0.0], &mut [0.0]],
                &hyper,
                &[1.0; 4],
            );
            let hyper = hyper.map(|x| x as f32);
            op.plain(
                &mut narrow,
                &[0.3],
                [&mut [0.0], &mut [0.0]],
                &hyper,
                &[1.0; 4],
            );
            // Not 1e-5, which is what 1 - 0.999 in f32 is off.
            let off = (f64::from(narrow[0]) / wide[0] - 1.0).abs();
            assert!(off < 1e-6, "{rule:?}: {} and {}", narrow[0], wide[0]);
        }
    }

    /// The report of gradients that a norm finds, for an optimiser with these limits.
    fn report(gradients: &[f64], clip_norm: f64, clip_value: f64, factor: Option<f64>) -> [f64; 4] {
        let row = Matrix::new(SlotId(0), 1, gradients.len());
        let norm = Norm {
            name: "norm".into(),
            losses: Matrix::new(SlotId(1), 1, 1),
            gradients: Some(row),
            sparse: vec![],
            penalties: None,
            partials: SlotId(2),
            report: SlotId(3),
            scaled: factor.map(|_| SlotId(4)),
            clip_value: if clip_norm > 0.0 { clip_value } else { 0.0 },
            open: false,
            completes: Vec::new(),
        };
        let hyper = factor.map(|f| [0.1, 1.0, 1.0, 0.1, 0.01, 1.0 / f, f, 0.0]);
        let hyper = hyper.as_ref().map(|h| h.as_slice());
        let mut partials = [f64::NAN; 2];
        norm.partial_sums(&[1.0], Some(gradients), &[], None, hyper, &mut partials);
        norm.report(hyper, &partials)
    }

    #[test]
    fn clipping_is_by_value_then_by_the_norm_of_what_is_left() {
        let plain = Rule::Sgd {
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
        };
        let g = [3.0, -4.0, 0.5, 0.0];
        let steps = |clip_norm: f64, clip_value: f64| {
            let report = report(&g, clip_norm, clip_value, None);
            let mut p = [0.0; 4];
            op(plain, clip_norm, clip_value).plain(&mut p, &g, [&mut [], &mut []], &HYPER, &report);
            // lr is 0.1
            p.map(|p| -10.0 * p)
        };
        let close = |got: [f64; 4], want: [f64; 4]| {
            let off = got.iter().zip(want).map(|(g, w)| (g - w).abs());
            assert!(off.fold(0.0, f64::max) < 1e-6, "got {got:?}, want {want:?}");
        };
        let cut = [2.0, -2.0, 0.5, 0.0];
        let length = |g: &[f64; 4]| g.iter().map(|g| g * g).sum::<f64>().sqrt();
        close(steps(0.0, 0.0), g);
        close(steps(0.0, 2.0), cut);
        close(steps(1.0, 0.0), g.map(|x| x / length(&g)));
        // A norm within the limit is left alone: never scaled up.
        close(steps(6.0, 0.0), g);
        close(steps(1.0, 2.0), cut.map(|x| x / length(&cut)));
        // Within the limit once it is cut.
        close(steps(3.0, 2.0), cut);
    }

    #[test]
    fn the_norm_is_that_of_the_cut_gradients_and_what_is_not_finite_is_found() {
        let g = [3.0, -4.0, 0.5];
        let (whole, cut) = (25.25f64.sqrt(), 8.25f64.sqrt());
        assert_eq!(report(&g, 0.0, 2.0, None)[1..3], [whole, 1.0]);
        assert_eq!(report(&g, 1.0, 2.0, None)[1..3], [cut, 1.0]);
        // The limit is that of the gradients without their factor.
        let scaled = g.map(|g| 1024.0 * g);
        assert_eq!(report(&scaled, 1.0, 2.0, Some(1024.0))[1..3], [cut, 1.0]);
        for bad in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            assert_eq!(report(&[3.0, bad, 0.5], 1.0, 2.0, None)[2], 0.0, "{bad}");
            let beyond = report(&[3.0, bad, 0.5], 1.0, 2.0, Some(1024.0))[2];
            assert_eq!(beyond, LossScale::BEYOND, "{bad}");
        }
    }
}
