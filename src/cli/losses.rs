//! Says what a tokenizer loses of a text.

use wgrnn::data::vocab::DecodingLosses;

use super::out;

/// Says what decoding the ids of the text `name` does not give back.
pub fn tell(name: &str, lost: &DecodingLosses) {
    if lost.lost_line_ends > 0 {
        out::note(&format!(
            "{name}: the tokenizer has no tokens for {} of {} line ends, so that no sample will have them; train with \
             --lines, where every line is a sequence of its own, if they matter",
            lost.lost_line_ends, lost.line_ends
        ));
    }
    if let Some((text, back)) = &lost.example {
        out::note(&format!(
            "{name}: the tokenizer does not keep the text as it is: {text:?} comes back as {back:?}"
        ));
    }
}
