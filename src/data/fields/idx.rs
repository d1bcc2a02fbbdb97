//! The IDX format, in which MNIST comes: a type, the sizes of the dimensions, and the numbers, all with the most
//! significant byte first (LeCun, Cortes, Burges: The MNIST database of handwritten digits).

use super::numbers::{NumberForm, NumberType};
use crate::error::{Error, Result};

/// What stands before the numbers: their form, the shape, and where they begin.
///
/// # Errors
/// `Kind::Data` for what is no such file.
pub(super) fn header(bytes: &[u8]) -> Result<(NumberForm, Vec<usize>, usize)> {
    let [0, 0, kind, dimensions, ..] = bytes else {
        return Err(Error::data(format!(
            "expected an IDX file, which begins with two zeros, a type and a number of dimensions, found {:?}",
            &bytes[..bytes.len().min(4)]
        )));
    };
    let form = NumberForm {
        kind: match kind {
            8 => NumberType::U8,
            9 => NumberType::I8,
            11 => NumberType::I16,
            12 => NumberType::I32,
            13 => NumberType::F32,
            14 => NumberType::F64,
            other => {
                return Err(Error::data(format!(
                    "expected a type of IDX (8, 9, 11, 12, 13 or 14), found {other}"
                )));
            }
        },
        big: true,
    };
    let len = 4 + 4 * usize::from(*dimensions);
    let sizes = bytes.get(4..len).ok_or_else(|| {
        Error::data(format!(
            "expected the sizes of {dimensions} dimensions, found the end of the file"
        ))
    })?;
    let (sizes, _) = sizes.as_chunks::<4>();
    let shape = sizes.iter().map(|size| u32::from_be_bytes(*size) as usize);
    Ok((form, shape.collect(), len))
}

/// The most that stands before the numbers.
pub(super) const MOST_BEFORE: usize = 4 + 4 * 255;

/// Whether a file is called as MNIST's are, such as `train-images-idx3-ubyte`.
pub(super) fn is_name(name: &str) -> bool {
    const TYPES: [&str; 6] = ["ubyte", "byte", "short", "int", "float", "double"];
    let Some((before, kind)) = name.rsplit_once('-') else {
        return false;
    };
    let digits = before.trim_end_matches(|c: char| c.is_ascii_digit());
    TYPES.contains(&kind) && digits.len() < before.len() && digits.ends_with("idx")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_says_type_and_sizes() {
        let (form, shape, len) = header(&[0, 0, 8, 2, 0, 0, 1, 0, 0, 0, 0, 3, 77]).unwrap();
        assert_eq!((form.kind, shape, len), (NumberType::U8, vec![256, 3], 12));
        for (bytes, part) in [
            (&[][..], "begins with two zeros"),
            (&[0, 1, 8, 1, 0, 0, 0, 0], "begins with two zeros"),
            (&[0, 0, 7, 1, 0, 0, 0, 0], "found 7"),
            (&[0, 0, 8, 2, 0, 0, 0, 0], "the sizes of 2 dimensions"),
        ] {
            let e = header(bytes).unwrap_err();
            assert!(e.message.contains(part), "{e}");
        }
        for (name, want) in [
            ("train-images-idx3-ubyte", true),
            ("mnist.test-labels.idx1-ubyte", true),
            ("train-idx-ubyte", false),
            ("train-idx3-text", false),
            ("a.tsv", false),
        ] {
            assert_eq!(is_name(name), want, "{name}");
        }
    }
}
