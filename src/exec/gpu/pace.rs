//! How a run is shared out to submissions: none may keep a device from others for long, by what was measured.
//!
//! Every dispatch has a time that it is taken to need: at first what its cost says of a slow device, then what the
//! submissions that it was in have taken. Where submissions end changes no result: the dispatches and their order stay.

use std::collections::HashMap;
use std::ops::Range;

use super::buffers::Dispatch;
use crate::op::Plan;

/// What a submission may take at most, in seconds: beyond it displays stutter, and not far beyond drivers step in.
pub const LONGEST: f64 = 0.1;
/// What a submission is meant to take: a device that is shared or slows down may need twice as long.
const AIM: f64 = 0.04;
/// A run is cut anew after a submission that took longer.
const LATE: f64 = 0.06;
/// Operations and bytes a second of a device that was not measured yet, and seconds of any dispatch.
const FLOPS: f64 = 5e9;
const BYTES: f64 = 1e9;
const EACH: f64 = 2e-6;
/// Dispatches of a submission, however short.
const MOST: usize = 4096;
/// Submissions of a run that are measured.
pub(super) const MEASURED: usize = 256;
/// All runs are measured until so many were, and later where a run is long enough to be worth it, in seconds.
const FIRST: u64 = 4;
const WORTH: f64 = 0.01;
/// Of others one in so many.
const SELDOM: u64 = 16;

/// Where a plan's submissions end.
pub(super) struct Pace {
    /// What each dispatch is taken to need.
    seconds: Vec<f64>,
    /// Whether that was measured.
    known: Vec<bool>,
    /// The dispatches before which a submission ends.
    cuts: Vec<usize>,
    runs: u64,
    /// Whether the host's clock is the only one, with which measuring holds the device up.
    host: bool,
    /// What the submissions took that were measured last.
    pub newest: Vec<f64>,
}

impl Pace {
    /// Of a plan's operations with their dispatches.
    pub fn new(plan: &Plan, ops: &[Range<usize>], all: &[Dispatch], host: bool) -> Pace {
        let mut seconds = vec![EACH; all.len()];
        for (op, range) in plan.ops.iter().zip(ops) {
            let costs = op.costs();
            let dispatches = &all[range.clone()];
            let mut calls: HashMap<usize, f64> = HashMap::new();
            for dispatch in dispatches {
                *calls.entry(dispatch.part).or_default() += 1.0;
            }
            for (at, dispatch) in range.clone().zip(dispatches) {
                let cost = match costs.get(dispatch.part) {
                    Some(cost) => *cost,
                    None => op.cost(),
                };
                seconds[at] += (cost.flops / FLOPS + cost.bytes / BYTES) / calls[&dispatch.part];
            }
        }
        Pace::of(seconds, host)
    }

    fn of(seconds: Vec<f64>, host: bool) -> Pace {
        Pace {
            known: vec![false; seconds.len()],
            cuts: cut(&seconds),
            seconds,
            runs: 0,
            host,
            newest: Vec::new(),
        }
    }

    /// The submissions of these dispatches, at least one.
    pub fn parts(&self, range: Range<usize>) -> Vec<Range<usize>> {
        let cuts = self.cuts.iter().copied();
        let inside = cuts.filter(|c| range.start < *c && *c < range.end);
        let ends = inside.chain([range.end]);
        let mut first = range.start;
        ends.map(|end| std::mem::replace(&mut first, end)..end)
            .collect()
    }

    /// Counts a run, and says whether it is to be measured.
    pub fn measure(&mut self) -> bool {
        self.runs += 1;
        let worth = !self.host && self.seconds.iter().sum::<f64>() >= WORTH;
        worth || self.runs <= FIRST || self.runs.is_multiple_of(SELDOM)
    }

