//! Whether what a plan needs is there, before anything is allocated.

use wgrnn::{Error, Kind, Result};

/// What is taken to be there where the system does not say.
const UNKNOWN: u64 = 64 << 30;

/// Refuses `needed` bytes when fewer are available; `advice` says what would help.
pub fn check(what: &str, needed: u64, advice: impl FnOnce(u64) -> String) -> Result<()> {
    let available = available();
    if needed <= available {
        return Ok(());
    }
    Err(Error::new(
        Kind::Usage,
        format!(
            "{what}: {needed} bytes ({:.1} GiB) are needed, {available} bytes ({:.1} GiB) of memory are available; {}",
            gib(needed),
            gib(available),
            advice(available)
        ),
    ))
}

/// Bytes in GiB.
pub fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

/// Bytes that this process may still take: the system's word, and a container's limit.
pub fn available() -> u64 {
    let number =
        |path: &str| -> Option<u64> { std::fs::read_to_string(path).ok()?.trim().parse().ok() };
    let system = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
            let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
            Some(kib * 1024)
        });
    let limit = number("/sys/fs/cgroup/memory.max");
    let used = number("/sys/fs/cgroup/memory.current").unwrap_or(0);
    let container = limit.map(|limit| limit.saturating_sub(used));
    system.unwrap_or(UNKNOWN).min(container.unwrap_or(u64::MAX))
}
