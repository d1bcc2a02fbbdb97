//! Printing: results to standard output, all else to standard error. A reader that went away is no error.

use std::io::{ErrorKind, Write};
use std::path::Path;

use serde_json::Value;
use wgrnn::{Error, Result};

/// Prints bytes to standard output at once. When the reader has gone, the program ends quietly.
pub fn raw(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(e) => Err(Error::io("write", Path::new("standard output"), &e)),
    }
}

/// Prints a line to standard output.
pub fn line(text: &str) -> Result<()> {
    raw(format!("{text}\n").as_bytes())
}

/// Prints a JSON value to standard output, on one line.
pub fn json(value: &Value) -> Result<()> {
    line(&value.to_string())
}

/// Prints a line to standard error; nobody may be there to read it.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
