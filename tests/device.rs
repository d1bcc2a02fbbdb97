//! What is promised of a device that is lost, slow or short of memory: faults are injected in a whole one.

mod adapter;
mod sandbox;

use adapter::{device, engine, plan, step};
use pollster::block_on;
use sandbox::Sandbox;
use wgrnn::exec::gpu::{Fault, Gpu, LONGEST, Tile};
use wgrnn::{Kind, Result};

fn bits(gpu: &Gpu) -> Vec<u32> {
    let values = block_on(gpu.read(gpu.plan().io.parameters.unwrap())).unwrap();
    values.iter().map(|x| x.to_bits()).collect()
}

/// However slow the device seems, submissions stay short, and where they end changes no bit.
#[test]
fn submissions_are_cut_by_what_they_take_and_no_bit_changes() {
    let plan = plan(60);
    let run = |each: Option<f64>| {
        let device = device();
        if let Some(each) = each {
            device.inject(Fault::Clock(each));
        }
        let mut gpu = engine(&device, &plan);
        let mut counts = Vec::new();
        for n in 0..6 {
            step(&mut gpu, n).unwrap();
            block_on(gpu.outcomes(true)).unwrap();
            counts.push(gpu.submissions().len());
        }
        let longest = gpu.submissions().iter().fold(0.0, |a: f64, b| a.max(*b));
        (bits(&gpu), counts, longest, gpu.dispatches())
    };
    let (want, counts, ..) = run(Some(1e-9));
    assert_eq!(counts.last(), Some(&1), "{counts:?}");
    // A millisecond a dispatch; so long that each must go alone; longer than a submission may take: nothing is shorter.
    for (each, parts) in [(1e-3, 4), (0.03, 100), (0.09, 100), (0.2, 100)] {
        let (got, counts, longest, dispatches) = run(Some(each));
        assert!(got == want, "{each} s a dispatch changed the weights");
        let last = *counts.last().unwrap();
        assert!(last >= parts, "{each}: {counts:?}");
        assert!(longest <= LONGEST.max(each), "{each}: {longest} s");
        assert!(last <= dispatches);
    }
    let (got, _, longest, _) = run(None);
    assert!(got == want);
    println!("longest submission of a segment of 60 steps: {longest} s");
}

#[test]
fn a_readback_that_never_comes_is_one_clear_error() {
    for what in ["report", "slot"] {
        let device = device();
        let mut gpu = engine(&device, &plan(3));
        step(&mut gpu, 0).unwrap();
        block_on(gpu.outcomes(true)).unwrap();
        device.inject(Fault::Patience(1.5));
        device.inject(Fault::Silent);
        let error = if what == "slot" {
            block_on(gpu.read(gpu.plan().io.parameters.unwrap())).unwrap_err()
        } else {
            // Runs go on until a report must be waited for.
            let ran: Result<()> = (1..9).try_for_each(|n| step(&mut gpu, n));
            ran.and_then(|()| block_on(gpu.outcomes(true)).map(drop))
                .unwrap_err()
        };
        assert_eq!(error.kind, Kind::Device);
        assert!(error.message.contains("waited 1.5 s"), "{error}");
        assert!(error.message.lines().count() == 1);
    }
}

#[test]
fn a_wait_for_a_busy_device_ends() {
    let device = device();
    let mut gpu = engine(&device, &plan(400));
    device.inject(Fault::Patience(0.0));
    let ran: Result<()> = (0..20).try_for_each(|n| step(&mut gpu, n));
    let error = ran
        .and_then(|()| block_on(gpu.outcomes(true)).map(drop))
        .unwrap_err();
    assert_eq!(error.kind, Kind::Device);
    assert!(error.message.contains("in vain"), "{error}");
}

#[test]
fn out_of_memory_says_where_and_how_much() {
    let device = device();
    let plan = plan(20);
    let all = plan.bytes();
    device.inject(Fault::Memory(all - 1));
    let Err(error) = block_on(Gpu::new(device.clone(), plan.clone())) else {
        panic!("{all} bytes fit {}", all - 1);
    };
    assert_eq!(error.kind, Kind::Device);
    for part in ["out of memory at ", &format!("the plan takes {all}")] {
        assert!(error.message.contains(part), "{error}");
    }
    assert!(device.short().is_some_and(|had| had > 0 && had < all));
    assert_eq!(device.held(), 0, "a plan that failed holds nothing");
    device.inject(Fault::Memory(2 * all));
    let gpu = block_on(Gpu::new(device.clone(), plan)).unwrap();
    assert!(device.held() >= all);
    drop(gpu);
    assert_eq!(device.held(), 0);
}

const TINY: &str =
    "--hidden 8 --seq-len 5 --batch 3 --dropout 0.3 --save-every 4 --eval-every 4 --device gpu -q";

/// The binary's fault seam is there in debug builds alone.
fn seam() -> bool {
    if !cfg!(debug_assertions) {
        println!("SKIPPED: faults cannot be injected in a release build of the program");
    }
    cfg!(debug_assertions)
}

