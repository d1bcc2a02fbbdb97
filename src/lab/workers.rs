//! Pieces of work side by side, as many as there are cores.
//!
//! On an adapter they share one device. Every piece has its plans, buffers and readbacks to itself, and what is shared is
//! kernels by their text and the queue, which takes submissions in any order: where others' lie between them changes no bit.
//! Networks of an experiment are small and their steps short: while one thread prepares a step, the device has those of others.

use std::sync::{Mutex, PoisonError};

use rayon::ThreadPoolBuilder;

use crate::error::{Error, Result};

/// Calls `work` on a thread of every core until it says that nothing is left. Within it the engine has one thread: pieces are small,
/// and more threads would only wait for each other.
///
/// # Errors
/// The first error of a piece, after those in hand.
pub fn side_by_side(work: impl Fn() -> Result<bool> + Sync) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let failed: Mutex<Option<Error>> = Mutex::new(None);
    let alone = || -> Result<()> {
        let pool = ThreadPoolBuilder::new().num_threads(1).build();
        let pool = pool.map_err(|e| Error::internal(format!("no thread: {e}")))?;
        while pool.install(&work)? {
            let failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
            if failed.is_some() {
                break;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                if let Err(e) = alone() {
                    let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                    failed.get_or_insert(e);
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(e) => Err(e),
        None => Ok(()),
    }
}
