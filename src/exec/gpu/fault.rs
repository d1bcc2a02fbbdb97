//! Faults that can be injected in a device, and which ones were.

use std::sync::Mutex;

use crate::{Error, Result};

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// The device is gone after so many runs of plans.
    LostAfter(u64),
    /// Nothing that is read back ever comes.
    Silent,
    /// All plans' slots together may take so many bytes.
    Memory(u64),
    /// Every dispatch seems to take so many seconds.
    Clock(f64),
    /// Every kernel's hyperbolic tangents are a hundredth too large.
    Wrong,
    /// Of every kernel that spans workgroups the second one does nothing.
    Absent,
    /// The adapter has no half precision.
    Wide,
    /// The adapter has no double precision.
    Single,
    /// Waits end after so many seconds instead of what the adapter is given.
    Patience(f64),
}

impl Fault {
    /// Reads `lost-after=N`, `silent`, `memory=BYTES`, `clock=SECONDS`, `wrong`, `absent`,
    /// `wide`, `single` or `patience=SECONDS`.
    ///
    /// # Errors
    /// Usage, for anything else.
    pub fn parse(text: &str) -> Result<Fault> {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let whole = value.parse::<u64>().ok();
        let seconds = value.parse::<f64>().ok().filter(|s| *s >= 0.0);
        let fault = match name {
            "lost-after" => whole.map(Fault::LostAfter),
            "silent" => Some(Fault::Silent),
            "wrong" => Some(Fault::Wrong),
            "absent" => Some(Fault::Absent),
            "wide" => Some(Fault::Wide),
            "single" => Some(Fault::Single),
            "memory" => whole.map(Fault::Memory),
            "clock" => seconds.map(Fault::Clock),
            "patience" => seconds.map(Fault::Patience),
            _ => None,
        };
        fault.ok_or_else(|| Error::usage(format!("`{text}` is no fault that can be injected")))
    }
}

/// What was injected, and what has happened since.
#[derive(Default)]
pub(super) struct Injected {
    pub faults: Mutex<Vec<Fault>>,
    pub runs: Mutex<u64>,
}

impl Injected {
    /// What the newest fault that is wanted says.
    pub fn find<T>(&self, wanted: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.faults.lock().ok()?.iter().rev().find_map(wanted)
    }

    /// The seconds that a wait may take.
    pub fn patience(&self) -> Option<f64> {
        self.find(|f| match f {
            Fault::Patience(seconds) => Some(*seconds),
            _ => None,
        })
    }
}
