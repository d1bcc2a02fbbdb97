//! Cells that nobody here has seen: three written down as a user would, and as many random ones as there is time for.
//! Each passes finite differences, layer on layer, and each is run by a GPU beside both precisions of the CPU.

mod common;

use std::sync::{Arc, OnceLock};

use common::inputs;
use proptest::prelude::*;
use wgrnn::cell::Cell;
use wgrnn::exec::cpu::{Cpu, Number};
use wgrnn::exec::gpu::{AdapterChoice, Gpu, GpuDevice, INSTALL, Tile};
use wgrnn::model::{Dims, Init, Mode, Scheme, Spec, initialize};
use wgrnn::op::{Plan, SlotId};
use wgrnn::rng::{Purpose, Stream};
use wgrnn::task::differences::differences;

const UNSEEN: [(&str, &str); 3] = [
    (
        "two-memories",
        "# a fast and a slow memory, the slow one read through a gate that sees both\n\
         state h, fast, slow\noutput h\nconst rate = 0.9\nbias keep = 1\n\
         keep = sigmoid(linear(x, h) + peep(fast))\n\
         new = tanh(linear(x, h))\n\
         fast = keep * fast + (1 - keep) * new\n\
         slow = rate * slow + (1 - rate) * fast\n\
         look = sigmoid(linear(fast, slow) + peep(slow))\n\
         h = tanh(look * fast + (1 - look) * slow)\n",
    ),
    (
        "nested",
        "# products of products: each waits for the whole vector before it\n\
         state h\n\
         a = tanh(linear(x, h))\n\
         b = relu(linear(a * h, x))\n\
         c = sigmoid(linear(max(b, a)) + linear(h))\n\
         h = c * norm(linear(b * c)) + (1 - c) * h\n",
    ),
    (
        "constants",
        "# soft division and a soft clock, two states and x elementwise\n\
         state c, h\noutput h\nconst floor = 0.5\nconst leak = 0.125\n\
         n = tanh(linear(h) + x)\n\
         w = log(1 + exp(linear(x) - floor))\n\
         c = (1 - leak) * c + leak * w * n / (floor + sqrt(1 + n * n))\n\
         h = min(c, h / 2) + mean(n) - exp(-2) * x\n",
    ),
];

/// What the losses are multiplied by.
const SCALE: f64 = 0.1;

/// A model of two layers of a cell; every cell fits an embedding of the hidden size.
fn model(cell: &Cell, hidden: usize, layers: usize) -> Spec {
    Spec {
        vocab: 5,
        cells: (0..layers).map(|_| Arc::new(cell.clone())).collect(),
        hidden,
        embed: hidden,
        ..Spec::default()
    }
}

fn passes_differences(cell: &Cell, hidden: usize, layers: usize, fast: bool) -> Result<(), String> {
    let dims = Dims { steps: 3, batch: 2 };
    let plan = model(cell, hidden, layers).plan(dims, Mode::Gradients);
    let slopes = differences(Arc::new(plan.map_err(|e| e.to_string())?), fast);
    let slopes = slopes.map_err(|e| e.to_string())?;
    let fault = slopes.iter().find(|s| !s.passed());
    match fault {
        Some(slope) => Err(slope.fault()),
        None if slopes.len() < 20 => Err(format!("{} gradients", slopes.len())),
        None => Ok(()),
    }
}

fn device() -> Arc<GpuDevice> {
    static DEVICE: OnceLock<Arc<GpuDevice>> = OnceLock::new();
    let open = || match pollster::block_on(GpuDevice::open(&AdapterChoice::Gpu)) {
        Ok(Some(device)) => device,
        Ok(None) => panic!("no adapter: {INSTALL}"),
        Err(error) => panic!("{error}"),
    };
    DEVICE.get_or_init(open).clone()
}

/// A slot after one run on the CPU.
fn on_cpu<F: Number>(
    plan: &Arc<Plan>,
    start: &[f32],
    ids: &[u32],
    slots: &[SlotId],
) -> Vec<Vec<f64>> {
    let mut cpu = Cpu::<F>::plain(plan.clone());
    let parameters = cpu.write(plan.io.parameters.unwrap());
    for (to, from) in parameters.iter_mut().zip(start) {
        *to = F::of(f64::from(*from));
    }
    cpu.run(&inputs(ids, true, SCALE)).unwrap();
    let read = |s: &SlotId| cpu.read(*s).iter().map(|x| x.f64()).collect();
    slots.iter().map(read).collect()
}

