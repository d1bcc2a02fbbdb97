//! What cells are measured on: the next characters of arithmetic, of XML and of a text.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pollster::block_on;
use serde_json::json;

use super::TrainingSizes;
use crate::cell::{Cell, library};
use crate::data::builtin;
use crate::error::{Error, Kind, Result};
use crate::exec::Device;
use crate::generate;
use crate::lab::{Made, encoded, hidden_of};
use crate::model::text::Model;
use crate::rng::{Purpose, Stream};
use crate::train::{Event, FieldData, FieldEvaluator, Job, Length, Settings, Trainer, spec};

/// The problems by which cells are kept.
pub const PROBLEMS: [&str; 3] = ["arithmetic", "xml", "text"];
/// The cheap one before them.
pub const CHEAP: &str = "repetition";

/// Digits of the numbers, elements of a line of XML, letters that are said twice.
const DIGITS: usize = 1;
const ELEMENTS: usize = 2;
const LETTERS: usize = 3;
/// Characters of the text that are an example.
const WINDOW: usize = 48;
/// A text with more different characters has too large a head for so short a training.
const MOST_CHARACTERS: usize = 256;

/// The bounds between which learning rates are drawn, their logarithms uniformly, and the norm that gradients are cut to.
const RATES: (f64, f64) = (0.003, 0.02);
const CLIP: f64 = 1.0;

const MODEL: &str = include_str!("../../assets/models/language.model");

/// Settings of a training that are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// The learning rate.
    pub lr: f64,
    /// The seed of weights and order.
    pub seed: u64,
}

impl Drawn {
    /// The `n`-th draw of a search.
    pub fn new(seed: u64, n: u64) -> Drawn {
        let mut stream = Stream::new(seed, Purpose::Search, n);
        let (least, most) = (RATES.0.ln(), RATES.1.ln());
        // Four digits are enough, and the same in a file.
        let lr = (least + (most - least) * f64::from(stream.uniform())).exp();
        Drawn {
            lr: (lr * 1e5).round() / 1e5,
            seed: stream.below(1 << 32),
        }
    }
}

/// Encoded examples of every problem, and where cells are trained on them.
#[derive(Debug)]
pub struct Problems {
    sizes: TrainingSizes,
    kept: Vec<FieldData>,
    cheap: FieldData,
    device: Device,
}

/// A text as examples of 48 characters.
#[derive(Clone, Debug, PartialEq)]
pub struct ProblemText {
    windows: Vec<String>,
    /// Where it comes from, with a hash of its bytes.
    pub name: String,
}

impl ProblemText {
    /// A text of so many examples, evenly taken from all of `text`.
    ///
    /// # Errors
    /// Data: fewer characters than that, or too many different ones.
    pub fn of(name: &str, text: &str, examples: u64) -> Result<ProblemText> {
        let characters: Vec<char> = text.chars().collect();
        let needed = examples as usize * WINDOW;
        if characters.len() < needed {
            return Err(Error::data(format!(
                "{name}: expected at least {needed} characters, {examples} examples of {WINDOW}, found {}",
                characters.len()
            )));
        }
        let all: Vec<&[char]> = characters.chunks_exact(WINDOW).collect();
        let taken = (0..examples as usize).map(|n| all[n * all.len() / examples as usize]);
        let windows: Vec<String> = taken.map(|w| w.iter().collect()).collect();
        let mut different: Vec<char> = windows.iter().flat_map(|w| w.chars()).collect();
        different.sort_unstable();
        different.dedup();
        if different.len() > MOST_CHARACTERS {
            return Err(Error::data(format!(
                "{name}: expected at most {MOST_CHARACTERS} different characters, found {}",
                different.len()
            )));
        }
        let hash = blake3::hash(text.as_bytes()).to_hex();
        Ok(ProblemText {
            windows,
            name: format!("{name}, blake3 {}", &hash[..16]),
        })
    }

    /// The built-in corpus.
    ///
    /// # Errors
    /// As [`ProblemText::of`].
    pub fn builtin(examples: u64) -> Result<ProblemText> {
        let made = builtin::generate(1, (examples as usize + 1) * WINDOW);
        ProblemText::of("the built-in corpus", &made.text, examples)
    }
}

