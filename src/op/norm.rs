//! The report of a training step: the sum of the losses, that of the penalties, the gradient's norm, and whether all are
//! finite.

use super::{
    Access, Cost, Hyper, LossScale, Matrix, Operand, Operation, PartSum, Report, Segment, SlotId,
    area, bytes,
};
use crate::cell::real::Real;
use crate::cell::simd::SIDE;

/// report = [sum of losses, sqrt(sum of squares of the gradients), 1 if all are finite, sum of penalties].
#[derive(Clone, Debug)]
pub struct Norm {
    /// The name in the plan.
    pub name: String,
    /// The losses of all rows.
    pub losses: Matrix,
    /// The flat gradients; absent in a plan without training.
    pub gradients: Option<Matrix>,
    /// Gradients of tables as compact rows, each as one row.
    pub sparse: Vec<Matrix>,
    /// The losses of penalties; absent where there is none.
    pub penalties: Option<Matrix>,
    /// Partial sums: one per [`Norm::CHUNK`] elements of losses, then of gradients, dense and sparse, then of penalties.
    pub partials: SlotId,
    /// The report's slot.
    pub report: SlotId,
    /// Where the gradients are multiplied by a factor: the slot of hyper-parameters, which holds it. The norm is that of
    /// the gradients without it.
    pub scaled: Option<SlotId>,
    /// Where gradients are clipped both by value and by norm: the norm is that of the gradients cut to [-v, v], as the
    /// value comes first; 0 leaves them. An element that is not finite is not cut, so that it is found.
    pub clip_value: f64,
    /// Whether it leaves the partial sums alone, and the update makes the report of them: see
    /// [`Optimizer::ends`](super::Optimizer::ends).
    pub open: bool,
    /// What of the gradients is still in parts, which it adds up first: see [`Plan::with_completing_norm`].
    ///
    /// [`Plan::with_completing_norm`]: super::Plan::with_completing_norm
    pub completes: Vec<PartSum>,
}

impl Norm {
    /// Elements that one partial sum covers; the partial sums are then added in order, so the result is deterministic.
    pub const CHUNK: usize = 4096;

    /// How many partial sums `elements` elements make.
    pub fn chunks(elements: usize) -> usize {
        elements.div_ceil(Self::CHUNK)
    }

    /// What is summed up, in the order of the partial sums, and whether as squares.
    pub fn sums(&self) -> Vec<(Matrix, bool)> {
        let mut sums = vec![(self.losses, false)];
        sums.extend(self.gradients.map(|g| (g, true)));
        sums.extend(self.sparse.iter().map(|g| (*g, true)));
        sums.extend(self.penalties.map(|p| (p, false)));
        sums
    }

    /// The plain code of the partial sums, in the order of [`Norm::sums`].
    #[inline(always)]
    pub fn partial_sums<F: Real>(
        &self,
        losses: &[F],
        gradients: Option<&[F]>,
        sparse: &[&[F]],
        penalties: Option<&[F]>,
        hyper: Option<&[F]>,
        partials: &mut [F],
    ) {
        // The elements of the gradients have the factor.
        let factor = hyper.map_or(F::ONE, |h| h[6]);
        let (cuts, most) = (self.clip_value > 0.0, F::of(self.clip_value) * factor);
        let mut at = 0;
        let mut reduce = |values: &[F], squared: bool| {
            for chunk in values.chunks(Self::CHUNK) {
                partials[at] = match (squared, cuts) {
                    (true, true) => total(chunk, |x| {
                        let x = cut(x, most);
                        x * x
                    }),
                    (true, false) => total(chunk, |x| x * x),
                    (false, _) => total(chunk, |x| x),
                };
                at += 1;
            }
        };
        reduce(losses, false);
        for rows in gradients.iter().chain(sparse) {
            reduce(rows, true);
        }
        if let Some(penalties) = penalties {
            reduce(penalties, false);
        }
    }

