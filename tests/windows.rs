//! What `window`, `previous`, `repeat` and `ahead` make of numbers, by hand: models without a learned part, but for layers
//! whose weights are 0.

use std::sync::Arc;

use wgrnn::exec::cpu::Cpu;
use wgrnn::model::text::{FieldSize, Model, Sizes};
use wgrnn::model::{Mode, Spec};
use wgrnn::task::{Column, Minibatch, Weighting};

/// Steps of the two series, the shorter one first; numbers of a step.
const LENGTHS: [usize; 2] = [4, 6];
const WIDTH: usize = 2;

/// Number `c` of a step.
fn number(series: usize, step: usize, c: usize) -> f64 {
    ((series * 31 + step * 7 + c * 3) % 11) as f64 / 4.0
}

/// The losses of the model with this line, by series and step, where all weights are 0; `steps` ahead where the line does not say.
fn losses(line: &str, horizon: usize) -> Vec<((usize, usize), f64)> {
    let model = Model::parse("m", &format!("field past: reals\n{line}\n")).unwrap();
    let spec = Spec {
        horizon,
        ..Spec::default()
    };
    let size = FieldSize::Reals {
        width: WIDTH,
        steps: 6,
        rows: 10,
    };
    let sizes = Sizes {
        examples: 2,
        fields: vec![size],
    };
    let plan = Arc::new(model.plan(&spec, &sizes, Mode::Evaluate).unwrap());
    let series = LENGTHS.iter().enumerate().map(|(n, steps)| {
        let numbers = (0..steps * WIDTH).map(|i| number(n, i / WIDTH, i % WIDTH) as f32);
        numbers.collect()
    });
    let columns = [Column::Reals(series.collect())];
    let minibatch = Minibatch::new(&plan, &columns, &Weighting::Sums).unwrap();
    let mut cpu = Cpu::<f64>::plain(plan.clone());
    cpu.write(plan.io.parameters.unwrap()).fill(0.0);
    cpu.run(&minibatch.inputs()).unwrap();
    let found = cpu.read(plan.io.losses.unwrap());
    let places = minibatch.places(0).iter().copied();
    let mut all: Vec<_> = places.zip(found.iter().copied()).collect();
    all.sort_by_key(|(place, _)| *place);
    all
}

/// The mean square of so many columns, of which column `c` of a step differs by what is said.
fn mean_square(columns: usize, differ: impl Fn(usize) -> f64) -> f64 {
    (0..columns).map(|c| differ(c).powi(2)).sum::<f64>() / columns as f64
}

fn near(found: f64, want: f64) {
    assert!((found - want).abs() < 1e-12, "{found} is not {want}");
}

/// Column `c` of steps side by side, the first of them at `first`; 0 before the beginning.
fn beside(series: usize, first: isize, c: usize) -> f64 {
    let step = first + (c / WIDTH) as isize;
    usize::try_from(step).map_or(0.0, |step| number(series, step, c % WIDTH))
}

#[test]
fn a_window_holds_the_steps_up_to_its_own_the_oldest_first() {
    let line = "loss squared(linear(past) + window(past, 3), ahead(past, 3))";
    let found = losses(line, 1);
    assert_eq!(found.len(), LENGTHS.iter().sum::<usize>() - 2 * 3);
    for ((series, step), loss) in found {
        let step = step as isize;
        let differ = |c| beside(series, step - 2, c) - beside(series, step + 1, c);
        near(loss, mean_square(3 * WIDTH, differ));
    }
    // The last one of every series.
    let line = "loss squared(linear(last(past)) + last(window(past, 2)), last(ahead(past, 2)))";
    let found = losses(line, 1);
    assert_eq!(found.len(), 2);
    for ((series, _), loss) in found {
        let last = LENGTHS[series] as isize - 3;
        let differ = |c| beside(series, last - 1, c) - beside(series, last + 1, c);
        near(loss, mean_square(2 * WIDTH, differ));
    }
}

#[test]
fn what_is_repeated_stands_side_by_side() {
    for (line, horizon) in [
        (
            "loss squared(linear(past) + repeat(past, 2), ahead(past, 2))",
            1,
        ),
        // As often as the settings say, which an open horizon follows, too.
        ("loss squared(linear(past) + repeat(past), ahead(past))", 2),
    ] {
        let found = losses(line, horizon);
        assert_eq!(found.len(), LENGTHS.iter().sum::<usize>() - 2 * 2, "{line}");
        for ((series, step), loss) in found {
            let own = |c| number(series, step, c % WIDTH);
            let differ = |c| own(c) - beside(series, step as isize + 1, c);
            near(loss, mean_square(2 * WIDTH, differ));
        }
    }
}

#[test]
fn what_lies_further_back_is_0_before_the_beginning() {
    let line = "loss squared(linear(past) + previous(past, 2), next(past))";
    let found = losses(line, 1);
    assert_eq!(found.len(), LENGTHS.iter().sum::<usize>() - 2);
    for ((series, step), loss) in found {
        let step = step as isize;
        let differ = |c| beside(series, step - 2, c) - beside(series, step + 1, c);
        near(loss, mean_square(WIDTH, differ));
    }
}
