//! Shaders as templates: hand-written WGSL with sizes spliced in, lines repeated or left out, and bindings worked out.
//!
//! A line that starts with `#` is a directive: `#use NAME` puts in `shaders/lib/NAME.wgsl`; `#for i in A..B` ... `#end`
//! repeats lines; `#if NAME`, `#if !NAME` ... `#else` ... `#end` chooses by a size that is or is not 0 (DOUBLE: whether
//! the kernel computes in f64); `#main(GROUP) id, groups {` is the head of the entry point. `#{name}` stands for a size or
//! a text; `#{F}` is the type of numbers. A buffer is `$name[index]`; the head declares its type once,
//! `// $name: array<#{F}>`, and it is bound read-write exactly where a line that starts with `$name[` stores to it. Every
//! size is a `const` of its name, or, where a run says how many rows of a matrix count, a function that reads the count.
//! [`super::writer`] makes a kernel of it.

use std::collections::BTreeMap;

use super::tile::ELEMENT;
use crate::op::{Matrix, RowCount, SlotId};

/// The parts that shaders share.
const LIBRARY: &[(&str, &str)] = &[
    (
        "activations",
        include_str!("../../../shaders/lib/activations.wgsl"),
    ),
    ("double", include_str!("../../../shaders/lib/double.wgsl")),
    (
        "threefry",
        include_str!("../../../shaders/lib/threefry.wgsl"),
    ),
    ("finite", include_str!("../../../shaders/lib/finite.wgsl")),
    ("flat", include_str!("../../../shaders/lib/flat.wgsl")),
    (
        "exponentials",
        include_str!("../../../shaders/lib/exponentials.wgsl"),
    ),
    (
        "scan_rows",
        include_str!("../../../shaders/lib/scan_rows.wgsl"),
    ),
    ("pause", include_str!("../../../shaders/lib/pause.wgsl")),
    ("report", include_str!("../../../shaders/lib/report.wgsl")),
    (
        "sent_words",
        include_str!("../../../shaders/lib/sent_words.wgsl"),
    ),
    (
        "shared_sums",
        include_str!("../../../shaders/lib/shared_sums.wgsl"),
    ),
    ("total", include_str!("../../../shaders/lib/total.wgsl")),
    ("rules", include_str!("../../../shaders/lib/rules.wgsl")),
];

/// The buffer of the numbers that a run counts by.
pub(super) const COUNTS: &str = "counts";

/// A number, and four of them: types for [`Template::units`].
pub(super) const ONE: &str = "#{F}";
pub(super) const FOUR: &str = "vec4<#{F}>";

/// A template with what is spliced into it: a kernel, but for the types of its slots and its place among others.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub text: &'static str,
    /// Its name in profiles and errors.
    pub label: String,
    /// Workgroups.
    pub groups: [u32; 3],
    pub sizes: BTreeMap<String, u64>,
    pub numbers: BTreeMap<String, f64>,
    pub texts: BTreeMap<String, String>,
    pub buffers: BTreeMap<String, SlotId>,
    /// The sizes that are the most that a run may count, and where it says how many.
    pub row_count: BTreeMap<String, RowCount>,
    /// The extensions of WGSL that it uses.
    pub extensions: Vec<&'static str>,
}

impl Template {
    pub fn new(text: &'static str) -> Template {
        let template = Template {
            text,
            label: String::new(),
            groups: [1; 3],
            sizes: BTreeMap::new(),
            numbers: BTreeMap::new(),
            texts: BTreeMap::new(),
            buffers: BTreeMap::new(),
            row_count: BTreeMap::new(),
            extensions: Vec::new(),
        };
        template.units(ONE)
    }

    /// Names the kernel, and says how many workgroups it has.
    pub fn kernel(self, label: impl Into<String>, groups: [u32; 3]) -> Template {
        let label = label.into();
        Template {
            label,
            groups,
            ..self
        }
    }

