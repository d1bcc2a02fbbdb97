//! Work on all cores, one piece on each at a time.

use std::sync::{Mutex, PoisonError};

use rayon::ThreadPoolBuilder;

use crate::error::{Error, Result};

/// Calls `work` on every core until it says that nothing is left. Within it the engine has one thread: pieces are small, and
/// more threads would only wait for each other.
///
/// # Errors
/// The first error of a piece, after those in hand.
pub fn on_all_cores(work: impl Fn() -> Result<bool> + Sync) -> Result<()> {
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
