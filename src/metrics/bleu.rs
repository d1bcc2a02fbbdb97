//! BLEU of a corpus (Papineni et al. 2002), with the words, the smoothing and the signature of sacrebleu (Post 2018): the same
//! figures to the last printed digit.

use std::collections::HashMap;
use std::fmt;

use super::tokenization::{Tokenization, words};
use crate::error::{Error, Result};

/// The longest n-grams that count, in words.
const ORDER: usize = 4;

/// How many n-grams of the hypotheses there are, and how many of them stand in a reference; lengths of both in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bleu {
    tokenization: Tokenization,
    /// n-grams that a reference has too, each as often at most as the reference that has most of them.
    matches: [u64; ORDER],
    /// n-grams of the hypotheses.
    totals: [u64; ORDER],
    hypothesis_words: u64,
    /// Of the reference nearest in length to each hypothesis, the shorter one of two as near.
    reference_words: u64,
    references: ReferenceCount,
}

impl Bleu {
    /// Of no sentences yet.
    pub fn new(tokenization: Tokenization) -> Bleu {
        Bleu {
            tokenization,
            matches: [0; ORDER],
            totals: [0; ORDER],
            hypothesis_words: 0,
            reference_words: 0,
            references: ReferenceCount::default(),
        }
    }

    /// Adds a sentence as it was made, and what would have been right, one or more lines.
    ///
    /// # Errors
    /// `Kind::Data` without a reference.
    pub fn add(&mut self, hypothesis: &str, references: &[impl AsRef<str>]) -> Result<()> {
        self.references.add(references.len())?;
        let cut = |line: &str| self.tokenization.apply(line);
        let hypothesis = cut(hypothesis);
        let hypothesis: Vec<&str> = words(&hypothesis).collect();
        let references: Vec<String> = references.iter().map(|line| cut(line.as_ref())).collect();
        let references: Vec<Vec<&str>> = references.iter().map(|l| words(l).collect()).collect();
        for n in 1..=ORDER {
            let mut most: HashMap<&[&str], u64> = HashMap::new();
            for reference in &references {
                for (ngram, count) in counts(reference, n) {
                    let most = most.entry(ngram).or_default();
                    *most = count.max(*most);
                }
            }
            for (ngram, count) in counts(&hypothesis, n) {
                self.totals[n - 1] += count;
                self.matches[n - 1] += count.min(most.get(ngram).copied().unwrap_or(0));
            }
        }
        let lengths = references.iter().map(Vec::len);
        let nearest = lengths.min_by_key(|length| (length.abs_diff(hypothesis.len()), *length));
        self.hypothesis_words += hypothesis.len() as u64;
        self.reference_words += nearest.unwrap_or(0) as u64;
        Ok(())
    }

    /// The precisions of n-grams of 1, 2, 3 and 4 words, in per cent. Those without a match are smoothed as mteval does it: 1/2, 1/4,
    /// ... of a match in the order of their lengths. All are 0 where no word matches, and those of which there is no n-gram.
    pub fn precisions(&self) -> [f64; ORDER] {
        let mut precisions = [0.0; ORDER];
        if self.matches[0] == 0 {
            return precisions; // then no longer n-gram matches either
        }
        let mut smoothed = 1.0;
        let counts = self.matches.iter().zip(&self.totals);
        for (precision, (matches, total)) in precisions.iter_mut().zip(counts) {
            if *total == 0 {
                break;
            }
            *precision = if *matches == 0 {
                smoothed *= 2.0;
                100.0 / (smoothed * *total as f64)
            } else {
                100.0 * *matches as f64 / *total as f64
            };
        }
        precisions
    }

    /// What hypotheses shorter than their references cost: e^(1 - r / c), 1 for longer ones.
    pub fn brevity_penalty(&self) -> f64 {
        match self.hypothesis_words {
            words if words >= self.reference_words => 1.0,
            0 => 0.0,
            words => (1.0 - self.reference_words as f64 / words as f64).exp(),
        }
    }

    /// BLEU, from 0 to 100: the geometric mean of the four precisions times the brevity penalty.
    pub fn score(&self) -> f64 {
        self.score_to(ORDER)
    }

    /// BLEU-n of n-grams of up to `order` words, 1 to 4, as captions are measured.
    pub fn score_to(&self, order: usize) -> f64 {
        let order = order.clamp(1, ORDER);
        let precisions = &self.precisions()[..order];
        if precisions.contains(&0.0) {
            return 0.0;
        }
        let logs: f64 = precisions.iter().map(|p| p.ln()).sum();
        self.brevity_penalty() * (logs / order as f64).exp()
    }

    /// What another figure must share with this one to be compared with it, as sacrebleu says it but for its version.
    pub fn signature(&self) -> String {
        let (references, words) = (self.references, self.tokenization.name());
        format!("nrefs:{references}|case:mixed|eff:no|tok:{words}|smooth:exp")
    }
}

/// As sacrebleu prints it: `BLEU = 31.20 64.5/38.1/24.6/16.2 (BP = 1.000 ratio = 1.003 hyp_len = 812 ref_len = 810)`.
impl fmt::Display for Bleu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precisions = self.precisions().map(|p| format!("{p:.1}")).join("/");
        let (hypothesis, reference) = (self.hypothesis_words, self.reference_words);
        let ratio = match reference {
            0 => 0.0,
            words => hypothesis as f64 / words as f64,
        };
        write!(
            f,
            "BLEU = {:.2} {precisions} (BP = {:.3} ratio = {ratio:.3} hyp_len = {hypothesis} ref_len = {reference})",
            self.score(),
            self.brevity_penalty(),
        )
    }
}

/// How often each n-gram stands in a sentence.
fn counts<'a, 'b>(words: &'a [&'b str], n: usize) -> HashMap<&'a [&'b str], u64> {
    let mut counts = HashMap::new();
    for ngram in words.windows(n) {
        *counts.entry(ngram).or_default() += 1;
    }
    counts
}

/// How many references the sentences of a corpus have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ReferenceCount {
    /// There is no sentence yet.
    #[default]
    Unknown,
    /// All have as many.
    Each(usize),
    /// Some have more than others.
    Varying,
}

impl ReferenceCount {
    /// Counts those of one more sentence; refuses one without.
    pub(super) fn add(&mut self, count: usize) -> Result<()> {
        if count == 0 {
            return Err(Error::data(
                "a sentence to compare: expected one reference or more, found none",
            ));
        }
        *self = match *self {
            ReferenceCount::Unknown => ReferenceCount::Each(count),
            ReferenceCount::Each(all) if all == count => ReferenceCount::Each(count),
            _ => ReferenceCount::Varying,
        };
        Ok(())
    }
}

impl fmt::Display for ReferenceCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReferenceCount::Unknown => f.write_str("0"),
            ReferenceCount::Each(count) => write!(f, "{count}"),
            ReferenceCount::Varying => f.write_str("var"),
        }
    }
}
