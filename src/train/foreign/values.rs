//! The elements of a foreign tensor as f32.

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::shown;
use crate::error::{Error, Result};

/// Whether a tensor counts something or says yes or no: no weight.
pub(super) fn is_integer(dtype: Dtype) -> bool {
    use Dtype::{BOOL, I8, I16, I32, I64, U8, U16, U32, U64};
    matches!(dtype, BOOL | I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64)
}

/// The elements of the tensor `name`, in row-major order, and whether some had to be rounded.
///
/// # Errors
/// Checkpoint: elements of another type than F64, F32, F16 or BF16, or beyond f32.
pub(super) fn floats(name: &str, view: &TensorView<'_>) -> Result<(Vec<f32>, bool)> {
    let bytes = view.data();
    let exact = match view.dtype() {
        Dtype::F32 => {
            let (words, _) = bytes.as_chunks();
            words.iter().map(|w| f32::from_le_bytes(*w)).collect()
        }
        Dtype::F16 => {
            let (words, _) = bytes.as_chunks();
            words
                .iter()
                .map(|w| f16::from_le_bytes(*w).to_f32())
                .collect()
        }
        Dtype::BF16 => {
            let (words, _) = bytes.as_chunks();
            words
                .iter()
                .map(|w| bf16::from_le_bytes(*w).to_f32())
                .collect()
        }
        Dtype::F64 => return rounded(name, bytes),
        other => {
            return Err(Error::checkpoint(format!(
                "{}: expected F64, F32, F16 or BF16, found {other}",
                shown(name)
            )));
        }
    };
    Ok((exact, false))
}

/// f64 rounded to f32.
fn rounded(name: &str, bytes: &[u8]) -> Result<(Vec<f32>, bool)> {
    let (words, _) = bytes.as_chunks();
    let wide: Vec<f64> = words.iter().map(|w| f64::from_le_bytes(*w)).collect();
    let beyond = |x: &f64| x.is_finite() && !(*x as f32).is_finite();
    if let Some(at) = wide.iter().position(beyond) {
        return Err(Error::checkpoint(format!(
            "{}: element {at} is {:e}, expected a number that f32 can hold",
            shown(name),
            wide[at]
        )));
    }
    let narrow: Vec<f32> = wide.iter().map(|x| *x as f32).collect();
    let inexact = wide
        .iter()
        .zip(&narrow)
        .any(|(x, y)| f64::from(*y) != *x && x.is_finite());
    Ok((narrow, inexact))
}