/// The GPU may be as far from f64 as the CPU's f32 is, times a factor for another order of its sums and other functions of
/// its driver, plus roundings of the largest value. Quotients and normalisations of a random cell may enlarge roundings
/// without bound, but they do so for both.
fn gpu_agrees(cell: &Cell, hidden: usize, layers: usize) -> Result<(), String> {
    let dims = Dims { steps: 3, batch: 3 };
    let plan = model(cell, hidden, layers).plan(dims, Mode::Gradients);
    let plan = Arc::new(plan.map_err(|e| e.to_string())?);
    let init = Init {
        scheme: Scheme::Uniform,
        scale: 0.5,
        seed: 3,
        ..Init::default()
    };
    let start = initialize(&plan, &init).unwrap();
    let mut stream = Stream::new(7, Purpose::Check, 0);
    let ids: Vec<u32> = (0..12).map(|_| (stream.uniform() * 5.0) as u32).collect();
    let slots: Vec<SlotId> = [plan.io.gradients, plan.io.logits, plan.io.losses]
        .into_iter()
        .flatten()
        .chain(plan.io.states.iter().map(|s| s.slot))
        .collect();
    let exact = on_cpu::<f64>(&plan, &start, &ids, &slots);
    let single = on_cpu::<f32>(&plan, &start, &ids, &slots);
    let tiles = if layers == 1 {
        // As on a GPU, with fewer rows a thread and operations apart, or software drivers compile for minutes.
        [Tile {
            slices: [4, 8],
            slice_rows: [1, 2],
            merged: false,
            ..Tile::GPU
        }]
    } else {
        [Tile::SOFTWARE]
    };
    for tile in tiles {
        let gpu = Gpu::with_tile(device(), plan.clone(), &tile);
        let mut gpu = pollster::block_on(gpu).map_err(|e| e.to_string())?;
        gpu.write(plan.io.parameters.unwrap(), &start).unwrap();
        pollster::block_on(gpu.run(&inputs(&ids, true, SCALE))).unwrap();
        for ((slot, exact), single) in slots.iter().zip(&exact).zip(&single) {
            let got = pollster::block_on(gpu.read(*slot)).unwrap();
            let largest = exact.iter().fold(0.0f64, |m, x| m.max(x.abs()));
            let rounding = exact.iter().zip(single).map(|(a, b)| (a - b).abs());
            let rounding = rounding.fold(0.0f64, f64::max);
            let limit = 16.0 * rounding + 64.0 * largest * 2f64.powi(-24);
            for (i, (got, want)) in got.iter().zip(exact).enumerate() {
                let off = (f64::from(*got) - want).abs();
                let within = off <= limit;
                if !within {
                    let name = &plan.slot(*slot).name;
                    return Err(format!(
                        "{name} [{i}]: got {got:e}, want {want:e}, limit {limit:e}"
                    ));
                }
            }
        }
    }
    Ok(())
}

