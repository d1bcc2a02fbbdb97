//! How long a gradient is after it went back through so many steps, by the singular values of the recurrent weights.
//!
//! Sources: Bengio, Simard, Frasconi 1994; Hochreiter and Schmidhuber 1997; Pascanu, Mikolov, Bengio 2013, section 2.1.

use std::sync::Arc;

use serde_json::json;

use super::{
    Experiment, Facts, Finding, Measured, Plot, Point, Scale, Series, Size, crossed, facts, number,
    run, text, whole,
};
use crate::cell::library;
use crate::cell::stage::Store;
use crate::error::{Error, Result};
use crate::exec::Device;
use crate::exec::cpu::Cpu;
use crate::model::{Dims, Init, Mode, Scheme, Spec, initialize};
use crate::op::{Direction, Fill, Plan, Scan};
use crate::rng::{Purpose, Stream};
use crate::task::Inputs;

/// The experiment.
pub struct GradientFlow;

impl Experiment for GradientFlow {
    fn name(&self) -> &'static str {
        "gradient-flow"
    }

    fn about(&self) -> &'static str {
        "How long is dL/dh_t after the gradient went back through so many steps?"
    }

    fn method(&self) -> &'static str {
        "The recurrent block of every gate is an orthogonal matrix times sigma, so that all its singular values are sigma; \
             the other weights are Xavier's, the forget bias is 1. A random sequence of symbols is read, the loss is the \
             cross-entropy of the last prediction alone. For every lag a plan of so many steps begins with the states that the \
             whole sequence had there, and gives the gradient with respect to them, in f64. Slopes are those of least squares \
             of the natural logarithm of the norm over the lag. `gates` are the norms of the gradients of the gates' biases, from all steps of \
             the sequence together."
    }

    fn processor_only(&self) -> Option<&'static str> {
        Some("whose plans are stopped before the gradient's way back, and computed in f64")
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        points(size, seed)
    }

    fn measure(&self, point: &Point, _device: &Device) -> Result<Facts> {
        measure(point)
    }

    fn columns(&self) -> &'static [&'static str] {
        &[
            "cell",
            "sigma",
            "seed",
            "log_sigma",
            "slope",
            "slope_c",
            "log_f",
            "last",
            "gates",
        ]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        plot(measured)
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        findings(measured)
    }
}

const CELLS: [&str; 4] = ["rnn-linear", "rnn", "lstm", "gru"];
const SIGMAS: [f64; 8] = [0.5, 0.7, 0.9, 1.0, 1.1, 1.3, 1.6, 2.0];

/// Symbols, and sequences side by side.
const VOCABULARY: usize = 8;
const BATCH: usize = 4;

fn points(size: Size, seed: u64) -> Vec<Facts> {
    let (hidden, lags, seeds) = match size {
        Size::Quick => (32, 40, 1),
        Size::Full => (128, 100, 3),
    };
    crossed(
        json!({"hidden": hidden, "lags": lags}),
        &[
            ("seed", super::seeds(seed, seeds)),
            ("cell", json!(CELLS)),
            ("sigma", json!(SIGMAS)),
        ],
    )
}

/// A model of `steps` steps at its start.
fn plan(point: &Point, steps: usize) -> Result<(Arc<Plan>, Vec<f32>)> {
    let spec = Spec {
        vocab: VOCABULARY,
        cells: vec![Arc::new(library::builtin(text(point, "cell")?)?)],
        hidden: whole(point, "hidden")? as usize,
        weighted: true,
        ..Spec::default()
    };
    let dims = Dims {
        steps,
        batch: BATCH,
    };
    let plan = spec.plan(dims, Mode::Gradients)?;
    let init = Init {
        scheme: Scheme::Orthogonal,
        scale: number(point, "sigma")?,
        seed: whole(point, "seed")?,
        ..Init::default()
    };
    let parameters = initialize(&plan, &init)?;
    Ok((Arc::new(plan), parameters))
}

