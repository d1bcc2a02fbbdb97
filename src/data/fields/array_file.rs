//! Files of arrays: `.safetensors`, `.npz`, `.npy` and IDX, whose arrays lie in the file or are unpacked when they are asked
//! for.

use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;

use safetensors::Dtype;
use safetensors::tensor::Metadata;
use zip::ZipArchive;

use super::file_format::FileFormat;
use super::numbers::{NumberForm, NumberType};
use super::step_parts::NumberRows;
use super::{idx, npy};
use crate::data::Corpus;
use crate::data::store::{ByteStore, StoreWriter};
use crate::error::{Error, Result};

/// A file of arrays.
pub(super) struct ArrayFile {
    pub format: FileFormat,
    pub entries: Vec<ArrayEntry>,
    store: ByteStore,
    /// Bytes that are held in memory; more lie in files.
    limit: u64,
    /// Where temporary files go.
    folder: PathBuf,
}

/// What a file says of an array.
pub(super) struct ArrayEntry {
    /// Its name; empty in a file of one array.
    pub name: String,
    pub shape: Vec<usize>,
    /// How its numbers lie; what they are called where they are of no type that is read.
    form: std::result::Result<NumberForm, String>,
    fortran: bool,
    /// Where its numbers begin: in the file, or in the member of the archive with the number.
    at: u64,
    member: Option<usize>,
}

impl ArrayEntry {
    /// Its name and shape, as a message lists it.
    pub fn shown(&self) -> String {
        match self.name.as_str() {
            "" => format!("{:?}", self.shape),
            name => format!("{name} {:?}", self.shape),
        }
    }

    fn form(&self, expected: &str) -> Result<NumberForm> {
        self.form
            .clone()
            .map_err(|found| Error::data(format!("expected {expected}, found {found:?}")))
    }

    /// How many bytes its numbers take.
    fn bytes(&self, form: NumberForm) -> Result<u64> {
        let size = |n: u64, size: &usize| n.checked_mul(*size as u64);
        let bytes = self.shape.iter().try_fold(form.size() as u64, size);
        bytes
            .filter(|b| usize::try_from(*b).is_ok())
            .ok_or_else(|| {
                Error::data(format!(
                    "expected a shape that memory can hold, found {:?}",
                    self.shape
                ))
            })
    }
}

impl ArrayFile {
    /// Opens a file. Of one that is not compressed, and larger than `limit`, nothing but what it says of its arrays is read.
    ///
    /// # Errors
    /// `Kind::Data` for what is no such file; `Kind::Io` where it cannot be read.
    pub fn open(corpus: &Corpus, format: FileFormat, limit: u64) -> Result<Self> {
        let store = corpus.stored(limit)?;
        let entries = match format {
            FileFormat::Safetensors => safetensors(&store)?,
            FileFormat::Npz => npz(&store)?,
            FileFormat::Npy => {
                let found = npy::header(&beginning(&store, npy::MOST_BEFORE)?)?;
                vec![entry("", found, None)]
            }
            _ => {
                let (form, shape, at) = idx::header(&beginning(&store, idx::MOST_BEFORE)?)?;
                vec![ArrayEntry {
                    name: String::new(),
                    shape,
                    form: Ok(form),
                    fortran: false,
                    at: at as u64,
                    member: None,
                }]
            }
        };
        let folder = corpus.folder().to_path_buf();
        Ok(ArrayFile {
            format,
            entries,
            store,
            limit,
            folder,
        })
    }

    /// The numbers of an array as rows of `width`, the last index running fastest.
    ///
    /// # Errors
    /// `Kind::Data` for numbers of other types and fewer bytes than the shape says, or more; `Kind::Io` where they cannot be
    /// read or kept.
    pub fn rows(&self, entry: &ArrayEntry, width: usize) -> Result<NumberRows> {
        let form = entry.form("numbers of 64, 32, 16 or 8 bits")?;
        let expected = entry.bytes(form)?;
        let (store, at) = match entry.member {
            None => (self.store.clone(), entry.at),
            Some(member) => (self.unpack(member, entry, expected)?, 0),
        };
        let found = store.len().saturating_sub(at);
        // What lies behind it in the file is another array.
        let shared = self.format == FileFormat::Safetensors;
        if found < expected || (found > expected && !shared) {
            return Err(wrong_size(entry, expected, &found.to_string()));
        }
        let count = (expected / form.size() as u64) as usize;
        let rows = NumberRows {
            store,
            at,
            form,
            width,
            rows: count.checked_div(width).unwrap_or(0),
        };
        if entry.fortran && entry.shape.len() > 1 && count > 0 {
            return self.last_index_fastest(&rows, &entry.shape);
        }
        Ok(rows)
    }

