//! From token ids to text, id by id.

use super::{Inner, Vocabulary};

/// Writes the text of ids as they come: words get spaces between them, ends of lines become line ends.
#[derive(Clone, Debug)]
pub struct Decoder {
    vocabulary: Vocabulary,
    /// Whether the next word begins a line.
    fresh: bool,
}

impl Decoder {
    /// At the beginning of a text.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        Decoder {
            vocabulary: vocabulary.clone(),
            fresh: true,
        }
    }

    /// Adds to `text` what `id` brings.
    pub fn push(&mut self, id: u32, text: &mut Vec<u8>) {
        match &*self.vocabulary.0 {
            Inner::Symbols(s) => text.extend_from_slice(s.symbol(id)),
            Inner::Words(w) if id == w.end => {
                text.push(b'\n');
                self.fresh = true;
            }
            Inner::Words(w) if Some(id) == w.start => {}
            Inner::Words(w) => {
                if !std::mem::take(&mut self.fresh) {
                    text.push(b' ');
                }
                text.extend_from_slice(w.name(id));
            }
        }
    }

    /// Adds to `text` what was held back.
    pub fn finish(&mut self, _: &mut Vec<u8>) {}
}
