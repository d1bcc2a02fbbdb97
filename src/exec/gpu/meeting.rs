//! How many workgroups of a dispatch run at once, by meetings in which each waits for all others.

use super::binding_range::{BindingLimits, BindingRanges};
use super::device::{GpuDevice, Pipeline};
use super::pipeline::compile;
use super::quirk;
use super::readback::fetch;
use super::scan::POLLS;
use super::template::Template;
use crate::Result;
use crate::op::{Plan, Role};

/// Meetings that must come about for a number of workgroups, and how many are submitted at a time: one that fails takes a GPU
/// some 15 ms.
const MEETINGS: usize = 100;
const AT_A_TIME: usize = 10;
/// Threads and words of memory of a workgroup, as of a kernel that spans workgroups.
const GROUP: usize = 256;
const HELD: usize = 4096;

/// A kernel with its buffers.
struct Meeting<'a> {
    device: &'a GpuDevice,
    pipeline: std::sync::Arc<Pipeline>,
    bind: wgpu::BindGroup,
    /// The words of those who are there, and that of who missed another one.
    buffers: [wgpu::Buffer; 2],
}

impl GpuDevice {
    /// How many workgroups run at once, `most` at most: so many have met in each of a hundred meetings. No API promises that they
    /// do so again; kernels with more registers than this one may run in fewer.
    ///
    /// # Errors
    /// Device when the device is lost or hangs.
    pub async fn meeting(&self, most: usize) -> Result<usize> {
        let meeting = Meeting::new(self, most).await?;
        let (mut met, mut missed) = (0, most + 1);
        while met + 1 < missed {
            // Twice as many until some miss, then between the two.
            let middle = usize::midpoint(met, missed);
            let count = middle.min((2 * met).max(1));
            if meeting.met(count).await? {
                met = count;
            } else {
                missed = count;
            }
        }
        Ok(met)
    }
}

impl<'a> Meeting<'a> {
    async fn new(device: &'a GpuDevice, most: usize) -> Result<Meeting<'a>> {
        let mut plan = Plan::default();
        let sizes = [most.max(1), 1];
        let [there, missed] = [("there", sizes[0]), ("missed", sizes[1])]
            .map(|(name, size)| plan.add(name, &[size], Role::Activation));
        let source = Template::new(include_str!("../../../shaders/meeting.wgsl"))
            .size("GROUP", GROUP)
            .size("HELD", HELD)
            .size("POLLS", POLLS)
            .size("PAUSE", quirk::pause(&device.adapter))
            .buffer("there", there)
            .buffer("missed", missed)
            .kernel("meeting", [1, 1, 1])
            .build(&BindingRanges::new(&plan, BindingLimits::ANY, false))?;
        let pipeline = compile(device, &source).await?;
        let buffers = sizes.map(|size| {
            device.raw.create_buffer(&wgpu::BufferDescriptor {
                label: Some("meeting"),
                size: 4 * size as u64,
                usage: wgpu::BufferUsages::STORAGE
                    | wgpu::BufferUsages::COPY_SRC
                    | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        });
        let entry = |(i, bind): (usize, &super::binding_range::Bind)| wgpu::BindGroupEntry {
            binding: i as u32,
            resource: buffers[bind.slot.0].as_entire_binding(),
        };
        let entries: Vec<wgpu::BindGroupEntry<'_>> =
            source.binds.iter().enumerate().map(entry).collect();
        let bind = device.raw.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("meeting"),
            layout: &pipeline.layout,
            entries: &entries,
        });
        Ok(Meeting {
            device,
            pipeline,
            bind,
            buffers,
        })
    }

    /// Whether so many workgroups meet, every time.
    async fn met(&self, count: usize) -> Result<bool> {
        let [there, missed] = &self.buffers;
        self.device.queue.write_buffer(missed, 0, &[0; 4]);
        for _ in 0..MEETINGS / AT_A_TIME {
            let mut encoder = self.device.raw.create_command_encoder(&Default::default());
            for _ in 0..AT_A_TIME {
                encoder.clear_buffer(there, 0, None);
                let mut pass = encoder.begin_compute_pass(&Default::default());
                pass.set_pipeline(&self.pipeline.raw);
                pass.set_bind_group(0, &self.bind, &[]);
                pass.dispatch_workgroups(count as u32, 1, 1);
            }
            let submission = self.device.submit(Some(encoder.finish()));
            self.device.wait(Some(submission), "a meeting").await?;
            if fetch(self.device, missed, 0..4, "a meeting").await? != [0; 4] {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
