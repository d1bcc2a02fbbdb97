//! `sample`: text from a run's model, printed as it is made.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use pollster::block_on;
use serde_json::json;
use wgrnn::data::{Decoder, Vocabulary};
use wgrnn::train::examples::Paint;
use wgrnn::train::{Choice, Generator, TextLimits, state};
use wgrnn::{Error, Result};

use super::fields::{LoadedFields, LoadedRun, canvases, forecast, pieces, sample};
use super::load::Loaded;
use super::{flags, memory, out};

pub fn command() -> Command {
    Command::new("sample")
        .about("Write text, music, strokes or images with a trained model")
        .arg(flags::run())
        .arg(
            Arg::new("prime")
                .long("prime")
                .value_name("TEXT")
                .default_value("")
                .value_parser(value_parser!(OsString))
                .help("Text that the model reads first, and goes on from"),
        )
        .arg(flags::whole("length", 0, u32::MAX.into()).default_value("500").help("Tokens or steps to write"))
        .arg(number("temperature", "1", "Below 1 bolder, above 1 wilder; 0 always takes the likeliest"))
        .arg(flags::whole("top-k", 1, u32::MAX.into()).help("Draw from the K likeliest only"))
        .arg(number("top-p", "1", "Draw from the likeliest that together have this probability"))
        .arg(flags::whole("seed", 0, u64::MAX).default_value("1").help("Seed of the draws"))
        .arg(flags::whole("count", 1, 65536).default_value("1").help("How many texts"))
        .arg(
            Arg::new("given")
                .long("given")
                .value_name("FIELD=VALUE")
                .action(ArgAction::Append)
                .help("Of models of fields: what the text or the strokes are about; a vector is numbers between commas"),
        )
        .arg(file("begin", "Of models of numbers: pieces begin as the examples of this file do, one each"))
        .arg(flags::whole("begin-steps", 1, 65536).help("With so many steps of each (default 1)"))
        .arg(file("midi", "Of models of notes: write a MIDI file too, a step a quarter note; of several pieces each its own"))
        .arg(file("svg", "Of models of strokes: draw them, too"))
        .args(canvases::args())
        .arg(flags::checkpoint())
        .arg(flags::device())
        .arg(flags::json())
        .after_help("Example:\n  wgrnn sample runs/builtin-1 --prime \"the \" --length 200 --temperature 0.8\n  wgrnn sample runs/described --given kind=Irish --count 5\n  wgrnn sample runs/chorales --begin chorales.jsonl --begin-steps 8 --length 64 --midi piece.mid\n  wgrnn sample runs/strokes --count 16 --length 60 --temperature 0.5 --svg sheet.svg\n  wgrnn sample runs/draw --count 16 --png sheet.png")
}

fn file(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help(help)
}

fn number(name: &'static str, default: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("X")
        .value_parser(value_parser!(f64))
        .allow_hyphen_values(true)
        .default_value(default)
        .help(help)
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let f64_of = |name: &str| m.get_one::<f64>(name).copied().unwrap_or(1.0);
    let u64_of = |name: &str| m.get_one::<u64>(name).copied().unwrap_or(0);
    let choice = Choice {
        temperature: f64_of("temperature"),
        top_k: u64_of("top-k") as usize,
        top_p: f64_of("top-p"),
        seed: u64_of("seed"),
    };
    if !(choice.temperature >= 0.0 && choice.temperature.is_finite()) {
        return Err(Error::usage(format!(
            "--temperature: expected 0 or more, got {}",
            choice.temperature
        )));
    }
    if !(choice.top_p > 0.0 && choice.top_p <= 1.0) {
        return Err(Error::usage(format!(
            "--top-p: expected above 0 to 1, got {}",
            choice.top_p
        )));
    }
    let (count, length) = (u64_of("count") as usize, u64_of("length") as usize);
    match LoadedRun::new(Loaded::from_args(m)?)? {
        LoadedRun::Text(loaded) => {
            canvases::refuse_sheet(m, &loaded.settings.model)?;
            refuse_numbers(m, &loaded.settings.model)?;
            of_text(m, &loaded, &choice, count, length)
        }
        LoadedRun::Fields(run) if run.model.painting().is_some() => {
            let seed = u64_of("seed");
            canvases::print(m, &run, Paint::New(count), seed)
        }
        LoadedRun::Fields(run) if forecast::of_numbers(&run) => {
            canvases::refuse_sheet(m, &run.model.name)?;
            pieces::draw_pieces(m, &run, &choice, count, length)
        }
        LoadedRun::Fields(run) => {
            canvases::refuse_sheet(m, &run.model.name)?;
            refuse_numbers(m, &run.model.name)?;
            about_fields(m, &run, &choice, count, length)
        }
    }
}

/// Refuses flags of models of numbers.
fn refuse_numbers(m: &ArgMatches, model: &str) -> Result<()> {
    match flags::first_given(m, &pieces::OF_NUMBERS) {
        None => Ok(()),
        Some(flag) => Err(Error::usage(format!(
            "--{flag}: expected a run of a model of numbers, got one of {model}"
        ))),
    }
}

