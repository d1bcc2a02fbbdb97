//! A program on rows: the same few equations for every row of its inputs, such as an activation, a loss or a penalty.

use std::ops::Range;
use std::sync::Arc;

use super::split::each;
use super::{
    Access, Cost, Hyper, Limits, Matrix, Operand, Operation, Segment, SlotId, area, bytes, same,
};
use crate::cell::real::Real;
use crate::cell::rows::{RowCode, Width};

/// Slots that a kernel binds at most.
const BINDINGS: usize = 8;

/// Where row r of an input lies; one number a row has a single column.
#[derive(Clone, Debug)]
pub enum RowInput {
    /// In row r of a matrix.
    Rows(Matrix),
    /// So many rows before or after row r of a matrix, in row r itself where there is none.
    Neighbour(Matrix, isize),
    /// A number for every position of the minibatch [1, n].
    Positions(Matrix),
    /// One of the hyper-parameters, for all rows.
    Hyper(SlotId, usize),
    /// A number for all rows that is shared out to the segments of a minibatch: the weight of a mean over rows.
    Share(f64),
}

/// Where row r of an output goes.
#[derive(Clone, Debug)]
pub enum RowOutput {
    /// To row r of a matrix, written or, with the flag, added to.
    Rows(Matrix, bool),
    /// To a loss for every position of the minibatch [1, n].
    Losses(Matrix),
}

impl RowOutput {
    /// Where it lies.
    pub fn matrix(&self) -> &Matrix {
        match self {
            RowOutput::Rows(m, _) | RowOutput::Losses(m) => m,
        }
    }
}

/// outputs [R, D] or [R, 1] = program(inputs), row by row.
#[derive(Clone, Debug)]
pub struct Rows {
    /// The name in the plan.
    pub name: String,
    /// The program.
    pub code: Arc<RowCode>,
    /// Its inputs.
    pub inputs: Vec<RowInput>,
    /// Its outputs; none may lie where an input does.
    pub outputs: Vec<RowOutput>,
    /// The position in the minibatch, in rows, of its first row: segments of a minibatch share all that lies between operations.
    pub at: usize,
}

impl Rows {
    /// The inputs that an output depends on, by number.
    pub fn used(&self) -> Vec<(usize, &RowInput)> {
        let all = self.inputs.iter().enumerate().zip(self.code.used());
        all.filter(|(_, used)| *used)
            .map(|(input, _)| input)
            .collect()
    }

    /// The matrices with a row for each row, inputs first.
    fn matrices(&self) -> Vec<Matrix> {
        let inputs = self
            .used()
            .into_iter()
            .filter_map(|(_, input)| match input {
                RowInput::Rows(m) | RowInput::Neighbour(m, _) => Some(*m),
                RowInput::Positions(_) | RowInput::Hyper(..) | RowInput::Share(_) => None,
            });
        let outputs = self.outputs.iter().filter_map(|output| match output {
            RowOutput::Rows(m, _) => Some(*m),
            RowOutput::Losses(_) => None,
        });
        inputs.chain(outputs).collect()
    }

    /// A matrix that says how many rows there are and, where a run counts them, which count.
    pub fn counted(&self) -> Option<Matrix> {
        self.matrices()
            .into_iter()
            .min_by_key(|m| (m.row_count.is_none(), m.rows))
    }

    /// R.
    pub fn rows(&self) -> usize {
        self.counted().map_or(0, |m| m.rows)
    }

    /// Its part of a row with a number for every position.
    pub fn own(&self, positions: Matrix) -> Matrix {
        positions.columns(self.at, self.rows())
    }

    /// The row of a matrix that is row `r`'s neighbour, so many rows further.
    pub fn neighbour(&self, r: usize, by: isize) -> usize {
        let found = r.checked_add_signed(by);
        found.filter(|n| *n < self.rows()).unwrap_or(r)
    }

