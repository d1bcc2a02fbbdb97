//! How numbers lie in a file: their type and the order of their bytes.

use half::{bf16, f16};

/// The type of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberType {
    F64,
    F32,
    F16,
    Bf16,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    /// A byte that is 0 or 1.
    Bool,
}

/// How numbers lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NumberForm {
    pub kind: NumberType,
    /// Whether the first byte is the most significant.
    pub big: bool,
}

/// Calls `take` with the bytes of every number, the least significant first.
fn all<const N: usize>(bytes: &[u8], big: bool, mut take: impl FnMut([u8; N])) {
    let (numbers, _) = bytes.as_chunks::<N>();
    for number in numbers {
        let mut number = *number;
        if big {
            number.reverse();
        }
        take(number);
    }
}

impl NumberForm {
    /// Numbers of this program.
    pub fn native(kind: NumberType) -> Self {
        NumberForm {
            kind,
            big: cfg!(target_endian = "big"),
        }
    }

    /// Bytes of a number.
    pub fn size(self) -> usize {
        match self.kind {
            NumberType::F64 | NumberType::I64 | NumberType::U64 => 8,
            NumberType::F32 | NumberType::I32 | NumberType::U32 => 4,
            NumberType::F16 | NumberType::Bf16 | NumberType::I16 | NumberType::U16 => 2,
            NumberType::I8 | NumberType::U8 | NumberType::Bool => 1,
        }
    }

    /// Whether it has NaN and infinities.
    pub fn is_float(self) -> bool {
        matches!(
            self.kind,
            NumberType::F64 | NumberType::F32 | NumberType::F16 | NumberType::Bf16
        )
    }

    /// Calls `take` with every number that `bytes` hold.
    pub fn each(self, bytes: &[u8], mut take: impl FnMut(f64)) {
        let big = self.big;
        match self.kind {
            NumberType::F64 => all(bytes, big, |b| take(f64::from_le_bytes(b))),
            NumberType::F32 => all(bytes, big, |b| take(f32::from_le_bytes(b).into())),
            NumberType::F16 => all(bytes, big, |b| take(f16::from_le_bytes(b).to_f64())),
            NumberType::Bf16 => all(bytes, big, |b| take(bf16::from_le_bytes(b).to_f64())),
            NumberType::I8 => all(bytes, big, |b| take(i8::from_le_bytes(b).into())),
            NumberType::I16 => all(bytes, big, |b| take(i16::from_le_bytes(b).into())),
            NumberType::I32 => all(bytes, big, |b| take(i32::from_le_bytes(b).into())),
            NumberType::I64 => all(bytes, big, |b| take(i64::from_le_bytes(b) as f64)),
            NumberType::U8 | NumberType::Bool => {
                all(bytes, big, |b| take(u8::from_le_bytes(b).into()));
            }
            NumberType::U16 => all(bytes, big, |b| take(u16::from_le_bytes(b).into())),
            NumberType::U32 => all(bytes, big, |b| take(u32::from_le_bytes(b).into())),
            NumberType::U64 => all(bytes, big, |b| take(u64::from_le_bytes(b) as f64)),
        }
    }

    /// The integers that `bytes` hold; none of floating point.
    pub fn integers(self, bytes: &[u8]) -> Option<Vec<i128>> {
        let mut found = Vec::new();
        let (big, found_mut) = (self.big, &mut found);
        match self.kind {
            NumberType::I8 => all(bytes, big, |b| found_mut.push(i8::from_le_bytes(b).into())),
            NumberType::I16 => all(bytes, big, |b| found_mut.push(i16::from_le_bytes(b).into())),
            NumberType::I32 => all(bytes, big, |b| found_mut.push(i32::from_le_bytes(b).into())),
            NumberType::I64 => all(bytes, big, |b| found_mut.push(i64::from_le_bytes(b).into())),
            NumberType::U8 | NumberType::Bool => {
                all(bytes, big, |b| found_mut.push(u8::from_le_bytes(b).into()));
            }
            NumberType::U16 => all(bytes, big, |b| found_mut.push(u16::from_le_bytes(b).into())),
            NumberType::U32 => all(bytes, big, |b| found_mut.push(u32::from_le_bytes(b).into())),
            NumberType::U64 => all(bytes, big, |b| found_mut.push(u64::from_le_bytes(b).into())),
            NumberType::F64 | NumberType::F32 | NumberType::F16 | NumberType::Bf16 => return None,
        }
        Some(found)
    }
}
