//! `adding`: the sum of two marked numbers of a sequence.

use super::lengths::{FULL, Lengths, QUICK, gates_reach_further};

pub const EXPERIMENT: Lengths = Lengths {
    task: "adding",
    about: "Which cell adds the two marked numbers of a sequence?",
    model: include_str!("../../benches/models/adding.model"),
    quick: QUICK,
    full: FULL,
    findings: |measured| {
        gates_reach_further(
            measured,
            "Gated cells add numbers further apart than a plain tanh network",
            "Hochreiter and Schmidhuber 1997, experiment 4; Le, Jaitly, Hinton 2015",
        )
    },
};
