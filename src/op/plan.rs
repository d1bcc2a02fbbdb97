//! A plan: operations over named slots, pure data that can be printed, counted and compared.

use super::{Op, Recipes, SparseUpdate, StateLayout};
use crate::rng::threefry2x32;

/// A slot of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub usize);

/// What a slot holds, which decides who fills it and how long it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// All parameters, one flat arena; see [`Plan::parameters`] for the names inside.
    Parameters,
    /// Their gradients, laid out like the first part of the parameters, see [`Plan::dense`].
    Gradients,
    /// A flat arena of the optimiser, laid out like the parameters.
    Optimizer,
    /// 32-bit whole numbers that the host writes before a run: token ids, orders, control words.
    Words,
    /// Numbers that the host writes before a run: hyper-parameters, weights of positions.
    Numbers,
    /// What operations leave for one another within a run.
    Activation,
    /// States, whose last step is the next minibatch's first; kept between runs.
    State,
    /// A few numbers that the host reads after a run.
    Results,
}

/// What the words of a slot keep to, so that no operation reaches beyond a matrix by them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bound {
    /// Anything: no operation finds a place by them.
    #[default]
    Any,
    /// Every one is below it.
    Below(usize),
    /// Every one is below it or [`SparseUpdate::NONE`].
    BelowOrNone(usize),
    /// They are the counts of the plan's packed axes, see [`PackedAxis`].
    Counts,
}

impl Bound {
    fn fault(&self, words: &[u32], axes: &[PackedAxis]) -> Option<String> {
        let beyond = |most: usize, none: Option<u32>| {
            let wrong = |word: &u32| *word as usize >= most && Some(*word) != none;
            let at = words.iter().position(wrong)?;
            Some(format!(
                "[{at}]: expected below {most}, found {}",
                words[at]
            ))
        };
        match self {
            Bound::Any => None,
            Bound::Below(most) => beyond(*most, None),
            Bound::BelowOrNone(most) => beyond(*most, Some(SparseUpdate::NONE)),
            Bound::Counts => axes.iter().find_map(|axis| {
                let starts = axis.first + Packing::STARTS;
                let starts = &words[starts..=starts + axis.packing.steps];
                axis.packing.fault(starts)
            }),
        }
    }
}

/// A named array.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Its name, as in the equations: `state.l0`.
    pub name: String,
    /// Its shape, the last axis contiguous.
    pub shape: Vec<usize>,
    /// What it holds.
    pub role: Role,
    /// What its words keep to, where the host fills it with words.
    pub bound: Bound,
    /// Whether an adapter holds its numbers in half precision, f16; see [`Plan::halve`].
    pub half: bool,
    /// Whether an adapter holds its numbers in double precision, f64; see [`Plan::double`].
    pub double: bool,
}

impl Slot {
    /// How many elements it has.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Bytes of an element on an adapter.
    pub fn width(&self) -> usize {
        match (self.half, self.double) {
            (true, _) => 2,
            (_, true) => 8,
            _ => 4,
        }
    }

    /// Bytes of all elements on an adapter.
    pub fn bytes(&self) -> u64 {
        (self.width() * self.len()) as u64
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A matrix within a slot: `rows` rows of `cols` elements, `stride` elements apart, from element `offset` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// The slot.
    pub slot: SlotId,
    /// Its first element.
    pub offset: usize,
    /// Rows.
    pub rows: usize,
    /// Columns.
    pub cols: usize,
    /// Elements from one row to the next, at least `cols`.
    pub stride: usize,
    /// Where a run says how many of the rows, from the first on, count in it; all where absent.
    pub row_count: Option<RowCount>,
}

/// A number that the host gives with every run: how many rows of a matrix count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RowCount {
    /// The plan's slot of counts.
    pub slot: SlotId,
    /// Its word.
    pub word: usize,
    /// How many of the rows that it counts lie before the matrix's first one.
    pub before: usize,
}

impl RowCount {
    /// How many rows count of the `most` that a matrix has, where the host's number is `count`.
    pub fn rows(&self, most: usize, count: u32) -> usize {
        most.min((count as usize).saturating_sub(self.before))
    }
}

