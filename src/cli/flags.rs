//! Flags that several subcommands share, and the flags of all settings, which follow from the list of settings.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser, ValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, value_parser};
use toml::{Table, Value};
use wgrnn::exec::{Device, gpu};
use wgrnn::train::Settings;
use wgrnn::{Error, Result, paths};

use super::check::passed;
use super::out;
use super::tune::tiles;

/// The texts to train on.
pub fn texts() -> Arg {
    Arg::new("files")
        .value_name("FILE")
        .num_args(0..)
        .value_parser(value_parser!(PathBuf))
        .help("Texts, joined in this order; - is standard input (default: the built-in corpus)")
}

/// The device that is taken where none is named.
pub const AUTO: &str = "auto";

/// `--device`.
pub fn device() -> Arg {
    Arg::new("device")
        .long("device")
        .value_name("auto|cpu|gpu|NAME|INDEX")
        .default_value(AUTO)
        .help("Where to compute; auto takes a real GPU, else the CPU")
}

/// `--device` of measurements.
pub fn device_of_measurements() -> Arg {
    device().help("Where to measure; auto takes a real GPU that passed `wgrnn check`, else the CPU")
}

/// `--cooperative`.
pub fn cooperative() -> Arg {
    Arg::new("cooperative")
        .long("cooperative")
        .action(ArgAction::SetTrue)
        .help("With --half: products on an adapter's cooperative matrices, an experiment that has never run anywhere")
}

/// Whether that was given, to a subcommand that has it.
pub fn with_cooperative(m: &ArgMatches) -> bool {
    m.try_get_one::<bool>("cooperative")
        .is_ok_and(|c| c == Some(&true))
}

/// `--json`.
pub fn json() -> Arg {
    Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("Print results as JSON")
}

/// `--cell-const`, where there are no other settings.
pub fn cell_const() -> Arg {
    Arg::new("cell-const")
        .long("cell-const")
        .value_name("NAME=VALUE,...")
        .help("Values for constants of the cell")
}

/// The run's folder, the first argument.
pub fn run() -> Arg {
    Arg::new("run")
        .value_name("RUN")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .help("The run's folder")
}

/// `--checkpoint`.
pub fn checkpoint() -> Arg {
    Arg::new("checkpoint")
        .long("checkpoint")
        .value_name("best|last")
        .value_parser(["best", "last"])
        .help("Which checkpoint to take (default: the best, else the last)")
}

/// A whole number in a range.
pub fn whole(name: &'static str, least: u64, most: u64) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("N")
        .value_parser(value_parser!(u64).range(least..=most))
}

/// A path that was given.
pub fn path<'a>(m: &'a ArgMatches, name: &str) -> Option<&'a PathBuf> {
    m.get_one::<PathBuf>(name)
}

/// The files that the command line names, as texts that [`paths::from_text`] turns back.
pub fn files(m: &ArgMatches) -> Vec<String> {
    file_texts(m, "files")
}

/// The same of another argument.
pub fn file_texts(m: &ArgMatches, name: &str) -> Vec<String> {
    let files = m.get_many::<PathBuf>(name).unwrap_or_default();
    files.map(|file| paths::to_text(file.as_os_str())).collect()
}

/// A path that the command line requires.
pub fn required_path<'a>(m: &'a ArgMatches, name: &str) -> Result<&'a PathBuf> {
    path(m, name).ok_or_else(|| Error::usage(format!("expected {}", name.to_uppercase())))
}

/// What `--device` says.
pub fn device_choice(m: &ArgMatches) -> &str {
    m.get_one::<String>("device").map_or(AUTO, |choice| choice)
}

/// The device that was asked for; says which one it is.
pub fn open_device(m: &ArgMatches) -> Result<Device> {
    let device = opened(m)?;
    tell(m, &device);
    Ok(device)
}

/// The same for measurements: `auto` takes an adapter that passed `check` with this build, else the processor.
pub fn open_measuring(m: &ArgMatches) -> Result<Device> {
    let device = match (device_choice(m), opened(m)?) {
        (AUTO, Device::Gpu(gpu)) if !passed::passed(&gpu.adapter) => {
            out::note(&format!(
                "{} has not passed `wgrnn check` with this build: --device gpu takes it all the same",
                gpu.adapter.name
            ));
            Device::Cpu
        }
        (_, device) => device,
    };
    tell(m, &device);
    Ok(device)
}

/// The device that was asked for, trusted and tuned where its adapter has earned it.
fn opened(m: &ArgMatches) -> Result<Device> {
    let choice = device_choice(m);
    let device = pollster::block_on(Device::open_with(choice, with_cooperative(m)))?;
    if let Device::Gpu(gpu) = &device {
        inject(gpu)?;
        if passed::passed(&gpu.adapter) {
            gpu.trust();
            gpu.tuned(tiles::tiles(&gpu.adapter));
        }
    }
    Ok(device)
}