    /// Elements are taken one at a time or four: `#{V}` is [`ONE`] or [`FOUR`] and `#{U}`, `#{I}` and `#{S}` its twins of
    /// u32, i32 and f32.
    pub fn units(self, v: &'static str) -> Template {
        let [u, i, s] = if v == FOUR {
            ["vec4<u32>", "vec4<i32>", "vec4<f32>"]
        } else {
            ["u32", "i32", "f32"]
        };
        self.text("V", v).text("U", u).text("I", i).text("S", s)
    }

    /// A whole number: a `const` u32, and known to directives.
    pub fn size(mut self, name: &str, value: usize) -> Template {
        self.sizes.insert(name.to_string(), value as u64);
        self
    }

    /// A switch: the size 1 or 0.
    pub fn flag(self, name: &str, value: bool) -> Template {
        self.size(name, usize::from(value))
    }

    /// Whether the threads of a subgroup hand operands to one another: `SUBGROUP`, and `lane` among the arguments.
    pub fn subgroup(self, value: bool) -> Template {
        let lane = if value { ", lane" } else { "" };
        self.flag("SUBGROUP", value).text("LANE", lane)
    }

    /// A whole number that is `most` or, with `row_count`, what the run says if that is less.
    pub fn counted(mut self, name: &str, most: usize, row_count: Option<RowCount>) -> Template {
        self.row_count
            .extend(row_count.map(|l| (name.to_string(), l)));
        self.buffers
            .extend(row_count.map(|l| (COUNTS.to_string(), l.slot)));
        self.size(name, most)
    }

    /// A number: a `const`.
    pub fn number(mut self, name: &str, value: f64) -> Template {
        self.numbers.insert(name.to_string(), value);
        self
    }

    /// Text for `#{name}`.
    pub fn text(mut self, name: &str, value: impl Into<String>) -> Template {
        self.texts.insert(name.to_string(), value.into());
        self
    }

    /// A slot for `$name`.
    pub fn buffer(mut self, name: &str, slot: SlotId) -> Template {
        self.buffers.insert(name.to_string(), slot);
        self
    }

    /// A matrix for `$name`, with its sizes `NAME_OFFSET`, `_ROWS`, `_COLS` and `_STRIDE`.
    pub fn matrix(self, name: &str, m: &Matrix) -> Template {
        let upper = name.to_uppercase();
        self.buffer(name, m.slot)
            .size(&format!("{upper}_OFFSET"), m.offset)
            .counted(&format!("{upper}_ROWS"), m.rows, m.row_count)
            .size(&format!("{upper}_COLS"), m.cols)
            .size(&format!("{upper}_STRIDE"), m.stride)
    }

    /// An extension of WGSL that the kernel uses.
    pub fn extension(mut self, name: &'static str) -> Template {
        self.extensions.push(name);
        self
    }

    /// The lines that remain, buffers and words as they are: a part of another template.
    pub fn expanded(&self) -> std::result::Result<String, String> {
        let mut body = String::new();
        let lines: Vec<&str> = self.text.lines().collect();
        self.expand(&lines, &mut self.sizes.clone(), &mut |line| {
            body.push_str(line);
            body.push('\n');
            Ok(())
        })?;
        Ok(body)
    }

