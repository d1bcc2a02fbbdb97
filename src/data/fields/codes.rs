//! What symbols and labels are as numbers: vocabularies, names of classes and widths, made of training's examples and kept
//! with a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::declare::{self, Field, FieldKind};
use super::examples::{Examples, RawContent};
use super::names::ClassNames;
use super::sequences::TokenText;
use super::step_codes::{self, StepRules};
use super::steps::ColumnScale;
use crate::data::vocab::{Counter, VocabKind, Vocabulary, VocabularyRecipe};
use crate::error::{Error, Result};

/// How a field of tokens gets its vocabulary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VocabularyRule {
    /// It is made of training's examples.
    Build(VocabularyRecipe),
    /// It is there already, such as that of a tokenizer; one of lines.
    Given(Vocabulary),
    /// It is that of another field, made of the examples of both.
    SharedWith(String),
}

/// How all fields of tokens get their vocabularies, and fields of reals and bits their codes.
#[derive(Clone, Debug, Default)]
pub struct VocabularyRules {
    /// For fields without a rule of their own. Those within words are of characters whatever it says.
    pub default: VocabularyRecipe,
    /// Rules of their own, by the fields' names.
    pub of: BTreeMap<String, VocabularyRule>,
    /// How fields of reals and bits get theirs.
    pub steps: StepRules,
}

/// What the symbols or labels of a field are as numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldCode {
    /// Tokens.
    Vocabulary(Vocabulary),
    /// Classes.
    Classes(ClassNames),
    /// The width of vectors.
    Width(usize),
    /// Vectors of reals, one a step.
    Steps {
        /// How many numbers a step has.
        width: usize,
        /// The names of the columns; empty where training's files had none.
        names: Vec<String>,
        /// How each column is standardised, where they are.
        scale: Option<Vec<ColumnScale>>,
    },
    /// Sets of notes, one a step.
    Bits {
        /// The note of column 0.
        first: u32,
        /// How many notes there are.
        width: usize,
    },
}

/// What the fields of a model are as numbers, as training found it; later files are read with the same.
///
/// It is stored as JSON, a shared vocabulary once, and checked when it is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<StoredCode>", into = "Vec<StoredCode>")]
pub struct FieldCodes {
    fields: Vec<Field>,
    codes: Vec<FieldCode>,
}

impl FieldCodes {
    /// From training's examples. Vocabularies are of lines and have an id for unknown characters or words. Also returns what
    /// should be known about the examples, one line each: classes with a single example.
    ///
    /// # Errors
    /// `Kind::Data` for a field without data, a vocabulary with fewer than two symbols, fewer than two classes; `Kind::Usage`
    /// for rules of fields that have no tokens, that share and cannot, and of kinds that a field cannot have.
    pub fn build(examples: &Examples, rules: &VocabularyRules) -> Result<(Self, Vec<String>)> {
        let fields = examples.fields();
        for name in rules.of.keys() {
            let field = &fields[declare::find(fields, name, "vocabulary")?];
            if !has_vocabulary(field) {
                return Err(Error::usage(format!(
                    "vocabulary of {name}: expected a field of tokens, found {}",
                    field.kind.shown()
                )));
            }
        }
        let mut remarks = Vec::new();
        let mut codes: Vec<Option<FieldCode>> = vec![None; fields.len()];
        for (n, field) in fields.iter().enumerate() {
            if !examples.has(&field.name) {
                return Err(Error::data(format!(
                    "field {}: training needs it, found no data for it",
                    field.name
                )));
            }
            codes[n] = match (&field.kind, examples.content(&field.name)) {
                (FieldKind::Vector, Some(RawContent::Vectors(column))) => {
                    Some(FieldCode::Width(column.width))
                }
                (
                    FieldKind::Reals | FieldKind::RealsAlong(_) | FieldKind::Bits,
                    Some(RawContent::Steps(column)),
                ) => Some(step_codes::build(field, column, &rules.steps)?),
                (FieldKind::Class | FieldKind::ClassesAlong(_), _) => {
                    let (names, told) = classes(examples, field)?;
                    remarks.extend(told);
                    Some(FieldCode::Classes(names))
                }
                _ => vocabulary(examples, field, rules)?.map(FieldCode::Vocabulary),
            };
        }
        // Shared ones, when all others are there.
        for (n, field) in fields.iter().enumerate() {
            if codes[n].is_none()
                && let Some(VocabularyRule::SharedWith(of)) = rules.of.get(&field.name)
            {
                codes[n] = codes[declare::find(fields, of, "vocabulary")?].clone();
            }
        }
        let codes = codes.into_iter().collect::<Option<Vec<_>>>();
        let codes = codes.ok_or_else(|| Error::internal("a field without a code"))?;
        let fields = fields.to_vec();
        Ok((FieldCodes { fields, codes }, remarks))
    }

