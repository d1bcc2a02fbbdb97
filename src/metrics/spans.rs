//! Spans of words, such as names of people, that tags `B-x`, `I-x`, `E-x`, `S-x` and `O` stand for: found and compared as the
//! CoNLL shared tasks' `conlleval` does.

use std::collections::{BTreeMap, BTreeSet};

use super::accuracy::check_equal;
use super::confusion::scores;
use crate::error::Result;

/// Spans that are right, predicted, and there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanScores {
    /// Predicted spans that begin, end and are called as one that is there.
    pub right: u64,
    /// Predicted ones.
    pub predicted: u64,
    /// Those that are there.
    pub support: u64,
}

impl SpanScores {
    /// The share of predicted spans that are right; 0 of none.
    pub fn precision(&self) -> f64 {
        scores(self.right, self.predicted, self.support).0
    }

    /// The share of spans that are found; 0 of none.
    pub fn recall(&self) -> f64 {
        scores(self.right, self.predicted, self.support).1
    }

    /// The harmonic mean of both; 0 of none.
    pub fn f1(&self) -> f64 {
        scores(self.right, self.predicted, self.support).2
    }

    fn add(&mut self, more: SpanScores) {
        self.right += more.right;
        self.predicted += more.predicted;
        self.support += more.support;
    }
}

/// Whether tags stand for spans: each is `O` or begins with `B-`, `I-`, `E-` or `S-`, and one does with `B-` or `I-`.
pub fn are_spans<'a>(mut tags: impl Iterator<Item = &'a str> + Clone) -> bool {
    let begins =
        |tag: &str, of: &str| tag.len() > 2 && tag.as_bytes()[1] == b'-' && of.contains(&tag[..1]);
    let any = tags
        .clone()
        .any(|tag| tag.is_char_boundary(1) && begins(tag, "BI"));
    any && tags.all(|tag| tag == "O" || (tag.is_char_boundary(1) && begins(tag, "BIES")))
}

/// The place of a word in a span, and what the span is called.
type SpanTag<'a> = (&'a str, &'a str);

fn parts(tag: &str) -> SpanTag<'_> {
    tag.split_once('-').unwrap_or((tag, ""))
}

/// Whether a span ends between two words, the first being in one.
fn ends((before, name): SpanTag<'_>, (tag, next): SpanTag<'_>) -> bool {
    matches!(before, "E" | "S") || matches!(tag, "B" | "S" | "O") || name != next
}

/// Whether a span begins at the second of two words: also at an `I` or `E` after the end of another, or called otherwise.
fn begins((before, name): SpanTag<'_>, (tag, next): SpanTag<'_>) -> bool {
    tag != "O" && (matches!(tag, "B" | "S") || matches!(before, "E" | "S" | "O") || name != next)
}

/// The spans of one sequence: first word, the word after the last, and name.
fn found<'a>(tags: &[&'a str]) -> BTreeSet<(usize, usize, &'a str)> {
    let mut all = BTreeSet::new();
    let mut before: SpanTag<'a> = ("O", "");
    let mut open = None;
    let all_tags = tags.iter().copied().map(parts);
    for (n, tag) in all_tags.chain([("O", "")]).enumerate() {
        if let Some(start) = open
            && ends(before, tag)
        {
            all.insert((start, n, before.1));
            open = None;
        }
        if begins(before, tag) {
            open = Some(n);
        }
        before = tag;
    }
    all
}