    /// Hands every line that remains to `out`.
    pub(super) fn expand(
        &self,
        lines: &[&str],
        sizes: &mut BTreeMap<String, u64>,
        out: &mut dyn FnMut(&str) -> std::result::Result<(), String>,
    ) -> std::result::Result<(), String> {
        let mut at = 0;
        while at < lines.len() {
            let line = lines[at];
            let directive = line.trim_start();
            if let Some(rest) = directive.strip_prefix("#for ") {
                let (inner, _, next) = block(lines, at)?;
                let fault = || format!("cannot read `{directive}`");
                let (name, range) = rest.split_once(" in ").ok_or_else(fault)?;
                let (from, to) = range.split_once("..").ok_or_else(fault)?;
                let (from, to) = (value(from, sizes)?, value(to, sizes)?);
                for i in from..to {
                    sizes.insert(name.to_string(), i);
                    self.expand(inner, sizes, out)?;
                }
                sizes.remove(name);
                at = next;
            } else if let Some(rest) = directive.strip_prefix("#if ") {
                let (then, other, next) = block(lines, at)?;
                let truth = match rest.strip_prefix('!') {
                    Some(name) => value(name, sizes)? == 0,
                    None => value(rest, sizes)? != 0,
                };
                self.expand(if truth { then } else { other }, sizes, out)?;
                at = next;
            } else if let Some(name) = directive.strip_prefix("#use ") {
                let part = LIBRARY.iter().find(|l| l.0 == name.trim());
                let part = part.ok_or(format!("no library part `{name}`"))?;
                let inner: Vec<&str> = part.1.lines().collect();
                self.expand(&inner, sizes, out)?;
                at += 1;
            } else {
                if !directive.starts_with("//") {
                    // A text may have several lines.
                    let spliced = self.splice(line, sizes)?;
                    spliced.split('\n').try_for_each(&mut *out)?;
                }
                at += 1;
            }
        }
        Ok(())
    }

    pub(super) fn splice(
        &self,
        line: &str,
        sizes: &BTreeMap<String, u64>,
    ) -> std::result::Result<String, String> {
        let mut out = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("#{") {
            let (name, tail) = after
                .split_once('}')
                .ok_or(format!("open `#{{` in `{line}`"))?;
            out.push_str(before);
            match (self.texts.get(name), sizes.get(name)) {
                (Some(text), _) => out.push_str(text),
                (None, Some(size)) => {
                    out.push_str(&size.to_string());
                }
                (None, None) => return Err(format!("nothing is called `{name}`")),
            }
            rest = tail;
        }
        out.push_str(rest);
        Ok(out)
    }
}

/// The lines between the directive at `at` and its `#end`, those after `#else`, and the line after the end.
type Block<'a> = (&'a [&'a str], &'a [&'a str], usize);

fn block<'a>(lines: &'a [&'a str], at: usize) -> std::result::Result<Block<'a>, String> {
    let (mut depth, mut middle) = (0, None);
    for (i, line) in lines.iter().enumerate().skip(at + 1) {
        let line = line.trim_start();
        if line.starts_with("#for ") || line.starts_with("#if ") {
            depth += 1;
        } else if line == "#else" && depth == 0 {
            middle = Some(i);
        } else if line == "#end" {
            if depth == 0 {
                let then = &lines[at + 1..middle.unwrap_or(i)];
                let other = middle.map_or(&lines[i..i], |m| &lines[m + 1..i]);
                return Ok((then, other, i + 1));
            }
            depth -= 1;
        }
    }
    Err(format!("`{}` has no end", lines[at].trim()))
}

fn value(text: &str, sizes: &BTreeMap<String, u64>) -> std::result::Result<u64, String> {
    let text = text.trim();
    match text.parse() {
        Ok(number) => Ok(number),
        Err(_) => sizes
            .get(text)
            .copied()
            .ok_or(format!("no size is called `{text}`")),
    }
}

/// Workgroups of `size` threads for `threads` threads: a second axis where one is not long enough. The shader's index is
/// then `flat(...)` of `shaders/lib/flat.wgsl`.
pub(super) fn flat_groups(threads: usize, size: usize) -> [u32; 3] {
    const AXIS: usize = 65_535;
    let groups = threads.div_ceil(size).max(1);
    let rows = groups.div_ceil(AXIS);
    [groups.div_ceil(rows) as u32, rows as u32, 1]
}

/// Whether a matrix's rows can be read as vectors of four elements.
pub(super) fn aligned(m: &Matrix) -> bool {
    m.offset.is_multiple_of(ELEMENT) && m.stride.is_multiple_of(ELEMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_groups_take_a_second_axis() {
        assert_eq!(flat_groups(1, 64), [1, 1, 1]);
        let [x, y, _] = flat_groups(64 * 70_000, 64);
        assert!(x <= 65_535 && x * y >= 70_000);
    }
}
