//! `generate`: data of known tasks, the same bytes for the same seed.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use serde_json::json;
use wgrnn::generate::{self, TASKS, Task};
use wgrnn::train::atomic;
use wgrnn::{Error, Result};

use super::{flags, memory, out};

/// Bytes that are printed at once.
const AT_ONCE: usize = 1 << 16;

pub fn command() -> Command {
    Command::new("generate")
        .about("Write data of which it is known what a model must be able to do to learn them; without a name, list the tasks")
        .arg(Arg::new("task").value_name("NAME").help("The task"))
        .arg(flags::whole("count", 1, u32::MAX.into()).help("How many examples (default 1000)"))
        .arg(flags::whole("seed", 0, u64::MAX).help("Another seed is another set (default 1)"))
        .arg(flags::whole("length", 0, u64::MAX).help("Of tasks that have one: how long an example is"))
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("A file that is not there yet, in place of standard output"),
        )
        .arg(flags::json().help("Print the list as JSON"))
        .after_help(
            "Examples:\n  wgrnn generate\n  wgrnn generate order --count 4000 > order.tsv\n  \
             wgrnn generate adding --count 5000 --length 200 --seed 2 --out adding.jsonl\n\n\
             Readers know a file by its ending, which the list has beside each name. A larger set of a seed begins with the smaller \
             one.",
        )
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let Some(name) = m.get_one::<String>("task") else {
        return list(m);
    };
    let task = generate::task(name)?;
    if m.get_flag("json") {
        let text = format!("--json: expected the list, which stands without a name, got {name}");
        return Err(Error::usage(text));
    }
    let number = |name: &str| m.get_one::<u64>(name).copied();
    let (count, seed) = (number("count").unwrap_or(1000), number("seed").unwrap_or(1));
    let length = number("length").map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    let mut examples = task.examples(count, seed, length)?;
    if let Some(path) = flags::path(m, "out") {
        if path.exists() {
            return Err(Error::usage(format!(
                "--out: expected a file that is not there yet, got {}",
                path.display()
            )));
        }
        let one = task.text(1, seed, length)?.len() as u64;
        memory::check("the examples", one.saturating_mul(count), |_| {
            "lower --count or --length, or write to standard output".into()
        })?;
        let text: String = examples.collect();
        return atomic::write(path, text.as_bytes());
    }
    let mut piece = String::new();
    loop {
        let example = examples.next();
        let over = example.is_none();
        piece.extend(example);
        if over || piece.len() >= AT_ONCE {
            out::raw(piece.as_bytes())?;
            piece.clear();
        }
        if over {
            return Ok(());
        }
    }
}

/// The tasks, a line each.
fn list(m: &ArgMatches) -> Result<()> {
    let of_task = ["count", "seed", "length", "out"];
    if let Some(flag) = flags::first_given(m, &of_task) {
        let names: Vec<&str> = TASKS.iter().map(|task| task.name).collect();
        return Err(Error::usage(format!(
            "--{flag}: expected the name of a task before it, got none (known: {})",
            names.join(", ")
        )));
    }
    if m.get_flag("json") {
        let tasks: Vec<_> = TASKS.iter().map(value).collect();
        return out::json(&json!({"tasks": tasks}));
    }
    for task in &TASKS {
        out::line(&format!(
            "{:<15} {:<7} {}",
            task.name,
            format!(".{}", task.ending),
            task.about
        ))?;
    }
    Ok(())
}

fn value(task: &Task) -> serde_json::Value {
    let length = task.length.map(
        |l| json!({"of": l.of.trim_end_matches(','), "least": l.least, "usual": l.usual, "most": l.most}),
    );
    json!({
        "name": task.name, "about": task.about, "source": task.source, "ending": task.ending,
        "train": task.train, "length": length,
    })
}
