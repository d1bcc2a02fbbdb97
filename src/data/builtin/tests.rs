//! The text is read back: its costs and its rules are checked from the text alone.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::grammar::{Production, Symbol, rules};
use super::lexicon::Lexicon;
use super::*;

/// Reads a text character by character and predicts the next one. It knows the rules and nothing of how texts or costs
/// are made: no sorting, no sums, no numbers for symbols, only the list of rules that the text still allows.
struct Predictor {
    lexicon: Lexicon,
    known: HashMap<Symbol, Vec<Production>>,
    stack: Vec<Symbol>,
    /// What was read of the rule under way.
    partial: String,
}

impl Predictor {
    fn new() -> Self {
        Predictor {
            lexicon: Lexicon::new(),
            known: HashMap::new(),
            stack: vec![Symbol::Paragraph],
            partial: String::new(),
        }
    }

    /// The probability of every character that may come next.
    fn predict(&mut self) -> BTreeMap<char, f64> {
        let top = *self.stack.last().expect("the text never ends");
        let all = self
            .known
            .entry(top)
            .or_insert_with(|| rules(&self.lexicon, top));
        let mut next = BTreeMap::new();
        let mut total = 0.0;
        for rule in all.iter() {
            if let Some(rest) = rule.text.strip_prefix(&self.partial) {
                let c = rest.chars().next().expect("a whole text was left open");
                *next.entry(c).or_insert(0.0) += rule.share;
                total += rule.share;
            }
        }
        next.values_mut().for_each(|p| *p /= total);
        next
    }

    fn read(&mut self, c: char) {
        self.partial.push(c);
        let top = *self.stack.last().unwrap();
        let fits: Vec<&Production> = self.known[&top]
            .iter()
            .filter(|rule| rule.text.starts_with(&self.partial))
            .collect();
        assert!(!fits.is_empty(), "{top:?}: {:?}", self.partial);
        if fits.iter().any(|rule| rule.text == self.partial) {
            // Whole, and nothing else begins like it: the choice is certain.
            assert_eq!(fits.len(), 1, "{top:?}: {:?}", self.partial);
            let then: Vec<Symbol> = fits[0].then.iter().rev().copied().collect();
            self.stack.pop();
            self.stack.extend(then);
            self.partial.clear();
        }
    }
}

/// Every symbol that can be reached, with its rules.
fn all_rules() -> Vec<(Symbol, Vec<Production>)> {
    let lexicon = Lexicon::new();
    let mut seen = HashSet::from([Symbol::Paragraph]);
    let mut open = vec![Symbol::Paragraph];
    let mut all = Vec::new();
    while let Some(symbol) = open.pop() {
        let list = rules(&lexicon, symbol);
        for then in list.iter().flat_map(|r| &r.then) {
            if seen.insert(*then) {
                open.push(*then);
            }
        }
        all.push((symbol, list));
    }
    all
}

#[test]
fn every_symbol_has_prefix_free_rules_whose_shares_sum_to_one() {
    for (symbol, list) in all_rules() {
        let sum: f64 = list.iter().map(|r| r.share).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{symbol:?}: {sum}");
        for (i, a) in list.iter().enumerate() {
            assert!(a.share > 0.0 && !a.text.is_empty() && a.text.is_ascii());
            for b in &list[..i] {
                assert!(
                    !a.text.starts_with(&b.text) && !b.text.starts_with(&a.text),
                    "{symbol:?}: {:?} and {:?}",
                    a.text,
                    b.text
                );
            }
        }
    }
}

#[test]
fn the_text_is_drawn_from_the_distribution_that_it_is_charged_for() {
    let made = generate(11, 200_000);
    let mut reader = Predictor::new();
    // Sums of what came less what was expected: of the cost, and of each character's count. Given the past each term has
    // mean 0, so a sum divided by the root of the summed variances is nearly normal.
    let (mut excess, mut variance) = (0.0, 0.0);
    let mut counts: BTreeMap<char, (f64, f64)> = BTreeMap::new();
    for (c, cost) in made.text.chars().zip(&made.costs) {
        let next = reader.predict();
        let sum: f64 = next.values().sum();
        assert!((sum - 1.0).abs() < 1e-12);
        let want = -next[&c].ln();
        assert!((want - f64::from(*cost)).abs() <= 1e-5, "{want} {cost}");
        let entropy: f64 = next.values().map(|p| -p * p.ln()).sum();
        let square: f64 = next.values().map(|p| p * p.ln() * p.ln()).sum();
        excess += want - entropy;
        variance += square - entropy * entropy;
        for (other, p) in next {
            let (sum, var) = counts.entry(other).or_default();
            *sum += f64::from(u8::from(other == c)) - p;
            *var += p * (1.0 - p);
        }
        reader.read(c);
    }
    // Some 60 figures are looked at: beyond 5 deviations chance alone comes once in 30,000 such tests.
    let z = excess / variance.sqrt();
    assert!(z.abs() < 5.0, "cost: {z}");
    for (c, (sum, var)) in counts {
        // A character that is only ever certain has no variance.
        let z = sum / var.max(1e-9).sqrt();
        assert!(z.abs() < 5.0, "{c:?}: {z}");
    }
}

