//! Evaluation that does not depend on the batch size: fixed segments, each with a warm-up of its own.

use super::stream::{StateCarry, StreamMinibatch, check_sizes};
use super::tokens::Tokens;
use crate::error::{Error, Result};

/// How many predictions a segment counts (the last one may have fewer).
pub const SEGMENT: usize = 8192;
/// How many tokens early a segment begins, to warm up its state; these predictions do not count.
pub const WARM_UP: usize = 256;

/// A text of N tokens cut into segments. Each starts from a zero state, so how many run side by side changes nothing.
#[derive(Clone, Debug)]
pub struct Segments {
    tokens: Tokens,
}

/// One segment: the predictions it makes, of which it counts those from `counted` on.
#[derive(Clone, Copy)]
struct ScoredSegment {
    /// Position of the first input.
    start: usize,
    /// Position of the first input whose prediction counts.
    counted: usize,
    /// Position of the last target: the last input's position and one.
    end: usize,
}

impl Segments {
    /// Segments over `tokens`.
    ///
    /// # Errors
    /// `Kind::Data` when there are fewer than two tokens, so that there is nothing to predict.
    pub fn new(tokens: Tokens) -> Result<Self> {
        if tokens.len() < 2 {
            return Err(Error::data(format!(
                "the text to evaluate has {} tokens, expected at least 2 (one to read, one to predict)",
                tokens.len()
            )));
        }
        Ok(Segments { tokens })
    }

    /// How many predictions are counted: N - 1.
    pub fn predictions(&self) -> usize {
        self.tokens.len() - 1
    }

    /// How many segments there are; more rows than that are never used.
    pub fn max_batch(&self) -> usize {
        self.predictions().div_ceil(SEGMENT)
    }

    fn segment(&self, index: usize) -> ScoredSegment {
        let counted = index * SEGMENT;
        ScoredSegment {
            start: counted.saturating_sub(WARM_UP),
            counted,
            end: (counted + SEGMENT).min(self.predictions()),
        }
    }

