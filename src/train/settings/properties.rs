//! What the settings of a run have of the properties that exclude others.

use super::{Settings, SoftmaxName, SparseName, TeacherForcingName};
use crate::model::exclusions::Property::{self, *};

impl Settings {
    /// The value of a property as a user wrote it; none where it is not there.
    pub(super) fn property(&self, property: Property) -> Option<String> {
        let yes = |there: bool| there.then(|| "true".to_string());
        let number = |n: f64| (n > 0.0).then(|| n.to_string());
        let count = |n: usize, there: bool| there.then(|| n.to_string());
        let skip = self.skip && self.layers > 1;
        let apart = |width: usize, key: &str| {
            let text = || format!("embed {}, {key} {width}", self.embed);
            // Skip connections make it the width of all layers.
            (self.embed != width && !skip).then(text)
        };
        let (recompute, segments) = (self.recompute, self.recompute < self.seq_len);
        match property {
            Packed => self.lines.then(|| "lines".to_string()),
            TemporalPenalty => number(self.temporal_penalty),
            NormStabilizer => number(self.norm_stabilizer),
            PropagationPenalty => number(self.propagation_penalty),
            DropoutLocked => yes(self.dropout_locked),
            DropoutInput => number(self.dropout_input),
            DropoutEmbedding => number(self.dropout_embedding),
            ScheduledSampling => {
                let name = self.scheduled_sampling;
                (name != TeacherForcingName::Off).then(|| name.to_string())
            }
            Recompute => count(recompute, recompute > 0),
            Segments => count(recompute, recompute > 0 && segments),
            // The minibatches of lines of an update are packed together.
            Accumulate => count(self.accumulate, self.accumulate > 1 && !self.lines),
            PartialSoftmax => (self.softmax != SoftmaxName::Full).then(|| self.softmax.to_string()),
            AdaptiveSoftmax => {
                (self.softmax == SoftmaxName::Adaptive).then(|| self.softmax.to_string())
            }
            LabelSmoothing => number(self.label_smoothing),
            Sparse => (self.sparse == SparseName::Lazy).then(|| self.sparse.to_string()),
            Half => yes(self.half),
            Tie => yes(self.tie),
            Skip => yes(skip),
            OneHot => (self.embed == 0).then(|| "embed 0".to_string()),
            HiddenApart if self.project == 0 => apart(self.hidden, "hidden"),
            ProjectApart if self.project > 0 => apart(self.project, "project"),
            HiddenApart | ProjectApart => None,
            Bidirectional => yes(self.bidirectional),
            NextToken => yes(true),
        }
    }
}
