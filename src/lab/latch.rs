//! `latch`: one bit kept over T steps of noise.

use super::lengths::{self, CHRONO, Extent, FIRST, GRU, LEAKY, LSTM, Lengths, RNN, UNBIASED};
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
    let share = |variant: &str| lengths::mean(measured, variant, 100.0, "solved");
    let finding = |claim, by, variants: &[&str], holds| Finding {
        claim,
        by,
        found: lengths::success(measured, variants),
        holds,
    };
    let mut of_lstm = finding(
        "An LSTM with a forget bias of 1 learns to keep it over 100 steps",
        "taught after Gers, Schmidhuber, Cummins 2000 and Jozefowicz, Zaremba, Sutskever 2015",
        &[UNBIASED, LSTM, GRU],
        share(LSTM).map(|share| share == 1.0),
    );
    of_lstm.found += "; a gate that begins at sigmoid(1) = 0.73 passes on 0.73^100 = 2e-14 of what c knew, and of its gradient: \
                      too little to begin with where all of a sequence's use is so far away. In the experiments interference and hundred, where \
                      some of it is near, this cell bridges 100 steps and a plain tanh network does not";
    vec![
        finding(
            "A plain tanh network does not learn to keep the bit over 100 steps",
            "Bengio, Simard, Frasconi 1994",
            &[RNN, LEAKY],
            share(RNN).map(|share| share == 0.0),
        ),
        of_lstm,
        finding(
            "An LSTM that cannot forget keeps it over 100 steps",
            "Hochreiter and Schmidhuber 1997",
            &[FIRST],
            share(FIRST).map(|share| share == 1.0),
        ),
        finding(
            "An LSTM whose gates start so that it forgets over T steps keeps it over 100",
            "Tallec and Ollivier 2018",
            &[CHRONO],
            share(CHRONO).map(|share| share == 1.0),
        ),
        lengths::penalty_reaches_further(measured),
    ]
}
