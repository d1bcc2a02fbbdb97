//! `eval`: the loss of a run's model on a text.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use pollster::block_on;
use serde_json::json;
use wgrnn::data::{Dataset, TextSource};
use wgrnn::train::{Dynamic, Evaluation, Evaluator, Learner, state};
use wgrnn::{Error, Result};

use super::fields::LoadedRun;
use super::load::Loaded;
use super::unknown::{MUCH_UNKNOWN, UnknownShare};
use super::{decoding, fields, flags, memory, out, text};

pub fn command() -> Command {
    Command::new("eval")
        .about("Measure a trained model on a text")
        .arg(flags::run())
        .arg(
            Arg::new("text")
                .value_name("TEXT")
                .required_unless_present("part")
                .num_args(1..)
                .value_parser(value_parser!(PathBuf))
                .help("The text's files, joined in this order, or files of a model's fields, FIELD=FILE too; - is standard input"),
        )
        .arg(
            flags::whole("batch", 1, 65536)
                .default_value("32")
                .help("Segments side by side; the figure does not depend on it"),
        )
        .arg(number("dynamic").value_name("RATE").conflicts_with("batch").help(
            "Go on learning while evaluating, each segment after its loss is known (Krause 2018): the learning rate",
        ))
        .arg(number("dynamic-decay").requires("dynamic").help(
            "How far parameters go back to the trained ones after every segment, 0 to 1 (default 0)",
        ))
        .arg(
            Arg::new("dynamic-text")
                .long("dynamic-text")
                .value_name("TEXT")
                .requires("dynamic")
                .value_parser(value_parser!(PathBuf))
                .help("A text (of the training) whose gradients' mean squares scale the rate of each parameter"),
        )
        .arg(
            flags::whole("dynamic-steps", 1, 65536)
                .requires("dynamic")
                .help("Steps of a segment (default 5 with a text, else 20)"),
        )
        .arg(
            Arg::new("confusion")
                .long("confusion")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("Models of classes: write which class is taken for which, as .tsv or .csv"),
        )
        .arg(
            Arg::new("part")
                .long("part")
                .value_name("PART")
                .help("Models of series: the part of it to measure, as the run's split and val have it: train, valid or test; of its own files where none are given"),
        )
        .arg(
            flags::whole("season", 1, 100_000)
                .help("Models of series: beside forecasts that repeat what came N steps earlier"),
        )
        .args(decoding::args())
        .arg(
            Arg::new("bleu")
                .long("bleu")
                .value_name("none|13a")
                .value_parser(["none", "13a"])
                .help("Of models that write texts: BLEU and chrF of what they write, words cut at spaces alone or as mteval-v13a.pl does"),
        )
        .arg(
            Arg::new("reference")
                .long("reference")
                .value_name("FILE")
                .action(ArgAction::Append)
                .value_parser(value_parser!(PathBuf))
                .help("With --bleu: further right texts, one for every example; may be given several times"),
        )
        .arg(
            flags::whole("by-length", 1, 65536).value_name("WIDTH").help(
                "With --bleu: also by the length of what was read, WIDTH lengths together: 1 to WIDTH tokens, and so on",
            ),
        )
        .args(flags::read_as())
        .arg(flags::checkpoint())
        .arg(flags::device())
        .arg(flags::json())
        .after_help(
            "What the run's vocabulary does not know counts as its unknown symbol, and is told; where it has none, as of \
             characters of which none was folded (--min-count), the text is refused.\n\nExamples:\n  wgrnn eval runs/builtin-1 other.txt --json\n  wgrnn eval runs/book other.txt --dynamic 0.1\n  \
             wgrnn eval runs/book other.txt --dynamic 0.0001 --dynamic-decay 0.002 --dynamic-text book.txt",
        )
}

fn number(name: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("X")
        .value_parser(value_parser!(f64))
        .allow_hyphen_values(true)
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let loaded = match LoadedRun::new(Loaded::from_args(m)?)? {
        LoadedRun::Fields(run) => {
            return fields::eval::run(m, &run, &flags::file_texts(m, "text"));
        }
        LoadedRun::Text(loaded) => *loaded,
    };
    let of_fields = [
        "confusion",
        "part",
        "season",
        "bleu",
        "reference",
        "by-length",
    ];
    flags::refuse_reading(m, &[&of_fields[..], &decoding::FLAGS].concat())?;
    let files: Vec<PathBuf> = m.get_many("text").unwrap_or_default().cloned().collect();
    let corpus = text::open(&TextSource::Files(files), None)?;
    let vocabulary = loaded.saved.about.vocabulary()?;
    let dataset = text::dataset(&corpus, vocabulary, &loaded.settings)?;
    let unknown_share = UnknownShare::of(vocabulary, &dataset)?;
    if let Some(lr) = m.get_one::<f64>("dynamic") {
        let found = dynamic(m, &loaded, *lr, &dataset)?;
        return report(m, &loaded, &found, &unknown_share, &corpus.name);
    }
    let batch = m.get_one::<u64>("batch").map_or(32, |b| *b as usize);
    let mut evaluator =
        Evaluator::new(&loaded.spec, dataset, batch)?.apart(vocabulary.unknown_id());
    let plan = evaluator.plan().clone();
    memory::check("the evaluation", plan.bytes(), |_| "lower --batch".into())?;
    let parameters = state::weights(&plan, &loaded.checkpoint).map_err(|e| loaded.named(e))?;
    let device = flags::open_device(m)?;
    let found = block_on(evaluator.run(&device, &parameters))?;
    report(m, &loaded, &found, &unknown_share, &corpus.name)
}

