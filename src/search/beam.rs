//! One text in the making: the beginnings that go on, and the texts that have ended.

use super::Scoring;
use crate::error::{Error, Result};

/// What a text may be, and how many are looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct BeamLimits {
    /// Beginnings that go on side by side, at most.
    pub beams: usize,
    /// Texts that are looked for, at least one: the best so many of those that end are kept.
    pub texts: usize,
    /// Whether the search is over when as many texts have ended as there are beams, whatever could still be better.
    pub early_stop: bool,
    /// What ended texts are compared by.
    pub scoring: Scoring,
    /// Tokens that are written, at least and at most.
    pub least: usize,
    /// See `least`.
    pub most: usize,
    /// No so many tokens in a row come twice; 0 for no such rule.
    pub block_ngram: usize,
    /// The mark that is never written, and the one behind a text.
    pub start: u32,
    /// See `start`.
    pub end: u32,
}

/// A text that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// Its tokens, what it began with included, without marks.
    pub tokens: Vec<u32>,
    /// The sum of the log probabilities of what was written, in nats, that of the end mark included.
    pub log_probability: f64,
    /// The [score](Scoring::score) that texts are compared by.
    pub score: f64,
    /// By prediction, that of the end mark too: which row of the scores it was made from.
    pub rows: Vec<usize>,
    /// Whether it ended with the end mark; else it was as long as a text may be, or nothing was allowed to follow.
    pub ended: bool,
}

/// A beginning.
#[derive(Clone, Debug)]
struct Live {
    tokens: Vec<u32>,
    sum: f64,
    /// By prediction, which of the beginnings before it goes on from.
    rows: Vec<usize>,
    /// By step of the memory: the sum of the weights of all predictions, where [`Beam::look`] is told them.
    covered: Vec<f64>,
}

/// A continuation of a beginning.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    sum: f64,
    of: usize,
    token: u32,
}

/// A text in the making.
#[derive(Clone, Debug)]
pub struct Beam {
    limits: BeamLimits,
    /// How many tokens it begins with.
    begun: usize,
    live: Vec<Live>,
    kept: Vec<Found>,
    /// How many texts have ended with the mark.
    ended: usize,
}

impl Beam {
    /// A text that begins with these tokens, as if they had been written.
    pub fn new(limits: BeamLimits, begin: Vec<u32>) -> Beam {
        let mut beam = Beam {
            limits,
            begun: begin.len(),
            live: vec![Live {
                tokens: begin,
                sum: 0.0,
                rows: Vec::new(),
                covered: Vec::new(),
            }],
            kept: Vec::new(),
            ended: 0,
        };
        beam.cut();
        beam
    }

    /// The beginnings that go on, best first: the tokens of each, and which of those before it goes on from.
    pub fn live(&self) -> impl Iterator<Item = (&[u32], usize)> {
        let parent = |live: &Live| live.rows.last().copied().unwrap_or(0);
        self.live
            .iter()
            .map(move |live| (&live.tokens[..], parent(live)))
    }

    /// Whether the search is over.
    pub fn is_over(&self) -> bool {
        self.live.is_empty()
    }

    /// The texts that were kept, best first.
    pub fn found(self) -> Vec<Found> {
        self.kept
    }

    /// Takes note of what the next prediction behind each beginning weighs the steps of the memory by, before it is chosen.
    pub fn look(&mut self, weights: &[&[f32]]) {
        for (live, weights) in self.live.iter_mut().zip(weights) {
            live.covered.resize(weights.len(), 0.0);
            for (sum, weight) in live.covered.iter_mut().zip(*weights) {
                *sum += f64::from(*weight);
            }
        }
    }

    /// Goes on with the best of all continuations; `scores` are the log probabilities of all symbols behind each beginning.
    ///
    /// # Errors
    /// Checkpoint, for a score that is not finite.
    pub fn advance(&mut self, scores: &[&[f32]]) -> Result<()> {
        let beams = self.limits.beams;
        let mut best: Vec<Candidate> = Vec::with_capacity(beams + 1);
        for (of, row) in scores.iter().enumerate().take(self.live.len()) {
            finite(row)?;
            let (forbidden, before) = (self.forbidden(of), self.live[of].sum);
            if forbidden.len() == row.len() {
                self.end(of);
            }
            // Of equal ones the first stays before.
            let beaten = |best: &[Candidate], score: f32| {
                let worst = best.last().filter(|_| best.len() == beams);
                worst.is_some_and(|worst| before + f64::from(score) <= worst.sum)
            };
            for (part, scores) in row.chunks(PART).enumerate() {
                // Most parts have nothing to look at.
                if beaten(&best, most_likely(scores)) {
                    continue;
                }
                for (token, score) in ((part * PART) as u32..).zip(scores) {
                    if beaten(&best, *score) || forbidden.contains(&token) {
                        continue;
                    }
                    let sum = before + f64::from(*score);
                    let at = best.partition_point(|other| other.sum >= sum);
                    best.insert(at, Candidate { sum, of, token });
                    best.truncate(beams);
                }
            }
        }
        self.take(&best);
        Ok(())
    }

