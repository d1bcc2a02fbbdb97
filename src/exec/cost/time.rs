//! From what a kernel asks to seconds, and which limit of the device decides them.

use super::table::DeviceTable;
use super::work::Work;

/// What decides how long a kernel takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelLimit {
    /// Its dispatch, with the barrier before it.
    Dispatch,
    /// Loads that wait for one another.
    Latency,
    /// Arithmetic.
    Compute,
    /// The memory that workgroups share.
    Shared,
    /// The cores' first caches.
    L1,
    /// The last cache.
    L2,
    /// The memory.
    Memory,
    /// Barriers of workgroups, and what stands behind the sums.
    Barriers,
}

impl KernelLimit {
    /// The limit in a word.
    pub fn word(self) -> &'static str {
        match self {
            KernelLimit::Dispatch => "dispatch",
            KernelLimit::Latency => "latency",
            KernelLimit::Compute => "compute",
            KernelLimit::Shared => "shared memory",
            KernelLimit::L1 => "L1",
            KernelLimit::L2 => "L2",
            KernelLimit::Memory => "memory",
            KernelLimit::Barriers => "barriers",
        }
    }
}

/// The seconds of one dispatch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KernelSeconds {
    /// All of them.
    pub seconds: f64,
    /// What they are mostly spent on.
    pub limit: KernelLimit,
}

/// The share of the rate of multiply-adds that kernels reach beside loads, places and loops.
const REACHED: f64 = 0.6;
/// Bytes of the last cache that a kernel can count on.
const OWN: f64 = 0.8;

/// dispatch + the slowest of arithmetic, shared memory, caches, memory and waves of rounds of loads + barriers and epilogue.
pub fn time(work: &Work, device: &DeviceTable) -> KernelSeconds {
    let fits = [
        device.threads / work.threads,
        device.registers / (work.threads * work.registers),
        1024.0 * device.workgroup_kib / work.shared_memory.max(1.0),
        device.workgroups,
    ];
    let resident = fits.into_iter().fold(f64::INFINITY, f64::min).floor();
    let resident = resident.max(1.0);
    let waves = (work.workgroups / (device.cores * resident))
        .ceil()
        .max(1.0);
    // The share of the device that has something to do: of the last wave of several, some cores are idle.
    let rounds_of_cores = (work.workgroups / device.cores).ceil().max(1.0);
    let busy = work.workgroups / (rounds_of_cores * device.cores);
    let cached = work.distinct < OWN * device.l2_mib * (1 << 20) as f64;
    let (l2, memory) = if cached {
        // What the kernel before has left is still there.
        (work.l2.max(work.distinct), work.streamed)
    } else {
        (work.l2, work.distinct)
    };
    let latency = 1e-9
        * if cached {
            device.l2_ns
        } else {
            device.memory_ns
        };
    // Beyond the first load of a round each one takes a turn.
    const TURN: f64 = 0.02;
    let round = latency * (1.0 + TURN * (work.loads - 1.0).max(0.0));
    let limits = [
        (
            KernelLimit::Compute,
            work.flops / (1e9 * REACHED * device.gflops * busy),
        ),
        (
            KernelLimit::Shared,
            work.shared / (1e9 * device.shared_gbytes * busy),
        ),
        (KernelLimit::L1, work.l1 / (1e9 * device.l1_gbytes * busy)),
        (KernelLimit::L2, l2 / (1e9 * device.l2_gbytes)),
        (KernelLimit::Memory, memory / (1e9 * device.gbytes)),
        (
            KernelLimit::Latency,
            (waves * work.rounds).max(work.longest) * round,
        ),
    ];
    let slowest = limits.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    let (limit, slowest) = slowest.unwrap_or((KernelLimit::Latency, 0.0));
    let barriers = waves * (1e-9 * work.barriers * device.barrier_ns + work.epilogue * latency);
    let dispatch = 1e-6 * device.dispatch_us;
    let parts = [
        (limit, slowest),
        (KernelLimit::Barriers, barriers),
        (KernelLimit::Dispatch, dispatch),
    ];
    let most = parts.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    KernelSeconds {
        seconds: dispatch + slowest + barriers,
        limit: most.map_or(limit, |most| most.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel() -> Work {
        Work {
            workgroups: 1320.0,
            threads: 256.0,
            registers: 32.0,
            rounds: 1.0,
            loads: 1.0,
            ..Work::default()
        }
    }

    #[test]
    fn the_limit_is_what_takes_longest() {
        let device = DeviceTable::built_in("h100").unwrap();
        let of = |work: Work| time(&work, &device);
        let limit = |work: Work| of(work).limit;
        assert_eq!(limit(kernel()), KernelLimit::Dispatch);
        let busy = Work {
            flops: 1e10,
            ..kernel()
        };
        assert_eq!(limit(busy), KernelLimit::Compute);
        // 10 GFLOP on 40 of 67 TFLOP/s, and a dispatch.
        assert!((of(busy).seconds - 1e10 / (1e9 * REACHED * device.gflops)) < 5e-6);
        let waits = Work {
            rounds: 2048.0,
            ..kernel()
        };
        assert_eq!(limit(waits), KernelLimit::Latency);
        let streams = Work {
            distinct: 1e9,
            l2: 1e9,
            ..kernel()
        };
        assert_eq!(limit(streams), KernelLimit::Memory);
        let cached = Work {
            distinct: 1e6,
            l2: 1e9,
            ..kernel()
        };
        assert_eq!(limit(cached), KernelLimit::L2);
        let wide = Work {
            l1: 1e9,
            ..kernel()
        };
        assert_eq!(limit(wide), KernelLimit::L1);
        let turns = Work {
            shared: 1e9,
            ..kernel()
        };
        assert_eq!(limit(turns), KernelLimit::Shared);
        let meets = Work {
            barriers: 100.0,
            ..kernel()
        };
        assert_eq!(limit(meets), KernelLimit::Barriers);
    }

    /// Workgroups of few rounds beside one of many do not wait for as many each.
    #[test]
    fn workgroups_side_by_side_have_their_own_rounds() {
        let device = DeviceTable::built_in("h100").unwrap();
        let of = |workgroups, rounds| Work {
            workgroups,
            rounds,
            ..kernel()
        };
        let (long, short) = (of(100.0, 1000.0), of(1e5, 2.0));
        let seconds = |work: &Work| time(work, &device).seconds;
        let both = seconds(&long.beside(short));
        assert!(both >= seconds(&long) && both >= seconds(&short));
        assert!(both < seconds(&long) + seconds(&short), "{both}");
    }

    #[test]
    fn few_workgroups_leave_cores_idle_and_many_registers_make_waves() {
        let device = DeviceTable::built_in("h100").unwrap();
        let of = |workgroups, registers| {
            let work = Work {
                workgroups,
                registers,
                flops: 1e10,
                rounds: 100.0,
                ..kernel()
            };
            time(&work, &device).seconds
        };
        assert!(of(13.0, 32.0) > 9.0 * of(1320.0, 32.0));
        // 255 registers leave a core one workgroup of 256 threads.
        let waits = |registers| {
            let work = Work {
                registers,
                rounds: 1000.0,
                ..kernel()
            };
            time(&work, &device).seconds
        };
        assert!(waits(255.0) > 4.0 * waits(32.0));
    }
}
