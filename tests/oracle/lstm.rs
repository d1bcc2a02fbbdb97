//! One layer of the LSTM as `torch.nn.LSTM` has it: gate order i, f, g, o, two biases that add up.
//!
//! i, f, o = sigmoid(W_ih x + b_ih + W_hh h' + b_hh); g = tanh(the same); c = f * c' + i * g; h = o * tanh(c)

use super::{row_dot, row_dot_backward, sigmoid};

/// The parameters, or their gradients.
#[derive(Clone)]
pub struct Lstm {
    /// Width of the input.
    pub d: usize,
    /// Width of the hidden state.
    pub h: usize,
    /// [4H, D]
    pub w_ih: Vec<f64>,
    /// [4H, H]
    pub w_hh: Vec<f64>,
    /// [4H]
    pub b_ih: Vec<f64>,
    /// [4H]
    pub b_hh: Vec<f64>,
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
    /// [B, H], the last c
    pub cn: Vec<f64>,
    /// [T, B, D]
    x: Vec<f64>,
    /// [T+1, B, H], h from h0 on
    hs: Vec<f64>,
    /// [T+1, B, H], c from c0 on
    cs: Vec<f64>,
    /// [T, B, 4H], the gates after their activations
    gates: Vec<f64>,
}

/// What a backward pass gives.
pub struct Gradients {
    /// [T, B, D]
    pub dx: Vec<f64>,
    /// [B, H]
    pub dh0: Vec<f64>,
    /// [B, H]
    pub dc0: Vec<f64>,
    /// Of the parameters, in their shapes.
    pub d: Lstm,
}

impl Lstm {
    /// T steps for B sequences: x [T, B, D] from h0, c0 [B, H].
    pub fn forward(&self, x: &[f64], t: usize, b: usize, h0: &[f64], c0: &[f64]) -> Run {
        let (d, h) = (self.d, self.h);
        let mut hs = h0.to_vec();
        let mut cs = c0.to_vec();
        let mut gates = vec![0.0; t * b * 4 * h];
        for step in 0..t {
            for seq in 0..b {
                let row = step * b + seq;
                let xt = &x[row * d..][..d];
                let h_old = hs[row * h..][..h].to_vec();
                let gate = &mut gates[row * 4 * h..][..4 * h];
                for (j, value) in gate.iter_mut().enumerate() {
                    let a = row_dot(&self.w_ih, j, xt)
                        + self.b_ih[j]
                        + row_dot(&self.w_hh, j, &h_old)
                        + self.b_hh[j];
                    *value = if j / h == 2 { a.tanh() } else { sigmoid(a) };
                }
                for u in 0..h {
                    let (i, f, g, o) = (gate[u], gate[h + u], gate[2 * h + u], gate[3 * h + u]);
                    // c = f * c' + i * g
                    let c = f * cs[row * h + u] + i * g;
                    cs.push(c);
                    // h = o * tanh(c)
                    hs.push(o * c.tanh());
                }
            }
        }
        Run {
            t,
            b,
            y: hs[b * h..].to_vec(),
            hn: hs[t * b * h..].to_vec(),
            cn: cs[t * b * h..].to_vec(),
            x: x.to_vec(),
            hs,
            cs,
            gates,
        }
    }

    /// The gradients of a loss whose gradient with respect to `run.y` is dy [T, B, H].
    pub fn backward(&self, run: &Run, dy: &[f64]) -> Gradients {
        let (d, h, b) = (self.d, self.h, run.b);
        let mut out = Gradients {
            dx: vec![0.0; run.x.len()],
            dh0: vec![0.0; b * h],
            dc0: vec![0.0; b * h],
            d: Lstm {
                d,
                h,
                w_ih: vec![0.0; 4 * h * d],
                w_hh: vec![0.0; 4 * h * h],
                b_ih: vec![0.0; 4 * h],
                b_hh: vec![0.0; 4 * h],
            },
        };
        // What reaches h and c of the step at hand from the later ones, [B, H]; at the end, dh0 and dc0.
        let (dh, dc) = (&mut out.dh0, &mut out.dc0);
        for step in (0..run.t).rev() {
            for seq in 0..b {
                let row = step * b + seq;
                let gate = &run.gates[row * 4 * h..][..4 * h];
                // Gradients of the pre-activations.
                let mut da = vec![0.0; 4 * h];
                for u in 0..h {
                    let (i, f, g, o) = (gate[u], gate[h + u], gate[2 * h + u], gate[3 * h + u]);
                    let c_old = run.cs[row * h + u];
                    let tanh_c = run.cs[(row + b) * h + u].tanh();
                    let dh_now = dy[row * h + u] + dh[seq * h + u];
                    let dc_now = dc[seq * h + u] + dh_now * o * (1.0 - tanh_c * tanh_c);
                    da[u] = dc_now * g * i * (1.0 - i);
                    da[h + u] = dc_now * c_old * f * (1.0 - f);
                    da[2 * h + u] = dc_now * i * (1.0 - g * g);
                    da[3 * h + u] = dh_now * tanh_c * o * (1.0 - o);
                    dc[seq * h + u] = dc_now * f;
                    dh[seq * h + u] = 0.0;
                }
                let xt = &run.x[row * d..][..d];
                let h_old = &run.hs[row * h..][..h];
                let dx = &mut out.dx[row * d..][..d];
                let dh_old = &mut dh[seq * h..][..h];
                for (j, &da) in da.iter().enumerate() {
                    row_dot_backward(da, &self.w_ih, j, xt, &mut out.d.w_ih, dx);
                    row_dot_backward(da, &self.w_hh, j, h_old, &mut out.d.w_hh, dh_old);
                    out.d.b_ih[j] += da;
                    out.d.b_hh[j] += da;
                }
            }
        }
        out
    }
}
