//! What a check of a cell or a model is made of: parts, each with its figures, and the verdict over all of them.

use std::sync::Arc;

use pollster::block_on;
use serde_json::{Value, json};
use wgrnn::exec::Device;
use wgrnn::exec::check::SlotComparison;
use wgrnn::exec::gpu;
use wgrnn::op::Plan;
use wgrnn::task::differences::{Slope, TOLERANCE, differences, worst};
use wgrnn::train::{Event, Job, Trainer};
use wgrnn::{Error, Kind, Result};

use super::open;
use crate::cli::out;

/// How one part came out.
#[derive(Clone, Copy, PartialEq)]
pub enum Status {
    Passed,
    Failed,
    Skipped,
}

impl Status {
    /// That of a part that passed or not.
    pub fn of(passed: bool) -> Status {
        if passed {
            Status::Passed
        } else {
            Status::Failed
        }
    }

    fn word(self) -> &'static str {
        match self {
            Status::Passed => "ok",
            Status::Failed => "FAILED",
            Status::Skipped => "not checked",
        }
    }
}

/// A part of a check.
pub struct CheckPart {
    /// Its name.
    pub name: &'static str,
    /// How it came out.
    pub status: Status,
    /// The worst figure and what it is, in words.
    pub text: String,
    /// The same for programs.
    pub figures: Value,
}

impl CheckPart {
    fn without_figures(name: &'static str, status: Status, text: String) -> CheckPart {
        CheckPart {
            name,
            status,
            text,
            figures: Value::Null,
        }
    }
}

/// The parts of a check so far.
pub struct Verdict {
    /// What is checked, as JSON calls it: `cell` or `model`.
    kind: &'static str,
    /// Its name.
    name: String,
    json: bool,
    parts: Vec<CheckPart>,
}

impl Verdict {
    /// Of the `kind` called `name`; parts are printed as they come, but for `json`.
    pub fn new(kind: &'static str, name: &str, json: bool) -> Verdict {
        Verdict {
            kind,
            name: name.into(),
            json,
            parts: Vec::new(),
        }
    }

    /// Takes a part.
    ///
    /// # Errors
    /// Io, where it cannot be printed.
    pub fn tell(&mut self, part: CheckPart) -> Result<()> {
        if !self.json {
            let (name, status) = (part.name, part.status.word());
            out::line(&format!("{name:<18} {status:<11} {}", part.text))?;
        }
        self.parts.push(part);
        Ok(())
    }

    /// Prints the verdict.
    ///
    /// # Errors
    /// Internal: every part that failed.
    pub fn conclude(self) -> Result<()> {
        let failed = self.parts.iter().filter(|p| p.status == Status::Failed);
        let faults: Vec<String> = failed
            .map(|p| format!("{}: {} failed: {}", self.name, p.name, p.text))
            .collect();
        if self.json {
            let part = |p: &CheckPart| json!({"part": p.name, "status": p.status.word().to_lowercase(), "text": p.text, "figures": p.figures});
            out::json(&json!({
                self.kind: self.name,
                "verdict": if faults.is_empty() { "ok" } else { "failed" },
                "parts": self.parts.iter().map(part).collect::<Vec<_>>(),
            }))?;
        }
        if !faults.is_empty() {
            return Err(Error::internal(faults.join("\n")));
        }
        if !self.json {
            out::line(&format!("{}: ok", self.name))?;
        }
        Ok(())
    }
}

/// The gradients of plans beside finite differences; each plan with whether the fast code runs.
///
/// # Errors
/// Plans that cannot be made.
pub fn gradients(plans: impl IntoIterator<Item = Result<(Arc<Plan>, bool)>>) -> Result<CheckPart> {
    let name = "finite differences";
    let mut slopes: Vec<Slope> = Vec::new();
    for made in plans {
        let (plan, fast) = made?;
        match differences(plan, fast) {
            Ok(found) => slopes.extend(found),
            Err(e) if e.kind == Kind::Diverged => {
                return Ok(CheckPart::without_figures(name, Status::Failed, e.message));
            }
            Err(e) => return Err(e),
        }
    }
    let failed = slopes.iter().filter(|s| !s.passed()).count();
    let far = worst(&slopes).ok_or_else(|| Error::internal("no gradient to check"))?;
    let error = far.error();
    Ok(CheckPart {
        name,
        status: Status::of(failed == 0),
        text: format!(
            "{} gradients, {failed} off; the worst by {error:.1e} of its slope (allowed {TOLERANCE:.0e}): {}",
            slopes.len(),
            far.fault()
        ),
        figures: json!({"compared": slopes.len(), "failed": failed, "worst": error, "allowed": TOLERANCE}),
    })
}

