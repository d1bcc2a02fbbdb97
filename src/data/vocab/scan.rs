//! Text to symbols, in pieces of any size: where a piece is cut changes nothing.

use super::VocabKind;
use crate::error::{Error, Result};

/// The longest word, in bytes: more without white space is no text of words.
const LONGEST_WORD: usize = 1 << 20;
/// What sub-words are made of at once, at most: a line, or as much of it.
const LONGEST_PART: usize = 64 << 10;

/// What is found in a text.
pub(super) trait Sink {
    /// A character or byte, and where it stands.
    fn symbol(&mut self, symbol: u32, at: u64);
    /// A word, or for sub-words a line or a part of it, and where it begins.
    fn part(&mut self, part: &str, at: u64);
    /// The end of a line, where lines count: in every text of lines, and among words.
    fn line_end(&mut self);
}

/// Reads a text for one kind of vocabulary.
pub(super) struct Scanner {
    kind: VocabKind,
    /// Every line is a sequence of its own: line ends are no symbols.
    lines: bool,
    utf8: Utf8,
    /// The beginning of a word or line that goes on, and where it stands.
    partial: String,
    partial_at: u64,
    /// Where a line feed would stand that belongs to the carriage return before it, which has ended the line already.
    second: Option<u64>,
    /// Whether the next character is the file's first, which may be a byte order mark.
    first: bool,
    /// Whether something stands after the last line end.
    open: bool,
    /// Bytes so far.
    at: u64,
}

impl Scanner {
    pub fn new(kind: VocabKind, lines: bool) -> Self {
        Scanner {
            kind,
            lines,
            utf8: Utf8::default(),
            partial: String::new(),
            partial_at: 0,
            second: None,
            first: true,
            open: false,
            at: 0,
        }
    }

