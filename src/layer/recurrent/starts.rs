//! A recurrent layer's states before the first step and behind the last one of every sequence, as values.

use super::Recurrent;
use crate::error::{Error, Result};
use crate::layer::{Axis, Builder, Signal, Value, above};
use crate::op::scan::Scan;
use crate::op::{Matrix, SlotId};

impl Recurrent {
    /// The name of what begins or ends a state: the layer's alone for its output.
    pub(super) fn of_state(&self, what: &str, state: usize) -> String {
        let label = &self.label;
        if state == self.cell.output {
            format!("{what}.{label}")
        } else {
            format!("{what}.{label}.{}", self.cell.states[state])
        }
    }

    /// Puts the given rows where a state lies before the first step.
    pub(super) fn begin(
        &self,
        builder: &mut Builder,
        axis: Axis,
        (k, start): (usize, Value),
        state: SlotId,
    ) -> Result<()> {
        let (label, h) = (&self.label, self.hidden);
        let (rows, above) = (builder.rows(start)?, builder.axis(start));
        let fits = axis.number().is_some() && !self.cell.is_feed_forward() && !self.learned;
        if !fits || rows.cols != h {
            let message = format!("{label}: {} columns cannot begin a state of {h}", rows.cols);
            return Err(Error::internal(message));
        }
        let name = self.of_state("start", k);
        let sequences = builder.gathered_down(above, &name, axis, rows);
        let plane = k * (axis.batch + axis.rows()) * h;
        let first = Matrix {
            slot: state,
            offset: plane,
            rows: sequences.rows,
            cols: h,
            stride: h,
            row_count: sequences.row_count,
        };
        builder.add(name, sequences, first, false);
        Ok(())
    }

    /// A state behind the last step of every sequence.
    pub(super) fn last_state(
        &self,
        builder: &mut Builder,
        axis: Axis,
        scan: &Scan,
        k: usize,
    ) -> Result<Value> {
        let Some(above) = self.above.filter(|_| !self.cell.is_feed_forward()) else {
            let message = format!("{}: no last states", self.label);
            return Err(Error::internal(message));
        };
        let rows = Matrix {
            slot: scan.state,
            offset: scan.state_row(k, 1, 0, &[]),
            rows: axis.rows(),
            cols: self.hidden,
            stride: self.hidden,
            row_count: None,
        };
        let name = self.of_state("last", k);
        let rows = above::ends(builder, &name, (rows, axis), above)?;
        Ok(builder.value(name, Signal::Rows(rows), above))
    }
}
