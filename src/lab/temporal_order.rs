//! `temporal-order`: which of two symbols came first, far apart.

use super::lengths::{FULL, Lengths, QUICK, gates_reach_further, penalty_reaches_further};

pub const EXPERIMENT: Lengths = Lengths {
    task: "temporal-order",
    about: "Which cell knows the order of two symbols that are far apart?",
    model: include_str!("../../assets/models/classify.model"),
    quick: QUICK,
    full: FULL,
    findings: |measured| {
        let mut findings = gates_reach_further(
            measured,
            "Gated cells know the order of symbols further apart than a plain tanh network",
            "Hochreiter and Schmidhuber 1997, experiment 6",
        );
        findings.push(penalty_reaches_further(measured));
        findings
    },
};
