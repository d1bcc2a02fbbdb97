//! What an operation touches: one list of operands, from which everything follows that others must know of it: what it reads
//! and writes, which rows a run counts, what may be held in half precision, what can be moved or accumulated.

use super::{Matrix, Op, SlotId};

/// What an operation does with an operand.
#[derive(Debug)]
pub enum Access<'a> {
    /// Reads it.
    Read,
    /// Writes every element of it (of the rows that count) and reads none.
    Write,
    /// Writes some of its elements and reads none.
    WriteSome,
    /// Reads and writes it.
    Update,
    /// Writes every element, or adds to what is there where the flag is set.
    Accumulate(&'a mut bool),
}

/// What an operation says of the precision in which an adapter may hold an operand's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Nothing.
    Unsaid,
    /// Rows that are written once and read by later kernels: half precision will do.
    Rows,
    /// The same if that slot holds rows of a minibatch, not weights, which are few rows and read by many.
    RowsLike(SlotId),
    /// A sum, or what grows into one: never less than f32.
    Sum,
}

/// The matrix of an operand.
#[derive(Debug)]
enum OperandPlace<'a> {
    /// A field of the operation, which may be moved.
    Field(&'a mut Matrix),
    /// A part of a field, which may be moved.
    Within(&'a mut Matrix, Matrix),
    /// Words or numbers at a place that follows from the operation's fields.
    Fixed(Matrix),
}

/// A matrix that an operation touches.
#[derive(Debug)]
pub struct Operand<'a> {
    place: OperandPlace<'a>,
    /// What is done with it.
    pub access: Access<'a>,
    /// The precision that it asks for.
    pub precision: Precision,
    counted: bool,
    moves: bool,
    row_result: bool,
}

impl<'a> Operand<'a> {
    fn new(place: OperandPlace<'a>, access: Access<'a>) -> Operand<'a> {
        Operand {
            moves: !matches!(place, OperandPlace::Fixed(_)),
            place,
            access,
            precision: Precision::Unsaid,
            counted: true,
            row_result: false,
        }
    }

    /// A matrix that is read.
    pub fn read(matrix: &'a mut Matrix) -> Operand<'a> {
        Operand::new(OperandPlace::Field(matrix), Access::Read)
    }

    /// One of which every element is written and none is read.
    pub fn write(matrix: &'a mut Matrix) -> Operand<'a> {
        Operand::new(OperandPlace::Field(matrix), Access::Write)
    }

    /// One that is read and written.
    pub fn update(matrix: &'a mut Matrix) -> Operand<'a> {
        Operand::new(OperandPlace::Field(matrix), Access::Update)
    }

    /// One that is written or, with `accumulate`, added to.
    pub fn accumulate(matrix: &'a mut Matrix, accumulate: &'a mut bool) -> Operand<'a> {
        Operand::new(OperandPlace::Field(matrix), Access::Accumulate(accumulate))
    }

    /// A part of a matrix, which is read.
    pub fn within(matrix: &'a mut Matrix, part: Matrix) -> Operand<'a> {
        Operand::new(OperandPlace::Within(matrix, part), Access::Read)
    }

    /// The first `count` elements of a slot, which are read.
    pub fn slot(slot: SlotId, count: usize) -> Operand<'a> {
        Operand::part(Matrix::new(slot, 1, count))
    }

    /// A part of a slot that follows from the operation's fields, which is read.
    pub fn part(matrix: Matrix) -> Operand<'a> {
        Operand::new(OperandPlace::Fixed(matrix), Access::Read)
    }

    /// The same with another access.
    pub fn with(self, access: Access<'a>) -> Operand<'a> {
        Operand { access, ..self }
    }

    /// Held as rows of a minibatch, see [`Precision::Rows`].
    pub fn rows(self) -> Operand<'a> {
        self.precise(Precision::Rows)
    }

    /// Held as a sum, see [`Precision::Sum`].
    pub fn sum(self) -> Operand<'a> {
        self.precise(Precision::Sum)
    }

    /// Held as `precision` says.
    pub fn precise(self, precision: Precision) -> Operand<'a> {
        Operand { precision, ..self }
    }

    /// Which has one element for every row of the others; those of rows that do not count are 0.
    pub fn row_result(self) -> Operand<'a> {
        Operand {
            row_result: true,
            ..self
        }
    }

    /// All of whose rows are meant where a run counts rows, too.
    pub fn uncounted(self) -> Operand<'a> {
        Operand {
            counted: false,
            ..self
        }
    }

    /// Which stays where it is when the operation's matrices are moved.
    pub fn unmoved(self) -> Operand<'a> {
        Operand {
            moves: false,
            ..self
        }
    }

    /// The matrix.
    pub fn matrix(&self) -> Matrix {
        match &self.place {
            OperandPlace::Field(matrix) => **matrix,
            OperandPlace::Within(_, part) | OperandPlace::Fixed(part) => *part,
        }
    }

    fn reads(&self) -> bool {
        match &self.access {
            Access::Read | Access::Update => true,
            Access::Accumulate(accumulate) => **accumulate,
            Access::Write | Access::WriteSome => false,
        }
    }

    fn writes(&self) -> bool {
        !matches!(self.access, Access::Read)
    }

    fn overwrites(&self) -> bool {
        match &self.access {
            Access::Write => true,
            Access::Accumulate(accumulate) => !**accumulate,
            Access::Read | Access::WriteSome | Access::Update => false,
        }
    }
}

