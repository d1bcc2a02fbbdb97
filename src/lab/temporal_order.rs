//! `temporal-order`: which of two symbols came first, far apart.

use super::lengths::{Extent, Lengths, gates_reach_further};

pub const EXPERIMENT: Lengths = Lengths {
    task: "temporal-order",
    about: "Which cell knows the order of two symbols that are far apart?",
    model: include_str!("../../assets/models/classify.model"),
    quick: Extent {
        lengths: &[10, 30, 60, 100],
        seeds: 1,
        hidden: 32,
        updates: 1500,
    },
    full: Extent {
        lengths: &[10, 30, 60, 100],
        seeds: 3,
        hidden: 64,
        updates: 10_000,
    },
    findings: |measured| {
        gates_reach_further(
            measured,
            "Gated cells know the order of symbols further apart than a plain tanh network",
            "Hochreiter and Schmidhuber 1997, experiment 6",
        )
    },
};
