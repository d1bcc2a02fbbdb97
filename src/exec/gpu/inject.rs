//! Fault injection, for tests: what is promised of a broken device is shown on a whole one.

use super::device::GpuDevice;
use super::fault::Fault;

impl GpuDevice {
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
    pub(super) fn with_faults(&self, mut text: String) -> String {
        let has = |fault: Fault| self.injected.find(|f| (*f == fault).then_some(()));
        if has(Fault::Wrong).is_some() {
            text = text.replace("= tanh_safe(", "= 1.01 * tanh_safe(");
        }
        if has(Fault::Absent).is_some() {
            let first = "var done = select(0u, step.w, number == 1u)";
            text = text.replace("var done = 0u", first);
        }
        text
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
}
