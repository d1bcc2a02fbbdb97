//! How parameters start.

mod matrix;

use crate::error::{Error, Result};
use crate::op::{Fill, Gate, Matrix, Parameter, Plan};
use crate::rng::{Purpose, Stream};

/// Values of a weight that are drawn at a time.
const DRAWN: usize = 1 << 20;
/// Where the streams of chrono's draws begin, one a layer; those of the parameters are far below.
const CHRONO: u64 = 1 << 32;

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
    /// The identity times `scale` for each recurrent gate, the other weights normal with deviation `input_scale` (0.001);
    /// biases 0. Le, Jaitly, Hinton 2015 (IRNN).
    Identity,
    /// Each recurrent gate's H x H matrix normal, rescaled to the spectral radius `scale`; the other weights as Xavier, or
    /// normal with deviation `input_scale`; biases 0. Jaeger 2001 (echo states), Sutskever et al. 2013.
    Spectral,
}

/// How all parameters of a model start.
#[derive(Clone, Debug, PartialEq)]
pub struct Init {
    /// The way to draw weights.
    pub scheme: Scheme,
    /// Its scale.
    pub scale: f64,
    /// Identity and spectral: the deviation of the weights that are not recurrent.
    pub input_scale: Option<f64>,
    /// The deviation of embeddings, which are normal then, as PyTorch has them with 1; as other weights where absent.
    pub embed_scale: Option<f64>,
    /// The value of the biases that the cell gives a start of their own, such as the forget gate's; the cell's own where
    /// absent.
    pub forget_bias: Option<f64>,
    /// Chrono initialisation (Tallec and Ollivier 2018): the longest span T that is to be remembered. The gates that keep
    /// a state start at log u, those that write it at -log u, u uniform in [1, T - 1], one draw a unit.
    pub chrono: Option<f64>,
    /// Starts of the biases of single variables; they win over `chrono`, and that over `forget_bias`.
    pub gate_bias: Vec<(String, f64)>,
    /// The seed.
    pub seed: u64,
}

/// Small uniform weights, seed 1, and no say in any bias.
impl Default for Init {
    fn default() -> Init {
        Init {
            scheme: Scheme::Uniform,
            scale: 0.1,
            input_scale: None,
            embed_scale: None,
            forget_bias: None,
            chrono: None,
            gate_bias: Vec::new(),
            seed: 1,
        }
    }
}

/// The flat parameters of a plan at their start. Each parameter has a stream of its own, so that one more layer does not
/// change the others.
///
/// # Errors
/// Usage: a scale for embeddings where there are none; Data: a drawn value that is not finite.
pub fn initialize(plan: &Plan, init: &Init) -> Result<Vec<f32>> {
    let mut fills = plan.parameters.iter().flat_map(|p| &p.fill);
    if let Some(scale) = init.embed_scale
        && !fills.any(|fill| *fill == Fill::Embedding)
    {
        return Err(Error::usage(format!(
            "embed-scale: expected a model that embeds tokens or classes (embed above 0), got {scale}"
        )));
    }
    let mut flat = vec![0.0f32; plan.arena];
    for (n, parameter) in plan.parameters.iter().enumerate() {
        let mut stream = Stream::new(init.seed, Purpose::Init, n as u64);
        let m = parameter.matrix;
        let blocks = parameter.fill.len();
        let cols = m.cols / blocks;
        for (block, fill) in parameter.fill.iter().enumerate() {
            let part = m.columns(block * cols, cols);
            // A large table is drawn some rows at a time; the stream goes on where it was.
            let rows = match fill {
                Fill::Weight | Fill::Embedding => (DRAWN / cols.max(1)).max(1),
                _ => part.rows.max(1),
            };
            for first in (0..part.rows).step_by(rows) {
                let count = rows.min(part.rows - first) * cols;
                let values = draw(parameter, part, count, fill, init, &mut stream);
                for (i, value) in values.into_iter().enumerate() {
                    let value = value as f32;
                    if !value.is_finite() {
                        return Err(Error::data(format!(
                            "{}: an initial value is {value}; lower init-scale",
                            parameter.name
                        )));
                    }
                    flat[part.offset + (first + i / cols) * part.stride + i % cols] = value;
                }
            }
        }
    }
    Ok(flat)
}

