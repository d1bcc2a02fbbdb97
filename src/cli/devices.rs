//! `devices`: where training can run.

use clap::{ArgMatches, Command};
use pollster::block_on;
use serde_json::json;
use wgrnn::Result;
use wgrnn::exec::Device;

use super::{flags, out};

pub fn command() -> Command {
    Command::new("devices")
        .about("List where training can run")
        .arg(flags::json())
        .after_help("Example:\n  wgrnn devices --json")
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let cpu = block_on(Device::open("cpu"))?;
    if m.get_flag("json") {
        return out::json(&json!([{"device": "cpu", "name": cpu.name()}]));
    }
    out::line(&format!("cpu    {}", cpu.name()))
}
