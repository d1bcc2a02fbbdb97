//! Sizes and examples for a model without data.

use serde_json::{Map, Value, json};
use wgrnn::Result;
use wgrnn::data::fields::{
    Examples, FieldCodes, FieldFile, FileFormat, ReadRules, VocabularyRules, read,
};
use wgrnn::data::vocab::{VocabKind, VocabularyRecipe};
use wgrnn::model::text::{FieldSize, Model, ModelFieldKind, Sizes};
use wgrnn::rng::{Purpose, Stream};
use wgrnn::train::examples::fields;

/// Symbols of a field of tokens, among them the two marks of its ends.
pub const SYMBOLS: usize = 7;
/// Classes of a field.
pub const CLASSES: usize = 3;
/// The width of a vector.
pub const WIDTH: usize = 9;
/// The width of a step of numbers: that of a pen's.
pub const STEP: usize = 3;

/// How many values the fields of a model have.
#[derive(Clone, Copy)]
pub struct FieldValues {
    /// Symbols of a field of tokens, the marks of its ends among them.
    pub symbols: usize,
    /// Classes.
    pub classes: usize,
    /// The width of a vector.
    pub width: usize,
    /// That of a step of numbers.
    pub step: usize,
}

/// The sizes of `examples` examples of at most `steps` steps, of `rows` rows in all. Sequences within others are a step
/// shorter and twice as many rows.
pub fn sizes(model: &Model, examples: usize, steps: usize, rows: usize) -> Sizes {
    let values = FieldValues {
        symbols: SYMBOLS,
        classes: CLASSES,
        width: WIDTH,
        step: STEP,
    };
    sizes_of(model, values, examples, steps, rows)
}

/// The same for fields of so many values.
pub fn sizes_of(
    model: &Model,
    values: FieldValues,
    examples: usize,
    steps: usize,
    rows: usize,
) -> Sizes {
    let size = |kind: ModelFieldKind| match kind {
        ModelFieldKind::Tokens { within, .. } => FieldSize::Tokens {
            symbols: values.symbols,
            marks: [values.symbols as u32 - 2, values.symbols as u32 - 1],
            steps: (steps - usize::from(within.is_some())).max(1),
            rows: if within.is_some() { 2 * rows } else { rows },
        },
        ModelFieldKind::Class | ModelFieldKind::Classes { .. } => {
            FieldSize::Classes(values.classes)
        }
        ModelFieldKind::Vector => FieldSize::Vector(values.width),
        ModelFieldKind::RealsAlong { .. } => FieldSize::Vector(values.step),
        ModelFieldKind::Reals { .. } => FieldSize::Reals {
            width: values.step,
            steps,
            rows,
        },
    };
    Sizes {
        examples,
        fields: model.fields().iter().map(|f| size(f.kind)).collect(),
    }
}

/// Sizes in words, as far as the model's fields have them.
pub fn shown(model: &Model, sizes: &Sizes) -> String {
    let mut all = vec![format!("{} examples", sizes.examples)];
    for (field, size) in model.fields().iter().zip(&sizes.fields) {
        let name = &field.name;
        all.push(match size {
            FieldSize::Tokens {
                symbols,
                steps,
                rows,
                ..
            } => format!("{name} of {symbols} symbols, at most {steps} steps and {rows} rows"),
            FieldSize::Classes(classes) => format!("{name} of {classes} classes"),
            FieldSize::Vector(width) => format!("{name} {width} wide"),
            FieldSize::Reals { width, steps, rows } => {
                format!("{name} {width} wide, at most {steps} steps and {rows} rows")
            }
        });
    }
    all.join("; ")
}

/// The words of made-up sequences: a pair for each class.
const WORDS: [&str; 2 * CLASSES] = ["a", "be", "cab", "d", "ed", "fad"];
/// The names of classes.
const NAMES: [&str; CLASSES] = ["x", "y", "z"];
/// A word follows from its class with this probability, else it is any.
const RULE: f32 = 0.9;

