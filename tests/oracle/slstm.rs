//! The sLSTM of Beck 2024: exponential input gate, normaliser n, stabiliser m; order i, f, z, o, of which i and f have
//! no activation of their own.
//!
//! i, f = W x + U h' + b; z = tanh(the same); o = sigmoid(the same); k = log(sigmoid(f)) + m'; m = max(k, i);
//! c = exp(k - m) c' + exp(i - m) z; n = exp(k - m) n' + exp(i - m); h = o * c / n
//!
//! m scales c and n alike, so h does not depend on it: whatever a loss over h sends to m through c and n adds up to zero.
//! Only a loss over c, n or m themselves tells which branch of the maximum got the slope.

use super::layer::{Back, Cell, Parameters, States, Step, Was, linear};
use super::sigmoid;

/// See the head of this file.
pub struct Slstm;

impl Cell for Slstm {
    fn name(&self) -> &'static str {
        "slstm"
    }

    fn states(&self) -> &'static [&'static str] {
        &["h", "c", "n", "m"]
    }

    fn parameters(&self, d: usize, h: usize) -> Vec<(&'static str, usize)> {
        vec![
            ("weight_ih", 4 * h * d),
            ("weight_hh", 4 * h * h),
            ("bias_ih", 4 * h),
        ]
    }

    /// n is a sum of exponentials, and h is divided by it.
    fn initial(&self, s: usize, value: f64) -> f64 {
        if s == 2 { 1.0 + value.abs() } else { value }
    }

    fn forward(&self, p: &Parameters, x: &[f64], old: &[Vec<f64>]) -> Step {
        let [h_old, c_old, n_old, m_old] = [0, 1, 2, 3].map(|s| &old[s]);
        let h = h_old.len();
        let terms = [("weight_ih", x), ("weight_hh", h_old)];
        // i and f as they are, z and o after their activations.
        let mut kept = linear(p, &terms, &["bias_ih"]);
        let mut new = vec![vec![0.0; h]; 4];
        for u in 0..h {
            let (i, f) = (kept[u], kept[h + u]);
            let (z, o) = (kept[2 * h + u].tanh(), sigmoid(kept[3 * h + u]));
            let k = sigmoid(f).ln() + m_old[u];
            let m = k.max(i);
            let c = (k - m).exp() * c_old[u] + (i - m).exp() * z;
            let n = (k - m).exp() * n_old[u] + (i - m).exp();
            for (s, value) in [o * c / n, c, n, m].into_iter().enumerate() {
                new[s][u] = value;
            }
            kept[2 * h + u] = z;
            kept[3 * h + u] = o;
        }
        Step { new, kept }
    }

    fn backward(&self, back: &mut Back, was: &Was, dnew: &[Vec<f64>], dx: &mut [f64]) -> States {
        let h = was.old[0].len();
        let mut da = vec![0.0; 4 * h];
        let mut dold = vec![vec![0.0; h]; 4];
        for u in 0..h {
            let [i, f, z, o] = [0, 1, 2, 3].map(|gate| was.kept[gate * h + u]);
            let [_, c_old, n_old, m_old] = [0, 1, 2, 3].map(|s| was.old[s][u]);
            let [_, c, n, m] = [0, 1, 2, 3].map(|s| was.new[s][u]);
            let [dh, dc, dn, dm] = [0, 1, 2, 3].map(|s| dnew[s][u]);
            let k = sigmoid(f).ln() + m_old;
            // h = o * c / n
            let dc = dc + dh * o / n;
            let dn = dn - dh * o * c / (n * n);
            // c and n are sums of two terms each; `old` and `new` are the factors that they share.
            let (old, new) = ((k - m).exp(), (i - m).exp());
            let dold_exponent = old * (dc * c_old + dn * n_old);
            let dnew_exponent = new * (dc * z + dn);
            // m is subtracted in both exponents, and is the larger of k and i.
            let dm = dm - dold_exponent - dnew_exponent;
            let (to_k, to_i) = if k >= i { (dm, 0.0) } else { (0.0, dm) };
            let dk = dold_exponent + to_k;
            da[u] = dnew_exponent + to_i;
            // The derivative of log(sigmoid(f)) is 1 - sigmoid(f).
            da[h + u] = dk * (1.0 - sigmoid(f));
            da[2 * h + u] = dc * new * (1.0 - z * z);
            da[3 * h + u] = dh * c / n * o * (1.0 - o);
            dold[1][u] = dc * old;
            dold[2][u] = dn * old;
            dold[3][u] = dk;
        }
        back.product("weight_ih", &da, was.x, dx);
        back.product("weight_hh", &da, &was.old[0], &mut dold[0]);
        back.vector("bias_ih", 0, &da);
        dold
    }
}
