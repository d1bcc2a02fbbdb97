//! Finite differences: every gradient of a plan against the slope of its objective, in f64.

use std::sync::Arc;

use super::MadeUp;
use crate::error::{Error, Result};
use crate::exec::cpu::Cpu;
use crate::op::{Op, Plan, SlotId};
use crate::rng::{Purpose, Stream};

/// Steps of the central differences, tried in this order. With the first they err by about 1e-10 times the third
/// derivative, and rounding adds 1e-11; a strongly curved loss wants a smaller step, a flat one bears a larger.
const STEPS: [f64; 3] = [1e-5, 1e-6, 1e-4];
/// Where the loss has a kink within a step, as next to the zero of a `relu`, it has no slope to compare with, and a point
/// so far beside it is taken.
const BESIDE: [f64; 2] = [1e-3, -1e-3];
/// A gradient may be off by this part of the slope.
pub const TOLERANCE: f64 = 2e-7;
/// Slopes below this are compared as if they were this large.
const SMALL: f64 = 1e-2;

/// One gradient beside its finite difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Slope {
    /// The parameter, or the initial states: `initial state.l0`.
    pub name: String,
    /// The element.
    pub index: usize,
    /// The gradient that the plan gives.
    pub got: f64,
    /// The finite difference.
    pub want: f64,
}

impl Slope {
    /// How far the gradient is off, as a part of the slope; NaN when either is no number.
    pub fn error(&self) -> f64 {
        (self.got - self.want).abs() / self.want.abs().max(SMALL)
    }

    fn rank(&self) -> f64 {
        let error = self.error();
        if error.is_nan() { f64::INFINITY } else { error }
    }

    /// Whether the two agree within [`TOLERANCE`].
    pub fn passed(&self) -> bool {
        self.error() <= TOLERANCE
    }

    /// Both in one line.
    pub fn fault(&self) -> String {
        format!(
            "{} [{}]: got {:e}, finite difference {:e}",
            self.name, self.index, self.got, self.want
        )
    }
}

/// The slope that is furthest off; NaN is further than any number.
pub fn worst(slopes: &[Slope]) -> Option<&Slope> {
    slopes.iter().max_by(|a, b| a.rank().total_cmp(&b.rank()))
}

/// A plan with gradients (`Mode::Gradients`), random parameters, initial states and token ids.
struct Setup {
    plan: Arc<Plan>,
    cpu: Cpu<f64>,
    parameters: Vec<f64>,
    states: Vec<Vec<f64>>,
    minibatch: MadeUp,
    scale: f64,
    slots: [SlotId; 2],
    reset: bool,
}

impl Setup {
    fn new(plan: Arc<Plan>, fast: bool) -> Result<Setup> {
        let io = &plan.io;
        let (Some(parameters), Some(gradients)) = (io.parameters, io.gradients) else {
            return Err(Error::internal(
                "finite differences need a plan with gradients",
            ));
        };
        let slots = [parameters, gradients];
        let mut stream = Stream::new(11, Purpose::Check, 0);
        let parameters = (0..plan.arena).map(|_| 0.7 * stream.normal()).collect();
        let states = io.states.iter().map(|s| {
            let len = plan.slot(s.slot).len();
            (0..len).map(|_| 0.5 * stream.normal()).collect()
        });
        let states = states.collect();
        let minibatch = MadeUp::drawn(&plan, &mut stream)?;
        Ok(Setup {
            cpu: if fast {
                Cpu::new(plan.clone())
            } else {
                Cpu::plain(plan.clone())
            },
            parameters,
            states,
            reset: minibatch.resets(),
            scale: minibatch.scale(&plan),
            minibatch,
            slots,
            plan,
        })
    }

    /// The mean loss and the penalties. The states' last step is carried to the first, so the initial states are written there.
    fn loss(&mut self) -> Result<f64> {
        let slot = self.slots[0];
        self.cpu.write(slot).copy_from_slice(&self.parameters);
        for (layout, values) in self.plan.io.states.iter().zip(&self.states) {
            self.cpu.write(layout.slot).copy_from_slice(values);
        }
        let inputs = self.minibatch.inputs().reset(self.reset);
        let outcome = self.cpu.run(&inputs.draws([3, 4], 9).scale(self.scale))?;
        // What is stopped stays what it was at the first point: a constant.
        self.cpu.keep_stopped();
        Ok(outcome.report.loss * self.scale + outcome.report.penalty)
    }

    /// The gradient `got` beside the slope along one number; where they differ, as at a kink, those of a point beside it.
    fn slope(&mut self, name: &str, index: usize, number: Coordinate, got: f64) -> Result<Slope> {
        let before = *self.number(number);
        let mut slope = self.slope_here(name, index, number, got)?;
        for beside in BESIDE {
            // A wrong gradient is wrong there too.
            if slope.passed() {
                break;
            }
            *self.number(number) = before + beside;
            self.loss()?;
            let got = self.gradients().of(number);
            slope = self.slope_here(name, index, number, got)?;
        }
        *self.number(number) = before;
        Ok(slope)
    }

    /// The finite difference of the loss along one number, the one nearest to `got` of those that the steps give.
    fn slope_here(
        &mut self,
        name: &str,
        index: usize,
        number: Coordinate,
        got: f64,
    ) -> Result<Slope> {
        let before = *self.number(number);
        let mut best: Option<Slope> = None;
        for step in STEPS {
            *self.number(number) = before + step;
            let up = self.loss()?;
            *self.number(number) = before - step;
            let down = self.loss()?;
            *self.number(number) = before;
            let slope = Slope {
                name: name.to_string(),
                index,
                got,
                want: (up - down) / (2.0 * step),
            };
            let nearer = |best: &Slope| slope.rank() < best.rank();
            if best.as_ref().is_none_or(nearer) {
                best = Some(slope);
            }
            if best.as_ref().is_some_and(Slope::passed) {
                break;
            }
        }
        best.ok_or_else(|| Error::internal("no step for finite differences"))
    }

