//! From settings to the rule that updates parameters; the arithmetic is the operation's.

use super::settings::{OptimizerName, Settings};
use crate::op::Rule;

/// The rule that checked settings ask for.
pub fn rule(settings: &Settings) -> Rule {
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
    let adam = |decoupled| Rule::Adam {
        beta1,
        beta2,
        eps,
        weight_decay,
        decoupled,
    };
    match settings.optimizer {
        OptimizerName::Sgd => Rule::Sgd {
            momentum,
            nesterov,
            weight_decay,
        },
        OptimizerName::Adagrad => Rule::Adagrad { eps, weight_decay },
        OptimizerName::RmsProp => Rule::RmsProp {
            alpha,
            eps,
            momentum,
            weight_decay,
        },
        OptimizerName::Adam => adam(false),
        OptimizerName::AdamW => adam(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_optimizer_takes_its_constants() {
        let of = |optimizer| {
            rule(&Settings {
                optimizer,
                momentum: 0.9,
                nesterov: true,
                alpha: 0.95,
                beta1: 0.8,
                beta2: 0.7,
                eps: 1e-7,
                weight_decay: 0.25,
                ..Settings::default()
            })
        };
        let (eps, weight_decay, momentum) = (1e-7, 0.25, 0.9);
        let adam = |decoupled| Rule::Adam {
            beta1: 0.8,
            beta2: 0.7,
            eps,
            weight_decay,
            decoupled,
        };
        let sgd = Rule::Sgd {
            momentum,
            nesterov: true,
            weight_decay,
        };
        let rmsprop = Rule::RmsProp {
            alpha: 0.95,
            eps,
            momentum,
            weight_decay,
        };
        assert_eq!(of(OptimizerName::Sgd), sgd);
        assert_eq!(
            of(OptimizerName::Adagrad),
            Rule::Adagrad { eps, weight_decay }
        );
        assert_eq!(of(OptimizerName::RmsProp), rmsprop);
        assert_eq!(of(OptimizerName::Adam), adam(false));
        assert_eq!(of(OptimizerName::AdamW), adam(true));
    }
}
