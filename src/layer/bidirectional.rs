//! Two recurrent layers over the same input, one in each direction of time; their outputs side by side.
//!
//! Source: Schuster and Paliwal, "Bidirectional recurrent neural networks" (1997).

use super::{Builder, Recurrent, Value, concat};
use crate::error::Result;

/// Writes a bidirectional layer called `label`: rows [T * B, 2 H], those of `forward` first; `backward` runs from the last
/// step to the first.
///
/// # Errors
/// An input that does not fit the layers.
pub fn bidirectional(
    builder: &mut Builder,
    label: &str,
    [forward, backward]: [Recurrent; 2],
    input: Value,
) -> Result<Value> {
    let parts = [
        forward.write(builder, input)?,
        backward.reversed().write(builder, input)?,
    ];
    concat(builder, &format!("both.{label}"), &parts)
}
