//! The LSTM as `torch.nn.LSTM` has it: gate order i, f, g, o, two biases that add up.
//!
//! i, f, o = sigmoid(W_ih x + b_ih + W_hh h' + b_hh); g = tanh(the same); c = f * c' + i * g; h = o * tanh(c)

use super::layer::{Back, Cell, Parameters, States, Step, Was, linear};
use super::sigmoid;

/// See the head of this file.
pub struct Lstm;

impl Cell for Lstm {
    fn name(&self) -> &'static str {
        "lstm"
    }

    fn states(&self) -> &'static [&'static str] {
        &["h", "c"]
    }

    fn parameters(&self, d: usize, h: usize) -> Vec<(&'static str, usize)> {
        vec![
            ("weight_ih", 4 * h * d),
            ("weight_hh", 4 * h * h),
            ("bias_ih", 4 * h),
            ("bias_hh", 4 * h),
        ]
    }

    fn forward(&self, p: &Parameters, x: &[f64], old: &[Vec<f64>]) -> Step {
        let (h_old, c_old) = (&old[0], &old[1]);
        let h = h_old.len();
        let terms = [("weight_ih", x), ("weight_hh", h_old)];
        // The gates after their activations.
        let mut kept = linear(p, &terms, &["bias_ih", "bias_hh"]);
        for (j, a) in kept.iter_mut().enumerate() {
            *a = if j / h == 2 { a.tanh() } else { sigmoid(*a) };
        }
        let mut new = vec![vec![0.0; h]; 2];
        for u in 0..h {
            let [i, f, g, o] = [0, 1, 2, 3].map(|gate| kept[gate * h + u]);
            // c = f * c' + i * g
            new[1][u] = f * c_old[u] + i * g;
            // h = o * tanh(c)
            new[0][u] = o * new[1][u].tanh();
        }
        Step { new, kept }
    }

    fn backward(&self, back: &mut Back, was: &Was, dnew: &[Vec<f64>], dx: &mut [f64]) -> States {
        let h = was.old[0].len();
        // Gradients of the pre-activations, and of the old states.
        let mut da = vec![0.0; 4 * h];
        let mut dold = vec![vec![0.0; h]; 2];
        for u in 0..h {
            let [i, f, g, o] = [0, 1, 2, 3].map(|gate| was.kept[gate * h + u]);
            let tanh_c = was.new[1][u].tanh();
            let dh = dnew[0][u];
            let dc = dnew[1][u] + dh * o * (1.0 - tanh_c * tanh_c);
            da[u] = dc * g * i * (1.0 - i);
            da[h + u] = dc * was.old[1][u] * f * (1.0 - f);
            da[2 * h + u] = dc * i * (1.0 - g * g);
            da[3 * h + u] = dh * tanh_c * o * (1.0 - o);
            dold[1][u] = dc * f;
        }
        back.product("weight_ih", &da, was.x, dx);
        back.product("weight_hh", &da, &was.old[0], &mut dold[0]);
        back.vector("bias_ih", 0, &da);
        back.vector("bias_hh", 0, &da);
        dold
    }
}
