//! Encoded examples: for every field its ids, classes or vectors, by the number of an example.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::codes::{FieldCode, FieldCodes};
use super::declare::{Field, FieldKind};
use super::examples::{Examples, RawContent, TextColumn};
use super::names::ClassNames;
use super::sequences::TokenText;
use super::step_codes;
use super::steps::StepRows;
use super::white_space::brief;
use crate::data::lines::{LineRules, Lines, LinesWriter};
use crate::data::vocab::{Encoded, Encoder, Vocabulary};
use crate::error::{Error, Result};

/// Encoded examples.
#[derive(Clone, Debug)]
pub struct Records {
    fields: Vec<Field>,
    rows: Vec<Option<FieldRows>>,
    len: usize,
}

/// What all examples have for one field.
#[derive(Clone, Debug)]
pub enum FieldRows {
    /// A line of ids an example.
    Tokens(Lines),
    /// A class an example.
    Class(Vec<u32>),
    /// A class a word.
    ClassesAlong(ClassRows),
    /// A vector an example.
    Vector(VectorRows),
    /// A line of ids a word.
    TokensWithin(WordLines),
    /// A vector a step.
    Steps(StepRows),
}

/// Classes of the words of all examples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassRows {
    ids: Vec<u32>,
    /// Where each example ends.
    ends: Vec<usize>,
}

/// Vectors `[N, width]`.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorRows {
    values: Arc<Vec<f32>>,
    width: usize,
    /// Which vector each example has, where several may have the same.
    index: Option<Vec<u32>>,
}

/// The symbols within the words of all examples.
#[derive(Clone, Debug)]
pub struct WordLines {
    lines: Lines,
    /// Where each example ends.
    ends: Vec<usize>,
}

impl ClassRows {
    /// The classes of example `n`, one a word.
    ///
    /// # Panics
    /// Where there is no such example.
    pub fn row(&self, n: usize) -> &[u32] {
        &self.ids[range(&self.ends, n)]
    }

    /// Those of all words.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }
}

impl VectorRows {
    /// The vector `[width]` of example `n`.
    ///
    /// # Panics
    /// Where there is no such example.
    pub fn row(&self, n: usize) -> &[f32] {
        let n = self.index.as_ref().map_or(n, |index| index[n] as usize);
        &self.values[n * self.width..(n + 1) * self.width]
    }

    /// How many numbers a vector has.
    pub fn width(&self) -> usize {
        self.width
    }
}

impl WordLines {
    /// The symbols of all words, a line a word.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// Which lines are the words of example `n`.
    ///
    /// # Panics
    /// Where there is no such example.
    pub fn words(&self, n: usize) -> Range<usize> {
        range(&self.ends, n)
    }
}

fn range(ends: &[usize], n: usize) -> Range<usize> {
    n.checked_sub(1).map_or(0, |before| ends[before])..ends[n]
}

impl FieldCodes {
    /// Encodes examples, of training or of later files; a field that was not read stays without rows. Ids of very long texts
    /// go to a temporary file in `folder`.
    ///
    /// # Errors
    /// `Kind::Data`, naming file and line: for a label that training has not seen, vectors of another width, a symbol that
    /// the vocabulary cannot express, and a text of which no token is left; `Kind::Io` when ids cannot be kept.
    pub fn encode(&self, examples: &Examples, folder: &Path) -> Result<Records> {
        self.encode_some(examples, folder, |_| true)
    }

    /// The same of the fields that are `wanted`; others stay without rows.
    ///
    /// # Errors
    /// As [`FieldCodes::encode`].
    pub fn encode_some(
        &self,
        examples: &Examples,
        folder: &Path,
        wanted: impl Fn(&Field) -> bool,
    ) -> Result<Records> {
        if examples.fields() != self.fields() {
            return Err(Error::internal("examples of other fields than the codes"));
        }
        let mut rows = Vec::new();
        for field in self.fields() {
            let content = examples.content(&field.name).filter(|_| wanted(field));
            rows.push(match content {
                Some(content) => Some(self.field(examples, field, content, folder)?),
                None => None,
            });
        }
        Ok(Records {
            fields: self.fields().to_vec(),
            rows,
            len: examples.len(),
        })
    }