/// An executor in f64 with these parameters.
fn executor(plan: &Arc<Plan>, parameters: &[f32]) -> Result<Cpu<f64>> {
    let mut cpu = Cpu::<f64>::new(plan.clone());
    let slot = plan.io.parameters;
    let slot = slot.ok_or_else(|| Error::internal("a plan without parameters"))?;
    for (to, from) in cpu.write(slot).iter_mut().zip(parameters) {
        *to = f64::from(*from);
    }
    Ok(cpu)
}

/// What the forward pass of the whole sequence left.
struct Forward {
    /// The states before every step, [T + 1] times [S, B, H].
    states: Vec<Vec<f64>>,
    /// The forget gate at every step, [T] times [B, H]; nothing for a cell that has none.
    forget: Vec<Vec<f64>>,
}

/// Runs the operations before the first backward scan, and reads what they left.
fn forward(plan: &Arc<Plan>, parameters: &[f32], inputs: &Inputs<'_>) -> Result<Forward> {
    let mut cpu = executor(plan, parameters)?;
    cpu.set(inputs)?;
    let mut found: Option<&Scan> = None;
    for (n, op) in plan.ops.iter().enumerate() {
        match op.scans().first() {
            Some(scan) if scan.direction == Direction::Backward => break,
            Some(scan) => found = Some(scan),
            None => {}
        }
        cpu.run_op(n)?;
    }
    let scan = found.ok_or_else(|| Error::internal("a plan without a recurrent layer"))?;
    let row = |slot, from: usize| cpu.read(slot)[from..from + scan.hidden].to_vec();
    let states = (0..=scan.steps).map(|t| {
        let rows = (0..scan.cell.states.len()).flat_map(|k| (0..BATCH).map(move |b| (k, b)));
        rows.flat_map(|(k, b)| row(scan.state, scan.state_row(k, t, b, &[])))
            .collect()
    });
    let kept = scan.cell.left_by_step(&scan.compiled);
    let forget = kept.iter().find_map(|(store, node)| match store {
        Store::Saved(i) if scan.cell.value_name(*node) == "f" => Some(*i),
        _ => None,
    });
    let gates = |value: usize| -> Vec<Vec<f64>> {
        let Some(slot) = scan.saved else {
            return Vec::new();
        };
        (0..scan.steps)
            .map(|t| {
                (0..BATCH)
                    .flat_map(|b| row(slot, scan.saved_row(value, t, b, &[])))
                    .collect()
            })
            .collect()
    };
    Ok(Forward {
        states: states.collect(),
        forget: forget.map(gates).unwrap_or_default(),
    })
}

/// The last steps of a sequence, as a network of their own that begins with the states which the whole one had there.
pub struct Suffix {
    plan: Arc<Plan>,
    cpu: Cpu<f64>,
    steps: usize,
    ids: Vec<u32>,
    /// The states that it begins with, [S, B, H].
    pub start: Vec<f64>,
}

impl Suffix {
    fn new(point: &Point, steps: usize, ids: &[u32], start: &[f64]) -> Result<Suffix> {
        let (plan, parameters) = plan(point, steps)?;
        Ok(Suffix {
            cpu: executor(&plan, &parameters)?,
            plan,
            steps,
            ids: ids[ids.len() - (steps + 1) * BATCH..].to_vec(),
            start: start.to_vec(),
        })
    }

    /// Runs it: the loss of the last predictions, the mean over the sequences.
    pub fn run(&mut self) -> Result<f64> {
        let layout = self.plan.io.states.first();
        let layout = layout.ok_or_else(|| Error::internal("a plan without states"))?;
        // The states go on from the last step of the run before.
        let size = BATCH * layout.hidden;
        for (k, start) in self.start.chunks(size).enumerate() {
            let at = (k * (self.steps + 1) + self.steps) * size;
            self.cpu.write(layout.slot)[at..at + size].copy_from_slice(start);
        }
        let mut weights = vec![0.0; self.steps * BATCH];
        weights[(self.steps - 1) * BATCH..].fill(1.0);
        let inputs = Inputs::new(&self.ids).weights(Some(&weights));
        let outcome = self.cpu.run(&inputs.scale(1.0 / BATCH as f64))?;
        Ok(outcome.report.loss / BATCH as f64)
    }

