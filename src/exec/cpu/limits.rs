//! What this machine's processor can do at most, measured on all cores: a copy beyond the caches, and multiply-adds in
//! vector registers.

use std::hint::black_box;
use std::time::Instant;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::exec::limits::{MachineLimits, median};

/// Elements that are copied: 64 MiB, more than most caches hold.
const COPIED: usize = 16 << 20;
/// Elements that a thread copies at a time.
const CHUNK: usize = 1 << 18;
/// Measurements, of which the median counts.
const TIMES: usize = 5;
/// Chains of multiply-adds: enough to hide their latency, few enough for 16 registers with factor and summand.
const CHAINS: usize = 12;
/// How often the chains are gone through: some milliseconds.
const LOOPS: usize = 1 << 20;

/// The limits of this processor with as many threads as the executor uses.
pub fn measure() -> MachineLimits {
    MachineLimits {
        flops: flops(),
        bytes: bandwidth(),
    }
}

fn bandwidth() -> f64 {
    let from = vec![1.0f32; COPIED];
    let mut to = vec![0.0f32; COPIED];
    let mut copy = || {
        let start = Instant::now();
        let chunks = to.par_chunks_mut(CHUNK).zip(from.par_chunks(CHUNK));
        chunks.for_each(|(to, from)| to.copy_from_slice(from));
        black_box(&mut to);
        start.elapsed().as_secs_f64()
    };
    // The first one finds memory that was never touched.
    copy();
    let seconds = median((0..TIMES).map(|_| copy()).collect());
    8.0 * COPIED as f64 / seconds
}

fn flops() -> f64 {
    let arch = pulp::Arch::new();
    let run = || {
        let start = Instant::now();
        let lanes = rayon::broadcast(|_| arch.dispatch(Chains));
        let each = 2.0 * (CHAINS * LOOPS) as f64;
        lanes.iter().sum::<usize>() as f64 * each / start.elapsed().as_secs_f64()
    };
    // The first one wakes the threads up.
    run();
    median((0..TIMES).map(|_| run()).collect())
}

/// Multiply-adds in registers, as many lanes wide as this processor's vectors; gives the lanes.
struct Chains;

impl WithSimd for Chains {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        // x = x / 2 + 1 stays near 2, whatever the start.
        let factor = simd.splat_f32s(black_box(0.5));
        let summand = simd.splat_f32s(black_box(1.0));
        let mut chains = [simd.splat_f32s(black_box(3.0)); CHAINS];
        for _ in 0..LOOPS {
            for chain in &mut chains {
                *chain = simd.mul_add_f32s(*chain, factor, summand);
            }
        }
        black_box(chains.map(|chain| simd.reduce_sum_f32s(chain)));
        S::F32_LANES
    }
}
