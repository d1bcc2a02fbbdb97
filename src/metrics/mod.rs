//! What predictions are worth: accuracies, precision, recall and F1, spans, BLEU and chrF, and floors that a rule reaches without a network.
//! Pure functions of classes and numbers; who asks prints.

mod accuracy;
mod bleu;
mod chrf;
mod confusion;
mod floors;
mod forecast;
mod spans;
mod tokenization;

pub use accuracy::{Accuracy, accuracy, accuracy_where, sequence_accuracy, top_k};
pub use bleu::Bleu;
pub use chrf::Chrf;
pub use confusion::{ClassScores, Confusion};
pub use floors::{FrequentTag, NoteFrequency, OneGaussian, largest, majority, unigram};
pub use forecast::{Errors, SetCounts};
pub use spans::{SpanScores, are_spans, spans};
pub use tokenization::Tokenization;