/// Compares the spans of sequences of tags: those of all names together, and of each name.
///
/// # Errors
/// `Kind::Internal` for sequences of unequal lengths.
pub fn spans<'a>(
    sequences: impl Iterator<Item = (Vec<&'a str>, Vec<&'a str>)>,
) -> Result<(SpanScores, BTreeMap<String, SpanScores>)> {
    let mut by_name: BTreeMap<String, SpanScores> = BTreeMap::new();
    for (gold, predicted) in sequences {
        check_equal(gold.len(), predicted.len())?;
        let (gold, predicted) = (found(&gold), found(&predicted));
        for (spans, is_gold) in [(&gold, true), (&predicted, false)] {
            for span in spans {
                let scores = by_name.entry(span.2.to_string()).or_default();
                if is_gold {
                    scores.support += 1;
                } else {
                    scores.predicted += 1;
                    scores.right += u64::from(gold.contains(span));
                }
            }
        }
    }
    let mut all = SpanScores::default();
    by_name.values().for_each(|scores| all.add(*scores));
    Ok((all, by_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tags: &str) -> Vec<(usize, usize, String)> {
        let tags: Vec<&str> = tags.split(' ').collect();
        let all = found(&tags).into_iter();
        all.map(|(start, end, name)| (start, end, name.to_string()))
            .collect()
    }

    /// The rules of conlleval's endOfChunk and startOfChunk, transition by transition.
    #[test]
    fn spans_begin_and_end_as_in_conlleval() {
        for (tags, want) in [
            ("O B-a I-a O", &[(1, 3, "a")][..]),
            ("I-a I-a O I-b", &[(0, 2, "a"), (3, 4, "b")]), // IOB1: I begins one after O
            ("I-a B-a I-a", &[(0, 1, "a"), (1, 3, "a")]),
            ("B-a I-b", &[(0, 1, "a"), (1, 2, "b")]), // another name
            ("B-a B-a", &[(0, 1, "a"), (1, 2, "a")]),
            ("B-a I-a E-a I-a", &[(0, 3, "a"), (3, 4, "a")]), // E ends one, I begins the next
            ("S-a S-a E-a", &[(0, 1, "a"), (1, 2, "a"), (2, 3, "a")]),
            ("B-a-b E-a-b B-a-b", &[(0, 2, "a-b"), (2, 3, "a-b")]),
            ("O O", &[]),
        ] {
            let want: Vec<_> = want
                .iter()
                .map(|(s, e, n)| (*s, *e, n.to_string()))
                .collect();
            assert_eq!(of(tags), want, "{tags}");
        }
    }

    /// By hand: there are PER 0..2, LOC 3..4 and PER 5..6; predicted are PER 0..2, LOC 3..5 and PER 5..6, so two of three both
    /// ways, PER 2 of 2, LOC 0 of 1.
    #[test]
    fn scores_of_spans_count_those_that_agree_in_all() {
        let gold = "B-PER I-PER O B-LOC O S-PER".split(' ').collect();
        let predicted = "I-PER I-PER O B-LOC I-LOC B-PER".split(' ').collect();
        let (all, names) = spans([(gold, predicted)].into_iter()).unwrap();
        let want = SpanScores {
            right: 2,
            predicted: 3,
            support: 3,
        };
        assert_eq!(all, want);
        assert!((all.f1() - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(
            (names["PER"].precision(), names["PER"].recall()),
            (1.0, 1.0)
        );
        assert_eq!((names["LOC"].precision(), names["LOC"].f1()), (0.0, 0.0));
        let none = spans([(vec!["O"], vec!["O"])].into_iter()).unwrap();
        assert_eq!(
            (none.0.precision(), none.0.recall(), none.0.f1()),
            (0.0, 0.0, 0.0)
        );
        assert!(spans([(vec!["O"], vec![])].into_iter()).is_err());
    }

    #[test]
    fn tags_of_spans_are_known_by_their_beginnings() {
        let are = |tags: &str| are_spans(tags.split(' '));
        assert!(are("O B-PER I-PER") && are("I-x O") && are("B-a S-a E-a I-a O"));
        for tags in [
            "NOUN VERB",
            "O",
            "B-a NOUN",
            "S-a O",
            "B I O",
            "I- O",
            "É-a O",
        ] {
            assert!(!are(tags), "{tags}");
        }
    }
}
