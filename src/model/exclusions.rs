//! What does not go together: one table, which judges the settings of a run and the specification of a model alike.

use super::{Mode, Softmax, Spec, Unroll};
use crate::error::{Error, Result};

/// What a model or its training has, as far as something else excludes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Property {
    /// Sequences of different lengths, packed.
    Packed,
    /// The penalties on neighbouring steps.
    TemporalPenalty,
    NormStabilizer,
    PropagationPenalty,
    /// Dropout with one mask for all steps.
    DropoutLocked,
    DropoutInput,
    DropoutEmbedding,
    ScheduledSampling,
    /// Activations that are computed again.
    Recompute,
    /// The same, in several segments of a minibatch.
    Segments,
    /// Several minibatches of an update.
    Accumulate,
    /// A softmax that is not over all symbols.
    PartialSoftmax,
    AdaptiveSoftmax,
    LabelSmoothing,
    /// Updates of single rows of a table.
    Sparse,
    Half,
    Tie,
    /// Skip connections between several layers.
    Skip,
    OneHot,
    /// No projection, and an embedding of another width than the state.
    HiddenApart,
    /// A projection of another width than the embedding.
    ProjectApart,
    Bidirectional,
    /// Every prediction is of the token that is read next.
    NextToken,
}

use Property::*;

impl Property {
    /// The settings that it lies in, the first of them leading.
    pub(crate) fn keys(self) -> &'static [&'static str] {
        match self {
            Packed => &["lines"],
            TemporalPenalty => &["temporal-penalty"],
            NormStabilizer => &["norm-stabilizer"],
            PropagationPenalty => &["propagation-penalty"],
            DropoutLocked => &["dropout-locked"],
            DropoutInput => &["dropout-input"],
            DropoutEmbedding => &["dropout-embedding"],
            ScheduledSampling => &["scheduled-sampling"],
            Recompute | Segments => &["recompute"],
            Accumulate => &["accumulate"],
            PartialSoftmax | AdaptiveSoftmax => &["softmax"],
            LabelSmoothing => &["label-smoothing"],
            Sparse => &["sparse"],
            Half => &["half"],
            Tie => &["tie"],
            Skip => &["skip"],
            OneHot => &["embed"],
            HiddenApart => &["embed", "hidden"],
            ProjectApart => &["embed", "project"],
            Bidirectional => &["bidirectional"],
            NextToken => &[],
        }
    }
}

/// Properties none of which goes with any of others.
struct Exclusion {
    /// What is refused, ...
    these: &'static [Property],
    /// ... and beside what.
    beside: &'static [Property],
    /// What was expected and came; `{this}` and `{beside}` are the two values, `{key}` is the other one's setting.
    sentence: &'static str,
}

const EXCLUSIONS: [Exclusion; 12] = [
    // These look at steps, or cut them, by their place in a minibatch.
    Exclusion {
        these: &[
            TemporalPenalty,
            NormStabilizer,
            PropagationPenalty,
            DropoutLocked,
            ScheduledSampling,
            Recompute,
        ],
        beside: &[Packed],
        sentence: "expected a stream, got {beside}",
    },
    Exclusion {
        these: &[Segments],
        beside: &[TemporalPenalty, NormStabilizer, PropagationPenalty],
        sentence: "expected 0, as {key} looks from a step at its neighbour, which may lie in another segment, got {this}",
    },
    Exclusion {
        these: &[PartialSoftmax],
        beside: &[Accumulate, Recompute],
        sentence: "expected full beside {key}, got {this}",
    },
    Exclusion {
        these: &[LabelSmoothing],
        beside: &[PartialSoftmax],
        sentence: "expected 0, as a goal of all symbols needs {key} full, got {this} beside {beside}",
    },
    Exclusion {
        these: &[Sparse],
        beside: &[Accumulate, Recompute],
        sentence: "expected auto or off beside {key}, got {this}",
    },
    Exclusion {
        these: &[Half],
        beside: &[PropagationPenalty],
        sentence: "expected propagation-penalty 0, whose gradient does not grow with the loss, got {beside}",
    },
    Exclusion {
        these: &[DropoutInput, DropoutEmbedding],
        beside: &[OneHot],
        sentence: "expected an embedding (embed above 0), got {this} with {beside}",
    },
    Exclusion {
        these: &[Skip],
        beside: &[OneHot],
        sentence: "expected embed above 0, which skip connections pass on, got {beside}",
    },
    Exclusion {
        these: &[Tie],
        beside: &[AdaptiveSoftmax],
        sentence: "expected softmax full or sampled, whose matrix of all symbols an embedding can share, got {beside}",
    },
    Exclusion {
        these: &[Tie],
        beside: &[HiddenApart],
        sentence: "expected embed = hidden for tied weights, got {beside}",
    },
    Exclusion {
        these: &[Tie],
        beside: &[ProjectApart],
        sentence: "expected embed = project for tied weights, got {beside}",
    },
    Exclusion {
        these: &[Bidirectional],
        beside: &[NextToken],
        sentence: "expected false: a model that predicts the next token must not read backward from it, got {this}",
    },
];

