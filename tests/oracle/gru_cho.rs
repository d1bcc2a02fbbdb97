//! The GRU of Cho et al. 2014, with the reset BEFORE the product; gate order r, z, n, one bias each.
//!
//! r, z = sigmoid(W x + U h' + b); n = tanh(W x + U (r * h') + b); h = z * h' + (1 - z) * n

use super::layer::{Back, Cell, Parameters, States, Step, Was, linear};
use super::sigmoid;

/// See the head of this file; n multiplies r * h', so its U is a parameter of its own.
pub struct GruCho;

impl Cell for GruCho {
    fn name(&self) -> &'static str {
        "gru-cho"
    }

    fn states(&self) -> &'static [&'static str] {
        &["h"]
    }

    fn parameters(&self, d: usize, h: usize) -> Vec<(&'static str, usize)> {
        vec![
            ("weight_ih", 3 * h * d),
            ("weight_hh", 2 * h * h),
            ("weight_n", h * h),
            ("bias_ih", 3 * h),
        ]
    }

    fn forward(&self, p: &Parameters, x: &[f64], old: &[Vec<f64>]) -> Step {
        let h_old = &old[0];
        let h = h_old.len();
        // r, z, n after their activations.
        let mut kept = linear(p, &[("weight_ih", x)], &["bias_ih"]);
        let recurrent = linear(p, &[("weight_hh", h_old)], &[]);
        for (value, recurrent) in kept.iter_mut().zip(recurrent) {
            *value = sigmoid(*value + recurrent);
        }
        // r * h'
        let reset: Vec<f64> = (0..h).map(|k| kept[k] * h_old[k]).collect();
        let candidate = linear(p, &[("weight_n", &reset)], &[]);
        let mut new = vec![vec![0.0; h]];
        for k in 0..h {
            let n = (kept[2 * h + k] + candidate[k]).tanh();
            let z = kept[h + k];
            kept[2 * h + k] = n;
            // h = z * h' + (1 - z) * n
            new[0][k] = z * h_old[k] + (1.0 - z) * n;
        }
        Step { new, kept }
    }

    fn backward(&self, back: &mut Back, was: &Was, dnew: &[Vec<f64>], dx: &mut [f64]) -> States {
        let (h_old, gate) = (&was.old[0], was.kept);
        let h = h_old.len();
        let reset: Vec<f64> = (0..h).map(|k| gate[k] * h_old[k]).collect();
        // Gradients of the pre-activations r, z, n, of r * h', and of h'.
        let mut da = vec![0.0; 3 * h];
        let mut dreset = vec![0.0; h];
        let mut dh_old = vec![0.0; h];
        for k in 0..h {
            let (z, n) = (gate[h + k], gate[2 * h + k]);
            let dh = dnew[0][k];
            da[h + k] = dh * (h_old[k] - n) * z * (1.0 - z);
            da[2 * h + k] = dh * (1.0 - z) * (1.0 - n * n);
            dh_old[k] = dh * z;
        }
        back.product("weight_n", &da[2 * h..], &reset, &mut dreset);
        for k in 0..h {
            let r = gate[k];
            da[k] = dreset[k] * h_old[k] * r * (1.0 - r);
            dh_old[k] += dreset[k] * r;
        }
        back.product("weight_ih", &da, was.x, dx);
        back.product("weight_hh", &da[..2 * h], h_old, &mut dh_old);
        back.vector("bias_ih", 0, &da);
        vec![dh_old]
    }
}