    fn field(
        &self,
        examples: &Examples,
        field: &Field,
        content: &RawContent,
        folder: &Path,
    ) -> Result<FieldRows> {
        let name = &field.name;
        match (self.code(name), content) {
            (Some(FieldCode::Width(width)), RawContent::Vectors(column)) => {
                if column.width != *width {
                    return Err(Error::data(format!(
                        "{}: field {name}: expected vectors of {width} numbers as in training, found {}",
                        column.row_place(0),
                        column.width
                    )));
                }
                Ok(FieldRows::Vector(VectorRows {
                    values: Arc::clone(&column.values),
                    width: column.width,
                    index: column.index.clone(),
                }))
            }
            (Some(code), RawContent::Steps(column)) => {
                step_codes::encode(name, code, column).map(FieldRows::Steps)
            }
            (Some(FieldCode::Classes(names)), RawContent::Text(column)) => {
                let ids = classes(names, name, column)?;
                Ok(match field.kind {
                    FieldKind::Class => FieldRows::Class(ids),
                    _ => FieldRows::ClassesAlong(ClassRows {
                        ids,
                        ends: column.ends().to_vec(),
                    }),
                })
            }
            (Some(FieldCode::Vocabulary(vocabulary)), RawContent::Text(column)) => {
                let text = TokenText::new(examples, field)
                    .ok_or_else(|| Error::internal("tokens without a text"))?;
                let lines = lines(&text, vocabulary, name, folder)?;
                Ok(match field.kind {
                    FieldKind::TokensWithin(_) => FieldRows::TokensWithin(WordLines {
                        lines,
                        ends: column.ends().to_vec(),
                    }),
                    _ => FieldRows::Tokens(lines),
                })
            }
            _ => Err(Error::internal(format!(
                "field {name}: its code is of another kind"
            ))),
        }
    }
}

fn classes(names: &ClassNames, field: &str, column: &TextColumn) -> Result<Vec<u32>> {
    let index = names.index();
    let class = |(item, label): (usize, &str)| {
        index.get(label.trim()).copied().ok_or_else(|| {
            Error::data(format!(
                "{}: field {field}: {}",
                column.place(column.row_of(item), item),
                names.stranger(label.trim())
            ))
        })
    };
    column.all().enumerate().map(class).collect()
}

fn lines(
    text: &TokenText<'_>,
    vocabulary: &Vocabulary,
    field: &str,
    folder: &Path,
) -> Result<Lines> {
    let mut encoder = Encoder::new(vocabulary);
    let mut writer = LinesWriter::new(folder, vocabulary, LineRules::default())?;
    let mut found = Encoded::default();
    let encoded = text
        .blocks(vocabulary.kind(), |block| {
            found.clear();
            encoder.feed(block, &mut found)?;
            writer.write(&found)
        })
        .and_then(|()| {
            found.clear();
            encoder.end_file(&mut found)?;
            writer.write(&found)?;
            encoder.finish(&mut Encoded::default())?;
            Ok(writer.finish()?.0)
        });
    match encoded {
        Ok(lines) if lines.len() == text.len() => Ok(lines),
        // Which line it was is found by encoding them one by one.
        encoded => {
            for n in 0..text.len() {
                let line = text.line(n);
                let fault = match vocabulary.encode(line.as_bytes()) {
                    Ok(ids) if ids.is_empty() => {
                        format!("expected tokens, found none in {:?}", brief(&line))
                    }
                    Ok(_) => continue,
                    Err(e) => e.message,
                };
                let place = text.place(n);
                return Err(Error::data(format!("{place}: field {field}: {fault}")));
            }
            let counted = |_| Error::internal(format!("field {field}: its lines are miscounted"));
            Err(encoded.map_or_else(|e| e, counted))
        }
    }
}

impl Records {
    /// N, how many examples there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never: files without examples are refused.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What the examples have for a field; none for one that there is not or that was not read.
    pub fn rows(&self, name: &str) -> Option<&FieldRows> {
        let place = self.fields.iter().position(|field| field.name == name)?;
        self.rows[place].as_ref()
    }

