//! `train --plan`: what a run takes, whether it fits, and the largest batch that does; and the refusal of what does not.

use serde_json::{Value, json};
use wgrnn::exec::Device;
use wgrnn::train::{Footprint, Job};
use wgrnn::{Error, Kind, Result};

use super::{memory, out};

/// Rows beyond which no batch is looked for; the setting's own limit.
const MOST_ROWS: usize = 65536;

/// A run's footprint beside what there is.
pub struct Verdict {
    footprint: Footprint,
    room: Room,
    batch: usize,
    /// The largest batch that fits, looked for when it is told.
    largest_batch: Option<usize>,
}

/// What there is on a device and its host.
#[derive(Clone, Debug)]
struct Room {
    device: String,
    /// The largest slot that the device binds; none for the CPU.
    binding: Option<u64>,
    /// Whether the plans' slots lie in the host's memory.
    shared: bool,
    /// Bytes of the host's memory that are free.
    host: u64,
}

impl Room {
    fn of(device: &Device) -> Room {
        Room {
            device: device.name(),
            binding: match device {
                Device::Cpu => None,
                Device::Gpu(gpu) => Some(gpu.adapter.max_binding),
            },
            shared: match device {
                Device::Cpu => true,
                Device::Gpu(gpu) => gpu.adapter.software,
            },
            host: memory::available(),
        }
    }

    /// Bytes of the host's memory that a run needs.
    fn needed(&self, footprint: &Footprint) -> u64 {
        match self.shared {
            true => footprint.total(),
            false => footprint.host(),
        }
    }

    fn fits(&self, footprint: &Footprint) -> bool {
        let binds = self.binding.is_none_or(|b| footprint.largest.bytes <= b);
        binds && self.needed(footprint) <= self.host
    }
}

impl Verdict {
    /// Of the job that `of` makes for the batch that the settings ask for; `of` is asked for others too.
    pub fn new(device: &Device, job: &Job, of: impl Fn(usize) -> Result<Job>) -> Verdict {
        let room = Room::of(device);
        let fits = |batch| of(batch).is_ok_and(|job| room.fits(&Footprint::new(&job)));
        // A larger batch takes more, so that halving finds the edge.
        let (mut fitting, mut beyond) = (0, MOST_ROWS + 1);
        while beyond - fitting > 1 {
            let batch = fitting + (beyond - fitting) / 2;
            match fits(batch) {
                true => fitting = batch,
                false => beyond = batch,
            }
        }
        Verdict {
            footprint: Footprint::new(job),
            room,
            batch: job.settings.batch,
            largest_batch: (fitting > 0).then_some(fitting),
        }
    }

    /// Whether a job fits a device; the largest batch is not looked for.
    pub fn fits(device: &Device, job: &Job) -> bool {
        Room::of(device).fits(&Footprint::new(job))
    }

    /// The table, a line each.
    pub fn lines(&self) -> Vec<String> {
        let f = &self.footprint;
        let mut lines = vec![format!("{:<14}{:>18}", "parameters", f.parameters)];
        for (name, bytes) in f.rows() {
            lines.push(row(name, bytes));
        }
        lines.push(row("total", f.total()));
        let limit = self.room.binding.map_or(String::new(), |b| {
            format!("; {} binds at most {b}", self.room.device)
        });
        lines.push(format!(
            "largest slot: {} {:?}, {} bytes{limit}",
            f.largest.name, f.largest.shape, f.largest.bytes
        ));
        let kind = match self.room.shared {
            true => "memory: all of it in the host's",
            false => "memory: checkpoints, text and program in the host's",
        };
        lines.push(format!(
            "{kind}, {} of {} available bytes",
            self.room.needed(f),
            self.room.host
        ));
        let batch = match self.largest_batch {
            Some(batch) => format!("--batch {batch} is the largest that does"),
            None => "no --batch does".to_string(),
        };
        lines.push(match self.room.fits(f) {
            true => format!("fits {}; {batch}", self.room.device),
            false => format!("does not fit {}; {batch}", self.room.device),
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
            "device": self.room.device,
            "largest_binding": self.room.binding,
            "needed": self.room.needed(f),
            "available": self.room.host,
            "fits": self.room.fits(f),
            "batch": self.batch,
            "largest_batch": self.largest_batch,
        }})
    }

    /// Refuses what does not fit, with the table.
    pub fn refuse(&self) -> Error {
        for line in self.lines() {
            out::note(&line);
        }
        let f = &self.footprint;
        let (needed, room) = (self.room.needed(f), &self.room);
        let advice = match self.largest_batch {
            Some(batch) => format!("--batch {batch} fits"),
            None => "lower --hidden or --layers, or set --recompute".to_string(),
        };
        let text = match room.binding {
            Some(limit) if f.largest.bytes > limit => format!(
                "the model and its minibatch: {} {:?} takes {} bytes ({:.1} GiB), and {} binds at most {limit}; {advice}",
                f.largest.name,
                f.largest.shape,
                f.largest.bytes,
                memory::gib(f.largest.bytes),
                room.device
            ),
            _ => format!(
                "the model and its minibatch: {needed} bytes ({:.1} GiB) are needed, {} bytes ({:.1} GiB) of memory are \
                 available; {advice}",
                memory::gib(needed),
                room.host,
                memory::gib(room.host)
            ),
        };
        Error::new(Kind::Usage, text)
    }
}

fn row(name: &str, bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    format!("{name:<14}{bytes:>18} bytes {mib:>10.1} MiB")
}
