//! Devices: an adapter that is open, and how faults of it become errors.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::adapter::{Adapter, AdapterChoice, found};
use super::fault::Injected;
use super::quirk;
use super::tile::{Shape, Tile};
use crate::{Error, Kind, Result};

/// How long a command that was refused is taken for one that a lost device may have refused.
const TOLD: Duration = Duration::from_secs(1);
/// Between questions whether it is lost.
const PAUSE: Duration = Duration::from_millis(1);

/// Tiles that measurements chose.
#[derive(Default)]
pub(super) struct MeasuredTiles {
    pub forced: Option<Tile>,
    pub tuned: Vec<(Shape, Tile)>,
    /// Shapes of models for which no kernel spans workgroups any more.
    pub unspanned: Vec<Shape>,
}

/// A compiled kernel.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub layout: wgpu::BindGroupLayout,
    pub raw: wgpu::ComputePipeline,
}

/// A fault that no call returned: the device reports such things on its own.
#[derive(Default)]
struct Faults {
    lost: AtomicBool,
    message: Mutex<Option<(Kind, String)>>,
}

impl Faults {
    /// Keeps the first fault, but that the device is lost explains all others.
    fn note(&self, kind: Kind, message: String) {
        let lost = self.lost.load(Ordering::SeqCst);
        if let Ok(mut first) = self.message.lock() {
            if lost {
                *first = Some((kind, message));
            } else {
                first.get_or_insert((kind, message));
            }
        }
    }
}

/// An open device with its queue and the pipelines compiled so far.
pub struct GpuDevice {
    /// The adapter that it was opened on.
    pub adapter: Adapter,
    pub(super) raw: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) limits: wgpu::Limits,
    /// By their text, and whether they are unchecked.
    pub(super) pipelines: Mutex<HashMap<(String, bool), Arc<Pipeline>>>,
    pub(super) injected: Injected,
    /// Whether it was opened for cooperative matrices.
    pub(super) cooperative: bool,
    trusted: AtomicBool,
    pub(super) tiles: Mutex<MeasuredTiles>,
    /// Bytes that the slots of plans hold.
    pub(super) held: AtomicU64,
    /// Bytes that went to buffers of plans or came from them.
    pub(super) moved: AtomicU64,
    /// Writes to buffers of plans.
    pub(super) uploads: AtomicU64,
    pub(super) submissions: AtomicU64,
    /// Bytes that they could have when memory ran out; 0 before.
    pub(super) short: AtomicU64,
    faults: Arc<Faults>,
}

impl GpuDevice {
    /// Opens the chosen adapter; none where `auto` finds only software.
    ///
    /// # Errors
    /// Device, when there is no such adapter or it cannot be opened.
    pub async fn open(choice: &AdapterChoice) -> Result<Option<Arc<GpuDevice>>> {
        GpuDevice::open_with(choice, false).await
    }

