//! NumPy's `.npy`: a short header in Python's notation before the numbers. NEP 1 of NumPy describes it, and its
//! `numpy.lib.format` the versions 2 and 3.

use super::numbers::{NumberForm, NumberType};
use super::white_space::brief;
use crate::error::{Error, Result};

/// The longest header that is read; NumPy's own of numbers are a tenth of a thousand bytes.
pub(super) const LONGEST_HEADER: usize = 1 << 16;

/// The most that stands before the numbers.
pub(super) const MOST_BEFORE: usize = 12 + LONGEST_HEADER;

/// The most dimensions that an array of NumPy has.
const MOST_DIMENSIONS: usize = 64;

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NpyHeader {
    pub shape: Vec<usize>,
    /// How its numbers lie; what they are called where they are of no type that is read.
    pub form: std::result::Result<NumberForm, String>,
    /// Whether the first index runs fastest.
    pub fortran: bool,
    /// Where the numbers begin.
    pub len: usize,
}

/// Reads the header at the beginning of `bytes`, which are the whole file or its first [`MOST_BEFORE`].
///
/// # Errors
/// `Kind::Data` for what is no such header.
pub(super) fn header(bytes: &[u8]) -> Result<NpyHeader> {
    let Some(rest) = bytes.strip_prefix(b"\x93NUMPY") else {
        let first = &bytes[..bytes.len().min(6)];
        return Err(Error::data(format!(
            "expected an .npy file, which begins with \\x93NUMPY, found {:?}",
            String::from_utf8_lossy(first)
        )));
    };
    let (size, before) = match rest {
        [1, 0, a, b, ..] => (u16::from_le_bytes([*a, *b]) as usize, 10),
        [2 | 3, 0, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 12),
        [1..=3, 0, ..] | [] | [_] => return Err(cut_short()),
        [major, minor, ..] => {
            return Err(Error::data(format!(
                "expected version 1.0, 2.0 or 3.0 of .npy, found {major}.{minor}"
            )));
        }
    };
    if size > LONGEST_HEADER {
        return Err(Error::data(format!(
            "expected a header of at most {LONGEST_HEADER} bytes, found one that says it has {size}"
        )));
    }
    let text = bytes.get(before..before + size).ok_or_else(cut_short)?;
    let text = std::str::from_utf8(text)
        .map_err(|_| Error::data("expected a header of text, found bytes that are no UTF-8"))?;
    let mut parser = Parser { rest: text };
    let (shape, form, fortran) = parser.dictionary().map_err(|expected| {
        Error::data(format!(
            "header of .npy: expected {expected}, found {:?} in {:?}",
            brief(parser.rest.trim_end()),
            brief(text.trim_end())
        ))
    })?;
    Ok(NpyHeader {
        shape,
        form,
        fortran,
        len: before + size,
    })
}

fn cut_short() -> Error {
    Error::data("expected the header of .npy, found the end of the file within it")
}

/// How numbers of a type string such as `<f8` lie; the string itself for types that are not read.
fn form(text: &str) -> std::result::Result<NumberForm, String> {
    let (order, kind) = match text.as_bytes() {
        [order @ (b'<' | b'>' | b'=' | b'|'), ..] => (*order, &text[1..]),
        _ => (b'=', text),
    };
    let kind = match kind {
        "f8" => NumberType::F64,
        "f4" => NumberType::F32,
        "f2" => NumberType::F16,
        "i1" => NumberType::I8,
        "i2" => NumberType::I16,
        "i4" => NumberType::I32,
        "i8" => NumberType::I64,
        "u1" => NumberType::U8,
        "u2" => NumberType::U16,
        "u4" => NumberType::U32,
        "u8" => NumberType::U64,
        "b1" => NumberType::Bool,
        _ => return Err(text.to_string()),
    };
    let form = match order {
        b'<' => NumberForm { kind, big: false },
        b'>' => NumberForm { kind, big: true },
        _ => NumberForm::native(kind),
    };
    // Without an order only a byte is sure.
    let sure = matches!(order, b'<' | b'>') || form.size() == 1;
    sure.then_some(form).ok_or_else(|| text.to_string())
}

type NpyForm = std::result::Result<NumberForm, String>;