#[test]
fn words_agree_and_brackets_close_by_a_reader_without_the_grammar() {
    let made = generate(5, 300_000);
    let mut open = Vec::new();
    let mut deepest = 0;
    for c in made.text.chars() {
        match c {
            '(' | '[' | '{' => open.push(c),
            '"' if open.last() != Some(&'"') => open.push(c),
            ')' | ']' | '}' | '"' => {
                let want = match c {
                    ')' => '(',
                    ']' => '[',
                    '}' => '{',
                    _ => '"',
                };
                assert_eq!(open.pop(), Some(want));
            }
            '\n' => assert!(open.is_empty()),
            _ => {}
        }
        deepest = deepest.max(open.len());
    }
    assert_eq!(deepest, 3);

    // "each X of all Ys verbs": the verb goes with X, not with the nearer Y. Nouns of one word between function words.
    let singular = ["a", "each", "this", "every", "one", "no"];
    let plural = ["all", "some", "these", "many", "few", "both"];
    let determiners = [singular, plural].concat();
    let words: Vec<&str> = made.text.split(' ').collect();
    let mut seen = [0, 0];
    let lexicon = Lexicon::new();
    let is_noun = |w: &str| {
        lexicon
            .nouns
            .iter()
            .any(|n| w.strip_suffix('s').unwrap_or(w) == n)
    };
    for w in words.windows(6) {
        let first = w[0].trim_start_matches(['(', '[', '{']);
        let fits = determiners.contains(&first.to_lowercase().as_str())
            && is_noun(w[1])
            && w[2] == "of"
            && is_noun(w[4]);
        if !fits || w[5].starts_with(['(', '[', '{']) {
            continue;
        }
        let (head, other) = (
            singular.contains(&first.to_lowercase().as_str()),
            singular.contains(&w[3]),
        );
        assert_eq!(head, !w[1].ends_with('s'), "{w:?}");
        assert_eq!(other, !w[4].ends_with('s'), "{w:?}");
        let verb = w[5]
            .split(|c: char| !c.is_ascii_lowercase())
            .next()
            .unwrap();
        // A question's verb is bare. Its auxiliary stands before the window: leave those out.
        if first == w[0] && w[0].starts_with(|c: char| c.is_ascii_uppercase()) {
            assert_eq!(head, verb.ends_with('s'), "{w:?}");
            seen[usize::from(head != other)] += 1;
        }
    }
    assert!(seen.iter().all(|n| *n > 20), "{seen:?}");

    for paragraph in made.text.split("\n\n").filter(|p| p.len() > 20) {
        let name = paragraph.split(':').next().unwrap();
        for other in lexicon.names.iter().filter(|n| *n != name) {
            assert!(!paragraph.contains(other.as_str()), "{paragraph}");
        }
    }
}

#[test]
fn the_floor_and_the_alphabet_are_those_of_a_language() {
    let made = generate(1, 300_000);
    let floor = made.floor(0..300_000).unwrap();
    assert!((0.8..1.1).contains(&floor), "{floor}");
    let symbols: HashSet<char> = made.text.chars().collect();
    assert!((40..=60).contains(&symbols.len()), "{}", symbols.len());
    assert_eq!(made.floor(5..5), None);
    assert_eq!(made.floor(0..300_001), None);
}

#[test]
fn a_seed_gives_one_text_for_good() {
    let made = generate(1, 20_000);
    // A changed language is a changed benchmark: change this on purpose only.
    assert_eq!(
        blake3::hash(made.text.as_bytes()).to_hex().as_str(),
        "0001a26b10ce2eb4fc9761ec92469094b4a8dc500cd105b45449ba26f98cd824"
    );
    assert_ne!(made.text, generate(2, 20_000).text);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn texts_are_beginnings_of_one_another_and_can_be_read(seed: u64, chars in 0usize..3000, more in 0usize..500) {
        let short = generate(seed, chars);
        prop_assert_eq!(short.text.len(), chars);
        prop_assert_eq!(short.costs.len(), chars);
        let long = generate(seed, chars + more);
        prop_assert_eq!(&long.text[..chars], &short.text);
        prop_assert_eq!(&long.costs[..chars], &short.costs[..]);
        let mut reader = Predictor::new();
        for c in short.text.chars() {
            prop_assert!(reader.predict().contains_key(&c));
            reader.read(c);
        }
    }
}
