//! `copy`: ten symbols said again after a pause of T steps.

use super::lengths::{
    Extent, FULL, Lengths, ORTHOGONAL, QUICK, RNN, gates_reach_further, penalty_reaches_further,
    reaches_further,
};

pub const EXPERIMENT: Lengths = Lengths {
    task: "copy",
    about: "Which cell says ten symbols again after a pause of T steps?",
    model: include_str!("../../benches/models/copy.model"),
    // Shorter pauses and longer trainings than elsewhere: within 1,500 updates no cell learns it.
    quick: Extent {
        lengths: &[1, 3],
        hidden: 48,
        updates: 5000,
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
        findings.push(reaches_further(
            measured,
            [ORTHOGONAL, RNN],
            "From orthogonal recurrent weights a tanh network copies over longer pauses",
            "Henaff, Szlam, LeCun 2016, of linear networks; Arjovsky, Shah, Bengio 2016, of unitary ones",
        ));
        findings.push(penalty_reaches_further(measured));
        findings
    },
};
