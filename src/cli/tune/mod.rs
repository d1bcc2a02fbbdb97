//! `tune`: the kernels' sizes that are fastest for a model on an adapter, by measurement, remembered for later runs.

pub mod tiles;

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{ArgMatches, Command};
use pollster::block_on;
use serde_json::json;
use wgrnn::exec::Device;
use wgrnn::exec::gpu::{self, Gpu, Shape, Tile};
use wgrnn::{Error, Kind, Result};

use super::check::{own, passed};
use super::profile::work::{self, PlannedStep, ProfiledStep};
use super::{flags, out};

/// Seconds that a step must take less for another tile to be better: what differs by less is noise.
const BETTER: f64 = 0.97;
/// Workgroups of a kernel that spans them at most.
pub const MEETING: usize = 1024;
/// Steps of which the fastest counts, after one that compiles.
const STEPS: usize = 4;
/// Before the last of them a tile that is clearly slower is left.
const HOPELESS: f64 = 1.5;

pub fn command() -> Command {
    Command::new("tune")
        .about("Find the kernel sizes that are fastest for a model on an adapter, and remember them")
        .args(work::arguments())
        .arg(
            flags::whole("seconds", 1, 86_400)
                .default_value("120")
                .help("When to stop looking"),
        )
        .arg(flags::json())
        .after_help(
            "Examples:\n  wgrnn tune --device gpu --hidden 512 --layers 2 --batch 64\n  wgrnn tune runs/book\n\n\
             Sizes change speed, and results by rounding at most. What is found is compared with the plain\n\
             code first, and used by later runs with this H and B on an adapter that passed\n\
             `wgrnn check`. Nothing needs it.",
        )
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let work = ProfiledStep::new(m)?;
    let shape = Shape::of(&work.step.plan)
        .ok_or_else(|| Error::usage("tune: the model has no recurrent layer"))?;
    let Device::Gpu(device) = flags::open_device(m)? else {
        let text = "tune: the processor has nothing to tune; name an adapter with --device";
        return Err(Error::usage(text));
    };
    let passed = passed::passed(&device.adapter);
    // What is measured here is compared below, before anything is kept.
    device.trust();
    device.tuned(Vec::new());
    // What waits for nobody runs anywhere; who may wait for others is not up to a measurement alone.
    let met = if passed && device.adapter.goes_on() {
        block_on(device.meeting(MEETING))?
    } else {
        1
    };
    let seconds = m.get_one::<u64>("seconds").map_or(120, |n| *n);
    let until = Instant::now() + Duration::from_secs(seconds);
    let found = search(&device, &work, until, met, !m.get_flag("json"))?;
    compare(&device, &work, found.best)?;
    let file = tiles::keep(&device.adapter, shape, found.best)?;
    if m.get_flag("json") {
        return out::json(&json!({
            "adapter": device.adapter.name,
            "driver": device.adapter.driver,
            "hidden": shape.hidden,
            "batch": shape.batch,
            "usual_ms": 1e3 * found.usual,
            "best_ms": 1e3 * found.seconds,
            "tile": found.best,
            "measured": found.measured.iter().map(|(what, seconds, tile)| json!({
                "what": what, "ms": seconds.map(|s| 1e3 * s), "tile": tile,
            })).collect::<Vec<_>>(),
            "complete": found.complete,
            "file": file.as_ref().map(|file| file.display().to_string()),
        }));
    }
    out::line(&format!(
        "\n{:.2}x the usual speed at H {}, B {}: {}",
        found.usual / found.seconds,
        shape.hidden,
        shape.batch,
        found.best
    ))?;
    if !found.complete {
        out::line("the time was up before all sizes were looked at; --seconds gives more")?;
    }
    match (file, passed) {
        (None, _) => out::line("not remembered: the system names no cache folder"),
        (Some(file), true) => out::line(&format!("remembered in {}", file.display())),
        (Some(file), false) => out::line(&format!(
            "remembered in {}; used once the adapter has passed `wgrnn check`",
            file.display()
        )),
    }
}

