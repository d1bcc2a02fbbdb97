//! What a text loses on its way through a tokenizer and back.

/// What decoding the ids of a text does not give back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecodingLosses {
    /// Line ends of the text.
    pub line_ends: u64,
    /// Line ends that no token stands for.
    pub lost_line_ends: u64,
    /// The first other place that is lost: as it stands in the text, and as it comes back.
    pub example: Option<(String, String)>,
    /// Bytes of the longest stretch that was encoded at once, as its tokens gave no place to cut it; 0 where there is none.
    pub uncut: u64,
}

impl DecodingLosses {
    /// Goes on with what the next part of the text loses.
    pub(super) fn add(&mut self, next: DecodingLosses) {
        self.line_ends += next.line_ends;
        self.lost_line_ends += next.lost_line_ends;
        self.example = self.example.take().or(next.example);
        self.uncut = self.uncut.max(next.uncut);
    }
}

/// The first place, lost line ends apart, where a part of a text and what comes back of it differ. White space at either
/// end of a part does not count: a tokenizer may have a space of its own there.
#[cfg(feature = "subwords")]
pub(super) fn difference(text: &str, back: &str, lines_lost: bool) -> Option<(String, String)> {
    let (text, back) = (text.trim(), back.trim());
    if text == back {
        return None;
    }
    let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (plain, plain_back) = (squeeze(text), squeeze(back));
    if plain != plain_back {
        return Some(around(&plain, &plain_back));
    }
    // White space alone differs: that of lost line ends is told in another way.
    (!lines_lost).then(|| around(text, back))
}

/// What stands around the first difference.
#[cfg(feature = "subwords")]
fn around(one: &str, other: &str) -> (String, String) {
    const BEFORE: usize = 12;
    const AFTER: usize = 12;
    let same = one
        .chars()
        .zip(other.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let part = |text: &str| {
        let chars = text.chars().skip(same.saturating_sub(BEFORE));
        chars.take(same.min(BEFORE) + AFTER).collect()
    };
    (part(one), part(other))
}