    /// The gradients that the last run left.
    fn gradients(&self) -> Gradients {
        let plan = &self.plan;
        let mut parameters = self.cpu.read(self.slots[1]).to_vec();
        parameters.resize(plan.arena, 0.0);
        for table in &plan.recipes.tables {
            let (m, rows) = (table.table, self.cpu.read(table.rows.slot));
            let ids = self.cpu.read_words(table.ids);
            for (row, column) in (0..m.rows).flat_map(|r| (0..m.cols).map(move |c| (r, c))) {
                let gradient = table.gradient(ids, rows, row, column);
                parameters[m.offset + row * m.stride + column] = gradient.unwrap_or(0.0);
            }
        }
        // Backward runs from the top layer.
        let initial = plan.io.initial.iter().rev().map(|m| {
            let values = self.cpu.read(m.slot);
            values[m.offset..m.offset + m.rows * m.cols].to_vec()
        });
        Gradients {
            parameters,
            initial: initial.collect(),
        }
    }

    fn number(&mut self, number: Coordinate) -> &mut f64 {
        match number {
            Coordinate::Parameter(at) => &mut self.parameters[at],
            Coordinate::State(layer, i) => {
                // The states that a run begins with lie behind the last step of the run before.
                let last = self.plan.io.states[layer].last();
                let at = last.offset + i / last.cols * last.stride + i % last.cols;
                &mut self.states[layer][at]
            }
        }
    }
}

/// A number that the loss depends on.
#[derive(Clone, Copy)]
enum Coordinate {
    /// An element of the arena.
    Parameter(usize),
    /// An element of a layer's initial states [S, B, H].
    State(usize, usize),
}

/// What a run says of every number.
struct Gradients {
    /// With respect to the arena.
    parameters: Vec<f64>,
    /// With respect to each layer's initial states [S, B, H].
    initial: Vec<Vec<f64>>,
}

impl Gradients {
    fn of(&self, number: Coordinate) -> f64 {
        match number {
            Coordinate::Parameter(at) => self.parameters[at],
            Coordinate::State(layer, i) => self.initial[layer][i],
        }
    }
}

/// Compares the gradients of a plan with finite differences at random parameters: every element of a small parameter,
/// every seventh of a large one, and all initial states; where these are learned, once more from the learned ones. `fast`
/// runs the CPU's fast code, else every operation's plain one.
///
/// # Errors
/// Internal for a plan without gradients; Diverged when the loss is not finite there, so that there is no slope.
pub fn differences(plan: Arc<Plan>, fast: bool) -> Result<Vec<Slope>> {
    differences_at(plan, fast, &mut |_| {})
}

/// The same at a point that `place` makes of the random flat parameters.
///
/// # Errors
/// As [`differences`].
pub fn differences_at(
    plan: Arc<Plan>,
    fast: bool,
    place: &mut dyn FnMut(&mut [f64]),
) -> Result<Vec<Slope>> {
    let learned = |op: &Op| matches!(op, Op::Carry(carry) if carry.start.is_some());
    let mut setup = Setup::new(plan.clone(), fast)?;
    place(&mut setup.parameters);
    let mut slopes = setup.slopes()?;
    if plan.ops.iter().any(learned) && !setup.reset {
        setup.reset = true;
        slopes.extend(setup.slopes()?);
    }
    Ok(slopes)
}

impl Setup {
    fn slopes(&mut self) -> Result<Vec<Slope>> {
        let plan = self.plan.clone();
        let loss = self.loss()?;
        if !loss.is_finite() {
            return Err(Error::new(
                crate::Kind::Diverged,
                format!("the loss at random weights is {loss}, so that it has no slope"),
            ));
        }
        let gradients = self.gradients();
        let mut slopes = Vec::new();
        for parameter in &plan.parameters {
            let m = parameter.matrix;
            // 7 is prime to the sizes that are worth a check.
            let count = m.rows * m.cols;
            for i in (0..count).step_by(if count > 60 { 7 } else { 1 }) {
                let at = m.offset + i;
                let number = Coordinate::Parameter(at);
                slopes.push(self.slope(&parameter.name, i, number, gradients.parameters[at])?);
            }
        }
        let reset = self.reset;
        let carried = gradients.initial.iter().filter(|_| !reset);
        for (layer, initial) in carried.enumerate() {
            let name = format!("initial {}", plan.slot(plan.io.states[layer].slot).name);
            for (i, got) in initial.iter().enumerate() {
                slopes.push(self.slope(&name, i, Coordinate::State(layer, i), *got)?);
            }
        }
        Ok(slopes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slope(got: f64, want: f64) -> Slope {
        Slope {
            name: "w".into(),
            index: 3,
            got,
            want,
        }
    }

    #[test]
    fn nan_and_differences_fail() {
        assert!(slope(1.0, 1.0 + 1e-7).passed());
        assert!(slope(1e-9, 0.0).passed());
        for (got, want) in [
            (1.0, 1.0 + 1e-6),
            (f64::NAN, 1.0),
            (1.0, f64::NAN),
            (1e-8, 0.0),
        ] {
            assert!(!slope(got, want).passed(), "{got} {want}");
        }
        let list = [slope(1.0, 2.0), slope(f64::NAN, 1.0), slope(1.0, 1.0)];
        assert!(worst(&list).unwrap().got.is_nan());
        assert_eq!(worst(&[]), None);
    }
}
