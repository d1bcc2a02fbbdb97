//! What a rule reaches without a network: a model is worth what it adds.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::accuracy::Accuracy;

/// The place of the largest number, the first of equal ones; of none the first.
pub fn largest<T: PartialOrd>(numbers: &[T]) -> u32 {
    let mut best = 0;
    for (n, number) in numbers.iter().enumerate() {
        if *number > numbers[best] {
            best = n;
        }
    }
    best as u32
}

/// Adds `n` to the count of a class.
fn add(counts: &mut Vec<u64>, class: u32, n: u64) {
    counts.resize(counts.len().max(class as usize + 1), 0);
    counts[class as usize] += n;
}

/// The accuracy of always predicting the class that training has most examples of; `counts` are those of its classes.
pub fn majority(counts: &[u64], gold: &[u32]) -> Accuracy {
    let class = largest(counts);
    Accuracy::of(gold.iter().map(|right| *right == class))
}

/// The loss in nats a token of always giving each symbol its share of training's tokens. One is added to every count, so that
/// symbols that training lacks cost something finite. None of no tokens, and of symbols beyond the counts.
pub fn unigram(counts: &[u64], tokens: impl Iterator<Item = u32>) -> Option<f64> {
    let all = (counts.iter().sum::<u64>() + counts.len() as u64) as f64;
    let (mut sum, mut n) = (0.0, 0u64);
    for token in tokens {
        let count = counts.get(token as usize)?;
        sum -= ((*count + 1) as f64 / all).ln();
        n += 1;
    }
    (n > 0).then(|| sum / n as f64)
}

/// How often each note sounds: a model that knows nothing of what came before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoteFrequency {
    counts: Vec<u64>,
    steps: u64,
}

impl NoteFrequency {
    /// Adds a step: notes that are 1 where they sound, else 0.
    pub fn add(&mut self, step: &[f32]) {
        self.counts.resize(self.counts.len().max(step.len()), 0);
        for (count, note) in self.counts.iter_mut().zip(step) {
            *count += u64::from(*note > 0.5);
        }
        self.steps += 1;
    }

    /// -log p of a step where each note sounds by its share, in nats, the sum over the notes. One is added to every count of
    /// sounding and of silence.
    pub fn nats(&self, step: &[f32]) -> f64 {
        let all = (self.steps + 2) as f64;
        let note = |(note, bit): (usize, &f32)| {
            let count = self.counts.get(note).copied().unwrap_or(0) + 1;
            let p = count as f64 / all;
            -(if *bit > 0.5 { p } else { 1.0 - p }).ln()
        };
        step.iter().enumerate().map(note).sum()
    }
}

/// A pen whose offsets are those of one bivariate Gaussian, whatever came before, and that lifts as often as in training.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OneGaussian {
    steps: f64,
    sums: [f64; 2],
    /// Of x x, y y and x y.
    products: [f64; 3],
    lifts: f64,
}

impl OneGaussian {
    /// Adds a step: two offsets, and 1 where the pen lifts, else 0.
    pub fn add(&mut self, step: &[f32]) {
        let [x, y, lift] = [0, 1, 2].map(|n| step.get(n).copied().map_or(0.0, f64::from));
        self.steps += 1.0;
        for (sum, of) in self.sums.iter_mut().zip([x, y]) {
            *sum += of;
        }
        for (sum, of) in self.products.iter_mut().zip([x * x, y * y, x * y]) {
            *sum += of;
        }
        self.lifts += lift;
    }

    /// -log p of a step, in nats; one lift and one step without are added to the counts. None where offsets do not vary.
    pub fn nats(&self, step: &[f32]) -> Option<f64> {
        let [x, y, lift] = [0, 1, 2].map(|n| step.get(n).copied().map_or(0.0, f64::from));
        let mean = self.sums.map(|sum| sum / self.steps);
        let [xx, yy, xy] = self.products.map(|sum| sum / self.steps);
        let (a, b) = (xx - mean[0] * mean[0], yy - mean[1] * mean[1]);
        let c = xy - mean[0] * mean[1];
        let determinant = a * b - c * c;
        if determinant.is_nan() || determinant <= 0.0 {
            return None;
        }
        let (x, y) = (x - mean[0], y - mean[1]);
        let distance = (b * x * x - 2.0 * c * x * y + a * y * y) / determinant;
        let point = std::f64::consts::TAU.ln() + 0.5 * determinant.ln() + 0.5 * distance;
        let p = (self.lifts + 1.0) / (self.steps + 2.0);
        Some(point - if lift > 0.5 { p } else { 1.0 - p }.ln())
    }
}

/// The most frequent tag of each word of training, whatever its case. Words that training does not have get the tag that is
/// most frequent among those that it has once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrequentTag {
    tags: BTreeMap<String, u32>,
    unknown: u32,
}