    /// Row `r` of an input that is a row; `slot` gives all of a slot.
    pub fn row<'a, F: Real>(
        &self,
        input: &RowInput,
        r: usize,
        slot: impl Fn(SlotId) -> &'a [F],
    ) -> &'a [F] {
        let (m, r) = match input {
            RowInput::Rows(m) => (m, r),
            RowInput::Neighbour(m, by) => (m, self.neighbour(r, *by)),
            RowInput::Positions(_) | RowInput::Hyper(..) | RowInput::Share(_) => return &[],
        };
        &slot(m.slot)[m.offset + r * m.stride..][..m.cols]
    }

    /// The number for row `r` of an input that is one number a row.
    pub fn number<'a, F: Real>(
        &self,
        input: &RowInput,
        r: usize,
        slot: impl Fn(SlotId) -> &'a [F],
    ) -> F {
        match input {
            RowInput::Rows(_) | RowInput::Neighbour(..) => self.row(input, r, slot)[0],
            RowInput::Positions(m) => slot(m.slot)[m.offset + self.at + r],
            RowInput::Hyper(hyper, n) => slot(*hyper)[*n],
            RowInput::Share(value) => F::of(*value),
        }
    }

    /// The plain code for row `r`; `slot` gives all of a slot, `store` is given the number of an output and its row.
    pub fn plain_row<'a, F: Real>(
        &self,
        r: usize,
        slot: impl Fn(SlotId) -> &'a [F] + Copy,
        store: impl FnMut(usize, &[F]),
    ) {
        let inputs = self
            .inputs
            .iter()
            .zip(&self.code.inputs)
            .zip(self.code.used());
        let inputs: Vec<Vec<F>> = inputs
            .map(|((input, width), used)| match width {
                _ if !used => Vec::new(),
                Width::Row => self.row(input, r, slot).to_vec(),
                Width::Number => vec![self.number(input, r, slot)],
            })
            .collect();
        let inputs: Vec<&[F]> = inputs.iter().map(Vec::as_slice).collect();
        self.code.plain(&inputs, store);
    }

    /// The same with some of its outputs alone.
    fn only(&self, outputs: &[usize]) -> Rows {
        Rows {
            code: Arc::new(self.code.only(outputs)),
            outputs: outputs.iter().map(|n| self.outputs[*n].clone()).collect(),
            ..self.clone()
        }
    }

    /// How many slots a kernel of it binds.
    fn bindings(&self) -> usize {
        let mut op = self.clone();
        let operands = op.operands();
        let counts = operands.iter().filter_map(|o| o.matrix().row_count);
        let counts = counts.map(|count| count.slot);
        let mut slots: Vec<SlotId> = operands
            .iter()
            .map(|o| o.matrix().slot)
            .chain(counts)
            .collect();
        slots.sort();
        slots.dedup();
        slots.len()
    }

    /// The same in as few operations as bind no more slots than a kernel may.
    fn bound(&self) -> Vec<Rows> {
        let mut parts: Vec<Vec<usize>> = Vec::new();
        for n in 0..self.outputs.len() {
            let fits = |part: &Vec<usize>| {
                let more: Vec<usize> = part.iter().copied().chain([n]).collect();
                self.only(&more).bindings() <= BINDINGS
            };
            match parts.last_mut().filter(|part| fits(part)) {
                Some(part) => part.push(n),
                None => parts.push(vec![n]),
            }
        }
        if parts.len() == 1 {
            return vec![self.clone()];
        }
        parts.iter().map(|part| self.only(part)).collect()
    }

    /// Whether any input is a neighbour's row.
    fn has_neighbours(&self) -> bool {
        self.inputs
            .iter()
            .any(|i| matches!(i, RowInput::Neighbour(..)))
    }

    /// The same on some rows.
    fn rows_of(&self, first: usize, count: usize) -> Rows {
        let mut rows = self.clone();
        for input in &mut rows.inputs {
            if let RowInput::Rows(m) = input {
                *m = m.band(first, count);
            }
        }
        for output in &mut rows.outputs {
            if let RowOutput::Rows(m, _) = output {
                *m = m.band(first, count);
            }
        }
        rows.at += first;
        rows
    }
}