impl Problems {
    /// The problems of a search on `device`, `text` the last of them.
    ///
    /// # Errors
    /// Data, where `text` has too few examples.
    pub fn new(
        sizes: TrainingSizes,
        text: &ProblemText,
        seed: u64,
        device: &Device,
    ) -> Result<Problems> {
        let model = Arc::new(Model::parse("language", MODEL)?);
        let count = sizes.examples + sizes.held_out;
        if text.windows.len() as u64 != count {
            return Err(Error::internal(format!(
                "expected a text of {count} examples, found {}",
                text.windows.len()
            )));
        }
        let encoded = |lines: &[String]| {
            let lines = lines.iter().map(|line| json!({"text": line}).to_string());
            let all: Vec<String> = lines.collect();
            let made = Made {
                text: all.join("\n"),
                ending: "jsonl",
                symbols: None,
            };
            encoded(&made, &model, sizes.examples, 1)
        };
        let made = |task: &str, length: usize| -> Result<FieldData> {
            let task = generate::task(task)?;
            let examples = task.examples(count, seed, Some(length))?;
            let lines = examples.filter(|line| !line.is_empty() && line != task.header);
            // A line's own end is the mark behind it; what stands beside is one line.
            let lines: Vec<String> = lines
                .map(|line| line.trim_end().replace('\t', "="))
                .collect();
            encoded(&lines)
        };
        Ok(Problems {
            kept: vec![
                made(PROBLEMS[0], DIGITS)?,
                made(PROBLEMS[1], ELEMENTS)?,
                encoded(&text.windows)?,
            ],
            cheap: made(CHEAP, LETTERS)?,
            sizes,
            device: device.clone(),
        })
    }

    /// The share of held-out next characters that a trained `cell` has right on the cheap problem.
    ///
    /// # Errors
    /// As [`Problems::accuracy`].
    pub fn cheap(&self, cell: &Cell, drawn: Drawn, stop: &AtomicBool) -> Result<f64> {
        self.trained(&self.cheap, cell, drawn, self.sizes.cheap_updates, stop)
    }

    /// The same on the problem `problem` of [`PROBLEMS`]; 0 where training diverges.
    ///
    /// # Errors
    /// Interrupted, where `stop` was set; what training ends with.
    pub fn accuracy(
        &self,
        problem: usize,
        cell: &Cell,
        drawn: Drawn,
        stop: &AtomicBool,
    ) -> Result<f64> {
        let data = &self.kept[problem];
        self.trained(data, cell, drawn, self.sizes.updates, stop)
    }

    fn trained(
        &self,
        data: &FieldData,
        cell: &Cell,
        drawn: Drawn,
        updates: u64,
        stop: &AtomicBool,
    ) -> Result<f64> {
        let of_gru = self.sizes.hidden;
        let hidden = hidden_of(cell, library::builtin("gru")?.parameters(of_gru, of_gru));
        let settings = Settings {
            hidden,
            // Then an equation may use x elementwise.
            embed: hidden,
            batch: self.sizes.batch,
            lr: drawn.lr,
            clip_norm: CLIP,
            seed: drawn.seed,
            save_every: u64::MAX,
            eval_every: Some(u64::MAX),
            ..Settings::default()
        };
        let spec = spec(&settings, vec![cell.clone()], 0);
        let training = FieldData {
            validation: None,
            ..data.clone()
        };
        let job = Job::of_fields(settings, spec.clone(), Length::Steps(updates), &training)?;
        let state = job.start()?;
        let held_out = data.validation.clone();
        let held_out = held_out.ok_or_else(|| Error::internal("nothing is held out"))?;
        let spec = job.spec.clone();
        block_on(async {
            let mut trainer = Trainer::new(self.device.clone(), job, state).await?;
            let mut parameters = None;
            loop {
                if stop.load(Ordering::SeqCst) {
                    return Err(Error::new(Kind::Interrupted, "interrupted"));
                }
                match trainer.next(0.0, false).await {
                    Ok(Event::Save { state, .. }) => parameters = Some(state.parameters),
                    Ok(Event::Finished) => break,
                    Ok(_) => {}
                    Err(e) if e.kind == Kind::Diverged => return Ok(0.0),
                    Err(e) => return Err(e),
                }
            }
            let parameters =
                parameters.ok_or_else(|| Error::internal("a training ended without its state"))?;
            let mut evaluator = FieldEvaluator::new(&spec, held_out, &data.codes)?.with_accuracy();
            let found = evaluator
                .run(&self.device, &parameters, &mut |_| Ok(()))
                .await?;
            let loss = &found.losses[0];
            let right = loss.right.unwrap_or(0);
            Ok(right as f64 / loss.count.max(1) as f64)
        })
    }
}
