//! Token ids `[N]` of a text, however long it is: a handle that is cheap to clone and to cut.

use std::ops::Range;
use std::path::Path;

use super::store::{ByteStore, IN_MEMORY, StoreWriter};
use crate::error::{Error, Result};

/// Token ids `[N]`, in memory or, where they are many, in a temporary file. Clones and slices share them.
///
/// An id takes one, two or four bytes, by the size of the vocabulary.
#[derive(Clone, Debug)]
pub struct Tokens {
    store: ByteStore,
    /// Bytes of an id.
    width: usize,
    /// Where this slice begins and how long it is, in ids.
    start: u64,
    len: usize,
}

impl Tokens {
    /// N.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether they lie in a file.
    pub fn in_file(&self) -> bool {
        matches!(self.store, ByteStore::File { .. })
    }

    /// Bytes of memory that the ids of this slice take; none where they lie in a file.
    pub fn bytes(&self) -> u64 {
        if self.in_file() {
            0
        } else {
            (self.len * self.width) as u64
        }
    }

    /// The ids in `range`, cut to what there is; nothing is copied.
    pub fn slice(&self, range: Range<usize>) -> Tokens {
        let start = range.start.min(self.len);
        let end = range.end.clamp(start, self.len);
        Tokens {
            start: self.start + start as u64,
            len: end - start,
            ..self.clone()
        }
    }

    /// Fills `ids` with those from position `at` on.
    ///
    /// # Errors
    /// `Kind::Io` when the temporary file cannot be read; `Kind::Internal` beyond the end.
    pub fn read(&self, at: usize, ids: &mut [u32]) -> Result<()> {
        if at.saturating_add(ids.len()) > self.len {
            return Err(Error::internal(format!(
                "{} ids from {at} on were to be read of {}",
                ids.len(),
                self.len
            )));
        }
        let from = (self.start + at as u64) * self.width as u64;
        let bytes = ids.len() * self.width;
        match &self.store {
            ByteStore::Memory(all) => {
                let from = from as usize;
                unpack(&all[from..from + bytes], self.width, ids);
            }
            file => {
                let mut buffer = vec![0; bytes];
                file.read(from, &mut buffer)?;
                unpack(&buffer, self.width, ids);
            }
        }
        Ok(())
    }

    /// The ids in `range`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn get(&self, range: Range<usize>) -> Result<Vec<u32>> {
        let mut ids = vec![0; range.len()];
        self.read(range.start, &mut ids)?;
        Ok(ids)
    }

    /// All ids.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn to_vec(&self) -> Result<Vec<u32>> {
        self.get(0..self.len)
    }
}

/// The bytes of an id below `vocab`.
fn width(vocab: usize) -> usize {
    match vocab {
        0..=0x100 => 1,
        0x101..=0x1_0000 => 2,
        _ => 4,
    }
}

/// Ids from their bytes, lowest first.
fn unpack(bytes: &[u8], width: usize, ids: &mut [u32]) {
    match width {
        1 => ids
            .iter_mut()
            .zip(bytes)
            .for_each(|(id, b)| *id = u32::from(*b)),
        2 => ids
            .iter_mut()
            .zip(bytes.as_chunks().0)
            .for_each(|(id, b)| *id = u32::from(u16::from_le_bytes(*b))),
        _ => ids
            .iter_mut()
            .zip(bytes.as_chunks().0)
            .for_each(|(id, b)| *id = u32::from_le_bytes(*b)),
    }
}

/// Takes ids and becomes [`Tokens`].
pub struct TokensWriter {
    writer: StoreWriter,
    width: usize,
    len: usize,
    buffer: Vec<u8>,
}

impl TokensWriter {
    /// For ids below `vocab`. Up to 64 MiB stay in memory; more go to a temporary file in `folder`.
    pub fn new(folder: &Path, vocab: usize) -> Self {
        Self::with_limit(folder, vocab, IN_MEMORY)
    }

    pub(super) fn with_limit(folder: &Path, vocab: usize, limit: usize) -> Self {
        TokensWriter {
            writer: StoreWriter::new(folder, limit),
            width: width(vocab),
            len: 0,
            buffer: Vec::new(),
        }
    }