    /// The gradient of that loss with respect to each state that it began with, [S] times [B, H].
    pub fn gradient(&self) -> Result<Vec<Vec<f64>>> {
        let initial = self.plan.io.initial.first();
        let initial = *initial.ok_or_else(|| Error::internal("a plan without first states"))?;
        let values = self.cpu.read(initial.slot);
        let row = |row| &values[initial.offset + row * initial.stride..][..initial.cols];
        let states = (0..initial.rows / BATCH).map(|k| k * BATCH..(k + 1) * BATCH);
        Ok(states
            .map(|rows| rows.flat_map(row).copied().collect())
            .collect())
    }
}

impl Suffix {
    /// How long the gradient of each gate's bias is after the run: what all steps together do to the gate.
    pub fn gates(&self) -> Result<Vec<(String, f64)>> {
        let slot = self.plan.io.gradients;
        let slot = slot.ok_or_else(|| Error::internal("a plan without gradients"))?;
        let gradients = self.cpu.read(slot);
        let mut gates: Vec<(String, f64)> = Vec::new();
        for parameter in &self.plan.parameters {
            let units = parameter.matrix.cols / parameter.fill.len();
            for (block, fill) in parameter.fill.iter().enumerate() {
                let Fill::Gate(gate) = fill else { continue };
                // A gate may have two biases, whose gradients are the same.
                if gates.iter().any(|(known, _)| *known == gate.variable) {
                    continue;
                }
                let own = &gradients[parameter.matrix.offset + block * units..][..units];
                let norm = own.iter().map(|g| g * g).sum::<f64>().sqrt();
                gates.push((gate.variable.clone(), norm));
            }
        }
        Ok(gates)
    }
}

/// The whole sequence of a point, and its last steps by their number, from 1 on.
pub fn suffixes(point: &Point) -> Result<(Vec<Vec<f64>>, Vec<Suffix>)> {
    let lags = whole(point, "lags")? as usize;
    let mut stream = Stream::new(whole(point, "seed")?, Purpose::Check, 0);
    let ids: Vec<u32> = (0..(lags + 1) * BATCH)
        .map(|_| stream.below(VOCABULARY as u64) as u32)
        .collect();
    let (plan, parameters) = plan(point, lags)?;
    let left = forward(&plan, &parameters, &Inputs::new(&ids).reset(true))?;
    let suffix = |lag: usize| Suffix::new(point, lag, &ids, &left.states[lags - lag]);
    let all = (1..=lags).map(suffix).collect::<Result<_>>()?;
    Ok((left.forget, all))
}

/// Norms by lag, from 1 on, and the slopes of their logarithms.
fn measure(point: &Point) -> Result<Facts> {
    let (forget, suffixes) = suffixes(point)?;
    let lags = suffixes.len();
    // By state: the norms of the gradient that reaches it.
    let mut norms: Vec<Vec<f64>> = Vec::new();
    let mut gates = Vec::new();
    for mut suffix in suffixes {
        suffix.run()?;
        // The longest comes last: the whole sequence.
        gates = suffix.gates()?;
        let gradients = suffix.gradient()?;
        norms.resize(gradients.len(), Vec::new());
        for (norms, gradient) in norms.iter_mut().zip(gradients) {
            norms.push(gradient.iter().map(|g| g * g).sum::<f64>().sqrt());
        }
    }
    // ln f summed from the last step back, as a mean over sequences and units.
    let mut along = Vec::new();
    let mut sum = 0.0;
    for gates in forget.iter().rev() {
        sum += gates.iter().map(|f| f.ln()).sum::<f64>() / gates.len() as f64;
        along.push(sum.exp());
    }
    let sigma = number(point, "sigma")?;
    let mut result = facts(json!({
        "log_sigma": sigma.ln(), "slope": slope(&norms[0]), "last": norms[0].last(), "h": norms[0],
    }));
    let gates = gates
        .iter()
        .map(|(gate, norm)| format!("{gate} {}", run::shown(*norm)));
    result.insert("gates".into(), gates.collect::<Vec<_>>().join(", ").into());
    if let Some(c) = norms.get(1) {
        result.insert("slope_c".into(), json!(slope(c)));
        result.insert("c".into(), json!(c));
    }
    if !along.is_empty() {
        result.insert("log_f".into(), json!(sum / lags as f64));
        result.insert("product_f".into(), json!(along));
    }
    Ok(result)
}

