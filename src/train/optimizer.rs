//! The optimiser as plain data: which rule, its constants, and the state it keeps. The arithmetic is elsewhere.

use super::settings::{OptimizerName, Settings};

/// A rule with its constants, named and defined as in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// p -= lr * v with v = momentum * v + g, or p -= lr * (g + momentum * v) for Nesterov's.
    Sgd {
        /// Momentum; 0 keeps no state.
        momentum: f64,
        /// Nesterov's momentum.
        nesterov: bool,
    },
    /// s += g^2; p -= lr * g / (sqrt(s) + eps).
    Adagrad {
        /// Added to the denominator.
        eps: f64,
    },
    /// s = alpha * s + (1 - alpha) * g^2; p -= lr * g / (sqrt(s) + eps), through a momentum buffer if there is one.
    RmsProp {
        /// Smoothing of the mean square.
        alpha: f64,
        /// Added to the denominator.
        eps: f64,
        /// Momentum; 0 keeps no buffer.
        momentum: f64,
    },
    /// Means of g and g^2, both corrected for their start at 0.
    Adam {
        /// Smoothing of the mean.
        beta1: f64,
        /// Smoothing of the mean square.
        beta2: f64,
        /// Added to the denominator.
        eps: f64,
    },
    /// Adam with decoupled weight decay: p -= lr * weight_decay * p before the step.
    AdamW {
        /// Smoothing of the mean.
        beta1: f64,
        /// Smoothing of the mean square.
        beta2: f64,
        /// Added to the denominator.
        eps: f64,
    },
}

/// A rule, and the weight decay that goes with it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Optimizer {
    /// The rule.
    pub rule: Rule,
    /// For AdamW decoupled; for the others g += weight_decay * p.
    pub weight_decay: f64,
}

impl Optimizer {
    /// The optimiser that checked settings ask for.
    pub fn new(settings: &Settings) -> Self {
        let &Settings {
            momentum,
            nesterov,
            alpha,
            beta1,
            beta2,
            eps,
            weight_decay,
            ..
        } = settings;
        let rule = match settings.optimizer {
            OptimizerName::Sgd => Rule::Sgd { momentum, nesterov },
            OptimizerName::Adagrad => Rule::Adagrad { eps },
            OptimizerName::RmsProp => Rule::RmsProp {
                alpha,
                eps,
                momentum,
            },
            OptimizerName::Adam => Rule::Adam { beta1, beta2, eps },
            OptimizerName::AdamW => Rule::AdamW { beta1, beta2, eps },
        };
        Optimizer { rule, weight_decay }
    }
}

impl Rule {
    /// The flat f32 arenas that the rule keeps, each as long as the parameters, under PyTorch's names. All start at 0.
    pub fn state_arenas(&self) -> &'static [&'static str] {
        match *self {
            Rule::Sgd { momentum, .. } if momentum > 0.0 => &["momentum_buffer"],
            Rule::Sgd { .. } => &[],
            Rule::Adagrad { .. } => &["sum"],
            Rule::RmsProp { momentum, .. } if momentum > 0.0 => &["square_avg", "momentum_buffer"],
            Rule::RmsProp { .. } => &["square_avg"],
            Rule::Adam { .. } | Rule::AdamW { .. } => &["exp_avg", "exp_avg_sq"],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_takes_its_constants_and_names_its_state() {
        let of = |optimizer, momentum| {
            let settings = Settings {
                optimizer,
                momentum,
                alpha: 0.95,
                beta1: 0.8,
                eps: 1e-7,
                weight_decay: 0.25,
                ..Settings::default()
            };
            Optimizer::new(&settings)
        };
        let table: [(OptimizerName, f64, Rule, &[&str]); 7] = [
            (
                OptimizerName::Sgd,
                0.0,
                Rule::Sgd {
                    momentum: 0.0,
                    nesterov: false,
                },
                &[],
            ),
            (
                OptimizerName::Sgd,
                0.9,
                Rule::Sgd {
                    momentum: 0.9,
                    nesterov: false,
                },
                &["momentum_buffer"],
            ),
            (
                OptimizerName::Adagrad,
                0.0,
                Rule::Adagrad { eps: 1e-7 },
                &["sum"],
            ),
            (
                OptimizerName::RmsProp,
                0.0,
                Rule::RmsProp {
                    alpha: 0.95,
                    eps: 1e-7,
                    momentum: 0.0,
                },
                &["square_avg"],
            ),
            (
                OptimizerName::RmsProp,
                0.5,
                Rule::RmsProp {
                    alpha: 0.95,
                    eps: 1e-7,
                    momentum: 0.5,
                },
                &["square_avg", "momentum_buffer"],
            ),
            (
                OptimizerName::Adam,
                0.0,
                Rule::Adam {
                    beta1: 0.8,
                    beta2: 0.999,
                    eps: 1e-7,
                },
                &["exp_avg", "exp_avg_sq"],
            ),
            (
                OptimizerName::AdamW,
                0.0,
                Rule::AdamW {
                    beta1: 0.8,
                    beta2: 0.999,
                    eps: 1e-7,
                },
                &["exp_avg", "exp_avg_sq"],
            ),
        ];
        for (name, momentum, rule, arenas) in table {
            let optimizer = of(name, momentum);
            assert_eq!(optimizer.rule, rule);
            assert_eq!(optimizer.weight_decay, 0.25);
            assert_eq!(rule.state_arenas(), arenas, "{name}");
        }
    }
}
