//! The settings of a run. Each is stated once, here; files, flags, help and errors follow from this list.
//!
//! A key in a settings file, the command line's long flag and a preset's key are the same word. Layers are tables:
//! defaults < preset < settings file < command line, see [`resolve`].

mod check;
mod field;
mod files;
mod kinds;
mod layers;
mod model;
mod pairs;
mod preset;
mod properties;
mod range;
mod text;

use crate::data::fields::Missing;
use crate::data::{LineOrder, LongLines};
use crate::error::{Error, Result};
use crate::model::Scheme;
use field::{SettingType, choice, named, settings};
use range::{
    ANY, FACTOR, FINITE, FRACTION, Judged, NOT_NEGATIVE, PAIRS, POSITIVE, RELATED, RISING, above,
    above_to, between, from, no_limit_or, whole,
};

pub use field::{Key, OnResume};
pub use files::Files;
pub use layers::resolve;
pub(super) use model::file_name;
pub use pairs::{cutoffs, pairs};
pub use preset::Preset;
pub use range::Range;

/// The model that predicts the next token of a text.
pub const LANGUAGE: &str = "language";

/// Checkpoint segments of an update: each has its operations in the plan.
const MOST_SEGMENTS: u64 = 4096;

choice! {
    /// What one token of the text is.
    Vocab {
        /// A Unicode character of the text.
        Char = "char",
        /// A byte: any file, V = 256.
        Byte = "byte",
        /// A word: what stands between white space.
        Word = "word",
        /// A sub-word of byte-pair encoding that is trained on the text.
        Bpe = "bpe",
        /// A token of the tokenizer that `tokenizer` names.
        Tokenizer = "tokenizer",
    }
}

named! {
    LongLines {
        Error = "error",
        Cut = "cut",
        Drop = "drop",
    }
}

named! {
    Missing {
        Refuse = "refuse",
        Carry = "carry",
        Drop = "drop",
    }
}

named! {
    LineOrder {
        Shuffle = "shuffle",
        Source = "source",
        Target = "target",
        SourceTarget = "source-target",
        TargetSource = "target-source",
    }
}

choice! {
    /// How scores of symbols become a loss.
    SoftmaxName {
        /// Over all symbols.
        Full = "full",
        /// Over clusters of symbols and within them (Grave 2017).
        Adaptive = "adaptive",
        /// While training over drawn symbols (Jean 2015), else over all.
        Sampled = "sampled",
    }
}

choice! {
    /// Whether an update touches only those rows of a table that the minibatch used.
    SparseName {
        /// Where that is the same as touching all: sgd without momentum, and adagrad, both without weight decay.
        Auto = "auto",
        /// Never.
        Off = "off",
        /// With every rule: momentum, running means and decay of a row rest while it is not used.
        Lazy = "lazy",
    }
}

named! {
    Scheme {
        Uniform = "uniform",
        Xavier = "xavier",
        Orthogonal = "orthogonal",
        Normal = "normal",
        Identity = "identity",
        Spectral = "spectral",
    }
}

choice! {
    /// The rule by which gradients change parameters.
    OptimizerName {
        /// Stochastic gradient descent, with momentum if given.
        Sgd = "sgd",
        /// Duchi 2011.
        Adagrad = "adagrad",
        /// Tieleman and Hinton 2012.
        RmsProp = "rmsprop",
        /// Kingma and Ba 2014.
        Adam = "adam",
        /// Adam with decoupled weight decay, Loshchilov and Hutter 2017.
        AdamW = "adamw",
    }
}

choice! {
    /// How the learning rate changes during a run.
    ScheduleName {
        /// It stays.
        Constant = "constant",
        /// Times lr-decay after decay-after epochs and every decay-every epochs from then on.
        Decay = "decay",
        /// Times gamma every step-size steps.
        Step = "step",
        /// Linear over the warmup steps, then half a cosine down to lr-min at the run's end (Loshchilov 2016).
        Cosine = "cosine",
        /// Times plateau-factor after more than patience evaluations without progress.
        Plateau = "plateau",
    }
}

