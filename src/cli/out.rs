//! Printing: results to standard output, all else to standard error. A reader that went away is no error.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

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

/// Whether remarks are left out.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Leaves remarks out from here on, where `quiet`.
pub fn quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Prints what is good to know and asks for nothing to standard error, unless remarks are left out; a warning never is.
pub fn remark(text: &str) {
    if !QUIET.load(Ordering::Relaxed) {
        note(text);
    }
}

/// How long something may take without a word.
const PATIENCE: Duration = Duration::from_secs(1);

/// Prints `text` to standard error, once, unless what is returned is dropped within a second.
pub fn when_slow(text: String) -> Sender<()> {
    after(PATIENCE, move || note(&text))
}

/// Calls `say` unless what is returned is dropped within `patience`.
fn after(patience: Duration, say: impl FnOnce() + Send + 'static) -> Sender<()> {
    let (done, dropped) = channel();
    std::thread::spawn(move || {
        if dropped.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            say();
        }
    });
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_slow_is_told() {
        let (said, heard) = channel();
        let say = |what: &'static str| {
            let said = said.clone();
            move || {
                let _ = said.send(what);
            }
        };
        drop(after(Duration::from_secs(60), say("quick")));
        let slow = after(Duration::from_millis(1), say("slow"));
        drop(said);
        assert_eq!(heard.recv(), Ok("slow"));
        drop(slow);
        assert!(heard.recv().is_err(), "told of what was quick");
    }
}
