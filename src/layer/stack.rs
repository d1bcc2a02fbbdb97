//! Blocks of layers on top of one another, with the connections that pass blocks by.

use super::{Builder, Layer, Signal, rows_of};
use crate::error::{Error, Result};
use crate::op::Matrix;

/// How signals pass blocks by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// From the second block on, a block's input is added to what its inner layers make (He 2016, for recurrent stacks
    /// Wu 2016).
    pub residual: bool,
    /// Every block also reads the input of the stack, and the stack's output is that of all blocks side by side (Graves
    /// 2013).
    pub skip: bool,
}

/// Layers that belong together: those that a residual connection passes by, and those after the sum.
#[derive(Default)]
pub struct Block {
    /// Passed by.
    pub inner: Vec<Box<dyn Layer>>,
    /// After the sum.
    pub after: Vec<Box<dyn Layer>>,
}

/// A stack of blocks.
pub struct Stack {
    blocks: Vec<Block>,
    connections: Connections,
    input: Option<Signal>,
    /// The width of the stack's input and of every block's output.
    widths: (usize, Vec<usize>),
}

impl Stack {
    /// A stack of `blocks`, the lowest first.
    pub fn new(blocks: Vec<Block>, connections: Connections) -> Stack {
        Stack {
            blocks,
            connections,
            input: None,
            widths: (0, Vec::new()),
        }
    }
}

impl Layer for Stack {
    fn forward(&mut self, builder: &mut Builder, input: Signal) -> Result<Signal> {
        let Connections { residual, skip } = self.connections;
        let skip = skip && self.blocks.len() > 1;
        self.input = Some(input);
        let x = if skip {
            Some(builder.as_rows("skip", input).ok_or_else(|| {
                Error::usage("skip connections pass an embedding on, so they need --embed")
            })?)
        } else {
            None
        };
        let mut signal = input;
        let mut outputs = Vec::new();
        for (l, block) in self.blocks.iter_mut().enumerate() {
            let below = signal;
            if let (true, Some(x)) = (l > 0, x) {
                let parts = [rows_of(signal)?, x];
                signal = Signal::Rows(builder.side_by_side(&format!("skip.l{l}"), &parts));
            }
            for layer in &mut block.inner {
                signal = layer.forward(builder, signal)?;
            }
            if residual && l > 0 {
                let (from, through) = (rows_of(below)?, rows_of(signal)?);
                if from.cols != through.cols {
                    return Err(Error::usage(format!(
                        "residual connections add a layer's input to its output: layer l{l} reads {} values and makes {}",
                        from.cols, through.cols
                    )));
                }
                let to = builder.activation(format!("residual.l{l}"), from.cols);
                builder.add(format!("residual.l{l}.input"), from, to, false);
                builder.add(format!("residual.l{l}"), through, to, true);
                signal = Signal::Rows(to);
            }
            for layer in &mut block.after {
                signal = layer.forward(builder, signal)?;
            }
            outputs.push(rows_of(signal)?);
        }
        self.widths = (
            x.map_or(0, |x| x.cols),
            outputs.iter().map(|o| o.cols).collect(),
        );
        if skip {
            Ok(Signal::Rows(builder.side_by_side("skip.all", &outputs)))
        } else {
            Ok(signal)
        }
    }

    fn backward(&mut self, builder: &mut Builder, upstream: Matrix) -> Option<Matrix> {
        let residual = self.connections.residual;
        let (wide, widths) = self.widths.clone();
        let skip = wide > 0;
        let mut into_x: Option<Matrix> = None;
        // What the block above sends to the one in hand.
        let mut from_above = (!skip).then_some(upstream);
        for (l, block) in self.blocks.iter_mut().enumerate().rev() {
            let mut gradient = match (skip, from_above.take()) {
                (false, Some(above)) => above,
                // A block that does not look at its input sends nothing.
                (false, None) => return None,
                (true, above) => {
                    let first = widths[..l].iter().sum();
                    let own = upstream.columns(first, widths[l]);
                    if let Some(above) = above {
                        builder.add(format!("skip.l{l}.output.backward"), above, own, true);
                    }
                    own
                }
            };
            for layer in block.after.iter_mut().rev() {
                gradient = layer.backward(builder, gradient)?;
            }
            let passed = (residual && l > 0).then(|| {
                // A copy: layers may change what they are given.
                let to = builder.activation(format!("d.residual.l{l}"), gradient.cols);
                builder.add(format!("residual.l{l}.copy"), gradient, to, false);
                to
            });
            let mut below = Some(gradient);
            for layer in block.inner.iter_mut().rev() {
                below = below.and_then(|g| layer.backward(builder, g));
            }
            if let (true, true, Some(all)) = (skip, l > 0, below) {
                let (own, x) = (all.cols - wide, all.columns(all.cols - wide, wide));
                match into_x {
                    Some(to) => builder.add(format!("skip.l{l}.input.backward"), x, to, true),
                    None => into_x = Some(x),
                }
                below = Some(all.columns(0, own));
            }
            if let (Some(from), Some(to)) = (passed, below) {
                builder.add(format!("residual.l{l}.backward"), from, to, true);
            }
            from_above = below.or(passed);
        }
        let input = self.input?;
        let into_x = into_x.and_then(|x| builder.rows_backward("skip", input, x));
        match (from_above, into_x) {
            (Some(to), Some(from)) => {
                builder.add("skip.input.backward".into(), from, to, true);
                Some(to)
            }
            (one, other) => one.or(other),
        }
    }
}