/// The slope of the natural logarithm of `norms`, whose lags are 1, 2 ..., by least squares.
fn slope(norms: &[f64]) -> f64 {
    let n = norms.len() as f64;
    let (lag, log) = (
        (n + 1.0) / 2.0,
        norms.iter().map(|x| x.ln()).sum::<f64>() / n,
    );
    let (mut up, mut across) = (0.0, 0.0);
    for (x, norm) in (1..).map(f64::from).zip(norms) {
        up += (x - lag) * (norm.ln() - log);
        across += (x - lag) * (x - lag);
    }
    up / across
}

/// The sigmas that are drawn, and the one beside which the product of the forget gates is.
const DRAWN: [f64; 2] = [0.7, 1.3];

fn plot(measured: &[Measured]) -> Plot {
    // One seed is enough to see.
    let first = measured.first().and_then(|m| m.number("seed"));
    let mut series = Vec::new();
    for sigma in DRAWN {
        let at = |m: &&Measured| m.number("seed") == first && m.number("sigma") == Some(sigma);
        for m in measured.iter().filter(at) {
            let mut line = |list: &str, name: String| {
                let points: Vec<(f64, f64)> = (1..).map(f64::from).zip(m.list(list)).collect();
                if !points.is_empty() {
                    series.push(Series { name, points });
                }
            };
            let cell = m.text("cell");
            line("h", format!("{cell}, sigma {sigma}"));
            if sigma == DRAWN[0] {
                line("product_f", format!("{cell}: product of f"));
            }
        }
    }
    Plot {
        title: "The norm of the gradient after so many steps back".into(),
        across: "lag".into(),
        up: "norm".into(),
        across_scale: Scale::Linear,
        up_scale: Scale::Log,
        series,
    }
}

/// How far a slope may be from the logarithm of sigma, of the latter; where that is 0, of a step.
const TOLERANCE: f64 = 0.1;

/// Whether the slope of a linear network is the logarithm of sigma.
pub fn follows(slope: f64, log_sigma: f64) -> bool {
    (slope - log_sigma).abs() <= TOLERANCE * log_sigma.abs().max(0.01)
}

