//! Compiled kernels, one for each text.

use std::collections::HashMap;
use std::sync::Arc;

use futures::FutureExt;
use rayon::prelude::*;

use super::binding_range::Bind;
use super::device::{GpuDevice, Pipeline, one_line};
use super::kernel::KernelSource;
use crate::{Error, Result};

/// Bytes of one step that a uniform tells a kernel.
pub(super) const STEP_BYTES: u64 = 16;

/// Kernels that are kept for texts that may come again.
const KEPT: usize = 512;

/// The compiled kernel of a source.
pub(super) async fn compile(device: &GpuDevice, source: &KernelSource) -> Result<Arc<Pipeline>> {
    let mut all = compile_all(device, std::slice::from_ref(source)).await?;
    let missing = || Error::internal(format!("kernel {}: not compiled", source.label));
    all.pop().ok_or_else(missing)
}

/// The compiled kernels of sources; equal texts are compiled once a device, and different ones on all processors at once.
pub(super) async fn compile_all(
    device: &GpuDevice,
    sources: &[KernelSource],
) -> Result<Vec<Arc<Pipeline>>> {
    let mut compiled: HashMap<(&str, bool), Arc<Pipeline>> = HashMap::new();
    let key = |source: &KernelSource| (source.text.clone(), source.unchecked);
    let mut missing: Vec<&KernelSource> = Vec::new();
    for source in sources {
        let pipelines = device.pipelines.lock().ok();
        let known = pipelines.and_then(|p| p.get(&key(source)).cloned());
        let same = |m: &&KernelSource| (&m.text, m.unchecked) == (&source.text, source.unchecked);
        match known {
            Some(pipeline) => drop(compiled.insert((&source.text, source.unchecked), pipeline)),
            None if missing.iter().any(same) => {}
            None => missing.push(source),
        }
    }
    // What a browser would await is there at once elsewhere.
    let now = |source: &KernelSource| {
        let done = make(device, source).now_or_never();
        done.unwrap_or_else(|| {
            Err(Error::internal(format!(
                "kernel {}: no answer",
                source.label
            )))
        })
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let made: Vec<Result<Pipeline>> = match threads.min(missing.len()) {
        0 | 1 => {
            let mut made = Vec::new();
            for source in &missing {
                made.push(make(device, source).await);
            }
            made
        }
        _ => missing.par_iter().map(|source| now(source)).collect(),
    };
    for (source, pipeline) in missing.iter().zip(made) {
        let pipeline = Arc::new(pipeline?);
        if let Ok(mut known) = device.pipelines.lock() {
            // A search compiles thousands of cells; what no executor uses any more is let go.
            if known.len() >= KEPT {
                known.retain(|_, pipeline| Arc::strong_count(pipeline) > 1);
            }
            known.insert(key(source), pipeline.clone());
        }
        compiled.insert((&source.text, source.unchecked), pipeline);
    }
    let of = |source: &KernelSource| {
        let key = (source.text.as_str(), source.unchecked);
        compiled.get(&key).cloned()
    };
    Ok(sources.iter().filter_map(of).collect())
}

/// Compiles a text.
async fn make(device: &GpuDevice, source: &KernelSource) -> Result<Pipeline> {
    let limit = device.limits.max_storage_buffers_per_shader_stage as usize;
    if source.binds.len() > limit {
        return Err(Error::internal(format!(
            "kernel {}: {} storage bindings, and {limit} are the limit",
            source.label,
            source.binds.len()
        )));
    }
    let raw = &device.raw;
    let scope = raw.push_error_scope(wgpu::ErrorFilter::Validation);
    let text = wgpu::ShaderModuleDescriptor {
        label: Some(&source.label),
        source: wgpu::ShaderSource::Wgsl(source.text.as_str().into()),
    };
    let module = if source.unchecked {
        unchecked(raw, text)
    } else {
        raw.create_shader_module(text)
    };
    let layout = raw.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(&source.label),
        entries: &entries(source),
    });
    let pipeline_layout = raw.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(&source.label),
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = raw.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(&source.label),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            zero_initialize_workgroup_memory: false,
            ..Default::default()
        },
        cache: None,
    });
    if let Some(error) = scope.pop().await {
        let fault = one_line(&error.to_string());
        return Err(Error::internal(format!("kernel {}: {fault}", source.label)));
    }
    device.healthy(&source.label)?;
    Ok(Pipeline {
        layout,
        raw: pipeline,
    })
}

/// A module without the checks that wgpu adds: a `min` for every index and a second exit for every loop, which may keep a driver
/// from unrolling it.
#[allow(unsafe_code)] // there is no safe way to leave them out
fn unchecked(device: &wgpu::Device, text: wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
    // SAFETY: no kernel reaches beyond its bindings and every loop ends. Texts are this program's own: places follow from a
    // plan's matrices, which lie within their slots (Plan::faults), and from words of the host, which keep to their slot's
    // bound before they are handed over (Bound); threads beyond an edge are clamped or leave. The bounds of loops are constants
    // or such words. That a driver makes of it what the text says is what the check of the adapter showed.
    unsafe { device.create_shader_module_trusted(text, wgpu::ShaderRuntimeChecks::unchecked()) }
}

fn entries(source: &KernelSource) -> Vec<wgpu::BindGroupLayoutEntry> {
    let entry = |binding: usize, ty, dynamic, size| wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset: dynamic,
            min_binding_size: size,
        },
        count: None,
    };
    let storage = |(i, bind): (usize, &Bind)| {
        let read_only = !bind.write;
        entry(
            i,
            wgpu::BufferBindingType::Storage { read_only },
            false,
            None,
        )
    };
    let mut entries: Vec<_> = source.binds.iter().enumerate().map(storage).collect();
    if source.parameters > 0 {
        let size = std::num::NonZeroU64::new(STEP_BYTES * source.parameters as u64);
        entries.push(entry(
            entries.len(),
            wgpu::BufferBindingType::Uniform,
            true,
            size,
        ));
    }
    entries
}
