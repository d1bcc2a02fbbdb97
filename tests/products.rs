//! Products on an adapter beside the plain code: every form, at sizes that are multiples of nothing, whole and with their sums
//! in parts.

mod common;

use std::sync::Arc;

use common::{device, lacks};
use wgrnn::exec::check::Twins;
use wgrnn::exec::cpu::Number;
use wgrnn::exec::gpu::{Gpu, GpuDevice, Tile};
use wgrnn::layer::{AxisShape, Builder};
use wgrnn::op::{MatMul, Matrix, Op, Plan, Role, SlotId};
use wgrnn::task::MadeUp;

/// Which operand is transposed.
const FORMS: [(bool, bool); 4] = [(false, false), (false, true), (true, false), (true, true)];

/// What a product has beside its operands.
#[derive(Clone, Copy, Debug)]
struct Extras {
    biased: bool,
    accumulate: bool,
    /// Rows of packed sequences, some of which count.
    counted: bool,
    /// Whether every row begins where fours do.
    aligned: bool,
}

const NOTHING: Extras = Extras {
    biased: false,
    accumulate: false,
    counted: false,
    aligned: false,
};
const ALL: Extras = Extras {
    biased: true,
    accumulate: true,
    counted: true,
    aligned: false,
};
const IN_FOURS: Extras = Extras {
    aligned: true,
    ..ALL
};

/// A product of [m, k] and [k, n] that lie within wider rows, from an element on that is no multiple of anything.
fn plan([m, k, n]: [usize; 3], (transpose_a, transpose_b): (bool, bool), extras: Extras) -> Plan {
    let mut builder = Builder::new(false);
    let turned = |turned: bool, rows, cols| if turned { (cols, rows) } else { (rows, cols) };
    let rows = if transpose_a { k } else { m };
    let axis = builder.add_axis(if extras.counted {
        AxisShape {
            steps: rows / 2 + 1,
            batch: 3,
            packed: Some(rows),
            segments: 1,
        }
    } else {
        AxisShape {
            steps: rows,
            batch: 1,
            packed: None,
            segments: 1,
        }
    });
    let before = if extras.aligned { 4 } else { 3 };
    let stride = |cols: usize| match before {
        4 => cols.next_multiple_of(4) + 4,
        _ => cols + 5,
    };
    let within = |whole: Matrix, cols: usize| Matrix {
        offset: whole.offset + before,
        cols,
        ..whole
    };
    let (_, wide) = turned(transpose_a, m, k);
    let a = within(builder.activation(axis, "a", stride(wide)), wide);
    let (deep, wide) = turned(transpose_b, k, n);
    let b = if transpose_a && !transpose_b {
        within(builder.activation(axis, "b", stride(wide)), wide)
    } else {
        within(builder.scratch("b", deep, stride(wide)), wide)
    };
    let c = if transpose_a {
        within(builder.scratch("c", m, stride(n)), n)
    } else {
        within(builder.activation(axis, "c", stride(n)), n)
    };
    let bias = extras
        .biased
        .then(|| within(builder.scratch("bias", 1, stride(n)), n));
    builder.push(Op::MatMul(MatMul {
        name: "product".into(),
        a,
        b,
        c,
        transpose_a,
        transpose_b,
        bias,
        accumulate: extras.accumulate,
    }));
    builder.finish()
}

/// Runs a plan's operations on both sides; the bits of its results on the adapter.
fn compared<F: Number>(
    device: &Arc<GpuDevice>,
    plan: Plan,
    tile: &Tile,
    edit: &mut dyn FnMut(&str, &str) -> String,
) -> Result<Vec<u64>, String> {
    let plan = Arc::new(plan);
    assert_eq!(plan.faults(), [""; 0]);
    let gpu = pollster::block_on(Gpu::edited(device.clone(), plan.clone(), tile, edit)).unwrap();
    let mut twins = Twins::<F>::new(gpu, &[]).unwrap();
    for (n, slot) in plan.slots.iter().enumerate() {
        if slot.role == Role::Activation && slot.name != "product.parts" {
            let own = n as f64;
            for (i, x) in twins.cpu().write(SlotId(n)).iter_mut().enumerate() {
                *x = F::of((i as f64 * 0.7 + own).sin());
            }
        }
    }
    let made = MadeUp::new(&plan, 1).unwrap();
    let rows = pollster::block_on(twins.operations(&made.inputs())).unwrap();
    assert_eq!(rows.len(), plan.ops.len());
    if let Some(row) = rows.iter().find(|row| !row.passed()) {
        return Err(row.fault());
    }
    let c = plan.find("c").unwrap();
    let values: Vec<F> = pollster::block_on(twins.gpu().read_as(c)).unwrap();
    let bits = |values: &[F]| -> Vec<u64> { values.iter().map(|x| x.f64().to_bits()).collect() };
    let got = bits(&values);
    match plan.ops.last() {
        // Of the same parts in the same order.
        Some(Op::PartSum(sum)) if got != bits(twins.cpu().read(c)) => {
            Err(format!("{}: parts in another order", sum.name))
        }
        _ => Ok(got),
    }
}