/// Says which device it is.
fn tell(m: &ArgMatches, device: &Device) {
    if !m
        .try_get_one::<bool>("quiet")
        .is_ok_and(|q| q == Some(&true))
    {
        out::note(&format!("device: {}", device.name()));
    }
}

/// Injects the faults in a device that a test names in `WGRNN_INJECT`, separated by commas. Released programs have no such
/// thing.
pub fn inject(device: &gpu::GpuDevice) -> Result<()> {
    if cfg!(debug_assertions)
        && let Ok(list) = std::env::var("WGRNN_INJECT")
    {
        for fault in list.split(',') {
            device.inject(gpu::Fault::parse(fault)?);
        }
    }
    Ok(())
}

/// Whether a device can do what settings ask for.
pub fn allowed(m: &ArgMatches, device: &Device, settings: &Settings) -> Result<()> {
    if with_cooperative(m) && !settings.half {
        let text = "--cooperative: expected half true, whose products it is for, got half false";
        return Err(Error::usage(text));
    }
    if settings.half {
        device.halves()
    } else {
        Ok(())
    }
}

/// How files of a model's fields are read, where a run's own settings do not fit them.
const READ_AS: [&str; 2] = ["columns", "format"];

/// `--columns` and `--format`, for commands that read files for a run.
pub fn read_as() -> impl Iterator<Item = Arg> {
    let keys = Settings::keys()
        .iter()
        .filter(|key| READ_AS.contains(&key.name));
    keys.map(|key| {
        Arg::new(key.name)
            .long(key.name)
            .help(key.help)
            .value_name("NAME")
    })
}

/// The settings of a run with the `--columns` and `--format` of the command line.
pub fn reading(m: &ArgMatches, settings: &Settings) -> Settings {
    let given = |name: &str| m.get_one::<String>(name).cloned();
    Settings {
        columns: given("columns").or_else(|| settings.columns.clone()),
        format: given("format").or_else(|| settings.format.clone()),
        ..settings.clone()
    }
}

/// Refuses these flags, and `more`, for a run of a text.
pub fn refuse_reading(m: &ArgMatches, more: &[&str]) -> Result<()> {
    match first_given(m, &[&READ_AS[..], more].concat()) {
        None => Ok(()),
        Some(name) => {
            let text = format!("--{name}: expected a run of a model of fields, got one of a text");
            Err(Error::usage(text))
        }
    }
}

/// The first of `names` that the command line has.
pub fn first_given<'a>(m: &ArgMatches, names: &[&'a str]) -> Option<&'a str> {
    // A flag without a value has one even where it is left out.
    let given = |name: &&&str| m.value_source(name) == Some(ValueSource::CommandLine);
    names.iter().find(given).copied()
}

/// A flag for every setting, under its section.
pub fn settings() -> impl Iterator<Item = Arg> {
    Settings::keys().iter().map(|key| {
        let arg = Arg::new(key.name)
            .long(key.name)
            .help(key.help)
            .help_heading(key.section)
            .value_name(value_name(key));
        let arg = match key.name {
            "cell" => arg.value_parser(file_names()),
            "tokenizer" => arg.value_parser(file_name()),
            _ => arg,
        };
        if is_files(key) {
            arg.num_args(1..)
                .action(ArgAction::Append)
                .value_parser(file_name())
        } else if is_switch(key) {
            // --tie, or --tie=false to undo what a file says.
            arg.num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .hide_possible_values(true)
        } else {
            // -1 and -inf are values here, to be refused as such.
            arg.allow_hyphen_values(true)
        }
    })
}

fn is_switch(key: &wgrnn::train::settings::Key) -> bool {
    (key.accepts)(&Value::Boolean(true))
}

fn is_files(key: &wgrnn::train::settings::Key) -> bool {
    (key.accepts)(&Value::Array(vec!["".into()]))
}

fn value_name(key: &wgrnn::train::settings::Key) -> &'static str {
    if is_files(key) {
        "FILE"
    } else if (key.accepts)(&Value::Float(0.5)) {
        "X"
    } else if (key.accepts)(&Value::Integer(1)) {
        "N"
    } else if is_switch(key) {
        "true|false"
    } else {
        "NAME"
    }
}

/// The name of a file, which need not be UTF-8: as [`paths::to_text`] writes it.
pub fn file_name() -> ValueParser {
    OsStringValueParser::new()
        .map(|name| paths::to_text(&name))
        .into()
}

/// A list of names with commas between them.
pub fn file_names() -> ValueParser {
    OsStringValueParser::new()
        .map(|names| paths::all_to_text(&names))
        .into()
}

/// The settings that were given as flags, of those that the subcommand takes.
pub fn given(m: &ArgMatches) -> Table {
    let given = Settings::keys().iter().filter_map(|key| {
        let texts: Vec<&String> = m.try_get_many(key.name).ok().flatten()?.collect();
        let value = if is_files(key) {
            Value::Array(texts.into_iter().map(|t| t.as_str().into()).collect())
        } else {
            key.value(texts.last()?)
        };
        Some((key.name.to_string(), value))
    });
    given.collect()
}
