//! Faults that tests inject in a device: what is promised of a broken device is shown on a whole one.

use std::sync::Mutex;
use std::time::Duration;

use super::device::Device;
use super::quirk;
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
    /// The adapter has no half precision.
    Wide,
    /// The adapter has no double precision.
    Single,
    /// Waits end after so many seconds instead of what the adapter is given.
    Patience(f64),
}

impl Fault {
    /// Reads `lost-after=N`, `silent`, `memory=BYTES`, `clock=SECONDS`, `wrong`, `wide`,
    /// `single` or `patience=SECONDS`.
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
    faults: Mutex<Vec<Fault>>,
    runs: Mutex<u64>,
}

impl Injected {
    fn find<T>(&self, wanted: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.faults.lock().ok()?.iter().rev().find_map(wanted)
    }
}

impl Device {
    /// Injects a fault, for a test; the newest of a kind counts.
    pub fn inject(&self, fault: Fault) {
        if let Ok(mut faults) = self.injected.faults.lock() {
            faults.push(fault);
        }
    }

    /// Counts a run of a plan.
    pub(super) fn ran(&self) {
        let last = self.injected.find(|f| match f {
            Fault::LostAfter(runs) => Some(*runs),
            _ => None,
        });
        if let (Some(last), Ok(mut runs)) = (last, self.injected.runs.lock()) {
            *runs += 1;
            if *runs == last {
                self.destroy();
            }
        }
    }

    /// A kernel's text as the device is to take it.
    pub(super) fn with_wrong_kernel(&self, text: String) -> String {
        let wrong = |f: &Fault| (*f == Fault::Wrong).then_some(());
        match self.injected.find(wrong) {
            None => text,
            Some(()) => text.replace("= tanh_safe(", "= 1.01 * tanh_safe("),
        }
    }

    /// Whether kernels can store numbers in half precision.
    pub fn halves(&self) -> bool {
        let wide = |f: &Fault| (*f == Fault::Wide).then_some(());
        self.adapter.half && self.injected.find(wide).is_none()
    }

    /// Whether kernels can compute in double precision.
    pub fn doubles(&self) -> bool {
        let single = |f: &Fault| (*f == Fault::Single).then_some(());
        self.adapter.double && self.injected.find(single).is_none()
    }

    /// Whether what is read back comes.
    pub(super) fn answers(&self) -> bool {
        let silent = |f: &Fault| (*f == Fault::Silent).then_some(());
        self.injected.find(silent).is_none()
    }

    /// The bytes that slots may take, where that was limited.
    pub(super) fn allowance(&self) -> Option<u64> {
        self.injected.find(|f| match f {
            Fault::Memory(bytes) => Some(*bytes),
            _ => None,
        })
    }

    /// The seconds that each dispatch is to seem to take.
    pub(super) fn clock(&self) -> Option<f64> {
        self.injected.find(|f| match f {
            Fault::Clock(seconds) => Some(*seconds),
            _ => None,
        })
    }

    /// How long a wait may take.
    pub(super) fn patience(&self) -> Duration {
        let injected = self.injected.find(|f| match f {
            Fault::Patience(seconds) => Some(*seconds),
            _ => None,
        });
        let seconds = injected.unwrap_or_else(|| quirk::patience(&self.adapter));
        Duration::from_secs_f64(seconds.min(1e6))
    }
}
