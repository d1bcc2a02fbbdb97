//! Compares a GPU with the plain code: operation by operation, and over whole training steps.
//!
//! Operation by operation, both sides start from the same slots, so that a fault shows where it is made. Results are
//! poisoned with NaN on the GPU beforehand, so that an element that a kernel forgets cannot pass.
//!
//! Both sides compute in f32 or, for a plan in double precision, in f64, where a wrong term shows that is as small as the
//! roundings of f32.

use std::collections::HashSet;
use std::sync::Arc;

use half::f16;

use super::FillSlots;
use super::cpu::{Cpu, Number};
use super::gpu::Gpu;
use crate::cell::real::Real;
use crate::error::{Error, Result};
use crate::op::{Matrix, Norm, Op, Plan, Role, RowCount, Scan, SlotId};

/// How one slot that an operation wrote compares.
#[derive(Clone, Debug)]
pub struct SlotComparison {
    /// The operation's name.
    pub op: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its sizes.
    pub shape: String,
    /// The slot.
    pub slot: String,
    /// Sum of squared differences over the sum of squares.
    pub nmse: f64,
    /// The element that is furthest off: its index, the GPU's value and the plain code's.
    pub worst: (usize, f64, f64),
    /// The largest difference that passes.
    pub tolerance: f64,
    /// How many elements are off by more (a NaN always is).
    pub faults: usize,
}

impl SlotComparison {
    /// Whether every element is within the tolerance.
    pub fn passed(&self) -> bool {
        self.faults == 0
    }

    /// What is wrong, in one line.
    pub fn fault(&self) -> String {
        let (index, got, want) = self.worst;
        format!(
            "{} ({}, {}): {} elements of {} are off by more than {:e}; worst: [{index}] got {got}, want {want}",
            self.op, self.kind, self.shape, self.faults, self.slot, self.tolerance
        )
    }
}

/// Both executors of one plan, the plain one in numbers of type F: those of the GPU's plan, or tolerances mean nothing.
#[derive(Debug)]
pub struct Twins<F: 'static = f32> {
    plan: Arc<Plan>,
    cpu: Cpu<F>,
    gpu: Gpu,
}

impl<F: Number> Twins<F> {
    /// The plain code and `gpu`, with the same parameters.
    ///
    /// # Errors
    /// Parameters of another length than the plan's.
    pub fn new(mut gpu: Gpu, parameters: &[F]) -> Result<Twins<F>> {
        let plan = gpu.plan().clone();
        let mut cpu = Cpu::plain(plan.clone());
        if let Some(slot) = plan.io.parameters {
            gpu.write_as(slot, parameters)?;
            cpu.write(slot).copy_from_slice(parameters);
        }
        Ok(Twins { plan, cpu, gpu })
    }

    /// The plan.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The plain executor.
    pub fn cpu(&mut self) -> &mut Cpu<F> {
        &mut self.cpu
    }

    /// The GPU's executor.
    pub fn gpu(&mut self) -> &mut Gpu {
        &mut self.gpu
    }

    /// Runs every operation on both sides from the same slots; a row for every slot that one writes.
    ///
    /// # Errors
    /// Minibatches that do not fit, or a lost device.
    pub async fn operations(&mut self, minibatch: &dyn FillSlots) -> Result<Vec<SlotComparison>> {
        self.cpu.set(minibatch)?;
        self.gpu.set(minibatch)?;
        let plan = self.plan.clone();
        let cooperative = self.gpu.device().tile(&plan).0.cooperative > 0;
        let mut rows = Vec::new();
        for (i, op) in plan.ops.iter().enumerate() {
            // Both sides start from numbers that f16 holds.
            self.round(op);
            self.poison(op);
            let mut touched: Vec<SlotId> = Vec::new();
            for m in op.reads().iter().chain(&op.writes()) {
                if plan.slot(m.slot).role != Role::Words && !touched.contains(&m.slot) {
                    touched.push(m.slot);
                    self.gpu.write_as(m.slot, self.cpu.read(m.slot))?;
                }
            }
            self.cpu.run_op(i)?;
            self.gpu.run_op(i).await?;
            rows.extend(
                self.compare(op, op.sum_length(), roundings(&plan, op, cooperative))
                    .await?,
            );
        }
        Ok(rows)
    }