/// The model's loss while it learns from the text.
fn dynamic(m: &ArgMatches, loaded: &Loaded, lr: f64, dataset: &Dataset) -> Result<Evaluation> {
    let decay = m.get_one::<f64>("dynamic-decay").copied().unwrap_or(0.0);
    for (name, value, most) in [("dynamic", lr, f64::MAX), ("dynamic-decay", decay, 1.0)] {
        if !(0.0..=most).contains(&value) {
            let upto = if most == 1.0 { "0 to 1" } else { "0 or more" };
            return Err(Error::usage(format!(
                "--{name}: expected {upto}, got {value}"
            )));
        }
    }
    let file = flags::path(m, "dynamic-text");
    let steps = m.get_one::<u64>("dynamic-steps").copied();
    let steps = steps.unwrap_or(if file.is_some() { 5 } else { 20 }) as usize;
    let learned = match file {
        None => None,
        Some(file) => {
            let corpus = text::open(&TextSource::Files(vec![file.clone()]), None)?;
            let vocabulary = loaded.saved.about.vocabulary()?;
            Some(text::dataset(&corpus, vocabulary, &loaded.settings)?)
        }
    };
    let stream = |dataset: &Dataset| match dataset {
        Dataset::Stream(tokens) => Ok(tokens.clone()),
        Dataset::Lines(_) => Err(Error::usage(
            "--dynamic: learns from one segment to the next, and the run's lines are sequences of their own",
        )),
    };
    let tokens = stream(dataset)?;
    let learned = learned.as_ref().map(stream).transpose()?;
    let mut learner = Learner::new(&loaded.spec, steps)?;
    let plan = learner.plan().clone();
    // The parameters, the trained ones, the gradients and the factors of both are held by the host too.
    let bytes = plan.bytes() + 20 * plan.arena as u64;
    memory::check("the evaluation", bytes, |_| "lower --dynamic-steps".into())?;
    let parameters = state::weights(&plan, &loaded.checkpoint).map_err(|e| loaded.named(e))?;
    let device = flags::open_device(m)?;
    block_on(async {
        let squares = match &learned {
            None => None,
            Some(text) => Some(learner.mean_squares(&device, &parameters, text).await?),
        };
        let how = Dynamic {
            lr,
            decay,
            eps: 1e-8,
        };
        learner
            .run(&device, &parameters, squares.as_deref(), how, &tokens)
            .await
    })
}

fn report(
    m: &ArgMatches,
    loaded: &Loaded,
    found: &Evaluation,
    unknown_share: &UnknownShare,
    text: &str,
) -> Result<()> {
    let unit = loaded.saved.about.unit();
    let share = unknown_share.share();
    let percent = format!("{:.1}%", 100.0 * share);
    if share >= MUCH_UNKNOWN {
        out::note(&format!(
            "warning: {text}: {percent} of the {unit}s are unknown to the run's vocabulary, so that a low perplexity says \
             that they are easy to guess, not the text"
        ));
    }
    let known = match found.unknown {
        Some(unknown) => unknown.known_nats,
        None => (unknown_share.unknown == 0).then_some(found.nats),
    };
    if m.get_flag("json") {
        return out::json(&json!({
            "nats": found.nats,
            "bits": found.bits,
            "perplexity": found.perplexity,
            "count": found.count,
            "symbols": unknown_share.symbols,
            "unknown": unknown_share.unknown,
            "unknown_share": share,
            "unknown_predictions": found.unknown.map(|unknown| unknown.count),
            "known_nats": known,
            "known_perplexity": known.map(f64::exp),
            "step": loaded.saved.counters.step,
            "checkpoint": loaded.path.display().to_string(),
            "text": text,
            "unit": unit,
        }));
    }
    let warned = match unknown_share.unknown {
        0 => String::new(),
        _ if share >= MUCH_UNKNOWN => {
            format!("; {percent} of the text's {unit}s are <unk>: not comparable")
        }
        _ => format!("; {percent} of the text's {unit}s are <unk>"),
    };
    out::line(&format!(
        "{:.5} nats/{unit}, {:.5} bits/{unit}, perplexity {:.4} over {} predictions{warned} (step {})",
        found.nats, found.bits, found.perplexity, found.count, loaded.saved.counters.step
    ))?;
    if let Some(unknown) = found.unknown.filter(|unknown| unknown.count > 0)
        && let Some(nats) = unknown.known_nats
    {
        out::line(&format!(
            "over the {} predictions of known {unit}s alone: {nats:.5} nats/{unit}, perplexity {:.4}",
            found.count - unknown.count,
            nats.exp()
        ))?;
    }
    Ok(())
}
