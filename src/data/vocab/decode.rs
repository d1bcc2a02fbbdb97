//! From token ids to text, id by id.

use super::pieces::{Joining, Pieces};
use super::{Inner, Vocabulary};

/// Writes the text of ids as they come: words get spaces between them, ends of lines become line ends, and sub-words wait
/// until they make whole characters. The text is that of all ids at once.
#[derive(Clone, Debug)]
pub struct Decoder {
    vocabulary: Vocabulary,
    /// Whether the next word begins a line.
    fresh: bool,
    /// Sub-words: the newest ids, and how much of their text was written.
    ids: Vec<u32>,
    written: usize,
}

/// Sub-words that are kept to say how the next one joins them.
const KEPT: usize = 16;
/// More than these are not kept.
const MOST: usize = 64;

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
            Inner::Pieces(p) => {
                self.ids.push(id);
                if !waits(p, id) {
                    self.write(p, false, text);
                }
            }
        }
    }

    /// Writes what the sub-words say for sure, or all. It is what they add to the text of those before them, as a tokenizer
    /// may join words in its own way.
    fn write(&mut self, pieces: &Pieces, all: bool, text: &mut Vec<u8>) {
        let found = pieces.decode(&self.ids);
        // The bytes of a character that is not whole yet.
        let open = if all {
            ""
        } else {
            found
                .char_indices()
                .next_back()
                .map_or("", |(at, c)| match c {
                    '\u{FFFD}' => &found[at..],
                    _ => "",
                })
        };
        let sure = found.len() - open.len();
        if let Some(new) = found.get(self.written..sure) {
            text.extend_from_slice(new.as_bytes());
            self.written = sure;
        }
        if self.ids.len() > MOST {
            self.ids.drain(..self.ids.len() - KEPT);
            self.written = pieces.decode(&self.ids).len().saturating_sub(open.len());
        }
    }

    /// Adds to `text` what was held back; the next id begins a text.
    pub fn finish(&mut self, text: &mut Vec<u8>) {
        let vocabulary = self.vocabulary.clone();
        if let Inner::Pieces(pieces) = &*vocabulary.0
            && !self.ids.is_empty()
        {
            self.write(pieces, true, text);
        }
        self.ids.clear();
        self.written = 0;
    }
}

/// Whether the text of a sub-word waits for what follows.
fn waits(pieces: &Pieces, id: u32) -> bool {
    match pieces.joining() {
        Joining::Plain => false,
        Joining::Bytes => pieces.is_byte(id),
        Joining::Whole => true,
    }
}
