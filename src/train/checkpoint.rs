//! A checkpoint: named tensors and a JSON value in one safetensors file that knows its own checksum.
//!
//! Any reader of safetensors reads it. Its metadata begins with `checksum`: 64 hex digits of BLAKE3 over the whole file,
//! taken with those digits as zeros. They stand at a fixed place, so a file is judged before anything in it is parsed.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use super::atomic;
use crate::error::{Error, Kind, Result};

/// What stands between the header's length and the digits of the checksum.
const PREFIX: &[u8] = br#"{"__metadata__":{"checksum":""#;
/// The digits' place in the file; the header's length takes the first 8 bytes.
const DIGITS: std::ops::Range<usize> = 8 + PREFIX.len()..8 + PREFIX.len() + 64;
/// The key of the JSON value in the metadata.
const META: &str = "wgrnn";
/// The longest header that readers of safetensors accept, in bytes.
pub(super) const MAX_HEADER: usize = 100_000_000;

/// The elements of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// Bytes.
    U8(Vec<u8>),
}

/// A tensor: its shape, outermost dimension first, and its elements in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTensor {
    /// The shape; its product is the number of elements.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Data,
}

/// Named tensors, and everything else of a run's state as JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoint {
    /// The tensors by name.
    pub tensors: BTreeMap<String, StoredTensor>,
    /// Everything else.
    pub meta: Value,
}

impl Data {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Data::F32(v) => v.len(),
            Data::F64(v) => v.len(),
            Data::U8(v) => v.len(),
        }
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn dtype(&self) -> Dtype {
        match self {
            Data::F32(_) => Dtype::F32,
            Data::F64(_) => Dtype::F64,
            Data::U8(_) => Dtype::U8,
        }
    }

    fn bytes(&self) -> usize {
        self.len() * self.dtype().bitsize() / 8
    }

    fn extend(&self, out: &mut Vec<u8>) {
        match self {
            Data::F32(v) => out.extend(v.iter().flat_map(|x| x.to_le_bytes())),
            Data::F64(v) => out.extend(v.iter().flat_map(|x| x.to_le_bytes())),
            Data::U8(v) => out.extend_from_slice(v),
        }
    }

    fn read(dtype: Dtype, bytes: &[u8]) -> Option<Data> {
        Some(match dtype {
            Dtype::F32 => {
                let (words, _) = bytes.as_chunks();
                Data::F32(words.iter().map(|w| f32::from_le_bytes(*w)).collect())
            }
            Dtype::F64 => {
                let (words, _) = bytes.as_chunks();
                Data::F64(words.iter().map(|w| f64::from_le_bytes(*w)).collect())
            }
            Dtype::U8 => Data::U8(bytes.to_vec()),
            _ => return None,
        })
    }
}

impl StoredTensor {
    /// A tensor of 32-bit floats.
    pub fn f32(shape: impl Into<Vec<usize>>, data: Vec<f32>) -> Self {
        StoredTensor {
            shape: shape.into(),
            data: Data::F32(data),
        }
    }

    fn is_consistent(&self) -> bool {
        let product = self.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        product == Some(self.data.len())
    }
}

impl Checkpoint {
    /// The elements of the f32 tensor `name`, which must have `shape`; an error of kind `Checkpoint` says what came instead.
    pub fn f32(&self, name: &str, shape: &[usize]) -> Result<&[f32]> {
        match self.tensors.get(name) {
            None => Err(Error::checkpoint(format!(
                "{name}: expected f32 {shape:?}, found no such tensor"
            ))),
            Some(StoredTensor {
                shape: found,
                data: Data::F32(data),
            }) if found == shape => Ok(data),
            Some(other) => Err(Error::checkpoint(format!(
                "{name}: expected f32 {shape:?}, found {} {:?}",
                other.data.dtype().to_string().to_lowercase(),
                other.shape
            ))),
        }
    }

