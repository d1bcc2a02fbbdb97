//! `eval`: the loss of a run's model on a text.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use pollster::block_on;
use serde_json::json;
use wgrnn::Result;
use wgrnn::data::Source;
use wgrnn::train::{Evaluator, state};

use super::load::Loaded;
use super::{flags, memory, out, text};

pub fn command() -> Command {
    Command::new("eval")
        .about("Measure a trained model on a text")
        .arg(flags::run())
        .arg(
            Arg::new("text")
                .value_name("TEXT")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The text's file, or - for standard input"),
        )
        .arg(
            flags::whole("batch", 1, 65536)
                .default_value("32")
                .help("Segments side by side; the figure does not depend on it"),
        )
        .arg(flags::checkpoint())
        .arg(flags::device())
        .arg(flags::json())
        .after_help("Example:\n  wgrnn eval runs/builtin-1 other.txt --json")
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let loaded = Loaded::from_args(m)?;
    let file = flags::required_path(m, "text")?;
    let corpus = text::open(&Source::Files(vec![file.clone()]), None)?;
    let vocabulary = &loaded.saved.about.vocabulary;
    let body = text::body(&corpus, vocabulary, &loaded.settings)?;
    let batch = m.get_one::<u64>("batch").map_or(32, |b| *b as usize);
    let mut evaluator = Evaluator::new(&loaded.spec, body, batch)?;
    let plan = evaluator.plan().clone();
    memory::check("the evaluation", plan.bytes(), |_| "lower --batch".into())?;
    let parameters = state::weights(&plan, &loaded.checkpoint).map_err(|e| loaded.named(e))?;
    let device = flags::open_device(m)?;
    let found = block_on(evaluator.run(&device, &parameters))?;
    if m.get_flag("json") {
        return out::json(&json!({
            "nats": found.nats,
            "bits": found.bits,
            "perplexity": found.perplexity,
            "count": found.count,
            "step": loaded.saved.counters.step,
            "checkpoint": loaded.path,
            "text": corpus.name,
            "unit": vocabulary.unit(),
        }));
    }
    let unit = vocabulary.unit();
    out::line(&format!(
        "{:.5} nats/{unit}, {:.5} bits/{unit}, perplexity {:.4} over {} predictions (step {})",
        found.nats, found.bits, found.perplexity, found.count, loaded.saved.counters.step
    ))
}
