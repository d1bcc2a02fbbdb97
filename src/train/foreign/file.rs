//! A safetensors file as it comes, and what a file is that is none.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::SafeTensorError;

use super::{list, shown};
use crate::error::{Error, Result};
use crate::train::checkpoint::MAX_HEADER;

/// The key that this program writes into the metadata of its own files.
const OURS: &str = "wgrnn";

/// Bytes at a file's beginning and at its end in which the names of a zip archive's members are looked for.
const LOOK: usize = 1 << 20;

/// A safetensors file: its tensors, and the texts of its metadata.
#[derive(Debug)]
pub struct File<'a> {
    /// The tensors.
    pub tensors: SafeTensors<'a>,
    /// The metadata.
    pub metadata: HashMap<String, String>,
}

impl<'a> File<'a> {
    /// Reads the bytes of the file at `path`, which only names it.
    ///
    /// # Errors
    /// Checkpoint: no safetensors file, with what it is instead and how it becomes one where its first bytes say so.
    pub fn read(bytes: &'a [u8], path: &Path) -> Result<File<'a>> {
        let bad = |what: String| Error::checkpoint(format!("{}: {what}", path.display()));
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| {
            let other = match header_length(bytes) {
                Some(_) => None,
                None => other_format(bytes, path),
            };
            bad(other.unwrap_or_else(|| damage(bytes, &e)))
        })?;
        let (_, header) = SafeTensors::read_metadata(bytes)
            .map_err(|e| bad(format!("no safetensors file: {e}")))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        Ok(File { tensors, metadata })
    }

    /// Whether the file says that this program wrote it.
    pub fn is_ours(&self) -> bool {
        self.metadata.contains_key(OURS)
    }
}

/// The length of the header, where a file begins as safetensors do: a length that readers take, then JSON.
fn header_length(bytes: &[u8]) -> Option<u64> {
    let length = u64::from_le_bytes(*bytes.first_chunk()?);
    (bytes.get(8) == Some(&b'{') && length <= MAX_HEADER as u64).then_some(length)
}

/// What is wrong with a file that is of no other known format.
fn damage(bytes: &[u8], e: &SafeTensorError) -> String {
    let found = bytes.len();
    let start = &bytes[..found.min(64)];
    let text = |b: &u8| b.is_ascii_graphic() || b.is_ascii_whitespace();
    match (header_length(bytes), e) {
        (None, _) if bytes.is_empty() => "an empty file, expected safetensors".into(),
        (None, _) if start.iter().all(text) => "a text, expected safetensors".into(),
        (Some(length), SafeTensorError::InvalidHeaderLength) => format!(
            "no whole safetensors file: its header takes {length} bytes, the file has {found}; it may be cut short"
        ),
        (Some(_), SafeTensorError::MetadataIncompleteBuffer) => format!(
            "no whole safetensors file: its header speaks of other data than its {found} bytes hold; it may be cut short"
        ),
        _ => format!("no safetensors file: {}", shown(&e.to_string())),
    }
}