    /// The numbers of an array as integers.
    ///
    /// # Errors
    /// As [`rows`](Self::rows); `Kind::Data` for numbers of floating point.
    pub fn integers(&self, entry: &ArrayEntry) -> Result<Vec<i128>> {
        let rows = self.rows(entry, 1)?;
        let mut bytes = vec![0; rows.rows * rows.form.size()];
        rows.store.read(rows.at, &mut bytes)?;
        rows.form
            .integers(&bytes)
            .ok_or_else(|| Error::data(format!("expected integers, found {:?}", rows.form.kind)))
    }

    /// A place for numbers that are not as the file has them.
    pub fn writer(&self) -> StoreWriter {
        StoreWriter::new(
            &self.folder,
            usize::try_from(self.limit).unwrap_or(usize::MAX),
        )
    }

    /// Unpacks the numbers of a member of the archive, `expected` bytes.
    fn unpack(&self, member: usize, entry: &ArrayEntry, expected: u64) -> Result<ByteStore> {
        let mut archive = archive(&self.store)?;
        let mut from = archive.by_index(member).map_err(|e| damaged(&e))?;
        let begin = from.by_ref().take(entry.at);
        std::io::copy(&mut { begin }, &mut std::io::sink()).map_err(|e| damaged(&e))?;
        let mut writer = self.writer();
        let mut block = vec![0; 1 << 16];
        let mut count = 0;
        loop {
            let read = from.read(&mut block).map_err(|e| damaged(&e))?;
            if read == 0 {
                break;
            }
            count += read as u64;
            // What is more than the header says is not unpacked.
            if count > expected {
                return Err(wrong_size(entry, expected, "more"));
            }
            writer.write(&block[..read])?;
        }
        writer.finish()
    }

    /// Numbers whose first index runs fastest, put into the other order: blocks of the first index at a time, so that every
    /// read is of as many numbers as a block has, and no more than a block is held.
    fn last_index_fastest(&self, from: &NumberRows, shape: &[usize]) -> Result<NumberRows> {
        const BLOCK: usize = 8 << 20;
        let size = from.form.size();
        let first = shape[0];
        let behind: usize = shape[1..].iter().product();
        // One row of places and numbers is held.
        if (behind * (8 + size)) as u64 > self.limit.max(64 << 20) {
            return Err(Error::data(format!(
                "expected the last index to run fastest in an array of shape {shape:?}, whose rows are long, found Fortran's \
                 order; numpy.ascontiguousarray makes it so"
            )));
        }
        let rows = (BLOCK / (behind * size)).clamp(1, first);
        // Where the k-th number behind the first index, in the file's order, belongs.
        let mut places = vec![0; behind];
        let mut index = vec![0; shape.len() - 1];
        for place in &mut places {
            let sizes = shape[1..].iter().zip(&index);
            *place = sizes.fold(0, |at, (size, n)| at * size + n);
            for (n, size) in index.iter_mut().zip(&shape[1..]) {
                *n += 1;
                if *n < *size {
                    break;
                }
                *n = 0;
            }
        }
        let mut writer = self.writer();
        let mut column = vec![0; rows * size];
        let mut block = vec![0; rows * behind * size];
        for start in (0..first).step_by(rows) {
            let count = rows.min(first - start);
            let column = &mut column[..count * size];
            for (k, place) in places.iter().enumerate() {
                from.store
                    .read(from.at + ((k * first + start) * size) as u64, column)?;
                for (row, number) in column.chunks_exact(size).enumerate() {
                    let at = (row * behind + place) * size;
                    block[at..at + size].copy_from_slice(number);
                }
            }
            writer.write(&block[..count * behind * size])?;
        }
        Ok(NumberRows {
            store: writer.finish()?,
            at: 0,
            ..from.clone()
        })
    }
}

fn wrong_size(entry: &ArrayEntry, expected: u64, found: &str) -> Error {
    Error::data(format!(
        "expected {expected} bytes of numbers for its shape {:?}, found {found}",
        entry.shape
    ))
}

/// The first bytes of a store.
fn beginning(store: &ByteStore, most: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0; store.len().min(most as u64) as usize];
    store.read(0, &mut bytes)?;
    Ok(bytes)
}