    /// The file's bytes: the same for equal checkpoints.
    ///
    /// Fails (kind `Internal`) where a shape does not fit its data, a name is `__metadata__`, or names and JSON take more
    /// than 100 MB.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut header = self.header()?.into_bytes();
        // Readers map the data into memory, so it begins at a multiple of 8.
        header.resize(header.len().next_multiple_of(8), b' ');
        if header.len() > MAX_HEADER {
            return Err(Error::internal(format!(
                "checkpoint: names and state take {} bytes, expected at most {MAX_HEADER}",
                header.len()
            )));
        }
        let data: usize = self.tensors.values().map(|t| t.data.bytes()).sum();
        let mut bytes = Vec::with_capacity(8 + header.len() + data);
        bytes.extend((header.len() as u64).to_le_bytes());
        bytes.extend(header);
        for (_, tensor) in self.in_file_order() {
            tensor.data.extend(&mut bytes);
        }
        let digits = checksum(&bytes);
        bytes[DIGITS].copy_from_slice(digits.as_bytes());
        Ok(bytes)
    }

    fn header(&self) -> Result<String> {
        let zeros = "0".repeat(64);
        let mut header = String::from_utf8_lossy(PREFIX).into_owned();
        // JSON within JSON: metadata values are strings.
        let meta = Value::String(self.meta.to_string());
        let _ = write!(header, r#"{zeros}","{META}":{meta}}}"#);
        let mut begin = 0;
        for (name, tensor) in self.in_file_order() {
            if name == "__metadata__" || !tensor.is_consistent() {
                return Err(Error::internal(format!(
                    "checkpoint: tensor {name} of shape {:?} has {} elements",
                    tensor.shape,
                    tensor.data.len()
                )));
            }
            let end = begin + tensor.data.bytes();
            let entry = json!({
                "dtype": tensor.data.dtype(),
                "shape": tensor.shape,
                "data_offsets": [begin, end],
            });
            let _ = write!(header, ",{}:{entry}", Value::from(name));
            begin = end;
        }
        header.push('}');
        Ok(header)
    }

    /// Wide elements first, so that each begins at a multiple of its size; then by name.
    fn in_file_order(&self) -> Vec<(&str, &StoredTensor)> {
        let mut all: Vec<_> = self.tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
        all.sort_by_key(|(_, t)| std::cmp::Reverse(t.data.dtype().bitsize()));
        all
    }

    /// Reads a file's bytes, after their checksum. Errors are of kind `Checkpoint`; memory stays of the order of the input.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if bytes.len() < DIGITS.end || bytes[8..DIGITS.start] != *PREFIX {
            return Err(Error::checkpoint(match SafeTensors::deserialize(bytes) {
                Ok(_) => {
                    "a safetensors file without a checksum: not a checkpoint of wgrnn; weights from elsewhere come in \
                     by `import`"
                        .to_string()
                }
                Err(e) => format!("damaged or not a checkpoint: {e}"),
            }));
        }
        let want = checksum(bytes);
        if bytes[DIGITS] != *want.as_bytes() {
            return Err(Error::checkpoint(format!(
                "damaged: expected checksum {}, found {want} over {} bytes",
                String::from_utf8_lossy(&bytes[DIGITS]).escape_default(),
                bytes.len()
            )));
        }
        // From here on only a file that somebody forged can be wrong.
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
        let file = SafeTensors::deserialize(bytes).map_err(unreadable)?;
        let meta = header.metadata().as_ref().and_then(|m| m.get(META));
        let meta = meta.ok_or_else(|| Error::checkpoint(format!("metadata has no key {META}")))?;
        let meta = serde_json::from_str(meta).map_err(unreadable)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.tensors() {
            let data = Data::read(view.dtype(), view.data()).ok_or_else(|| {
                let (name, dtype) = (name.escape_debug(), view.dtype());
                Error::checkpoint(format!("{name}: expected F32, F64 or U8, found {dtype}"))
            })?;
            let shape = view.shape().to_vec();
            tensors.insert(name, StoredTensor { shape, data });
        }
        Ok(Checkpoint { tensors, meta })
    }

    /// Writes the file so that `path` holds the old or the new one at every moment; see [`atomic::write`].
    pub fn save(&self, path: &Path) -> Result<()> {
        atomic::write(path, &self.to_bytes()?)
    }

    /// Reads the file at `path`; errors name it. Kind `Checkpoint` if it is missing or damaged, `Io` if it cannot be read.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => {
                Error::checkpoint(format!("{}: no such checkpoint", path.display()))
            }
            _ => Error::io("read", path, &e),
        })?;
        Checkpoint::from_bytes(&bytes)
            .map_err(|e| Error::new(Kind::Checkpoint, format!("{}: {e}", path.display())))
    }
}

/// The hex digits of BLAKE3 over `bytes`, taken with zeros in the digits' place.
fn checksum(bytes: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes[..DIGITS.start]);
    hasher.update(&[b'0'; 64]);
    hasher.update(&bytes[DIGITS.end..]);
    hasher.finalize().to_hex().to_string()
}

fn unreadable(e: impl std::fmt::Display) -> Error {
    Error::checkpoint(format!("cannot be read: {e}"))
}

#[cfg(test)]
mod tests;