/// What a file is by its first bytes, or by its name where they do not say, with the way to safetensors.
fn other_format(bytes: &[u8], path: &Path) -> Option<String> {
    let begins = |with: &[u8]| bytes.starts_with(with);
    let ending = path.extension().unwrap_or_default().to_string_lossy();
    let ending = ending.to_ascii_lowercase();
    // Debug is how Python writes it, too.
    let name = format!("{:?}", path.to_string_lossy());
    let target = match ending.as_str() {
        "safetensors" => path.with_extension("converted.safetensors"),
        _ => path.with_extension("safetensors"),
    };
    let target = format!("{:?}", target.to_string_lossy());
    let torch = format!(
        "expected safetensors; in Python (of a whole module: its .state_dict(), of a checkpoint: its entry with that):\n  \
         import torch, safetensors.torch\n  safetensors.torch.save_file({{k: v.contiguous().clone() for k, v in \
         torch.load({name}, map_location=\"cpu\").items()}}, {target})"
    );
    let by_module =
        "expected the weights of a PyTorch module, saved by safetensors.torch.save_file";
    let unpack = "expected safetensors: unpack it first";
    Some(if begins(b"PK\x03\x04") {
        let holds = |member: &[u8]| {
            let ends = [
                &bytes[..bytes.len().min(LOOK)],
                &bytes[bytes.len().saturating_sub(LOOK)..],
            ];
            ends.iter().any(|part| contains(part, member))
        };
        if holds(b"constants.pkl") {
            format!("a file of torch.jit.save (TorchScript), {by_module}")
        } else if holds(b"data.pkl") {
            format!("a file of torch.save, {torch}")
        } else if holds(b".npy") {
            format!(
                "a NumPy archive (.npz), expected safetensors; in Python:\n  import numpy, safetensors.numpy\n  \
                 safetensors.numpy.save_file({{k: numpy.ascontiguousarray(v) for k, v in numpy.load({name}).items()}}, {target})"
            )
        } else if holds(b"model.weights.h5") {
            format!("a file of Keras (.keras), {by_module}")
        } else {
            format!("a zip archive, {unpack}")
        }
    } else if begins(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") {
        format!("a file of torch.save (as before PyTorch 1.6), {torch}")
    } else if matches!(bytes, [0x80, 2..=5, ..]) {
        format!("a Python pickle, {by_module}")
    } else if begins(b"\x93NUMPY") {
        format!("a single NumPy array (.npy), {by_module}")
    } else if begins(b"\x89HDF\r\n\x1a\n") {
        format!("an HDF5 file, as Keras writes, {by_module}")
    } else if begins(b"GGUF") {
        format!("a GGUF file, {by_module}")
    } else if begins(b"version https://git-lfs.github.com/spec/") {
        "a Git LFS pointer, which only stands for the file: fetch that with `git lfs pull`".into()
    } else if begins(b"{") {
        index_or_json(bytes, path)
    } else if is_page(bytes) {
        "a web page, expected safetensors: the download went elsewhere".into()
    } else if begins(&[0x1f, 0x8b]) {
        format!("compressed with gzip, {unpack}")
    } else if begins(&[0x28, 0xb5, 0x2f, 0xfd]) {
        format!("compressed with zstd, {unpack}")
    } else if begins(b"\xfd7zXZ\0") {
        format!("compressed with xz, {unpack}")
    } else if bytes.get(257..262) == Some(b"ustar") {
        format!("a tar archive, {unpack}")
    } else if ending == "onnx" || is_onnx(bytes) {
        format!("an ONNX file, {by_module}")
    } else if ending == "t7" {
        format!("a Torch7 file, {by_module}")
    } else {
        return None;
    })
}

/// A JSON text: the index of a model in several files, or anything.
fn index_or_json(bytes: &[u8], path: &Path) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
    let map = json
        .as_ref()
        .and_then(|json| json.get("weight_map")?.as_object());
    let Some(map) = map else {
        return "a text that begins like JSON, expected safetensors".into();
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let parts: BTreeSet<&str> = map.values().filter_map(|file| file.as_str()).collect();
    format!(
        "the index of a model in {} files ({}), expected one file; in Python, in their folder:\n  import json, safetensors.torch as s\n  \
         s.save_file({{k: v for f in set(json.load(open({name:?}))[\"weight_map\"].values()) for k, v in \
         s.load_file(f).items()}}, {:?})",
        parts.len(),
        list(parts),
        name.strip_suffix(".index.json")
            .unwrap_or("model.safetensors")
    )
}

fn is_page(bytes: &[u8]) -> bool {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]).to_ascii_lowercase();
    let start = start.trim_start();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

/// A message of protocol buffers that begins as ONNX models do: `ir_version`, then the producer's name.
fn is_onnx(bytes: &[u8]) -> bool {
    matches!(bytes, [0x08, 1..=31, 0x12, length, rest @ ..]
        if rest.get(..usize::from(*length)).is_some_and(|name| !name.is_empty() && name.is_ascii()))
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
