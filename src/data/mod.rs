//! Text on its way to a model: corpus -> vocabulary -> token ids -> minibatches. Stands apart from the rest.

pub mod batches;
pub mod builtin;
mod census;
mod copied;
pub mod dataset;
mod decompress;
pub mod fields;
mod format;
pub mod lines;
pub mod packed;
pub mod segments;
pub mod source;
pub mod split;
mod store;
pub mod stream;
pub mod tokens;
pub mod vocab;

pub use batches::{BatchSize, Batching, LineBatches, LineOrder, Padding, SequenceLengths};
pub use builtin::Builtin;
pub use copied::{Copied, copied};
pub use dataset::Dataset;
pub use format::plain_text;
pub use lines::{LeftOut, LineRules, Lines, LongLines};
pub use packed::PackedSequences;
pub use segments::Segments;
pub use source::{Corpus, TextSource};
pub use split::{Split, split, split_drawn, split_lines};
pub use stream::{StateCarry, StreamMinibatch, Streams};
pub use tokens::{Tokens, TokensWriter};
pub use vocab::{Decoder, VocabKind, Vocabulary, VocabularyRecipe};
