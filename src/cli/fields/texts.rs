//! `predict` of models that write texts: the texts, their scores, what each word looked at.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use pollster::block_on;
use serde_json::{Value, json};
use wgrnn::data::fields::Examples;
use wgrnn::search::{Found, Scoring};
use wgrnn::train::{Choice, ExampleSet, TextWriter, WrittenText};
use wgrnn::{Error, Result};

use super::LoadedFields;
use super::alignment::Wish;
use crate::cli::{decoding, flags, out};

/// The flags that have a meaning for models that write texts alone, beside those of a search.
pub const FLAGS: [&str; 7] = [
    "temperature",
    "seed",
    "nbest",
    "scores",
    "replace-unk",
    "attention",
    "svg",
];

/// Their arguments.
pub fn args() -> [Arg; 7] {
    let file = |name: &'static str| {
        Arg::new(name)
            .long(name)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
    };
    let switch = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
    [
        flags::whole("nbest", 1, 1000).help(
            "Of models that write texts: the N best about each example, a line each: its number, the score, the text",
        ),
        switch("scores").help(
            "Of models that write texts: the score before each text, what it is by --length-penalty and --coverage-penalty",
        ),
        Arg::new("temperature")
            .long("temperature")
            .value_name("X")
            .value_parser(value_parser!(f64))
            .default_value("0")
            .allow_hyphen_values(true)
            .help("Of models that write texts: 0 takes the best token, 1 draws from the model's probabilities"),
        Arg::new("seed")
            .long("seed")
            .value_name("N")
            .value_parser(value_parser!(u64))
            .default_value("1")
            .help("Of models that write texts: the seed of the draws"),
        switch("replace-unk").help(
            "Of models that write texts with attention: in the place of an unknown word the word of the source that it \
             looked at most",
        ),
        file("attention").help(
            "Of models that write texts with attention: a line of JSON for every text: what was read, what was written, and \
             the weights, a row for every token that was written",
        ),
        file("svg").value_name("FILE|FOLDER").help(
            "Of models that write texts with attention: the weights drawn, all in a file that ends in .svg, or one file an \
             example in a folder; of models with `glimpse` for labels: a file of the images with the path of the eye over each",
        ),
    ]
}

/// Prints the texts that a model writes about examples: a line each, or several with the number of the example.
///
/// # Errors
/// Usage, for flags that do not go together or a model without what they need; files that cannot be written.
pub fn predict(m: &ArgMatches, run: &LoadedFields, read: &Examples, set: ExampleSet) -> Result<()> {
    let temperature = m.get_one::<f64>("temperature").copied().unwrap_or(0.0);
    if !(temperature >= 0.0 && temperature.is_finite()) {
        return Err(Error::usage(format!(
            "--temperature: expected 0 or more, got {temperature}"
        )));
    }
    let choice = Choice {
        temperature,
        seed: m.get_one::<u64>("seed").copied().unwrap_or(1),
        ..Choice::default()
    };
    let mut limits = decoding::limits(m, decoding::MOST)?;
    if temperature > 0.0 && limits.beams > 1 {
        return Err(Error::usage(format!(
            "--beam: expected 1 with a temperature above 0, which draws texts, got {}",
            limits.beams
        )));
    }
    let nbest = m.get_one::<u64>("nbest").map(|n| *n as usize);
    if let Some(n) = nbest.filter(|n| *n > limits.beams) {
        return Err(Error::usage(format!(
            "--nbest: expected at most --beam, {}, got {n}",
            limits.beams
        )));
    }
    limits.texts = nbest.unwrap_or(1);
    let device = flags::open_device(m)?;
    let (beams, scoring) = (limits.beams, limits.scoring);
    let remedy = if beams > 1 {
        "lower --beam"
    } else {
        "give fewer examples at once"
    };
    let mut writer = run.writer(&device, set.clone(), remedy, limits)?;
    let wish = Wish::new(m);
    let looking = wish.looking(run, &writer, read, &set)?;
    let texts = match &looking {
        Some(_) => block_on(writer.write_looking(&choice))?,
        None => plain(&mut writer, &choice)?,
    };
    let Some((_, vocabulary)) = run.written() else {
        return Err(Error::internal("texts without a vocabulary"));
    };
    let scored = m.get_flag("scores") || nbest.is_some();
    if scored && !m.get_flag("json") {
        out::note(&format!("scores: {}, in nats", scoring.meaning()));
    }
    if let Some(looking) = &looking {
        looking.save(&wish, &texts)?;
    }
    let mut all = String::new();
    for (example, written) in texts.iter().enumerate() {
        let text = |text: &WrittenText| match &looking {
            Some(looking) if wish.replaces => looking.replaced(example, text),
            _ => String::from_utf8_lossy(&vocabulary.decode(&text.found.tokens)).into_owned(),
        };
        if m.get_flag("json") {
            let one = |written: &WrittenText| match scored {
                true => scored_text(&text(written), &written.found, scoring),
                false => json!({ "text": text(written) }),
            };
            let value = match nbest {
                Some(_) => json!({ "texts": written.iter().map(one).collect::<Vec<Value>>() }),
                None => written.first().map_or(Value::Null, one),
            };
            all.push_str(&value.to_string());
            all.push('\n');
            continue;
        }
        for written in written {
            if nbest.is_some() {
                all.push_str(&format!("{}\t", example + 1));
            }
            if scored {
                all.push_str(&format!("{:.5}\t", written.found.score));
            }
            all.push_str(&text(written));
            all.push('\n');
        }
    }
    out::raw(all.as_bytes())
}

/// Texts without what they looked at.
fn plain(writer: &mut TextWriter, choice: &Choice) -> Result<Vec<Vec<WrittenText>>> {
    let texts = block_on(writer.write(choice))?;
    let with = |found: Found| WrittenText {
        found,
        alignments: Vec::new(),
    };
    let some = |texts: Vec<Found>| texts.into_iter().map(with).collect();
    Ok(texts.into_iter().map(some).collect())
}

/// A text as JSON, with what its score is.
fn scored_text(text: &str, found: &Found, scoring: Scoring) -> Value {
    json!({
        "text": text,
        "score": found.score,
        "score_is": scoring.meaning(),
        "log_probability": found.log_probability,
        "ended": found.ended,
    })
}
