//! Names of files, which need not be UTF-8, where only text can stand: in settings, in JSON, in a command to copy.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What a name begins with that is written with escapes.
const ESCAPED: &str = "file:";

/// A name as text: itself, or where it is not UTF-8 as a `file:` URL writes it, with `%E9` for a byte 0xE9. What
/// [`from_text`] makes of it is the name again.
pub fn to_text(name: &OsStr) -> String {
    bytes_to_text(name.as_encoded_bytes())
}

/// The same for a list of names with commas between them.
pub fn all_to_text(names: &OsStr) -> String {
    let parts = names.as_encoded_bytes().split(|b| *b == b',');
    parts.map(bytes_to_text).collect::<Vec<_>>().join(",")
}

fn bytes_to_text(name: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(name)
        && !text.starts_with(ESCAPED)
    {
        return text.to_string();
    }
    let shown = name.iter().map(|b| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(*b).to_string(),
        b'/' | b'\\' | b'.' | b'-' | b'_' | b':' | b' ' => char::from(*b).to_string(),
        _ => format!("%{b:02X}"),
    });
    ESCAPED.to_string() + &shown.collect::<String>()
}

/// The name that a text from [`to_text`] stands for.
pub fn from_text(text: &str) -> PathBuf {
    let Some(escaped) = text.strip_prefix(ESCAPED) else {
        return text.into();
    };
    let mut bytes = Vec::new();
    let mut rest = escaped.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let digits = more.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match byte.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    from_bytes(bytes)
}

#[cfg(unix)]
fn from_bytes(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(bytes).into()
}

/// Elsewhere names are UTF-16, and those that are no text cannot be made without unsafe code.
#[cfg(not(unix))]
fn from_bytes(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

/// A name as a POSIX shell reads it, quoted where it must be.
pub fn shell(name: &Path) -> String {
    let Some(text) = name.to_str() else {
        // Such quotes are of bash, zsh and ksh, and of POSIX since 2024.
        let bytes = name.as_os_str().as_encoded_bytes();
        let shown = bytes.iter().map(|b| match b {
            b'\'' | b'\\' => format!("\\{}", char::from(*b)),
            b' '..=b'~' => char::from(*b).to_string(),
            _ => format!("\\x{b:02x}"),
        });
        return format!("$'{}'", shown.collect::<String>());
    };
    let plain = |c: char| c.is_alphanumeric() || "/.-_+,:@%=~".contains(c);
    if text.chars().all(plain) && !text.is_empty() && !text.starts_with('~') {
        text.to_string()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Lists of names in files of text: JSON strings as [`to_text`] writes them, for `#[serde(with = "...")]`.
pub mod list {
    use std::path::PathBuf;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the names.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn serialize<S: Serializer>(names: &[PathBuf], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(names.iter().map(|name| super::to_text(name.as_os_str())))
    }

    /// Reads the names.
    ///
    /// # Errors
    /// What is no list of strings.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<PathBuf>, D::Error> {
        let names = Vec::<String>::deserialize(from)?;
        Ok(names.iter().map(|name| super::from_text(name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_comes_back_from_its_text() {
        let mut names: Vec<PathBuf> = ["a b.txt", "file:x%41", "file:", "%41", "é\n", "-", ""]
            .map(PathBuf::from)
            .into();
        if cfg!(unix) {
            names.push(from_bytes(b"/tmp/caf\xe9%41 \x01.txt".into()));
            let name = from_bytes(b"r\xe9's".into());
            assert_eq!(to_text(name.as_os_str()), "file:r%E9%27s");
            assert_eq!(shell(&name), r"$'r\xe9\'s'");
        }
        for name in &names {
            let text = to_text(name.as_os_str());
            assert_eq!(from_text(&text), *name, "{text}");
        }
        assert_eq!(to_text(OsStr::new("é/x.txt")), "é/x.txt");
        assert_eq!(
            all_to_text(OsStr::new("gru,file:x,é.cell")),
            "gru,file:file:x,é.cell"
        );
    }

    #[test]
    fn a_shell_reads_the_name_that_was_meant() {
        for (name, want) in [
            ("runs/a-1", "runs/a-1"),
            ("my run", "'my run'"),
            ("it's", r"'it'\''s'"),
            ("~x", "'~x'"),
            ("a;b", "'a;b'"),
            ("", "''"),
        ] {
            assert_eq!(shell(Path::new(name)), want);
        }
    }
}
