//! What a device can do at most, as it is measured.

/// What a device can do at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MachineLimits {
    /// Floating point operations a second, a multiply-add counting as two.
    pub flops: f64,
    /// Bytes a second that are read or written.
    pub bytes: f64,
}

/// The median; 0 of nothing.
pub(super) fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}