#[test]
fn three_unseen_cells_pass_finite_differences() {
    for (name, text) in UNSEEN {
        let cell = Cell::parse(name, text).unwrap();
        for (hidden, layers, fast) in [(3, 2, false), (5, 1, true), (4, 2, true)] {
            passes_differences(&cell, hidden, layers, fast)
                .unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
}

#[test]
fn three_unseen_cells_agree_on_a_gpu() {
    for (name, text) in UNSEEN {
        let cell = Cell::parse(name, text).unwrap();
        for (hidden, layers) in [(7, 2), (8, 1)] {
            gpu_agrees(&cell, hidden, layers).unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }
}

/// Writes random cells: valid by construction, with values that stay of the order of 1.
struct Writer {
    stream: Stream,
    /// What an expression may name, by its newest value.
    names: Vec<String>,
    size: usize,
}

impl Writer {
    fn draw(&mut self, n: usize) -> usize {
        (self.stream.uniform() * n as f32) as usize
    }

    fn name(&mut self) -> String {
        let i = self.draw(self.names.len());
        self.names[i].clone()
    }

    /// One to three operands of a product: x, names, or a product of two.
    fn linear(&mut self) -> String {
        let count = 1 + self.draw(3);
        let operands: Vec<String> = (0..count)
            .map(|_| match self.draw(4) {
                0 => "x".to_string(),
                1 => format!("{} * {}", self.name(), self.name()),
                _ => self.name(),
            })
            .collect();
        format!("linear({})", operands.join(", "))
    }

    fn expression(&mut self, depth: usize) -> String {
        if depth == 0 {
            return match self.draw(6) {
                // A bare number might make its line a constant.
                0 => format!("(s0 - {:.2})", self.stream.uniform()),
                1 => "x".to_string(),
                _ => self.name(),
            };
        }
        let mut a = || self.expression(depth - 1);
        let (a, b) = (a(), a());
        match self.draw(18) {
            0 => format!("({a} + {b})"),
            1 => format!("({a} - {b})"),
            2 | 3 => format!("tanh({a}) * ({b})"),
            4 => format!("max({a}, {b})"),
            5 => format!("min({a}, {b})"),
            6 => format!("sigmoid({a})"),
            7 => format!("relu({a})"),
            8 => format!("({a}) / (1 + exp(tanh({b})))"),
            9 => format!("log(1 + exp(tanh({a})))"),
            10 => format!("sqrt(exp(tanh({a})))"),
            11 => format!("peep({a})"),
            12 => format!("mean({a})"),
            13 => format!("norm({})", self.linear()),
            14 => format!("greater({a}, {b}) * ({a})"),
            _ => format!("tanh({})", self.linear()),
        }
    }

    fn cell(mut self) -> String {
        let states: Vec<String> = (0..1 + self.draw(3)).map(|k| format!("s{k}")).collect();
        self.names = states.clone();
        let mut lines: Vec<(String, String)> = Vec::new();
        for v in 0..1 + self.draw(self.size) {
            // With a state in it no line is a constant, which a product would refuse.
            let expression = format!("{} + s0 / 2", self.expression(1 + v % 2));
            let name = format!("v{v}");
            lines.push((name.clone(), expression));
            self.names.push(name);
        }
        for state in states.iter().rev() {
            let (gate, inner, product) = (self.linear(), self.expression(1), self.linear());
            // Without x no layer below the cell would learn.
            let mut sum = format!("{inner} + {product} + linear(x)");
            if state == "s0" {
                // What no line uses would be an error.
                let rest = lines.iter().enumerate().filter(|(i, (name, _))| {
                    let later = lines[i + 1..].iter().map(|l| &l.1).chain([&gate, &sum]);
                    !later.into_iter().any(|l| l.contains(name.as_str()))
                });
                let rest: String = rest.map(|(_, l)| format!(" + tanh({})", l.0)).collect();
                sum.push_str(&rest);
            }
            let new = format!("sigmoid({gate}) * {state} + k * tanh({sum})");
            lines.push((state.clone(), new));
        }
        let mut text = format!("state {}\nconst k = 0.75\n", states.join(", "));
        for (name, expression) in lines {
            text.push_str(&format!("{name} = {expression}\n"));
        }
        text
    }
}

fn random_cell(seed: u64, size: usize) -> (Cell, String) {
    let writer = Writer {
        stream: Stream::new(seed, Purpose::Check, 1),
        names: Vec::new(),
        size,
    };
    let text = writer.cell();
    let cell = Cell::parse("random", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    (cell, text)
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 20,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn random_cells_pass_finite_differences(seed in any::<u64>(), size in 1..5usize, hidden in 2..5usize, layers in 1..3usize, fast in any::<bool>()) {
        let (cell, text) = random_cell(seed, size);
        let result = passes_differences(&cell, hidden, layers, fast);
        prop_assert!(result.is_ok(), "{}\n{text}", result.unwrap_err());
    }
}

proptest! {
    #![proptest_config(config(8))]

    #[test]
    fn random_cells_agree_on_a_gpu(seed in any::<u64>(), size in 1..5usize, hidden in 2..10usize) {
        let (cell, text) = random_cell(seed, size);
        let result = gpu_agrees(&cell, hidden, 1);
        prop_assert!(result.is_ok(), "{}\n{text}", result.unwrap_err());
    }
}
