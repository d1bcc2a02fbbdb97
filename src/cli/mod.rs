//! The subcommands, one file each. Only this folder prints, reads arguments and blocks.

mod adapter_cache;
mod cells;
mod check;
mod decoding;
mod devices;
mod eval;
mod export;
mod fields;
mod flags;
mod generate;
mod import;
mod interrupt;
mod kept;
mod lab;
mod load;
mod losses;
mod memory;
mod models;
pub mod out;
mod plan;
mod predict;
mod profile;
mod progress;
mod ready;
mod resume;
mod sample;
mod search;
mod text;
mod trace;
mod train;
mod tune;
mod unknown;

use clap::{ArgMatches, Command};
use wgrnn::{Error, Result};

/// The whole command line.
pub fn command() -> Command {
    Command::new("wgrnn")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Trains recurrent networks on GPUs and CPUs; a cell is a few lines of equations")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help("Start with:\n  wgrnn train            two minutes on the built-in corpus\n  wgrnn train TEXT.txt   a text of your own")
        .subcommands([
            train::command(),
            sample::command(),
            eval::command(),
            predict::command(),
            check::command(),
            profile::command(),
            tune::command(),
            cells::command(),
            models::command(),
            generate::command(),
            lab::command(),
            search::command(),
            devices::command(),
            export::command(),
            import::command(),
        ])
}

/// Runs the subcommand that was asked for.
pub fn run(matches: &ArgMatches) -> Result<()> {
    match matches.subcommand() {
        Some(("train", m)) => train::run(m),
        Some(("sample", m)) => sample::run(m),
        Some(("eval", m)) => eval::run(m),
        Some(("predict", m)) => predict::run(m),
        Some(("check", m)) => check::run(m),
        Some(("profile", m)) => profile::run(m),
        Some(("tune", m)) => tune::run(m),
        Some(("cells", m)) => cells::run(m),
        Some(("models", m)) => models::run(m),
        Some(("generate", m)) => generate::run(m),
        Some(("lab", m)) => lab::run(m),
        Some(("search", m)) => search::run(m),
        Some(("devices", m)) => devices::run(m),
        Some(("export", m)) => export::run(m),
        Some(("import", m)) => import::run(m),
        _ => Err(Error::usage("expected a subcommand; --help lists them")),
    }
}