/// What is read, the counts of rows and what is added to included.
pub(super) fn reads(operands: &[Operand<'_>]) -> Vec<Matrix> {
    let counts = operands.iter().filter_map(|o| o.matrix().row_count);
    let counts = counts.map(|l| Matrix::new(l.slot, 1, l.word + 1));
    let read = operands.iter().filter(|o| o.reads());
    read.map(Operand::matrix).chain(counts).collect()
}

/// What is written or added to.
pub(super) fn writes(operands: &[Operand<'_>]) -> Vec<Matrix> {
    let written = operands.iter().filter(|o| o.writes());
    written.map(Operand::matrix).collect()
}

impl Op {
    /// What it overwrites: every element, of the rows that count, without a look at what was there.
    pub fn overwrites(&self) -> Vec<Matrix> {
        let mut op = self.clone();
        let operands = op.operands();
        let written = operands.iter().filter(|o| o.overwrites());
        written.map(Operand::matrix).collect()
    }

    /// What has one element for every row: 0 for rows that do not count.
    pub fn row_results(&self) -> Vec<Matrix> {
        let mut op = self.clone();
        let operands = op.operands();
        let results = operands.iter().filter(|o| o.row_result);
        results.map(Operand::matrix).collect()
    }

    /// The operation with each of its matrices whose rows a run counts replaced by what `f` makes of it; `None` where
    /// there is no such matrix.
    pub fn counted(&self, f: impl Fn(Matrix) -> Matrix) -> Option<Op> {
        let mut op = self.clone();
        let mut any = false;
        for operand in op.operands() {
            if let (OperandPlace::Field(matrix), true) = (operand.place, operand.counted) {
                any |= matrix.row_count.is_some();
                *matrix = f(*matrix);
            }
        }
        any.then_some(op)
    }

    /// Every matrix that may be moved, for code that moves them.
    pub(crate) fn matrices_mut(&mut self) -> Vec<&mut Matrix> {
        let fields = self.operands().into_iter().filter(|o| o.moves);
        fields
            .filter_map(|o| match o.place {
                OperandPlace::Field(matrix) | OperandPlace::Within(matrix, _) => Some(matrix),
                OperandPlace::Fixed(_) => None,
            })
            .collect()
    }

    /// Lets it add to every matrix for which `these` holds, where it writes one.
    ///
    /// # Errors
    /// The first such matrix that it cannot add to.
    pub(crate) fn accumulate(&mut self, these: impl Fn(&Matrix) -> bool) -> Result<(), Matrix> {
        for operand in self.operands() {
            let matrix = operand.matrix();
            if !operand.writes() || !these(&matrix) {
                continue;
            }
            match operand.access {
                Access::Accumulate(accumulate) => *accumulate = true,
                // What is read and written in place has its own way of adding.
                Access::Update => {}
                Access::Read | Access::Write | Access::WriteSome => return Err(matrix),
            }
        }
        Ok(())
    }
}
