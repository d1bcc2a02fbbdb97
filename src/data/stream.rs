//! Minibatches for truncated BPTT: B contiguous streams through the text, T steps at a time.

use super::tokens::Tokens;
use crate::error::{Error, Result};

/// What happens to the hidden state before a minibatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateCarry {
    /// The state that the minibatch before ended with goes on.
    Keep,
    /// The state begins at zero.
    Reset,
}

/// T steps of B rows.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamMinibatch {
    /// T, the steps.
    pub steps: usize,
    /// B, the rows.
    pub batch: usize,
    /// Token ids [T+1, B], time-major: rows 0 to T-1 are the inputs, rows 1 to T their targets.
    pub ids: Vec<u32>,
    /// [T, B]: 1 for a prediction that counts, 0 for one that does not. None: all count.
    pub weights: Option<Vec<f32>>,
    /// Whether the state goes on from the minibatch before.
    pub carry: StateCarry,
}

impl StreamMinibatch {
    /// The inputs [T, B].
    pub fn inputs(&self) -> &[u32] {
        &self.ids[..self.steps * self.batch]
    }

    /// The targets [T, B]: the inputs one step later.
    pub fn targets(&self) -> &[u32] {
        &self.ids[self.batch..]
    }

    /// How many predictions count.
    pub fn counted(&self) -> usize {
        match &self.weights {
            None => self.steps * self.batch,
            Some(weights) => weights.iter().filter(|w| **w != 0.0).count(),
        }
    }
}

/// B contiguous streams over a text of N tokens, each floor((N - 1) / (B T)) T steps long.
///
/// Stream b starts at b times that length; the target of its last token is the next token of the text. What remains at
/// the end of the text, fewer than B T + 1 tokens, is not used.
#[derive(Clone, Debug)]
pub struct Streams {
    tokens: Tokens,
    steps: usize,
    batch: usize,
    per_epoch: usize,
}

impl Streams {
    /// Streams over `tokens`, with `steps` = T and `batch` = B.
    ///
    /// # Errors
    /// `Kind::Usage` when T or B is 0; `Kind::Data` when the text is shorter than one segment of all streams.
    pub fn new(tokens: Tokens, steps: usize, batch: usize) -> Result<Self> {
        check_sizes(steps, batch)?;
        let segment = batch.saturating_mul(steps);
        let per_epoch = tokens.len().saturating_sub(1) / segment;
        if per_epoch == 0 {
            return Err(Error::data(format!(
                "the text has {} tokens, expected at least {} for {batch} streams of {steps} steps (B T + 1); lower \
                 --batch or --seq-len, or give more text",
                tokens.len(),
                segment.saturating_add(1),
            )));
        }
        Ok(Streams {
            tokens,
            steps,
            batch,
            per_epoch,
        })
    }

    /// How many minibatches an epoch has.
    pub fn per_epoch(&self) -> usize {
        self.per_epoch
    }

    /// How many predictions an epoch makes.
    pub fn predictions(&self) -> usize {
        self.per_epoch * self.steps * self.batch
    }

    /// The minibatch at `index` of an epoch, a function of the index alone. An index past the end counts on from the
    /// beginning, so a position in the data can also be one number. The state is reset where an epoch begins.
    ///
    /// # Errors
    /// `Kind::Io` when tokens that lie in a file cannot be read.
    pub fn minibatch(&self, index: usize) -> Result<StreamMinibatch> {
        let (t, b) = (self.steps, self.batch);
        let index = index % self.per_epoch;
        let length = self.per_epoch * t;
        let mut ids = vec![0; (t + 1) * b];
        let mut stream = vec![0; t + 1];
        for row in 0..b {
            self.tokens.read(row * length + index * t, &mut stream)?;
            let column = ids[row..].iter_mut().step_by(b);
            column.zip(&stream).for_each(|(id, token)| *id = *token);
        }
        Ok(StreamMinibatch {
            steps: t,
            batch: b,
            ids,
            weights: None,
            carry: if index == 0 {
                StateCarry::Reset
            } else {
                StateCarry::Keep
            },
        })
    }
}

