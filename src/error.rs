//! The one error type: a kind, which fixes the exit code, and one clear line.

use std::fmt;
use std::path::Path;

/// What went wrong, as far as a caller or an exit code must tell cases apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A fault of the program itself.
    Internal,
    /// The command line asks for something that cannot be.
    Usage,
    /// Text, vocabulary, cell or settings file cannot be used.
    Data,
    /// A checkpoint or a run's folder is damaged, foreign or missing.
    Checkpoint,
    /// No such device, or the device was lost.
    Device,
    /// The loss or a gradient is no longer finite.
    Diverged,
    /// Reading or writing failed.
    Io,
    /// The user asked to stop; everything was saved.
    Interrupted,
}

impl Kind {
    /// The exit code of the program for an error of this kind.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Internal => 1,
            Kind::Usage => 2,
            Kind::Data => 3,
            Kind::Checkpoint => 4,
            Kind::Device => 5,
            Kind::Diverged => 6,
            Kind::Io => 7,
            Kind::Interrupted => 130,
        }
    }
}

/// An error: its kind, and a message that names the thing, what was expected and what came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The kind, which fixes the exit code.
    pub kind: Kind,
    /// One clear line (several where several faults are reported at once).
    pub message: String,
}

/// A result with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind`. Control characters beside line ends and tabs are shown by their escapes: what a file holds does
    /// not come to the terminal as a command.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let command = |c: char| c.is_control() && !['\n', '\t'].contains(&c);
        let mut message: String = message.into();
        if message.contains(command) {
            let shown = |c: char| {
                if command(c) {
                    c.escape_debug().to_string()
                } else {
                    c.to_string()
                }
            };
            message = message.chars().map(shown).collect();
        }
        Error { kind, message }
    }

    /// A fault of the program itself.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    /// A fault of the command line.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// A fault of the data or of the settings.
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(Kind::Data, message)
    }

    /// A fault of a checkpoint.
    pub fn checkpoint(message: impl Into<String>) -> Self {
        Self::new(Kind::Checkpoint, message)
    }

    /// A fault of a device.
    pub fn device(message: impl Into<String>) -> Self {
        Self::new(Kind::Device, message)
    }

    /// A failure to read or write `path`, `doing` being the verb: "read", "write", "rename".
    pub fn io(doing: &str, path: &Path, source: &std::io::Error) -> Self {
        Self::new(
            Kind::Io,
            format!("cannot {doing} {}: {source}", path.display()),
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// The candidate most like `name`, for "did you mean", when one is near enough to be a likely slip.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|c| (strsim::jaro_winkler(name, c), c))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}

/// The words by which an error goes on to the known name that is nearest, if one is near.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or(String::new(), |n| format!("; did you mean `{n}`?"))
}

/// An error of usage for a `name` that is none of the `known` ones of its kind, `what`: it names the nearest and all of them;
/// `more` says what else may be named.
pub fn unknown<'a>(
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
    more: &str,
) -> Error {
    let known: Vec<&str> = known.collect();
    let hint = did_you_mean(name, known.iter().copied());
    Error::usage(format!(
        "unknown {what} `{}`{hint} (known: {}{more})",
        name.escape_debug(),
        known.join(", ")
    ))
}