/// What a search found.
struct SearchResult {
    best: Tile,
    /// Seconds a step with it, and with the usual one.
    seconds: f64,
    usual: f64,
    /// What was looked at, with the seconds of a step where there were any.
    measured: Vec<(&'static str, Option<f64>, Tile)>,
    /// Whether nothing near the best is left to look at.
    complete: bool,
}

/// Goes from a tile to the first neighbour that is faster until none is.
fn search(
    device: &Arc<gpu::GpuDevice>,
    work: &ProfiledStep,
    until: Instant,
    met: usize,
    tell: bool,
) -> Result<SearchResult> {
    let (start, _) = device.tile(&work.step.plan);
    let usual = time(device, work, start, f64::INFINITY)?;
    let say = |seconds: f64, what: &str, tile: &Tile| {
        if tell {
            out::line(&format!("{:>10.3} ms  {what:<30} {tile}", 1e3 * seconds))
        } else {
            Ok(())
        }
    };
    const USUAL: &str = "the usual";
    say(usual, USUAL, &start)?;
    let mut found = SearchResult {
        best: start,
        seconds: usual,
        usual,
        measured: vec![(USUAL, Some(usual), start)],
        complete: true,
    };
    let mut seen = vec![start];
    loop {
        let near = found.best.neighbours(met);
        let Some((name, tile)) = near.into_iter().find(|(_, tile)| !seen.contains(tile)) else {
            return Ok(found);
        };
        if Instant::now() > until {
            found.complete = false;
            return Ok(found);
        }
        seen.push(tile);
        let seconds = match time(device, work, tile, found.seconds) {
            Ok(seconds) => seconds,
            // What does not fit an adapter is no choice there; a device that is gone is an error.
            Err(error) if device.lost() => return Err(error),
            Err(_) => f64::INFINITY,
        };
        let took = Some(seconds).filter(|s| s.is_finite());
        found.measured.push((name, took, tile));
        if seconds.is_finite() {
            say(seconds, name, &tile)?;
        }
        if seconds < BETTER * found.seconds {
            (found.best, found.seconds) = (tile, seconds);
        }
    }
}

/// Seconds of the fastest of a few steps.
fn time(device: &Arc<gpu::GpuDevice>, work: &ProfiledStep, tile: Tile, best: f64) -> Result<f64> {
    let gpu = Gpu::with_tile(device.clone(), work.step.plan.clone(), &tile);
    let mut gpu = block_on(gpu)?;
    let met = |gpu: &Gpu| {
        if tile.span > 0 && !gpu.spans() {
            return Err(Error::device("no kernel spans workgroups"));
        }
        Ok(())
    };
    met(&gpu)?;
    if let Some(slot) = work.step.plan.io.parameters {
        gpu.write(slot, &work.parameters)?;
    }
    let inputs = work.inputs();
    let mut fastest = f64::INFINITY;
    for step in 0..=STEPS {
        let start = Instant::now();
        block_on(gpu.run(&inputs))?;
        block_on(gpu.outcomes(true))?;
        met(&gpu)?;
        if step > 0 {
            fastest = fastest.min(start.elapsed().as_secs_f64());
        }
        if step > 0 && fastest > HOPELESS * best {
            break;
        }
    }
    Ok(fastest)
}

/// Refuses a tile whose kernels differ from the plain code.
fn compare(device: &Arc<gpu::GpuDevice>, work: &ProfiledStep, tile: Tile) -> Result<()> {
    let PlannedStep {
        settings,
        spec,
        update,
        plan,
        fields,
        ..
    } = &work.step;
    let parameters = &work.parameters;
    let model = match fields {
        Some((model, sizes)) => own::few(model, spec, sizes, *update, parameters),
        None => own::model(settings, spec, plan, parameters)?,
    };
    device.force(Some(tile));
    let found = block_on(model.compare(device, None, false));
    device.force(None);
    match found?.rows.iter().find(|row| !row.passed()) {
        Some(row) => Err(Error::new(
            Kind::Device,
            format!("{tile}: nothing is remembered: {}", row.fault()),
        )),
        None => Ok(()),
    }
}
