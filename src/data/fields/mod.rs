//! Labelled sequences: from a model's declarations and files to encoded fields, by the number of an example.
//!
//! ```
//! use std::path::Path;
//! use wgrnn::data::fields::{Field, FieldCodes, FieldFile, FieldKind, FieldRows, ReadRules, VocabularyRules, read};
//!
//! # fn main() -> wgrnn::Result<()> {
//! let fields = [Field::new("text", FieldKind::Tokens), Field::new("label", FieldKind::Class)];
//! let folder = std::env::temp_dir();
//! # let scratch = tempfile::tempdir().unwrap();
//! # let path = scratch.path().join("films.tsv");
//! # std::fs::write(&path, "label\ttext\ngood\ta fine film\nbad\ta dull film\ngood\tfine\n").unwrap();
//! // A row is `label TAB text`; path is films.tsv.
//! let file = FieldFile { field: None, path };
//! let examples = read(&fields, &[file], &ReadRules::default(), &folder, &mut std::io::stdin())?;
//!
//! let (codes, remarks) = FieldCodes::build(&examples, &VocabularyRules::default())?;
//! assert_eq!(remarks.len(), 1); // a class with one example
//! let records = codes.encode(&examples, &folder)?;
//! let Some(FieldRows::Class(labels)) = records.rows("label") else { panic!() };
//! let Some(FieldRows::Tokens(texts)) = records.rows("text") else { panic!() };
//! let mut ids = vec![0; texts.length(1)];
//! texts.read(1, &mut ids)?;
//! assert_eq!(codes.vocabulary("text").unwrap().decode(&ids), b"a dull film");
//! assert_eq!(codes.classes("label").unwrap().name(labels[1]), Some("bad"));
//!
//! // A run keeps the codes, and reads later files with them.
//! let kept = serde_json::to_string(&codes).unwrap();
//! assert_eq!(serde_json::from_str::<FieldCodes>(&kept).unwrap(), codes);
//! # Ok(())
//! # }
//! ```
//!
//! # Columns
//!
//! A `.tsv` file has a header when the cells of its first line are the fields' names and nothing else. Without one, its columns
//! are classes first, then the other fields, each in the order of its declaration: `label TAB text`, `source TAB target`; one
//! vector takes all columns that are over. A `.csv` file has a header unless it is said that it has none. What is neither is
//! refused, and so is a table without a header whose label has more different values than its text. Columns that are chosen
//! ([`ColumnChoice`]) leave the others out.
//!
//! # Steps
//!
//! A field of reals has a vector a step, one of bits a set of notes a step ([`FieldKind`]). They come from:
//!
//! | file | a sequence |
//! |---|---|
//! | `.safetensors`, `.npz` with `lengths` `[N]` | `lengths[n]` rows of `x` `[sum of lengths, D]`, one behind another |
//! | the same where `x` is padded, `[N, T, D]` or `[N, T]` | the first `lengths[n]` rows of `x[n]`; nothing looks at the others. Lengths that add up to N, each 1, are those of the line above |
//! | `.safetensors`, `.npz` without, `.npy`, IDX | `x[n]` of `x` `[N, T, D]`, or `[N, T]` of one number a step |
//! | `.npy` `[T, D]` or `[T]` | the only one |
//! | `.csv`, `.tsv` | the only one, a step a row; a first row without a number in it is a header |
//! | `.jsonl` | a line: a list of steps, each a list of numbers, alone or as a member with the field's name |
//!
//! Beside it may lie a class a sequence (`labels` `[N]`) or one a step (`targets` in the shape of the steps, a column of the
//! table, a list), or numbers a step (an array or a list of as many steps). `--columns x=frames,x.lengths=counts` names other
//! arrays, `--columns x=2-8` columns. Bits are numbers of notes in JSON lines, and 0 or 1 in arrays. Numbers keep the type that the file has until they are read; of a file that is not
//! compressed and larger than [`ReadRules::in_memory`] they stay there. What is missing is refused unless [`Missing`] says
//! otherwise, and a time ([`ReadRules::time`]) that does not rise is always refused. [`StepRules`] say how reals are standardised and
//! which notes bits have, [`StepRows::windows`] cuts a series into examples without copying it.
//!
//! Arrays of NumPy are read right in either order, C's and Fortran's. But `safetensors.numpy.save_file` writes an array in
//! Fortran's order (a transposed one, say) as its bytes lie and says nothing of their order, so that its numbers come back
//! scrambled, and no reader can know it: save `numpy.ascontiguousarray(x)`.

mod array_file;
mod arrays;
mod codes;
mod columns;
mod conll;
mod declare;
mod examples;
mod file_format;
mod idx;
mod json_lines;
mod missing;
mod names;
mod npy;
mod numbers;
mod places;
mod plain;
mod read;
mod records;
mod sequences;
mod series;
mod step_codes;
mod step_column;
mod step_parts;
#[cfg(test)]
mod step_tests;
mod steps;
mod table;
mod tabular;
#[cfg(test)]
mod tests;
mod weights;
mod white_space;
mod writer;

pub use codes::{FieldCode, FieldCodes, VocabularyRule, VocabularyRules};
pub use columns::ColumnChoice;
pub use declare::{Field, FieldKind};
pub use examples::Examples;
pub use file_format::FileFormat;
pub use missing::Missing;
pub use names::ClassNames;
pub use read::{FieldFile, ReadRules, read};
pub use records::{ClassRows, FieldRows, Records, VectorRows, WordLines};
pub use step_codes::{StepRules, TrainingSteps};
pub use steps::{ColumnScale, StepRows};
pub use weights::ClassWeights;