    /// All segments, up to `batch` = B side by side, in windows of `steps` = T. The first window of a group resets the
    /// state. Where a row has no token it has id 0 and weight 0.
    ///
    /// # Errors
    /// `Kind::Usage` when T or B is 0. A minibatch is an error of `Kind::Io` when tokens that lie in a file cannot be read.
    pub fn batches(
        &self,
        steps: usize,
        batch: usize,
    ) -> Result<impl Iterator<Item = Result<StreamMinibatch>> + '_> {
        check_sizes(steps, batch)?;
        let count = self.max_batch();
        Ok((0..count).step_by(batch).flat_map(move |first| {
            let rows: Vec<ScoredSegment> = (first..count.min(first.saturating_add(batch)))
                .map(|index| self.segment(index))
                .collect();
            let longest = rows.iter().map(|s| s.end - s.start).max().unwrap_or(0);
            (0..longest.div_ceil(steps))
                .map(move |window| self.window(&rows, window * steps, steps, batch, window == 0))
        }))
    }

    /// Steps `from` to `from + steps` of the segments in `rows`, padded to `batch` rows.
    fn window(
        &self,
        rows: &[ScoredSegment],
        from: usize,
        steps: usize,
        batch: usize,
        first: bool,
    ) -> Result<StreamMinibatch> {
        let mut ids = vec![0; (steps + 1) * batch];
        let mut weights = vec![0.0; steps * batch];
        let mut tokens = vec![0; steps + 1];
        for (row, segment) in rows.iter().enumerate() {
            let first = segment.start + from;
            let there = (segment.end + 1).saturating_sub(first).min(steps + 1);
            self.tokens
                .read(first.min(segment.end), &mut tokens[..there])?;
            for (step, token) in tokens[..there].iter().enumerate() {
                let at = first + step;
                ids[step * batch + row] = *token;
                if step < steps && at >= segment.counted && at < segment.end {
                    weights[step * batch + row] = 1.0;
                }
            }
        }
        Ok(StreamMinibatch {
            steps,
            batch,
            ids,
            weights: Some(weights),
            carry: if first {
                StateCarry::Reset
            } else {
                StateCarry::Keep
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use proptest::prelude::*;

    /// Runs the minibatches with, as the state of a row, where its inputs since the reset began and how many they are;
    /// gives for every target position that counts how long the context was. Every token is its own position.
    fn contexts(n: usize, t: usize, b: usize) -> Vec<Option<usize>> {
        let segments = Segments::new((0..n as u32).collect()).unwrap();
        let mut seen = vec![None; n];
        let mut state = vec![(0, 0, true); b];
        for (i, m) in segments.batches(t, b).unwrap().enumerate() {
            let m = m.unwrap();
            assert_eq!((m.steps, m.batch), (t, b));
            assert_eq!(m.ids.len(), (t + 1) * b);
            assert!(i > 0 || m.carry == StateCarry::Reset);
            if m.carry == StateCarry::Reset {
                state.fill((0, 0, true));
            }
            let weights = m.weights.as_ref().unwrap();
            for at in 0..t * b {
                let (input, target) = (m.ids[at] as usize, m.ids[at + b] as usize);
                let (start, length, whole) = &mut state[at % b];
                if *length == 0 {
                    *start = input;
                }
                *whole &= *start + *length == input;
                *length += 1;
                if weights[at] == 0.0 {
                    continue;
                }
                // The context is the text just before the target, without a gap.
                assert_eq!(weights[at], 1.0);
                assert!(*whole, "gap before {target}");
                assert_eq!(target, input + 1);
                let old = seen[target].replace(*length);
                assert_eq!(old, None, "target {target} counted twice");
            }
        }
        seen
    }

    #[test]
    fn warm_up_gives_every_prediction_its_context() {
        let seen = contexts(2 * SEGMENT + 3, 100, 2);
        assert_eq!(seen[0], None);
        assert_eq!(seen[1], Some(1));
        assert_eq!(seen[SEGMENT], Some(SEGMENT));
        // The second segment's first prediction has read its warm-up and one token.
        assert_eq!(seen[SEGMENT + 1], Some(WARM_UP + 1));
        assert_eq!(seen[2 * SEGMENT], Some(WARM_UP + SEGMENT));
        assert_eq!(seen[2 * SEGMENT + 1], Some(WARM_UP + 1));
        assert_eq!(seen[2 * SEGMENT + 2], Some(WARM_UP + 2));
    }

    #[test]
    fn the_same_contexts_for_every_batch_size() {
        let n = 5 * SEGMENT + 777;
        let alone = contexts(n, 64, 1);
        assert!(alone[1..].iter().all(Option::is_some));
        for (t, b) in [(64, 7), (50, 2), (8193, 3), (1, 6)] {
            assert_eq!(contexts(n, t, b), alone, "T {t}, B {b}");
        }
    }

    #[test]
    fn padding_is_zero_and_does_not_count() {
        let segments = Segments::new(vec![9; 4].into()).unwrap();
        let all: Result<Vec<StreamMinibatch>> = segments.batches(2, 2).unwrap().collect();
        let all = all.unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].ids, [9, 0, 9, 0, 9, 0]);
        assert_eq!(all[0].weights.as_deref(), Some(&[1.0, 0.0, 1.0, 0.0][..]));
        assert_eq!(all[1].ids, [9, 0, 9, 0, 0, 0]);
        assert_eq!(all[1].weights.as_deref(), Some(&[1.0, 0.0, 0.0, 0.0][..]));
        assert_eq!(all.iter().map(StreamMinibatch::counted).sum::<usize>(), 3);
    }

    #[test]
    fn nothing_to_predict_and_empty_windows_are_refused() {
        assert_eq!(Segments::new(vec![1].into()).unwrap_err().kind, Kind::Data);
        let segments = Segments::new(vec![1, 2].into()).unwrap();
        assert_eq!((segments.predictions(), segments.max_batch()), (1, 1));
        for (t, b) in [(0, 1), (1, 0)] {
            assert_eq!(segments.batches(t, b).err().unwrap().kind, Kind::Usage);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn every_prediction_counts_once(n in 2usize..40_000, t in 1usize..3000, b in 1usize..9) {
            let seen = contexts(n, t, b);
            prop_assert!(seen[0].is_none());
            prop_assert!(seen[1..].iter().all(Option::is_some));
        }
    }
}
