//! `latch`: one bit kept over T steps of noise.

use super::lengths::{self, CHRONO, Extent, LSTM, Lengths, RNN};
use super::{Finding, Measured};

pub const EXPERIMENT: Lengths = Lengths {
    task: "latch",
    about: "Which cell keeps one bit over T steps of noise?",
    model: include_str!("../../assets/models/classify.model"),
    quick: Extent {
        lengths: &[10, 20, 30, 100],
        seeds: 2,
        hidden: 16,
        updates: 1500,
    },
    full: Extent {
        lengths: &[10, 20, 30, 50, 70, 100],
        seeds: 5,
        hidden: 32,
        updates: 10_000,
    },
    findings,
};

fn findings(measured: &[Measured]) -> Vec<Finding> {
    let at = |variant: &str| lengths::mean(measured, variant, 100.0, "solved");
    let found = lengths::success(measured);
    vec![
        Finding {
            claim: "An LSTM with a forget bias of 1 learns to keep the bit over 100 steps",
            by: "taught after Gers, Schmidhuber, Cummins 2000 and Jozefowicz, Zaremba, Sutskever 2015",
            found: found.clone(),
            holds: at(LSTM).map(|share| share == 1.0),
        },
        Finding {
            claim: "A plain tanh network does not learn to keep it over 100 steps",
            by: "Bengio, Simard, Frasconi 1994",
            found: found.clone(),
            holds: at(RNN).map(|share| share == 0.0),
        },
        Finding {
            claim: "An LSTM whose gates start so that it forgets over T steps keeps it over 100",
            by: "Tallec and Ollivier 2018",
            found,
            holds: at(CHRONO).map(|share| share == 1.0),
        },
    ]
}
