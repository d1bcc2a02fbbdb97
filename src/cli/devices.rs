//! `devices`: where training can run.

use clap::{ArgMatches, Command};
use pollster::block_on;
use serde_json::json;
use wgrnn::Result;
use wgrnn::exec::{Device, gpu};

use super::check::passed;
use super::{flags, out};

pub fn command() -> Command {
    Command::new("devices")
        .about("List where training can run")
        .arg(flags::json())
        .after_help("Example:\n  wgrnn devices --json")
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let cpu = block_on(Device::open("cpu"))?;
    let adapters = block_on(gpu::adapters());
    let auto = block_on(Device::open("auto"))?.name();
    if m.get_flag("json") {
        let mut list = vec![json!({"device": "cpu", "name": cpu.name()})];
        list.extend(adapters.iter().map(|a| {
            json!({
                "device": a.index,
                "name": a.name,
                "driver": a.driver,
                "backend": a.backend,
                "kind": a.kind,
                "software": a.software,
                "max_binding_bytes": a.max_binding,
                "max_bindings": a.max_bindings,
                "workgroup_memory_bytes": a.workgroup_memory,
                "workgroup_threads": a.workgroup_threads,
                "timestamps": a.timestamps,
                "checked": passed::passed(a),
            })
        }));
        return out::json(&json!({"devices": list, "auto": auto}));
    }
    out::line(&format!("cpu    {}", cpu.name()))?;
    for a in &adapters {
        out::line(&format!(
            "{:<6} {} - {}, {}, driver {}; {} MiB a binding, {} timestamps; {}",
            a.index,
            a.name,
            a.backend,
            if a.software { "software" } else { &a.kind },
            a.driver,
            a.max_binding >> 20,
            if a.timestamps { "with" } else { "without" },
            if passed::passed(a) {
                "passed `check`"
            } else {
                "not checked"
            },
        ))?;
    }
    if adapters.is_empty() {
        out::line(&format!("no GPU adapter: {}", gpu::INSTALL))?;
    }
    out::line(&format!("--device auto takes {auto}"))
}
