//! The grammar of the built-in corpus: what may follow, with which probability, as rules of pushdown symbols.
//!
//! Every rule begins with text of its own, and the texts of one symbol's rules are prefix-free. So the text read so far
//! fixes every choice made so far (a derivation is never ambiguous), and the distribution of the next character is known.

use super::lexicon::Lexicon;

/// Brackets and quotes nest at most this deep.
const DEPTH: u8 = 3;

/// Singular or plural, of a noun and of the verb that agrees with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum GrammaticalNumber {
    Singular,
    Plural,
}
use GrammaticalNumber::{Plural, Singular};

/// What encloses a run of sentences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Frame {
    Paragraph,
    Quote,
    Bracket(Bracket),
}

/// A kind of bracket; the closing one must match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Bracket {
    Round,
    Square,
    Curly,
}

/// Where a symbol stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SymbolContext {
    /// Whose paragraph it is, as an index of the names.
    speaker: u8,
    /// How many brackets and quotes are open.
    depth: u8,
    /// Whether one of them is a quote: quotes do not nest in themselves.
    quoted: bool,
}

/// A pushdown symbol: something still to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Symbol {
    /// A paragraph and all that follow.
    Paragraph,
    /// After a sentence: another one, or the end of what encloses it.
    Next(SymbolContext, Frame),
    /// A sentence, with its mark.
    Sentence(SymbolContext),
    /// The end of a statement: adverb, another clause, mark.
    Stop(SymbolContext),
    /// As `Stop`, after the adverb.
    Mark(SymbolContext),
    /// The end of a question.
    QuestionMark,
    /// After a closing quote: who spoke.
    Speaker(SymbolContext),
    /// A clause in the middle of a sentence.
    Clause(SymbolContext),
    /// The end of a clause in brackets.
    AsideEnd(Bracket),
    /// A noun phrase after its determiner: adjective or noun.
    Phrase(GrammaticalNumber),
    /// The noun.
    Noun(GrammaticalNumber),
    /// After a subject's noun (first number): something that comes between, or its verb, of the second number (a
    /// question's is bare, which looks like a plural).
    After(SymbolContext, GrammaticalNumber, GrammaticalNumber),
    /// A verb and what it takes.
    Verb(GrammaticalNumber),
    /// A verb that takes an object, without the object.
    Bare(GrammaticalNumber),
    /// After "that": a clause with a gap, which its noun fills.
    Relative(GrammaticalNumber),
    /// A space and an object with its determiner.
    Object,
    /// A noun phrase with its determiner.
    Nominal,
}

/// One choice: its text, its share among the symbol's rules, and what is written after it.
#[derive(Clone, Debug)]
pub(super) struct Production {
    pub text: String,
    pub share: f64,
    pub then: Vec<Symbol>,
}

const SINGULAR: [(&str, f64); 6] = [
    ("a", 8.0),
    ("each", 3.0),
    ("this", 3.0),
    ("every", 1.0),
    ("one", 1.5),
    ("no", 1.0),
];
const PLURAL: [(&str, f64); 6] = [
    ("all", 3.0),
    ("some", 5.0),
    ("these", 3.0),
    ("many", 3.0),
    ("few", 1.0),
    ("both", 1.0),
];
const BRACKETS: [(Bracket, &str, &str); 3] = [
    (Bracket::Round, "(", ")"),
    (Bracket::Square, "[", "]"),
    (Bracket::Curly, "{", "}"),
];

/// Rules under way: texts with shares.
#[derive(Default)]
struct GrammarRules(Vec<Production>);

impl GrammarRules {
    fn add(&mut self, text: impl Into<String>, share: f64, then: &[Symbol]) {
        self.0.push(Production {
            text: text.into(),
            share,
            then: then.to_vec(),
        });
    }

    /// A word of `words` with `before` and `after` it: `share` in all, falling with the rank r as 1 / (r + 10), after
    /// Zipf and Mandelbrot.
    fn words(&mut self, words: &[String], before: &str, after: &str, share: f64, then: &[Symbol]) {
        let zipf = |rank: usize| 1.0 / (rank as f64 + 10.0);
        let total: f64 = (0..words.len()).map(zipf).sum();
        for (rank, word) in words.iter().enumerate() {
            let text = format!("{before}{word}{after}");
            self.add(text, share * zipf(rank) / total, then);
        }
    }