impl FrequentTag {
    /// From training's words and their tags. Of equally frequent ones the lower number is taken.
    pub fn of<'a>(words: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let mut counts: HashMap<String, BTreeMap<u32, u64>> = HashMap::new();
        for (word, tag) in words {
            *counts
                .entry(word.to_lowercase())
                .or_default()
                .entry(tag)
                .or_default() += 1;
        }
        let mut once: Vec<u64> = Vec::new();
        let mut all: Vec<u64> = Vec::new();
        let mut tags = BTreeMap::new();
        for (word, of) in counts {
            let mut best: (u32, u64) = (0, 0);
            for (tag, n) in &of {
                add(&mut all, *tag, *n);
                if *n > best.1 {
                    best = (*tag, *n);
                }
            }
            if of.values().sum::<u64>() == 1 {
                add(&mut once, best.0, 1);
            }
            tags.insert(word, best.0);
        }
        // Where every word comes twice, none says more than all.
        let unknown = largest(if once.is_empty() { &all } else { &once });
        FrequentTag { tags, unknown }
    }

    /// Gives words that training does not have the tag that is most frequent among those of `held_out`, words and their tags
    /// that were not trained on, such as a validation file. Where there are none all stays as it is.
    pub fn with_unknown_of<'a>(mut self, held_out: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let mut counts = Vec::new();
        for (word, tag) in held_out {
            if !self.knows(word) {
                add(&mut counts, tag, 1);
            }
        }
        if !counts.is_empty() {
            self.unknown = largest(&counts);
        }
        self
    }

    /// Whether training has the word.
    pub fn knows(&self, word: &str) -> bool {
        self.tags.contains_key(&word.to_lowercase())
    }

    /// Its tag.
    pub fn tag(&self, word: &str) -> u32 {
        let found = self.tags.get(&word.to_lowercase());
        found.copied().unwrap_or(self.unknown)
    }

    /// The tag of words that training does not have.
    pub fn unknown(&self) -> u32 {
        self.unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_majority_is_that_of_training() {
        assert_eq!(
            majority(&[2, 5, 5], &[1, 2, 1, 0]),
            Accuracy { right: 2, total: 4 }
        );
        assert_eq!(majority(&[], &[]).share(), None);
    }

    #[test]
    fn notes_and_strokes_have_floors_of_their_own() {
        let mut notes = NoteFrequency::default();
        for step in [[1.0, 0.0], [1.0, 0.0], [0.0, 0.0]] {
            notes.add(&step);
        }
        // Sounding 3 of 5 and 1 of 5.
        let want = -(0.6f64.ln() + 0.8f64.ln());
        assert!((notes.nats(&[1.0, 0.0]) - want).abs() < 1e-12);
        let mut one = OneGaussian::default();
        assert_eq!(one.nats(&[0.0, 0.0, 0.0]), None);
        for (x, y, lift) in [
            (2.0, 1.0, 0.0),
            (-2.0, 1.0, 0.0),
            (2.0, -1.0, 0.0),
            (-2.0, -1.0, 1.0),
        ] {
            one.add(&[x, y, lift]);
        }
        // Variances 4 and 1, no correlation; a pen that lifts 2 times of 6.
        let point = std::f64::consts::TAU.ln() + 2f64.ln();
        let nats = |step: [f32; 3]| one.nats(&step).unwrap();
        assert!((nats([0.0, 0.0, 1.0]) - (point - (1.0f64 / 3.0).ln())).abs() < 1e-12);
        assert!((nats([2.0, 1.0, 0.0]) - (point + 1.0 - (2.0f64 / 3.0).ln())).abs() < 1e-12);
        // Correlated offsets are likelier along the line on which they lie.
        let mut tilted = OneGaussian::default();
        for (x, y) in [(1.0, 1.0), (-1.0, -1.0), (0.5, -0.5), (-0.5, 0.5)] {
            tilted.add(&[x, y, 0.0]);
        }
        let nats = |step: [f32; 3]| tilted.nats(&step).unwrap();
        assert!(nats([1.0, 1.0, 0.0]) < nats([1.0, -1.0, 0.0]));
    }

    #[test]
    fn a_word_gets_its_most_frequent_tag_and_an_unknown_one_that_of_rare_words() {
        let train = [
            ("The", 0),
            ("the", 0),
            ("run", 1),
            ("run", 2),
            ("run", 2),
            ("Kim", 3),
            ("Oslo", 3),
            ("oops", 4),
        ];
        let floor = FrequentTag::of(train.into_iter());
        let tags = ["THE", "run", "kim", "Berlin"].map(|word| floor.tag(word));
        assert_eq!(tags, [0, 2, 3, 3]);
        assert_eq!(
            (floor.knows("tHe"), floor.knows("Berlin"), floor.unknown()),
            (true, false, 3)
        );
        let held_out = [("the", 0), ("Rome", 1), ("Bonn", 1), ("x", 3)];
        let tuned = floor.clone().with_unknown_of(held_out.into_iter());
        assert_eq!((tuned.unknown(), tuned.tag("the")), (1, 0));
        assert_eq!(
            floor.clone().with_unknown_of([("the", 0)].into_iter()),
            floor
        );
        // Equal counts: the lower tag. No word comes once: the most frequent tag of all.
        let floor = FrequentTag::of([("a", 2), ("a", 1), ("b", 2), ("b", 2)].into_iter());
        assert_eq!((floor.tag("a"), floor.tag("x")), (1, 2));
        let kept = serde_json::to_string(&floor).unwrap();
        assert_eq!(serde_json::from_str::<FrequentTag>(&kept).unwrap(), floor);
    }

    #[test]
    fn a_unigram_costs_what_its_shares_say() {
        // Shares (3 + 1) / 8, (1 + 1) / 8, (0 + 1) / 8 and once more.
        let loss = unigram(&[3, 1, 0, 0], [0, 1, 3].into_iter()).unwrap();
        let want = (2f64.ln() + 4f64.ln() + 8f64.ln()) / 3.0;
        assert!((loss - want).abs() < 1e-12, "{loss}");
        assert_eq!(unigram(&[3, 1], [2].into_iter()), None);
        assert_eq!(unigram(&[3, 1], [].into_iter()), None);
    }
}