fn unedited(_: &str, text: &str) -> String {
    text.to_string()
}

/// The same in so many parts.
fn in_parts(plan: &Plan, parts: usize) -> Plan {
    let depth = |op: &MatMul| (parts > 1).then(|| op.dims().1.div_ceil(parts));
    let cut = plan.in_parts(depth, usize::MAX);
    assert_eq!(cut.is_some(), parts > 1);
    cut.unwrap_or_else(|| plan.clone())
}

/// Through shared memory, without a cut of its own.
const WHOLE: Tile = Tile {
    part_depth: 0,
    ..Tile::GPU
};

/// The same, with large tiles as soon as there is one.
const LARGE: Tile = Tile { full: 1, ..WHOLE };

fn every_form<F: Number>(
    precise: impl Fn(&mut Plan),
    sizes: [usize; 3],
    all: &[Extras],
    tile: &Tile,
) {
    let device = device();
    for form in FORMS {
        for extras in all {
            let mut plan = plan(sizes, form, *extras);
            precise(&mut plan);
            for parts in [1, 2, 7] {
                let cut = in_parts(&plan, parts);
                let run = || compared::<F>(&device, cut.clone(), tile, &mut unedited);
                let bits = run();
                let what = format!("{sizes:?} {form:?} {extras:?} {parts} parts");
                assert!(bits.is_ok(), "{what}: {}", bits.unwrap_err());
                assert_eq!(bits, run(), "{what}");
            }
        }
    }
}

#[test]
fn every_form_agrees_whole_and_in_parts() {
    every_form::<f32>(|_| {}, [67, 53, 131], &[ALL], &WHOLE);
    every_form::<f32>(|_| {}, [5, 59, 3], &[NOTHING], &WHOLE);
    every_form::<f32>(|_| {}, [66, 53, 132], &[IN_FOURS], &WHOLE);
}

/// Which tile a product has, and which of A, B and C it takes in fours.
fn layout(plan: &Plan, tile: &Tile) -> [usize; 4] {
    let sources = Gpu::sources(plan, tile).unwrap();
    ["SIDE", "AV", "BV", "CV"].map(|name| {
        let declared = format!("const {name}: u32 = ");
        let line = sources[0]
            .1
            .lines()
            .find_map(|line| line.strip_prefix(&declared));
        line.unwrap().trim_end_matches("u;").parse().unwrap()
    })
}

#[test]
fn large_tiles_agree() {
    let sizes = [125, 37, 252];
    let of = |form, extras| layout(&plan(sizes, form, extras), &LARGE);
    assert_eq!(of((true, false), IN_FOURS), [128, 1, 1, 0]);
    assert_eq!(of((false, true), IN_FOURS), [128, 0, 0, 1]);
    let parts = in_parts(&plan(sizes, (true, false), IN_FOURS), 2);
    assert_eq!(layout(&parts, &LARGE), [128, 1, 1, 1]);
    assert_eq!(of((true, false), ALL), [128, 0, 0, 0]);
    assert_eq!(layout(&plan(sizes, (true, false), IN_FOURS), &WHOLE)[0], 64);
    every_form::<f32>(|_| {}, sizes, &[IN_FOURS], &LARGE);
}

#[test]
fn every_form_agrees_in_half_precision() {
    if !lacks("half") {
        let halve = |plan: &mut Plan| {
            for slot in &mut plan.slots {
                slot.half = matches!(slot.name.as_str(), "a" | "b");
            }
        };
        every_form::<f32>(halve, [37, 53, 72], &[ALL, IN_FOURS], &WHOLE);
    }
}

#[test]
fn every_form_agrees_in_double_precision() {
    if !lacks("double") {
        let double = |plan: &mut Plan| plan.double().unwrap();
        every_form::<f64>(double, [37, 53, 72], &[ALL, IN_FOURS], &WHOLE);
    }
}

/// A fault in the kernel named so is seen; that it was planted, too.
fn seen(what: &str, of: &str, from: &str, to: &str) {
    let cut = in_parts(&plan([9, 53, 7], (true, false), NOTHING), 7);
    let mut planted = 0;
    let mut edit = |name: &str, text: &str| {
        if name != of {
            return text.to_string();
        }
        planted += usize::from(text.contains(from));
        text.replace(from, to)
    };
    let run = compared::<f32>(&device(), cut, &WHOLE, &mut edit);
    assert_eq!(planted, 1, "{what}: no place for the fault");
    let fault = run.err().unwrap_or_else(|| panic!("{what}: not seen"));
    assert!(fault.starts_with(of), "{what}: {fault}");
}

#[test]
fn faults_of_parts_are_seen() {
    seen(
        "a part left out",
        "product.sum",
        "p < PARTS;",
        "p < PARTS - 1u;",
    );
    seen(
        "the last round left out",
        "product",
        "k < end;",
        "k + 16u <= end;",
    );
    seen(
        "parts that meet",
        "product",
        "min(first + DEPTH, K)",
        "min(first + DEPTH + 1u, K)",
    );
}
