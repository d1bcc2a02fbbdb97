//! Ctrl-C: the first one ends what is in hand well, the second one ends the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wgrnn::{Error, Kind, Result};

use super::out;

/// Set by the first Ctrl-C, after which the program ends behind `last`; the second one ends it at once.
pub fn stop_on_interrupt(last: &'static str) -> Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(Kind::Interrupted.exit_code().into());
        }
        out::note(&format!("stopping after {last}; once more leaves at once"));
    })
    .map_err(|e| Error::internal(format!("cannot listen to Ctrl-C: {e}")))?;
    Ok(stop)
}