fn safetensors(store: &ByteStore) -> Result<Vec<ArrayEntry>> {
    let fault = |why: String| Error::data(format!("expected a safetensors file: {why}"));
    /// As the crate has it.
    const LONGEST_HEADER: u64 = 100_000_000;
    let mut size = [0; 8];
    if store.len() < 8 {
        return Err(fault(format!("it has {} bytes", store.len())));
    }
    store.read(0, &mut size)?;
    let size = u64::from_le_bytes(size);
    if size > LONGEST_HEADER || size > store.len() - 8 {
        return Err(fault(format!(
            "its header is said to have {size} bytes, of {} in the file",
            store.len()
        )));
    }
    let mut header = vec![0; size as usize];
    store.read(8, &mut header)?;
    let header: Metadata = serde_json::from_slice(&header).map_err(|e| fault(e.to_string()))?;
    let (found, expected) = (store.len() - 8 - size, header.data_len() as u64);
    if found != expected {
        return Err(fault(format!(
            "expected {expected} bytes of numbers, found {found}"
        )));
    }
    let entry = |name: String| {
        let info = header.info(&name)?;
        let kind = match info.dtype {
            Dtype::F64 => Ok(NumberType::F64),
            Dtype::F32 => Ok(NumberType::F32),
            Dtype::F16 => Ok(NumberType::F16),
            Dtype::BF16 => Ok(NumberType::Bf16),
            Dtype::I8 => Ok(NumberType::I8),
            Dtype::I16 => Ok(NumberType::I16),
            Dtype::I32 => Ok(NumberType::I32),
            Dtype::I64 => Ok(NumberType::I64),
            Dtype::U8 => Ok(NumberType::U8),
            Dtype::U16 => Ok(NumberType::U16),
            Dtype::U32 => Ok(NumberType::U32),
            Dtype::U64 => Ok(NumberType::U64),
            Dtype::BOOL => Ok(NumberType::Bool),
            other => Err(other.to_string()),
        };
        Some(ArrayEntry {
            shape: info.shape.clone(),
            form: kind.map(|kind| NumberForm { kind, big: false }),
            fortran: false,
            at: 8 + size + info.data_offsets.0 as u64,
            member: None,
            name,
        })
    };
    let mut names = header.offset_keys();
    names.sort();
    Ok(names.into_iter().filter_map(entry).collect())
}

fn entry(name: &str, found: npy::NpyHeader, member: Option<usize>) -> ArrayEntry {
    ArrayEntry {
        name: name.to_string(),
        shape: found.shape,
        form: found.form,
        fortran: found.fortran,
        at: found.len as u64,
        member,
    }
}

fn archive(store: &ByteStore) -> Result<ZipArchive<StoreFile>> {
    let file = StoreFile {
        store: store.clone(),
        at: 0,
    };
    ZipArchive::new(file)
        .map_err(|e| Error::data(format!("expected an .npz file, a zip archive: {e}")))
}

fn damaged(e: &dyn std::fmt::Display) -> Error {
    Error::data(format!("the zip archive is damaged: {e}"))
}

fn npz(store: &ByteStore) -> Result<Vec<ArrayEntry>> {
    let mut archive = archive(store)?;
    let mut entries: Vec<ArrayEntry> = Vec::new();
    for member in 0..archive.len() {
        let from = archive.by_index(member).map_err(|e| damaged(&e))?;
        let file = from.name().to_string();
        let Some(name) = file.strip_suffix(".npy") else {
            return Err(Error::data(format!(
                "expected arrays, each in a member NAME.npy of the archive, found {file:?}"
            )));
        };
        let mut begin = Vec::new();
        let most = npy::MOST_BEFORE as u64;
        from.take(most)
            .read_to_end(&mut begin)
            .map_err(|e| damaged(&e))?;
        let header = npy::header(&begin)
            .map_err(|e| Error::new(e.kind, format!("array {name}: {}", e.message)))?;
        entries.push(entry(name, header, Some(member)));
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// A [`ByteStore`] as a file that is read.
struct StoreFile {
    store: ByteStore,
    at: u64,
}

impl Read for StoreFile {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let left = self.store.len().saturating_sub(self.at);
        let count = left.min(bytes.len() as u64) as usize;
        self.store
            .read(self.at, &mut bytes[..count])
            .map_err(std::io::Error::other)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for StoreFile {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.store.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
