//! `train --plan`: what a run takes, whether it fits, and the largest batch that does; and the refusal of what does not.

use std::sync::Arc;

use serde_json::{Value, json};
use wgrnn::exec::{Device, gpu};
use wgrnn::train::{Footprint, Job};
use wgrnn::{Error, Kind, Result};

use super::{memory, out};

/// Rows beyond which no batch is looked for; the setting's own limit.
const MOST_ROWS: usize = 65536;

/// A run's footprint beside what there is.
pub struct MemoryVerdict {
    footprint: Footprint,
    capacity: Capacity,
    batch: usize,
    /// The largest batch that fits, looked for when it is told.
    largest_batch: Option<usize>,
    fault: Option<String>,
}

/// The memory that a device and its host have.
#[derive(Clone, Debug)]
struct Capacity {
    device: String,
    /// The adapter; none for the CPU.
    gpu: Option<Arc<gpu::GpuDevice>>,
    /// Whether the plans' slots lie in the host's memory.
    shared: bool,
    /// Bytes of the host's memory that are free.
    host: u64,
}

impl Capacity {
    fn of(device: &Device) -> Capacity {
        Capacity {
            device: device.name(),
            gpu: match device {
                Device::Cpu => None,
                Device::Gpu(gpu) => Some(gpu.clone()),
            },
            shared: match device {
                Device::Cpu => true,
                Device::Gpu(gpu) => gpu.adapter.software,
            },
            host: memory::available(),
        }
    }

    fn footprint(&self, job: &Job) -> Footprint {
        Footprint::new(job, self.gpu.is_none())
    }

    /// Bytes of the host's memory that a run needs.
    fn needed(&self, footprint: &Footprint) -> u64 {
        if self.shared {
            footprint.total()
        } else {
            footprint.host()
        }
    }

    /// What of a run does not fit, if anything.
    fn fault(&self, job: &Job) -> Option<String> {
        let needed = self.needed(&self.footprint(job));
        if needed > self.host {
            return Some(format!(
                "{needed} bytes ({:.1} GiB) are needed, {} bytes ({:.1} GiB) of memory are available",
                memory::gib(needed),
                self.host,
                memory::gib(self.host)
            ));
        }
        let gpu = self.gpu.as_ref()?;
        let mut plans = job.plans().into_iter();
        plans
            .find_map(|plan| gpu.holds(plan).err())
            .map(|e| e.message)
    }
}

/// The largest batch below `batch` for which `fits`; a larger one takes more, so that halving finds the edge.
fn largest(batch: usize, fits: impl Fn(usize) -> bool) -> Option<usize> {
    let (mut fitting, mut beyond) = (0, batch);
    while beyond - fitting > 1 {
        let batch = fitting + (beyond - fitting) / 2;
        if fits(batch) {
            fitting = batch
        } else {
            beyond = batch
        }
    }
    (fitting > 0).then_some(fitting)
}

/// What to do where a device ran out of memory, after an error that says how: what was asked for, and what would fit in
/// the memory that there was.
pub fn advise(e: Error, device: &Device, batch: usize, of: impl Fn(usize) -> Result<Job>) -> Error {
    let Device::Gpu(gpu) = device else { return e };
    let Some(had) = gpu.short() else { return e };
    let slots = |batch: usize| of(batch).map(|job| Footprint::new(&job, false).slots());
    let advice = match largest(batch, |b| slots(b).is_ok_and(|bytes| bytes <= had)) {
        Some(batch) => format!(
            "--batch {batch} takes {} and fits",
            slots(batch).unwrap_or(0)
        ),
        None => "lower --hidden or --layers, or set --recompute".to_string(),
    };
    let all = slots(batch).unwrap_or(0);
    let text = format!(
        "{}; the run takes {all} bytes on the device with --batch {batch}, and {had} could be had: {advice}",
        e.message
    );
    Error::new(e.kind, text)
}

impl MemoryVerdict {
    /// Of the job that `of` makes for the batch that the settings ask for; `of` is asked for others too.
    pub fn new(device: &Device, job: &Job, of: impl Fn(usize) -> Result<Job>) -> MemoryVerdict {
        let capacity = Capacity::of(device);
        let fits = |batch| of(batch).is_ok_and(|job| capacity.fault(&job).is_none());
        let largest_batch = largest(MOST_ROWS + 1, fits);
        MemoryVerdict {
            footprint: capacity.footprint(job),
            fault: capacity.fault(job),
            capacity,
            batch: job.settings.batch,
            largest_batch,
        }
    }

    /// Whether a job fits a device; the largest batch is not looked for.
    pub fn fits(device: &Device, job: &Job) -> bool {
        Capacity::of(device).fault(job).is_none()
    }

    /// The table, a line each.
    pub fn lines(&self) -> Vec<String> {
        let f = &self.footprint;
        let mut lines = vec![format!("{:<14}{:>18}", "parameters", f.parameters)];
        for (name, bytes) in f.rows() {
            lines.push(row(name, bytes));
        }
        lines.push(row("total", f.total()));
        let limit = self.capacity.gpu.as_ref().map_or(String::new(), |gpu| {
            let most = gpu.adapter.max_binding;
            format!("; {} binds at most {most} at once", gpu.adapter.name)
        });
        lines.push(format!(
            "largest slot: {} {:?}, {} bytes{limit}",
            f.largest.name, f.largest.shape, f.largest.bytes
        ));
        let kind = if self.capacity.shared {
            "memory: all of it in the host's"
        } else {
            "memory: checkpoints, text and program in the host's"
        };
        lines.push(format!(
            "{kind}, {} of {} available bytes",
            self.capacity.needed(f),
            self.capacity.host
        ));
        let batch = match self.largest_batch {
            Some(batch) => format!("--batch {batch} is the largest that does"),
            None => "no --batch does".to_string(),
        };
        lines.push(match &self.fault {
            None => format!("fits {}; {batch}", self.capacity.device),
            Some(fault) => format!("does not fit {}: {fault}; {batch}", self.capacity.device),
        });
        lines
    }

    /// The table as JSON.
    pub fn json(&self) -> Value {
        let f = &self.footprint;
        let mut bytes: serde_json::Map<String, Value> = f
            .rows()
            .into_iter()
            .map(|(name, bytes)| (name.to_string(), json!(bytes)))
            .collect();
        bytes.insert("total".into(), json!(f.total()));
        json!({"plan": {
            "parameters": f.parameters,
            "bytes": bytes,
            "largest_slot": f.largest,
            "device": self.capacity.device,
            "largest_binding": self.capacity.gpu.as_ref().map(|gpu| gpu.adapter.max_binding),
            "needed": self.capacity.needed(f),
            "available": self.capacity.host,
            "fits": self.fault.is_none(),
            "fault": self.fault,
            "batch": self.batch,
            "largest_batch": self.largest_batch,
        }})
    }

    /// Refuses what does not fit, with the table.
    pub fn refuse(&self) -> Error {
        for line in self.lines() {
            out::note(&line);
        }
        let advice = match self.largest_batch {
            Some(batch) => format!("--batch {batch} fits"),
            None => "lower --hidden or --layers, or set --recompute".to_string(),
        };
        let fault = self.fault.as_deref().unwrap_or("it does not fit");
        let text = format!("the model and its minibatch: {fault}; {advice}");
        Error::new(Kind::Usage, text)
    }
}

fn row(name: &str, bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    format!("{name:<14}{bytes:>18} bytes {mib:>10.1} MiB")
}
