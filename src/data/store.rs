//! Bytes that are written once and then read anywhere: in memory while they are few, in a file without a name when they
//! are many. The file is gone when its last handle is, whatever ends the program.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// Bytes that are held in memory; more go to a file.
pub(super) const IN_MEMORY: usize = 64 << 20;

/// Written bytes. A clone shares them.
#[derive(Clone)]
pub(super) enum ByteStore {
    /// In memory.
    Memory(Arc<[u8]>),
    /// In a file that has no name any more.
    File {
        /// The file.
        file: Arc<File>,
        /// Its length.
        len: u64,
        /// The folder that it was made in, for errors.
        folder: Arc<Path>,
    },
    /// In a file of somebody else's, which must not change.
    Named {
        /// The file.
        file: Arc<File>,
        /// Its length.
        len: u64,
        /// What it is called.
        path: Arc<Path>,
    },
}

impl ByteStore {
    /// The number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            ByteStore::Memory(bytes) => bytes.len() as u64,
            ByteStore::File { len, .. } | ByteStore::Named { len, .. } => *len,
        }
    }

    /// Fills `bytes` with what stands at `at`.
    ///
    /// # Errors
    /// `Kind::Io` when the file cannot be read; `Kind::Internal` beyond the end.
    pub fn read(&self, at: u64, bytes: &mut [u8]) -> Result<()> {
        let end = at.saturating_add(bytes.len() as u64);
        if end > self.len() {
            return Err(Error::internal(format!(
                "bytes {at} to {end} of {} were to be read",
                self.len()
            )));
        }
        match self {
            ByteStore::Memory(all) => {
                bytes.copy_from_slice(&all[at as usize..end as usize]);
                Ok(())
            }
            ByteStore::File { file, folder, .. } => read_at(file, at, bytes)
                .map_err(|e| Error::io("read the temporary file in", folder, &e)),
            ByteStore::Named { file, path, .. } => {
                read_at(file, at, bytes).map_err(|e| Error::io("read", path, &e))
            }
        }
    }
}

impl fmt::Debug for ByteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ByteStore::Memory(bytes) => write!(f, "{} bytes in memory", bytes.len()),
            ByteStore::File { len, .. } => write!(f, "{len} bytes in a file"),
            ByteStore::Named { len, path, .. } => write!(f, "{len} bytes in {}", path.display()),
        }
    }
}

#[cfg(unix)]
fn read_at(file: &File, at: u64, bytes: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(windows)]
fn read_at(file: &File, mut at: u64, mut bytes: &mut [u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, at)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            n => {
                bytes = &mut bytes[n..];
                at += n as u64;
            }
        }
    }
    Ok(())
}

#[cfg(not(any(unix, windows)))]
fn read_at(_: &File, _: u64, _: &mut [u8]) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Takes bytes and becomes a [`ByteStore`].
pub(super) struct StoreWriter {
    folder: PathBuf,
    limit: usize,
    buffer: Vec<u8>,
    file: Option<(File, u64)>,
}

/// Bytes that are gathered before they are written to a file.
const BLOCK: usize = 1 << 20;

impl StoreWriter {
    /// Up to `limit` bytes stay in memory; more go to a file in `folder`.
    pub fn new(folder: &Path, limit: usize) -> Self {
        StoreWriter {
            folder: folder.to_path_buf(),
            limit,
            buffer: Vec::new(),
            file: None,
        }
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// `Kind::Io` when the file cannot be made or written, naming its folder.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        let most = match self.file {
            None => self.limit,
            Some(_) => BLOCK,
        };
        if self.buffer.len() > most {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        let failed = |e| Error::io("write a temporary file in", &self.folder, &e);
        let (file, len) = match &mut self.file {
            Some(file) => file,
            none => none.insert((tempfile::tempfile_in(&self.folder).map_err(failed)?, 0)),
        };
        file.write_all(&self.buffer).map_err(failed)?;
        *len += self.buffer.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(2 * BLOCK);
        Ok(())
    }

    /// All that was written.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn finish(mut self) -> Result<ByteStore> {
        if self.file.is_some() && !self.buffer.is_empty() {
            self.flush()?;
        }
        Ok(match self.file {
            None => ByteStore::Memory(self.buffer.into()),
            Some((file, len)) => ByteStore::File {
                file: Arc::new(file),
                len,
                folder: self.folder.into(),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn memory_and_file_hold_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let all: Vec<u8> = (0..3_000_000u32).map(|i| ((i * 7) >> 3) as u8).collect();
        for limit in [0, 1000, IN_MEMORY] {
            let mut writer = StoreWriter::new(dir.path(), limit);
            all.chunks(99_991).for_each(|c| writer.write(c).unwrap());
            let store = writer.finish().unwrap();
            assert_eq!(matches!(store, ByteStore::Memory(_)), limit == IN_MEMORY);
            assert_eq!(store.len(), all.len() as u64);
            for (at, n) in [
                (0, 10),
                (99_990, 3),
                (2_999_999, 1),
                (3_000_000, 0),
                (1, 2_999_999),
            ] {
                let mut bytes = vec![0xEE; n];
                store.read(at as u64, &mut bytes).unwrap();
                assert!(bytes == all[at..at + n], "{at} {n}");
            }
            let e = store.read(2_999_999, &mut [0; 2]).unwrap_err();
            assert_eq!(e.kind, Kind::Internal);
        }
        // Nothing is left behind, not even while it is in use.
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let mut writer = StoreWriter::new(Path::new("/nowhere/at all"), 3);
        writer.write(b"abc").unwrap();
        let e = writer.write(b"d").unwrap_err();
        assert_eq!(e.kind, Kind::Io);
        assert!(e.message.contains("/nowhere/at all"), "{e}");
    }
}
