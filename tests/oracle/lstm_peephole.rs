//! The LSTM with peepholes of Gers 2002: i and f see the old c, o sees the NEW one; order g, i, f, o.
//!
//! g = tanh(W x + U h' + b); i, f = sigmoid(W x + U h' + b + p * c'); c = i * g + f * c';
//! o = sigmoid(W x + U h' + b + p * c); h = o * tanh(c)

use super::layer::{Back, Cell, Parameters, States, Step, Was, linear};
use super::sigmoid;

/// See the head of this file.
pub struct LstmPeephole;

/// From the pre-activations g, i, f, o [4H] without the peepholes [3H] (of i, f, o) to gates and states: kept are the
/// gates after their activations, new are h and c.
pub fn gates(mut kept: Vec<f64>, peep: &[f64], c_old: &[f64]) -> Step {
    let h = c_old.len();
    let mut new = vec![vec![0.0; h]; 2];
    for u in 0..h {
        let g = kept[u].tanh();
        let i = sigmoid(kept[h + u] + peep[u] * c_old[u]);
        let f = sigmoid(kept[2 * h + u] + peep[h + u] * c_old[u]);
        // c = i * g + f * c'
        let c = i * g + f * c_old[u];
        let o = sigmoid(kept[3 * h + u] + peep[2 * h + u] * c);
        // h = o * tanh(c)
        new[0][u] = o * c.tanh();
        new[1][u] = c;
        for (gate, value) in [g, i, f, o].into_iter().enumerate() {
            kept[gate * h + u] = value;
        }
    }
    Step { new, kept }
}

/// The backward of [`gates`], given the gradients of h and c, and those that the gates i, f, o get beside [3H]: gives
/// those of the pre-activations [4H] and of the old c; the peepholes' go to `back`.
pub fn gates_backward(
    back: &mut Back,
    was: &Was,
    dnew: &[Vec<f64>],
    dgates: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let (c_old, c) = (&was.old[1], &was.new[1]);
    let h = c.len();
    let peep = &back.p["peep"];
    let mut da = vec![0.0; 4 * h];
    let mut dc_old = vec![0.0; h];
    let mut dpeep = vec![0.0; 3 * h];
    for u in 0..h {
        let [g, i, f, o] = [0, 1, 2, 3].map(|gate| was.kept[gate * h + u]);
        let tanh_c = c[u].tanh();
        let dh = dnew[0][u];
        let da_o = (dgates[2 * h + u] + dh * tanh_c) * o * (1.0 - o);
        // c is seen by the next step, by h, and by o.
        let dc = dnew[1][u] + dh * o * (1.0 - tanh_c * tanh_c) + da_o * peep[2 * h + u];
        let da_i = (dgates[u] + dc * g) * i * (1.0 - i);
        let da_f = (dgates[h + u] + dc * c_old[u]) * f * (1.0 - f);
        da[u] = dc * i * (1.0 - g * g);
        da[h + u] = da_i;
        da[2 * h + u] = da_f;
        da[3 * h + u] = da_o;
        dpeep[u] = da_i * c_old[u];
        dpeep[h + u] = da_f * c_old[u];
        dpeep[2 * h + u] = da_o * c[u];
        dc_old[u] = dc * f + da_i * peep[u] + da_f * peep[h + u];
    }
    back.vector("peep", 0, &dpeep);
    (da, dc_old)
}

impl Cell for LstmPeephole {
    fn name(&self) -> &'static str {
        "lstm-peephole"
    }

    fn states(&self) -> &'static [&'static str] {
        &["h", "c"]
    }

    fn parameters(&self, d: usize, h: usize) -> Vec<(&'static str, usize)> {
        vec![
            ("weight_ih", 4 * h * d),
            ("weight_hh", 4 * h * h),
            ("bias_ih", 4 * h),
            ("peep", 3 * h),
        ]
    }

    fn forward(&self, p: &Parameters, x: &[f64], old: &[Vec<f64>]) -> Step {
        let terms = [("weight_ih", x), ("weight_hh", &old[0])];
        gates(linear(p, &terms, &["bias_ih"]), &p["peep"], &old[1])
    }

    fn backward(&self, back: &mut Back, was: &Was, dnew: &[Vec<f64>], dx: &mut [f64]) -> States {
        let h = was.old[0].len();
        let (da, dc_old) = gates_backward(back, was, dnew, &vec![0.0; 3 * h]);
        let mut dh_old = vec![0.0; h];
        back.product("weight_ih", &da, was.x, dx);
        back.product("weight_hh", &da, &was.old[0], &mut dh_old);
        back.vector("bias_ih", 0, &da);
        vec![dh_old, dc_old]
    }
}