    /// The plain code of the report, from the partial sums.
    pub fn report<F: Real>(&self, hyper: Option<&[F]>, partials: &[F]) -> [F; Report::NUMBERS] {
        let chunks = |m: Option<&Matrix>| m.map_or(0, |m| Self::chunks(m.cols));
        let squares = self.gradients.iter().chain(&self.sparse);
        let squares = squares.map(|m| chunks(Some(m))).sum();
        let mut rest = partials.iter();
        let mut sum = |count| rest.by_ref().take(count).fold(F::ZERO, |sum, x| sum + *x);
        let loss = sum(chunks(Some(&self.losses)));
        let norm = sum(squares).sqrt();
        let penalty = sum(chunks(self.penalties.as_ref()));
        // 1 / factor, and whether there may be a smaller factor.
        let (rest, scaled) = hyper.map_or((F::ONE, false), |h| (h[5], h[6] > F::ONE));
        let good = loss.f64().is_finite() && penalty.f64().is_finite();
        let verdict = match (good, norm.f64().is_finite()) {
            (true, true) => F::ONE,
            (true, false) if scaled => F::of(LossScale::BEYOND),
            _ => F::ZERO,
        };
        [loss, norm * rest, verdict, penalty]
    }

    /// How many partial sums there are.
    pub fn partial_count(&self) -> usize {
        let sums = self.sums();
        sums.iter().map(|(m, _)| Self::chunks(m.cols)).sum()
    }
}

impl Operation for Norm {
    const KIND: &'static str = "norm";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let (sums, partials) = (self.sums(), self.partial_count());
        let write = |slot, count| Operand::slot(slot, count).with(Access::Write).sum();
        // What it sums up is never moved.
        let mut operands: Vec<Operand<'_>> = sums
            .into_iter()
            .map(|(m, _)| Operand::part(m).sum())
            .collect();
        let hyper = self.scaled.map(|h| Operand::slot(h, Hyper::NUMBERS).sum());
        operands.extend(hyper);
        for sum in &self.completes {
            let access = if sum.accumulate {
                Access::Update
            } else {
                Access::Write
            };
            operands.push(Operand::part(sum.from).sum());
            operands.push(Operand::part(sum.to).with(access).sum());
        }
        operands.push(write(self.partials, partials));
        operands.extend((!self.open).then(|| write(self.report, Report::NUMBERS)));
        operands
    }

    fn cost(&self) -> Cost {
        self.costs().into_iter().sum()
    }

    /// The partial sums of the losses, those of the gradients' squares, of the penalties, and their sums.
    fn costs(&self) -> Vec<Cost> {
        let cost = |flops: usize, moved: usize| Cost {
            flops: flops as f64,
            bytes: bytes(moved),
        };
        let mut partials = 0;
        let mut costs = Vec::new();
        for (m, square) in self.sums() {
            let (elements, chunks) = (area(&m), Self::chunks(area(&m)));
            let flops = if square { 2 * elements } else { elements };
            let completes = self.completes.iter().filter(|sum| sum.to.slot == m.slot);
            let added: usize = completes.map(|sum| area(&sum.from)).sum();
            costs.push(cost(flops + added, elements + added + chunks));
            partials += chunks;
        }
        costs.extend((!self.open).then(|| cost(partials, partials + Report::NUMBERS)));
        costs
    }

    fn check(&self) -> Result<(), String> {
        for sum in &self.completes {
            sum.check()
                .map_err(|fault| format!("{}: {fault}", sum.name))?;
        }
        Ok(())
    }

    fn shape(&self) -> String {
        let gradients = self.gradients.as_ref().map_or(0, area);
        format!("{} + {gradients}", self.losses.cols)
    }

    fn sum_length(&self) -> usize {
        let elements = self.sums().iter().map(|(m, _)| m.cols).max().unwrap_or(0);
        Norm::CHUNK.min(elements) + Norm::chunks(elements)
    }

    fn place(&mut self, _: Segment) {}
}

/// A value cut to [-most, most]; one that is not finite stays.
#[inline(always)]
fn cut<F: Real>(x: F, most: F) -> F {
    let infinity = F::of(f64::INFINITY);
    if x > most && x < infinity {
        most
    } else if x < -most && x > -infinity {
        -most
    } else {
        x
    }
}

/// The sum of a function of all values: as many running sums as fill registers, so that the loop becomes vector code.
#[inline(always)]
fn total<F: Real>(values: &[F], f: impl Fn(F) -> F) -> F {
    let mut lanes = [F::ZERO; SIDE];
    let (chunks, rest) = values.as_chunks::<SIDE>();
    for chunk in chunks {
        for i in 0..SIDE {
            lanes[i] += f(chunk[i]);
        }
    }
    for i in 0..rest.len() {
        lanes[i] += f(rest[i]);
    }
    let mut total = F::ZERO;
    for lane in lanes {
        total += lane;
    }
    total
}
