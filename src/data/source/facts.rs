//! What should be said about the files of a text: what they are if they are no text, their encoding, their line ends.

use std::collections::HashMap;

use super::{Corpus, TextFile};
use crate::data::census::Census;
use crate::data::format::{Format, to_file};
use crate::data::vocab::{NOT_UTF8, VocabKind, Vocabulary};
use crate::error::{Error, Result};
use crate::paths;

/// A text of fewer bytes may well be one line.
const ONE_LINE: u64 = 1000;

/// What is known of a file that was read.
#[derive(Debug)]
pub(super) struct FileFacts {
    pub census: Census,
    pub hash: blake3::Hash,
    /// What it is if it is no text.
    pub format: Option<Format>,
    /// The program that decompresses it, where it is compressed.
    pub packed: Option<&'static str>,
}

impl FileFacts {
    /// What should be known about `part`, the file.
    fn remarks(&self, part: &TextFile, vocabulary: &Vocabulary) -> Vec<String> {
        let FileFacts { census, format, .. } = self;
        if census.bytes == 0 {
            return vec!["it is empty".to_string()];
        }
        if vocabulary.kind() == VocabKind::Byte {
            let told = |format: &Format| format!("it is {}, read byte by byte", format.name);
            return format.iter().map(told).collect();
        }
        let mut all = Vec::new();
        let nuls = census.nuls();
        if nuls > 0 {
            let what = match census.wide() {
                Some(encoding) => part.is_wide(encoding, self.packed),
                None => "is it binary, UTF-16 or a tar archive?".to_string(),
            };
            all.push(format!("{nuls} NUL characters: {what}"));
        }
        let returns = census.lone_returns();
        let lines = vocabulary.of_lines();
        let ends = lines || vocabulary.kind() == VocabKind::Word;
        // What changes line ends, from the text as it is decompressed.
        let tr = |what: &str| match self.packed {
            None => format!("tr {what} < {} > OUT.txt", part.shell()),
            Some(program) => format!("{program} -dc {} | tr {what} > OUT.txt", part.shell()),
        };
        if census.feeds == 0 && returns == 0 && (lines || census.bytes >= ONE_LINE) {
            all.push("no line feed: it is all one line".to_string());
        }
        if census.feeds == 0 && returns > 0 && !ends {
            all.push(format!(
                "no line feed, and {returns} carriage returns, with which old Macs ended lines; they are symbols as they \
                 stand; {} makes line feeds of them",
                tr("'\\r' '\\n'")
            ));
        }
        if census.feeds > 0 && returns > 0 && ends {
            all.push(format!(
                "{returns} carriage returns without a line feed end lines too"
            ));
        }
        if census.pairs > 0 && !ends {
            all.push(format!(
                "{} line ends are a carriage return and a line feed, which are two characters; {} leaves the line feed",
                census.pairs,
                tr("-d '\\r'")
            ));
        }
        all
    }
}

impl TextFile {
    /// Its name for a shell.
    fn shell(&self) -> String {
        self.path
            .as_deref()
            .map_or("FILE".to_string(), paths::shell)
    }

    /// What is wrong with a file of a format that is no text.
    pub(super) fn is_no_text(&self, format: &Format, packed: Option<&str>) -> Error {
        let name = format.name;
        let within = packed.map_or(String::new(), |program| format!(" within {program} data"));
        let remedy = format.remedy(&self.shell(), packed);
        let remedy = remedy.map_or(String::new(), |remedy| format!("; {remedy}"));
        self.named(Error::data(format!(
            "expected a text, found {name}{within}{remedy}"
        )))
    }

    /// What `iconv` with these options makes of it.
    fn convert(&self, options: &str, packed: Option<&str>) -> String {
        let (iconv, shown) = (format!("iconv {options} -t UTF-8"), self.shell());
        to_file(&match packed {
            None => format!("{iconv} {shown}"),
            Some(program) => format!("{program} -dc {shown} | {iconv}"),
        })
    }

    /// What to say about a text of an encoding whose characters are two or four bytes wide.
    fn is_wide(&self, encoding: &str, packed: Option<&str>) -> String {
        let convert = self.convert(&format!("-f {encoding}"), packed);
        format!("it looks like {encoding} without a mark; {convert}")
    }
}

/// Whether bytes are UTF-8 but for some places: more of its characters beyond ASCII are right than wrong, or halves of
/// surrogate pairs, which no other encoding has.
fn mostly_utf8(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let wrong = text.matches('\u{FFFD}').count();
    let right = text.chars().filter(|c| !c.is_ascii()).count() - wrong;
    let surrogate =
        |three: &[u8]| three[0] == 0xed && three[1] >= 0xa0 && (0x80..0xc0).contains(&three[2]);
    right > wrong || bytes.windows(3).any(surrogate)
}

impl Corpus {
    /// An error of a part of which `bytes` were being read, with the way out where it is one of the encoding.
    pub(super) fn explained(
        &self,
        part: &TextFile,
        census: &Census,
        packed: Option<&str>,
        bytes: &[u8],
        e: Error,
    ) -> Error {
        let e = part.named(e);
        if !e.message.contains(NOT_UTF8) {
            return e;
        }
        let hint = match census.wide() {
            Some(encoding) => part.is_wide(encoding, packed),
            None if mostly_utf8(bytes) => format!(
                "most of it is UTF-8: {}, without what is wrong",
                part.convert("-c -f UTF-8", packed)
            ),
            None => format!(
                "if it is in an older encoding, such as Windows-1252, {}",
                part.convert("-f WINDOWS-1252", packed)
            ),
        };
        let advice = match self.advice {
            "" => String::new(),
            advice => format!("; {advice}"),
        };
        Error::new(e.kind, format!("{}; {hint}{advice}", e.message))
    }

    /// What to add to an error about the symbols of the whole text: that they are those of another encoding.
    pub(super) fn if_wide(&self) -> String {
        let parts = self
            .parts
            .iter()
            .zip(self.facts.get().into_iter().flatten());
        let mut wide = parts.filter_map(|(part, fact)| {
            let told = part.is_wide(fact.census.wide()?, fact.packed);
            Some(format!("; {}: {told}", part.name))
        });
        wide.next().unwrap_or_default()
    }

    /// What should be known about this text, one line each, after it was read for `vocabulary`: files that are not what
    /// they seem, that are empty or equal, NUL characters, line ends.
    ///
    /// # Errors
    /// As [`hash`](Self::hash), where the text was not read before.
    pub fn remarks(&self, vocabulary: &Vocabulary) -> Result<Vec<String>> {
        self.hash()?;
        let mut all = Vec::new();
        let mut seen = HashMap::new();
        // What the program made itself needs no remarks.
        let facts = self.facts.get().filter(|_| self.costs.is_none());
        for (part, fact) in self.parts.iter().zip(facts.into_iter().flatten()) {
            let told = fact.remarks(part, vocabulary);
            all.extend(told.iter().map(|text| format!("{}: {text}", part.name)));
            let twin = seen.insert(fact.hash, &part.name);
            if let Some(twin) = twin.filter(|_| fact.census.bytes > 0) {
                all.push(if *twin == part.name {
                    format!("{twin}: given twice, so its text is in there twice")
                } else {
                    format!("{}: the same text as {twin}", part.name)
                });
            }
        }
        Ok(all)
    }
}