    /// The declared fields.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// What a field is as numbers.
    pub fn code(&self, name: &str) -> Option<&FieldCode> {
        let place = self.fields.iter().position(|field| field.name == name)?;
        self.codes.get(place)
    }

    /// How many symbols or classes a field has; none of vectors, reals and bits.
    pub fn values(&self, name: &str) -> Option<usize> {
        match self.code(name)? {
            FieldCode::Vocabulary(vocabulary) => Some(vocabulary.len()),
            FieldCode::Classes(names) => Some(names.len()),
            FieldCode::Width(_) | FieldCode::Steps { .. } | FieldCode::Bits { .. } => None,
        }
    }

    /// The vocabulary of a field of tokens.
    pub fn vocabulary(&self, name: &str) -> Option<&Vocabulary> {
        match self.code(name)? {
            FieldCode::Vocabulary(vocabulary) => Some(vocabulary),
            _ => None,
        }
    }

    /// The names of a field's classes.
    pub fn classes(&self, name: &str) -> Option<&ClassNames> {
        match self.code(name)? {
            FieldCode::Classes(names) => Some(names),
            _ => None,
        }
    }
}

fn has_vocabulary(field: &Field) -> bool {
    matches!(field.kind, FieldKind::Tokens | FieldKind::TokensWithin(_))
}

/// The names of a field's classes, and a remark where one has a single example.
fn classes(examples: &Examples, field: &Field) -> Result<(ClassNames, Option<String>)> {
    const SHOWN: usize = 5;
    let column = examples
        .text(&field.name)
        .ok_or_else(|| Error::internal("labels without a text"))?;
    let names = ClassNames::of(column.all())
        .map_err(|e| Error::new(e.kind, format!("field {}: {}", field.name, e.message)))?;
    let index = names.index();
    let mut places = vec![(0u64, 0usize); names.len()];
    for (item, label) in column.all().enumerate() {
        if let Some(class) = index.get(label.trim()) {
            let (count, first) = &mut places[*class as usize];
            *count += 1;
            if *count == 1 {
                *first = item;
            }
        }
    }
    let single: Vec<(&str, usize)> = names
        .iter()
        .zip(&places)
        .filter(|(_, (count, _))| *count == 1)
        .map(|(name, (_, item))| (name, *item))
        .collect();
    if single.is_empty() {
        return Ok((names, None));
    }
    let shown: Vec<String> = single
        .iter()
        .take(SHOWN)
        .map(|(name, item)| format!("{name} ({})", column.place(column.row_of(*item), *item)))
        .collect();
    let more = if single.len() > SHOWN { ", .." } else { "" };
    let remark = format!(
        "field {}: {} of {} classes have one example, too few to learn and to measure: {}{more}",
        field.name,
        single.len(),
        names.len(),
        shown.join(", ")
    );
    Ok((names, Some(remark)))
}