    /// Takes what submissions took; `recorded` says which of their dispatches were recorded.
    pub fn learn(&mut self, measured: &[(Range<usize>, f64)], recorded: impl Fn(usize) -> bool) {
        self.newest = measured.iter().map(|(_, seconds)| *seconds).collect();
        let (mut took, mut taken) = (0.0, 0.0);
        let mut late = false;
        for (part, seconds) in measured {
            let dispatches = || part.clone().filter(|d| recorded(*d));
            let want: f64 = dispatches().map(|d| self.seconds[d]).sum();
            if !(want > 0.0 && seconds.is_finite()) {
                continue;
            }
            (took, taken) = (took + seconds, taken + want);
            late |= *seconds > LATE && dispatches().count() > 1;
            let factor = seconds / want;
            let new = dispatches().any(|d| !self.known[d]);
            // A device that was held up once is not believed to be fast again at once.
            let factor = if new || factor > 1.0 {
                factor
            } else {
                0.75 + 0.25 * factor
            };
            for d in dispatches() {
                self.seconds[d] = (factor * self.seconds[d]).max(1e-3 * EACH);
                self.known[d] = true;
            }
        }
        if taken > 0.0 {
            for (seconds, known) in self.seconds.iter_mut().zip(&self.known) {
                *seconds *= if *known { 1.0 } else { took / taken };
            }
        }
        let cuts = cut(&self.seconds);
        if late || 2 * cuts.len() < self.cuts.len() {
            self.cuts = cuts;
        }
    }
}

/// Ends a submission before the dispatch that would make it too long.
fn cut(seconds: &[f64]) -> Vec<usize> {
    let mut cuts = Vec::new();
    let (mut first, mut sum) = (0, 0.0);
    for (at, own) in seconds.iter().enumerate() {
        if at > first && (sum + own > AIM || at - first == MOST) {
            cuts.push(at);
            (first, sum) = (at, 0.0);
        }
        sum += own;
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each submission takes on a device whose dispatches take `real`.
    fn run(pace: &Pace, real: &[f64]) -> Vec<(Range<usize>, f64)> {
        let parts = pace.parts(0..real.len()).into_iter();
        parts.map(|p| (p.clone(), real[p].iter().sum())).collect()
    }

    #[test]
    fn submissions_cover_all_dispatches_once() {
        let pace = Pace::of(vec![0.015; 10], false);
        assert_eq!(pace.parts(0..10), [0..2, 2..4, 4..6, 6..8, 8..10]);
        assert_eq!(pace.parts(1..4), [1..2, 2..4]);
        assert_eq!(pace.parts(0..0).len(), 1, "a run without dispatches");
        assert_eq!(Pace::of(vec![1e-6; 5000], false).parts(0..5000).len(), 2);
    }

    /// Whatever was expected: after a few runs no submission is too long that could be shorter, and none is needless.
    #[test]
    fn what_is_measured_decides() {
        let n = 1000;
        let shapes: [&dyn Fn(usize) -> f64; 4] = [
            &|_| 1e-3,
            &|d| if d % 100 == 0 { 0.15 } else { 1e-4 },
            &|d| if d < 500 { 1e-6 } else { 2e-3 },
            &|d| 1e-5 * (d % 7) as f64,
        ];
        for real in shapes {
            let real: Vec<f64> = (0..n).map(real).collect();
            for expected in [1e-7, 1e-4, 0.1] {
                let mut pace = Pace::of(vec![expected; n], false);
                for _ in 0..40 {
                    let measured = run(&pace, &real);
                    pace.learn(&measured, |_| true);
                }
                let measured = run(&pace, &real);
                for (part, seconds) in &measured {
                    assert!(*seconds <= LONGEST || part.len() == 1, "{part:?} {seconds}");
                }
                let least = real.iter().sum::<f64>() / AIM;
                let long = real.iter().filter(|s| **s > AIM).count() as f64;
                let most = 4.0 * (least + 2.0 * long) + 2.0;
                assert!(
                    measured.len() as f64 <= most,
                    "{} of {most}",
                    measured.len()
                );
            }
        }
    }

    #[test]
    fn dispatches_that_were_left_out_are_not_judged() {
        let mut pace = Pace::of(vec![0.01; 4], false);
        pace.learn(&[(0..4, 0.02)], |d| d < 2);
        assert!((pace.seconds[0] - 0.01).abs() < 1e-12);
        pace.learn(&[(0..4, 0.2)], |d| d < 2);
        assert_eq!(pace.cuts, [1, 2, 3]);
    }
}
