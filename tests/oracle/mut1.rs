//! MUT1 of Jozefowicz 2015: order z, r in the input's weight; x itself goes into n, so D = H.
//!
//! z = sigmoid(W x + b); r = sigmoid(W x + U h' + b); n = tanh(U_n (r * h') + b_n + tanh(x));
//! h = n * z + h' * (1 - z)

use super::layer::{Back, Cell, Parameters, States, Step, Was, linear};
use super::sigmoid;

/// See the head of this file.
pub struct Mut1;

impl Cell for Mut1 {
    fn name(&self) -> &'static str {
        "mut1"
    }

    fn states(&self) -> &'static [&'static str] {
        &["h"]
    }

    fn parameters(&self, d: usize, h: usize) -> Vec<(&'static str, usize)> {
        vec![
            ("weight_ih", 2 * h * d),
            ("weight_hh", h * h),
            ("weight_n", h * h),
            ("bias_ih", 2 * h),
            ("bias_hh", h),
        ]
    }

    fn width(&self, _d: usize, h: usize) -> usize {
        h
    }

    fn forward(&self, p: &Parameters, x: &[f64], old: &[Vec<f64>]) -> Step {
        let h_old = &old[0];
        let h = h_old.len();
        let input = linear(p, &[("weight_ih", x)], &["bias_ih"]);
        let recurrent = linear(p, &[("weight_hh", h_old)], &[]);
        let z: Vec<f64> = (0..h).map(|k| sigmoid(input[k])).collect();
        let r: Vec<f64> = (0..h)
            .map(|k| sigmoid(input[h + k] + recurrent[k]))
            .collect();
        // r * h'
        let reset: Vec<f64> = (0..h).map(|k| r[k] * h_old[k]).collect();
        let n: Vec<f64> = linear(p, &[("weight_n", &reset)], &["bias_hh"])
            .iter()
            .zip(x)
            .map(|(a, x)| (a + x.tanh()).tanh())
            .collect();
        // h = n * z + h' * (1 - z)
        let new = (0..h).map(|k| n[k] * z[k] + h_old[k] * (1.0 - z[k]));
        Step {
            new: vec![new.collect()],
            kept: [z, r, n].concat(),
        }
    }

    fn backward(&self, back: &mut Back, was: &Was, dnew: &[Vec<f64>], dx: &mut [f64]) -> States {
        let h_old = &was.old[0];
        let h = h_old.len();
        let (z, r, n) = (&was.kept[..h], &was.kept[h..2 * h], &was.kept[2 * h..]);
        let reset: Vec<f64> = (0..h).map(|k| r[k] * h_old[k]).collect();
        // Gradients of the pre-activations z, r, then n, of r * h', and of h'.
        let mut da = vec![0.0; 2 * h];
        let mut da_n = vec![0.0; h];
        let mut dreset = vec![0.0; h];
        let mut dh_old = vec![0.0; h];
        for k in 0..h {
            let dh = dnew[0][k];
            da[k] = dh * (n[k] - h_old[k]) * z[k] * (1.0 - z[k]);
            da_n[k] = dh * z[k] * (1.0 - n[k] * n[k]);
            dh_old[k] = dh * (1.0 - z[k]);
            // tanh(x) stands in n as it is.
            dx[k] += da_n[k] * (1.0 - was.x[k].tanh() * was.x[k].tanh());
        }
        back.product("weight_n", &da_n, &reset, &mut dreset);
        back.vector("bias_hh", 0, &da_n);
        for k in 0..h {
            da[h + k] = dreset[k] * h_old[k] * r[k] * (1.0 - r[k]);
            dh_old[k] += dreset[k] * r[k];
        }
        back.product("weight_ih", &da, was.x, dx);
        back.product("weight_hh", &da[h..], h_old, &mut dh_old);
        back.vector("bias_ih", 0, &da);
        vec![dh_old]
    }
}