/// Reads a dictionary of Python with the three entries of a header. Errors say what was expected where `rest` begins.
struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\n', '\t', '\r']);
    }

    fn take(&mut self, token: &str) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: &'static str) -> std::result::Result<(), &'static str> {
        if self.take(token) { Ok(()) } else { Err(token) }
    }

    fn string(&mut self) -> std::result::Result<&'a str, &'static str> {
        self.space();
        let quote = self.rest.chars().next().filter(|c| ['\'', '"'].contains(c));
        let quote =
            quote.ok_or("a quoted text (a type that is a list has several numbers an element)")?;
        let (text, rest) = self.rest[1..]
            .split_once(quote)
            .ok_or("a text whose quote closes")?;
        self.rest = rest;
        Ok(text)
    }

    fn shape(&mut self) -> std::result::Result<Vec<usize>, &'static str> {
        self.expect("(")?;
        let mut shape = Vec::new();
        while !self.take(")") {
            self.space();
            let end = self.rest.find(|c: char| !c.is_ascii_digit());
            let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
            let size = digits.parse::<usize>();
            shape.push(size.map_err(|_| "the size of a dimension, from 0 to 2^64 - 1")?);
            // Python 2 wrote an L behind some.
            self.rest = rest.strip_prefix('L').unwrap_or(rest);
            if shape.len() > MOST_DIMENSIONS {
                return Err("at most 64 dimensions");
            }
            if !self.take(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(shape)
    }

    fn dictionary(&mut self) -> std::result::Result<(Vec<usize>, NpyForm, bool), &'static str> {
        let (mut shape, mut kind, mut fortran) = (None, None, None);
        self.expect("{")?;
        while !self.take("}") {
            let name = self.string()?;
            self.expect(":")?;
            let again = match name {
                "descr" => kind.replace(form(self.string()?)).is_some(),
                "shape" => shape.replace(self.shape()?).is_some(),
                "fortran_order" => {
                    let value = match (self.take("True"), self.take("False")) {
                        (true, _) => true,
                        (false, true) => false,
                        (false, false) => return Err("True or False"),
                    };
                    fortran.replace(value).is_some()
                }
                _ => return Err("descr, fortran_order and shape alone"),
            };
            if again {
                return Err("each of descr, fortran_order and shape once");
            }
            if !self.take(",") {
                self.expect("}")?;
                break;
            }
        }
        self.space();
        if !self.rest.is_empty() {
            return Err("nothing behind it but spaces");
        }
        match (shape, kind, fortran) {
            (Some(shape), Some(kind), Some(fortran)) => Ok((shape, kind, fortran)),
            _ => Err("descr, fortran_order and shape"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u8, text: &str) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend([version, 0]);
        match version {
            1 => bytes.extend((text.len() as u16).to_le_bytes()),
            _ => bytes.extend((text.len() as u32).to_le_bytes()),
        }
        [&bytes, text.as_bytes()].concat()
    }

    #[test]
    fn headers_of_every_version_are_read() {
        let text = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }  \n";
        for version in [1, 2, 3] {
            let found = header(&file(version, text)).unwrap();
            assert_eq!(found.shape, [3, 4]);
            assert!(!found.fortran);
            let len = text.len() + if version == 1 { 10 } else { 12 };
            assert_eq!(found.len, len);
            let want = NumberForm {
                kind: NumberType::F64,
                big: false,
            };
            assert_eq!(found.form, Ok(want));
        }
        for (shape, want) in [
            ("()", &[][..]),
            ("(7,)", &[7]),
            ("(7L,2L)", &[7, 2]),
            ("( 1 , 2 ,3 )", &[1, 2, 3]),
        ] {
            let text = format!("{{\"shape\":{shape},'fortran_order':True,'descr':'>i2'}}");
            let found = header(&file(1, &text)).unwrap();
            assert_eq!((found.shape.as_slice(), found.fortran), (want, true));
            assert!(found.form.unwrap().big);
        }
        for kind in [
            "<U5", "|O", "<c16", "<f16", "f8", "=i4", "<M8[ns]", "|V2", "",
        ] {
            let text = format!("{{'descr':'{kind}','fortran_order':False,'shape':(1,)}}");
            assert_eq!(header(&file(1, &text)).unwrap().form, Err(kind.to_string()));
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        let whole = "{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4)}";
        for (text, part) in [
            ("", "expected {,"),
            ("{}", "expected descr, fortran_order and shape,"),
            (
                "{'descr': '<f8', 'shape': (3,)}",
                "expected descr, fortran_order",
            ),
            (&whole.replace("'descr'", "'desc'"), "and shape alone"),
            (&whole.replace("'shape'", "'descr'"), "a quoted text"),
            (&whole.replace("False", "0"), "True or False"),
            (
                &whole.replace("(3, 4)", "(3, -4)"),
                "the size of a dimension",
            ),
            (&whole.replace("(3, 4)", "(3 4)"), "expected ),"),
            (
                &whole.replace("(3, 4)", "(99999999999999999999, 4)"),
                "the size of a dimension",
            ),
            (&whole.replace("'<f8'", "[('a', '<f8')]"), "a quoted text"),
            (&whole.replace("'<f8'", "'<f8"), "expected"),
            (&format!("{whole}x"), "nothing behind it"),
            (
                &whole.replace("}", ", 'descr': '<f8'}"),
                "each of descr, fortran_order and shape once",
            ),
            (
                &whole.replace("(3, 4)", &format!("({})", "1,".repeat(65))),
                "at most 64 dimensions",
            ),
        ] {
            let e = header(&file(1, text)).unwrap_err();
            assert!(e.message.contains(part), "{text}: {e}");
        }
        let mut long = file(2, whole);
        long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        let e = header(&long).unwrap_err();
        assert!(e.message.ends_with("says it has 4294967295"), "{e}");
        let e = header(&file(4, whole)).unwrap_err();
        assert!(e.message.ends_with("found 4.0"), "{e}");
        let short = file(1, whole);
        for len in 0..short.len() {
            assert!(header(&short[..len]).is_err(), "{len}");
        }
    }
}
