//! `models`: the models that the program brings, and what follows from a model's text.

mod check;
mod made_up;
mod show;

pub use self::made_up::{FieldValues, shown, sizes_of};

use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::json;
use toml::{Table, Value};
use wgrnn::cell::{Cell, library as cells};
use wgrnn::model::Spec;
use wgrnn::model::text::{Model, language, library};
use wgrnn::train::settings::resolve;
use wgrnn::train::{Settings, spec};
use wgrnn::{Error, Result};

use super::fields::named;
use super::{flags, out, text};

/// The sections of settings that shape the layers of a model or their noise and starts.
const SECTIONS: [&str; 4] = [
    "model",
    "noise inside cells",
    "regularisers",
    "initial weights",
];

pub fn command() -> Command {
    Command::new("models")
        .about("List models, or show what follows from one's text")
        .arg(flags::json())
        .arg(
            Arg::new("language")
                .long("language")
                .action(ArgAction::SetTrue)
                .help("Print the page that documents the model language"),
        )
        .subcommand(
            Command::new("show")
                .about("Show a model's text, its fields, values and parameters")
                .arg(model())
                .args(settings())
                .arg(flags::json())
                .after_help("Examples:\n  wgrnn models show tag\n  wgrnn models show my.model --hidden 64 --embed 32"),
        )
        .subcommand(check::command())
        .after_help("Examples:\n  wgrnn models\n  wgrnn models show classify\n  wgrnn models check my.model\n  wgrnn models --language")
}

/// The model, the first argument.
fn model() -> Arg {
    Arg::new("name")
        .value_name("NAME|FILE.model")
        .required(true)
        .value_parser(flags::file_name())
        .help("A model that `models` lists, or a file of your own")
}

/// The settings that a model of fields takes of these sections.
fn settings() -> impl Iterator<Item = Arg> {
    let of_fields = Settings {
        model: String::new(),
        ..Settings::default()
    };
    flags::settings().filter(move |arg| {
        let name = arg.get_id().as_str();
        let mut keys = Settings::keys().iter();
        let key = keys.find(|key| key.name == name);
        let of_section = key.is_some_and(|key| SECTIONS.contains(&key.section));
        of_section && name != "model" && !of_fields.means_nothing(name)
    })
}

pub fn run(m: &ArgMatches) -> Result<()> {
    match m.subcommand() {
        Some(("show", m)) => return show::run(m),
        Some(("check", m)) => return check::run(m),
        _ => {}
    }
    if m.get_flag("language") {
        return out::line(language::page().trim_end());
    }
    let mut rows = Vec::new();
    for name in library::names() {
        let model = library::builtin(name)?;
        let about = about(&model);
        if !m.get_flag("json") {
            out::line(&format!("{name:<18} {about}"))?;
        }
        let fields = model.fields().iter().map(|field| field.name.as_str());
        rows.push(json!({"name": name, "about": about, "fields": fields.collect::<Vec<&str>>()}));
    }
    if m.get_flag("json") {
        out::json(&rows.into())
    } else {
        Ok(())
    }
}

/// The first comment of a model's text.
fn about(model: &Model) -> String {
    let line = model.text.lines().find_map(|l| l.strip_prefix('#'));
    line.unwrap_or("").trim().to_string()
}

/// A model, and the settings of its layers.
struct Chosen {
    model: Arc<Model>,
    settings: Settings,
    cells: Vec<Cell>,
}

/// The model that the command line names, with the settings that it gives; `usual` are those that hold where it says nothing.
fn chosen(m: &ArgMatches, usual: &[(&str, Value)]) -> Result<Chosen> {
    let name = m.get_one::<String>("name").map_or("", |name| name);
    let model = named(name)?;
    let mut given: Table = flags::given(m);
    for (key, value) in usual {
        given.entry(*key).or_insert(value.clone());
    }
    given.insert("model".into(), name.into());
    let names: Vec<&str> = cells::names().collect();
    let settings = resolve(None, given, &names)?;
    let cells = text::cells(&settings)?;
    Ok(Chosen {
        model,
        settings,
        cells,
    })
}

impl Chosen {
    /// The settings of the model's layers. A cell that uses x elementwise reads rows as wide as its own, so that the embedding
    /// is, where the command line `m` says nothing of it.
    fn spec(&self, m: &ArgMatches) -> Spec {
        let mut settings = self.settings.clone();
        if self.cells.iter().any(|cell| cell.raw_input) && m.get_one::<String>("embed").is_none() {
            settings.embed = settings.hidden;
        }
        spec(&settings, self.cells.clone(), 0)
    }
}

/// An error that says which layers' sizes it was found at.
fn at_sizes(e: Error, spec: &Spec) -> Error {
    let Spec { hidden, embed, .. } = spec;
    Error::new(
        e.kind,
        format!("{} (at --hidden {hidden} --embed {embed})", e.message),
    )
}
