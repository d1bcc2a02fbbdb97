use std::sync::Arc;

use pollster::block_on;

use super::first;
use crate::cell::Cell;
use crate::exec::{Device, Engine};
use crate::model::{Dims, Mode, Spec, Unroll};
use crate::op::Plan;
use crate::task::Inputs;

const DIMS: Dims = Dims { steps: 4, batch: 3 };
const HIDDEN: usize = 5;
/// The symbol that does the harm; all others are 0.
const BAD: u32 = 2;

/// Cells whose z grows beyond all numbers, and no state with it: of one stage, of two, and of one whose deltas take the place
/// of what it keeps.
const ONE_STAGE: &str = "state h, c\nf = sigmoid(linear(x, h))\nz = 1e10 * linear(x)\n\
                         c = tanh(f * c + f * z)\nh = tanh(c + linear(x))\n";
const TWO_STAGES: &str = "state h\nr = sigmoid(linear(x, h))\nz = 1e10 * linear(x)\n\
                          n = tanh(linear(x, r * h) + r * z)\nh = r * h + (1 - r) * n\n";
const IN_PLACE: &str = "state h, c\nf = sigmoid(linear(x, h))\nz = 1e10 * linear(x)\n\
                        c = tanh(f * c + f * z)\nh = tanh(c)\n";
/// One that makes such a value for a product.
const MADE: &str = "state h\nr = sigmoid(linear(x, h))\nz = linear(x)\nn = tanh(linear(1e10 * z))\n\
                    h = r * h + (1 - r) * n\n";
/// One whose state does so.
const STATE: &str = "state h\nz = 1e10 * linear(x, h)\nh = z\n";

fn spec(cell: &str) -> Spec {
    Spec {
        vocab: 3,
        cells: vec![Arc::new(Cell::parse("mine", cell).unwrap())],
        hidden: HIDDEN,
        ..Spec::default()
    }
}

fn plan(cell: &str) -> Plan {
    spec(cell).plan(DIMS, Mode::Gradients).unwrap()
}

/// An executor whose weights are all 0 but for that of the symbol [`BAD`] and unit 3 of z in the parameter `weight`.
fn engine(plan: Plan, weight: &str) -> Engine {
    let plan = Arc::new(plan);
    let mut engine = block_on(Engine::new(&Device::Cpu, plan.clone())).unwrap();
    let slot = plan.io.parameters.unwrap();
    let mut values = block_on(engine.read(slot)).unwrap();
    let mut parameters = plan.parameters.iter();
    let table = parameters.find(|p| p.name == weight).unwrap().matrix;
    let cell = &plan
        .ops
        .iter()
        .flat_map(|op| op.scans())
        .next()
        .unwrap()
        .cell;
    let of_input = |source| Some(source) == cell.input_source();
    let mut gates = cell.gates.iter();
    let gate = gates
        .find(|l| l.variable == "z" && of_input(l.source))
        .unwrap();
    values[table.offset + BAD as usize * table.stride + gate.block * HIDDEN + 3] = 1e30;
    block_on(engine.put(slot, values)).unwrap();
    engine
}

/// What is found after a run in which the positions `bad` have the symbol [`BAD`].
#[track_caller]
fn names(mut engine: Engine, bad: &[usize], starts: Option<&[u32]>, reset: u32, want: &str) {
    let plan = engine.plan().clone();
    let mut ids = vec![0; plan.slot(plan.recipes.ids().unwrap()).len()];
    bad.iter().for_each(|at| ids[*at] = BAD);
    let targets = plan
        .recipes
        .targets()
        .map(|slot| vec![0; plan.slot(slot).len()]);
    let inputs = Inputs::new(&ids)
        .targets(targets.as_deref())
        .starts(starts)
        .reset(reset == 1)
        .scale(0.1);
    block_on(engine.run(&inputs)).unwrap();
    let found = block_on(first(&mut engine)).unwrap();
    assert_eq!(found.as_deref(), Some(want));
}

const WEIGHT: &str = "rnn.weight_ih_l0";
/// Step 2, sequence 1, and a later one, which is not the first.
const PLACES: [usize; 2] = [3 * 3, 2 * 3 + 1];

#[test]
fn a_kept_gate_is_named_with_its_row_and_unit() {
    let want =
        "z of mine in layer l0 is inf at step 2, sequence 1, unit 3, all counted from 0 (saved.l0)";
    for cell in [ONE_STAGE, TWO_STAGES] {
        names(engine(plan(cell), WEIGHT), &PLACES, None, 1, want);
    }
    let want = want.replacen('z', "what weight_n multiplies", 1);
    names(engine(plan(MADE), WEIGHT), &PLACES, None, 1, &want);
}

#[test]
fn a_state_is_named_whether_it_is_made_or_carried_in() {
    let want =
        "h of mine in layer l0 is inf at step 2, sequence 1, unit 3, all counted from 0 (state.l0)";
    names(engine(plan(STATE), WEIGHT), &PLACES, None, 1, want);
    let mut carried = engine(plan(ONE_STAGE), WEIGHT);
    let state = carried.plan().find("state.l0").unwrap();
    let mut values = block_on(carried.read(state)).unwrap();
    // The last step of c, of sequence 1.
    let plane = (DIMS.steps + 1) * DIMS.batch;
    values[(plane + DIMS.steps * DIMS.batch + 1) * HIDDEN + 4] = f32::NAN;
    block_on(carried.put(state, values)).unwrap();
    let want = "c before the first step of mine in layer l0 is NaN at sequence 1, unit 4, all counted from 0 (state.l0)";
    names(carried, &[], None, 0, want);
}

#[test]
fn where_deltas_lie_in_the_place_of_gates_they_are_named() {
    let want = "the gradient of the linear of f of mine in layer l0 is NaN at step 2, sequence 1, unit 3, all counted from 0 \
                (saved.l0)";
    names(engine(plan(IN_PLACE), WEIGHT), &[2 * 3 + 1], None, 1, want);
}

#[test]
fn a_layer_backward_in_time_begins_at_the_last_step() {
    let both = Spec {
        bidirectional: true,
        ..spec(ONE_STAGE)
    };
    let engine = engine(
        both.plan(DIMS, Mode::Gradients).unwrap(),
        "rnn.weight_ih_l0_reverse",
    );
    let want = "z of mine in layer l0_reverse is inf at step 3, sequence 0, unit 3, all counted from 0 (saved.l0_reverse)";
    names(engine, &PLACES, None, 1, want);
}

#[test]
fn packed_rows_are_named_by_their_sequences() {
    let packed = Spec {
        packed: 9,
        targets_apart: true,
        ..spec(ONE_STAGE)
    };
    let engine = engine(packed.plan(DIMS, Mode::Gradients).unwrap(), WEIGHT);
    // The first row of step 2, and one of step 3.
    let starts = [0, 3, 6, 8, 9];
    let want =
        "z of mine in layer l0 is inf at step 2, sequence 0, unit 3, all counted from 0 (saved.l0)";
    names(engine, &[8, 6], Some(&starts), 1, want);
}

#[test]
fn steps_are_counted_over_all_windows_of_an_update() {
    let windows = Unroll {
        minibatches: 2,
        ..Unroll::default()
    };
    let plan = spec(TWO_STAGES).unrolled(DIMS, windows, Mode::Gradients);
    let want =
        "z of mine in layer l0 is inf at step 6, sequence 1, unit 3, all counted from 0 (saved.l0)";
    names(engine(plan.unwrap(), WEIGHT), &[6 * 3 + 1], None, 1, want);
}