/// Two properties that do not go together.
pub(crate) struct Conflict {
    /// The settings that they lie in, the refused one first.
    pub keys: Vec<&'static str>,
    /// What was expected and came.
    pub text: String,
}

/// All conflicts of what has the values of `value`: in words, none for a property that is not there.
pub(crate) fn conflicts(value: impl Fn(Property) -> Option<String>) -> Vec<Conflict> {
    let mut found = Vec::new();
    for exclusion in &EXCLUSIONS {
        for other in exclusion.beside {
            for this in exclusion.these {
                let (Some(of_this), Some(of_other)) = (value(*this), value(*other)) else {
                    continue;
                };
                let key = other.keys().first().copied().unwrap_or_default();
                let text = exclusion.sentence.replace("{key}", key);
                let text = text.replace("{this}", &of_this);
                found.push(Conflict {
                    keys: [this.keys(), other.keys()].concat(),
                    text: text.replace("{beside}", &of_other),
                });
            }
        }
    }
    found
}

impl Spec {
    /// Refuses what does not go together in a plan for `mode` that is unrolled as `how` says, in `segments` segments a minibatch.
    ///
    /// # Errors
    /// Usage: every conflict, one line each.
    pub(super) fn check(&self, mode: Mode, how: Unroll, segments: usize) -> Result<()> {
        let lines = conflicts(|property| self.value(property, mode, how, segments));
        let lines: Vec<String> = lines
            .into_iter()
            .map(|conflict| format!("{}: {}", conflict.keys[0], conflict.text))
            .collect();
        if lines.is_empty() {
            Ok(())
        } else {
            Err(Error::usage(lines.join("\n")))
        }
    }

