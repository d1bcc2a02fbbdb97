//! What a file is that is no text, by its first bytes, and the command that makes a text of it.

use std::path::Path;

use crate::error::{Error, Result};

/// So many of the first bytes tell: the mark of a tar archive is the last.
pub(super) const HEAD: usize = 512;

/// A format of files that are no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// Its name, with its article.
    pub name: &'static str,
    /// What makes a text of it, `{}` being the file; empty where nothing does.
    command: &'static str,
    /// The same from standard input, where that can be.
    piped: &'static str,
}

/// A format and what its files begin with: bytes and where they stand, all of which must be there.
type Known = (Format, &'static [(usize, &'static [u8])]);

const fn known(
    name: &'static str,
    command: &'static str,
    piped: &'static str,
    marks: &'static [(usize, &'static [u8])],
) -> Known {
    let format = Format {
        name,
        command,
        piped,
    };
    (format, marks)
}

const ICONV16: &str = "iconv -f UTF-16 -t UTF-8";
const ICONV32: &str = "iconv -f UTF-32 -t UTF-8";
const OFFICE: &str = "libreoffice --headless --convert-to txt:Text {}";

/// Those that begin as others do come before them.
const FORMATS: &[Known] = &[
    known(
        "UTF-32 text",
        "iconv -f UTF-32 -t UTF-8 {}",
        ICONV32,
        &[(0, b"\xff\xfe\0\0")],
    ),
    known(
        "UTF-32 text",
        "iconv -f UTF-32 -t UTF-8 {}",
        ICONV32,
        &[(0, b"\0\0\xfe\xff")],
    ),
    known(
        "UTF-16 text",
        "iconv -f UTF-16 -t UTF-8 {}",
        ICONV16,
        &[(0, b"\xff\xfe")],
    ),
    known(
        "UTF-16 text",
        "iconv -f UTF-16 -t UTF-8 {}",
        ICONV16,
        &[(0, b"\xfe\xff")],
    ),
    known("gzip data", "gzip -dc {}", "gzip -dc", &[(0, b"\x1f\x8b")]),
    known(
        "zstd data",
        "zstd -dc {}",
        "zstd -dc",
        &[(0, b"\x28\xb5\x2f\xfd")],
    ),
    known("xz data", "xz -dc {}", "xz -dc", &[(0, b"\xfd7zXZ\0")]),
    known(
        "bzip2 data",
        "bzip2 -dc {}",
        "bzip2 -dc",
        &[(0, b"BZh"), (4, b"1AY&SY")],
    ),
    known(
        "bzip2 data",
        "bzip2 -dc {}",
        "bzip2 -dc",
        &[(0, b"BZh"), (4, b"\x17\x72\x45\x38\x50\x90")],
    ),
    known("LZMA data", "xz -dc {}", "xz -dc", &[(0, b"\x5d\0\0")]),
    known(
        "LZ4 data",
        "lz4 -dc {}",
        "lz4 -dc",
        &[(0, b"\x04\x22\x4d\x18")],
    ),
    known("lzip data", "lzip -dc {}", "lzip -dc", &[(0, b"LZIP\x01")]),
    known(
        "LZO data",
        "lzop -dc {}",
        "lzop -dc",
        &[(0, b"\x89LZO\0\r\n\x1a\n")],
    ),
    known(
        "data of compress (.Z)",
        "gzip -dc {}",
        "gzip -dc",
        &[(0, b"\x1f\x9d")],
    ),
    known(
        "an EPUB book",
        "pandoc -t plain {}",
        "pandoc -f epub -t plain",
        &[(0, b"PK\x03\x04"), (30, b"mimetypeapplication/epub")],
    ),
    known(
        "an OpenDocument file",
        OFFICE,
        "",
        &[(0, b"PK\x03\x04"), (30, b"mimetypeapplication/vnd.oasis")],
    ),
    known(
        "an Office document",
        OFFICE,
        "",
        &[(0, b"PK\x03\x04"), (30, b"[Content_Types].xml")],
    ),
    known("a zip archive", "unzip -p {}", "", &[(0, b"PK\x03\x04")]),
    known("an empty zip archive", "", "", &[(0, b"PK\x05\x06")]),
    known("a part of a zip archive", "", "", &[(0, b"PK\x07\x08")]),
    known(
        "a 7z archive",
        "7z x -so {}",
        "",
        &[(0, b"7z\xbc\xaf\x27\x1c")],
    ),
    known(
        "a RAR archive",
        "unrar p -inul {}",
        "",
        &[(0, b"Rar!\x1a\x07")],
    ),
    known(
        "a tar archive",
        "tar -xOf {}",
        "tar -xO",
        &[(257, b"ustar\0")],
    ),
    known(
        "a tar archive",
        "tar -xOf {}",
        "tar -xO",
        &[(257, b"ustar  \0")],
    ),
    known(
        "a cabinet archive",
        "7z x -so {}",
        "",
        &[(0, b"MSCF\0\0\0\0")],
    ),
    known("an ar archive", "ar p {}", "", &[(0, b"!<arch>\n")]),
    known(
        "a PDF document",
        "pdftotext {} -",
        "pdftotext - -",
        &[(0, b"%PDF-")],
    ),
    known("a DjVu document", "djvutxt {}", "", &[(0, b"AT&TFORM")]),
    known(
        "an old Office document",
        OFFICE,
        "",
        &[(0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")],
    ),
    known("RTF", OFFICE, "", &[(0, b"{\\rtf")]),
    known("a SQLite database", "", "", &[(0, b"SQLite format 3\0")]),
    known("an HDF5 file", "", "", &[(0, b"\x89HDF\r\n\x1a\n")]),
    known("a Parquet file", "", "", &[(0, b"PAR1\x15")]),
    known("an Arrow file", "", "", &[(0, b"ARROW1\0")]),
    known("a NumPy array", "", "", &[(0, b"\x93NUMPY")]),
    known("a GGUF model", "", "", &[(0, b"GGUF"), (6, b"\0\0")]),
    known("a safetensors file", "", "", &[(3, b"\0\0\0\0\0{\"")]),
    known("a Python pickle", "", "", &[(0, b"\x80\x02")]),
    known("a Python pickle", "", "", &[(0, b"\x80\x03")]),
    known("a Python pickle", "", "", &[(0, b"\x80\x04\x95")]),
    known("a Python pickle", "", "", &[(0, b"\x80\x05\x95")]),
    known("a PNG image", "", "", &[(0, b"\x89PNG\r\n\x1a\n")]),
    known("a JPEG image", "", "", &[(0, b"\xff\xd8\xff")]),
    known("a GIF image", "", "", &[(0, b"GIF87a"), (12, b"\0")]),
    known("a GIF image", "", "", &[(0, b"GIF89a"), (12, b"\0")]),
    known("a TIFF image", "", "", &[(0, b"II*\0")]),
    known("a TIFF image", "", "", &[(0, b"MM\0*")]),
    known("a WebP image", "", "", &[(0, b"RIFF"), (8, b"WEBP")]),
    known("a WAV recording", "", "", &[(0, b"RIFF"), (8, b"WAVE")]),
    known("an Ogg recording", "", "", &[(0, b"OggS\0")]),
    known("a FLAC recording", "", "", &[(0, b"fLaC\0")]),
    known("an MP3 recording", "", "", &[(0, b"ID3"), (4, b"\0")]),
    known("a MIDI file", "", "", &[(0, b"MThd\0\0\0\x06")]),
    known("an MP4 film", "", "", &[(0, b"\0\0\0"), (4, b"ftyp")]),
    known("a program", "", "", &[(0, b"\x7fELF")]),
    known("a program", "", "", &[(0, b"MZ"), (3, b"\0")]),
    known("a WebAssembly program", "", "", &[(0, b"\0asm")]),
    known("a Java class", "", "", &[(0, b"\xca\xfe\xba\xbe")]),
    known(
        "a pointer of Git LFS instead of the file, which `git lfs pull` brings",
        "",
        "",
        &[(0, b"version https://git-lfs.github.com/spec/")],
    ),
];

impl Format {
    /// The format of what begins with `head`, if it is none of text.
    pub fn of(head: &[u8]) -> Option<Format> {
        let stands = |(at, mark): &(usize, &[u8])| {
            head.get(*at..).is_some_and(|rest| rest.starts_with(mark))
        };
        let found = FORMATS.iter().find(|(_, marks)| marks.iter().all(stands));
        found.map(|(format, _)| *format)
    }

    /// How to make a text of `file`, as a shell calls it; `packed` is the program that decompresses it, where it lies within
    /// other compressed data.
    pub fn remedy(&self, file: &str, packed: Option<&str>) -> Option<String> {
        // Other commands find out about compression themselves.
        let finds = self.command.starts_with("tar ");
        let command = match packed.filter(|_| !finds) {
            None => self.command.replace("{}", file),
            Some(_) if self.piped.is_empty() => return None,
            Some(program) => format!("{program} -dc {file} | {}", self.piped),
        };
        if command.is_empty() {
            None
        } else if self.command == OFFICE {
            // It writes a file of its own.
            Some(format!("{command} makes a text of it"))
        } else {
            Some(to_file(&command))
        }
    }
}

/// What to say of a command that writes a text.
pub(super) fn to_file(command: &str) -> String {
    format!("{command} > OUT.txt makes a text of it, or pipe that in, with - for the file")
}

/// A file that people write by hand as text, without the byte order mark that it may begin with.
///
/// # Errors
/// `Kind::Data` when it is not UTF-8, naming the file at `path`, the byte, its offset and line, and what it is where that is
/// known.
pub fn plain_text<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a str> {
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let at = e.valid_up_to();
        let line = 1 + bytes[..at].iter().filter(|b| **b == b'\n').count();
        let what = Format::of(bytes).map_or(String::new(), |f| format!("; it is {}", f.name));
        Error::data(format!(
            "{}: not UTF-8: byte 0x{:02X} at offset {at} (line {line}){what}",
            path.display(),
            bytes[at]
        ))
    })?;
    Ok(text.strip_prefix('\u{FEFF}').unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_known_by_its_first_bytes_and_no_text_is() {
        for (format, marks) in FORMATS {
            let mut head = vec![b'?'; HEAD];
            for (at, mark) in *marks {
                head[*at..][..mark.len()].copy_from_slice(mark);
            }
            let found = Format::of(&head).map(|f| f.name);
            assert_eq!(found, Some(format.name));
            // Nothing beyond what is looked at.
            assert!(marks.iter().all(|(at, mark)| at + mark.len() <= HEAD));
            // A byte less is something else, or nothing.
            head[marks[0].0] ^= 0x80;
            assert_ne!(Format::of(&head), Some(*format), "{}", format.name);
        }
        for text in [
            "",
            "P",
            "plain",
            "\u{feff}plain",
            "\0",
            "<html>",
            "#!/bin/sh",
        ] {
            assert_eq!(Format::of(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn files_written_by_hand_may_have_a_mark_and_must_be_utf8() {
        let path = Path::new("x.toml");
        assert_eq!(plain_text("\u{feff}a = 1".as_bytes(), path), Ok("a = 1"));
        let e = plain_text(b"a\nb\xe9", path).unwrap_err();
        assert_eq!(
            e.message,
            "x.toml: not UTF-8: byte 0xE9 at offset 3 (line 2)"
        );
        let e = plain_text(b"\xff\xfea\0", path).unwrap_err();
        assert!(
            e.message.ends_with("offset 0 (line 1); it is UTF-16 text"),
            "{e}"
        );
    }
}
