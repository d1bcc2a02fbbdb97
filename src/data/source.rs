//! Where text comes from: files, standard input or the built-in generator; read to bytes and hashed.

use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::builtin;
use super::vocab::{VocabKind, Vocabulary};
use crate::error::{Error, Result};

/// Where a text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Generated: see [`builtin`].
    Builtin {
        /// The seed.
        seed: u64,
        /// How many characters.
        chars: usize,
    },
    /// Files, joined in this order with nothing between them; `-` is standard input.
    Files(Vec<PathBuf>),
}

/// A text, as bytes: nothing is changed in it, line ends included.
#[derive(Clone, Debug)]
pub struct Corpus {
    /// What to call it in messages: the files, or the generator's settings.
    pub name: String,
    /// The text.
    pub bytes: Vec<u8>,
    /// BLAKE3 of the bytes, in hexadecimal.
    pub hash: String,
    /// Nats that each character costs under the process that made it, for a generated text.
    pub costs: Option<Vec<f32>>,
    /// Each file's name and length in bytes.
    parts: Vec<(String, usize)>,
}

impl Source {
    /// Reads the text.
    ///
    /// # Errors
    /// `Kind::Io` when a file is missing or cannot be read; `Kind::Data` when there is no text.
    pub fn load(&self) -> Result<Corpus> {
        self.load_with(&mut std::io::stdin())
    }

    /// Like [`load`](Self::load), with `stdin` for standard input.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_with(&self, stdin: &mut dyn Read) -> Result<Corpus> {
        match self {
            Source::Builtin { seed, chars } => {
                let made = builtin::generate(*seed, *chars);
                let name = format!("built-in (seed {seed}, {chars} characters)");
                let mut corpus = Corpus::new(vec![(name, made.text.into_bytes())])?;
                corpus.costs = Some(made.costs);
                Ok(corpus)
            }
            Source::Files(paths) => Corpus::new(
                paths
                    .iter()
                    .map(|path| read(path, stdin))
                    .collect::<Result<_>>()?,
            ),
        }
    }
}

fn read(path: &Path, stdin: &mut dyn Read) -> Result<(String, Vec<u8>)> {
    if path == Path::new("-") {
        let name = "standard input";
        let mut bytes = Vec::new();
        stdin
            .read_to_end(&mut bytes)
            .map_err(|e| Error::io("read", Path::new(name), &e))?;
        return Ok((name.to_string(), bytes));
    }
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, &e))?;
    Ok((path.display().to_string(), bytes))
}

impl Corpus {
    fn new(texts: Vec<(String, Vec<u8>)>) -> Result<Self> {
        let parts: Vec<(String, usize)> = texts.iter().map(|(n, b)| (n.clone(), b.len())).collect();
        let names: Vec<&str> = parts.iter().map(|(n, _)| n.as_str()).collect();
        let name = names.join(" + ");
        let mut texts = texts.into_iter().map(|(_, bytes)| bytes);
        let mut bytes = texts.next().unwrap_or_default();
        texts.for_each(|more| bytes.extend(more));
        if bytes.is_empty() {
            return Err(Error::data(if parts.is_empty() {
                "no text was given: expected at least one file".to_string()
            } else {
                format!("{name}: the text is empty")
            }));
        }
        let hash = blake3::hash(&bytes).to_hex().to_string();
        Ok(Corpus {
            name,
            bytes,
            hash,
            costs: None,
            parts,
        })
    }

    /// Checks that every file is UTF-8, as a vocabulary of characters needs.
    ///
    /// # Errors
    /// `Kind::Data`, naming the file, the first bad byte and its offset.
    pub fn check_utf8(&self) -> Result<()> {
        let mut rest = self.bytes.as_slice();
        for (name, length) in &self.parts {
            let (part, after) = rest.split_at(*length);
            rest = after;
            if let Err(e) = std::str::from_utf8(part) {
                let at = e.valid_up_to();
                return Err(Error::data(format!(
                    "{name}: not UTF-8: byte 0x{:02X} at offset {at}; --vocab byte reads any text",
                    part[at]
                )));
            }
        }
        Ok(())
    }

    /// The vocabulary of this text: [`Vocabulary::build`], with errors that name the file.
    ///
    /// # Errors
    /// `Kind::Data` when the text is not UTF-8 (for characters), or has fewer than two symbols.
    pub fn vocabulary(&self, kind: VocabKind, min_count: usize) -> Result<Vocabulary> {
        if kind == VocabKind::Char {
            self.check_utf8()?;
        }
        Vocabulary::build(kind, &self.bytes, min_count)
            .map_err(|e| Error::new(e.kind, format!("{}: {}", self.name, e.message)))
    }

