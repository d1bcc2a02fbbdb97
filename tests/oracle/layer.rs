//! One layer of a cell: its step over T steps and B sequences, and backpropagation through time.

use std::collections::BTreeMap;

use super::{row_dot, row_dot_backward};

/// Parameters, or their gradients, by their names in files without the layer: `weight_ih`.
pub type Parameters = BTreeMap<&'static str, Vec<f64>>;

/// A vector [H] for each state, or for what belongs to it; the first state is the output.
pub type States = Vec<Vec<f64>>;

/// A cell written by hand: one step of one sequence.
pub trait Cell: Sync {
    /// Its name in `wgrnn cells`.
    fn name(&self) -> &'static str;

    /// Names of its states, the output first.
    fn states(&self) -> &'static [&'static str];

    /// Name and number of elements of every parameter at input width D and hidden size H.
    fn parameters(&self, d: usize, h: usize) -> Vec<(&'static str, usize)>;

    /// The width of the input that it takes at hidden size H, where any other takes D.
    fn width(&self, d: usize, _h: usize) -> usize {
        d
    }

    /// An initial value of state `s` that may occur, made of any number.
    fn initial(&self, _s: usize, value: f64) -> f64 {
        value
    }

    /// The new states from x [D] and the old ones.
    fn forward(&self, p: &Parameters, x: &[f64], old: &[Vec<f64>]) -> Step;

    /// From the gradients of the new states to those of the old; `back` takes those of the parameters, `dx` that of x.
    fn backward(&self, back: &mut Back, was: &Was, dnew: &[Vec<f64>], dx: &mut [f64]) -> States;
}

/// What a step made.
pub struct Step {
    /// The new states.
    pub new: States,
    /// Values that the backward pass wants again, blocks of H as the cell likes.
    pub kept: Vec<f64>,
}

/// What a step read and made.
pub struct Was<'a> {
    /// [D]
    pub x: &'a [f64],
    /// The states before it.
    pub old: &'a [Vec<f64>],
    /// The states after it.
    pub new: &'a [Vec<f64>],
    /// See [`Step::kept`].
    pub kept: &'a [f64],
}

/// sum_j W_j v_j + sum_k b_k, all blocks of rows at once: pairs of a matrix's name and a vector, names of biases.
pub fn linear(p: &Parameters, terms: &[(&str, &[f64])], biases: &[&str]) -> Vec<f64> {
    let rows = p[terms[0].0].len() / terms[0].1.len();
    let row = |row: usize| {
        let products = terms.iter().map(|(name, v)| row_dot(&p[name], row, v));
        products.sum::<f64>() + biases.iter().map(|name| p[name][row]).sum::<f64>()
    };
    (0..rows).map(row).collect()
}

/// Where a backward step leaves the gradients of the parameters.
pub struct Back<'a> {
    /// The parameters.
    pub p: &'a Parameters,
    /// Their gradients, summed over steps and sequences.
    pub d: &'a mut Parameters,
}

impl Back<'_> {
    /// The gradients of W v [rows], given da [rows]: adds to that of W, and to dv.
    pub fn product(&mut self, name: &'static str, da: &[f64], v: &[f64], dv: &mut [f64]) {
        let dw = self.d.get_mut(name).expect(name);
        for (row, da) in da.iter().enumerate() {
            row_dot_backward(*da, &self.p[name], row, v, dw, dv);
        }
    }

    /// Adds da to the gradient of the vector `name`, from element `from` on.
    pub fn vector(&mut self, name: &'static str, from: usize, da: &[f64]) {
        let db = self.d.get_mut(name).expect(name);
        for (db, da) in db[from..].iter_mut().zip(da) {
            *db += da;
        }
    }
}

/// A layer with its parameters.
#[derive(Clone)]
pub struct Layer {
    /// Its cell.
    pub cell: &'static dyn Cell,
    /// Its parameters.
    pub p: Parameters,
}

/// What a forward pass made, kept for the backward one.
pub struct Run {
    /// Steps.
    pub t: usize,
    /// Sequences side by side.
    pub b: usize,
    /// [T, B, H], the first state of every step
    pub y: Vec<f64>,
    /// [B, H] each, the last states
    pub last: States,
    /// [T, B, D]
    x: Vec<f64>,
    /// [T+1, B]: the states from the initial ones on
    states: Vec<States>,
    /// [T, B]
    kept: Vec<Vec<f64>>,
}

/// What a backward pass gives.
pub struct Gradients {
    /// [T, B, D]
    pub dx: Vec<f64>,
    /// [B, H] each, of the initial states
    pub initial: States,
    /// Of the parameters, in their shapes.
    pub d: Parameters,
}

/// [B, H] each, from the states of each sequence.
fn side_by_side(sequences: &[States]) -> States {
    let state = |s: usize| sequences.iter().flat_map(|of| of[s].clone()).collect();
    (0..sequences[0].len()).map(state).collect()
}

/// The states of each sequence, from [B, H] each.
fn by_sequence(states: &[Vec<f64>], b: usize) -> Vec<States> {
    let block = |v: &Vec<f64>, seq: usize| v[seq * v.len() / b..][..v.len() / b].to_vec();
    (0..b)
        .map(|seq| states.iter().map(|v| block(v, seq)).collect())
        .collect()
}

impl Layer {
    /// T steps for B sequences: x [T, B, D] from the initial states [B, H].
    pub fn forward(&self, x: &[f64], t: usize, b: usize, initial: &[Vec<f64>]) -> Run {
        let d = x.len() / (t * b);
        let mut states = by_sequence(initial, b);
        let mut kept = Vec::new();
        for row in 0..t * b {
            // The same sequence, one step before.
            let step = self.cell.forward(&self.p, &x[row * d..][..d], &states[row]);
            states.push(step.new);
            kept.push(step.kept);
        }
        Run {
            t,
            b,
            y: states[b..].iter().flat_map(|s| s[0].clone()).collect(),
            last: side_by_side(&states[t * b..]),
            x: x.to_vec(),
            states,
            kept,
        }
    }

    /// The gradients of a loss, given its gradient dy [T, B, H] with respect to `run.y`, and what it has with respect to
    /// `run.last` beside that, [B, H] each.
    pub fn backward(&self, run: &Run, dy: &[f64], dlast: &[Vec<f64>]) -> Gradients {
        let (b, d) = (run.b, run.x.len() / (run.t * run.b));
        let zero = |(name, v): (&&'static str, &Vec<f64>)| (*name, vec![0.0; v.len()]);
        let mut gradients: Parameters = self.p.iter().map(zero).collect();
        let mut dx = vec![0.0; run.x.len()];
        // What reaches each sequence's states of the step at hand.
        let mut dstates = by_sequence(dlast, b);
        for row in (0..run.t * b).rev() {
            let dnew = &mut dstates[row % b];
            let h = dnew[0].len();
            for (dh, dy) in dnew[0].iter_mut().zip(&dy[row * h..]) {
                *dh += dy;
            }
            let was = Was {
                x: &run.x[row * d..][..d],
                old: &run.states[row],
                new: &run.states[row + b],
                kept: &run.kept[row],
            };
            let mut back = Back {
                p: &self.p,
                d: &mut gradients,
            };
            let dx = &mut dx[row * d..][..d];
            *dnew = self.cell.backward(&mut back, &was, dnew, dx);
        }
        Gradients {
            dx,
            initial: side_by_side(&dstates),
            d: gradients,
        }
    }
}
