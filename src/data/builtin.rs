//! The built-in corpus: generated text with structure at several ranges, whose exact cross-entropy is known.
//!
//! Words have a spelling; determiner, noun and verb agree across what comes between; brackets and quotes nest and must
//! close in order; a question ends as one; a paragraph keeps to the speaker that it names at its head. The text is drawn
//! from a grammar that is never ambiguous (`grammar.rs`), so that -ln p(character | all before it) is known exactly, and
//! its mean is the lowest cost that any model can expect.

mod grammar;
mod lexicon;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;

use rand::Rng;

use self::grammar::{Production, Symbol};
use self::lexicon::Lexicon;
use crate::rng::{Purpose, Stream};

/// A generated text.
#[derive(Clone, Debug, PartialEq)]
pub struct Builtin {
    /// The text: ASCII, so characters are bytes.
    pub text: String,
    /// -ln p(character | all characters before it) in nats, one a character.
    pub costs: Vec<f32>,
}

impl Builtin {
    /// The mean cost over the characters in `range`, nats per character: the lowest that any model can expect there.
    /// None when the range is empty or goes beyond the text.
    pub fn floor(&self, range: Range<usize>) -> Option<f64> {
        mean(&self.costs, range)
    }
}

/// The mean of `costs` over `range`; None when it is empty or goes beyond them.
pub(super) fn mean(costs: &[f32], range: Range<usize>) -> Option<f64> {
    let part = costs.get(range).filter(|part| !part.is_empty())?;
    Some(part.iter().map(|c| f64::from(*c)).sum::<f64>() / part.len() as f64)
}

/// The first `chars` characters of the endless text of `seed`.
pub fn generate(seed: u64, chars: usize) -> Builtin {
    let tables = Tables::new();
    let mut stream = Stream::new(seed, Purpose::Corpus, 0);
    let mut text = String::new();
    let mut costs = Vec::new();
    // What is still to be written, the next one last. `Paragraph` always brings another, so it never runs out.
    let mut stack = vec![Tables::START];
    while text.len() < chars {
        let Some(symbol) = stack.pop() else { break };
        let choice = tables.choose(symbol, &mut stream);
        text.push_str(&choice.text);
        costs.extend_from_slice(&choice.costs);
        stack.extend_from_slice(&choice.then);
    }
    text.truncate(chars);
    costs.truncate(chars);
    Builtin { text, costs }
}

/// The grammar, with symbols numbered and costs worked out.
struct Tables(Vec<ExpansionTable>);

/// The choices of one symbol, in the order of their texts.
struct ExpansionTable {
    choices: Vec<Expansion>,
    /// The shares summed up to and with each choice.
    sums: Vec<f64>,
}

struct Expansion {
    text: String,
    /// What each character of the text costs, given those before it.
    costs: Vec<f32>,
    /// The symbols that follow, the next one last.
    then: Vec<u32>,
}

impl Tables {
    const START: u32 = 0;

    fn new() -> Self {
        let lexicon = Lexicon::new();
        let mut symbols = vec![Symbol::Paragraph];
        let mut numbers = HashMap::from([(Symbol::Paragraph, Self::START)]);
        let mut tables = Vec::new();
        // New symbols join the list while it is walked, until it is closed.
        while let Some(symbol) = symbols.get(tables.len()) {
            let rules = grammar::rules(&lexicon, *symbol);
            tables.push(ExpansionTable::new(rules, |symbol| {
                *numbers.entry(symbol).or_insert_with(|| {
                    symbols.push(symbol);
                    symbols.len() as u32 - 1
                })
            }));
        }
        Tables(tables)
    }

    fn choose(&self, symbol: u32, stream: &mut Stream) -> &Expansion {
        let table = &self.0[symbol as usize];
        let total = table.sums[table.sums.len() - 1];
        // 53 random bits, as an f64 holds them exactly.
        let at = (stream.next_u64() >> 11) as f64 / (1u64 << 53) as f64 * total;
        let index = table.sums.partition_point(|sum| *sum <= at);
        &table.choices[index.min(table.choices.len() - 1)]
    }
}

impl ExpansionTable {
    fn new(mut rules: Vec<Production>, mut number: impl FnMut(Symbol) -> u32) -> Self {
        rules.sort_by(|a, b| a.text.cmp(&b.text));
        let mut sum = 0.0;
        let sums = rules
            .iter()
            .map(|rule| {
                sum += rule.share;
                sum
            })
            .collect();
        let costs = costs(&rules);
        let choices = rules
            .into_iter()
            .zip(costs)
            .map(|(rule, costs)| Expansion {
                then: rule.then.iter().rev().map(|s| number(*s)).collect(),
                text: rule.text,
                costs,
            })
            .collect();
        ExpansionTable { choices, sums }
    }
}

/// The cost of each character of each rule's text: -ln (share that goes on with this character / share so far). Rules are
/// sorted, so those that share a beginning stand together; none is the beginning of another.
fn costs(rules: &[Production]) -> Vec<Vec<f32>> {
    let mut costs: Vec<Vec<f32>> = vec![Vec::new(); rules.len()];
    // Runs of rules that agree in their first `at` characters.
    let mut open = vec![(0..rules.len(), 0)];
    let share = |run: &Range<usize>| rules[run.clone()].iter().map(|r| r.share).sum::<f64>();
    while let Some((run, at)) = open.pop() {
        let before = share(&run);
        let mut start = run.start;
        while start < run.end {
            let byte = rules[start].text.as_bytes().get(at);
            let same = |i: &usize| rules[*i].text.as_bytes().get(at) == byte;
            let next = start..(start..run.end).find(|i| !same(i)).unwrap_or(run.end);
            start = next.end;
            if byte.is_none() {
                continue;
            }
            let cost = if next == run {
                // Certain; the quotient would be 1 as well, but -ln 1 is -0.
                0.0
            } else {
                -(share(&next) / before).ln() as f32
            };
            costs[next.clone()].iter_mut().for_each(|c| c.push(cost));
            open.push((next, at + 1));
        }
    }
    costs
}
