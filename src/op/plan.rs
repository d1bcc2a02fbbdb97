//! A plan: operations over named slots, pure data that can be printed, counted and compared.

use super::{
    Bound, Matrix, Op, PackedAxis, Packing, Parameter, Recipes, Role, Slot, SlotId, StateLayout,
    StepPart,
};

/// A program for one minibatch.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The slots.
    pub slots: Vec<Slot>,
    /// The operations, in order.
    pub ops: Vec<Op>,
    /// What the parameter arena holds.
    pub parameters: Vec<Parameter>,
    /// The length of the parameters' flat arena and of the optimiser's, padding included.
    pub arena: usize,
    /// How much of it has a place in the gradients' arena: all but the tables whose gradients are rows, which lie at its
    /// end.
    pub dense: usize,
    /// The slots that callers must know.
    pub io: Io,
    /// What the slots that the host fills are made of.
    pub recipes: Recipes,
    /// The axes whose sequences are packed.
    pub axes: Vec<PackedAxis>,
    /// Of a plan that writes sequences token by token: what runs for every token. None in another.
    pub step: Option<StepPart>,
}

/// The slots that callers of a plan must know; absent where the plan has no such thing.
#[derive(Clone, Debug, Default)]
pub struct Io {
    /// The flat parameters.
    pub parameters: Option<SlotId>,
    /// The flat gradients.
    pub gradients: Option<SlotId>,
    /// The optimiser's flat arenas, in the order in which its rule names them.
    pub optimizer: Vec<SlotId>,
    /// What a run reports, see [`Report`](super::Report).
    pub report: Option<SlotId>,
    /// What loss scaling keeps from run to run, see [`LossScale`](super::LossScale).
    pub scaling: Option<SlotId>,
    /// The loss of every position [T, B], in nats.
    pub losses: Option<SlotId>,
    /// Scores of every symbol [T, B, V] (training turns them into their gradient), of the first loss.
    pub logits: Option<SlotId>,
    /// What every loss leaves.
    pub outputs: Vec<Output>,
    /// The states of the recurrent layers that go on from run to run.
    pub states: Vec<StateLayout>,
    /// What no gradient goes back through although it hangs on parameters: constants, as far as gradients go.
    pub stopped: Vec<SlotId>,
    /// Gradients with respect to the initial states [S, B, H], by layer: a part of a slot.
    pub initial: Vec<Matrix>,
    /// Where an adapter's kernels span workgroups.
    pub exchange: Option<Exchange>,
}

/// The slots of kernels that span workgroups, bits of whole numbers: no operation of a plan reads or writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// What workgroups send one another.
    pub words: SlotId,
    /// Whether they met: not 0 where a run counts for nothing.
    pub flag: SlotId,
}

/// What a loss leaves, a row for every prediction.
#[derive(Clone, Debug)]
pub struct Output {
    /// The field that is predicted, where it is one.
    pub field: Option<usize>,
    /// The packed axis along which the predictions lie; none in a plan for streams.
    pub axis: Option<usize>,
    /// The losses, in nats, as a row: a part of those of the plan. None in a plan for scores.
    pub losses: Option<Matrix>,
    /// The scores of every symbol or class, where a plan holds them all at once.
    pub scores: Option<Matrix>,
    /// What a program on rows makes its loss of, operand by operand, as far as a plan has it.
    pub values: Vec<Option<Matrix>>,
    /// What the first of them was in earlier rounds, where lines that are made several times made it.
    pub rounds: Vec<Matrix>,
}

impl Plan {
    /// A slot.
    pub fn slot(&self, id: SlotId) -> &Slot {
        &self.slots[id.0]
    }

    /// The slot called `name`.
    pub fn find(&self, name: &str) -> Option<SlotId> {
        self.slots.iter().position(|s| s.name == name).map(SlotId)
    }

    /// Learned numbers, without padding.
    pub fn parameter_count(&self) -> usize {
        self.parameters
            .iter()
            .map(|p| p.matrix.rows * p.matrix.cols)
            .sum()
    }

    /// Bytes of all slots on an adapter.
    pub fn bytes(&self) -> u64 {
        self.slots.iter().map(Slot::bytes).sum()
    }

    /// Adds a slot.
    pub fn add(&mut self, name: impl Into<String>, shape: &[usize], role: Role) -> SlotId {
        let name = name.into();
        debug_assert!(self.find(&name).is_none(), "slot {name} exists");
        self.slots.push(Slot {
            name,
            shape: shape.to_vec(),
            role,
            bound: Bound::Any,
            half: false,
            double: false,
        });
        SlotId(self.slots.len() - 1)
    }

    /// Adds a slot of words that the host fills, all of which keep to `bound`.
    pub fn add_words(&mut self, name: impl Into<String>, shape: &[usize], bound: Bound) -> SlotId {
        let slot = self.add(name, shape, Role::Words);
        self.slots[slot.0].bound = bound;
        slot
    }

    /// Adds the words of a packed axis to the slot of counts, which all axes share: that slot, and its first word.
    pub fn add_counts(&mut self, packing: Packing) -> (SlotId, usize) {
        let words = Packing::STARTS + packing.steps + 1;
        let slot = self.recipes.counts.unwrap_or_else(|| {
            let slot = self.add_words("counts", &[1, 0], Bound::Counts);
            self.recipes.counts = Some(slot);
            slot
        });
        let shape = &mut self.slots[slot.0].shape;
        shape[1] += words;
        (slot, shape[1] - words)
    }

    /// What is wrong with `words` as the contents of a slot, if something is.
    pub fn words_fault(&self, slot: SlotId, words: &[u32]) -> Option<String> {
        self.slot(slot).bound.fault(words, &self.axes)
    }

    /// How the sequences of the first axis are packed; absent for segments of T steps of B rows.
    pub fn packing(&self) -> Option<Packing> {
        self.axes.first().map(|axis| axis.packing)
    }

    /// The axis in whose order the rows lie that there are for every example: the first one whose sequences these are.
    pub fn order_of_examples(&self) -> Option<usize> {
        let examples = self.recipes.examples?;
        self.axes
            .iter()
            .position(|axis| axis.above == Some(examples) && axis.parents.is_none())
    }

    /// The slots that the host fills before every run.
    pub fn filled(&self) -> impl Iterator<Item = SlotId> + '_ {
        let slots = self.slots.iter().enumerate();
        slots
            .filter(|(_, slot)| matches!(slot.role, Role::Words | Role::Numbers))
            .map(|(n, _)| SlotId(n))
    }

    /// A whole slot as a matrix whose columns are its last axis.
    pub fn matrix(&self, slot: SlotId) -> Matrix {
        let shape = &self.slot(slot).shape;
        let cols = shape.last().copied().unwrap_or(1);
        Matrix::new(slot, self.slot(slot).len() / cols.max(1), cols)
    }

    /// Every fault of the plan: matrices beyond their slots, shapes that do not fit, slots written while they are read.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for op in &self.ops {
            for matrix in op.reads().into_iter().chain(op.writes()) {
                let slot = self.slot(matrix.slot);
                if matrix.end() > slot.len() || matrix.stride < matrix.cols {
                    faults.push(format!(
                        "{}: [{}, {}] from {} by {} lies outside {} {:?}",
                        op.name(),
                        matrix.rows,
                        matrix.cols,
                        matrix.offset,
                        matrix.stride,
                        slot.name,
                        slot.shape
                    ));
                }
            }
            if let Err(message) = op.check() {
                faults.push(format!("{}: {message}", op.name()));
            }
        }
        faults
    }
}