    /// Runs the plan's operations before `from` on the CPU and the others on the GPU, and all on the CPU; a row for every
    /// slot that the GPU's operations write. Errors add up over the operations, and so does the tolerance.
    ///
    /// # Errors
    /// Usage when no operation is called `from`; minibatches that do not fit; a lost device.
    pub async fn from_op(
        &mut self,
        minibatch: &dyn FillSlots,
        from: &str,
    ) -> Result<Vec<SlotComparison>> {
        let plan = self.plan.clone();
        let Some(first) = plan.ops.iter().position(|op| op.name() == from) else {
            let names: Vec<&str> = plan.ops.iter().map(Op::name).collect();
            return Err(Error::usage(format!(
                "no operation is called {from}; expected one of {}",
                names.join(", ")
            )));
        };
        self.cpu.set(minibatch)?;
        self.gpu.set(minibatch)?;
        for i in 0..first {
            self.cpu.run_op(i)?;
        }
        for (i, slot) in plan.slots.iter().enumerate() {
            if slot.role != Role::Words && !slot.is_empty() {
                self.gpu.write_as(SlotId(i), self.cpu.read(SlotId(i)))?;
            }
        }
        for i in first..plan.ops.len() {
            self.cpu.run_op(i)?;
            self.gpu.run_op(i).await?;
        }
        let cooperative = self.gpu.device().tile(&plan).0.cooperative > 0;
        // A slot shows what its last writer left.
        let length = plan.ops[first..].iter().map(Op::sum_length).sum();
        let halves = plan.ops[first..]
            .iter()
            .map(|op| roundings(&plan, op, cooperative))
            .sum();
        let mut rows: Vec<SlotComparison> = Vec::new();
        for op in plan.ops[first..].iter().rev() {
            for row in self.compare(op, length, halves).await? {
                if rows.iter().all(|known| known.slot != row.slot) {
                    rows.push(row);
                }
            }
        }
        rows.reverse();
        Ok(rows)
    }

    /// Whole runs of the plan, one for every minibatch, on both sides from the same parameters; a row for the parameters
    /// and the report after the last. Rounding grows from step to step, hence the larger tolerance.
    ///
    /// # Errors
    /// Minibatches that do not fit, or a lost device.
    pub async fn steps<M: FillSlots>(
        &mut self,
        minibatches: impl IntoIterator<Item = M>,
    ) -> Result<Vec<SlotComparison>> {
        let plan = self.plan.clone();
        let mut steps = 0;
        for minibatch in minibatches {
            steps += 1;
            self.cpu.run(&minibatch)?;
            self.gpu.run(&minibatch).await?;
        }
        self.gpu.settle().await?;
        let cooperative = self.gpu.device().tile(&plan).0.cooperative > 0;
        let length: usize = plan.ops.iter().map(Op::sum_length).sum();
        let halves: usize = plan
            .ops
            .iter()
            .map(|op| roundings(&plan, op, cooperative))
            .sum();
        let mut rows = Vec::new();
        for slot in plan.io.parameters.into_iter().chain(plan.io.report) {
            let got: Vec<F> = self.gpu.read_as(slot).await?;
            let want = self.cpu.read(slot);
            let name = &plan.slot(slot).name;
            let half = Half::chain(steps * halves);
            let mut row = judge(name, &got, want, largest(want), steps * length, half);
            row.op = format!("{steps} steps");
            row.kind = "training";
            row.shape = format!("{} operations", plan.ops.len());
            rows.push(row);
        }
        Ok(rows)
    }

    async fn compare(&self, op: &Op, length: usize, halves: usize) -> Result<Vec<SlotComparison>> {
        let mut seen: Vec<SlotId> = Vec::new();
        let mut rows = Vec::new();
        for m in op.writes() {
            if seen.contains(&m.slot) {
                continue;
            }
            seen.push(m.slot);
            let got: Vec<F> = self.gpu.read_as(m.slot).await?;
            let slot = self.plan.slot(m.slot);
            let want = self.cpu.read(m.slot);
            let scale = largest(want).max(self.term(op));
            // Sums of losses and of squares have terms of one sign, and each stands for itself.
            let scale = if of_norm(op, m.slot) { 0.0 } else { scale };
            let half = match (halves, slot.half) {
                (0 | 1, own) => Half { own, chain: 0.0 },
                (halves, _) => Half::chain(halves),
            };
            let mut row = judge(&slot.name, &got, want, scale, length, half);
            row.op = op.name().to_string();
            row.kind = op.kind();
            row.shape = op.shape();
            rows.push(row);
        }
        Ok(rows)
    }

