//! The end of a language model: scores = W y + b, softmax and cross-entropy, the mean over all rows.

use super::{row_dot, row_dot_backward};

/// What the head makes of the top layer's output, and the gradients of the mean loss.
pub struct Head {
    /// [R, V]
    pub logits: Vec<f64>,
    /// [R], log p of the target, in nats
    pub logprob: Vec<f64>,
    /// [R, H]
    pub dy: Vec<f64>,
    /// [V, H]
    pub dw: Vec<f64>,
    /// [V]
    pub db: Vec<f64>,
}

impl Head {
    /// The mean loss.
    pub fn loss(&self) -> f64 {
        -self.logprob.iter().sum::<f64>() / self.logprob.len() as f64
    }
}

/// Forward and backward for R rows: y [R, H], w [V, H], bias [V], the rows' target ids.
pub fn head(w: &[f64], bias: &[f64], y: &[f64], targets: &[u32]) -> Head {
    let (rows, v) = (targets.len(), bias.len());
    let h = w.len() / v;
    let mut out = Head {
        logits: vec![0.0; rows * v],
        logprob: vec![0.0; rows],
        dy: vec![0.0; rows * h],
        dw: vec![0.0; v * h],
        db: vec![0.0; v],
    };
    for (row, target) in targets.iter().enumerate() {
        let target = *target as usize;
        let y = &y[row * h..][..h];
        let logits = &mut out.logits[row * v..][..v];
        for (k, logit) in logits.iter_mut().enumerate() {
            *logit = row_dot(w, k, y) + bias[k];
        }
        let sum: f64 = logits.iter().map(|l| l.exp()).sum();
        out.logprob[row] = logits[target] - sum.ln();
        let dy = &mut out.dy[row * h..][..h];
        for (k, logit) in logits.iter().enumerate() {
            // d logits = (softmax - target) / R
            let d = (logit.exp() / sum - f64::from(u8::from(k == target))) / rows as f64;
            out.db[k] += d;
            row_dot_backward(d, w, k, y, &mut out.dw, dy);
        }
    }
    out
}
