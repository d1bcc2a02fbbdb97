//! Half precision: slots that are stored as f16 are read into f32 and rounded where they are stored; all arithmetic stays
//! in f32. Kernels are written for f32 alone, and their texts rewritten here.

use super::device::Device;
use super::template::Source;
use crate::op::Plan;
use crate::{Error, Result};

/// What a text with f16 begins with.
pub(super) const ENABLE: &str = "enable f16;\n";

/// Whether the device can hold what `plan` wants in half precision.
pub(super) fn allowed(device: &Device, plan: &Plan) -> Result<()> {
    match plan.slots.iter().find(|s| s.half) {
        Some(_) if !device.halves() => Err(device.adapter.no_half()),
        _ => Ok(()),
    }
}

impl super::Adapter {
    /// That the adapter has no half precision.
    pub fn no_half(&self) -> Error {
        Error::device(format!(
            "half: {} ({}) lacks the feature shader-f16, which half precision needs; leave half out",
            self.name, self.backend
        ))
    }
}

/// Rewrites a kernel for those of its buffers whose slots are in half precision.
///
/// # Errors
/// Internal, for a text that is not of the form that kernels have.
pub(super) fn narrow(source: &mut Source, plan: &Plan) -> Result<()> {
    let binds = source.binds.iter().enumerate();
    let halves: Vec<usize> = binds
        .filter(|(_, bind)| plan.slot(bind.slot).half)
        .map(|(i, _)| i)
        .collect();
    for i in &halves {
        let fault = |f: String| Error::internal(format!("kernel {}: {f}", source.label));
        source.text = rewritten(&source.text, &format!("buffer{i}")).map_err(fault)?;
    }
    if !halves.is_empty() && !source.text.contains(ENABLE) {
        source.text.insert_str(0, ENABLE);
    }
    Ok(())
}

/// A text with the buffer `name` of f16.
fn rewritten(text: &str, name: &str) -> std::result::Result<String, String> {
    let declared = format!(" {name}: array<");
    let line = text.lines().find(|l| l.contains(&declared));
    let wide = line.and_then(|l| l.split_once(&declared)?.1.strip_suffix(">;"));
    let wide = wide.ok_or(format!("{name} is not declared"))?;
    let alias = format!("alias {wide} = ");
    let meant = { text.lines() }.find_map(|l| l.strip_prefix(&alias)?.strip_suffix(';'));
    let narrow = match meant.unwrap_or(wide) {
        "f32" => "f16",
        "vec4<f32>" => "vec4<f16>",
        other => return Err(format!("{name} holds {other}, expected numbers")),
    };
    let mut out = String::with_capacity(text.len() + 256);
    for line in text.lines() {
        if Some(line) == text.lines().find(|l| l.contains(&declared)) {
            let (before, _) = line.split_once(&declared).unwrap_or((line, ""));
            out.push_str(&format!("{before}{declared}{narrow}>;\n"));
            continue;
        }
        out.push_str(&statement(line, name, wide, narrow)?);
        out.push('\n');
    }
    Ok(out)
}

/// A line: one that starts with the buffer stores to it, every other use of it is a load.
fn statement(
    line: &str,
    name: &str,
    wide: &str,
    narrow: &str,
) -> std::result::Result<String, String> {
    let code = line.trim_start();
    let Some(inside) = code.strip_prefix(name).and_then(|c| c.strip_prefix('[')) else {
        return loads(line, name, wide);
    };
    let (index, rest) = bracket(inside)?;
    let fault = || format!("cannot read `{code}`");
    let (operator, value) = rest.trim_start().split_once('=').ok_or_else(fault)?;
    let value = value.trim().strip_suffix(';').ok_or_else(fault)?;
    let place = format!("{name}[{}]", loads(index, name, wide)?);
    let value = loads(value, name, wide)?;
    let value = match operator.trim() {
        "" => value,
        operator => format!("{wide}({place}) {operator} ({value})"),
    };
    let indent = &line[..line.len() - code.len()];
    Ok(format!("{indent}{place} = {narrow}({value});"))
}

/// A text with every load of the buffer widened.
fn loads(text: &str, name: &str, wide: &str) -> std::result::Result<String, String> {
    let opening = format!("{name}[");
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once(&opening) {
        let (index, after) = bracket(inside)?;
        let index = loads(index, name, wide)?;
        out.push_str(&format!("{before}{wide}({name}[{index}])"));
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// What lies before the bracket that closes, and after it.
fn bracket(text: &str) -> std::result::Result<(&str, &str), String> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '[' => depth += 1,
            ']' if depth == 0 => return Ok((&text[..at], &text[at + 1..])),
            ']' => depth -= 1,
            _ => {}
        }
    }
    Err(format!("no bracket closes `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_are_widened_and_stores_rounded() {
        let text = "alias V = vec4<f32>;\n\
            @group(0) @binding(1) var<storage, read_write> buffer1: array<V>;\n\
            @group(0) @binding(10) var<storage, read> buffer10: array<f32>;\n\
            \x20   let x = buffer1[buffer10[2] + 1u] + buffer1[0];\n\
            \x20   buffer1[u32(buffer1[3].x)] = x * 2.0;\n\
            \x20   buffer1[4] += x;\n";
        let want = "alias V = vec4<f32>;\n\
            @group(0) @binding(1) var<storage, read_write> buffer1: array<vec4<f16>>;\n\
            @group(0) @binding(10) var<storage, read> buffer10: array<f32>;\n\
            \x20   let x = V(buffer1[buffer10[2] + 1u]) + V(buffer1[0]);\n\
            \x20   buffer1[u32(V(buffer1[3]).x)] = vec4<f16>(x * 2.0);\n\
            \x20   buffer1[4] = vec4<f16>(V(buffer1[4]) + (x));\n";
        assert_eq!(rewritten(text, "buffer1").unwrap(), want);
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let of = |line: &str| {
            let text = format!("var<storage> buffer0: array<f32>;\n{line}\n");
            rewritten(&text, "buffer0").unwrap_err()
        };
        assert!(of("buffer0[1] = 2.0 +").contains("cannot read"));
        assert!(of("let x = buffer0[1;").contains("no bracket"));
        assert!(rewritten("", "buffer0").unwrap_err().contains("declared"));
        let words = "var<storage> buffer0: array<u32>;\n";
        assert!(rewritten(words, "buffer0").unwrap_err().contains("u32"));
    }
}