#[test]
fn a_device_lost_in_mid_run_exits_5_and_resume_goes_on_to_the_same_bits() {
    if !seam() {
        return;
    }
    let sandbox = Sandbox::new();
    let tensors = |run: &str| sandbox.newest(run).1.tensors;
    sandbox.ok(&format!("train a.txt {TINY} --steps 12 --out whole"));
    let whole = tensors("whole");
    // In the first step, between checkpoints, and while validating.
    for lost in [1, 3, 6, 9, 14] {
        let run = format!("lost{lost}");
        let inject = format!("lost-after={lost}");
        let done = injected(
            &sandbox,
            &format!("train a.txt {TINY} --steps 12 --out {run}"),
            &inject,
        );
        assert_eq!(done.code, 5, "{inject}: {}", done.err);
        for part in ["the device was lost", "last good checkpoint"] {
            assert!(done.err.contains(part), "{inject}: {}", done.err);
        }
        assert_eq!(done.err.lines().count(), 1, "{inject}: {}", done.err);
        assert!(sandbox.newest(&run).0 < 12);
        sandbox.ok(&format!("train --resume {run} --device gpu -q"));
        let went_on = tensors(&run);
        assert!(whole.len() > 10 && whole.keys().eq(went_on.keys()));
        for (name, tensor) in &whole {
            assert!(went_on[name] == *tensor, "{inject}: {name} differs");
        }
    }
}

fn injected(sandbox: &Sandbox, args: &str, inject: &str) -> sandbox::Done {
    sandbox::finish(sandbox.command(args).env("WGRNN_INJECT", inject))
}

/// The batch that the error names trains in the memory in which the one that was asked for did not.
#[test]
fn out_of_memory_names_a_batch_that_fits() {
    if !seam() {
        return;
    }
    let sandbox = Sandbox::new();
    let train = |batch: &str, out: &str| {
        let args = format!(
            "train a.txt --hidden 8 --seq-len 5 --steps 2 --device gpu -q --batch {batch} --out {out}"
        );
        injected(&sandbox, &args, "memory=40000")
    };
    let done = train("40", "large");
    assert_eq!(done.code, 5, "{}", done.err);
    assert!(done.err.contains("out of memory at "), "{}", done.err);
    let after = done.err.split(": --batch ").nth(1);
    let batch = after.and_then(|text| text.split(' ').next()).unwrap_or("");
    let batch: u64 = batch.parse().unwrap_or_else(|_| panic!("{}", done.err));
    assert!((1..40).contains(&batch), "{}", done.err);
    let done = train(&batch.to_string(), "smaller");
    assert_eq!(done.code, 0, "--batch {batch}: {}", done.err);
    // Nearly the largest: what the error counts is what there was, not what there might have been.
    let done = train(&(2 * batch + 2).to_string(), "larger");
    assert_eq!(done.code, 5, "--batch {batch}: {}", done.err);
}

/// What drivers get wrong now and then is used on an adapter that passed a check with it, and on no other.
#[test]
fn subgroups_are_for_an_adapter_that_passed() {
    let device = device();
    let plan = plan(3);
    let uses = |tile: &Tile| {
        let sources = Gpu::sources(&plan, tile).unwrap();
        assert!(sources.len() > 10);
        sources.iter().any(|(_, text)| text.contains("subgroup"))
    };
    assert!(!device.trusted() && !uses(&device.tile(&plan).0));
    device.trust();
    let has = device.adapter.software && matches!(device.adapter.subgroup, 4 | 8 | 16 | 32);
    assert_eq!(uses(&device.tile(&plan).0), has);
}

/// The same of kernels without checks, whatever a tile says.
#[test]
fn kernels_without_checks_are_for_an_adapter_that_passed() {
    let plan = plan(3);
    let tile = Tile {
        unchecked: true,
        ..Tile::SOFTWARE
    };
    let made = |trusted: bool, tile: &Tile| {
        let device = device();
        if trusted {
            device.trust();
        }
        let gpu = pollster::block_on(Gpu::with_tile(device, plan.clone(), tile)).unwrap();
        gpu.unchecked_kernels()
    };
    assert_eq!(made(false, &tile), 0);
    assert!(made(true, &tile) > 10);
    assert_eq!(made(true, &Tile::SOFTWARE), 0);
}

/// All else that the engine asks of a driver is checked by it or by wgpu.
#[test]
fn nothing_unchecked_is_used() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut looked = 0;
    for folder in ["src/exec/gpu", "shaders", "shaders/lib"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for (word, allowed) in [
                // For adapters that passed.
                ("shader_module_trusted", &["pipeline.rs"][..]),
                ("ShaderRuntimeChecks", &["pipeline.rs"]),
                // For plans that ask for half precision, which only users do.
                ("SHADER_F16", &["adapter.rs", "device.rs"]),
                ("\"f16\"", &["matmul.rs", "writer.rs"]),
                // Behind --cooperative, and a check of the run's own model.
                ("EXPERIMENTAL", &["adapter.rs", "device.rs"]),
            ] {
                let name = path.file_name().and_then(|name| name.to_str());
                let known = name.is_some_and(|name| allowed.contains(&name));
                assert!(known || !text.contains(word), "{}: {word}", path.display());
            }
            looked += 1;
        }
    }
    assert!(looked > 40, "{looked} files");
}
