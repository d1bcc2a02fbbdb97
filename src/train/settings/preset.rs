//! Presets: settings files that are part of the program.

use super::field::choice;

choice! {
    /// A named set of settings.
    Preset {
        /// Karpathy's min-char-rnn: one Elman layer, Adagrad.
        MinCharRnn = "min-char-rnn",
        /// Karpathy's char-rnn: two LSTM layers on one-hot characters, RMSprop.
        CharRnn = "char-rnn",
        /// Johnson's torch-rnn: two LSTM layers on an embedding, Adam.
        TorchRnn = "torch-rnn",
        /// Zaremba 2014, small: two LSTM layers of 200 over words, SGD.
        ZarembaSmall = "zaremba-small",
        /// Zaremba 2014, medium: two LSTM layers of 650 over words with dropout, SGD.
        ZarembaMedium = "zaremba-medium",
        /// PyTorch's tutorial of names: a linear hidden state over one-hot letters, SGD, a name at a time.
        NamesTutorial = "names-tutorial",
        /// The polarity of sentences: an LSTM in both directions over words.
        Sentiment = "sentiment",
        /// Translation of short sentences: a GRU with attention over words.
        Multi30k = "multi30k",
        /// What a bare `train` does: one LSTM layer, Adam, a cosine schedule, two minutes.
        Quick = "quick",
    }
}

impl Preset {
    /// All presets.
    pub const ALL: [Preset; 9] = [
        Preset::MinCharRnn,
        Preset::CharRnn,
        Preset::TorchRnn,
        Preset::ZarembaSmall,
        Preset::ZarembaMedium,
        Preset::NamesTutorial,
        Preset::Sentiment,
        Preset::Multi30k,
        Preset::Quick,
    ];

    /// The preset's settings file.
    pub fn text(self) -> &'static str {
        match self {
            Preset::MinCharRnn => include_str!("../../../assets/presets/min-char-rnn.toml"),
            Preset::CharRnn => include_str!("../../../assets/presets/char-rnn.toml"),
            Preset::TorchRnn => include_str!("../../../assets/presets/torch-rnn.toml"),
            Preset::ZarembaSmall => include_str!("../../../assets/presets/zaremba-small.toml"),
            Preset::ZarembaMedium => include_str!("../../../assets/presets/zaremba-medium.toml"),
            Preset::NamesTutorial => include_str!("../../../assets/presets/names-tutorial.toml"),
            Preset::Sentiment => include_str!("../../../assets/presets/sentiment.toml"),
            Preset::Multi30k => include_str!("../../../assets/presets/multi30k.toml"),
            Preset::Quick => include_str!("../../../assets/presets/quick.toml"),
        }
    }
}