impl Matrix {
    /// Columns `from .. from + cols` of this matrix.
    pub fn columns(self, from: usize, cols: usize) -> Matrix {
        debug_assert!(from + cols <= self.cols);
        Matrix {
            offset: self.offset + from,
            cols,
            ..self
        }
    }

    /// Rows `from .. from + rows` of this matrix.
    pub fn band(self, from: usize, rows: usize) -> Matrix {
        debug_assert!(from + rows <= self.rows);
        Matrix {
            offset: self.offset + from * self.stride,
            rows,
            row_count: self.row_count.map(|row_count| RowCount {
                before: row_count.before + from,
                ..row_count
            }),
            ..self
        }
    }

    /// One past the last element that it touches.
    pub fn end(&self) -> usize {
        self.offset + self.rows.saturating_sub(1) * self.stride + self.cols
    }

    /// Whether it may have an element in common with `other`.
    pub fn meets(&self, other: &Matrix) -> bool {
        let near =
            self.slot == other.slot && self.offset < other.end() && other.offset < self.end();
        let columns = |m: &Matrix| {
            let first = m.offset % m.stride.max(1);
            first..first + m.cols
        };
        let (own, others) = (columns(self), columns(other));
        let rows = self.stride == other.stride && own.end.max(others.end) <= self.stride;
        near && !(rows && (own.end <= others.start || others.end <= own.start))
    }

    /// Whether row r of both lies in the same row of the slot, for every r.
    pub fn aligned(&self, other: &Matrix) -> bool {
        let row = |m: &Matrix| m.offset / m.stride.max(1);
        self.slot == other.slot && self.stride == other.stride && row(self) == row(other)
    }
}

/// How a parameter starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Fill {
    /// A weight of the input with this many inputs (rows) in its product; drawn as the settings say.
    Weight,
    /// A recurrent weight, one H x H block a lane; may be orthogonal.
    Recurrent,
    /// A bias, drawn or zero as the settings say.
    Bias,
    /// A value that no setting changes.
    Fixed(f64),
    /// The bias of a cell's variable, for which settings or the cell may have a value of its own.
    Gate(Gate),
}

/// Whose bias a block of H elements is, as far as its start hangs on that.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// The variable of the cell.
    pub variable: String,
    /// The layer's label.
    pub layer: String,
    /// Where the cell starts it.
    pub start: Option<f64>,
    /// Whether it is drawn as other biases where nothing is said of it; else it starts at 0.
    pub drawn: bool,
    /// 1: an open gate keeps a state; -1: it writes it; 0: neither.
    pub memory: f64,
}

/// One parameter: a matrix [rows, cols] in the flat arena, blocks of columns with their own names and start.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The name in files, PyTorch's where PyTorch has one: `rnn.weight_ih_l0`.
    pub name: String,
    /// Where it lies in the arena.
    pub matrix: Matrix,
    /// Whether files hold it transposed, as PyTorch's weights [out, in].
    pub transposed: bool,
    /// The shape in files: `[out, in]`, or `[n]` for a vector.
    pub file_shape: Vec<usize>,
    /// How equal blocks of columns start; one entry for a parameter of a single block.
    pub fill: Vec<Fill>,
}

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
}

/// An axis whose sequences are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackedAxis {
    /// The sizes within which they are.
    pub packing: Packing,
    /// Its first word in the slot of counts.
    pub first: usize,
    /// Words `[R]`: where the states [B + R] hold each row's step before.
    pub before: Option<SlotId>,
    /// Words `[R]`: for every row, the same sequence's row as many steps from its end as this one is from its beginning.
    pub flip: Option<SlotId>,
}

/// Sequences of different lengths side by side: sorted by falling length and laid out step after step, so that step t has
/// a row for every sequence longer than t and none is padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// The most steps, T: the longest sequence.
    pub steps: usize,
    /// The most sequences, B.
    pub batch: usize,
    /// The most rows, R: all sequences' lengths together.
    pub rows: usize,
}

impl Packing {
    /// The words 0 and R of a run in the slot of counts: where a single step of all rows starts and ends.
    pub const ZERO: usize = 0;
    /// The word with a run's rows.
    pub const ROWS: usize = 1;
    /// The first of T + 1 words: the row at which each step starts, and where the last one ends.
    pub const STARTS: usize = 2;

