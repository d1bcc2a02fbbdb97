//! `gap`: the last word of a line, which one far before decides.

use super::lengths::{FULL, Lengths, QUICK, gates_reach_further, penalty_reaches_further};

pub const EXPERIMENT: Lengths = Lengths {
    task: "gap",
    about: "Which cell still knows at a line's end the country that it began with, `in france ... french`?",
    model: include_str!("../../assets/models/classify.model"),
    quick: QUICK,
    full: FULL,
    findings: |measured| {
        let mut findings = gates_reach_further(
            measured,
            "Gated cells bridge longer gaps than a plain tanh network",
            "Olah 2015, after Hochreiter 1991 and Bengio, Simard, Frasconi 1994",
        );
        findings.push(penalty_reaches_further(measured));
        findings
    },
};