    /// The size of the terms that a product sums, which may be far above its result's where they cancel.
    fn term(&self, op: &Op) -> f64 {
        let largest_of = |m: &Matrix| {
            let values = &self.cpu.read(m.slot)[m.offset..m.end()];
            let rows = values
                .chunks(m.stride.max(1))
                .map(|row| largest(&row[..m.cols]));
            rows.fold(0.0, f64::max)
        };
        match op {
            Op::MatMul(op) => largest_of(&op.a) * largest_of(&op.b),
            Op::ProductParts(op) => largest_of(&op.product.a) * largest_of(&op.product.b),
            Op::PartSum(op) => largest_of(&op.from),
            Op::Norm(op) => op
                .completes
                .iter()
                .map(|sum| largest_of(&sum.from))
                .fold(0.0, f64::max),
            Op::BatchMatMul(op) => largest_of(&op.a) * largest_of(&op.b),
            Op::Together(op) => op.ops.iter().map(|op| self.term(op)).fold(0.0, f64::max),
            _ => 0.0,
        }
    }

    /// What an operation reads or writes in half precision becomes the nearest that f16 holds.
    fn round(&mut self, op: &Op) {
        let touched = op.reads().into_iter().chain(op.writes());
        let slots: HashSet<SlotId> = touched.map(|m| m.slot).collect();
        for slot in slots.into_iter().filter(|s| self.plan.slot(*s).half) {
            for x in self.cpu.write(slot) {
                *x = F::of(f16::from_f64(x.f64()).to_f64());
            }
        }
    }

    /// Results that an operation overwrites without reading them start as NaN, on both sides.
    fn poison(&mut self, op: &Op) {
        for m in op.overwrites() {
            self.nan(self.cpu.counted(m));
        }
        if let Op::Scan(scan) = op {
            self.poison_scan(scan);
        }
    }

    /// All that a forward scan leaves, but for the states before the first step; all deltas but those after the last step,
    /// which stay zero.
    fn poison_scan(&mut self, op: &Scan) {
        let rows = op.packed.map_or(op.rows, |packed| {
            self.cpu.read_words(packed.counts)[packed.first + op.steps] as usize
        });
        if op.upstream.is_none() {
            for s in 0..op.cell.states.len() {
                let state = self.plan.matrix(op.state);
                self.nan(Matrix {
                    offset: op.state_row(s, 1, 0, &[]),
                    rows,
                    ..state
                });
            }
            if let Some(saved) = op.saved.filter(|_| !op.over_projection()) {
                let kept = self.plan.matrix(saved);
                self.nan(Matrix {
                    rows: rows * op.saved_values(),
                    ..kept
                });
            }
        } else if let Some(delta) = op.delta.filter(|_| !op.in_place()) {
            self.nan(Matrix {
                rows: rows * op.compiled.deltas,
                ..self.plan.matrix(delta)
            });
        }
    }

    /// Rows that do not count are left alone by operations, and here.
    fn nan(&mut self, m: Matrix) {
        let count = |l: RowCount| self.cpu.read_words(l.slot)[l.word];
        let rows = m
            .row_count
            .map_or(m.rows, |row_count| row_count.rows(m.rows, count(row_count)));
        let values = self.cpu.write(m.slot);
        for r in 0..rows {
            let at = m.offset + r * m.stride;
            values[at..at + m.cols].fill(F::of(f64::NAN));
        }
    }
}

/// Whether a slot is what a norm makes of sums.
fn of_norm(op: &Op, slot: SlotId) -> bool {
    let made = |norm: &Norm| [norm.partials, norm.report].contains(&slot);
    match op {
        Op::Norm(norm) => made(norm),
        Op::Optimizer(update) => update.ends.as_ref().is_some_and(made),
        Op::Together(op) => op.ops.iter().any(|op| of_norm(op, slot)),
        _ => false,
    }
}

/// Roundings to f16 that follow one another within an operation on a GPU: a scan reads at every step what it stored at
/// the one before.
fn roundings(plan: &Plan, op: &Op, cooperative: bool) -> usize {
    if let Op::Together(op) = op {
        // They do not follow one another.
        let each = op.ops.iter().map(|op| roundings(plan, op, cooperative));
        return each.max().unwrap_or(0);
    }
    let half = op.writes().iter().any(|m| plan.slot(m.slot).half);
    let product = cooperative && matches!(op, Op::MatMul(_));
    if !half && !product {
        return 0;
    }
    let steps = op.scans().iter().map(|scan| scan.range.len()).max();
    // Operands of cooperative matrices are rounded, too.
    let own = if product { 3 } else { 1 };
    steps.map_or(own, |steps| 2 + steps)
}

