//! Text on its way to a model: corpus -> vocabulary -> token ids -> minibatches. Stands apart from the rest.

pub mod builtin;
pub mod segments;
pub mod source;
pub mod split;
mod store;
pub mod stream;
pub mod tokens;
mod unpack;
pub mod vocab;

pub use builtin::Builtin;
pub use segments::Segments;
pub use source::{Corpus, Source};
pub use split::{Split, split};
pub use stream::{Carry, Minibatch, Streams};
pub use tokens::{Tokens, TokensWriter};
pub use vocab::{Decoder, Recipe, VocabKind, Vocabulary};
