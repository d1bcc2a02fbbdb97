//! `adding`: the sum of two marked numbers of a sequence.

use super::lengths::{Extent, Lengths, gates_reach_further};

pub const EXPERIMENT: Lengths = Lengths {
    task: "adding",
    about: "Which cell adds the two marked numbers of a sequence?",
    model: include_str!("../../benches/models/adding.model"),
    quick: Extent {
        lengths: &[10, 30, 60, 100],
        seeds: 1,
        hidden: 32,
        updates: 1500,
    },
    full: Extent {
        lengths: &[10, 30, 60, 100, 200],
        seeds: 3,
        hidden: 64,
        updates: 10_000,
    },
    findings: |measured| {
        gates_reach_further(
            measured,
            "Gated cells add numbers further apart than a plain tanh network",
            "Hochreiter and Schmidhuber 1997, experiment 4; Le, Jaitly, Hinton 2015",
        )
    },
};