    /// Goes on with `bytes`.
    ///
    /// # Errors
    /// `Kind::Data` for what is not UTF-8, unless bytes are read; for a word without an end.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut impl Sink) -> Result<()> {
        if self.kind == VocabKind::Byte {
            for byte in bytes {
                self.symbol(u32::from(*byte), 1, sink);
            }
            return Ok(());
        }
        let mut utf8 = std::mem::take(&mut self.utf8);
        let fed = utf8.feed(bytes, |text| {
            let text = self.without_mark(text);
            match self.kind {
                VocabKind::Word => return self.words(text, sink),
                VocabKind::Piece => self.parts(text, sink),
                _ => {
                    for c in text.chars() {
                        self.symbol(u32::from(c), c.len_utf8() as u64, sink);
                    }
                }
            }
            Ok(())
        });
        self.utf8 = utf8;
        fed
    }

    /// The end of a file, which ends a word and a character; with `closing` also its last line.
    ///
    /// # Errors
    /// `Kind::Data` when it ends within a character.
    pub fn end(&mut self, closing: bool, sink: &mut impl Sink) -> Result<()> {
        self.utf8.end()?;
        (self.second, self.first) = (None, true);
        self.finish_part(sink);
        let counts = self.lines || self.kind == VocabKind::Word;
        if closing && self.open && counts {
            sink.line_end();
            self.open = false;
        }
        Ok(())
    }

    /// The text without the byte order mark that a file may begin with: it says that the file is UTF-8, and no more.
    fn without_mark<'a>(&mut self, text: &'a str) -> &'a str {
        let first = self.first && !text.is_empty();
        self.first &= text.is_empty();
        match text.strip_prefix('\u{FEFF}') {
            Some(rest) if first => {
                self.at += (text.len() - rest.len()) as u64;
                rest
            }
            _ => text,
        }
    }

    fn symbol(&mut self, symbol: u32, bytes: u64, sink: &mut impl Sink) {
        let at = self.at;
        self.at += bytes;
        let end = if self.lines {
            u8::try_from(symbol)
        } else {
            Ok(0)
        };
        if let Ok(end @ (b'\n' | b'\r')) = end {
            return self.line_end(end, at, sink);
        }
        self.open = true;
        sink.symbol(symbol, at);
    }

    /// A line feed or a carriage return at `at`; both together end one line.
    fn line_end(&mut self, byte: u8, at: u64, sink: &mut impl Sink) {
        let second = self.second.take() == Some(at) && byte == b'\n';
        if byte == b'\r' {
            self.second = Some(at + 1);
        }
        self.open = false;
        if !second {
            sink.line_end();
        }
    }

    fn words(&mut self, text: &str, sink: &mut impl Sink) -> Result<()> {
        let bytes = text.as_bytes();
        // Where the word that is being read begins in `text`.
        let mut begin = 0;
        let mut at = 0;
        while at < bytes.len() {
            let space = match CLASSES[usize::from(bytes[at])] {
                ByteClass::Word => 0,
                ByteClass::Space => 1,
                ByteClass::Maybe => match text[at..].chars().next() {
                    Some(c) if c.is_whitespace() => c.len_utf8(),
                    _ => 0,
                },
            };
            if space == 0 {
                at += 1;
                continue;
            }
            self.word(&text[begin..at], begin)?;
            self.finish_part(sink);
            match bytes[at] {
                end @ (b'\n' | b'\r') => self.line_end(end, self.at + at as u64, sink),
                _ => self.open = true,
            }
            at += space;
            begin = at;
        }
        self.word(&text[begin..], begin)?;
        self.at += text.len() as u64;
        Ok(())
    }

    /// Adds to the word that goes on, if there is something to add.
    fn word(&mut self, more: &str, at: usize) -> Result<()> {
        if more.is_empty() {
            return Ok(());
        }
        self.open = true;
        if self.partial.is_empty() {
            self.partial_at = self.at + at as u64;
        }
        if self.partial.len() + more.len() > LONGEST_WORD {
            return Err(Error::data(format!(
                "the word at byte {} is longer than {LONGEST_WORD} bytes; is this a text of words? --vocab char and \
                 --vocab byte need no white space",
                self.partial_at
            )));
        }
        self.partial.push_str(more);
        Ok(())
    }

    /// Lines with their ends, or with `lines` without them.
    fn parts(&mut self, text: &str, sink: &mut impl Sink) {
        let ends = if self.lines {
            &['\n', '\r'][..]
        } else {
            &['\n'][..]
        };
        for line in text.split_inclusive(ends) {
            if self.partial.is_empty() {
                self.partial_at = self.at;
            }
            self.at += line.len() as u64;
            self.partial.push_str(line);
            self.open = !line.ends_with(ends);
            if !self.open {
                let end = if self.lines { self.partial.pop() } else { None };
                self.finish_part(sink);
                if let Some(end) = end {
                    self.line_end(end as u8, self.at - 1, sink);
                }
            }
            while self.partial.len() > LONGEST_PART {
                // At white space, if there is some, and between characters in any case.
                let ends = |at: &usize| self.partial.is_char_boundary(*at);
                let upto = (1..=LONGEST_PART)
                    .rev()
                    .find(ends)
                    .unwrap_or(self.partial.len());
                let head = &self.partial[..upto];
                let cut = head.rfind(' ').filter(|cut| *cut > 0).unwrap_or(upto);
                let rest = self.partial.split_off(cut);
                let head = std::mem::replace(&mut self.partial, rest);
                sink.part(&head, self.partial_at);
                self.partial_at += cut as u64;
            }
        }
    }

    fn finish_part(&mut self, sink: &mut impl Sink) {
        if !self.partial.is_empty() {
            sink.part(&self.partial, self.partial_at);
            self.partial.clear();
        }
    }
}

/// What a byte says about white space.
#[derive(Clone, Copy)]
enum ByteClass {
    Word,
    Space,
    /// The first byte of characters of which some are white space.
    Maybe,
}

/// White space is what Unicode calls so, and the four separators of ASCII as in Python's `split`.
const CLASSES: [ByteClass; 256] = {
    let mut classes = [ByteClass::Word; 256];
    let mut b = 0;
    while b < 256 {
        classes[b] = match b {
            0x09..=0x0d | 0x1c..=0x20 => ByteClass::Space,
            0xc2 | 0xe1..=0xe3 => ByteClass::Maybe,
            _ => ByteClass::Word,
        };
        b += 1;
    }
    classes
};

