//! Dropped recurrent weights: one mask a minibatch, for all steps and both directions.
//!
//! Source: Merity, Keskar, Socher, "Regularizing and optimizing LSTM language models" (2017), section 2, after Wan's
//! DropConnect (2013).

use super::Recurrent;
use crate::cell::{ProductSource, SourceKind};
use crate::layer::builder::ALIGN;
use crate::layer::{Builder, Param};
use crate::op::dropout::{Dropout, Share};
use crate::op::{Matrix, Op};

fn recurrent(source: &ProductSource) -> bool {
    source.kind != SourceKind::Input
}

impl Recurrent {
    /// Zeroes elements of the recurrent weights with this probability while training, anew for every minibatch.
    pub fn drop_weights(self, rate: f64) -> Recurrent {
        Recurrent {
            drop_rate: rate,
            ..self
        }
    }

    /// What the scan multiplies by, for every source but the input: its weight or, dropped, a masked copy of it.
    pub(super) fn scan_weights(
        &mut self,
        builder: &mut Builder,
        weights: &[Param],
    ) -> Vec<Option<Matrix>> {
        let mut values: Vec<Option<Matrix>> = (self.cell.sources.iter().zip(weights))
            .map(|(source, weight)| recurrent(source).then_some(weight.value))
            .collect();
        if self.drop_rate == 0.0 || !builder.training {
            return values;
        }
        // All masked copies share a slot: a kernel that reads several binds it once.
        let area = |w: &Matrix| (w.rows * w.cols).next_multiple_of(ALIGN);
        let total = values.iter().flatten().map(area).sum();
        let mut dropped = builder.scratch(format!("dropped.weights.{}", self.label), 1, total);
        for (source, value) in values.iter_mut().enumerate() {
            let stream = builder.stream();
            self.streams.push(stream);
            let Some(from) = *value else { continue };
            let to = Matrix {
                rows: from.rows,
                cols: from.cols,
                stride: from.cols,
                ..dropped
            };
            dropped.offset += area(&from);
            let op = self.weight_mask(builder, source, "", from, to);
            builder.push(op);
            *value = Some(to);
        }
        values
    }

    /// Masks the gradients of the recurrent weights as the weights were, once all of them is summed.
    pub(super) fn mask_gradients(&self, builder: &mut Builder, weights: &[Param]) {
        for (source, weight) in weights.iter().enumerate() {
            if self.streams.is_empty() || !recurrent(&self.cell.sources[source]) {
                continue;
            }
            let op = self.weight_mask(builder, source, ".backward", weight.grad, weight.grad);
            builder.push(op);
        }
    }

    fn weight_mask(
        &self,
        builder: &Builder,
        source: usize,
        suffix: &str,
        from: Matrix,
        to: Matrix,
    ) -> Op {
        let weight = &self.cell.sources[source].weight;
        Op::Dropout(Dropout {
            name: format!("dropout.{weight}.{}{suffix}", self.label),
            control: builder.control,
            from,
            to,
            rate: self.drop_rate,
            stream: self.streams[source],
            share: Share::Nothing,
            at: 0,
        })
    }
}