choice! {
    /// How the probability of a true token as an input falls: scheduled sampling (Bengio 2015).
    TeacherForcingName {
        /// All inputs are true.
        Off = "none",
        /// max(sampling-floor, sampling-k - sampling-slope * step).
        Linear = "linear",
        /// sampling-k ^ step.
        Exponential = "exponential",
        /// sampling-k / (sampling-k + exp(step / sampling-k)).
        InverseSigmoid = "inverse-sigmoid",
    }
}

choice! {
    /// By what evaluations are compared.
    BestBy {
        /// The mean loss of a prediction.
        Loss = "loss",
        /// The share of right predictions.
        Accuracy = "accuracy",
        /// The mean of the classes' F1.
        MacroF1 = "macro-f1",
    }
}

choice! {
    /// What the gradient is of.
    Reduce {
        /// The mean loss of the predictions.
        Token = "token",
        /// The mean loss of the rows, each the sum over its steps (Zaremba 2014).
        Row = "row",
    }
}

settings! {
    /// All settings of a training run, with values.
    Settings

    "preset" {
        /// A named set of settings: min-char-rnn, char-rnn, torch-rnn, zaremba-small, zaremba-medium, names-tutorial, sentiment, multi30k or quick
        preset: Option<Preset> = None; ANY; Fixed,
    }
    "data" {
        /// A token is a character (char), a byte, a word between white space, a sub-word (bpe), or what `tokenizer` says
        vocab: Vocab = Vocab::Char; ANY; Shape,
        /// A tokenizer.json of any kind, which makes vocab tokenizer; it stays with the run
        tokenizer: Option<String> = None; ANY; Shape,
        /// Symbols seen fewer times than this fold into one unknown symbol (models of fields: 2); bpe: pairs seen fewer times stay two
        min_count: u64 = 1; from(1); Shape,
        /// Symbols that are known, at most; the rarest fold into the unknown symbol; 0 is no limit, for bpe 8192
        max_vocab: u64 = 0; no_limit_or(4); Shape,
        /// Every line is a sequence of its own: the state begins anew, a start and an end symbol are added, empty lines skipped
        lines: bool = false; ANY; Shape,
        /// lines: the longest line, in tokens without start and end; 0 is any
        max_line: usize = 0; whole(0, u32::MAX as u64); Fixed,
        /// lines: what is done with longer ones: error, cut or drop
        long_lines: LongLines = LongLines::Error; ANY; Fixed,
        /// Fraction of the text, at its end, that is held out for validation (of examples: drawn by seed); 0 where valid names a text
        val: f64 = 0.05; between(0.0, 0.9); Fixed,
        /// Models of fields: where a field is read, `text=body,label=2`: a column's name or number (default: by header or order)
        columns: Option<String> = None; ANY; Fixed,
        /// Models of fields: how files are read, whatever they end in: text, tsv, csv, jsonl, conll, conllu, fasttext, safetensors, npz, npy or idx
        format: Option<String> = None; ANY; Fixed,
        /// Models of fields: the weight of each class in the loss: none, balanced, or `a=2,b=0.5`
        class_weights: Option<String> = None; ANY; Fixed,
        /// Models of series: how many steps ahead a loss predicts whose line does not say it
        horizon: usize = 1; whole(1, 1000); Fixed,
        /// Models of series: how many steps an example reads, for a long series that is cut into such; 0 is all that there are
        context: usize = 0; whole(0, 65536); Fixed,
        /// context: how far apart examples begin (default: 1 where an example predicts once, else context)
        stride: usize = 0; whole(0, 65536); Fixed,
        /// Models of series: one series as `batch` streams, read in segments of `context` steps with carried states (truncated BPTT)
        stateful: bool = false; ANY; Fixed,
        /// Models of series: steps of a series to train on, to validate and to test, `8640,2880,2880`, instead of val, which is by time too
        split: Option<String> = None; ANY; Fixed,
        /// Fields of reals: every column less its mean over what is trained on, by its deviation; undone in what predict prints
        standardize: bool = false; ANY; Fixed,
        /// Fields of reals: what is done about an empty cell or NaN: refuse, carry the last number on, or drop the step
        missing: Missing = Missing::Refuse; ANY; Fixed,
        /// Fields of reals: the column of a table that is its time, which must rise; it is not read
        time: Option<String> = None; ANY; Fixed,
        /// Fields of reals: numbers of a step, into which those of files are cut, such as 1 for images pixel by pixel; 0 is as they are
        frame_width: usize = 0; whole(0, 65536); Shape,
        /// Fields of bits: the lowest and the highest note, `21..108` (default: those of the training)
        notes: Option<String> = None; ANY; Shape,
        /// A validation text of its own, instead of val: one file or several; the vocabulary is that of the training text
        valid: Option<Files> = None; ANY; Fixed,
    }
    "model" {
        /// The model: a name that `models` lists, or a file that ends in .model; language predicts the next token of a text
        model: String = LANGUAGE.to_string(); ANY; Shape,
        /// The recurrent cell: a name that `cells` lists, or a file that ends in .cell; or one a layer, `lstm,gru`
        cell: String = "lstm".to_string(); ANY; Shape,
        /// Values for constants of the cell, a=0.3,b=2; a constant changes in every layer whose cell has it
        cell_const: Option<String> = None; PAIRS; Shape,
        /// Width H of a layer's hidden state
        hidden: usize = 128; whole(1, 65536); Shape,
        /// Number of recurrent layers
        layers: usize = 1; whole(1, 64); Shape,
        /// Width of the embedding; 0 feeds one-hot vectors
        embed: usize = 0; whole(0, 65536); Shape,
        /// Probability with which a value after a recurrent layer is dropped
        dropout: f64 = 0.0; FRACTION; Free,
        /// The head uses the embedding's matrix; needs embed = hidden
        tie: bool = false; ANY; Shape,
        /// Scores: of all symbols (full), by clusters of rare ones (adaptive), or while training of drawn ones (sampled)
        softmax: SoftmaxName = SoftmaxName::Full; ANY; Fixed,
        /// adaptive: where clusters start in the order of the vocabulary, 20000,200000 (default: a fortieth and a quarter)
        cutoffs: Option<String> = None; RISING; Shape,
        /// sampled: symbols that are drawn for a minibatch (default 8192, at most a quarter of the vocabulary)
        samples: Option<usize> = None; from(1); Fixed,
        /// Width of a linear layer after every recurrent layer; 0 is none
        project: usize = 0; whole(0, 65536); Shape,
        /// From the second layer on, a layer's input is added to its output
        residual: bool = false; ANY; Shape,
        /// Every layer also reads the embedding, and the head reads every layer; needs embed
        skip: bool = false; ANY; Shape,
        /// Layer normalisation of every layer's output (inside a cell: rnn-ln, lstm-ln, gru-ln, or norm in your own)
        layer_norm: bool = false; ANY; Shape,
        /// The states before the first step are learned instead of zero
        learn_initial: bool = false; ANY; Shape,
        /// Recurrent layers in both directions of time; refused by a model that predicts the next token, as it would see it
        bidirectional: bool = false; ANY; Shape,
    }
    "noise inside cells" {
        /// Probability with which a unit of the output state keeps its previous value
        zoneout: f64 = 0.0; FRACTION; Fixed,
        /// The same for the other states, such as an LSTM's c
        zoneout_memory: f64 = 0.0; FRACTION; Fixed,
        /// Probability with which recurrent products do not see a unit of the state, the same units for a whole segment
        dropout_recurrent: f64 = 0.0; FRACTION; Fixed,
    }
    "regularisers" {
        /// Probability with which a value of the embedded input is dropped; needs embed > 0
        dropout_input: f64 = 0.0; FRACTION; Free,
        /// Probability with which a token's embedding is dropped, wherever it stands in a minibatch; needs embed > 0
        dropout_embedding: f64 = 0.0; FRACTION; Free,
        /// Probability with which a recurrent weight is dropped for a minibatch
        dropout_weights: f64 = 0.0; FRACTION; Free,
        /// dropout and dropout-input use one mask for all steps of a segment
        dropout_locked: bool = false; ANY; Free,
        /// Share of the goal that all symbols or classes have alike while training, in whose loss it is (Szegedy 2016); 0 is off
        label_smoothing: f64 = 0.0; FRACTION; Free,
        /// Weight of the mean square of the last recurrent layer's output (AR), added to nats per token; 0 is off
        activation_penalty: f64 = 0.0; NOT_NEGATIVE; Free,
        /// Weight of the mean square of that output's change from step to step (TAR); 0 is off
        temporal_penalty: f64 = 0.0; NOT_NEGATIVE; Free,
        /// Weight of the mean square of the change of each layer's output in length (Krueger 2015); 0 is off
        norm_stabilizer: f64 = 0.0; NOT_NEGATIVE; Free,
        /// Weight of the mean square of the gradient's relative change in length from step to step (Pascanu 2013); rnn only
        propagation_penalty: f64 = 0.0; NOT_NEGATIVE; Free,
    }
    "scheduled sampling" {
        /// Inputs are true tokens with probability e, else drawn by the model; e is 1 (none) or linear, exponential, inverse-sigmoid
        scheduled_sampling: TeacherForcingName = TeacherForcingName::Off; ANY; Free,
        /// e at step s: max(floor, k - slope s) with k 1 by default, k^s (0.9999), or k / (k + exp(s/k)) (1000)
        sampling_k: Option<f64> = None; RELATED; Free,
        /// linear: by how much e falls a step (default 0.0001)
        sampling_slope: Option<f64> = None; NOT_NEGATIVE; Free,
        /// linear: the lowest e (default 0)
        sampling_floor: Option<f64> = None; between(0.0, 1.0); Free,
    }
    "initial weights" {
        /// How weights start: uniform, xavier, orthogonal, normal, identity (IRNN) or spectral (echo states)
        init: Scheme = Scheme::Uniform; ANY; Start,
        /// Half-width for uniform (default 1/sqrt(H)), deviation for normal (0.01), spectral radius (1.1), else a factor (1)
        init_scale: f64 = layers::default_init_scale(Scheme::Uniform, 128); POSITIVE; Start,
        /// What biases start at that the cell starts on its own, such as a forget gate's (default: the cell's, 1)
        forget_bias: Option<f64> = None; FINITE; Start,
        /// Biases of single variables of the cell, f=1,o=-1; they win over chrono, and that over forget-bias
        gate_bias: Option<String> = None; PAIRS; Start,
        /// Longest span T to remember: gates that keep a state start at log U(1, T-1), those that write it at minus that
        chrono: Option<f64> = None; above(2.0); Start,
        /// identity, spectral: deviation of the weights that are not recurrent (default: identity 0.001, spectral as xavier)
        input_scale: Option<f64> = None; POSITIVE; Start,
        /// Deviation of embeddings, which are normal then (PyTorch: 1; default: as other weights)
        embed_scale: Option<f64> = None; POSITIVE; Start,
    }
    "minibatches" {
        /// Steps T of truncated backpropagation through time
        seq_len: usize = 50; whole(1, 65536); Fixed,
        /// Streams B that are read side by side, or lines of a minibatch
        batch: usize = 32; whole(1, 65536); Fixed,
        /// lines: steps of a minibatch, at most, instead of batch lines; 0: batch lines
        batch_tokens: usize = 0; whole(0, u32::MAX as u64); Fixed,
        /// lines: not sorted before minibatches are cut (shuffle), or by length: source, target, source-target, target-source; for single lines source is target
        line_order: LineOrder = LineOrder::Shuffle; ANY; Fixed,
        /// lines: sort within so many minibatches of shuffled lines, so that minibatches differ from epoch to epoch; 0: all lines
        bucket: usize = 0; whole(0, u32::MAX as u64); Fixed,
        /// lines: fill every line up to its minibatch's longest and compute that too, as engines do that cannot leave it out
        pad: bool = false; ANY; Fixed,
        /// The gradient is of the mean loss per token, or per row: the sum over its steps (Zaremba 2014)
        reduce: Reduce = Reduce::Token; ANY; Fixed,
        /// Segments of one update, one after another, or minibatches of lines, packed together: gradients are added up, the loss is the mean over all
        accumulate: usize = 1; whole(1, MOST_SEGMENTS); Fixed,
        /// Steps of a checkpoint segment: activations are kept a segment at a time and computed again to go backward; 0 keeps all steps'
        recompute: usize = 0; ANY; Free,
        /// recompute: how many states between segments are kept, in the best order for so many (Gruslys 2016); 0 for all
        recompute_states: usize = 0; ANY; Free,
        /// A GPU holds the rows of a segment in half precision (f16), with loss scaling; weights, states and sums stay in f32
        half: bool = false; ANY; Free,
    }
    "optimiser" {
        /// The rule: sgd, adagrad, rmsprop, adam or adamw
        optimizer: OptimizerName = OptimizerName::Adam; ANY; Fixed,
        /// Learning rate (default: sgd 0.5, adagrad 0.05, the others 0.002)
        lr: f64 = layers::default_lr(OptimizerName::Adam); POSITIVE; Free,
        /// Momentum of sgd and rmsprop
        momentum: f64 = 0.0; FRACTION; Fixed,
        /// Nesterov's momentum, sgd only
        nesterov: bool = false; ANY; Fixed,
        /// Weight decay: an L2 term, for adamw decoupled (default: adamw 0.01, the others 0)
        weight_decay: f64 = layers::default_weight_decay(OptimizerName::Adam); NOT_NEGATIVE; Fixed,
        /// Smoothing of rmsprop's mean square
        alpha: f64 = 0.99; FRACTION; Fixed,
        /// Smoothing of adam's mean
        beta1: f64 = 0.9; FRACTION; Fixed,
        /// Smoothing of adam's mean square
        beta2: f64 = 0.999; FRACTION; Fixed,
        /// Added to the denominator (default: adagrad 1e-10, the others 1e-8)
        eps: f64 = layers::default_eps(OptimizerName::Adam); POSITIVE; Fixed,
        /// Update only the rows of a large embedding that were used: where exact (auto), off, or lazy: moments of others rest
        sparse: SparseName = SparseName::Auto; ANY; Fixed,
        /// Gradients longer than this norm, after clip-value, are scaled down to it; 0 is off
        clip_norm: f64 = 0.0; NOT_NEGATIVE; Free,
        /// Every element of a gradient is cut to +- this, before clip-norm; 0 is off
        clip_value: f64 = 0.0; NOT_NEGATIVE; Free,
    }
    "learning rate's schedule" {
        /// The schedule: constant, decay, step, cosine or plateau
        schedule: ScheduleName = ScheduleName::Constant; ANY; Free,
        /// decay: the factor
        lr_decay: f64 = 0.97; FACTOR; Free,
        /// decay: epochs before the first decay
        decay_after: u64 = 10; ANY; Free,
        /// decay: epochs between decays
        decay_every: u64 = 1; from(1); Free,
        /// step: steps between changes
        step_size: u64 = 1000; from(1); Free,
        /// step: the factor
        gamma: f64 = 0.5; FACTOR; Free,
        /// cosine: steps in which the rate rises to lr
        warmup: u64 = 0; ANY; Free,
        /// cosine, plateau: the lowest rate
        lr_min: f64 = 0.0; NOT_NEGATIVE; Free,
        /// plateau: the factor
        plateau_factor: f64 = 0.5; FACTOR; Free,
        /// plateau: evaluations without progress that are borne
        patience: u64 = 2; ANY; Free,
    }
    "length" {
        /// Length of the run in passes over the text (default 10 for a text of your own)
        epochs: Option<u64> = None; whole(1, 1_000_000_000); Free,
        /// Length of the run in steps (updates)
        steps: Option<u64> = None; whole(1, 1_000_000_000_000); Free,
        /// Length of the run in minutes (default 2 for the built-in corpus)
        minutes: Option<f64> = None; above_to(0.0, 1e6); Free,
    }
    "run" {
        /// Seed of every random number
        seed: u64 = 1; ANY; Fixed,
        /// Steps between samples of text; 0 is off
        sample_every: u64 = 500; ANY; Free,
        /// Steps between evaluations on the validation text; 0: at each epoch's end (default: by the text's size)
        eval_every: Option<u64> = None; ANY; Free,
        /// By what the best checkpoint is chosen and plateaus are seen: loss, accuracy or macro-f1 (default: by the model's loss)
        best_by: Option<BestBy> = None; ANY; Free,
        /// End the run after so many evaluations without a better one; 0 is off
        stop_after: u64 = 0; ANY; Free,
        /// Steps between checkpoints; 0 saves at the end of each epoch
        save_every: u64 = 500; ANY; Free,
        /// Checkpoints that are kept besides the best one
        keep: usize = 3; from(1); Free,
    }
}

