//! Flags of how texts are looked for, for subcommands that answer with texts: beams, lengths, what they are compared by.

use clap::{Arg, ArgAction, ArgMatches, value_parser};
use wgrnn::search::{LengthPenalty, Scoring};
use wgrnn::train::{Choice, TextLimits};
use wgrnn::{Error, Result};

use super::flags;

/// The flags of a search, which have a meaning for models that write texts alone.
pub const FLAGS: [&str; 7] = [
    "beam",
    "early-stop",
    "length-penalty",
    "coverage-penalty",
    "max-length",
    "min-length",
    "block-ngram",
];

/// Tokens of a text, at most, where nothing is said.
pub const MOST: usize = 100;

/// The arguments.
pub fn args() -> [Arg; 7] {
    [
        flags::whole("beam", 1, 1000).help(
            "Of models that write texts: so many beginnings go on side by side, and the text of the best score is the \
             answer (default 1: each token the likeliest)",
        ),
        Arg::new("early-stop")
            .long("early-stop")
            .action(ArgAction::SetTrue)
            .help(
                "Of models that write texts: a search is over when as many texts have ended as there are beams, instead of when \
                 none that goes on can be better",
            ),
        Arg::new("length-penalty")
            .long("length-penalty")
            .value_name("none|average|wu=ALPHA")
            .help(
                "What texts are compared by: their log probability; that divided by its predictions, the end among them \
                 (default); or by ((5 + predictions) / 6)^ALPHA",
            ),
        Arg::new("coverage-penalty")
            .long("coverage-penalty")
            .value_name("BETA")
            .value_parser(value_parser!(f64))
            .allow_hyphen_values(true)
            .help(
                "Of models with one attention: BETA times the sum over the source of ln min(w, 1) is added to the score, w \
                 being what all predictions weigh a step by (Wu et al. 2016; default 0, 0.2 there)",
            ),
        flags::whole("max-length", 1, 65536)
            .help("Of models that write texts: tokens of a text, at most (default 100)"),
        flags::whole("min-length", 0, 65536)
            .help("Of models that write texts: tokens of a text, at least (default 0)"),
        flags::whole("block-ngram", 0, 1000)
            .help("No N tokens in a row come twice in a text (default 0: they may)"),
    ]
}

/// What the flags say, with at most `most` tokens where they do not say how many.
///
/// # Errors
/// Usage: an unknown length penalty, a least length above the largest.
pub fn limits(m: &ArgMatches, most: usize) -> Result<TextLimits> {
    let whole = |name: &str| m.get_one::<u64>(name).map(|n| *n as usize);
    let penalty = m.get_one::<String>("length-penalty");
    let penalty = penalty.map(|text| LengthPenalty::parse(text)).transpose();
    let limits = TextLimits {
        beams: whole("beam").unwrap_or(1),
        texts: 1,
        scoring: Scoring {
            length: penalty
                .map_err(|e| Error::new(e.kind, format!("--length-penalty: {}", e.message)))?
                .unwrap_or_default(),
            coverage: m.get_one("coverage-penalty").copied().unwrap_or(0.0),
        },
        least: whole("min-length").unwrap_or(0),
        most: whole("max-length").unwrap_or(most),
        block_ngram: whole("block-ngram").unwrap_or(0),
        early_stop: m.get_flag("early-stop"),
        prime: Vec::new(),
    };
    let coverage = limits.scoring.coverage;
    if !(0.0..=10.0).contains(&coverage) {
        return Err(Error::usage(format!(
            "--coverage-penalty: expected 0 to 10, got {coverage}"
        )));
    }
    if limits.least > limits.most {
        let TextLimits { least, most, .. } = limits;
        return Err(Error::usage(format!(
            "--min-length: expected at most --max-length, {most}, got {least}"
        )));
    }
    Ok(limits)
}

/// The likeliest at every step.
pub fn likeliest() -> Choice {
    Choice {
        temperature: 0.0,
        ..Choice::default()
    }
}
