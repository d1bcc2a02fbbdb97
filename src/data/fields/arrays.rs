//! Vectors, and labels as integers, from the arrays of a `.safetensors` file.

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::columns::{ColumnChoice, ColumnName};
use super::declare::{Field, FieldKind};
use super::examples::{RawContent, TextColumn, VectorColumn};
use crate::error::{Error, Result};

/// Reads the array of a field: the one that `choice` names, or that has the field's name, or `x` for a vector and `labels` for
/// a class, or the only one there is. A vector's array is `[N, ..]` in C order, what is behind N flattened, values as they
/// are; a class's `[N]` of integers.
///
/// # Errors
/// `Kind::Data` for bytes that are no such file, no fitting array, another shape or type, and numbers that are not finite,
/// naming row and column; `Kind::Usage` for a choice by number.
pub(super) fn read(
    bytes: &[u8],
    name: &str,
    field: &Field,
    choice: &ColumnChoice,
) -> Result<RawContent> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|e| Error::data(format!("expected a safetensors file: {e}")))?;
    let (array, view) = array(&file, field, choice)?;
    let named = |e: Error| Error::new(e.kind, format!("array {array}: {}", e.message));
    match field.kind {
        FieldKind::Vector => {
            if array == "x" && file.names().contains(&"lengths") {
                return Err(named(Error::data(
                    "expected a vector a sequence, found sequences of vectors, whose lengths are beside it",
                )));
            }
            vectors(&view, name).map(RawContent::Vectors).map_err(named)
        }
        FieldKind::Class => labels(&view, name).map(RawContent::Text).map_err(named),
        _ => Err(Error::data(format!(
            "expected a field that is a vector or a class, found {}: {}, which arrays do not have",
            field.name,
            field.kind.shown()
        ))),
    }
}

fn array<'a>(
    file: &SafeTensors<'a>,
    field: &Field,
    choice: &ColumnChoice,
) -> Result<(String, TensorView<'a>)> {
    let mut all = file.tensors();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let shown: Vec<String> = all
        .iter()
        .map(|(name, view)| format!("{name} {:?}", view.shape()))
        .collect();
    let usual = if field.kind == FieldKind::Class {
        "labels"
    } else {
        "x"
    };
    let of = |wanted: &str| all.iter().position(|(name, _)| name == wanted);
    let (place, expected) = match choice.of(&field.name) {
        Some(ColumnName::Name(name)) => (of(name), format!("an array {name}")),
        Some(ColumnName::Numbers(_)) => {
            return Err(Error::usage(format!(
                "--columns: {}: expected the name of an array, found a number",
                field.name
            )));
        }
        None => {
            let only = Some(0).filter(|_| all.len() == 1);
            let place = of(&field.name).or(of(usual)).or(only);
            (place, format!("an array {} or {usual}", field.name))
        }
    };
    let place = place.ok_or_else(|| {
        Error::data(format!(
            "expected {expected}, found {}; --columns {}=ARRAY says which one it is",
            if shown.is_empty() {
                "none".to_string()
            } else {
                shown.join(", ")
            },
            field.name
        ))
    })?;
    Ok(all.swap_remove(place))
}

fn vectors(view: &TensorView<'_>, name: &str) -> Result<VectorColumn> {
    let shape = view.shape();
    let width: usize = shape.iter().skip(1).product();
    if shape.len() < 2 || width == 0 {
        return Err(Error::data(format!(
            "expected a shape [N, D], found {shape:?}"
        )));
    }
    let values = values(view)?;
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        return Err(Error::data(format!(
            "row {}, column {}: expected a finite number, found {}",
            at / width,
            at % width,
            values[at]
        )));
    }
    let mut column = VectorColumn::new(name);
    column.lines = vec![0; values.len() / width];
    (column.values, column.width) = (values.into(), width);
    Ok(column)
}

/// The numbers of an array, as f32.
fn values(view: &TensorView<'_>) -> Result<Vec<f32>> {
    fn all<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32) -> Vec<f32> {
        let (numbers, _) = bytes.as_chunks::<N>();
        numbers.iter().map(|bytes| number(*bytes)).collect()
    }
    let bytes = view.data();
    Ok(match view.dtype() {
        Dtype::F64 => all(bytes, |b| f64::from_le_bytes(b) as f32),
        Dtype::F32 => all(bytes, f32::from_le_bytes),
        Dtype::F16 => all(bytes, |b| f16::from_le_bytes(b).to_f32()),
        Dtype::BF16 => all(bytes, |b| bf16::from_le_bytes(b).to_f32()),
        Dtype::U8 | Dtype::BOOL => all(bytes, |b| f32::from(u8::from_le_bytes(b))),
        Dtype::I8 => all(bytes, |b| f32::from(i8::from_le_bytes(b))),
        Dtype::U16 => all(bytes, |b| f32::from(u16::from_le_bytes(b))),
        Dtype::I16 => all(bytes, |b| f32::from(i16::from_le_bytes(b))),
        Dtype::U32 => all(bytes, |b| u32::from_le_bytes(b) as f32),
        Dtype::I32 => all(bytes, |b| i32::from_le_bytes(b) as f32),
        Dtype::U64 => all(bytes, |b| u64::from_le_bytes(b) as f32),
        Dtype::I64 => all(bytes, |b| i64::from_le_bytes(b) as f32),
        other => {
            return Err(Error::data(format!(
                "expected numbers of 64, 32, 16 or 8 bits, found {other:?}"
            )));
        }
    })
}

/// Labels that are integers: their decimal numbers are the names.
fn labels(view: &TensorView<'_>, name: &str) -> Result<TextColumn> {
    fn all<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> i128) -> Vec<i128> {
        let (numbers, _) = bytes.as_chunks::<N>();
        numbers.iter().map(|bytes| number(*bytes)).collect()
    }
    let shape = view.shape();
    let bytes = view.data();
    let numbers = match view.dtype() {
        Dtype::U8 | Dtype::BOOL => all(bytes, |b| u8::from_le_bytes(b).into()),
        Dtype::I8 => all(bytes, |b| i8::from_le_bytes(b).into()),
        Dtype::U16 => all(bytes, |b| u16::from_le_bytes(b).into()),
        Dtype::I16 => all(bytes, |b| i16::from_le_bytes(b).into()),
        Dtype::U32 => all(bytes, |b| u32::from_le_bytes(b).into()),
        Dtype::I32 => all(bytes, |b| i32::from_le_bytes(b).into()),
        Dtype::U64 => all(bytes, |b| u64::from_le_bytes(b).into()),
        Dtype::I64 => all(bytes, |b| i64::from_le_bytes(b).into()),
        other => {
            return Err(Error::data(format!(
                "expected labels as integers, found {other:?}"
            )));
        }
    };
    if shape.len() != 1 {
        return Err(Error::data(format!(
            "expected a shape [N], found {shape:?}"
        )));
    }
    let mut column = TextColumn::new(name);
    for number in numbers {
        column.push(&number.to_string(), 0);
        column.end_row();
    }
    Ok(column)
}