impl Operation for Rows {
    const KIND: &'static str = "rows";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        let (at, rows, used) = (self.at, self.rows(), self.code.used());
        let code = self.code.clone();
        let mut operands = Vec::new();
        let inputs = self.inputs.iter_mut().zip(&code.inputs).zip(used);
        for ((input, width), _) in inputs.filter(|(_, used)| *used) {
            let operand = match input {
                RowInput::Rows(m) | RowInput::Neighbour(m, _) => Operand::read(m),
                RowInput::Positions(m) => {
                    let own = m.columns(at, rows);
                    Operand::within(m, own)
                }
                RowInput::Hyper(slot, _) => Operand::slot(*slot, Hyper::NUMBERS),
                RowInput::Share(_) => continue,
            };
            operands.push(precise(operand, *width));
        }
        for (output, width) in self.outputs.iter_mut().zip(&code.outputs) {
            operands.push(match output {
                RowOutput::Rows(m, add) => precise(Operand::accumulate(m, add), *width),
                RowOutput::Losses(m) => {
                    let own = m.columns(at, rows);
                    let losses = Operand::within(m, own).with(Access::Write);
                    losses.row_result().sum()
                }
            });
        }
        operands
    }

    fn cost(&self) -> Cost {
        let elements: usize = self.matrices().iter().map(area).sum();
        let work = self.rows() * self.code.width * self.code.operators();
        Cost {
            flops: work as f64,
            bytes: bytes(elements),
        }
    }

    fn check(&self) -> Result<(), String> {
        let rows = self.rows();
        let expect = |what: &str, m: &Matrix, width: Width| {
            let cols = width.columns(self.code.width);
            same(what, (rows, cols), (m.rows, m.cols))
        };
        let counts = (self.inputs.len(), self.outputs.len());
        let expected = (self.code.inputs.len(), self.code.outputs.len());
        same("inputs and outputs", expected, counts)?;
        for (n, input) in self.used() {
            let width = self.code.inputs[n];
            match input {
                RowInput::Rows(m) | RowInput::Neighbour(m, _) => expect("input", m, width)?,
                RowInput::Positions(m) => super::covers("numbers", self.at + rows, m)?,
                RowInput::Hyper(..) | RowInput::Share(_) => {}
            }
            let one = !matches!(input, RowInput::Rows(_) | RowInput::Neighbour(..));
            if one && width == Width::Row {
                return Err(format!("input {n}: expected {width}, found numbers"));
            }
        }
        for (output, width) in self.outputs.iter().zip(&self.code.outputs) {
            match output {
                RowOutput::Rows(m, _) => expect("output", m, *width)?,
                RowOutput::Losses(_) if *width == Width::Row => {
                    return Err(format!("losses: expected {}, found {width}", Width::Number));
                }
                RowOutput::Losses(m) => super::covers("losses", self.at + rows, m)?,
            }
        }
        let read = Operation::reads(&Rows {
            outputs: Vec::new(),
            ..self.clone()
        });
        for (n, output) in self.outputs.iter().enumerate() {
            let slot = output.matrix().slot;
            let others = self.outputs[..n].iter().map(RowOutput::matrix);
            if others.chain(&read).any(|m| m.slot == slot) {
                return Err("an output lies in the slot of an input or of another output".into());
            }
        }
        Ok(())
    }

    fn shape(&self) -> String {
        format!("{} x {}", self.rows(), self.code.width)
    }

    fn sum_length(&self) -> usize {
        self.code.width
    }

    fn split(&self, limits: &dyn Limits) -> Vec<Rows> {
        let mut all = Vec::new();
        for op in self.bound() {
            if op.has_neighbours() {
                all.push(op);
                continue;
            }
            let ranges = limits.rows(&op.matrices(), 1);
            if ranges.len() == 1 {
                all.push(op);
            } else {
                all.extend(each(ranges, |first, count| op.rows_of(first, count)));
            }
        }
        all
    }

    fn band(&self, rows: Range<usize>) -> Option<Rows> {
        let positions = |input: &RowInput| matches!(input, RowInput::Positions(_));
        let losses = |output: &RowOutput| matches!(output, RowOutput::Losses(_));
        let own = !self.has_neighbours()
            && !self.inputs.iter().any(positions)
            && !self.outputs.iter().any(losses);
        own.then(|| self.rows_of(rows.start, rows.len()))
    }

    fn dispatch_parameters(&self) -> [usize; 2] {
        [self.at, 0]
    }

    fn place(&mut self, segment: Segment) {
        self.at = segment.first;
        for input in &mut self.inputs {
            if let RowInput::Share(share) = input {
                *share /= segment.count as f64;
            }
        }
    }
}

/// Rows may be held in half precision; numbers of rows are sums.
fn precise(operand: Operand<'_>, width: Width) -> Operand<'_> {
    match width {
        Width::Row => operand.rows(),
        Width::Number => operand.sum(),
    }
}