/// What half precision adds to a tolerance.
#[derive(Clone, Copy, Debug, Default)]
struct Half {
    /// Whether the slot itself is rounded, once: by 2^-11 of each element, or of what f16 holds at least without losing
    /// bits, 2^-14.
    own: bool,
    /// The sum of the roundings before it, relative to the largest element or term; it grows as a random walk does.
    chain: f64,
}

impl Half {
    fn chain(halves: usize) -> Half {
        Half {
            own: halves > 0,
            chain: 2.0 * (halves as f64).sqrt() * 2f64.powi(-11),
        }
    }
}

fn largest<F: Real>(values: &[F]) -> f64 {
    values.iter().fold(0.0, |m, x| m.max(x.f64().abs()))
}

/// Compares two versions of a slot. Copies must be equal; a sum of n terms in any order errs by about sqrt(n) roundings of
/// F's (2^-24, or 2^-53) relative to its terms, whose `scale` is that of the result or of a product's terms. Eight of those
/// leave a margin for a driver's exp and log. A scale of 0 takes every element by its own size.
fn judge<F: Real>(
    slot: &str,
    got: &[F],
    want: &[F],
    scale: f64,
    length: usize,
    half: Half,
) -> SlotComparison {
    let relative = if length == 0 {
        0.0
    } else {
        8.0 * ((length as f64).sqrt() + 4.0) * F::ROUNDING
    };
    let largest = largest(want);
    let own = |w: f64| {
        if half.own {
            w.abs().max(2f64.powi(-14)) * 2f64.powi(-11)
        } else {
            0.0
        }
    };
    let rounded = |w: f64| own(w) + half.chain * largest.max(scale);
    let mut row = SlotComparison {
        op: String::new(),
        kind: "",
        shape: String::new(),
        slot: slot.to_string(),
        nmse: 0.0,
        worst: (0, 0.0, 0.0),
        tolerance: relative * if scale == 0.0 { largest } else { scale } + rounded(largest),
        faults: want.len().abs_diff(got.len()),
    };
    let (mut error, mut power, mut furthest) = (0.0f64, 0.0f64, -1.0f64);
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        let (g, w) = (g.f64(), w.f64());
        let off = (g - w).abs();
        error += off * off;
        power += w * w;
        // A NaN is within no tolerance, and further off than anything.
        let scale = if scale == 0.0 { w.abs() } else { scale };
        let within = off <= relative * scale + rounded(w);
        row.faults += usize::from(!within);
        let off = if off.is_nan() { f64::INFINITY } else { off };
        if off > furthest {
            furthest = off;
            row.worst = (i, g, w);
        }
    }
    row.nmse = if error == 0.0 { 0.0 } else { error / power };
    row
}

#[cfg(test)]
mod tests {
    use super::{Half, judge};

    #[test]
    fn a_nan_and_a_missing_element_never_pass() {
        assert_eq!(
            judge(
                "s",
                &[1.0f32, f32::NAN],
                &[1.0, 2.0],
                2.0,
                100,
                Half::default()
            )
            .faults,
            1
        );
        assert_eq!(
            judge("s", &[1.0f32], &[1.0, 2.0], 2.0, 100, Half::default()).faults,
            1
        );
        assert_eq!(
            judge("s", &[1.0f32, 2.0], &[1.0, 2.0], 2.0, 0, Half::default()).faults,
            0
        );
        let row = judge("s", &[1.0f32, 2.001], &[1.0, 2.0], 2.0, 4, Half::default());
        assert_eq!((row.faults, row.worst.0), (1, 1));
        // 2^-11 of 2 is 9.8e-4.
        let own = Half {
            own: true,
            chain: 0.0,
        };
        assert_eq!(
            judge("s", &[1.0f32, 2.0009], &[1.0, 2.0], 2.0, 0, own).faults,
            0
        );
        assert_eq!(
            judge("s", &[1.0f32, 2.001], &[1.0, 2.0], 2.0, 0, own).faults,
            1
        );
        assert_eq!(judge("s", &[1.0009f32], &[1.0], 2.0, 0, own).faults, 1);
        // What f32 cannot tell apart f64 can.
        let row = judge("s", &[1.0 + 1e-13f64], &[1.0], 1.0, 4, Half::default());
        assert_eq!(row.faults, 1);
    }
}