    /// A determiner of either number and a space: `share` in all. `then` makes what follows.
    fn determiners(
        &mut self,
        share: f64,
        shape: impl Fn(&str) -> String,
        then: impl Fn(GrammaticalNumber) -> Vec<Symbol>,
    ) {
        for (number, list) in [(Singular, SINGULAR), (Plural, PLURAL)] {
            let total: f64 = list.iter().map(|(_, s)| s).sum();
            for (word, s) in list {
                self.add(shape(word), share * 0.5 * s / total, &then(number));
            }
        }
    }

    /// A verb of `number` and what it takes: `share` in all.
    fn verbs(&mut self, lexicon: &Lexicon, number: GrammaticalNumber, before: &str, share: f64) {
        let ending = if number == Singular { "s" } else { "" };
        let (with, without) = (&lexicon.transitive, &lexicon.intransitive);
        self.words(with, before, ending, share * 0.65, &[Symbol::Object]);
        self.words(without, before, ending, share * 0.35, &[]);
    }
}

fn lower(word: &str) -> String {
    format!("{word} ")
}

fn upper(word: &str) -> String {
    let mut text = lower(word);
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// The rules of `symbol`. Their shares sum to 1 up to rounding.
pub(super) fn rules(lexicon: &Lexicon, symbol: Symbol) -> Vec<Production> {
    let mut r = GrammarRules::default();
    match symbol {
        Symbol::Paragraph => {
            let mut heads = GrammarRules::default();
            heads.words(&lexicon.names, "", ":\n", 1.0, &[]);
            for (speaker, head) in heads.0.into_iter().enumerate() {
                let place = SymbolContext {
                    speaker: speaker as u8,
                    depth: 0,
                    quoted: false,
                };
                let next = Symbol::Next(place, Frame::Paragraph);
                r.add(head.text, head.share, &[Symbol::Sentence(place), next]);
            }
        }
        Symbol::Next(place, frame) => {
            let again = [Symbol::Sentence(place), Symbol::Next(place, frame)];
            match frame {
                Frame::Paragraph => {
                    r.add(" ", 0.82, &again);
                    r.add("\n\n", 0.18, &[Symbol::Paragraph]);
                }
                Frame::Quote => {
                    r.add(" ", 0.4, &again);
                    r.add("\"", 0.6, &[Symbol::Speaker(place)]);
                }
                Frame::Bracket(bracket) => {
                    r.add(" ", 0.3, &again);
                    r.add(closing(bracket), 0.7, &[]);
                }
            }
        }
        Symbol::Sentence(place) => sentence(&mut r, lexicon, place),
        Symbol::Stop(place) => {
            r.words(&lexicon.adverbs, " ", "", 0.12, &[Symbol::Mark(place)]);
            marks(&mut r, place, 0.88);
        }
        Symbol::Mark(place) => marks(&mut r, place, 1.0),
        Symbol::QuestionMark => {
            r.words(&lexicon.adverbs, " ", "?", 0.12, &[]);
            r.add("?", 0.88, &[]);
        }
        Symbol::Speaker(place) => {
            let name = speaker(lexicon, place);
            for (word, share) in [("says", 0.6), ("asks", 0.25), ("adds", 0.15)] {
                r.add(format!(" {word} {name}."), share, &[]);
            }
        }
        Symbol::Clause(place) => {
            subject(&mut r, lexicon, place, 1.0, lower);
        }
        Symbol::AsideEnd(bracket) => {
            let close = closing(bracket);
            r.words(&lexicon.adverbs, " ", close, 0.12, &[]);
            r.add(close, 0.88, &[]);
        }
        Symbol::Phrase(number) => {
            r.words(&lexicon.adjectives, "", " ", 0.3, &[Symbol::Noun(number)]);
            r.words(&lexicon.nouns, "", plural_s(number), 0.7, &[]);
        }
        Symbol::Noun(number) => r.words(&lexicon.nouns, "", plural_s(number), 1.0, &[]),
        Symbol::After(place, number, agrees) => after(&mut r, lexicon, place, number, agrees),
        Symbol::Verb(number) => r.verbs(lexicon, number, " ", 1.0),
        Symbol::Bare(number) => {
            let ending = if number == Singular { "s" } else { "" };
            r.words(&lexicon.transitive, " ", ending, 1.0, &[]);
        }
        Symbol::Relative(number) => {
            r.verbs(lexicon, number, "", 0.5);
            r.determiners(0.5, lower, |n| vec![Symbol::Phrase(n), Symbol::Bare(n)]);
        }
        Symbol::Object => {
            r.determiners(1.0, |w| format!(" {w} "), |n| vec![Symbol::Phrase(n)]);
        }
        Symbol::Nominal => r.determiners(1.0, lower, |n| vec![Symbol::Phrase(n)]),
    }
    r.0
}

fn sentence(r: &mut GrammarRules, lexicon: &Lexicon, place: SymbolContext) {
    // A sentence may open brackets or quotes only where they can still nest.
    let (quote, bracket) = match (place.depth < DEPTH, place.quoted) {
        (true, false) => (0.08, 0.02),
        (true, true) => (0.0, 0.02),
        (false, _) => (0.0, 0.0),
    };
    let deeper = SymbolContext {
        depth: place.depth + 1,
        ..place
    };
    if quote > 0.0 {
        let inside = SymbolContext {
            quoted: true,
            ..deeper
        };
        let next = Symbol::Next(inside, Frame::Quote);
        r.add("\"", quote, &[Symbol::Sentence(inside), next]);
    }
    if bracket > 0.0 {
        for (kind, open, _) in BRACKETS {
            let next = Symbol::Next(deeper, Frame::Bracket(kind));
            r.add(open, bracket, &[Symbol::Sentence(deeper), next]);
        }
    }
    const QUESTION: f64 = 0.1;
    for (text, number) in [("Does ", Singular), ("Do ", Plural)] {
        // A question's verb is bare whatever its subject: the auxiliary has the number.
        let list = if number == Singular { SINGULAR } else { PLURAL };
        let total: f64 = list.iter().map(|(_, s)| s).sum();
        for (word, share) in list {
            let then = [
                Symbol::Phrase(number),
                Symbol::After(place, number, Plural),
                Symbol::QuestionMark,
            ];
            r.add(
                text.to_string() + &lower(word),
                QUESTION / 2.0 * share / total,
                &then,
            );
        }
    }
    let left = 1.0 - quote - 3.0 * bracket - QUESTION;
    let from = r.0.len();
    subject(r, lexicon, place, left, upper);
    for rule in &mut r.0[from..] {
        rule.then.push(Symbol::Stop(place));
    }
}

/// A subject and its verb: `share` in all.
fn subject(
    r: &mut GrammarRules,
    lexicon: &Lexicon,
    place: SymbolContext,
    share: f64,
    shape: impl Fn(&str) -> String,
) {
    r.add(
        speaker(lexicon, place),
        share * 0.12,
        &[Symbol::Verb(Singular)],
    );
    r.determiners(share * 0.88, shape, |n| {
        vec![Symbol::Phrase(n), Symbol::After(place, n, n)]
    });
}

fn after(
    r: &mut GrammarRules,
    lexicon: &Lexicon,
    place: SymbolContext,
    number: GrammaticalNumber,
    agrees: GrammaticalNumber,
) {
    let verb = Symbol::Verb(agrees);
    r.add(" that ", 0.14, &[Symbol::Relative(number), verb]);
    for (word, share) in [
        (" of ", 0.09),
        (" near ", 0.05),
        (" with ", 0.04),
        (" under ", 0.02),
    ] {
        r.add(word, share, &[Symbol::Nominal, verb]);
    }
    let mut left = 1.0 - 0.14 - 0.20;
    if place.depth < DEPTH {
        let deeper = SymbolContext {
            depth: place.depth + 1,
            ..place
        };
        for (kind, open, _) in BRACKETS {
            let then = [Symbol::Clause(deeper), Symbol::AsideEnd(kind), verb];
            r.add(format!(" {open}"), 0.03, &then);
        }
        left -= 0.09;
    }
    r.verbs(lexicon, agrees, " ", left);
}

fn marks(r: &mut GrammarRules, place: SymbolContext, share: f64) {
    let more = [Symbol::Clause(place), Symbol::Stop(place)];
    r.add(", and ", share * 0.15, &more);
    r.add(".", share * 0.75, &[]);
    r.add("!", share * 0.1, &[]);
}

fn speaker(lexicon: &Lexicon, place: SymbolContext) -> &str {
    lexicon
        .names
        .get(usize::from(place.speaker))
        .map_or("", String::as_str)
}

fn plural_s(number: GrammaticalNumber) -> &'static str {
    if number == Plural { "s" } else { "" }
}

fn closing(bracket: Bracket) -> &'static str {
    match bracket {
        Bracket::Round => ")",
        Bracket::Square => "]",
        Bracket::Curly => "}",
    }
}
