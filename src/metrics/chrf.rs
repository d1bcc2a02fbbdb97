//! chrF of a corpus (Popovic 2015): how many n-grams of characters hypotheses and references share, as sacrebleu (Post 2018) has it
//! by default: chrF2, the same figures to the last printed digit.

use std::collections::HashMap;
use std::fmt;

use super::bleu::ReferenceCount;
use super::tokenization::is_space;
use crate::error::Result;

/// The longest n-grams that count, in characters.
const ORDER: usize = 6;
/// How many times as much recall counts as precision.
const BETA: f64 = 2.0;

/// n-grams of one length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct NgramCounts {
    /// In hypotheses whose reference has any of this length.
    hypothesis: u64,
    reference: u64,
    matches: u64,
}

/// How many n-grams of 1 to 6 characters hypotheses, references and both have; white space is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chrf {
    counts: [NgramCounts; ORDER],
    references: ReferenceCount,
}

impl Chrf {
    /// Adds a sentence as it was made, and what would have been right, one or more lines: that with the best score counts.
    ///
    /// # Errors
    /// `Kind::Data` without a reference.
    pub fn add(&mut self, hypothesis: &str, references: &[impl AsRef<str>]) -> Result<()> {
        self.references.add(references.len())?;
        let hypothesis = characters(hypothesis);
        let hypothesis: Vec<_> = (1..=ORDER).map(|n| ngrams(&hypothesis, n)).collect();
        let mut best = ([NgramCounts::default(); ORDER], -1.0);
        for reference in references {
            let reference = characters(reference.as_ref());
            let mut counts = [NgramCounts::default(); ORDER];
            for (n, (counts, own)) in counts.iter_mut().zip(&hypothesis).enumerate() {
                *counts = compare(own, &ngrams(&reference, n + 1));
            }
            let score = f_score(&counts);
            if score > best.1 {
                best = (counts, score);
            }
        }
        for (sum, counts) in self.counts.iter_mut().zip(best.0) {
            sum.hypothesis += counts.hypothesis;
            sum.reference += counts.reference;
            sum.matches += counts.matches;
        }
        Ok(())
    }

    /// chrF2, from 0 to 100.
    pub fn score(&self) -> f64 {
        f_score(&self.counts)
    }

    /// What another figure must share with this one to be compared with it, as sacrebleu says it but for its version.
    pub fn signature(&self) -> String {
        let references = self.references;
        format!("nrefs:{references}|case:mixed|eff:yes|nc:{ORDER}|nw:0|space:no")
    }
}

/// As sacrebleu prints it: `chrF2 = 54.13`.
impl fmt::Display for Chrf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chrF{BETA} = {:.2}", self.score())
    }
}

fn characters(line: &str) -> Vec<char> {
    line.chars().filter(|c| !is_space(*c)).collect()
}

/// How often each n-gram stands in a line.
fn ngrams(characters: &[char], n: usize) -> HashMap<Vec<char>, u64> {
    let mut counts = HashMap::new();
    for ngram in characters.windows(n) {
        *counts.entry(ngram.to_vec()).or_default() += 1;
    }
    counts
}

fn compare(
    hypothesis: &HashMap<Vec<char>, u64>,
    reference: &HashMap<Vec<char>, u64>,
) -> NgramCounts {
    if reference.is_empty() {
        return NgramCounts::default();
    }
    let matches = hypothesis
        .iter()
        .map(|(ngram, count)| reference.get(ngram).map_or(0, |most| *count.min(most)));
    NgramCounts {
        hypothesis: hypothesis.values().sum(),
        reference: reference.values().sum(),
        matches: matches.sum(),
    }
}

/// The F score of precision and recall, each the mean over the lengths of n-grams that hypothesis and reference both have.
fn f_score(counts: &[NgramCounts; ORDER]) -> f64 {
    let (mut precision, mut recall, mut orders) = (0.0, 0.0, 0.0);
    for counts in counts {
        if counts.hypothesis > 0 && counts.reference > 0 {
            precision += counts.matches as f64 / counts.hypothesis as f64;
            recall += counts.matches as f64 / counts.reference as f64;
            orders += 1.0;
        }
    }
    if precision + recall == 0.0 {
        return 0.0;
    }
    (precision, recall) = (precision / orders, recall / orders);
    let factor = BETA * BETA;
    100.0 * ((1.0 + factor) * precision * recall / (factor * precision + recall))
}
