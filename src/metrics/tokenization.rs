//! How sentences are cut into words before words are compared: as they are, or by the rules of NIST's `mteval-v13a.pl`, which
//! sacrebleu calls `13a` (Post 2018, A Call for Clarity in Reporting BLEU Scores).

/// How a line is cut into the words that BLEU counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tokenization {
    /// At white space alone.
    None,
    /// As `mteval-v13a.pl`: punctuation stands by itself, but for points and commas within numbers, apostrophes, and hyphens
    /// that follow no digit.
    #[default]
    V13a,
}

impl Tokenization {
    /// All of them.
    pub const ALL: [Tokenization; 2] = [Tokenization::None, Tokenization::V13a];

    /// The name in sacrebleu's signature.
    pub fn name(self) -> &'static str {
        match self {
            Tokenization::None => "none",
            Tokenization::V13a => "13a",
        }
    }

    /// The line with a space between words.
    pub fn apply(self, line: &str) -> String {
        let cut = match self {
            Tokenization::None => line.to_string(),
            Tokenization::V13a => v13a(line.trim_end_matches(is_space)),
        };
        let words: Vec<&str> = words(&cut).collect();
        words.join(" ")
    }
}

/// White space as Python's `str.split` cuts at it: what Unicode calls so, and the four separators of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The words between white space.
pub(super) fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(is_space).filter(|word| !word.is_empty())
}

/// The rules of `mteval-v13a.pl`, one after another over the whole line; spaces are not put together again.
fn v13a(line: &str) -> String {
    let mut line = line
        .replace("<skipped>", "")
        .replace("-\n", "")
        .replace('\n', " ");
    for (entity, of) in [
        ("&quot;", "\""),
        ("&amp;", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
    ] {
        line = line.replace(entity, of);
    }
    let mut chars = vec![' '];
    for c in line.chars() {
        if stands_alone(c) {
            chars.extend([' ', c, ' ']);
        } else {
            chars.push(c);
        }
    }
    chars.push(' ');
    let stop = |c: char| c == '.' || c == ',';
    chars = pairs(
        &chars,
        |a, b| !a.is_ascii_digit() && stop(b),
        |a, b| [a, ' ', b, ' '],
    );
    chars = pairs(
        &chars,
        |a, b| stop(a) && !b.is_ascii_digit(),
        |a, b| [' ', a, ' ', b],
    );
    chars = pairs(
        &chars,
        |a, b| a.is_ascii_digit() && b == '-',
        |a, b| [a, ' ', b, ' '],
    );
    chars.into_iter().collect()
}

/// Punctuation and symbols of ASCII that are words wherever they stand: all but `'`, `,`, `-` and `.`.
fn stands_alone(c: char) -> bool {
    c.is_ascii_punctuation() && !matches!(c, '\'' | ',' | '-' | '.')
}

/// Every two neighbours that are `found`, from the left and none in two pairs, as `instead` has them.
fn pairs(
    chars: &[char],
    found: impl Fn(char, char) -> bool,
    instead: impl Fn(char, char) -> [char; 4],
) -> Vec<char> {
    let mut new = Vec::with_capacity(2 * chars.len());
    let mut at = 0;
    while at < chars.len() {
        match chars.get(at + 1) {
            Some(next) if found(chars[at], *next) => {
                new.extend(instead(chars[at], *next));
                at += 2;
            }
            _ => {
                new.push(chars[at]);
                at += 1;
            }
        }
    }
    new
}
