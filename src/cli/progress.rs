//! What training shows while it runs: a bar where a terminal is, else a plain line every few seconds.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use wgrnn::train::Figures;

use super::out;

/// Between plain lines.
const PERIOD: Duration = Duration::from_secs(5);
/// Between looks at the speed.
const WINDOW: Duration = Duration::from_millis(500);
/// The share of a mean that stays at each step.
const MEMORY: f64 = 0.98;

/// The display of a training run.
pub struct ProgressDisplay {
    bar: Option<ProgressBar>,
    quiet: bool,
    /// Tokens since the speed was last taken.
    tokens: f64,
    steps_per_epoch: f64,
    unit: Option<&'static str>,
    /// A mean of the newest losses, and the weight that it has gathered.
    mean: f64,
    weight: f64,
    /// Tokens a second, of late; nothing before the first look.
    speed: Option<f64>,
    seen: Instant,
    printed: Instant,
}

impl ProgressDisplay {
    /// For a run whose tokens are each a `unit`; without one its loss is no nats.
    pub fn new(quiet: bool, steps_per_epoch: u64, unit: Option<&'static str>) -> ProgressDisplay {
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:24} {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        let now = Instant::now();
        ProgressDisplay {
            bar,
            quiet,
            tokens: 0.0,
            steps_per_epoch: steps_per_epoch as f64,
            unit,
            mean: 0.0,
            weight: 0.0,
            speed: None,
            seen: now,
            printed: now,
        }
    }

    /// Tokens a second, of late; of a run that is younger than a look, since its beginning, and nothing where no token was
    /// read yet.
    pub fn speed(&self) -> Option<f64> {
        let seconds = self.seen.elapsed().as_secs_f64();
        let young = || (self.tokens > 0.0 && seconds > 0.0).then(|| self.tokens / seconds);
        self.speed.or_else(young)
    }

    /// Shows new figures; `left` are the seconds to go, where they can be told.
    pub fn steps(&mut self, figures: &[Figures], fraction: f64, left: Option<f64>) {
        for f in figures {
            self.mean = MEMORY * self.mean + (1.0 - MEMORY) * f.loss;
            self.weight = MEMORY * self.weight + (1.0 - MEMORY);
            self.tokens += f.tokens as f64;
        }
        let Some(last) = figures.last() else { return };
        let now = Instant::now();
        let seconds = now.duration_since(self.seen).as_secs_f64();
        if seconds >= WINDOW.as_secs_f64() {
            self.speed = Some(std::mem::take(&mut self.tokens) / seconds);
            self.seen = now;
        }
        if self.quiet {
            return;
        }
        match &self.bar {
            Some(bar) => {
                bar.set_position((fraction * 1000.0) as u64);
                bar.set_message(self.message(last, left));
            }
            None if now.duration_since(self.printed) >= PERIOD => {
                self.printed = now;
                out::note(&self.message(last, left));
            }
            None => {}
        }
    }

    fn message(&self, last: &Figures, left: Option<f64>) -> String {
        let loss = self.mean / self.weight;
        let left = left.map_or(String::new(), |s| {
            let s = s.round() as u64;
            format!("  ETA {}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
        });
        let speed = self.speed();
        let speed = speed.map_or(String::new(), |speed| format!("  {speed:.0} tokens/s"));
        let penalty = match last.penalty {
            0.0 => String::new(),
            penalty => format!("  penalty {penalty:.3}"),
        };
        let bits = self.unit.map_or(String::new(), |unit| {
            format!("  {:.3} bits/{unit}", loss / std::f64::consts::LN_2)
        });
        format!(
            "step {}  epoch {:.2}  loss {loss:.3}{bits}{penalty}{speed}{left}",
            last.step,
            last.step as f64 / self.steps_per_epoch,
        )
    }

    /// Prints a line beside the bar.
    pub fn note(&self, text: &str) {
        match &self.bar {
            _ if self.quiet => {}
            Some(bar) => bar.println(text),
            None => out::note(text),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
