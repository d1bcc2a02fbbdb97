//! How many steps the packed sequences of a minibatch have: dispatches for steps that none of them reaches are left out.

use crate::op::SlotId;
use crate::op::scan::Packed;

/// A step of packed sequences: where a run says how they are packed, as a number of [`Longest`], and the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PackedStep {
    axis: usize,
    step: u32,
}

/// The steps of the longest sequence, wherever a run says how sequences are packed.
#[derive(Clone, Debug, Default)]
pub(super) struct Longest {
    axes: Vec<(Packed, u32)>,
}

impl Longest {
    /// Step `step` of sequences that are packed as `packed` says.
    pub fn step(&mut self, packed: Packed, step: u32) -> PackedStep {
        let known = self.axes.iter().position(|(other, _)| *other == packed);
        let axis = known.unwrap_or_else(|| {
            self.axes.push((packed, 0));
            self.axes.len() - 1
        });
        PackedStep { axis, step }
    }

    /// Takes the words that the host fills a slot with: where each step starts rises as long as a sequence has the step.
    pub fn learn(&mut self, slot: SlotId, words: &[u32]) {
        for (packed, longest) in self.axes.iter_mut().filter(|(p, _)| p.counts == slot) {
            let starts = words[packed.first..].windows(2);
            *longest = starts.take_while(|step| step[1] > step[0]).count() as u32;
        }
    }

    /// Whether a sequence has the step; what is no step of packed sequences always has something to do.
    pub fn reach(&self, step: Option<PackedStep>) -> bool {
        step.is_none_or(|PackedStep { axis, step }| step < self.axes[axis].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_axis_has_a_longest_sequence_of_its_own() {
        let packed = |counts: usize, first: usize| Packed {
            counts: SlotId(counts),
            first,
        };
        let mut longest = Longest::default();
        let mut step = |counts, first, step| longest.step(packed(counts, first), step);
        let steps = [step(1, 2, 1), step(1, 2, 2), step(1, 0, 0), step(7, 2, 1)];
        assert_eq!(steps[0].axis, steps[1].axis);
        // Three and two sequences, then none: two steps; in one go a single step of five rows.
        longest.learn(SlotId(1), &[0, 5, 0, 3, 5, 5]);
        longest.learn(SlotId(7), &[0, 1, 0, 1, 1, 1]);
        let reached = steps.map(|step| longest.reach(Some(step)));
        assert_eq!(reached, [true, false, true, false]);
        assert!(longest.reach(None));
    }
}
