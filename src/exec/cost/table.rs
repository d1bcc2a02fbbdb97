//! What a device can do, as a table: `assets/devices/NAME.toml`, or a file of one's own.

use serde::Deserialize;

use crate::{Error, Result};

/// The tables of the program, by name.
const BUILT_IN: [(&str, &str); 6] = [
    ("h100", include_str!("../../../assets/devices/h100.toml")),
    ("v100", include_str!("../../../assets/devices/v100.toml")),
    (
        "rtx4090",
        include_str!("../../../assets/devices/rtx4090.toml"),
    ),
    (
        "m3-max",
        include_str!("../../../assets/devices/m3-max.toml"),
    ),
    ("a770", include_str!("../../../assets/devices/a770.toml")),
    (
        "rx7900",
        include_str!("../../../assets/devices/rx7900.toml"),
    ),
];

/// What a device can do. A core is what has a workgroup to itself: a multiprocessor, a compute unit.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeviceTable {
    /// Its name.
    pub name: String,
    /// Where the figures are from.
    pub source: String,
    /// Cores.
    pub cores: f64,
    /// Threads that a core has at once.
    pub threads: f64,
    /// 32-bit registers of a core.
    pub registers: f64,
    /// Workgroups that a core has at once, at most.
    pub workgroups: f64,
    /// KiB of a core's memory that workgroups share.
    pub workgroup_kib: f64,
    /// Multiply-adds in f32, in GFLOP/s, each counting as two.
    pub gflops: f64,
    /// GB/s of all cores' shared memory together.
    pub shared_gbytes: f64,
    /// The same of their first caches.
    pub l1_gbytes: f64,
    /// GB/s of the last cache.
    pub l2_gbytes: f64,
    /// MiB of it.
    pub l2_mib: f64,
    /// GB/s of the memory.
    pub gbytes: f64,
    /// Nanoseconds of a load from the last cache.
    pub l2_ns: f64,
    /// The same from the memory.
    pub memory_ns: f64,
    /// Microseconds of a dispatch with the barrier before it, on an idle device.
    pub dispatch_us: f64,
    /// Nanoseconds of a barrier of a workgroup, with what is stored before it and loaded behind it.
    pub barrier_ns: f64,
}

impl DeviceTable {
    /// The names of the program's own tables.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|table| table.0)
    }

    /// A table of the program.
    ///
    /// # Errors
    /// Usage, naming those that there are.
    pub fn built_in(name: &str) -> Result<DeviceTable> {
        match BUILT_IN.iter().find(|table| table.0 == name) {
            Some((_, text)) => DeviceTable::parse(name, text),
            None => Err(Error::usage(format!(
                "expected {} or a file FILE.toml, found `{name}`",
                DeviceTable::names().collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// The table in a text; `of` is where it is from.
    ///
    /// # Errors
    /// Data, naming what is missing, unknown or no positive number.
    pub fn parse(of: &str, text: &str) -> Result<DeviceTable> {
        let wrong = |what: String| Error::data(format!("{of}: {}", what.trim_end()));
        let table: DeviceTable = toml::from_str(text).map_err(|e| wrong(e.to_string()))?;
        let numbers = [
            ("cores", table.cores),
            ("threads", table.threads),
            ("registers", table.registers),
            ("workgroups", table.workgroups),
            ("workgroup-kib", table.workgroup_kib),
            ("gflops", table.gflops),
            ("shared-gbytes", table.shared_gbytes),
            ("l1-gbytes", table.l1_gbytes),
            ("l2-gbytes", table.l2_gbytes),
            ("l2-mib", table.l2_mib),
            ("gbytes", table.gbytes),
            ("l2-ns", table.l2_ns),
            ("memory-ns", table.memory_ns),
            ("dispatch-us", table.dispatch_us),
            ("barrier-ns", table.barrier_ns),
        ];
        match numbers.iter().find(|(_, n)| !(n.is_finite() && *n > 0.0)) {
            None => Ok(table),
            Some((name, found)) => Err(wrong(format!(
                "{name}: expected a number above 0, found {found}"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_program_is_one() {
        for name in DeviceTable::names() {
            let table = DeviceTable::built_in(name).unwrap();
            assert!(!table.source.is_empty(), "{name}");
            // A cache is nearer than the memory, and faster.
            assert!(table.l2_ns < table.memory_ns, "{name}");
            assert!(table.l1_gbytes > table.l2_gbytes, "{name}");
            assert!(table.l2_gbytes > table.gbytes, "{name}");
        }
        let error = DeviceTable::built_in("h1000").unwrap_err();
        assert!(error.message.contains("h100, v100"), "{}", error.message);
    }

    #[test]
    fn what_is_no_table_is_an_error_that_names_the_fault() {
        let whole = BUILT_IN[0].1;
        let line = |name: &str| whole.lines().find(|l| l.starts_with(name)).unwrap();
        for (text, part) in [
            (whole.replace(line("cores"), ""), "missing field `cores`"),
            (whole.replace(line("cores"), "cores = 0"), "cores: expected"),
            (format!("{whole}\ncolour = 1\n"), "unknown field `colour`"),
            ("{".into(), "mine: "),
        ] {
            let error = DeviceTable::parse("mine", &text).unwrap_err();
            assert!(error.message.contains(part), "{}", error.message);
        }
    }
}
