//! How a file of examples is written, by its name's ending.

use std::path::Path;

use super::idx;
use crate::error::{Error, Result, nearest};

/// How a file of examples is written. Each may also be compressed with gzip or zstd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Columns with tabs between them, a row a line, nothing quoted.
    Tsv,
    /// Columns with commas between them, quoted as in RFC 4180, under a header.
    Csv,
    /// A JSON object a line, its members named as the fields.
    Jsonl,
    /// A word a line with its labels in columns, tabs or spaces between them; an empty line after every sequence.
    Conll,
    /// CoNLL-U: words in column 2, universal parts of speech in column 4.
    Conllu,
    /// A label a line, written `__label__x`, before its text.
    FastText,
    /// A sequence a line.
    Text,
    /// Arrays by their names: `[N, ..]`, a row a sequence, or steps of all sequences and their lengths.
    Safetensors,
    /// The same as NumPy's `savez` writes them.
    Npz,
    /// One array, as NumPy's `save` writes it.
    Npy,
    /// One array in the format of MNIST.
    Idx,
}

const NAMES: [(&str, FileFormat); 11] = [
    ("tsv", FileFormat::Tsv),
    ("csv", FileFormat::Csv),
    ("jsonl", FileFormat::Jsonl),
    ("conll", FileFormat::Conll),
    ("conllu", FileFormat::Conllu),
    ("fasttext", FileFormat::FastText),
    ("text", FileFormat::Text),
    ("safetensors", FileFormat::Safetensors),
    ("npz", FileFormat::Npz),
    ("npy", FileFormat::Npy),
    ("idx", FileFormat::Idx),
];

impl FileFormat {
    /// The names that [`parse`](Self::parse) takes.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// The format of a name as a user gives it.
    ///
    /// # Errors
    /// `Kind::Usage` for a name that there is not.
    pub fn parse(name: &str) -> Result<Self> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, format)| *format).ok_or_else(|| {
            let hint =
                nearest(name, Self::names()).map_or(String::new(), |n| format!(" (is it {n}?)"));
            let names: Vec<&str> = Self::names().collect();
            Error::usage(format!(
                "--format: expected one of {}, found {name:?}{hint}",
                names.join(", ")
            ))
        })
    }

    /// Whether it holds arrays of numbers.
    pub(super) fn is_arrays(self) -> bool {
        matches!(
            self,
            FileFormat::Safetensors | FileFormat::Npz | FileFormat::Npy | FileFormat::Idx
        )
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        let found = NAMES.iter().find(|(_, format)| *format == self);
        found.map_or("text", |(name, _)| name)
    }

    /// What the ending of a file's name says, below that of its compression: none for an ending that says nothing.
    ///
    /// # Errors
    /// `Kind::Data` for endings of formats that are not read.
    pub(super) fn of(path: &Path) -> Result<Option<Self>> {
        let ending = |path: &Path| {
            let ending = path.extension().unwrap_or_default();
            ending.to_string_lossy().to_ascii_lowercase()
        };
        let inner = match ending(path).as_str() {
            "gz" | "zst" => path.with_extension(""),
            _ => path.to_path_buf(),
        };
        Ok(Some(match ending(&inner).as_str() {
            "tsv" | "tab" => FileFormat::Tsv,
            "csv" => FileFormat::Csv,
            "jsonl" | "ndjson" => FileFormat::Jsonl,
            "conll" => FileFormat::Conll,
            "conllu" => FileFormat::Conllu,
            "txt" | "text" => FileFormat::Text,
            "safetensors" => FileFormat::Safetensors,
            "npz" => FileFormat::Npz,
            "npy" => FileFormat::Npy,
            "idx" => FileFormat::Idx,
            not_read @ ("json" | "mat" | "h5" | "hdf5" | "parquet" | "xlsx") => {
                let names: Vec<&str> = Self::names().collect();
                return Err(Error::data(format!(
                    "{}: expected a file of examples ({}), found .{not_read}; --format says what it is where its name \
                     says something else",
                    path.display(),
                    names.join(", ")
                )));
            }
            _ if inner
                .file_name()
                .is_some_and(|name| idx::is_name(&name.to_string_lossy())) =>
            {
                FileFormat::Idx
            }
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn endings_say_what_a_file_is() {
        let of = |name: &str| FileFormat::of(Path::new(name)).unwrap();
        assert_eq!(of("a/names.train.tsv"), Some(FileFormat::Tsv));
        assert_eq!(of("a.CSV.gz"), Some(FileFormat::Csv));
        assert_eq!(of("a.conllu.zst"), Some(FileFormat::Conllu));
        assert_eq!(of("train.de"), None);
        assert_eq!(of("a.gz"), None);
        for (name, format) in NAMES {
            assert_eq!(FileFormat::parse(name), Ok(format));
            assert_eq!(format.name(), name);
        }
        assert_eq!(of("train-images-idx3-ubyte.gz"), Some(FileFormat::Idx));
        let e = FileFormat::of(Path::new("x.h5")).unwrap_err();
        assert!(e.kind == Kind::Data && e.message.contains(".h5"), "{e}");
        let e = FileFormat::parse("jsnl").unwrap_err();
        assert!(
            e.kind == Kind::Usage && e.message.contains("is it jsonl?"),
            "{e}"
        );
    }
}
