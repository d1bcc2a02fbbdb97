//! Pascanu's regulariser in a layer: the gradient keeps its length on its way back through time.
//!
//! As in the paper, only the immediate dependence on the recurrent weight counts: states and gradients are held fixed.

use super::Recurrent;
use crate::cell::{Cell, Compiled, SourceKind};
use crate::error::{Error, Result};
use crate::layer::{Axis, Builder, Param};
use crate::op::scan::Scan;
use crate::op::{MatMul, Matrix, Op, Propagation};

/// Whether all that a step passes on goes through products of the one previous state.
fn fits(cell: &Cell, compiled: &Compiled) -> bool {
    let mut recurrent = cell.sources.iter().filter(|s| s.kind != SourceKind::Input);
    cell.states.len() == 1
        && !compiled.carries.contains(&true)
        && recurrent
            .next()
            .is_some_and(|s| s.kind == SourceKind::Previous(0))
        && recurrent.next().is_none()
}

impl Recurrent {
    /// Adds to the objective `weight` times the mean of (|dE/dh_{t+1} dh_{t+1}/dh_t| / |dE/dh_{t+1}| - 1)^2 over all steps
    /// of a minibatch and rows. Only for a cell that [`Recurrent::propagates`]; planning another one is an error.
    pub fn propagation(self, weight: f64) -> Recurrent {
        Recurrent {
            propagation: weight,
            ..self
        }
    }

    /// Whether the regulariser fits the cell: one state, which comes into the next step through products alone.
    pub fn propagates(cell: &Cell) -> bool {
        fits(cell, &cell.compile())
    }

    pub(super) fn check_propagation(&self) -> Result<()> {
        if self.propagation == 0.0 || fits(&self.cell, &self.compiled) {
            return Ok(());
        }
        Err(Error::usage(format!(
            "propagation-penalty: expected cells with one state that goes through a product alone, such as rnn, without \
             zoneout and dropout-recurrent, got {}",
            self.cell.name
        )))
    }

    /// After the backward scan `scan` (with transposed weights), which left the deltas [T * B, D * H].
    pub(super) fn propagation_backward(
        &self,
        builder: &mut Builder,
        axis: Axis,
        scan: &Scan,
        delta: Matrix,
        weights: &[Param],
    ) {
        let (h, label) = (self.hidden, &self.label);
        let source = self
            .cell
            .sources
            .iter()
            .position(|s| s.kind != SourceKind::Input);
        let (Some(s), Some(upstream)) = (source, scan.upstream) else {
            return;
        };
        let Some(transposed) = scan.weights[s].filter(|_| self.propagation > 0.0) else {
            return;
        };
        // v_t = delta_t W^T
        let sent = builder.activation(axis, format!("sent.{label}"), h);
        for (i, run) in self.source_runs(s).into_iter().enumerate() {
            builder.push(Op::MatMul(MatMul {
                name: format!("sent.{label}"),
                a: delta.columns(run.delta * h, run.len * h),
                b: Matrix {
                    offset: transposed.offset + run.block * h * transposed.stride,
                    rows: run.len * h,
                    ..transposed
                },
                c: sent,
                transpose_a: false,
                transpose_b: false,
                bias: None,
                accumulate: i > 0,
            }));
        }
        let upstream = if self.reversed {
            // What comes from above is in the order of the positions, deltas are in that of the steps.
            let name = format!("upstream.{label}.in-order");
            builder.reversed(axis, name, upstream, axis.batch)
        } else {
            upstream
        };
        let pull = builder.activation(axis, format!("pull.{label}"), h);
        let losses = builder.penalties(axis);
        builder.push(Op::Propagation(Propagation {
            name: format!("penalty.propagation.{label}"),
            weight: self.propagation,
            batch: axis.batch,
            upstream,
            sent,
            pull,
            losses,
            at: 0,
        }));
        // dW = pull^T delta
        for run in self.source_runs(s) {
            let d = delta.columns(run.delta * h, run.len * h);
            let into = weights[s].grad.columns(run.block * h, run.len * h);
            self.weight_backward(builder, "propagation", pull, d, into);
        }
    }
}
