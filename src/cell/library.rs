//! The cells that the program brings, and where a cell's name leads.

use std::path::Path;

use super::Cell;
use crate::error::{Result, unknown};

macro_rules! cells {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../assets/cells/", $name, ".cell")))),+]
    };
}

/// Name and text of every built-in cell.
pub const CELLS: &[(&str, &str)] = cells![
    "rnn",
    "rnn-relu",
    "rnn-linear",
    "elman",
    "rnn-leaky",
    "rnn-ln",
    "lstm",
    "lstm-idea",
    "lstm-97",
    "lstm-peephole",
    "lstm-nig",
    "lstm-nfg",
    "lstm-nog",
    "lstm-niaf",
    "lstm-noaf",
    "lstm-np",
    "lstm-cifg",
    "lstm-fgr",
    "lstm-ln",
    "slstm",
    "gru",
    "gru-cho",
    "gru-ln",
    "mut1",
    "mut2",
    "mut3",
    "highway",
];

/// Name and text of every built-in cell that looks at a memory.
pub const ATTENDING: &[(&str, &str)] = cells![
    "gru-attend",
    "lstm-attend",
    "lstm-attend-gated",
    "lstm-window",
];

/// The names of the built-in cells that any layer takes: those without a memory.
pub fn names() -> impl Iterator<Item = &'static str> {
    CELLS.iter().map(|c| c.0)
}

/// The names of all built-in cells.
pub fn all_names() -> impl Iterator<Item = &'static str> {
    CELLS.iter().chain(ATTENDING).map(|c| c.0)
}

/// The built-in cell `name`.
///
/// # Errors
/// Usage, with the nearest name, when there is none.
pub fn builtin(name: &str) -> Result<Cell> {
    let mut all = CELLS.iter().chain(ATTENDING);
    if let Some((name, text)) = all.find(|c| c.0 == name) {
        return Cell::parse(name, text);
    }
    Err(unknown(
        "cell",
        name,
        all_names(),
        ", or a file that ends in .cell",
    ))
}

/// The name that a cell file gives to its cell: the file's name without the ending.
pub fn name_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}