    /// Adds ids.
    ///
    /// # Errors
    /// `Kind::Io` when the temporary file cannot be made or written, naming its folder.
    pub fn write(&mut self, ids: &[u32]) -> Result<()> {
        self.buffer.clear();
        match self.width {
            1 => self.buffer.extend(ids.iter().map(|id| *id as u8)),
            2 => ids
                .iter()
                .for_each(|id| self.buffer.extend_from_slice(&(*id as u16).to_le_bytes())),
            _ => ids
                .iter()
                .for_each(|id| self.buffer.extend_from_slice(&id.to_le_bytes())),
        }
        self.len += ids.len();
        self.writer.write(&self.buffer)
    }

    /// How many ids were added.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none was added.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All that was added.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn finish(self) -> Result<Tokens> {
        Ok(Tokens {
            store: self.writer.finish()?,
            width: self.width,
            start: 0,
            len: self.len,
        })
    }
}

impl From<&[u32]> for Tokens {
    fn from(ids: &[u32]) -> Tokens {
        let vocab = ids.iter().max().map_or(0, |id| *id as usize + 1);
        let width = width(vocab);
        let bytes = ids
            .iter()
            .flat_map(|id| id.to_le_bytes().into_iter().take(width));
        Tokens {
            store: ByteStore::Memory(bytes.collect()),
            width,
            start: 0,
            len: ids.len(),
        }
    }
}

impl From<Vec<u32>> for Tokens {
    fn from(ids: Vec<u32>) -> Tokens {
        ids.as_slice().into()
    }
}

impl<const N: usize> From<[u32; N]> for Tokens {
    fn from(ids: [u32; N]) -> Tokens {
        ids.as_slice().into()
    }
}

impl FromIterator<u32> for Tokens {
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Tokens {
        ids.into_iter().collect::<Vec<u32>>().into()
    }
}

impl Default for Tokens {
    fn default() -> Tokens {
        [].into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use proptest::prelude::*;

    #[test]
    fn an_id_takes_as_few_bytes_as_the_vocabulary_allows() {
        for (vocab, want) in [
            (2, 1),
            (256, 1),
            (257, 2),
            (65536, 2),
            (65537, 4),
            (1_000_000, 4),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let ids = [0, vocab as u32 - 1, 1];
            for limit in [0, 100] {
                let mut w = TokensWriter::with_limit(folder.path(), vocab, limit);
                w.write(&ids).unwrap();
                let tokens = w.finish().unwrap();
                assert_eq!(tokens.in_file(), limit == 0);
                assert_eq!(tokens.store.len(), 3 * want);
                assert_eq!(tokens.to_vec().unwrap(), ids);
            }
            assert_eq!(Tokens::from(ids).to_vec().unwrap(), ids);
        }
    }

    #[test]
    fn nothing_is_read_beyond_a_slice() {
        let tokens = Tokens::from([1, 2, 3, 4, 5]).slice(1..4);
        assert_eq!(tokens.to_vec().unwrap(), [2, 3, 4]);
        assert_eq!(tokens.slice(1..99).to_vec().unwrap(), [3, 4]);
        assert!(tokens.slice(7..9).is_empty());
        for (at, n) in [(2, 2), (4, 0), (0, 4), (usize::MAX, 1)] {
            let e = tokens.read(at, &mut vec![0; n]).unwrap_err();
            assert_eq!(e.kind, Kind::Internal, "{at} {n}");
        }
        tokens.read(3, &mut []).unwrap();
    }

    proptest! {
        #[test]
        fn slices_of_slices(ids in proptest::collection::vec(0u32..90_000, 0..200), limit in 0usize..900,
                            a in 0usize..200, b in 0usize..200, c in 0usize..200) {
            let mut w = TokensWriter::with_limit(&std::env::temp_dir(), 90_000, limit);
            ids.chunks(7).for_each(|c| w.write(c).unwrap());
            let tokens = w.finish().unwrap();
            let a = a.min(ids.len());
            let b = b.clamp(a, ids.len());
            let c = c.min(b - a);
            let want = &ids[a..b][c..];
            prop_assert_eq!(tokens.slice(a..b).slice(c..usize::MAX).to_vec().unwrap(), want);
        }
    }
}
