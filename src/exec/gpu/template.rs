//! Shaders as templates: hand-written WGSL with sizes spliced in, lines repeated or left out, and bindings worked out.
//!
//! A line that starts with `#` is a directive: `#use NAME` puts in `shaders/lib/NAME.wgsl`; `#for i in A..B` ... `#end`
//! repeats lines; `#if NAME`, `#if !NAME` ... `#else` ... `#end` chooses by a size that is or is not 0. `#{name}` stands
//! for a size or a text. A buffer is `$name[index]`; the head declares its type once, `// $name: array<f32>`, and it is
//! bound read-write exactly where a line that starts with `$name[` stores to it. Every size is a `const` of its name,
//! or, where a run says how many rows of a matrix count, a function that reads the count.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::tile::ELEMENT;
use crate::op::{Matrix, RowCount, SlotId};
use crate::{Error, Result};

/// The parts that shaders share.
const LIBRARY: &[(&str, &str)] = &[
    (
        "activations",
        include_str!("../../../shaders/lib/activations.wgsl"),
    ),
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
    ("rules", include_str!("../../../shaders/lib/rules.wgsl")),
];

/// How a slot is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Bind {
    /// The slot.
    pub slot: SlotId,
    /// Whether the kernel stores to it.
    pub write: bool,
    /// The elements of the slot that are bound, from the first to one past the last; all of them where absent.
    pub window: Option<(usize, usize)>,
}

/// The buffer of the numbers that a run counts by.
const COUNTS: &str = "counts";

/// A kernel in WGSL, complete but for its buffers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source {
    /// Its name in profiles and errors.
    pub label: String,
    /// The text.
    pub text: String,
    /// The slots in the order of their bindings.
    pub binds: Vec<Bind>,
    /// How many steps the binding after the slots, a uniform, tells of: none where there is no such binding.
    pub parameters: usize,
    /// Workgroups.
    pub groups: [u32; 3],
    /// The numbers that the text has as `const` f32, with all bits of their f64; none where it is several texts' together.
    pub numbers: Vec<(String, u64)>,
}

/// A template with what is spliced into it.
#[derive(Clone, Debug)]
pub(super) struct Template {
    text: &'static str,
    sizes: BTreeMap<String, u64>,
    numbers: BTreeMap<String, f64>,
    texts: BTreeMap<String, String>,
    buffers: BTreeMap<String, SlotId>,
    /// The sizes that are the most that a run may count, and where it says how many.
    row_count: BTreeMap<String, RowCount>,
}

impl Template {
    pub fn new(text: &'static str) -> Template {
        Template {
            text,
            sizes: BTreeMap::new(),
            numbers: BTreeMap::new(),
            texts: BTreeMap::new(),
            buffers: BTreeMap::new(),
            row_count: BTreeMap::new(),
        }
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
        let lane = if value {
            ", @builtin(subgroup_invocation_id) lane: u32"
        } else {
            ""
        };
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

    /// A number: a `const` f32.
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

    /// The text alone, its buffers still by name: a part of another template.
    pub fn part(self) -> std::result::Result<String, String> {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut body = String::new();
        self.expand(&lines, &mut self.sizes.clone(), &mut body)?;
        Ok(body)
    }

    /// The kernel, for `groups` workgroups.
    pub fn build(self, label: impl Into<String>, groups: [u32; 3]) -> Result<Source> {
        let label = label.into();
        self.fill(&label, groups)
            .map_err(|fault| Error::internal(format!("kernel {label}: {fault}")))
    }

    fn fill(&self, label: &str, groups: [u32; 3]) -> std::result::Result<Source, String> {
        let mut lines: Vec<&str> = Vec::new();
        for line in self.text.lines() {
            match line.strip_prefix("#use ") {
                Some(name) => {
                    let part = LIBRARY.iter().find(|l| l.0 == name.trim());
                    let part = part.ok_or(format!("no library part `{name}`"))?;
                    lines.extend(part.1.lines());
                }
                None => lines.push(line),
            }
        }
        let mut sizes = self.sizes.clone();
        let mut body = String::new();
        self.expand(&lines, &mut sizes, &mut body)?;
        for (name, row_count) in &self.row_count {
            let function = format!("count_{}", name.to_lowercase());
            body = renamed(&body, name, &format!("{function}()"));
            let (most, word) = (self.sizes[name], row_count.word);
            let count = match row_count.before {
                0 => format!("${COUNTS}[{word}]"),
                before => format!("max({before}u, ${COUNTS}[{word}]) - {before}u"),
            };
            let _ = writeln!(
                body,
                "fn {function}() -> u32 {{\nreturn min({most}u, {count});\n}}"
            );
        }
        let mut types = self.types()?;
        types.insert(COUNTS, "array<u32>".to_string());
        let (body, binds) = self.bind(&body, &types)?;
        let step = body.contains("step.");
        let mut text = String::new();
        for (name, value) in self
            .sizes
            .iter()
            .filter(|s| !self.row_count.contains_key(s.0))
        {
            let _ = writeln!(text, "const {name}: u32 = {value}u;");
        }
        for (name, value) in &self.numbers {
            let _ = writeln!(text, "const {name}: f32 = {:?};", *value as f32);
        }
        for (i, (bind, of)) in binds.iter().enumerate() {
            let access = if bind.write { "read_write" } else { "read" };
            let _ = writeln!(
                text,
                "@group(0) @binding({i}) var<storage, {access}> buffer{i}: {of};"
            );
        }
        if step {
            let at = binds.len();
            let _ = writeln!(
                text,
                "@group(0) @binding({at}) var<uniform> step: vec4<u32>;"
            );
        }
        text.push_str(&body);
        Ok(Source {
            label: label.to_string(),
            text,
            binds: binds.into_iter().map(|b| b.0).collect(),
            parameters: usize::from(step),
            groups,
            numbers: { self.numbers.iter() }
                .map(|(name, value)| (name.clone(), value.to_bits()))
                .collect(),
        })
    }

    /// The types that the head declares.
    fn types(&self) -> std::result::Result<BTreeMap<&'static str, String>, String> {
        let mut types = BTreeMap::new();
        for line in self.text.lines() {
            if let Some((name, rest)) = line.strip_prefix("// $").and_then(|l| l.split_once(": ")) {
                let of = rest.split([',', ' ']).next().unwrap_or(rest);
                let of = self.splice(of, &self.sizes)?;
                types.insert(name, of);
            }
        }
        Ok(types)
    }