    /// The same; where `cooperative`, products of plans in half precision multiply cooperative matrices, which is an
    /// experiment of wgpu's.
    ///
    /// # Errors
    /// As [`GpuDevice::open`]; Device, when the adapter has no such matrices.
    pub async fn open_with(
        choice: &AdapterChoice,
        cooperative: bool,
    ) -> Result<Option<Arc<GpuDevice>>> {
        let (raw, described) = found().await;
        let Some(index) = choice.pick(&described)? else {
            return Ok(None);
        };
        let adapter = described[index].clone();
        let wanted = wgpu::Features::TIMESTAMP_QUERY
            | wgpu::Features::SUBGROUP
            | wgpu::Features::SHADER_F16
            | wgpu::Features::SHADER_F64;
        let mut features = raw[index].features() & wanted;
        let mut experiments = wgpu::ExperimentalFeatures::disabled();
        if cooperative {
            if adapter.cooperative == 0 {
                return Err(Error::device(format!(
                    "cooperative: {} ({}) lacks the feature wgpu-cooperative-matrix for matrices of 16 x 16 or 8 x 8 in \
                     f16 with sums in f32; leave cooperative out",
                    adapter.name, adapter.backend
                )));
            }
            features |= wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
            experiments = agreed();
        }
        let limits = raw[index].limits();
        let request = raw[index].request_device(&wgpu::DeviceDescriptor {
            label: Some("wgrnn"),
            required_features: features,
            required_limits: limits.clone(),
            experimental_features: experiments,
            ..Default::default()
        });
        let (device, queue) = request
            .await
            .map_err(|e| Error::device(format!("{} cannot be opened: {e}", adapter.name)))?;
        let faults = Arc::new(Faults::default());
        let seen = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error| match error {
            _ if seen.lost.load(Ordering::SeqCst) => {}
            wgpu::Error::OutOfMemory { .. } => {
                seen.note(Kind::Device, "the device is out of memory".to_string());
            }
            other => seen.note(Kind::Internal, one_line(&other.to_string())),
        }));
        let seen = faults.clone();
        device.set_device_lost_callback(move |reason, message| {
            let message = one_line(&message);
            // First the flag: the note then replaces whatever was noted before.
            seen.lost.store(true, Ordering::SeqCst);
            seen.note(
                Kind::Device,
                format!("the device was lost ({reason:?}): {message}"),
            );
        });
        Ok(Some(Arc::new(GpuDevice {
            adapter,
            raw: device,
            queue,
            limits,
            pipelines: Mutex::default(),
            injected: Injected::default(),
            cooperative,
            trusted: AtomicBool::new(false),
            tiles: Mutex::default(),
            held: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            uploads: AtomicU64::new(0),
            submissions: AtomicU64::new(0),
            short: AtomicU64::new(0),
            faults,
        })))
    }

    /// Allows what not every driver gets right, from the next plan on: subgroups, and kernels without checks of indices. For an adapter that passed a check with
    /// them, or is about to be checked.
    pub fn trust(&self) {
        self.trusted.store(true, Ordering::SeqCst);
    }

    /// Whether that is allowed.
    pub fn trusted(&self) -> bool {
        self.trusted.load(Ordering::SeqCst)
    }

    /// Every limit that the adapter has, name and value, in words.
    pub fn limits(&self) -> String {
        one_line(&format!("{:?}", self.limits))
    }

    /// Whether the device is gone.
    pub fn lost(&self) -> bool {
        self.faults.lost.load(Ordering::SeqCst)
    }

    /// Gives the device up, as a driver's reset would: everything on it fails from now on.
    pub fn destroy(&self) {
        self.raw.destroy();
    }

    /// Nothing has gone wrong on the device so far.
    ///
    /// # Errors
    /// Device when it was lost or is out of memory, Internal when it refused a command; `doing` names the occasion.
    pub fn healthy(&self, doing: &str) -> Result<()> {
        let noted = || self.faults.message.lock().ok().and_then(|m| m.clone());
        let mut fault = noted();
        // A lost device refuses commands, and tells that it is lost only once nothing is under way any more; where several threads
        // share it, to whichever of them waits for it at that moment.
        let (start, mut asked) = (Instant::now(), false);
        while match &fault {
            Some((Kind::Internal, _)) => start.elapsed() < TOLD,
            Some(_) => !asked && !self.lost(),
            None => false,
        } {
            if asked {
                std::thread::sleep(PAUSE);
            }
            asked = true;
            let _ = self.raw.poll(wgpu::PollType::Wait {
                submission_index: None,
                timeout: Some(self.patience()),
            });
            fault = noted();
        }
        match fault {
            Some((kind, message)) => Err(Error::new(
                kind,
                format!("{}: {doing}: {message}", self.adapter.name),
            )),
            None => Ok(()),
        }
    }

    /// Waits until a submission is done (the last one where absent), no longer than the device has patience.
    pub(super) async fn wait(
        &self,
        submission: Option<wgpu::SubmissionIndex>,
        what: &str,
    ) -> Result<()> {
        self.block(submission, what)
    }

    /// The same where nothing can be awaited.
    pub(super) fn block(
        &self,
        submission: Option<wgpu::SubmissionIndex>,
        what: &str,
    ) -> Result<()> {
        let polled = self.raw.poll(wgpu::PollType::Wait {
            submission_index: submission,
            timeout: Some(self.patience()),
        });
        self.healthy(what)?;
        match polled {
            Ok(_) => Ok(()),
            Err(wgpu::PollError::Timeout) => Err(self.in_vain(what)),
            Err(error) => Err(Error::internal(format!("waiting for {what}: {error}"))),
        }
    }

    /// How long a wait may take.
    pub(super) fn patience(&self) -> Duration {
        let injected = self.injected.patience();
        let seconds = injected.unwrap_or_else(|| quirk::patience(&self.adapter));
        Duration::from_secs_f64(seconds.min(1e6))
    }

    /// That something did not come.
    pub(super) fn in_vain(&self, what: &str) -> Error {
        Error::device(format!(
            "{}: waited {} s for {what} in vain; the device hangs",
            self.adapter.name,
            self.patience().as_secs_f64()
        ))
    }

    /// Lets callbacks of finished work run, without waiting.
    pub(super) fn poll(&self, what: &str) -> Result<()> {
        let polled = self.raw.poll(wgpu::PollType::Poll);
        self.healthy(what)?;
        polled.map_err(|e| Error::internal(format!("{what}: {e}")))?;
        Ok(())
    }
}

/// wgpu's token for what it calls experimental.
#[allow(unsafe_code)] // the token has no other constructor
fn agreed() -> wgpu::ExperimentalFeatures {
    // SAFETY: nothing is dereferenced; the contract is to know that the features may have faults, and to report them. Only
    // whoever passes --cooperative gets here.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

impl std::fmt::Debug for GpuDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("GpuDevice").field(&self.adapter).finish()
    }
}

/// A message of several lines as one.
pub(super) fn one_line(message: &str) -> String {
    let parts: Vec<&str> = message.split_whitespace().collect();
    parts.join(" ")
}