/// How long a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// Passes over the training text.
    Epochs(u64),
    /// Minibatches.
    Steps(u64),
    /// Minutes of training.
    Minutes(f64),
}

impl Settings {
    /// How long the run is: what was set, else 2 minutes on the built-in corpus, else 10 epochs.
    pub fn length(&self, built_in_corpus: bool) -> Length {
        match (self.epochs, self.steps, self.minutes) {
            (Some(epochs), _, _) => Length::Epochs(epochs),
            (_, Some(steps), _) => Length::Steps(steps),
            (_, _, Some(minutes)) => Length::Minutes(minutes),
            _ if built_in_corpus => Length::Minutes(2.0),
            _ => Length::Epochs(10),
        }
    }

    /// Fixes the length, so that `to_toml` states it.
    pub fn set_length(&mut self, length: Length) {
        (self.epochs, self.steps, self.minutes) = match length {
            Length::Epochs(epochs) => (Some(epochs), None, None),
            Length::Steps(steps) => (None, Some(steps), None),
            Length::Minutes(minutes) => (None, None, Some(minutes)),
        };
    }

    /// The settings that a table holds, the default for each key that it lacks; without the checks of ranges.
    ///
    /// # Errors
    /// A key that is none, a value of another type.
    pub fn of_table(table: toml::Table) -> std::result::Result<Settings, toml::de::Error> {
        table.try_into()
    }

    /// The settings as a table of their keys.
    pub fn to_table(&self) -> Result<toml::Table> {
        toml::Table::try_from(self)
            .map_err(|e| Error::internal(format!("settings cannot be written as TOML: {e}")))
    }

    /// The settings as a commented settings file, from which [`resolve`] gives the same settings.
    pub fn to_toml(&self) -> Result<String> {
        let table = self.to_table()?;
        let mut text = String::new();
        let mut section = "";
        for key in Settings::keys() {
            if key.section != section {
                section = key.section;
                let gap = if text.is_empty() { "" } else { "\n" };
                text.push_str(&format!("{gap}# ---- {section} ----\n"));
            }
            text.push_str(&format!("# {}\n", key.help));
            match table
                .get(key.name)
                .filter(|_| !self.means_nothing(key.name))
            {
                Some(value) => text.push_str(&format!("{} = {value}\n", key.name)),
                None => text.push_str(&format!("# {} is not set\n", key.name)),
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