    /// The ids of this text in `vocabulary`: [`Vocabulary::encode`], with errors that name the file.
    ///
    /// # Errors
    /// `Kind::Data` when the text is not UTF-8 (for characters), or has symbols that the vocabulary cannot express.
    pub fn encode(&self, vocabulary: &Vocabulary) -> Result<Vec<u32>> {
        if vocabulary.kind() == VocabKind::Char {
            self.check_utf8()?;
        }
        vocabulary
            .encode(&self.bytes)
            .map_err(|e| Error::new(e.kind, format!("{}: {}", self.name, e.message)))
    }

    /// For a generated text: the lowest mean cost in nats per character that any model can expect over the characters
    /// in `range`. None for other texts and empty ranges.
    pub fn floor(&self, range: Range<usize>) -> Option<f64> {
        builtin::mean(self.costs.as_deref()?, range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use std::fs;

    fn files(names: &[PathBuf]) -> Result<Corpus> {
        Source::Files(names.to_vec()).load_with(&mut &b"from stdin"[..])
    }

    #[test]
    fn files_join_in_the_order_given_and_keep_their_line_ends() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a.txt"), dir.path().join("b.txt"));
        fs::write(&a, "one\r\n").unwrap();
        fs::write(&b, "two\n\n").unwrap();
        let corpus = files(&[b.clone(), "-".into(), a.clone()]).unwrap();
        assert_eq!(corpus.bytes, b"two\n\nfrom stdinone\r\n");
        assert_eq!(
            corpus.name,
            format!("{} + standard input + {}", b.display(), a.display())
        );
        assert_eq!(
            corpus.hash,
            blake3::hash(b"two\n\nfrom stdinone\r\n").to_hex().as_str()
        );
        assert_ne!(corpus.hash, files(&[a, b]).unwrap().hash);
        assert_eq!(corpus.floor(0..3), None);
        let v = corpus.vocabulary(VocabKind::Char, 1).unwrap();
        assert_eq!(v.decode(&corpus.encode(&v).unwrap()), corpus.bytes);
    }

    #[test]
    fn missing_and_unreadable_files_are_named() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().join("nowhere.txt"), dir.path().to_path_buf()] {
            let e = files(std::slice::from_ref(&path)).unwrap_err();
            assert_eq!(e.kind, Kind::Io);
            assert!(e.message.contains(&path.display().to_string()), "{e}");
        }
    }

    #[test]
    fn empty_text_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("empty.txt");
        fs::write(&path, "").unwrap();
        let e = files(std::slice::from_ref(&path)).unwrap_err();
        assert_eq!(e.kind, Kind::Data);
        assert!(e.message.contains("empty.txt"), "{e}");
        assert_eq!(files(&[]).unwrap_err().kind, Kind::Data);
        let none = Source::Builtin { seed: 1, chars: 0 };
        assert_eq!(none.load().unwrap_err().kind, Kind::Data);
        let blank = Source::Files(vec!["-".into()]).load_with(&mut &b""[..]);
        assert_eq!(blank.unwrap_err().kind, Kind::Data);
        // An empty file beside one that is not is no fault.
        assert_eq!(files(&[path, "-".into()]).unwrap().bytes, b"from stdin");
    }

    #[test]
    fn invalid_utf8_names_the_file_and_the_offset_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let (good, bad) = (dir.path().join("good"), dir.path().join("bad"));
        fs::write(&good, "höher").unwrap();
        fs::write(&bad, b"abc\xe9def").unwrap();
        let corpus = files(&[good, bad.clone()]).unwrap();
        for e in [
            corpus.vocabulary(VocabKind::Char, 1).unwrap_err(),
            corpus
                .encode(&Vocabulary::build(VocabKind::Char, b"ab", 1).unwrap())
                .unwrap_err(),
        ] {
            assert_eq!(e.kind, Kind::Data);
            for part in [
                &bad.display().to_string(),
                "0xE9",
                "offset 3",
                "--vocab byte",
            ] {
                assert!(e.message.contains(part), "{e}");
            }
        }
        assert!(corpus.vocabulary(VocabKind::Byte, 1).is_ok());
    }

    #[test]
    fn a_generated_text_knows_its_floor() {
        let source = Source::Builtin {
            seed: 3,
            chars: 5000,
        };
        let corpus = source.load().unwrap();
        assert_eq!(corpus.bytes.len(), 5000);
        let (a, b) = (
            corpus.floor(0..2500).unwrap(),
            corpus.floor(2500..5000).unwrap(),
        );
        assert!((corpus.floor(0..5000).unwrap() - (a + b) / 2.0).abs() < 1e-6);
        assert_eq!(corpus.floor(7..7), None);
        assert_eq!(corpus.floor(4999..5001), None);
    }
}
