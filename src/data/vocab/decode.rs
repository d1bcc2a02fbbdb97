//! From token ids to text, id by id.

use super::{Inner, Vocabulary};

/// Writes the text of ids as they come: words get spaces between them, ends of lines become line ends, and sub-words wait
/// until they make whole characters.
#[derive(Clone, Debug)]
pub struct Decoder {
    vocabulary: Vocabulary,
    /// Whether the next word begins a line.
    fresh: bool,
    /// Sub-words: the newest ids that the text of the next one may hang on.
    ids: Vec<u32>,
    /// How many of these were written.
    written: usize,
}

/// More ids than this never make one character, so they are written as they are.
const LONGEST: usize = 64;

impl Decoder {
    /// At the beginning of a text.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        Decoder {
            vocabulary: vocabulary.clone(),
            fresh: true,
            ids: Vec::new(),
            written: 0,
        }
    }

    /// Adds to `text` what `id` brings.
    pub fn push(&mut self, id: u32, text: &mut Vec<u8>) {
        let vocabulary = self.vocabulary.clone();
        match &*vocabulary.0 {
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
            Inner::Pieces(p) if id >= p.own() => {
                self.finish(text);
                if Some(id) == vocabulary.end_id() {
                    text.push(b'\n');
                }
            }
            Inner::Pieces(_) => {
                self.ids.push(id);
                self.write(text, self.ids.len() - self.written > LONGEST);
            }
        }
    }

    /// Writes the sub-words that wait, if they make whole characters or `anyway`. What they bring is the difference that
    /// they make after those before them: a tokenizer may join words in its own way.
    fn write(&mut self, text: &mut Vec<u8>, anyway: bool) {
        let Inner::Pieces(pieces) = &*self.vocabulary.0 else {
            return;
        };
        let before = pieces.decode(&self.ids[..self.written]);
        let all = pieces.decode(&self.ids);
        if !anyway && all.ends_with('\u{FFFD}') {
            return;
        }
        let new = all.get(before.len()..).unwrap_or_default();
        text.extend_from_slice(new.as_bytes());
        if !new.is_empty() || anyway {
            self.ids.drain(..self.written);
            self.written = self.ids.len();
        }
    }

    /// Adds to `text` what was held back; the next id begins a text.
    pub fn finish(&mut self, text: &mut Vec<u8>) {
        if self.ids.len() > self.written {
            self.write(text, true);
        }
        self.ids.clear();
        self.written = 0;
    }
}
