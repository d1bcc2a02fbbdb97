//! Faults on demand: the n-th change of a file fails, or the process does nothing more from there on, as if killed.

use std::cell::RefCell;
use std::io;
use std::path::{Path, PathBuf};

use super::Step;

/// What happens at the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// This one change fails; later ones work.
    Fail(io::ErrorKind),
    /// This one and all later ones are not made.
    Stop,
}

#[derive(Default)]
struct FaultPlan {
    at: Option<(usize, How)>,
    log: Vec<(Step, PathBuf)>,
}

thread_local! {
    static PLAN: RefCell<Option<FaultPlan>> = const { RefCell::new(None) };
}

/// Does `work` with a fault at its `at`-th change of a file, counted from 0, or with none; gives what was done or tried.
pub fn during<T>(at: Option<(usize, How)>, work: impl FnOnce() -> T) -> (T, Vec<(Step, PathBuf)>) {
    PLAN.set(Some(FaultPlan {
        at,
        log: Vec::new(),
    }));
    let done = work();
    (done, PLAN.take().unwrap_or_default().log)
}

pub(super) fn about(step: Step, path: &Path) -> io::Result<()> {
    PLAN.with_borrow_mut(|plan| {
        let Some(plan) = plan else { return Ok(()) };
        let here = plan.log.len();
        plan.log.push((step, path.to_path_buf()));
        match plan.at {
            Some((at, How::Fail(kind))) if here == at => Err(kind.into()),
            Some((at, How::Stop)) if here >= at => Err(io::Error::other("stopped")),
            _ => Ok(()),
        }
    })
}