/// The vocabulary of a field; none where it is that of another one.
fn vocabulary(
    examples: &Examples,
    field: &Field,
    rules: &VocabularyRules,
) -> Result<Option<Vocabulary>> {
    let fields = examples.fields();
    let name = &field.name;
    let recipe = match rules.of.get(name) {
        Some(VocabularyRule::SharedWith(of)) => {
            check_shared(fields, field, of, rules)?;
            return Ok(None);
        }
        Some(VocabularyRule::Given(vocabulary)) => {
            if !vocabulary.of_lines() {
                let fault =
                    format!("vocabulary of {name}: expected one of lines, found one of a stream");
                return Err(Error::usage(fault));
            }
            check_kind(fields, field, vocabulary.kind())?;
            return Ok(Some(vocabulary.clone()));
        }
        Some(VocabularyRule::Build(recipe)) => recipe.clone(),
        None => default(field, rules),
    };
    check_kind(fields, field, recipe.kind)?;
    let mut counter = Counter::new(&VocabularyRecipe {
        lines: true,
        unknown: true,
        ..recipe.clone()
    });
    let named = |e: Error| Error::new(e.kind, format!("field {name}: {}", e.message));
    let shares = |other: &&Field| matches!(rules.of.get(&other.name), Some(VocabularyRule::SharedWith(of)) if of == name);
    for field in fields
        .iter()
        .filter(|other| other.name == *name || shares(other))
    {
        check_kind(fields, field, recipe.kind)?;
        if let Some(text) = TokenText::new(examples, field) {
            text.blocks(recipe.kind, |block| counter.feed(block))
                .map_err(named)?;
            counter.end_file().map_err(named)?;
        }
    }
    let vocabulary = counter.finish().map_err(named)?;
    let marks = [
        vocabulary.unknown_id(),
        vocabulary.start_id(),
        vocabulary.end_id(),
    ];
    let own = vocabulary.len() - marks.iter().flatten().count();
    if own < 2 {
        let (unit, rule) = (vocabulary.unit(), recipe.min_count);
        let fault = Error::data(format!(
            "expected a vocabulary of at least 2 {unit}s that occur {rule} times or more (--min-count), found {own}"
        ));
        return Err(named(fault));
    }
    Ok(Some(vocabulary))
}

/// The recipe of a field without a rule.
fn default(field: &Field, rules: &VocabularyRules) -> VocabularyRecipe {
    match field.kind {
        FieldKind::TokensWithin(_) => VocabularyRecipe {
            kind: VocabKind::Char,
            ..rules.default.clone()
        },
        _ => rules.default.clone(),
    }
}

/// Refuses kinds of symbols that a field cannot have.
fn check_kind(fields: &[Field], field: &Field, kind: VocabKind) -> Result<()> {
    let (fits, expected) = match &field.kind {
        FieldKind::TokensWithin(_) => (
            kind != VocabKind::Word,
            "char, byte or bpe, as it is within words",
        ),
        _ if declare::is_of_words(fields, &field.name) => (
            kind == VocabKind::Word,
            "word, as others lie along or within its words",
        ),
        _ => (true, ""),
    };
    if fits {
        return Ok(());
    }
    Err(Error::usage(format!(
        "--vocab of field {}: expected {expected}, found {}",
        field.name,
        match kind {
            VocabKind::Char => "char",
            VocabKind::Byte => "byte",
            VocabKind::Word => "word",
            VocabKind::Piece => "sub-words",
        }
    )))
}

/// Refuses to share a vocabulary where that cannot be.
fn check_shared(fields: &[Field], field: &Field, of: &str, rules: &VocabularyRules) -> Result<()> {
    let name = &field.name;
    let fault = |why: String| {
        Err(Error::usage(format!(
            "{name} and {of} cannot share a vocabulary: {why}"
        )))
    };
    let other = &fields[declare::find(fields, of, "vocabulary")?];
    if other.name == *name {
        return fault("they are one field".to_string());
    }
    if !has_vocabulary(other) {
        return fault(format!(
            "expected tokens, found {of}: {}",
            other.kind.shown()
        ));
    }
    if let Some(VocabularyRule::SharedWith(third)) = rules.of.get(of) {
        return fault(format!("{of} has that of {third} itself; share that one"));
    }
    let kind = match rules.of.get(of) {
        Some(VocabularyRule::Given(vocabulary)) => vocabulary.kind(),
        Some(VocabularyRule::Build(recipe)) => recipe.kind,
        _ => default(other, rules).kind,
    };
    check_kind(fields, field, kind).or_else(|e| fault(e.message))
}

