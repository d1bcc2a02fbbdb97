//! `hundred`: two of a hundred numbers added, each cell at its own best learning rate.

use super::best_rate::BestRate;
use super::lengths::{Extent, LSTM, RNN};

pub const EXPERIMENT: BestRate = BestRate {
    name: "hundred",
    about: "Which cell adds two of a hundred numbers, at its own best learning rate?",
    method: "Of 100 numbers between 0 and 1 two are marked, one of each half, and their sum is asked for at the end (`wgrnn generate adding`): a \
        real number is to be kept over up to 100 steps, where a tanh unit that holds on to something holds on to one of two. Half of the second marks \
        lie in the last 25 steps, where gradients reach without help. Cells are trained as in the experiments by length, at three learning \
        rates each, the same for all, of which its best counts: the one at which most seeds learned it. It is not a matter of time: at a \
        rate of 0.005 a tanh network still had the loss of a guess after 12,000 updates.",
    task: "adding",
    model: include_str!("../../benches/models/adding.model"),
    cells: &[RNN, LSTM],
    rates: &[0.0025, 0.005, 0.01],
    quick: Extent {
        lengths: &[100],
        seeds: 2,
        hidden: 32,
        updates: 4000,
    },
    full: Extent {
        lengths: &[100],
        seeds: 5,
        hidden: 64,
        updates: 20_000,
    },
    examples: 5000,
    longest: false,
    plain_by: "Hochreiter and Schmidhuber 1997, experiment 4; Le, Jaitly, Hinton 2015",
    gated_by: "Hochreiter and Schmidhuber 1997, experiment 4; Gers, Schmidhuber, Cummins 2000",
};
