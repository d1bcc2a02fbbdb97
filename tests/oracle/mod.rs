//! Plain-Rust oracles in f64: recurrent layers written by hand, in loops, knowing nothing of the engine.
//!
//! Each cell has its own file with one step of one sequence, forward and backward; `layer` runs a step over T steps and
//! B sequences, and back through time. Matrices are row-major [rows, columns]; sequences are [T, B, width].

// Every test crate that has this module uses its own part of it.
#![allow(dead_code)]

pub mod gru_cho;
pub mod head;
pub mod layer;
pub mod lstm;
pub mod lstm_fgr;
pub mod lstm_peephole;
pub mod mut1;
pub mod slstm;

/// Every cell that has an oracle.
pub const CELLS: [&dyn layer::Cell; 6] = [
    &lstm::Lstm,
    &gru_cho::GruCho,
    &lstm_peephole::LstmPeephole,
    &lstm_fgr::LstmFgr,
    &mut1::Mut1,
    &slstm::Slstm,
];

/// 1 / (1 + e^-a).
pub fn sigmoid(a: f64) -> f64 {
    1.0 / (1.0 + (-a).exp())
}

/// sum_k w[row, k] v[k], for a matrix w of `v.len()` columns.
pub fn row_dot(w: &[f64], row: usize, v: &[f64]) -> f64 {
    let mut sum = 0.0;
    for k in 0..v.len() {
        sum += w[row * v.len() + k] * v[k];
    }
    sum
}

/// The backward of y[row] += sum_k w[row, k] v[k]: dw[row, k] += dy v[k], dv[k] += dy w[row, k].
pub fn row_dot_backward(dy: f64, w: &[f64], row: usize, v: &[f64], dw: &mut [f64], dv: &mut [f64]) {
    for k in 0..v.len() {
        dw[row * v.len() + k] += dy * v[k];
        dv[k] += dy * w[row * v.len() + k];
    }
}
