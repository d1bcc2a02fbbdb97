//! How programs on rows are cut, moved and checked.

use super::*;
use crate::cell::rows::{Factors, RowProgram, library};

const ROWS: usize = 6;
const WIDTH: usize = 3;

fn matrix(slot: usize, cols: usize) -> Matrix {
    Matrix::new(SlotId(slot), ROWS, cols)
}

/// The mixture's loss with all gradients, everything in a slot of its own: weights in slot 4, hyper-parameters in 5.
fn mixture() -> Rows {
    let program = library::builtin("mixture").unwrap();
    let factors = Factors {
        weight: true,
        scale: true,
    };
    let code = program.with_gradient(WIDTH, &[true; 4], factors).unwrap();
    let mut inputs: Vec<RowInput> = (0..3).map(|n| RowInput::Rows(matrix(n, WIDTH))).collect();
    inputs.push(RowInput::Rows(matrix(3, 1)));
    inputs.push(RowInput::Positions(Matrix::new(SlotId(4), 1, 2 * ROWS)));
    inputs.push(RowInput::Hyper(SlotId(5), Hyper::SCALE));
    let mut outputs = vec![RowOutput::Losses(Matrix::new(SlotId(6), 1, 2 * ROWS))];
    outputs.extend((7..10).map(|n| RowOutput::Rows(matrix(n, WIDTH), false)));
    outputs.push(RowOutput::Rows(matrix(10, 1), false));
    Rows {
        name: "mixture".into(),
        code: Arc::new(code),
        inputs,
        outputs,
        at: 0,
    }
}

/// Every slot after the operations.
fn run(ops: &[Rows]) -> Vec<Vec<f64>> {
    let value = |n: usize| (0..40).map(|i| ((i * 7 + n) as f64 * 0.9).sin()).collect();
    let mut slots: Vec<Vec<f64>> = (0..11).map(value).collect();
    for op in ops {
        for r in 0..op.rows() {
            let before = slots.clone();
            op.plain_row(
                r,
                |slot| &before[slot.0],
                |n, values| {
                    let at = match op.outputs[n] {
                        RowOutput::Rows(m, _) => m.offset + r * m.stride,
                        RowOutput::Losses(m) => op.own(m).offset + r,
                    };
                    let slot = op.outputs[n].matrix().slot.0;
                    slots[slot][at..at + values.len()].copy_from_slice(values);
                },
            );
        }
    }
    slots
}

/// Bindings of two rows.
struct TwoRows;

impl Limits for TwoRows {
    fn holds(&self, _: &Matrix) -> bool {
        false
    }

    fn holds_slot(&self, _: SlotId) -> bool {
        false
    }

    fn columns(&self, row: &Matrix, _: usize) -> Vec<(usize, usize)> {
        vec![(0, row.cols)]
    }

    fn rows(&self, matrices: &[Matrix], _: usize) -> Vec<(usize, usize)> {
        (0..matrices[0].rows)
            .step_by(2)
            .map(|first| (first, 2))
            .collect()
    }

    fn deepest(&self) -> usize {
        usize::MAX
    }

    fn flops(&self) -> f64 {
        f64::INFINITY
    }
}

#[test]
fn what_binds_too_much_is_cut_by_outputs_and_by_rows_to_the_same_result() {
    let mut whole = mixture();
    assert_eq!(whole.check(), Ok(()));
    whole.at = ROWS;
    let parts = whole.split(&TwoRows);
    assert!(
        parts
            .iter()
            .all(|part| part.bindings() <= BINDINGS && part.rows() == 2)
    );
    // Eleven slots: more than one operation for each pair of rows.
    assert_eq!(whole.bindings(), 11);
    assert!(parts.len() > 3, "{}", parts.len());
    assert_eq!(parts[0].dispatch_parameters(), [ROWS, 0]);
    assert_eq!(run(&parts), run(&[whole]));
}

#[test]
fn a_segment_has_its_positions_and_its_share() {
    let program = library::builtin("temporal").unwrap();
    let factors = Factors {
        weight: true,
        scale: false,
    };
    let row = matrix(0, WIDTH);
    let mut op = Rows {
        name: "penalty".into(),
        code: Arc::new(program.of_neighbours(WIDTH, factors).unwrap()),
        inputs: vec![
            RowInput::Neighbour(row, -2),
            RowInput::Rows(row),
            RowInput::Neighbour(row, 2),
            RowInput::Share(0.8),
        ],
        outputs: vec![
            RowOutput::Losses(Matrix::new(SlotId(1), 1, 2 * ROWS)),
            RowOutput::Rows(matrix(2, WIDTH), true),
        ],
        at: 0,
    };
    assert_eq!(op.check(), Ok(()));
    op.place(Segment {
        index: 1,
        first: ROWS,
        count: 4,
    });
    assert_eq!(op.at, ROWS);
    assert!(matches!(op.inputs[3], RowInput::Share(share) if share == 0.2));
    // Rows that look at their neighbours stay together, and a loss with its positions.
    assert_eq!(op.split(&TwoRows).len(), 1);
    assert!(op.band(0..2).is_none());
    assert!(mixture().band(0..2).is_none());
}

#[test]
fn a_layer_is_cut_into_bands_of_rows() {
    let program = RowProgram::parse("p", "row x\nnumber w\no = x * w").unwrap();
    let op = Rows {
        name: "layer".into(),
        code: Arc::new(program.forward(WIDTH).unwrap()),
        inputs: vec![
            RowInput::Rows(matrix(0, WIDTH)),
            RowInput::Rows(matrix(1, 1)),
        ],
        outputs: vec![RowOutput::Rows(matrix(2, WIDTH), false)],
        at: 0,
    };
    let bands = [0..4, 4..6].map(|rows| op.band(rows).unwrap());
    assert_eq!(run(&bands), run(&[op]));
}

#[test]
fn shapes_that_do_not_fit_and_slots_in_common_are_refused() {
    let fault = |change: &dyn Fn(&mut Rows)| {
        let mut op = mixture();
        change(&mut op);
        op.check().unwrap_err()
    };
    let wide = fault(&|op| op.inputs[1] = RowInput::Rows(matrix(1, WIDTH + 1)));
    assert_eq!(wide, "input: expected [6, 3], found [6, 4]");
    let column = fault(&|op| op.outputs[4] = RowOutput::Rows(matrix(10, WIDTH), false));
    assert_eq!(column, "output: expected [6, 1], found [6, 3]");
    let fewer = fault(&|op| {
        op.inputs.pop();
    });
    assert_eq!(fewer, "inputs and outputs: expected [6, 5], found [5, 5]");
    let late = fault(&|op| op.at = ROWS + 1);
    assert_eq!(
        late,
        "numbers: expected a row of at least 13, found [1, 12]"
    );
    let same = fault(&|op| op.outputs[1] = RowOutput::Rows(matrix(0, WIDTH), false));
    assert!(same.contains("in the slot of an input"), "{same}");
    let loss = fault(&|op| op.outputs[1] = RowOutput::Losses(Matrix::new(SlotId(9), 1, 12)));
    assert_eq!(loss, "losses: expected one number a row, found a row");
}