/// So many examples in which everything can be guessed from everything else: an example is of one of three kinds, its class;
/// its words are the two of that kind in turn, with slips, and each word has its tag; the vector is long where the kind says, and
/// that of a step where the word does.
///
/// # Errors
/// Those of reading the examples, which are written as a file would have them.
pub fn examples(model: &Model, horizon: usize, count: usize) -> Result<(Examples, FieldCodes)> {
    let mut stream = Stream::new(7, Purpose::Check, 0);
    let lines: Vec<String> = (0..count)
        .map(|_| example(model, horizon, &mut stream).to_string())
        .collect();
    let stdin = FieldFile {
        field: None,
        path: "-".into(),
    };
    let rules = ReadRules {
        format: Some(FileFormat::parse("jsonl")?),
        ..ReadRules::default()
    };
    let text = lines.join("\n");
    let fields = fields(model);
    let folder = std::env::temp_dir();
    let examples = read(&fields, &[stdin], &rules, &folder, &mut text.as_bytes())?;
    let vocabularies = VocabularyRules {
        default: VocabularyRecipe {
            kind: VocabKind::Word,
            ..VocabularyRecipe::default()
        },
        ..VocabularyRules::default()
    };
    let (codes, _) = FieldCodes::build(&examples, &vocabularies)?;
    Ok((examples, codes))
}

/// One of them, as a line of JSON.
fn example(model: &Model, horizon: usize, stream: &mut Stream) -> Value {
    let mut below = |n: usize| ((stream.uniform() * n as f32) as usize).min(n - 1);
    let class = below(CLASSES);
    let declared = model.fields();
    let length = 3 + below(5);
    let mut words = vec![Vec::new(); declared.len()];
    for (number, (field, words)) in declared.iter().zip(&mut words).enumerate() {
        let within = matches!(
            field.kind,
            ModelFieldKind::Tokens {
                within: Some(_),
                ..
            }
        );
        if field.kind.has_steps() && !within {
            for n in 0..length + model.ahead(number, horizon) {
                let follows = below(1000) < (1000.0 * RULE) as usize;
                let any = below(WORDS.len());
                words.push(if follows { 2 * class + n % 2 } else { any });
            }
        }
    }
    let mut members = Map::new();
    for (n, field) in declared.iter().enumerate() {
        let value = match field.kind {
            ModelFieldKind::Tokens { within: None, .. } => {
                let text = words[n].iter().map(|word| WORDS[*word]);
                json!(text.collect::<Vec<&str>>().join(" "))
            }
            // Read from the words.
            ModelFieldKind::Tokens { .. } => continue,
            ModelFieldKind::Class => json!(NAMES[class]),
            ModelFieldKind::Classes { along } => {
                let tags = words[along].iter().map(|word| NAMES[word % CLASSES]);
                json!(tags.collect::<Vec<&str>>())
            }
            ModelFieldKind::Reals { bits: true, .. } => {
                let notes = words[n].iter().map(|word| [word % (STEP - 1), STEP - 1]);
                json!(notes.collect::<Vec<[usize; 2]>>())
            }
            ModelFieldKind::Reals { bits: false, .. } => {
                let mut noise = || 0.1 * (below(1000) as f64 / 1000.0 - 0.5);
                let mut step = |word: &usize| -> Vec<f64> {
                    let of = |place: usize| f64::from(u8::from(place == word % STEP));
                    (0..STEP).map(|place| of(place) + noise()).collect()
                };
                json!(words[n].iter().map(&mut step).collect::<Vec<_>>())
            }
            ModelFieldKind::RealsAlong { along, .. } => {
                let mut noise = || 0.1 * (below(1000) as f64 / 1000.0 - 0.5);
                let mut step = |word: &usize| -> Vec<f64> {
                    let of = |place: usize| f64::from(u8::from(place == word % CLASSES));
                    (0..STEP).map(|place| of(place) + noise()).collect()
                };
                json!(words[along].iter().map(&mut step).collect::<Vec<_>>())
            }
            ModelFieldKind::Vector => {
                // From 0 to 1, as an image has them: beyond, the likelihood of bits has no bound.
                let of = |place: usize| if place == class { 1.0 } else { 0.0 };
                let mut near = |place: usize| (of(place) - below(1000) as f64 / 1e4).abs();
                json!((0..WIDTH).map(&mut near).collect::<Vec<f64>>())
            }
        };
        members.insert(field.name.clone(), value);
    }
    Value::Object(members)
}