/// The adapter of `choice`, any where nothing is said, beside the plain code: `compare` gives every comparison with the
/// title of its model.
///
/// # Errors
/// Device, where one was chosen that is not there; those of `compare`.
pub fn on_device(
    choice: Option<&str>,
    compare: impl FnOnce(&Arc<gpu::GpuDevice>) -> Result<Vec<(String, SlotComparison)>>,
) -> Result<CheckPart> {
    let name = "device";
    let skipped = |text: String| CheckPart::without_figures(name, Status::Skipped, text);
    if choice == Some("cpu") {
        return Ok(skipped("--device cpu names no adapter".into()));
    }
    let device = match (open(choice.unwrap_or("gpu")), choice) {
        (Ok(device), _) => device,
        // Without a wish a machine without an adapter is no fault of what is checked.
        (Err(e), None) if e.kind == Kind::Device => {
            return Ok(skipped(format!("no adapter: {}", e.message)));
        }
        (Err(e), _) => return Err(e),
    };
    let rows = compare(&device)?;
    let failed = rows.iter().filter(|r| !r.1.passed()).count();
    // As a part of what is allowed; a NaN is further off than any number.
    let share = |row: &SlotComparison| {
        let (_, got, want) = row.worst;
        let share = (got - want).abs() / row.tolerance;
        if row.passed() { share } else { f64::INFINITY }
    };
    // Of several that are off the first is named.
    let far = rows
        .iter()
        .rev()
        .max_by(|a, b| share(&a.1).total_cmp(&share(&b.1)));
    let Some((title, far)) = far else {
        return Err(Error::internal("no operation to compare"));
    };
    let worst = if far.passed() {
        format!(
            "the worst at {:.0}% of its tolerance: {} ({title})",
            1e2 * share(far),
            far.op
        )
    } else {
        format!("{title}: {}", far.fault())
    };
    Ok(CheckPart {
        name,
        status: Status::of(failed == 0),
        text: format!(
            "{} comparisons on {}, {failed} off; {worst}",
            rows.len(),
            device.adapter.name
        ),
        figures: json!({
            "adapter": device.adapter.name, "compared": rows.len(), "failed": failed, "operation": far.op,
            "worst": far.passed().then(|| share(far)),
        }),
    })
}

/// The losses of a short training on the processor; a run that diverged is a part that failed, with `figures`.
///
/// # Errors
/// Those of training but Diverged.
pub fn trained(job: Job, figures: Value) -> Result<std::result::Result<Vec<f64>, CheckPart>> {
    match block_on(losses(job)) {
        Ok(losses) => Ok(Ok(losses)),
        Err(e) if e.kind == Kind::Diverged => Ok(Err(CheckPart {
            name: TRAINING,
            status: Status::Failed,
            text: format!("diverged: {}", e.message),
            figures,
        })),
        Err(e) => Err(e),
    }
}

/// The name of the part that trains.
pub const TRAINING: &str = "training";

/// The losses of all steps.
async fn losses(job: Job) -> Result<Vec<f64>> {
    let state = job.start()?;
    let mut trainer = Trainer::new(Device::Cpu, job, state).await?;
    let mut losses = Vec::new();
    loop {
        match trainer.next(0.0, false).await? {
            Event::Steps(figures) => losses.extend(figures.iter().map(|f| f.loss)),
            Event::Finished => return Ok(losses),
            _ => {}
        }
    }
}

/// The mean over the last tenth of the losses.
pub fn last_tenth(losses: &[f64]) -> f64 {
    let last = &losses[losses.len() - losses.len().div_ceil(10)..];
    last.iter().sum::<f64>() / last.len() as f64
}
