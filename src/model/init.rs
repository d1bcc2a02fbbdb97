//! How parameters start.

use crate::error::{Error, Result};
use crate::op::{Fill, Matrix, Parameter, Plan};
use crate::rng::{Purpose, Stream};

/// A way to draw weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Uniform in [-scale, scale], biases too, as PyTorch and char-rnn do.
    Uniform,
    /// Normal with standard deviation `scale`; biases 0.
    Normal,
    /// Uniform in [-a, a], a = scale sqrt(6 / (fan in + fan out)); biases 0. Glorot and Bengio 2010.
    Xavier,
    /// Xavier for the weights of the input, an orthogonal H x H matrix times `scale` for each recurrent gate; biases 0.
    /// Saxe, McClelland, Ganguli 2014.
    Orthogonal,
}

/// How all parameters of a model start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Init {
    /// The way to draw weights.
    pub scheme: Scheme,
    /// Its scale.
    pub scale: f64,
    /// The value of the biases that the cell gives a start of their own, such as the forget gate's; the cell's own where
    /// absent.
    pub forget_bias: Option<f64>,
    /// The seed.
    pub seed: u64,
}

/// The flat parameters of a plan at their start. Each parameter has a stream of its own, so that one more layer does not
/// change the others.
///
/// # Errors
/// A drawn value that is not finite.
pub fn initialize(plan: &Plan, init: &Init) -> Result<Vec<f32>> {
    let mut flat = vec![0.0f32; plan.arena];
    for (n, parameter) in plan.parameters.iter().enumerate() {
        let mut stream = Stream::new(init.seed, Purpose::Init, n as u64);
        let m = parameter.matrix;
        let blocks = parameter.fill.len();
        let cols = m.cols / blocks;
        for (block, fill) in parameter.fill.iter().enumerate() {
            let part = m.columns(block * cols, cols);
            let values = draw(parameter, part, *fill, init, &mut stream);
            for (i, value) in values.into_iter().enumerate() {
                let value = value as f32;
                if !value.is_finite() {
                    return Err(Error::data(format!(
                        "{}: an initial value is {value}; lower init-scale",
                        parameter.name
                    )));
                }
                flat[part.offset + i / cols * part.stride + i % cols] = value;
            }
        }
    }
    Ok(flat)
}

fn draw(
    parameter: &Parameter,
    part: Matrix,
    fill: Fill,
    init: &Init,
    stream: &mut Stream,
) -> Vec<f64> {
    let n = part.rows * part.cols;
    let mut uniform = |a: f64| -> Vec<f64> {
        let draw = |_| (2.0 * f64::from(stream.uniform()) - 1.0) * a;
        (0..n).map(draw).collect()
    };
    // A file's last axis is the fan in.
    let fans = match parameter.file_shape[..] {
        [_, input] => {
            input
                + if parameter.transposed {
                    part.cols
                } else {
                    part.rows
                }
        }
        _ => 1,
    };
    let glorot = init.scale * (6.0 / fans as f64).sqrt();
    match (fill, init.scheme) {
        (Fill::Fixed(value), _) => vec![value; n],
        (Fill::Value(value), _) => vec![init.forget_bias.unwrap_or(value); n],
        (_, Scheme::Uniform) => uniform(init.scale),
        (Fill::Bias, _) => vec![0.0; n],
        (_, Scheme::Normal) => (0..n).map(|_| init.scale * stream.normal()).collect(),
        (Fill::Recurrent, Scheme::Orthogonal) => {
            let normal: Vec<f64> = (0..n).map(|_| stream.normal()).collect();
            let mut q = orthogonal(normal, part.cols);
            q.iter_mut().for_each(|x| *x *= init.scale);
            q
        }
        (Fill::Weight | Fill::Recurrent, Scheme::Xavier | Scheme::Orthogonal) => uniform(glorot),
    }
}

/// Makes the rows of a square matrix orthonormal, by Gram and Schmidt's process done twice for accuracy.
fn orthogonal(mut m: Vec<f64>, n: usize) -> Vec<f64> {
    for i in 0..n {
        for _ in 0..2 {
            for j in 0..i {
                let (before, row) = m.split_at_mut(i * n);
                let (other, row) = (&before[j * n..(j + 1) * n], &mut row[..n]);
                let dot: f64 = other.iter().zip(row.iter()).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(other).for_each(|(a, b)| *a -= dot * b);
            }
        }
        let row = &mut m[i * n..(i + 1) * n];
        let norm = row.iter().map(|a| a * a).sum::<f64>().sqrt();
        row.iter_mut().for_each(|a| *a /= norm);
    }
    m
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orthogonal_rows_have_unit_length_and_no_overlap() {
        let n = 17;
        let mut stream = Stream::new(3, Purpose::Init, 0);
        let q = orthogonal((0..n * n).map(|_| stream.normal()).collect(), n);
        for i in 0..n {
            for j in 0..n {
                let dot: f64 = (0..n).map(|k| q[i * n + k] * q[j * n + k]).sum();
                let want = f64::from(u8::from(i == j));
                assert!((dot - want).abs() < 1e-12, "rows {i}, {j}: {dot}");
            }
        }
    }
}