/// The next `n` values of `part`.
fn draw(
    parameter: &Parameter,
    part: Matrix,
    n: usize,
    fill: &Fill,
    init: &Init,
    stream: &mut Stream,
) -> Vec<f64> {
    if let Fill::Gate(gate) = fill
        && let Some(values) = gate_bias(gate, n, init)
    {
        return values;
    }
    if let (Fill::Embedding, Some(deviation)) = (fill, init.embed_scale) {
        return normal(n, deviation, stream);
    }
    match (fill, init.scheme) {
        (Fill::Fixed(value), _) => vec![*value; n],
        (_, Scheme::Uniform) => uniform(n, init.scale, stream),
        (Fill::Bias | Fill::Gate(_), _) => vec![0.0; n],
        (_, Scheme::Normal) => normal(n, init.scale, stream),
        (Fill::Recurrent, Scheme::Orthogonal) => {
            let mut q = matrix::orthogonal(normal(n, 1.0, stream), part.cols);
            q.iter_mut().for_each(|x| *x *= init.scale);
            q
        }
        (Fill::Recurrent, Scheme::Identity) => {
            let diagonal = |i: usize| i / part.cols == i % part.cols;
            let one = |i: usize| if diagonal(i) { init.scale } else { 0.0 };
            (0..n).map(one).collect()
        }
        (Fill::Recurrent, Scheme::Spectral) => {
            let mut m = normal(n, 1.0, stream);
            let radius = matrix::spectral_radius(&m, part.cols, stream);
            // A radius of 0 has no scale.
            if radius > 0.0 {
                m.iter_mut().for_each(|x| *x *= init.scale / radius);
            }
            m
        }
        (_, Scheme::Identity) => normal(n, init.input_scale.unwrap_or(1e-3), stream),
        (_, Scheme::Spectral) => match init.input_scale {
            Some(deviation) => normal(n, deviation, stream),
            None => uniform(n, glorot(parameter, part), stream),
        },
        (_, Scheme::Xavier | Scheme::Orthogonal) => {
            uniform(n, init.scale * glorot(parameter, part), stream)
        }
    }
}

/// The start that settings or the cell give to a gate's bias, if any.
fn gate_bias(gate: &Gate, units: usize, init: &Init) -> Option<Vec<f64>> {
    let own = init
        .gate_bias
        .iter()
        .rfind(|(name, _)| *name == gate.variable);
    if let Some((_, value)) = own {
        return Some(vec![*value; units]);
    }
    if let Some(longest) = init.chrono
        && gate.memory != 0.0
    {
        // All gates of a layer share their draws: what one forgets, the other writes.
        let number = |n: u64, byte: u8| n.wrapping_mul(31).wrapping_add(byte.into());
        let layer = gate.layer.bytes().fold(0, number);
        let mut stream = Stream::new(init.seed, Purpose::Init, CHRONO.wrapping_add(layer));
        let span = |u: f32| 1.0 + (longest - 2.0) * f64::from(u);
        let draws = (0..units).map(|_| gate.memory * span(stream.uniform()).ln());
        return Some(draws.collect());
    }
    match gate.start {
        Some(start) => Some(vec![init.forget_bias.unwrap_or(start); units]),
        None => (!gate.drawn).then(|| vec![0.0; units]),
    }
}

fn uniform(n: usize, a: f64, stream: &mut Stream) -> Vec<f64> {
    let draw = |_| (2.0 * f64::from(stream.uniform()) - 1.0) * a;
    (0..n).map(draw).collect()
}

fn normal(n: usize, deviation: f64, stream: &mut Stream) -> Vec<f64> {
    (0..n).map(|_| deviation * stream.normal()).collect()
}

/// Glorot and Bengio's half-width.
fn glorot(parameter: &Parameter, part: Matrix) -> f64 {
    // A file's last axis is the fan in.
    let fans = match (&parameter.file_shape[..], parameter.transposed) {
        ([_, input], true) => input + part.cols,
        ([_, input], false) => input + part.rows,
        _ => 1,
    };
    (6.0 / fans as f64).sqrt()
}

#[cfg(test)]
mod tests;
