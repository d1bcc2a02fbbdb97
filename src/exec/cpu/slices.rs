//! A scan on the slots of an executor: what it takes out of them, and gives back.

use super::{Cpu, scan};
use crate::cell::real::Real;
use crate::op::scan::{AttentionInputs, AttentionSlices, InputProjection, ScanAttention, Slices};
use crate::op::{Matrix, Scan, SlotId};

impl<F: Real> Cpu<F> {
    pub(super) fn scan(&mut self, op: &Scan) {
        let mut packed = std::mem::take(&mut self.packed);
        let mut take = |slot: Option<SlotId>| {
            slot.map_or(Vec::new(), |s| std::mem::take(&mut self.reals[s.0]))
        };
        let mut state = take(Some(op.state));
        let saved_slot = op.saved.filter(|_| !op.in_place());
        let (mut saved, mut delta, mut scratch) =
            (take(saved_slot), take(op.delta), take(op.scratch));
        let pairs_slot = |of: &ScanAttention| op.pairs(of).map(|m| m.slot);
        let mut pairs: Vec<Vec<F>> = op
            .attentions
            .iter()
            .map(|of| take(pairs_slot(of)))
            .collect();
        let (input_projection, ids): (&[F], &[u32]) = match op.input_projection {
            InputProjection::Nothing => (&[], &[]),
            InputProjection::Rows(_) if op.over_projection() => (&[], &[]),
            InputProjection::Rows(rows) => (self.part(rows), &[]),
            InputProjection::Table { table, ids } => {
                (self.part(table), &self.words[ids.0][op.at..])
            }
        };
        let matrix = |w: &Option<Matrix>| w.map(|m| self.elided.get(&m).unwrap_or(m));
        let turned = |(w, turned): (&Option<Matrix>, &bool)| {
            let weight = w.as_ref()?;
            let own = turned.then_some(weight.stride);
            own.or_else(|| Some(self.elided.get(weight)?.stride))
        };
        // The output of the layer below or the gradient from above may share a slot with nothing that is taken.
        let mut slices = Slices {
            input_projection,
            ids,
            input: op.input.map_or(&[], |m| self.part(m)),
            weights: op
                .weights
                .iter()
                .map(matrix)
                .map(|w| w.map_or(&[][..], |m| self.part(m)))
                .collect(),
            turned: op.weights.iter().zip(&op.turned).map(turned).collect(),
            vectors: op.vectors.iter().map(|m| self.part(*m)).collect(),
            attentions: pairs
                .iter_mut()
                .zip(&op.attentions)
                .map(|(pairs, of)| AttentionSlices {
                    inputs: AttentionInputs {
                        sequences: &self.words[of.memory.sequences.0],
                        starts: &self.words[of.memory.packed.counts.0][of.memory.packed.first..],
                        values: self.part(of.values),
                        scoring: of.scoring.map(
                            |keys| (self.part(keys), keys.stride),
                            |vector| self.part(vector),
                        ),
                        weights: self.part(of.weights),
                    },
                    pairs: &mut pairs[op.pairs(of).map_or(0, |m| m.offset)..],
                })
                .collect(),
            control: &self.words[op.control.0],
            starts: op.packed.map_or(&[], |p| {
                &self.words[p.counts.0][p.first..p.first + op.steps + 1]
            }),
            state: &mut state,
            saved: &mut saved,
            upstream: op.upstream.map_or(&[], |m| self.part(m)),
            delta: &mut delta,
            scratch: &mut scratch,
        };
        if self.plain {
            op.plain(&mut slices);
        } else {
            scan::run(op, &mut slices, &mut packed);
        }
        self.packed = packed;
        self.reals[op.state.0] = state;
        for (of, values) in op.attentions.iter().zip(pairs) {
            if let Some(slot) = pairs_slot(of) {
                self.reals[slot.0] = values;
            }
        }
        for (slot, values) in [
            (saved_slot, saved),
            (op.delta, delta),
            (op.scratch, scratch),
        ] {
            if let Some(slot) = slot {
                self.reals[slot.0] = values;
            }
        }
    }
}