/// A field and its code, as a run keeps them.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredCode {
    name: String,
    kind: FieldKind,
    code: StoredFieldCode,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredFieldCode {
    Vocabulary(Vocabulary),
    /// The vocabulary of an earlier field.
    SameAs(String),
    Classes(ClassNames),
    Width(usize),
    Steps {
        width: usize,
        names: Vec<String>,
        scale: Option<Vec<ColumnScale>>,
    },
    Bits {
        first: u32,
        width: usize,
    },
}

impl From<FieldCodes> for Vec<StoredCode> {
    fn from(all: FieldCodes) -> Self {
        let mut stored: Vec<StoredCode> = Vec::new();
        for (n, (field, code)) in all.fields.iter().zip(&all.codes).enumerate() {
            let twin = all.codes[..n].iter().position(|other| other == code);
            let code = match (code, twin) {
                (FieldCode::Vocabulary(_), Some(twin)) => {
                    StoredFieldCode::SameAs(all.fields[twin].name.clone())
                }
                (FieldCode::Vocabulary(vocabulary), None) => {
                    StoredFieldCode::Vocabulary(vocabulary.clone())
                }
                (FieldCode::Classes(names), _) => StoredFieldCode::Classes(names.clone()),
                (FieldCode::Width(width), _) => StoredFieldCode::Width(*width),
                (
                    FieldCode::Steps {
                        width,
                        names,
                        scale,
                    },
                    _,
                ) => StoredFieldCode::Steps {
                    width: *width,
                    names: names.clone(),
                    scale: scale.clone(),
                },
                (FieldCode::Bits { first, width }, _) => StoredFieldCode::Bits {
                    first: *first,
                    width: *width,
                },
            };
            let Field { name, kind } = field.clone();
            stored.push(StoredCode { name, kind, code });
        }
        stored
    }
}

impl TryFrom<Vec<StoredCode>> for FieldCodes {
    type Error = Error;

    fn try_from(stored: Vec<StoredCode>) -> Result<Self> {
        let (mut fields, mut codes): (Vec<Field>, Vec<FieldCode>) = Default::default();
        for StoredCode { name, kind, code } in stored {
            let field = Field { name, kind };
            let code = match code {
                StoredFieldCode::Vocabulary(vocabulary) => FieldCode::Vocabulary(vocabulary),
                StoredFieldCode::Classes(names) => FieldCode::Classes(names),
                StoredFieldCode::Width(width) => FieldCode::Width(width),
                StoredFieldCode::Steps {
                    width,
                    names,
                    scale,
                } => FieldCode::Steps {
                    width,
                    names,
                    scale,
                },
                StoredFieldCode::Bits { first, width } => FieldCode::Bits { first, width },
                StoredFieldCode::SameAs(of) => {
                    let place = fields.iter().position(|other| other.name == of);
                    let code = place.map(|n| codes[n].clone());
                    code.ok_or_else(|| {
                        let name = &field.name;
                        Error::data(format!(
                            "field {name}: expected a field {of} before it, found none"
                        ))
                    })?
                }
            };
            let fits = match (&field.kind, &code) {
                (FieldKind::Vector, FieldCode::Width(width)) => *width > 0,
                (FieldKind::Class | FieldKind::ClassesAlong(_), FieldCode::Classes(_)) => true,
                (FieldKind::Reals | FieldKind::RealsAlong(_) | FieldKind::Bits, code) => {
                    step_codes::fits(&field.kind, code)
                }
                (_, FieldCode::Vocabulary(vocabulary)) => {
                    has_vocabulary(&field) && vocabulary.of_lines()
                }
                _ => false,
            };
            if !fits {
                return Err(Error::data(format!(
                    "field {}: expected what {} has, found something else",
                    field.name,
                    field.kind.shown()
                )));
            }
            fields.push(field);
            codes.push(code);
        }
        declare::check(&fields)?;
        for (field, code) in fields.iter().zip(&codes) {
            if let FieldCode::Vocabulary(vocabulary) = code {
                check_kind(&fields, field, vocabulary.kind())?;
            }
        }
        Ok(FieldCodes { fields, codes })
    }
}
