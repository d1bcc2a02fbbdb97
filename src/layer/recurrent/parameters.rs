//! What a recurrent layer learns: one weight per source of its cell, one parameter per group of vectors.

use super::Recurrent;
use crate::cell::{Effect, SourceKind, VectorKind};
use crate::layer::{Builder, Param};
use crate::op::{Fill, Gate};

impl Recurrent {
    /// The name in files of what this layer learns: PyTorch's for a layer of a stack, which is `rnn` where the label names no
    /// other, else under the layer's own.
    pub(super) fn parameter_name(&self, what: &str) -> String {
        let label = &self.label;
        let (stack, layer) = label.rsplit_once('.').unwrap_or(("rnn", label));
        let number = layer.strip_prefix('l').unwrap_or_default();
        if number.starts_with(|c: char| c.is_ascii_digit()) {
            format!("{stack}.{what}_{layer}")
        } else {
            format!("{label}.{what}")
        }
    }

    pub(super) fn declare_weights(&self, builder: &mut Builder, width: usize) -> Vec<Param> {
        let h = self.hidden;
        let sources = self.cell.sources.iter();
        sources
            .map(|source| {
                let gates = source.gates.len();
                let (rows, fill) = match source.kind {
                    SourceKind::Input => (width, Fill::Weight),
                    _ => (h, Fill::Recurrent),
                };
                builder.parameter(
                    self.parameter_name(&source.weight),
                    [rows, gates * h],
                    &[gates * h, rows],
                    true,
                    vec![fill; gates],
                )
            })
            .collect()
    }

    /// The cell's vectors by the parameter that holds them; no group is empty.
    pub(super) fn vector_groups(&self) -> impl Iterator<Item = (&'static str, Vec<usize>)> + '_ {
        let vectors = &self.cell.vectors;
        let members = |group| {
            (0..vectors.len())
                .filter(|v| vectors[*v].parameter() == group)
                .collect::<Vec<_>>()
        };
        (["bias_ih", "bias_hh", "peep", "norm_weight", "norm_bias"].into_iter())
            .map(move |group| (group, members(group)))
            .filter(|(_, members)| !members.is_empty())
    }

    /// One parameter for every group of vectors, and for every vector its columns in it.
    pub(super) fn declare_vectors(&self, builder: &mut Builder) -> Vec<Param> {
        let h = self.hidden;
        let mut place = vec![None; self.cell.vectors.len()];
        for (group, members) in self.vector_groups() {
            let fill = members.iter().map(|v| self.vector_fill(*v)).collect();
            let cols = members.len() * h;
            let name = self.parameter_name(group);
            let param = builder.parameter(name, [1, cols], &[cols], false, fill);
            for (block, v) in members.into_iter().enumerate() {
                place[v] = Some(param.columns(block * h, h));
            }
        }
        place.into_iter().flatten().collect()
    }

    /// What is said of a variable's bias holds for one of its vectors.
    fn vector_fill(&self, v: usize) -> Fill {
        let vector = &self.written.vectors[v];
        let variable = &vector.variable;
        if vector.kind == VectorKind::Gain {
            return Fill::Fixed(1.0);
        }
        let shift = vector.kind == VectorKind::Shift;
        if self.written.bias_of(variable) != Some(v) {
            return if shift { Fill::Fixed(0.0) } else { Fill::Bias };
        }
        let gates = self.written.memory_gates();
        let effect = gates.iter().find(|g| g.0 == variable).map(|g| g.1);
        Fill::Gate(Gate {
            variable: variable.clone(),
            layer: self.label.clone(),
            start: self.written.bias_start(variable),
            drawn: !shift,
            memory: match effect {
                Some(Effect::Keeps) => 1.0,
                Some(Effect::Writes) => -1.0,
                None => 0.0,
            },
        })
    }
}