    /// Whether these can be the starts [T + 1] of packed steps.
    pub fn fault(&self, starts: &[u32]) -> Option<String> {
        let active: Vec<u32> = starts.windows(2).map(|w| w[1].wrapping_sub(w[0])).collect();
        let falling = active.windows(2).all(|w| w[0] >= w[1]);
        let most = active.first().copied().unwrap_or(0) as usize;
        let rows = starts.last().copied().unwrap_or(0) as usize;
        let fits = starts.len() == self.steps + 1 && most <= self.batch && rows <= self.rows;
        (starts.first() != Some(&0) || !falling || !fits || rows == 0).then(|| {
            format!(
                "expected {} starts of steps of at most {} rows, falling, {} in all, found {starts:?}",
                self.steps + 1,
                self.batch,
                self.rows
            )
        })
    }
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
    /// What a run reports, see [`Report`].
    pub report: Option<SlotId>,
    /// What loss scaling keeps from run to run, see [`LossScale`](super::LossScale).
    pub scaling: Option<SlotId>,
    /// The loss of every position [T, B], in nats.
    pub losses: Option<SlotId>,
    /// Scores of every symbol [T, B, V] (training turns them into their gradient).
    pub logits: Option<SlotId>,
    /// The states of the recurrent layers that go on from run to run.
    pub states: Vec<StateLayout>,
    /// Gradients with respect to the initial states [S, B, H], by layer: a part of a slot.
    pub initial: Vec<Matrix>,
}

/// Control words: a slot of [`Control::WORDS`] 32-bit words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// The key of the dropout stream (seed and purpose).
    pub key: [u32; 2],
    /// The training step, for random numbers.
    pub step: [u32; 2],
    /// 1: the states start at zero instead of where the last run left them.
    pub reset: u32,
}

impl Control {
    /// The words in a control slot.
    pub const WORDS: usize = 8;

    /// The slot's contents.
    pub fn words(&self) -> [u32; Self::WORDS] {
        let [k0, k1] = self.key;
        let [s0, s1] = self.step;
        // The key of this step's masks, so that a kernel need not derive it for every element.
        let [m0, m1] = threefry2x32(self.key, self.step);
        [k0, k1, s0, s1, self.reset, m0, m1, 0]
    }
}

/// Numbers that change from run to run: a slot of [`Hyper::NUMBERS`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Hyper {
    /// The learning rate.
    pub lr: f64,
    /// What each position's gradient is multiplied by: 1 / (sum of the weights of the positions).
    pub scale: f64,
    /// The number of the update, counted from 1.
    pub update: f64,
    /// Adam: 1 - beta1^update.
    pub correction1: f64,
    /// Adam: 1 - beta2^update.
    pub correction2: f64,
}

impl Hyper {
    /// The numbers in a slot.
    pub const NUMBERS: usize = 8;

    /// The slot's contents.
    pub fn numbers(&self) -> [f64; Self::NUMBERS] {
        [
            self.lr,
            self.scale,
            self.update,
            self.correction1,
            self.correction2,
            0.0,
            0.0,
            0.0,
        ]
    }
}

/// What a run reports: a slot of [`Report::NUMBERS`] numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// The sum of the weighted losses of all positions, in nats.
    pub loss: f64,
    /// The norm of the gradient before clipping; with both clips, after that by value.
    pub norm: f64,
    /// Whether loss, penalty and gradient were finite: only then were the parameters updated.
    pub finite: bool,
    /// Whether the gradient alone was not, times a factor that has been made smaller since: the update was left out.
    pub beyond: bool,
    /// The sum of the penalties, which the objective has beside loss * scale; 0 where there is none.
    pub penalty: f64,
}

impl Report {
    /// The numbers in a slot: loss, norm, 1 for finite (or [`LossScale::BEYOND`](super::LossScale::BEYOND)), and penalty.
    pub const NUMBERS: usize = 4;

    /// Reads a slot.
    pub fn from_numbers(numbers: &[f64]) -> Report {
        Report {
            loss: numbers[0],
            norm: numbers[1],
            finite: numbers[2] == 1.0,
            beyond: numbers[2] == super::LossScale::BEYOND,
            penalty: numbers[3],
        }
    }
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
        Matrix {
            slot,
            offset: 0,
            rows: self.slot(slot).len() / cols.max(1),
            cols,
            stride: cols,
            row_count: None,
        }
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
