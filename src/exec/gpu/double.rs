//! Double precision: kernels that store numbers as f64 and compute with them. Kernels are written for f32 alone, and their
//! texts rewritten here; what the shading language has for f32 only stands in `shaders/lib/double.wgsl`.

use super::device::Device;
use super::template::Source;
use super::tile::Tile;
use crate::op::Plan;
use crate::{Error, Result};

/// Functions of f64.
const LIBRARY: &str = include_str!("../../../shaders/lib/double.wgsl");
/// Those of f32 that have a twin of the same name there.
const REPLACED: [&str; 4] = ["keep_nan", "sigmoid", "tanh_safe", "finite"];
/// What rewriting by words would get wrong: bits and matrices of f32, and hands from thread to thread, which are said of
/// 32 bits alone.
const FOREIGN: [&str; 4] = ["bitcast", "subgroup", "coop_mat", "f16"];

/// Whether the device can compute what `plan` wants in double precision.
pub(super) fn allowed(device: &Device, plan: &Plan) -> Result<()> {
    if plan.doubled() && !device.doubles() {
        Err(device.adapter.no_double())
    } else {
        Ok(())
    }
}

impl super::Adapter {
    /// That the adapter has no double precision.
    pub fn no_double(&self) -> Error {
        Error::device(format!(
            "double: {} ({}) lacks the feature shader-f64, which double precision needs; leave double out",
            self.name, self.backend
        ))
    }
}

/// The tile for a plan: in double precision nothing that its kernels are not made for, or that f64 makes too large for the
/// memory of a workgroup.
pub(super) fn tile(tile: Tile, plan: &Plan) -> Tile {
    if plan.doubled() {
        Tile {
            subgroup: 0,
            cooperative: 0,
            matrices: 0,
            shared: false,
            ..tile
        }
    } else {
        tile
    }
}

/// Rewrites a kernel of a plan in double precision.
///
/// # Errors
/// Internal, for a kernel that has no form in f64.
pub(super) fn widen(source: &mut Source, plan: &Plan) -> Result<()> {
    if plan.doubled() {
        let fault = |f: String| Error::internal(format!("kernel {}: {f}", source.label));
        source.text = rewritten(&source.text, &source.numbers).map_err(fault)?;
    }
    Ok(())
}

/// A text in f64, with all digits of the constants whose bits are given.
fn rewritten(text: &str, numbers: &[(String, u64)]) -> std::result::Result<String, String> {
    let mut out = String::with_capacity(2 * text.len());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let named = |name: &str| line.starts_with(&format!("fn {name}("));
        if REPLACED.iter().any(|name| named(name)) {
            lines.by_ref().find(|line| *line == "}");
            continue;
        }
        let of = |(name, _): &&(String, u64)| line.starts_with(&format!("const {name}: f32 = "));
        match numbers.iter().find(of) {
            Some((name, bits)) => {
                let value = f64::from_bits(*bits);
                out.push_str(&format!("const {name}: f64 = {value:?}lf;"));
            }
            None => words(line, &mut out)?,
        }
        out.push('\n');
    }
    if let Some(word) = FOREIGN.iter().find(|word| out.contains(**word)) {
        return Err(format!("`{word}` has no form in double precision"));
    }
    let library = [
        "exp_double(",
        "log_double(",
        "sigmoid(",
        "tanh_safe(",
        "finite(",
    ];
    if library.iter().any(|name| out.contains(name)) {
        // A kernel has functions of one type, that of its units where it has units.
        let by_four = out.contains("alias V = vec4<f64>;");
        for (name, one, four) in [
            ("D", "f64", "vec4<f64>"),
            ("I", "i32", "vec4<i32>"),
            ("S", "f32", "vec4<f32>"),
        ] {
            let of = if by_four { four } else { one };
            out.push_str(&format!("alias {name} = {of};\n"));
        }
        let code = LIBRARY
            .lines()
            .filter(|l| !l.trim_start().starts_with("//"));
        code.for_each(|line| out.extend([line, "\n"]));
    }
    Ok(out)
}

/// A line with f64 in place of f32, in types, functions and numbers.
fn words(line: &str, out: &mut String) -> std::result::Result<(), String> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        if !part(first) {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let end = if first.is_ascii_digit() {
            number(rest)
        } else {
            rest.find(|c| !part(c)).unwrap_or(rest.len())
        };
        let (word, after) = rest.split_at(end);
        let call = after.starts_with('(');
        match word {
            "f32" => out.push_str("f64"),
            "exp" | "log" if call => out.extend([word, "_double"]),
            "exp2" | "log2" | "pow" | "tanh" | "sin" | "cos" if call => {
                return Err(format!("`{word}` has no form in double precision"));
            }
            _ if is_float(word) => out.extend([word, "lf"]),
            _ => out.push_str(word),
        }
        rest = after;
    }
    Ok(())
}

/// Where the number ends with which a text starts.
fn number(text: &str) -> usize {
    let hex = text.starts_with("0x");
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E') && !hex;
        if !(c.is_ascii_alphanumeric() || c == '.' || sign) {
            return at;
        }
        before = c;
    }
    text.len()
}

/// Whether a word is a number with a fraction or an exponent.
fn is_float(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
        && !word.starts_with("0x")
        && word.contains(['.', 'e', 'E'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_functions_and_numbers_become_those_of_f64() {
        let text = "const SCALE: f32 = 0.1;\nconst ROWS: u32 = 3u;\nalias V = vec4<f32>;\n\
            fn sigmoid(x: V) -> V {\n    return x;\n}\n\
            \x20   let x = select(0.0, exp(b1.x) * 2.5e-6 + exponent, f32(n) > 0x1.8u);\n";
        let got = rewritten(text, &[("SCALE".into(), 0.1f64.to_bits())]).unwrap();
        let want = "const SCALE: f64 = 0.1lf;\nconst ROWS: u32 = 3u;\nalias V = vec4<f64>;\n\
            \x20   let x = select(0.0lf, exp_double(b1.x) * 2.5e-6lf + exponent, f64(n) > 0x1.8u);\n\
            alias D = vec4<f64>;\n";
        assert!(got.starts_with(want), "{got}");
        assert_eq!(got.matches("fn sigmoid(").count(), 1, "{got}");
        let third = [("X".to_string(), (1.0f64 / 3.0).to_bits())];
        let got = rewritten("const X: f32 = 0.33333334;\n", &third).unwrap();
        assert_eq!(got, "const X: f64 = 0.3333333333333333lf;\n");
    }

    #[test]
    fn what_has_no_form_in_f64_is_an_error() {
        for line in [
            "let x = bitcast<u32>(y);",
            "let x = subgroupBroadcast(y, 0u);",
            "let x = pow(y, 2.0);",
        ] {
            let error = rewritten(line, &[]).unwrap_err();
            assert!(error.contains("no form in double"), "{error}");
        }
    }
}