/// Bytes to text, where a character may be cut between two pieces.
#[derive(Default)]
pub(in crate::data) struct Utf8 {
    /// The bytes of a character that goes on.
    carry: Vec<u8>,
    /// Bytes of this file that were whole characters.
    at: u64,
    /// Line feeds and carriage returns among them.
    ends: [u64; 2],
}

/// What an error begins with that is about bytes which are no UTF-8.
pub(in crate::data) const NOT_UTF8: &str = "not UTF-8: ";

impl Utf8 {
    /// Goes on with `bytes`: `take` is given what are whole characters.
    ///
    /// # Errors
    /// `Kind::Data` for what is not UTF-8; what `take` returns.
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut take: impl FnMut(&str) -> Result<()>,
    ) -> Result<()> {
        while !self.carry.is_empty() {
            let Some((byte, rest)) = bytes.split_first() else {
                return Ok(());
            };
            self.carry.push(*byte);
            bytes = rest;
            match std::str::from_utf8(&self.carry) {
                Ok(text) => {
                    take(text)?;
                    self.at += self.carry.len() as u64;
                    self.carry.clear();
                }
                Err(e) if e.error_len().is_none() => {}
                Err(_) => return Err(self.bad(self.carry[0])),
            }
        }
        let (text, rest, bad) = match std::str::from_utf8(bytes) {
            Ok(text) => (text, &[][..], false),
            Err(e) => {
                let (good, rest) = bytes.split_at(e.valid_up_to());
                let good = std::str::from_utf8(good).unwrap_or_default();
                (good, rest, e.error_len().is_some())
            }
        };
        self.at += text.len() as u64;
        for (count, end) in self.ends.iter_mut().zip(*b"\n\r") {
            *count += text.bytes().filter(|b| *b == end).count() as u64;
        }
        if bad {
            return Err(self.bad(rest[0]));
        }
        take(text)?;
        self.carry.extend_from_slice(rest);
        Ok(())
    }

    /// The end of a file; the next one is counted anew.
    ///
    /// # Errors
    /// `Kind::Data` when it ends within a character.
    pub fn end(&mut self) -> Result<()> {
        if let Some(byte) = self.carry.first() {
            let e = self.bad(*byte);
            let text = format!("{}, where the text ends within a character", e.message);
            return Err(Error::data(text));
        }
        (self.at, self.ends) = (0, [0; 2]);
        Ok(())
    }

    /// What is wrong with the byte after all that were read.
    fn bad(&self, byte: u8) -> Error {
        // Where line feeds and carriage returns end lines together, there are as many of both.
        let line = 1 + self.ends.iter().max().unwrap_or(&0);
        Error::data(format!(
            "{NOT_UTF8}byte 0x{byte:02X} at offset {} (line {line})",
            self.at
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq)]
    enum ScanEvent {
        Symbol(u32, u64),
        Part(String, u64),
        End,
    }

    impl Sink for Vec<ScanEvent> {
        fn symbol(&mut self, symbol: u32, at: u64) {
            self.push(ScanEvent::Symbol(symbol, at));
        }
        fn part(&mut self, part: &str, at: u64) {
            self.push(ScanEvent::Part(part.into(), at));
        }
        fn line_end(&mut self) {
            self.push(ScanEvent::End);
        }
    }

    fn scan(
        kind: VocabKind,
        lines: bool,
        pieces: &[&[u8]],
        closing: bool,
    ) -> Result<Vec<ScanEvent>> {
        let (mut scanner, mut found) = (Scanner::new(kind, lines), Vec::new());
        for piece in pieces {
            scanner.feed(piece, &mut found)?;
        }
        scanner.end(closing, &mut found)?;
        Ok(found)
    }

    fn words(text: &str) -> Vec<String> {
        let found = scan(VocabKind::Word, false, &[text.as_bytes()], true).unwrap();
        found
            .into_iter()
            .map(|f| match f {
                ScanEvent::Part(word, at) => {
                    assert_eq!(&text[at as usize..][..word.len()], word);
                    word
                }
                _ => "$".into(),
            })
            .collect()
    }

    #[test]
    fn words_stand_between_white_space_and_every_line_ends_once() {
        assert_eq!(
            words(" a  bc\r\n\n d\u{a0}é\u{2003}\u{1c}f"),
            ["a", "bc", "$", "$", "d", "é", "f", "$"]
        );
        assert_eq!(words("a\n"), ["a", "$"]);
        assert_eq!(words("\n"), ["$"]);
        // Blanks after the last line end are a line, as they are for Python.
        assert_eq!(words("a\n "), ["a", "$", "$"]);
        assert_eq!(words("ÂâãÃ"), ["ÂâãÃ", "$"]);
    }

    #[test]
    fn a_fragment_does_not_end_its_line() {
        let found = scan(VocabKind::Word, false, &[b"a b"], false).unwrap();
        assert_eq!(found.len(), 2);
        let found = scan(VocabKind::Char, true, &[b"a\r"], false).unwrap();
        assert_eq!(found, [ScanEvent::Symbol(97, 0), ScanEvent::End]);
    }

    #[test]
    fn line_ends_are_no_symbols_of_lines() {
        let text: &[u8] = b"a\r\n\rb\n\nc";
        let want = [
            ScanEvent::Symbol(97, 0),
            ScanEvent::End,
            ScanEvent::End,
            ScanEvent::Symbol(98, 4),
            ScanEvent::End,
            ScanEvent::End,
            ScanEvent::Symbol(99, 7),
            ScanEvent::End,
        ];
        for kind in [VocabKind::Char, VocabKind::Byte] {
            assert_eq!(scan(kind, true, &[text], true).unwrap(), want);
        }
        let parts = scan(VocabKind::Piece, true, &[b"a b\r\n\nc"], true).unwrap();
        let part = |t: &str, at| ScanEvent::Part(t.into(), at);
        assert_eq!(
            parts,
            [
                part("a b", 0),
                ScanEvent::End,
                ScanEvent::End,
                part("c", 6),
                ScanEvent::End
            ]
        );
        let parts = scan(VocabKind::Piece, false, &[b"a b\n\nc"], true).unwrap();
        assert_eq!(parts, [part("a b\n", 0), part("\n", 4), part("c", 5)]);
    }

    #[test]
    fn a_carriage_return_ends_a_line_alone_or_with_a_line_feed() {
        for text in ["a\rb\r\rc", "a\nb\n\nc", "a\r\nb\r\n\r\nc", "a\rb\n\rc\r"] {
            assert_eq!(words(text), ["a", "$", "b", "$", "$", "c", "$"], "{text:?}");
            for kind in [
                VocabKind::Char,
                VocabKind::Byte,
                VocabKind::Word,
                VocabKind::Piece,
            ] {
                // Both halves of a line end in different pieces.
                let pieces: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
                let found = scan(kind, true, &pieces, true).unwrap();
                let ends = found.iter().map(|f| *f == ScanEvent::End);
                let want = [false, true, false, true, true, false, true];
                assert!(ends.eq(want), "{kind:?} {text:?}: {found:?}");
            }
        }
        // The next file's first line feed is its own.
        let (mut scanner, mut found) = (Scanner::new(VocabKind::Word, false), Vec::new());
        for file in ["a\r", "\nb"] {
            scanner.feed(file.as_bytes(), &mut found).unwrap();
            scanner.end(true, &mut found).unwrap();
        }
        assert_eq!(found.iter().filter(|f| **f == ScanEvent::End).count(), 3);
        // In a stream of characters, bytes or sub-words it is what it is.
        let found = scan(VocabKind::Char, false, &[b"\r"], true).unwrap();
        assert_eq!(found, [ScanEvent::Symbol(13, 0)]);
        let found = scan(VocabKind::Piece, false, &[b"a\rb"], true).unwrap();
        assert_eq!(found, [ScanEvent::Part("a\rb".into(), 0)]);
    }

    #[test]
    fn a_byte_order_mark_is_no_symbol_at_the_beginning_of_a_file() {
        let mark = '\u{FEFF}';
        let text = format!("{mark}ab {mark}{mark}c\n");
        for lines in [false, true] {
            for kind in [VocabKind::Char, VocabKind::Word, VocabKind::Piece] {
                for cut in [1, 2, 3, 99] {
                    let (mut scanner, mut found) = (Scanner::new(kind, lines), Vec::new());
                    for _ in 0..2 {
                        for piece in text.as_bytes().chunks(cut) {
                            scanner.feed(piece, &mut found).unwrap();
                        }
                        scanner.end(true, &mut found).unwrap();
                    }
                    let of = |f: &ScanEvent| match f {
                        ScanEvent::Symbol(symbol, _) => u64::from(*symbol == 0xfeff),
                        ScanEvent::Part(part, _) => part.matches(mark).count() as u64,
                        ScanEvent::End => 0,
                    };
                    let marks: u64 = found.iter().map(of).sum();
                    assert_eq!(marks, 4, "{kind:?}, lines {lines}, cut {cut}: {found:?}");
                    let (ScanEvent::Symbol(_, at) | ScanEvent::Part(_, at)) = &found[0] else {
                        panic!("{found:?}")
                    };
                    assert_eq!(*at, 3);
                }
            }
        }
        // Bytes are bytes.
        let found = scan(VocabKind::Byte, false, &[text.as_bytes()], true).unwrap();
        assert_eq!(found.len(), text.len());
    }

    #[test]
    fn bad_bytes_are_named_with_their_line() {
        for (text, want) in [
            (&b"a\nb\n\xe9c"[..], "0xE9 at offset 4 (line 3)"),
            (b"a\r\nb\r\n\xe9c", "0xE9 at offset 6 (line 3)"),
            (b"a\rb\r\xe9c", "0xE9 at offset 4 (line 3)"),
            (
                b"a\nb\xe2\x82",
                "0xE2 at offset 3 (line 2), where the text ends",
            ),
        ] {
            for cut in [1, 2, 99] {
                let pieces: Vec<&[u8]> = text.chunks(cut).collect();
                let e = scan(VocabKind::Char, false, &pieces, true).unwrap_err();
                assert!(e.message.contains(want), "{e}");
            }
        }
    }

    #[test]
    fn a_long_line_is_cut_at_white_space() {
        let text = "ab ".repeat(50_000);
        let parts = scan(VocabKind::Piece, false, &[text.as_bytes()], true).unwrap();
        assert_eq!(parts.len(), 3);
        let mut whole = String::new();
        for part in &parts {
            let ScanEvent::Part(part, at) = part else {
                panic!("{part:?}")
            };
            assert_eq!(*at as usize, whole.len());
            assert!(
                whole.is_empty() || part.starts_with(" ab"),
                "{}",
                &part[..9]
            );
            whole.push_str(part);
        }
        assert_eq!(whole, text);
    }

    #[test]
    fn a_word_without_an_end_is_refused() {
        let e = scan(
            VocabKind::Word,
            false,
            &[b"a ", &vec![b'x'; LONGEST_WORD + 1]],
            true,
        )
        .unwrap_err();
        assert!(
            e.message.contains("at byte 2 ") && e.message.contains("--vocab char"),
            "{e}"
        );
    }

    proptest! {
        #[test]
        fn cuts_change_nothing(text in "[ab é𝄞\\r\\n\u{2003}]{0,40}", cuts in proptest::collection::vec(0usize..90, 0..6),
                               lines: bool, closing: bool) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            for kind in [VocabKind::Char, VocabKind::Byte, VocabKind::Word, VocabKind::Piece] {
                prop_assert_eq!(scan(kind, lines, &pieces, closing).unwrap(), scan(kind, lines, &[bytes], closing).unwrap());
            }
        }

        #[test]
        fn bad_bytes_are_named_wherever_the_cut_is(cut in 0usize..9) {
            for (text, at, byte) in [(&b"ab\xe9cdefgh"[..], 2, "0xE9"), (b"abc\xf0\x9f\x98xyz", 3, "0xF0"), (b"abcdefg\xe2\x82", 7, "0xE2")] {
                let (a, b) = text.split_at(cut.min(text.len()));
                let e = scan(VocabKind::Char, false, &[a, b], true).unwrap_err();
                prop_assert!(e.message.contains(&format!("{byte} at offset {at} (line 1)")), "{}", e);
            }
        }
    }
}
