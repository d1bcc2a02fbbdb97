//! `import`: a run from a safetensors file: one of our own exports, or weights of a PyTorch module.
use clap::{ArgMatches, Command};
use wgrnn::{Error, Result};
pub fn command() -> Command {
    Command::new("import")
}
pub fn run(_m: &ArgMatches) -> Result<()> {
    Err(Error::usage(""))
}
