//! Where the states of a recurrent layer that go on from run to run lie in their slot.

use super::{Matrix, SlotId};

/// A slot [S, T+1, B, H]: every state's steps, of which step 0 lies before the first one and step T is the next run's
/// step 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateLayout {
    /// The slot.
    pub slot: SlotId,
    /// S.
    pub states: usize,
    /// T.
    pub steps: usize,
    /// B.
    pub batch: usize,
    /// H.
    pub hidden: usize,
}

impl StateLayout {
    /// The shape of the slot.
    pub fn shape(&self) -> [usize; 4] {
        [self.states, self.steps + 1, self.batch, self.hidden]
    }

    /// The shape of one step of all states.
    pub fn step_shape(&self) -> [usize; 3] {
        [self.states, self.batch, self.hidden]
    }

    /// Elements of one step of all states.
    pub fn step_len(&self) -> usize {
        self.states * self.batch * self.hidden
    }

    /// The states before step `step`, or behind the last one: [S, B * H].
    pub fn step(&self, step: usize) -> Matrix {
        let width = self.batch * self.hidden;
        Matrix {
            slot: self.slot,
            offset: step * width,
            rows: self.states,
            cols: width,
            stride: (self.steps + 1) * width,
            row_count: None,
        }
    }

    /// The states behind the last step, which the next run begins with.
    pub fn last(&self) -> Matrix {
        self.step(self.steps)
    }

    /// The numbers of one step, from the slot's contents.
    pub fn read<F: Copy>(&self, step: usize, all: &[F]) -> Vec<F> {
        let m = self.step(step);
        let state = |s: usize| &all[m.offset + s * m.stride..][..m.cols];
        (0..m.rows).flat_map(state).copied().collect()
    }

    /// Puts the numbers of one step into the slot's contents.
    pub fn write<F: Copy>(&self, step: usize, numbers: &[F], all: &mut [F]) {
        let m = self.step(step);
        for (s, state) in numbers.chunks(m.cols.max(1)).enumerate() {
            all[m.offset + s * m.stride..][..m.cols].copy_from_slice(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_read_where_it_was_written() {
        let layout = StateLayout {
            slot: SlotId(0),
            states: 2,
            steps: 3,
            batch: 3,
            hidden: 5,
        };
        let mut all = vec![0; 120];
        let step: Vec<i32> = (1..=30).collect();
        layout.write(3, &step, &mut all);
        assert_eq!(layout.read(3, &all), step);
        // The second state's last step ends the slot, the first one's lies behind three steps.
        assert_eq!((all[45], all[119]), (1, 30));
        assert_eq!(all.iter().filter(|x| **x != 0).count(), 30);
        assert_eq!(layout.last().end(), 120);
    }
}
