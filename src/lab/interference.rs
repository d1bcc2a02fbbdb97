//! `interference`: one symbol kept over others of its kind, each cell at its own best learning rate.

use super::best_rate::BestRate;
use super::lengths::{Extent, GRU, LSTM, RNN};

pub const EXPERIMENT: BestRate = BestRate {
    name: "interference",
    about: "Which cell keeps its first symbol over 100 others of its kind?",
    method: "The class is the first of 1 to 100 letters, all drawn from the same sixteen (`wgrnn generate first`): unlike in `latch` the noise cannot \
        be told from what is to be kept by what it is, only by when it comes, and four bits are to be kept in place of one; and as lengths differ, \
        gradients reach the first symbol of short sequences. Cells are trained on 10,000 sequences as in the experiments by length, but all \
        that are held out have 100 letters; at three learning rates each, the same for all, of which its best counts: the one at which most \
        seeds learned it. How many letters there are and how long is trained decides: of two, four or eight a plain tanh network keeps the first \
        within 3,000 updates at its best rate, of sixteen it took 12,000 at a rate of 0.005. `hundred` is a task that it does not learn at all.",
    task: "first",
    model: include_str!("../../assets/models/classify.model"),
    cells: &[RNN, LSTM, GRU],
    rates: &[0.005, 0.01, 0.02],
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
    examples: 10_000,
    longest: true,
    plain_by: "Bengio, Simard, Frasconi 1994, of one bit",
    gated_by: "Hochreiter and Schmidhuber 1997; Gers, Schmidhuber, Cummins 2000; Jozefowicz, Zaremba, Sutskever 2015",
};