    fn value(
        &self,
        property: Property,
        mode: Mode,
        how: Unroll,
        segments: usize,
    ) -> Option<String> {
        let training = mode.trains();
        let given = |there: bool, value: &str| there.then(|| value.to_string());
        let number = |n: f64| (n > 0.0).then(|| n.to_string());
        let skip = self.connections.skip && self.cells.len() > 1;
        let apart = |width: usize, key: &str| {
            let text = || format!("embed {}, {key} {width}", self.embed);
            (self.embed != width).then(text)
        };
        match property {
            Packed => given(
                self.packed_rows(mode).is_some(),
                "sequences of different lengths",
            ),
            TemporalPenalty => number(self.penalties.temporal),
            NormStabilizer => number(self.penalties.norm),
            PropagationPenalty => number(self.penalties.propagation),
            DropoutLocked => given(self.drops.locked, "true"),
            DropoutInput => number(self.drops.input).filter(|_| training),
            DropoutEmbedding => number(self.drops.tokens).filter(|_| training),
            Recompute | Segments => (segments > 1).then(|| how.recompute.to_string()),
            Accumulate => (how.minibatches > 1).then(|| how.minibatches.to_string()),
            PartialSoftmax => match self.softmax {
                Softmax::Full => None,
                Softmax::Adaptive { .. } => Some("adaptive".to_string()),
                Softmax::Sampled { .. } => Some("sampled".to_string()),
            },
            AdaptiveSoftmax => given(matches!(self.softmax, Softmax::Adaptive { .. }), "adaptive"),
            LabelSmoothing => number(self.label_smoothing).filter(|_| training),
            Sparse => given(self.sparse, "sparse gradients"),
            Half => given(self.half && training, "true"),
            Tie => given(self.tie, "true"),
            Skip => given(skip, "true"),
            OneHot => given(self.embed == 0, "embed 0"),
            // What else widens the state that the head reads, the head knows.
            HiddenApart if self.project == 0 && !skip && !self.bidirectional => {
                apart(self.hidden, "hidden")
            }
            ProjectApart if self.project > 0 && !skip => apart(self.project, "project"),
            HiddenApart | ProjectApart => None,
            Bidirectional => given(self.bidirectional, "true"),
            // A specification does not say what its targets are, and makes its inputs of itself nowhere.
            NextToken | ScheduledSampling => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cell::library;
    use crate::model::Dims;

    /// A model that has what `change` gives it, and what it and its minibatches in segments are refused for.
    fn refused(minibatches: usize, recompute: usize, change: impl Fn(&mut Spec)) -> String {
        let rnn = Arc::new(library::builtin("rnn").unwrap());
        let mut spec = Spec {
            vocab: 5,
            cells: vec![rnn.clone(), rnn],
            hidden: 4,
            embed: 4,
            ..Spec::default()
        };
        let how = Unroll {
            recompute,
            minibatches,
            ..Unroll::default()
        };
        let dims = Dims { steps: 6, batch: 2 };
        spec.unrolled(dims, how, Mode::Gradients).unwrap();
        change(&mut spec);
        let error = spec.unrolled(dims, how, Mode::Gradients).unwrap_err();
        assert_eq!(error.kind, crate::Kind::Usage);
        error.message
    }

    #[test]
    fn a_specification_is_refused_by_the_keys_of_settings() {
        let stream = "expected a stream, got sequences of different lengths";
        let segment = "looks from a step at its neighbour, which may lie in another segment, got 3";
        let sampled = |spec: &mut Spec| spec.softmax = Softmax::Sampled { samples: 2 };
        for (found, want) in [
            (
                refused(1, 0, |s| (s.packed, s.penalties.temporal) = (12, 0.5)),
                format!("temporal-penalty: {stream}"),
            ),
            (
                refused(1, 0, |s| (s.packed, s.penalties.norm) = (12, 0.5)),
                format!("norm-stabilizer: {stream}"),
            ),
            (
                refused(1, 0, |s| (s.packed, s.drops.locked) = (12, true)),
                format!("dropout-locked: {stream}"),
            ),
            (
                refused(1, 3, |s| s.penalties.temporal = 0.5),
                format!("recompute: expected 0, as temporal-penalty {segment}"),
            ),
            (
                refused(1, 3, sampled),
                "softmax: expected full beside recompute, got sampled".to_string(),
            ),
            (
                refused(2, 0, sampled),
                "softmax: expected full beside accumulate, got sampled".to_string(),
            ),
            (
                refused(1, 0, |s| {
                    sampled(s);
                    s.label_smoothing = 0.1;
                }),
                "label-smoothing: expected 0, as a goal of all symbols needs softmax full, got 0.1 beside sampled"
                    .to_string(),
            ),
            (
                refused(2, 0, |s| s.sparse = true),
                "sparse: expected auto or off beside accumulate, got sparse gradients".to_string(),
            ),
            (
                refused(1, 0, |s| (s.half, s.penalties.propagation) = (true, 0.5)),
                "half: expected propagation-penalty 0, whose gradient does not grow with the loss, got 0.5".to_string(),
            ),
            (
                refused(1, 0, |s| (s.embed, s.drops.input) = (0, 0.5)),
                "dropout-input: expected an embedding (embed above 0), got 0.5 with embed 0".to_string(),
            ),
            (
                refused(1, 0, |s| (s.embed, s.connections.skip) = (0, true)),
                "skip: expected embed above 0, which skip connections pass on, got embed 0".to_string(),
            ),
            (
                refused(1, 0, |s| (s.embed, s.tie) = (0, true)),
                "tie: expected embed = hidden for tied weights, got embed 0, hidden 4".to_string(),
            ),
        ] {
            assert_eq!(found, want);
        }
    }
}
