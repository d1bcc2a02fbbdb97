//! Which settings have a meaning for which kind of model: one of a text, or one of fields.

use super::{LANGUAGE, Settings};

/// What has a meaning for the language model alone: a model of fields says it itself, or reads whole sequences.
const OF_TEXT: [&str; 19] = [
    "lines",
    "max-line",
    "long-lines",
    "tie",
    "softmax",
    "cutoffs",
    "samples",
    "sparse",
    "bidirectional",
    "temporal-penalty",
    "norm-stabilizer",
    "dropout-locked",
    "propagation-penalty",
    "seq-len",
    "pad",
    "reduce",
    "recompute",
    "recompute-states",
    "sample-every",
];

/// What has a meaning for models of fields alone.
const OF_FIELDS: [&str; 14] = [
    "columns",
    "format",
    "class-weights",
    "best-by",
    "horizon",
    "context",
    "stride",
    "stateful",
    "split",
    "standardize",
    "missing",
    "time",
    "frame-width",
    "notes",
];

impl Settings {
    /// Whether the model is one of fields, unlike that of a text.
    pub fn of_fields(&self) -> bool {
        self.model != LANGUAGE
    }

    /// Whether a setting has no meaning for the kind of model that is chosen.
    pub fn means_nothing(&self, key: &str) -> bool {
        if self.of_fields() {
            OF_TEXT.contains(&key)
        } else {
            OF_FIELDS.contains(&key)
        }
    }
}
