//! The losses and penalties that the program brings.

use super::RowProgram;
use crate::error::{Result, unknown};

macro_rules! losses {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../assets/losses/", $name, ".loss")))),+]
    };
}

/// Name and text of every built-in loss.
pub const LOSSES: &[(&str, &str)] = losses![
    "squared",
    "absolute",
    "bernoulli",
    "gaussian",
    "mixture",
    "quantile",
    "handwriting",
    "kl",
    "reinforce",
    "policy",
    "activation",
    "temporal",
    "norm",
];

/// The names of the built-in losses.
pub fn names() -> impl Iterator<Item = &'static str> {
    LOSSES.iter().map(|l| l.0)
}

/// The built-in loss `name`.
///
/// # Errors
/// Usage, with the nearest name, when there is none.
pub fn builtin(name: &str) -> Result<RowProgram> {
    if let Some((name, text)) = LOSSES.iter().find(|l| l.0 == name) {
        return RowProgram::parse(name, text);
    }
    Err(unknown("loss", name, names(), ""))
}
