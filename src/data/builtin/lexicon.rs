//! The words of the built-in corpus: the same ones whatever the seed, made of syllables.

use crate::rng::{Purpose, Stream};

/// What the words are drawn with; a text's own seed changes the text, never the language.
const WORDS: u64 = 0x1eb0;

/// Words that carry structure. No content word begins with one of them, or is the beginning of one.
const RESERVED: [&str; 10] = [
    "that", "near", "of", "with", "under", "and", "says", "asks", "adds", "do",
];

/// The content words. Taken together they are prefix-free, so a word's last letter tells that it is over.
pub(super) struct Lexicon {
    /// Stems: a plural takes an s.
    pub nouns: Vec<String>,
    /// Stems of verbs with an object: a singular takes an s.
    pub transitive: Vec<String>,
    /// Stems of verbs without.
    pub intransitive: Vec<String>,
    /// Adjectives.
    pub adjectives: Vec<String>,
    /// Adverbs.
    pub adverbs: Vec<String>,
    /// Names, capitalised.
    pub names: Vec<String>,
}

impl Lexicon {
    pub fn new() -> Self {
        let mut maker = Maker {
            stream: Stream::new(WORDS, Purpose::Corpus, 0),
            made: RESERVED.iter().map(ToString::to_string).collect(),
        };
        let names = maker.words(10, "");
        Lexicon {
            names: names.iter().map(|n| capitalised(n)).collect(),
            nouns: maker.words(200, ""),
            transitive: maker.words(60, ""),
            intransitive: maker.words(40, ""),
            adjectives: maker.words(60, ""),
            adverbs: maker.words(20, "ly"),
        }
    }
}

struct Maker {
    stream: Stream,
    made: Vec<String>,
}

impl Maker {
    fn below(&mut self, n: usize) -> usize {
        (self.stream.uniform() * n as f32) as usize
    }

    /// `count` new words that end in `ending`, short ones first, as frequent words are short.
    fn words(&mut self, count: usize, ending: &str) -> Vec<String> {
        let mut words = Vec::with_capacity(count);
        while words.len() < count {
            let word = self.word() + ending;
            if self.made.iter().all(|old| apart(old, &word)) {
                self.made.push(word.clone());
                words.push(word);
            }
        }
        words.sort_by_key(String::len);
        words
    }

    /// One syllable or, a quarter of the time, two; the last one is closed.
    fn word(&mut self) -> String {
        const ONSETS: [&str; 20] = [
            "b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "t", "v", "w", "br", "tr", "fl",
            "pl", "th", "st",
        ];
        const VOWELS: [&str; 5] = ["a", "e", "i", "o", "u"];
        const CODAS: [&str; 8] = ["n", "r", "l", "m", "d", "p", "nd", "lt"];
        let syllables = 1 + self.below(4) / 3;
        let mut word = String::new();
        for _ in 0..syllables {
            word += ONSETS[self.below(ONSETS.len())];
            word += VOWELS[self.below(VOWELS.len())];
        }
        word += CODAS[self.below(CODAS.len())];
        word
    }
}

/// Neither is the beginning of the other.
fn apart(a: &str, b: &str) -> bool {
    !a.starts_with(b) && !b.starts_with(a)
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars
        .next()
        .map(|c| c.to_ascii_uppercase().to_string() + chars.as_str())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_prefix_free_together() {
        let lexicon = Lexicon::new();
        let all: Vec<&String> = [
            &lexicon.nouns,
            &lexicon.transitive,
            &lexicon.intransitive,
            &lexicon.adjectives,
            &lexicon.adverbs,
        ]
        .into_iter()
        .flatten()
        .collect();
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| apart(a, b)), "{a}");
        }
    }
}
