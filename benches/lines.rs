//! Strategies for minibatches of lines on one text: padding, speed and validation perplexity at equal epochs, in one table.
//!
//!     cargo bench --bench lines -- TEXT --epochs 4
//!
//! The strategies take turns, an epoch each, so that a machine that is busy for a while hurts all of them; a ratio is the
//! median over the epochs of a strategy's tokens a second beside those of shuffled, padded minibatches in the same round.

use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;
use pollster::block_on;
use wgrnn::cell::library;
use wgrnn::data::{Batching, Dataset, LineOrder, LineRules, TextSource};
use wgrnn::exec::Device;
use wgrnn::train::settings::Vocab;
use wgrnn::train::{Event, Job, Length, Settings, Trainer, spec};
use wgrnn::{Error, Result};

/// What is compared, and with what.
#[derive(Parser)]
struct Args {
    /// A text of one sequence a line
    text: PathBuf,
    /// Passes over the text
    #[arg(long, default_value_t = 4)]
    epochs: u64,
    /// Hidden size H, and width of the embedding
    #[arg(long, default_value_t = 128)]
    hidden: usize,
    /// Lines of a minibatch
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Words that occur fewer times are one unknown word
    #[arg(long, default_value_t = 3)]
    min_count: u64,
    /// Learning rate of Adam
    #[arg(long, default_value_t = 0.002)]
    lr: f64,
    /// Fraction of the lines, at the end, that is held out
    #[arg(long, default_value_t = 0.05)]
    val: f64,
    /// auto, cpu, gpu, an adapter's index or a part of its name
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Seed of starts and shuffles
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only strategies whose names hold this, the first of which is what speeds are compared with
    #[arg(long)]
    only: Vec<String>,
    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

/// A strategy in training.
struct Contender {
    name: String,
    trainer: Trainer,
    /// The share of padding in its minibatches, were they padded; and whether they are.
    padding: f64,
    padded: bool,
    minibatches: u64,
    /// Tokens a second of each epoch.
    speeds: Vec<f64>,
    perplexity: f64,
}

fn main() {
    let args = Args::parse();
    if let Err(e) = run(&args) {
        eprintln!("error: {e}");
        std::process::exit(e.kind.exit_code().into());
    }
}

fn settings(args: &Args) -> Settings {
    Settings {
        lines: true,
        vocab: Vocab::Word,
        min_count: args.min_count,
        hidden: args.hidden,
        embed: args.hidden,
        batch: args.batch,
        lr: args.lr,
        clip_norm: 5.0,
        val: args.val,
        seed: args.seed,
        sample_every: 0,
        save_every: u64::MAX,
        eval_every: Some(0),
        ..Settings::default()
    }
}

/// Every order, by lines and by tokens, sorted within buckets, and what engines without packing do.
/// Those whose names hold one of `only`, if there are any.
fn strategies(base: &Settings, mean: usize, only: &[String]) -> Vec<(String, Settings)> {
    let tokens = base.batch * mean;
    let with = |name: String, change: &dyn Fn(&mut Settings)| {
        let mut settings = base.clone();
        change(&mut settings);
        (name, settings)
    };
    let orders = [
        LineOrder::Shuffle,
        LineOrder::Source,
        LineOrder::Target,
        LineOrder::SourceTarget,
        LineOrder::TargetSource,
    ];
    let mut all = vec![
        with("shuffle, padded".into(), &|s| {
            (s.line_order, s.pad) = (LineOrder::Shuffle, true);
        }),
        with("source, padded".into(), &|s| {
            (s.line_order, s.pad) = (LineOrder::Source, true);
        }),
    ];
    all.extend(orders.map(|order| with(order.to_string(), &|s| s.line_order = order)));
    all.push(with("source, buckets of 20".into(), &|s| {
        (s.line_order, s.bucket) = (LineOrder::Source, 20);
    }));
    // Minibatches of an update, and steps of each.
    for together in [1, 2, 4] {
        let steps = tokens / together;
        let name = match together {
            1 => format!("source, {steps} tokens"),
            _ => format!("source, {together} x {steps} tokens"),
        };
        all.push(with(name, &|s| {
            (s.line_order, s.batch_tokens, s.accumulate) = (LineOrder::Source, steps, together);
        }));
    }
    all.retain(|(name, _)| only.is_empty() || only.iter().any(|part| name.contains(part)));
    all
}

fn run(args: &Args) -> Result<()> {
    let base = settings(args);
    let corpus = TextSource::Files(vec![args.text.clone()]).open(&std::env::temp_dir())?;
    let vocabulary = corpus.vocabulary(&base.recipe())?;
    let (lines, _) = corpus.lines(&vocabulary, LineRules::default())?;
    let mean = lines.predictions() as usize / lines.len();
    let (train, validation) = Dataset::from(lines).split(args.val)?;
    let device = block_on(Device::open(&args.device))?;
    println!(
        "{}: {} lines, {} predictions, V {}; lstm H {}, Adam {}; {}",
        corpus.name,
        vocabulary_lines(&train),
        train.predictions(),
        vocabulary.len(),
        args.hidden,
        args.lr,
        device.name()
    );
    let mut contenders = Vec::new();
    for (name, settings) in strategies(&base, mean, &args.only) {
        let padding = padding(&train, settings.batching());
        let padded = settings.pad;
        let spec = spec(&settings, vec![library::builtin("lstm")?], vocabulary.len());
        let length = Length::Epochs(args.epochs);
        let job = Job::new(settings, spec, length, train.clone(), validation.clone())?;
        let (state, minibatches) = (job.start()?, job.steps_per_epoch());
        contenders.push(Contender {
            name,
            trainer: block_on(Trainer::new(device.clone(), job, state))?,
            padding,
            padded,
            minibatches,
            speeds: Vec::new(),
            perplexity: f64::NAN,
        });
    }
    for epoch in 1..=args.epochs {
        for contender in &mut contenders {
            block_on(contender.epoch(epoch))?;
        }
        eprintln!("epoch {epoch} of {}", args.epochs);
    }
    if contenders.is_empty() {
        return Err(Error::usage("--only: no strategy is called so"));
    }
    print(&contenders);
    Ok(())
}

fn vocabulary_lines(dataset: &Dataset) -> usize {
    match dataset {
        Dataset::Lines(lines) => lines.len(),
        Dataset::Stream(_) => 1,
    }
}

/// The share of padding in the first epoch's minibatches.
fn padding(dataset: &Dataset, batching: Batching) -> f64 {
    match dataset {
        Dataset::Lines(lines) => batching.epoch(lines, 1, 0).padding(lines).share(),
        Dataset::Stream(_) => 0.0,
    }
}

impl Contender {
    /// Trains one epoch and evaluates.
    async fn epoch(&mut self, epoch: u64) -> Result<()> {
        let start = Instant::now();
        let (mut seconds, mut tokens) = (0.0, 0);
        loop {
            match self.trainer.next(0.0, false).await? {
                Event::Steps(figures) => {
                    seconds = start.elapsed().as_secs_f64();
                    tokens += figures.iter().map(|f| f.tokens).sum::<usize>();
                }
                Event::Evaluated { evaluation, .. } => {
                    self.perplexity = evaluation.perplexity;
                    self.speeds.push(tokens as f64 / seconds);
                    return Ok(());
                }
                Event::Finished => {
                    let text = format!("{}: ended before epoch {epoch}", self.name);
                    return Err(Error::internal(text));
                }
                _ => {}
            }
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (values[(n - 1) / 2] + values[n / 2]) / 2.0
}

fn print(contenders: &[Contender]) {
    println!(
        "{:<24} {:>11} {:>9} {:>9} {:>9} {:>7} {:>11}",
        "strategy", "minibatches", "padding", "computed", "tokens/s", "ratio", "perplexity"
    );
    let first = &contenders[0];
    for c in contenders {
        let ratios = c.speeds.iter().zip(&first.speeds).map(|(a, b)| a / b);
        println!(
            "{:<24} {:>11} {:>8.2}% {:>8.2}% {:>9.0} {:>6.2}x {:>11.2}",
            c.name,
            c.minibatches,
            100.0 * c.padding,
            if c.padded { 100.0 * c.padding } else { 0.0 },
            median(c.speeds.iter().copied()),
            median(ratios),
            c.perplexity
        );
    }
}