/// Refuses a T or a B of 0.
pub(super) fn check_sizes(steps: usize, batch: usize) -> Result<()> {
    for (flag, name, value) in [("--seq-len", "steps", steps), ("--batch", "rows", batch)] {
        if value == 0 {
            return Err(Error::usage(format!(
                "{flag}: expected at least 1 {name}, found 0"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use proptest::prelude::*;

    fn counting(n: usize) -> Tokens {
        (0..n as u32).collect()
    }

    #[test]
    fn time_major_and_shifted() {
        let s = Streams::new(counting(14), 3, 2).unwrap();
        assert_eq!(s.per_epoch(), 2);
        let first = s.minibatch(0).unwrap();
        assert_eq!(first.ids, [0, 6, 1, 7, 2, 8, 3, 9]);
        assert_eq!(first.inputs(), [0, 6, 1, 7, 2, 8]);
        assert_eq!(first.targets(), [1, 7, 2, 8, 3, 9]);
        assert_eq!(first.carry, StateCarry::Reset);
        let second = s.minibatch(1).unwrap();
        assert_eq!(second.ids, [3, 9, 4, 10, 5, 11, 6, 12]);
        assert_eq!(second.carry, StateCarry::Keep);
        assert_eq!(s.minibatch(2).unwrap(), first);
    }

    #[test]
    fn tinyshakespeare_has_423_minibatches() {
        let s = Streams::new(vec![0; 1_059_624].into(), 50, 50).unwrap();
        assert_eq!(s.per_epoch(), 423);
        assert_eq!(s.predictions(), 423 * 2500);
    }

    #[test]
    fn short_texts_are_refused_with_the_numbers() {
        let e = Streams::new(counting(6), 3, 2).unwrap_err();
        assert_eq!(e.kind, Kind::Data);
        for part in ["6 tokens", "at least 7", "--batch", "--seq-len"] {
            assert!(e.message.contains(part), "{e}");
        }
        assert_eq!(Streams::new(counting(7), 3, 2).unwrap().per_epoch(), 1);
        assert_eq!(
            Streams::new(counting(0), 1, 1).unwrap_err().kind,
            Kind::Data
        );
        assert_eq!(
            Streams::new(counting(9), usize::MAX, 3).unwrap_err().kind,
            Kind::Data
        );
        for (t, b) in [(0, 1), (1, 0)] {
            assert_eq!(
                Streams::new(counting(9), t, b).unwrap_err().kind,
                Kind::Usage
            );
        }
    }

    proptest! {
        #[test]
        fn each_target_once_and_rows_are_contiguous(n in 2usize..600, t in 1usize..9, b in 1usize..9) {
            let Ok(s) = Streams::new(counting(n), t, b) else {
                prop_assert!(n < b * t + 1);
                return Ok(());
            };
            // Every token is its own position, so a target names the position that is predicted.
            let mut seen = vec![0u32; n];
            let mut before: Option<StreamMinibatch> = None;
            for index in 0..s.per_epoch() {
                let m = s.minibatch(index).unwrap();
                prop_assert_eq!(m.ids.len(), (t + 1) * b);
                for (input, target) in m.inputs().iter().zip(m.targets()) {
                    prop_assert_eq!(input + 1, *target);
                    seen[*target as usize] += 1;
                }
                if let Some(before) = before {
                    prop_assert_eq!(m.carry, StateCarry::Keep);
                    prop_assert_eq!(&before.ids[t * b..], &m.ids[..b]);
                }
                before = Some(m);
            }
            let used = s.predictions();
            prop_assert!(n - 1 - used < b * t);
            prop_assert!(seen[1..=used].iter().all(|c| *c == 1));
            prop_assert!(seen[0] == 0 && seen[used + 1..].iter().all(|c| *c == 0));
        }
    }
}
