//! A minibatch of sequences without padding: longest first, laid out step after step, so that the rows of a step are
//! those of the sequences that are still there.

use super::lines::Lines;
use crate::error::{Error, Result};

/// B sequences of at most T steps, N steps in all.
///
/// Sequence b reads `<s> w1 .. wn` and predicts `w1 .. wn </s>`. The rows of step t are
/// `starts[t]..starts[t + 1]`; row b of them belongs to sequence b, as their number never grows from step to step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackedSequences {
    /// [T+1]: the first row of each step, and N.
    pub starts: Vec<usize>,
    /// The inputs `[N]`.
    pub ids: Vec<u32>,
    /// The targets `[N]`.
    pub targets: Vec<u32>,
    /// `[B]`: which lines they are, longest first.
    pub lines: Vec<u32>,
}

impl PackedSequences {
    /// The lines whose numbers are `batch`; equally long ones stay in its order.
    ///
    /// # Errors
    /// `Kind::Internal` for no lines, or for one that there is not; `Kind::Io` when tokens that lie in a file cannot be
    /// read.
    pub fn new(lines: &Lines, batch: &[u32]) -> Result<PackedSequences> {
        if batch.is_empty() || batch.iter().any(|line| *line as usize >= lines.len()) {
            return Err(Error::internal(format!(
                "a minibatch of {} of {} lines was to be made",
                batch.len(),
                lines.len()
            )));
        }
        let steps_of = |line: u32| lines.length(line as usize) + 1;
        let mut order = batch.to_vec();
        order.sort_by_key(|line| std::cmp::Reverse(steps_of(*line)));
        let steps = steps_of(order[0]);
        // starts[t + 1] - starts[t] sequences have more than t steps.
        let mut starts = vec![0; steps + 1];
        for line in &order {
            starts[steps_of(*line)] += 1;
        }
        // From how many end after so many steps to how many are still there, from the back.
        for step in (1..steps).rev() {
            starts[step] += starts[step + 1];
        }
        for step in 0..steps {
            starts[step + 1] += starts[step];
        }
        let rows = starts[steps];
        let (mut ids, mut targets) = (vec![0; rows], vec![0; rows]);
        let mut tokens = Vec::new();
        for (row, line) in order.iter().enumerate() {
            tokens.resize(steps_of(*line), 0);
            let last = tokens.len() - 1;
            lines.read(*line as usize, &mut tokens[..last])?;
            tokens[last] = lines.end_id();
            let mut input = lines.start_id();
            for (token, start) in tokens.iter().zip(&starts) {
                ids[start + row] = input;
                targets[start + row] = *token;
                input = *token;
            }
        }
        Ok(PackedSequences {
            starts,
            ids,
            targets,
            lines: order,
        })
    }

    /// T, the steps of the longest sequence.
    pub fn steps(&self) -> usize {
        self.starts.len() - 1
    }

    /// B, the sequences.
    pub fn batch(&self) -> usize {
        self.lines.len()
    }

    /// N, the steps of all sequences, which is also how many predictions are made.
    pub fn rows(&self) -> usize {
        self.ids.len()
    }

    /// n_t, the sequences that have a step t.
    pub fn active(&self, step: usize) -> usize {
        self.starts[step + 1] - self.starts[step]
    }

    /// T * B, the rows that padding would make of it.
    pub fn padded(&self) -> usize {
        self.steps() * self.batch()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use proptest::prelude::*;

    const START: u32 = 90;
    const END: u32 = 91;

    #[test]
    fn longest_first_and_step_after_step() {
        let lines = Lines::from_lists(&[vec![1], vec![2, 3, 4], vec![5, 6]], START, END).unwrap();
        let p = PackedSequences::new(&lines, &[0, 1, 2]).unwrap();
        assert_eq!(p.lines, [1, 2, 0]);
        assert_eq!(p.starts, [0, 3, 6, 8, 9]);
        assert_eq!(p.ids, [90, 90, 90, 2, 5, 1, 3, 6, 4]);
        assert_eq!(p.targets, [2, 5, 1, 3, 6, 91, 4, 91, 91]);
        assert_eq!((p.steps(), p.batch(), p.rows(), p.padded()), (4, 3, 9, 12));
        assert_eq!([0, 1, 2, 3].map(|t| p.active(t)), [3, 3, 2, 1]);
        for bad in [&[][..], &[3]] {
            assert_eq!(
                PackedSequences::new(&lines, bad).unwrap_err().kind,
                Kind::Internal
            );
        }
    }

    proptest! {
        #[test]
        fn every_sequence_comes_back(lists in proptest::collection::vec(proptest::collection::vec(0u32..90, 1..12), 1..20)) {
            let lines = Lines::from_lists(&lists, START, END).unwrap();
            let batch: Vec<u32> = (0..lists.len() as u32).rev().collect();
            let p = PackedSequences::new(&lines, &batch).unwrap();
            prop_assert_eq!(p.starts[0], 0);
            prop_assert_eq!(p.starts[p.steps()], p.rows());
            prop_assert!((1..p.steps()).all(|t| p.active(t) <= p.active(t - 1) && p.active(t) > 0));
            prop_assert_eq!(p.active(0), p.batch());
            for (row, line) in p.lines.iter().enumerate() {
                let steps = (0..p.steps()).take_while(|t| row < p.active(*t));
                let rows: Vec<usize> = steps.map(|t| p.starts[t] + row).collect();
                let list = &lists[*line as usize];
                let inputs: Vec<u32> = rows.iter().map(|r| p.ids[*r]).collect();
                let targets: Vec<u32> = rows.iter().map(|r| p.targets[*r]).collect();
                prop_assert_eq!(inputs, [&[START], &list[..]].concat());
                prop_assert_eq!(targets, [&list[..], &[END]].concat());
            }
        }
    }
}