    /// The same steps as other examples: spans of them as [`StepRows::windows`] takes them.
    ///
    /// # Errors
    /// Internal, for spans that are not within one series, and for fields that have more than steps.
    pub fn windows(&self, spans: &[(usize, usize)]) -> Result<Records> {
        let windows = |rows: &Option<FieldRows>| match rows {
            None => Ok(None),
            Some(FieldRows::Steps(rows)) => {
                Ok(Some(FieldRows::Steps(rows.windows(spans.to_vec())?)))
            }
            Some(_) => Err(Error::internal(
                "windows of fields that are no reals and no bits",
            )),
        };
        Ok(Records {
            fields: self.fields.clone(),
            rows: self.rows.iter().map(windows).collect::<Result<_>>()?,
            len: spans.len(),
        })
    }

    /// How often each of `classes` classes stands in the examples `of`, for a field of classes; words count one by one. None
    /// for other fields.
    pub fn class_counts(&self, name: &str, of: &[u32], classes: usize) -> Option<Vec<u64>> {
        let mut counts = vec![0u64; classes];
        let mut add = |class: u32| {
            if let Some(count) = counts.get_mut(class as usize) {
                *count += 1;
            }
        };
        match self.rows(name)? {
            FieldRows::Class(ids) => of.iter().for_each(|n| add(ids[*n as usize])),
            FieldRows::ClassesAlong(rows) => {
                let words = of.iter().flat_map(|n| rows.row(*n as usize));
                words.for_each(|class| add(*class));
            }
            _ => return None,
        }
        Some(counts)
    }

    /// BLAKE3 of all that they hold.
    ///
    /// # Errors
    /// `Kind::Io` where ids cannot be read back.
    pub fn hash(&self) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        let number = |hasher: &mut blake3::Hasher, n: usize| {
            hasher.update(&(n as u64).to_le_bytes());
        };
        let lines = |hasher: &mut blake3::Hasher, lines: &Lines| -> Result<()> {
            for line in 0..lines.len() {
                let ids = lines.ids(line)?;
                number(hasher, ids.len());
                hasher.update(bytemuck::cast_slice(&ids));
            }
            Ok(())
        };
        let ends = |hasher: &mut blake3::Hasher, ends: &[usize]| {
            ends.iter().for_each(|end| number(hasher, *end));
        };
        for (field, rows) in self.fields.iter().zip(&self.rows) {
            hasher.update(field.name.as_bytes());
            match rows {
                None => {}
                Some(FieldRows::Tokens(of)) => lines(&mut hasher, of)?,
                Some(FieldRows::Class(ids)) => {
                    hasher.update(bytemuck::cast_slice(ids));
                }
                Some(FieldRows::ClassesAlong(rows)) => {
                    ends(&mut hasher, &rows.ends);
                    hasher.update(bytemuck::cast_slice(&rows.ids));
                }
                Some(FieldRows::Vector(rows)) => {
                    number(&mut hasher, rows.width);
                    hasher.update(bytemuck::cast_slice(&rows.values));
                }
                Some(FieldRows::Steps(rows)) => rows.hash(&mut hasher)?,
                Some(FieldRows::TokensWithin(words)) => {
                    ends(&mut hasher, &words.ends);
                    lines(&mut hasher, &words.lines)?;
                }
            }
        }
        Ok(hasher.finalize().to_string())
    }

    /// Bytes of memory that they take.
    pub fn bytes(&self) -> u64 {
        let of = |rows: &FieldRows| match rows {
            FieldRows::Tokens(lines) => lines.bytes(),
            FieldRows::Class(ids) => 4 * ids.len() as u64,
            FieldRows::ClassesAlong(rows) => 4 * rows.ids.len() as u64 + 8 * rows.ends.len() as u64,
            FieldRows::Vector(rows) => 4 * rows.values.len() as u64,
            FieldRows::Steps(rows) => rows.bytes(),
            FieldRows::TokensWithin(words) => words.lines.bytes() + 8 * words.ends.len() as u64,
        };
        self.rows.iter().flatten().map(of).sum()
    }
}
