//! What the flag of kernels that span workgroups says, and what a report does of a run that failed.

/// Nothing has failed.
pub(super) const FINE: u32 = 0;
/// Workgroups did not meet: this run and those after it count for nothing, and first states stay as they are.
pub(super) const UNMET: u32 = 1;
/// A run is repeated whose first states lie where they belong.
pub(super) const REPEATED: u32 = 2;

/// In place of a report's verdict: the run counts for nothing.
pub(super) const FAILED: f64 = 3.0;
