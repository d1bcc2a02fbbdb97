//! A profile as a table.

use wgrnn::Result;
use wgrnn::exec::Device;
use wgrnn::exec::profile::{Gaps, Host, Profile, rate};
use wgrnn::op::Cost;

use super::super::out;
use super::Profiled;
use super::report::{clock, total, word};
use super::work::PlannedStep;

/// Prints the whole of it.
pub fn print(of: &Profiled) -> Result<()> {
    let (found, step) = (&of.found, &of.work.step);
    out::line(&title(step))?;
    out::line(&format!(
        "limits: {:.1} GFLOP/s, {:.1} GB/s (multiply-adds in registers, a large copy); kernels by the {}'s clock",
        1e-9 * found.limits.flops,
        1e-9 * found.limits.bytes,
        clock(found)
    ))?;
    if let Device::Gpu(gpu) = &of.device {
        let (tile, tuned) = gpu.tile(&step.plan);
        let by = if tuned { "`tune` found" } else { "usual" };
        out::line(&format!("tile ({by}): {tile}"))?;
        for what in &found.left_out {
            out::line(&format!("left out: {what}"))?;
        }
        out::line("")?;
    }
    kernels(found)?;
    out::line(&format!(
        "\nstep: {:.4} ms, {:.0} tokens/s; {:.4} ms where every kernel is timed",
        1e3 * found.wall,
        rate((of.work.rows * step.settings.accumulate) as f64, found.wall),
        1e3 * found.timed
    ))?;
    if let Some(gaps) = &found.gaps {
        out::line(&of_gaps(gaps, found.timed))?;
    }
    match &found.host {
        Some(host) => of_host(host, found.wall),
        None => Ok(()),
    }
}

/// The model and the minibatch in a line.
pub fn title(step: &PlannedStep) -> String {
    let PlannedStep {
        settings,
        spec,
        plan,
        minibatch,
        ..
    } = step;
    let input = match spec.embed {
        0 => "one-hot".to_string(),
        width => format!("embed {width}"),
    };
    format!(
        "{}: {} x H {}, {input}, {minibatch}, {}, {} parameters",
        spec.cell_names(),
        spec.cells.len(),
        spec.hidden,
        settings.optimizer,
        plan.parameter_count()
    )
}

/// A row for each kernel and one for all.
fn kernels(found: &Profile) -> Result<()> {
    let (calls, seconds, cost) = total(&found.rows);
    let width = name_width(found.rows.iter().map(|r| r.label.as_str()));
    out::line(&format!(
        "{:<width$} {:>6} {:>10} {:>6} {:>9} {:>8}  of the limit",
        "kernel", "calls", "ms/step", "share", "GFLOP/s", "GB/s"
    ))?;
    let columns = |name: &str, calls: u64, time: f64, cost: Cost| {
        format!(
            "{name:<width$} {calls:>6} {:>10.4} {:>5.1}% {:>9.2} {:>8.2}",
            1e3 * time,
            1e2 * rate(time, seconds),
            1e-9 * rate(cost.flops, time),
            1e-9 * rate(cost.bytes, time),
        )
    };
    for row in &found.rows {
        let (share, bound) = row.share(&found.limits);
        out::line(&format!(
            "{} {:>5.1}% {}",
            columns(&row.label, row.calls, row.seconds, row.cost),
            1e2 * share,
            word(bound)
        ))?;
    }
    out::line(&columns("total", calls, seconds, cost))
}

/// The width of a column of kernels' names.
pub fn name_width<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    let longest = names.map(str::len).max().unwrap_or(0);
    longest.max("kernel".len())
}

fn of_gaps(gaps: &Gaps, timed: f64) -> String {
    format!(
        "gaps: {:.4} ms between {} kernels where each is timed, {:.1}% of that step; median {:.2} us, longest {:.2} us after {}",
        1e3 * gaps.sum,
        gaps.count + 1,
        1e2 * rate(gaps.sum, timed),
        1e6 * gaps.median,
        1e6 * gaps.longest,
        gaps.after
    )
}

fn of_host(host: &Host, wall: f64) -> Result<()> {
    let submissions = match host.submissions {
        1 => "1 submission".to_string(),
        n => format!("{n} submissions"),
    };
    if let (Some(device), Some(busy)) = (host.device, host.busy(wall)) {
        out::line(&format!(
            "device: {:.4} ms in {submissions}, the longest {:.4} ms; at work {:.1}% of a step's time",
            1e3 * device,
            1e3 * host.longest,
            1e2 * busy
        ))?;
    }
    out::line(&format!(
        "host: {:.4} ms recording, {:.4} ms submitting, {:.4} ms handing inputs over, {:.4} ms waiting; {} dispatches, {:.2} us each",
        1e3 * host.recording,
        1e3 * host.submitting,
        1e3 * host.inputs,
        1e3 * host.waiting,
        host.dispatches,
        1e6 * host.per_dispatch()
    ))
}
