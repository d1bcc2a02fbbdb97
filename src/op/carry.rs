//! The first step of every state: zero or learned after a reset, else the last step of the run before, each row's or that of
//! the row from which it goes on.

use super::{Access, Control, Cost, Limits, Matrix, Operand, Operation, Segment, SlotId, bytes};
use crate::cell::real::Real;

/// `state[s, 0] = reset ? start[s] : state[s, T]`, for a slot [S, T+1, B, H]; start is 0 where nothing is learned. With
/// parents `state[s, 0, b] = state[s, T, parent[b]]`.
#[derive(Clone, Debug)]
pub struct Carry {
    /// The name in the plan.
    pub name: String,
    /// The slot of control words, which holds `reset`.
    pub control: SlotId,
    /// The states' slot.
    pub state: SlotId,
    /// The element at which the first of the states begins.
    pub first: usize,
    /// S.
    pub states: usize,
    /// Elements before a state's last step: T * B * H.
    pub last: usize,
    /// Elements of one step: B * H.
    pub width: usize,
    /// The learned first states [S, H].
    pub start: Option<Matrix>,
    /// From which row each row goes on; from itself where nothing says.
    pub parents: Option<Parents>,
}

/// Words `[B]`, all below B: the row from which each row goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parents {
    /// Their slot.
    pub slot: SlotId,
    /// B.
    pub rows: usize,
}

impl Carry {
    /// Elements of what goes on together: a row's, or a whole step's.
    pub fn together(&self) -> usize {
        self.parents.map_or(self.width, |p| self.width / p.rows)
    }

    fn whole(&self) -> Matrix {
        let cols = self.last + self.width;
        Matrix {
            slot: self.state,
            offset: self.first,
            rows: self.states,
            cols,
            stride: cols,
            row_count: None,
        }
    }

    /// The plain code; `start` is empty where nothing is learned, `parents` where every row goes on from itself.
    pub fn plain<F: Real>(&self, reset: bool, start: &[F], parents: &[u32], state: &mut [F]) {
        let plane = self.last + self.width;
        let planes = state[self.first..].chunks_mut(plane);
        for (s, plane) in planes.take(self.states).enumerate() {
            if let (true, Some(m)) = (reset, self.start) {
                let row = &start[s * m.stride..][..m.cols];
                for to in plane[..self.width].chunks_mut(m.cols) {
                    to.copy_from_slice(row);
                }
            } else if reset {
                plane[..self.width].fill(F::ZERO);
            } else if self.parents.is_some() {
                let h = self.together();
                let (before, last) = plane.split_at_mut(self.last);
                for (to, parent) in before[..self.width].chunks_mut(h).zip(parents) {
                    to.copy_from_slice(&last[*parent as usize * h..][..h]);
                }
            } else {
                plane.copy_within(self.last.., 0);
            }
        }
    }
}

impl Operation for Carry {
    const KIND: &'static str = "carry";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let state = self.whole();
        let first = state.columns(0, self.width);
        let mut operands = vec![
            Operand::part(state).sum(),
            Operand::part(first).with(Access::Write).sum(),
            Operand::slot(self.control, Control::WORDS),
        ];
        operands.extend(self.parents.map(|p| Operand::slot(p.slot, p.rows)));
        operands.extend(self.start.as_mut().map(Operand::read));
        operands
    }

    fn cost(&self) -> Cost {
        Cost {
            flops: 0.0,
            bytes: bytes(2 * self.states * self.width),
        }
    }

    fn check(&self) -> Result<(), String> {
        let Some(parents) = self.parents else {
            return Ok(());
        };
        if parents.rows > 0 && self.width.is_multiple_of(parents.rows) && self.last >= self.width {
            return Ok(());
        }
        Err(format!(
            "parents: expected {} rows of equal width in a step of {}, of which the last begins at {}",
            parents.rows, self.width, self.last
        ))
    }

    fn shape(&self) -> String {
        format!("{} x {}", self.states, self.width)
    }

    fn sum_length(&self) -> usize {
        0
    }

    fn split(&self, limits: &dyn Limits) -> Vec<Carry> {
        if limits.holds_slot(self.state) {
            return vec![self.clone()];
        }
        let state = |state: usize| Carry {
            first: self.first + state * (self.last + self.width),
            states: 1,
            start: self.start.map(|m| m.band(state, 1)),
            ..self.clone()
        };
        (0..self.states).map(state).collect()
    }

    fn place(&mut self, _: Segment) {}
}
