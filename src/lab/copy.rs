//! `copy`: ten symbols said again after a pause of T steps.

use super::lengths::{Extent, FULL, Lengths, QUICK, gates_reach_further, penalty_reaches_further};

pub const EXPERIMENT: Lengths = Lengths {
    task: "copy",
    about: "Which cell says ten symbols again after a pause of T steps?",
    model: include_str!("../../benches/models/copy.model"),
    quick: Extent {
        lengths: &[1, 10, 30],
        ..QUICK
    },
    full: Extent {
        lengths: &[1, 10, 30, 60, 100],
        hidden: 96,
        updates: 20_000,
        ..FULL
    },
    findings: |measured| {
        let mut findings = gates_reach_further(
            measured,
            "Gated cells copy over longer pauses than a plain tanh network",
            "Arjovsky, Shah, Bengio 2016",
        );
        findings.push(penalty_reaches_further(measured));
        findings
    },
};
