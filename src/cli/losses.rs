//! Says what a tokenizer loses of a text.

use wgrnn::data::vocab::DecodingLosses;

use super::out;

/// Bytes of text that are encoded at once without a word about it.
const LARGE: u64 = 2 << 20;

/// Bytes of memory that the tokenizer takes for each of them where nearly every character is a token, as measured.
const PER_BYTE: u64 = 180;

/// Says what decoding the ids of the text `name` does not give back.
pub fn tell(name: &str, lost: &DecodingLosses) {
    if lost.lost_line_ends > 0 {
        out::note(&format!(
            "warning: {name}: the tokenizer has no tokens for {} of {} line ends, so that no sample will have them; train with \
             --lines, where every line is a sequence of its own, if they matter",
            lost.lost_line_ends, lost.line_ends
        ));
    }
    if lost.uncut >= LARGE {
        out::remark(&format!(
            "{name}: the tokenizer's tokens hang on text far before or after them, so that {} MB of text were encoded at once, \
             which takes up to {:.1} GB of memory; one that splits a text into words takes little",
            lost.uncut >> 20,
            (lost.uncut * PER_BYTE) as f64 / f64::from(1 << 30)
        ));
    }
    if let Some((text, back)) = &lost.example {
        out::note(&format!(
            "warning: {name}: the tokenizer does not keep the text as it is: {text:?} comes back as {back:?}"
        ));
    }
}
