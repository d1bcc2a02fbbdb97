//! White space between words and within them, and texts that are short enough for a message.

use std::borrow::Cow;

/// White space as words are cut at it: what Unicode calls so, and the four separators of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// A word as a vocabulary has it: white space within it is `_`.
pub(super) fn one_word(word: &str) -> Cow<'_, str> {
    if word.contains(is_space) {
        word.replace(is_space, "_").into()
    } else {
        word.into()
    }
}

/// The beginning of a text, with a note that there is more.
pub(super) fn brief(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}..", &text[..end]).into(),
        None => text.into(),
    }
}
