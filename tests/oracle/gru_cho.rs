//! One layer of the GRU of Cho et al. 2014, with the reset BEFORE the product; gate order r, z, n, one bias each.
//!
//! r, z = sigmoid(W x + U h' + b); n = tanh(W x + U (r * h') + b); h = z * h' + (1 - z) * n

use super::{row_dot, row_dot_backward, sigmoid};

/// The parameters, or their gradients.
#[derive(Clone)]
pub struct GruCho {
    /// Width of the input.
    pub d: usize,
    /// Width of the hidden state.
    pub h: usize,
    /// W [3H, D]
    pub w: Vec<f64>,
    /// U [3H, H]
    pub u: Vec<f64>,
    /// b [3H]
    pub bias: Vec<f64>,
}

/// What a forward pass made, kept for the backward one.
pub struct Run {
    /// Steps.
    pub t: usize,
    /// Sequences side by side.
    pub b: usize,
    /// [T, B, H], h of every step
    pub y: Vec<f64>,
    /// [B, H], the last h
    pub hn: Vec<f64>,
    /// [T, B, D]
    x: Vec<f64>,
    /// [T+1, B, H], h from h0 on
    hs: Vec<f64>,
    /// [T, B, 3H], r, z, n after their activations
    gates: Vec<f64>,
}

/// What a backward pass gives.
pub struct Gradients {
    /// [T, B, D]
    pub dx: Vec<f64>,
    /// [B, H]
    pub dh0: Vec<f64>,
    /// Of the parameters, in their shapes.
    pub d: GruCho,
}

impl GruCho {
    fn linear(&self, row: usize, x: &[f64], v: &[f64]) -> f64 {
        row_dot(&self.w, row, x) + row_dot(&self.u, row, v) + self.bias[row]
    }

    /// T steps for B sequences: x [T, B, D] from h0 [B, H].
    pub fn forward(&self, x: &[f64], t: usize, b: usize, h0: &[f64]) -> Run {
        let (d, h) = (self.d, self.h);
        let mut hs = h0.to_vec();
        let mut gates = vec![0.0; t * b * 3 * h];
        for step in 0..t {
            for seq in 0..b {
                let row = step * b + seq;
                let xt = &x[row * d..][..d];
                let h_old = hs[row * h..][..h].to_vec();
                let gate = &mut gates[row * 3 * h..][..3 * h];
                for (j, value) in gate[..2 * h].iter_mut().enumerate() {
                    *value = sigmoid(self.linear(j, xt, &h_old));
                }
                // r * h'
                let reset: Vec<f64> = (0..h).map(|k| gate[k] * h_old[k]).collect();
                for k in 0..h {
                    let n = self.linear(2 * h + k, xt, &reset).tanh();
                    let z = gate[h + k];
                    gate[2 * h + k] = n;
                    // h = z * h' + (1 - z) * n
                    hs.push(z * h_old[k] + (1.0 - z) * n);
                }
            }
        }
        Run {
            t,
            b,
            y: hs[b * h..].to_vec(),
            hn: hs[t * b * h..].to_vec(),
            x: x.to_vec(),
            hs,
            gates,
        }
    }

    /// The gradients of a loss whose gradient with respect to `run.y` is dy [T, B, H].
    pub fn backward(&self, run: &Run, dy: &[f64]) -> Gradients {
        let (d, h, b) = (self.d, self.h, run.b);
        let mut out = Gradients {
            dx: vec![0.0; run.x.len()],
            dh0: vec![0.0; b * h],
            d: GruCho {
                d,
                h,
                w: vec![0.0; 3 * h * d],
                u: vec![0.0; 3 * h * h],
                bias: vec![0.0; 3 * h],
            },
        };
        // What reaches h of the step at hand from the later ones, [B, H]; at the end, dh0.
        let dh = &mut out.dh0;
        for step in (0..run.t).rev() {
            for seq in 0..b {
                let row = step * b + seq;
                let gate = &run.gates[row * 3 * h..][..3 * h];
                let xt = &run.x[row * d..][..d];
                let h_old = &run.hs[row * h..][..h];
                let dx = &mut out.dx[row * d..][..d];
                let reset: Vec<f64> = (0..h).map(|k| gate[k] * h_old[k]).collect();
                // Gradients of the pre-activations r, z, n, of r * h', and of h' on every way but through the gates.
                let mut da = vec![0.0; 3 * h];
                let mut dreset = vec![0.0; h];
                let mut dh_old = vec![0.0; h];
                for k in 0..h {
                    let (z, n) = (gate[h + k], gate[2 * h + k]);
                    let dh_now = dy[row * h + k] + dh[seq * h + k];
                    da[h + k] = dh_now * (h_old[k] - n) * z * (1.0 - z);
                    da[2 * h + k] = dh_now * (1.0 - z) * (1.0 - n * n);
                    dh_old[k] = dh_now * z;
                }
                for k in 0..h {
                    let j = 2 * h + k;
                    row_dot_backward(da[j], &self.w, j, xt, &mut out.d.w, dx);
                    row_dot_backward(da[j], &self.u, j, &reset, &mut out.d.u, &mut dreset);
                }
                for k in 0..h {
                    let r = gate[k];
                    da[k] = dreset[k] * h_old[k] * r * (1.0 - r);
                    dh_old[k] += dreset[k] * r;
                }
                for (j, &da) in da[..2 * h].iter().enumerate() {
                    row_dot_backward(da, &self.w, j, xt, &mut out.d.w, dx);
                    row_dot_backward(da, &self.u, j, h_old, &mut out.d.u, &mut dh_old);
                }
                for (j, &da) in da.iter().enumerate() {
                    out.d.bias[j] += da;
                }
                dh[seq * h..][..h].copy_from_slice(&dh_old);
            }
        }
        out
    }
}