    fn expand(
        &self,
        lines: &[&str],
        sizes: &mut BTreeMap<String, u64>,
        out: &mut String,
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
            } else {
                if !directive.starts_with("//") {
                    out.push_str(&self.splice(line, sizes)?);
                    out.push('\n');
                }
                at += 1;
            }
        }
        Ok(())
    }

    fn splice(
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
                    let _ = write!(out, "{size}");
                }
                (None, None) => return Err(format!("nothing is called `{name}`")),
            }
            rest = tail;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// Replaces `$name` by variables, one a slot, and works out how each is bound.
    fn bind(
        &self,
        body: &str,
        types: &BTreeMap<&'static str, String>,
    ) -> std::result::Result<(String, Vec<(Bind, String)>), String> {
        let mut binds: Vec<(Bind, String)> = Vec::new();
        let mut out = String::new();
        for line in body.lines() {
            let store = line.trim_start().starts_with('$');
            let mut rest = line;
            let mut first = true;
            while let Some((before, after)) = rest.split_once('$') {
                let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let (name, tail) = after.split_at(end.unwrap_or(after.len()));
                let slot = self
                    .buffers
                    .get(name)
                    .ok_or(format!("no buffer is called `{name}`"))?;
                // w0, w1, ... share the declaration of `w#`.
                let family = format!("{}#", name.trim_end_matches(|c: char| c.is_ascii_digit()));
                let of = types.get(name).or_else(|| types.get(family.as_str()));
                let of = of.ok_or(format!("the head declares no buffer `{name}`"))?;
                let known = binds.iter().position(|b| b.0.slot == *slot);
                let at = known.unwrap_or_else(|| {
                    let bind = Bind {
                        slot: *slot,
                        write: false,
                        window: None,
                    };
                    binds.push((bind, of.clone()));
                    binds.len() - 1
                });
                if binds[at].1 != *of {
                    return Err(format!(
                        "`{name}` binds as {of} a slot that is bound as {} already",
                        binds[at].1
                    ));
                }
                binds[at].0.write |= store && first;
                first = false;
                let _ = write!(out, "{before}buffer{at}");
                rest = tail;
            }
            out.push_str(rest);
            out.push('\n');
        }
        if let Some(unknown) = self
            .buffers
            .keys()
            .find(|b| b.contains(|c: char| !c.is_ascii_alphanumeric()))
        {
            return Err(format!("`{unknown}` is no name for a buffer"));
        }
        Ok((out, binds))
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

/// `text` with every identifier `name` replaced.
pub(super) fn renamed(text: &str, name: &str, by: &str) -> String {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, after) = rest.split_at(at);
        let tail = &after[name.len()..];
        out.push_str(before);
        let inside = out.ends_with(part) || tail.starts_with(part);
        out.push_str(if inside { name } else { by });
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "// A test.\n// $a: array<#{T}>, read\n// $w#: array<f32>\n#for i in 0..N\nlet x#{i} = $a[#{i}] + $w1[0];\n\
        #end\n#if N\n$b[N] = x0;\n#else\nnever\n#end\n// $b: array<f32>\n";

    fn template() -> Template {
        Template::new(TEXT)
            .size("N", 2)
            .text("T", "f32")
            .buffer("a", SlotId(4))
            .buffer("w1", SlotId(7))
    }

    #[test]
    fn directives_expand_and_stores_make_bindings_writable() {
        let source = template()
            .buffer("b", SlotId(9))
            .build("k", [1; 3])
            .unwrap();
        assert!(source.text.contains("let x1 = buffer0[1] + buffer1[0];"));
        assert!(source.text.contains("buffer2[N] = x0;"));
        assert!(!source.text.contains("never"));
        let writes: Vec<(usize, bool)> = source.binds.iter().map(|b| (b.slot.0, b.write)).collect();
        assert_eq!(writes, [(4, false), (7, false), (9, true)]);
    }

    #[test]
    fn one_slot_is_one_binding() {
        let source = template()
            .buffer("b", SlotId(4))
            .build("k", [1; 3])
            .unwrap();
        assert_eq!(source.binds.len(), 2);
        assert!(source.binds[0].write);
    }

    #[test]
    fn faults_name_the_kernel_and_the_buffer() {
        let missing = template().build("scan.l0", [1; 3]).unwrap_err();
        assert!(missing.message.contains("scan.l0") && missing.message.contains("`b`"));
        let mixed = template().text("T", "vec4<f32>").buffer("b", SlotId(4));
        let mixed = mixed.build("k", [1; 3]).unwrap_err();
        assert!(mixed.message.contains("bound as"), "{}", mixed.message);
    }

    #[test]
    fn many_groups_take_a_second_axis() {
        assert_eq!(flat_groups(1, 64), [1, 1, 1]);
        let [x, y, _] = flat_groups(64 * 70_000, 64);
        assert!(x <= 65_535 && x * y >= 70_000);
    }
}
