//! Memory under load, on an adapter: trainings in a row and steps in a row leave none behind.
//!
//! The long ones: `cargo test --test load -- --ignored`.

mod adapter;

use std::sync::{Arc, Mutex, MutexGuard};

use adapter::{device, engine, plan, step};
use pollster::block_on;
use wgrnn::cell::Cell;
use wgrnn::exec::Device;
use wgrnn::exec::gpu::GpuDevice;
use wgrnn::train::{Event, Job, Length, Settings, State, Trainer, spec as build};

/// The process's memory is measured, so one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|e| e.into_inner())
}

/// A training of its own on the device: steps, validation, a sample, checkpoints.
fn tiny(device: &Arc<GpuDevice>, hidden: usize, steps: u64) {
    let text = "key = \"the cat sat on a mat and ran off, the cat did\"; ".repeat(3);
    // A constant of its own gives every kernel a text of its own.
    let source = format!("# own.cell\nstate h\nh = tanh(linear(x) + linear(h)) * 0.{hidden:06}\n");
    let settings = Settings {
        hidden,
        seq_len: 4,
        batch: 2,
        sample_every: steps,
        eval_every: Some(steps),
        ..Settings::default()
    };
    let cell = Cell::parse("own", &source).unwrap();
    let tokens: Vec<u32> = text.bytes().map(|b| u32::from(b % 16)).collect();
    let (train, validation) = tokens.split_at(tokens.len() * 4 / 5);
    let dataset = |t: &[u32]| wgrnn::data::Dataset::from(wgrnn::data::Tokens::from(t.to_vec()));
    let spec = build(&settings, vec![cell], 16);
    let length = Length::Steps(steps);
    let job = Job::new(settings, spec, length, dataset(train), dataset(validation)).unwrap();
    let state: State = job.start().unwrap();
    let mut trainer = block_on(Trainer::new(Device::Gpu(device.clone()), job, state)).unwrap();
    while !matches!(block_on(trainer.next(0.0, false)).unwrap(), Event::Finished) {}
}

/// Bytes of memory that this process has in use; 0 where the system does not say.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|n| n.parse().ok());
    4096 * pages.unwrap_or(0usize)
}

/// Trains `count` tiny models one after another; memory after the first part is memory after all.
fn trainings(count: usize, warm: usize, slack: usize) {
    let _alone = alone();
    let device = device();
    let mut before = None;
    for n in 0..count {
        tiny(&device, 5 + n % 7, 3);
        // What was dropped is given back with the next wait.
        let plan = plan(1);
        drop(engine(&device, &plan));
        let spare = engine(&device, &plan);
        block_on(spare.read(plan.io.parameters.unwrap())).unwrap();
        let now = (device.held(), device.allocated(), resident());
        if n == warm {
            before = Some(now);
        }
    }
    let (held, allocated, resident_before) = before.unwrap();
    let now = resident();
    println!(
        "{count} trainings: {resident_before} bytes resident after {warm}, {now} at the end; {allocated:?}"
    );
    assert_eq!(device.held(), 0);
    assert!(held > 0, "the count of bytes counts nothing");
    // The last plan was dropped just now and is not given back yet.
    let (most, bytes) = allocated.expect("Vulkan's allocator keeps an account");
    let (left, left_bytes) = device.allocated().unwrap();
    assert!(left <= most, "{left} allocations, {most} before");
    assert!(left_bytes <= bytes, "{left_bytes} bytes, {bytes} before");
    assert!(
        now < resident_before + slack,
        "resident: {resident_before} grew to {now}"
    );
}

#[test]
fn trainings_in_a_row_leave_no_memory_behind() {
    trainings(16, 8, 40 << 20);
}

/// What the long command runs; about a quarter of an hour.
#[test]
#[ignore = "long: a thousand trainings"]
fn long_a_thousand_trainings_leave_no_memory_behind() {
    trainings(1000, 200, 60 << 20);
}

/// Steps of one engine: memory after the first of them is memory after all.
fn steps(count: u32, warm: u32, slack: usize) {
    let _alone = alone();
    let device = device();
    let mut gpu = engine(&device, &plan(4));
    let mut before = (None, 0);
    for n in 0..count {
        step(&mut gpu, n).unwrap();
        let outcomes = block_on(gpu.outcomes(n % 50 == 0)).unwrap();
        assert!(outcomes.iter().all(|o| o.report.finite));
        if n == warm {
            before = (device.allocated(), resident());
        }
    }
    block_on(gpu.outcomes(true)).unwrap();
    let now = (device.allocated(), resident());
    println!("{count} steps: after {warm} {before:?}, at the end {now:?}");
    let (Some((count, bytes)), Some((left, left_bytes))) = (before.0, now.0) else {
        panic!("Vulkan's allocator keeps an account");
    };
    // Two more where inputs are on their way.
    assert!(left <= count + 4, "{left} allocations, {count} before");
    assert!(
        left_bytes <= bytes + (1 << 20),
        "{left_bytes} bytes, {bytes} before"
    );
    assert!(
        now.1 < before.1 + slack,
        "resident: {} grew to {}",
        before.1,
        now.1
    );
}

#[test]
fn memory_is_flat_over_hundreds_of_steps() {
    steps(400, 150, 8 << 20);
}

#[test]
#[ignore = "long: 10,000 steps"]
fn long_memory_is_flat_over_ten_thousand_steps() {
    steps(10_000, 1000, 8 << 20);
}