    /// The log probabilities of all symbols behind the only beginning, for a draw: those of symbols that may not come next as
    /// low as can be. Where none may the text has ended, and there is nothing to draw from.
    ///
    /// # Errors
    /// Checkpoint, for a score that is not finite.
    pub fn allowed(&mut self, scores: &[f32]) -> Result<Option<Vec<f32>>> {
        finite(scores)?;
        let forbidden = self.forbidden(0);
        if forbidden.len() == scores.len() {
            self.end(0);
            self.take(&[]);
            return Ok(None);
        }
        let mut scores = scores.to_vec();
        for token in forbidden {
            scores[token as usize] = NEVER;
        }
        Ok(Some(scores))
    }

    /// Goes on with a symbol that was drawn behind the only beginning, of this log probability.
    pub fn follow(&mut self, token: u32, score: f32) {
        let sum = self.live[0].sum + f64::from(score);
        self.take(&[Candidate { sum, of: 0, token }]);
    }

    /// Takes continuations, best first.
    fn take(&mut self, best: &[Candidate]) {
        let mut live = Vec::new();
        for Candidate { sum, of, token } in best {
            let mut next = self.live[*of].clone();
            next.sum = *sum;
            next.rows.push(*of);
            if *token == self.limits.end {
                self.ended += 1;
                self.keep(next, true);
                continue;
            }
            next.tokens.push(*token);
            live.push(next);
        }
        self.live = live;
        self.cut();
    }

    /// Ends what is as long as a text may be, and the search where nothing that goes on can still be kept.
    fn cut(&mut self) {
        let most = self.begun + self.limits.most;
        if self
            .live
            .first()
            .is_some_and(|live| live.tokens.len() == most)
        {
            // All are of one length.
            (0..self.live.len()).for_each(|of| self.end(of));
            self.live.clear();
        }
        let worst = self
            .kept
            .get(self.limits.texts - 1)
            .map(|found| found.score);
        let BeamLimits { scoring, most, .. } = self.limits;
        let bound = |live: &Live| scoring.bound(live.sum, most);
        let beaten = |live: &Live| worst.is_some_and(|worst| bound(live) <= worst);
        let stops = self.limits.early_stop && self.ended >= self.limits.beams;
        if stops || self.live.iter().all(beaten) {
            self.live.clear();
        }
    }

    /// Keeps a beginning as a text of its own.
    fn end(&mut self, of: usize) {
        self.keep(self.live[of].clone(), false);
    }

    /// Keeps a text, where it is among the best; of equal ones the one that came first.
    fn keep(&mut self, live: Live, ended: bool) {
        let predictions = live.tokens.len() - self.begun + usize::from(ended);
        let scoring = self.limits.scoring;
        let score = scoring.score(live.sum, predictions, &live.covered);
        let Live {
            tokens, sum, rows, ..
        } = live;
        let at = self.kept.partition_point(|other| other.score >= score);
        let found = Found {
            tokens,
            log_probability: sum,
            score,
            rows,
            ended,
        };
        self.kept.insert(at, found);
        self.kept.truncate(self.limits.texts);
    }

    /// The symbols that may not come behind a beginning, each once.
    fn forbidden(&self, of: usize) -> Vec<u32> {
        let BeamLimits {
            least,
            block_ngram,
            start,
            end,
            ..
        } = self.limits;
        let tokens = &self.live[of].tokens;
        let mut all = vec![start];
        if tokens.len() - self.begun < least {
            all.push(end);
        }
        if block_ngram > 0 && tokens.len() >= block_ngram {
            let last = &tokens[tokens.len() + 1 - block_ngram..];
            let before = tokens.windows(block_ngram);
            let same = before.filter(|ngram| ngram.starts_with(last));
            all.extend(same.filter_map(|ngram| ngram.last()));
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// A log probability that no choice takes.
const NEVER: f32 = -1e30;

/// Scores that are looked over together.
const PART: usize = 64;

/// The largest of some finite scores.
fn most_likely(scores: &[f32]) -> f32 {
    let pick = |most: f32, score: &f32| if *score > most { *score } else { most };
    scores.iter().fold(f32::NEG_INFINITY, pick)
}

fn finite(scores: &[f32]) -> Result<()> {
    // A count of all is vector code, which a search for the first is not.
    let odd = |scores: &[f32]| {
        scores
            .iter()
            .map(|x| u32::from(!x.is_finite()))
            .sum::<u32>()
    };
    if odd(scores) == 0 {
        return Ok(());
    }
    match scores.iter().position(|score| !score.is_finite()) {
        None => Ok(()),
        Some(token) => Err(Error::checkpoint(format!(
            "the model's score of token {token} is {}, expected a finite number",
            scores[token]
        ))),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