fn findings(measured: &[Measured]) -> Vec<Finding> {
    let of = |cell: &str| -> Vec<[f64; 3]> {
        let all = measured.iter().filter(|m| m.text("cell") == cell);
        all.filter_map(|m| {
            Some([
                m.number("sigma")?,
                m.number("slope")?,
                m.number("log_sigma")?,
            ])
        })
        .collect()
    };
    let (linear, tanh, lstm) = (of("rnn-linear"), of("rnn"), of("lstm"));
    let worst = linear.iter().map(|[_, slope, log]| (slope - log).abs());
    let below: Vec<&[f64; 3]> = tanh.iter().filter(|[sigma, ..]| *sigma < 1.0).collect();
    let grows: Vec<&[f64; 3]> = tanh.iter().filter(|[_, slope, _]| *slope > 0.0).collect();
    let sigmas = |list: &[&[f64; 3]]| {
        let names: Vec<String> = list.iter().map(|[sigma, ..]| sigma.to_string()).collect();
        if names.is_empty() {
            "none".into()
        } else {
            names.join(", ")
        }
    };
    let pairs: Vec<(f64, f64, f64)> = measured
        .iter()
        .filter(|m| m.text("cell") == "lstm" && m.number("sigma").is_some_and(|s| s <= 1.0))
        .filter_map(|m| Some((m.number("sigma")?, m.number("slope_c")?, m.number("log_f")?)))
        .collect();
    let further = lstm
        .iter()
        .zip(&tanh)
        .filter(|([sigma, ..], _)| *sigma < 1.0);
    let further: Vec<(f64, f64)> = further.map(|(l, r)| (l[1], r[1])).collect();
    vec![
        Finding {
            claim: "In a linear network the norm of the gradient is multiplied by sigma with every step",
            by: "Pascanu, Mikolov, Bengio 2013, section 2.1; here all singular values are sigma",
            found: format!(
                "largest difference between the slope of log norm over lag and log sigma: {}",
                run::shown(worst.fold(0.0, f64::max))
            ),
            holds: decided(&linear, |all| {
                all.iter().all(|[_, slope, log]| follows(*slope, *log))
            }),
        },
        Finding {
            claim: "With tanh, singular values below 1 suffice for the gradient to vanish at least as fast as sigma^lag",
            by: "Bengio, Simard, Frasconi 1994; Pascanu, Mikolov, Bengio 2013",
            found: below
                .iter()
                .map(|[sigma, slope, log]| {
                    format!(
                        "sigma {sigma}: slope {} (log sigma {})",
                        run::shown(*slope),
                        run::shown(*log)
                    )
                })
                .collect::<Vec<_>>()
                .join("; "),
            holds: decided(&below, |all| {
                all.iter().all(|[_, slope, log]| *slope <= log + 1e-9)
            }),
        },
        Finding {
            claim: "With tanh, a largest singular value above 1 is necessary for the gradient to explode, and not sufficient",
            by: "Pascanu, Mikolov, Bengio 2013, section 2.1",
            found: format!("the gradient grows for sigma: {}", sigmas(&grows)),
            holds: decided(&tanh, |all| {
                let above = all.iter().filter(|[sigma, ..]| *sigma > 1.0).count();
                grows.iter().all(|[sigma, ..]| *sigma > 1.0) && grows.len() < above
            }),
        },
        Finding {
            claim: "Along the cell's state c the gradient falls no faster than the product of the forget gates",
            by: "Gers, Schmidhuber, Cummins 2000; Hochreiter and Schmidhuber 1997 with f = 1",
            found: pairs
                .iter()
                .map(|(sigma, slope, log)| {
                    format!(
                        "sigma {sigma}: slope of dL/dc {}, mean log f {}",
                        run::shown(*slope),
                        run::shown(*log)
                    )
                })
                .collect::<Vec<_>>()
                .join("; "),
            // What goes through the gates comes on top, so the slope may be the flatter one.
            holds: decided(&pairs, |all| {
                all.iter()
                    .all(|(_, slope, log)| *slope >= log - TOLERANCE * log.abs())
            }),
        },
        Finding {
            claim: "At sigma below 1 an LSTM's gradient reaches further back than a tanh network's",
            by: "Hochreiter and Schmidhuber 1997",
            found: further
                .iter()
                .map(|(lstm, rnn)| format!("slopes {} and {}", run::shown(*lstm), run::shown(*rnn)))
                .collect::<Vec<_>>()
                .join("; "),
            holds: decided(&further, |all| all.iter().all(|(lstm, rnn)| lstm > rnn)),
        },
    ]
}

/// Whether something holds of a list; nothing is decided where there is none.
fn decided<T>(list: &[T], holds: impl FnOnce(&[T]) -> bool) -> Option<bool> {
    (!list.is_empty()).then(|| holds(list))
}