/// The tokens that texts begin with.
fn prime(m: &ArgMatches, vocabulary: &Vocabulary) -> Result<Vec<u32>> {
    // A vocabulary of bytes takes what is no UTF-8; others say which byte is not.
    let text = m.get_one::<OsString>("prime").cloned().unwrap_or_default();
    let bytes = text.as_encoded_bytes();
    if vocabulary.of_lines() && bytes.iter().any(|b| b"\n\r".contains(b)) {
        return Err(Error::usage(
            "--prime: expected one line without its end, as every line of this run's text is a sequence of its own, got \
             more",
        ));
    }
    vocabulary
        .encode(bytes)
        .map_err(|e| Error::new(e.kind, format!("--prime: {}", e.message)))
}

/// Texts about what `--given` says.
fn about_fields(
    m: &ArgMatches,
    run: &LoadedFields,
    choice: &Choice,
    count: usize,
    length: usize,
) -> Result<()> {
    let given = m.get_many::<String>("given").into_iter().flatten();
    let given: Vec<String> = given.cloned().collect();
    let set = sample::examples(run, &given, count)?;
    let Some((_, vocabulary)) = run.written() else {
        return Err(Error::internal("texts without a vocabulary"));
    };
    let limits = TextLimits {
        prime: prime(m, vocabulary)?,
        most: length,
        ..TextLimits::default()
    };
    let device = flags::open_device(m)?;
    let texts = run.write(&device, set, choice, "lower --count or --length", limits)?;
    let texts = texts
        .into_iter()
        .filter_map(|found| found.into_iter().next());
    let texts: Vec<Vec<u32>> = texts.map(|found| found.tokens).collect();
    print(m, vocabulary, &texts)
}

/// Prints texts: one by itself, several each with its number.
fn print(m: &ArgMatches, vocabulary: &Vocabulary, texts: &[Vec<u32>]) -> Result<()> {
    for (n, tokens) in texts.iter().enumerate() {
        let bytes = vocabulary.decode(tokens);
        if m.get_flag("json") {
            let prime = m.get_one::<OsString>("prime");
            let prime = prime.map(|text| text.to_string_lossy());
            let text = String::from_utf8_lossy(&bytes);
            out::json(&json!({"sample": n + 1, "prime": prime, "text": text}))?;
            continue;
        }
        if texts.len() > 1 {
            out::line(&format!("---- {} of {} ----", n + 1, texts.len()))?;
        }
        out::raw(&bytes)?;
        out::raw(b"\n")?;
    }
    Ok(())
}

/// Text that goes on without fields.
fn of_text(
    m: &ArgMatches,
    loaded: &Loaded,
    choice: &Choice,
    count: usize,
    length: usize,
) -> Result<()> {
    if let Some(given) = m.get_many::<String>("given").and_then(|mut g| g.next()) {
        return Err(Error::usage(format!(
            "--given {given}: expected a run of a model of fields, {} is one of a text",
            loaded.path.display()
        )));
    }
    let vocabulary = loaded.saved.about.vocabulary()?;
    let prime = prime(m, vocabulary)?;
    let plan = Generator::plan(&loaded.spec, count).map_err(|e| loaded.named(e))?;
    let kept = if count > 1 || m.get_flag("json") {
        count * length
    } else {
        0
    };
    memory::check("the samples", plan.bytes() + 4 * kept as u64, |_| {
        "lower --count or --length".into()
    })?;
    let parameters = state::weights(&plan, &loaded.checkpoint).map_err(|e| loaded.named(e))?;
    let device = flags::open_device(m)?;

    block_on(async {
        let mut generator = Generator::new(&device, Arc::new(plan), &parameters).await?;
        // Without a prime the model starts as if a line had just ended, or where lines are sequences, with a line's start.
        let mut before = Vec::new();
        if prime.is_empty() || vocabulary.of_lines() {
            before.push(vocabulary.before_text());
        }
        before.extend_from_slice(&prime);
        let mut scores = Vec::new();
        for token in before {
            scores = generator.feed(&vec![token; count]).await?;
        }
        let stream = count == 1 && !m.get_flag("json");
        // What was read and written so far makes the next piece: a word has a space before it, or none.
        let mut decoder = Decoder::new(vocabulary);
        let mut shown = Vec::new();
        if stream {
            prime.iter().for_each(|id| decoder.push(*id, &mut shown));
            out::raw(&shown)?;
        }
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); count];
        // Where lines are sequences, a row ends with its line; the others go on.
        let mut ended = vec![false; count];
        for at in 0..length {
            let tokens = generator.draw(&scores, choice)?;
            for ((row, token), ended) in rows.iter_mut().zip(&tokens).zip(&mut ended) {
                *ended |= Some(*token) == vocabulary.end_id();
                if *ended {
                    continue;
                }
                if stream {
                    shown.clear();
                    decoder.push(*token, &mut shown);
                    out::raw(&shown)?;
                } else {
                    row.push(*token);
                }
            }
            if ended.iter().all(|ended| *ended) {
                break;
            }
            if at + 1 < length {
                scores = generator.feed(&tokens).await?;
            }
        }
        if stream {
            shown.clear();
            decoder.finish(&mut shown);
            shown.push(b'\n');
            return out::raw(&shown);
        }
        for row in &mut rows {
            row.splice(0..0, prime.iter().copied());
        }
        print(m, vocabulary, &rows)
    })
}
