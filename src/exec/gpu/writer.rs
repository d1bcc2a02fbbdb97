//! From a template's lines to WGSL, in one walk: every name, type and number is written as the kernel has it.
//!
//! Slots in half precision are stored as f16, and loads of them give, stores take, numbers of the kernel's type. A number
//! with a point is one of f64 where the kernel computes in double precision. WGSL has no name spaces, so the global names
//! of a part of a kernel carry its number.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::binding_range::{Bind, BindingRanges};
use super::kernel::KernelText;
use super::template::{COUNTS, Template};
use crate::op::SlotId;

/// What can go wrong with a line, in words.
type Fallible<T> = std::result::Result<T, String>;

/// The arguments of entry points: name, built-in value and type.
const ARGUMENTS: [(&str, &str, &str); 6] = [
    ("id", "global_invocation_id", "vec3<u32>"),
    ("groups", "num_workgroups", "vec3<u32>"),
    ("group", "workgroup_id", "vec3<u32>"),
    ("thread", "local_invocation_index", "u32"),
    ("lane", "subgroup_invocation_id", "u32"),
    ("part", "subgroup_id", "u32"),
];

/// The elements of a buffer.
#[derive(Clone, Debug, PartialEq)]
struct Elements {
    /// Their type where they are used.
    used: String,
    /// Their type in half precision, where they are numbers.
    half: Option<&'static str>,
}

/// A binding so far.
struct BoundBuffer {
    bind: Bind,
    elements: Elements,
    /// The type of its elements in half precision, where its slot is.
    stored: Option<&'static str>,
}

/// A place of a buffer.
struct BufferPlace {
    text: String,
    /// The types where it is used and where it is stored, of numbers in half precision.
    types: Option<(String, &'static str)>,
}

/// The walk.
pub(super) struct KernelWriter<'a> {
    template: &'a Template,
    ranges: &'a BindingRanges<'a>,
    /// What global names end with.
    suffix: String,
    /// The dispatch parameters.
    parameters: String,
    /// The global names, where they have a suffix.
    names: BTreeSet<String>,
    declared: BTreeMap<String, Elements>,
    bindings: Vec<BoundBuffer>,
    step: bool,
    arguments: Vec<&'static str>,
    body: String,
}

impl<'a> KernelWriter<'a> {
    /// For a whole kernel, or for the part of a kernel with this number.
    pub fn new(
        template: &'a Template,
        ranges: &'a BindingRanges,
        part: Option<usize>,
    ) -> KernelWriter<'a> {
        let mut names = BTreeSet::new();
        if part.is_some() {
            let constants = template.sizes.keys().chain(template.numbers.keys());
            names.extend(constants.cloned());
        }
        let (suffix, parameters) = match part {
            Some(number) => (format!("_{number}"), format!("steps[{number}]")),
            None => (String::new(), "step".to_string()),
        };
        let counts = Elements {
            used: "u32".to_string(),
            half: None,
        };
        KernelWriter {
            template,
            ranges,
            suffix,
            parameters,
            names,
            declared: BTreeMap::from([(COUNTS.to_string(), counts)]),
            bindings: Vec::new(),
            step: false,
            arguments: Vec::new(),
            body: String::new(),
        }
    }

    /// Whether global names are to be known before they are used.
    pub fn is_part(&self) -> bool {
        !self.suffix.is_empty()
    }

    /// Takes note of the global name that a line declares.
    pub fn name(&mut self, line: &str) {
        let mut kinds = ["fn ", "alias ", "var<workgroup> "].iter();
        if let Some(name) = kinds.find_map(|kind| line.strip_prefix(kind)) {
            let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let name = &name[..end.unwrap_or(name.len())];
            self.names.insert(name.to_string());
        }
    }

    /// A buffer, as the template's head declares it; `units` is what V means.
    pub fn declare(&mut self, name: &str, of: &str, units: &str) -> Fallible<()> {
        let element = of.strip_prefix("array<").and_then(|e| e.strip_suffix('>'));
        let element = element.ok_or(format!("`{name}` is {of}, expected an array"))?;
        let meant = if element == "V" { units } else { element };
        let half = match meant {
            "f32" => Some("f16"),
            "vec4<f32>" => Some("vec4<f16>"),
            _ => None,
        };
        let used = self.word(element);
        let elements = Elements { used, half };
        self.declared.insert(name.to_string(), elements);
        Ok(())
    }

    /// A line of which directives and splices are done.
    pub fn line(&mut self, line: &str) -> Fallible<()> {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        let written = if let Some(head) = code.strip_prefix("#main(") {
            self.entry(head)?
        } else if let Some(stored) = code.strip_prefix('$') {
            self.store(stored)?
        } else {
            self.expression(code)?
        };
        let _ = writeln!(self.body, "{indent}{written}");
        Ok(())
    }

    /// The head of the entry point, from the threads of a workgroup on. A part's is a function that the kernel's calls.
    fn entry(&mut self, head: &str) -> Fallible<String> {
        let fault = || format!("cannot read `#main({head}`");
        let (threads, arguments) = head.split_once(')').ok_or_else(fault)?;
        let arguments = arguments.trim().strip_suffix('{').ok_or_else(fault)?;
        let mut parameters = Vec::new();
        let names = arguments.split(',').map(str::trim);
        for name in names.filter(|name| !name.is_empty()) {
            let known = ARGUMENTS.iter().find(|a| a.0 == name);
            let (name, builtin, of) = known.ok_or(format!("`{name}` is no argument of main"))?;
            self.arguments.push(name);
            parameters.push(if self.is_part() {
                format!("{name}: {of}")
            } else {
                format!("@builtin({builtin}) {name}: {of}")
            });
        }
        let parameters = parameters.join(", ");
        if !self.is_part() {
            return Ok(format!(
                "@compute @workgroup_size({threads})\nfn main({parameters}) {{"
            ));
        }
        if threads != "GROUP" {
            return Err(format!("{threads} threads in a workgroup, expected GROUP"));
        }
        Ok(format!("fn main{}({parameters}) {{", self.suffix))
    }

    /// A statement that stores to a buffer.
    fn store(&mut self, code: &str) -> Fallible<String> {
        let (place, rest) = self.place(code, true)?;
        let Some((used, stored)) = place.types else {
            return Ok(place.text + &self.expression(rest)?);
        };
        let fault = || format!("cannot read `${code}`");
        let (operator, value) = rest.trim_start().split_once('=').ok_or_else(fault)?;
        let value = value.trim().strip_suffix(';').ok_or_else(fault)?;
        let (place, value) = (place.text, self.expression(value)?);
        Ok(match operator.trim() {
            "" => format!("{place} = {stored}({value});"),
            operator => format!("{place} = {stored}({used}({place}) {operator} ({value}));"),
        })
    }

    /// Any other text.
    fn expression(&mut self, text: &str) -> Fallible<String> {
        let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some(loaded) = rest.strip_prefix('$') {
                let (place, after) = self.place(loaded, false)?;
                match place.types {
                    Some((used, _)) => out.extend([&used, "(", &place.text, ")"]),
                    None => out.push_str(&place.text),
                }
                rest = after;
            } else if first.is_ascii_digit() {
                let (number, after) = rest.split_at(number(rest));
                let whole = number.starts_with("0x") || !number.contains(['.', 'e']);
                let double = !whole && self.ranges.plan().doubled();
                out.extend([number, if double { "lf" } else { "" }]);
                rest = after;
            } else if part(first) {
                let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                out.push_str(&self.word(word));
                rest = after;
            } else {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        Ok(out)
    }

    fn word(&mut self, word: &str) -> String {
        if word == "step" {
            self.step = true;
            self.parameters.clone()
        } else if self.template.row_count.contains_key(word) {
            format!("{}()", self.counter(word))
        } else if self.names.contains(word) {
            format!("{word}{}", self.suffix)
        } else {
            word.to_string()
        }
    }

    /// The function that says how much a run counts of a size.
    fn counter(&self, size: &str) -> String {
        format!("count_{}{}", size.to_lowercase(), self.suffix)
    }

    /// A buffer's place, from the buffer's name on, and what follows it. A slot is bound once.
    fn place<'t>(&mut self, text: &'t str, store: bool) -> Fallible<(BufferPlace, &'t str)> {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let (name, rest) = text.split_at(end.unwrap_or(text.len()));
        let (index, after) = bracket(rest).ok_or(format!("no bracket closes `${text}`"))?;
        let slot = self.template.buffers.get(name);
        let slot = *slot.ok_or(format!("no buffer is called `{name}`"))?;
        let at = self.binding(name, slot)?;
        let binding = &mut self.bindings[at];
        let used = &binding.elements.used;
        // Words that are loaded as atomics may be stored to as well.
        binding.bind.write |= store || used.starts_with("atomic<");
        let types = binding.stored.map(|stored| (used.clone(), stored));
        let index = self.expression(index)?;
        let text = format!("buffer{at}{}[{index}]", self.suffix);
        Ok((BufferPlace { text, types }, after))
    }

    /// The number of the binding of a slot, which may be new.
    fn binding(&mut self, name: &str, slot: SlotId) -> Fallible<usize> {
        // w0, w1, ... share the declaration of `w#`.
        let family = format!("{}#", name.trim_end_matches(|c: char| c.is_ascii_digit()));
        let declared = &self.declared;
        let of = declared.get(name).or_else(|| declared.get(&family));
        let of = of.ok_or(format!("the head declares no buffer `{name}`"))?;
        if let Some(at) = self.bindings.iter().position(|b| b.bind.slot == slot) {
            let known = &self.bindings[at].elements;
            if known != of {
                return Err(format!(
                    "`{name}` binds as {} a slot that is bound as {} already",
                    of.used, known.used
                ));
            }
            return Ok(at);
        }
        let half = self.ranges.plan().slot(self.ranges.slot(slot)).half;
        if half && of.half.is_none() {
            return Err(format!("`{name}` holds {}, expected numbers", of.used));
        }
        let bind = Bind {
            slot,
            write: false,
            range: None,
        };
        self.bindings.push(BoundBuffer {
            bind,
            elements: of.clone(),
            stored: of.half.filter(|_| half),
        });
        Ok(self.bindings.len() - 1)
    }

    /// The text: constants and bindings, then the lines.
    pub fn finish(mut self) -> Fallible<KernelText> {
        let template = self.template;
        for (size, row_count) in &template.row_count {
            let (most, word) = (template.sizes[size], row_count.word);
            let count = match row_count.before {
                0 => format!("${COUNTS}[{word}]"),
                before => format!("max({before}u, ${COUNTS}[{word}]) - {before}u"),
            };
            let function = self.counter(size);
            let _ = writeln!(self.body, "fn {function}() -> u32 {{");
            self.line(&format!("return min({most}u, {count});"))?;
            self.line("}")?;
        }
        let odd = |name: &&String| name.contains(|c: char| !c.is_ascii_alphanumeric());
        if let Some(unknown) = template.buffers.keys().find(odd) {
            return Err(format!("`{unknown}` is no name for a buffer"));
        }
        let suffix = &self.suffix;
        if self.is_part() && !template.sizes.contains_key("GROUP") {
            return Err("no GROUP".to_string());
        }
        let mut text = String::new();
        let counted = |name: &str| template.row_count.contains_key(name);
        for (name, value) in template.sizes.iter().filter(|s| !counted(s.0)) {
            let _ = writeln!(text, "const {name}{suffix}: u32 = {value}u;");
        }
        for (name, value) in &template.numbers {
            let _ = if self.ranges.plan().doubled() {
                writeln!(text, "const {name}{suffix}: f64 = {value:?}lf;")
            } else {
                writeln!(text, "const {name}{suffix}: f32 = {:?};", *value as f32)
            };
        }
        let mut binds: Vec<Bind> = self.bindings.iter().map(|b| b.bind).collect();
        self.ranges.resolve(&mut binds)?;
        let declared = self.bindings.iter().enumerate().map(|(i, binding)| {
            let stored = binding.stored.unwrap_or(&binding.elements.used);
            (format!("buffer{i}{suffix}"), stored.to_string())
        });
        let declared: Vec<(String, String)> = declared.collect();
        if !self.is_part() {
            for (i, (bind, (name, stored))) in binds.iter().zip(&declared).enumerate() {
                text.push_str(&declaration(i, bind.write, name, stored));
            }
        }
        if self.step && !self.is_part() {
            let at = binds.len();
            let _ = writeln!(
                text,
                "@group(0) @binding({at}) var<uniform> step: vec4<u32>;"
            );
        }
        text.push_str(&self.body);
        let mut extensions = template.extensions.clone();
        if self.bindings.iter().any(|b| b.stored.is_some()) && !extensions.contains(&"f16") {
            extensions.push("f16");
        }
        Ok(KernelText {
            text,
            binds,
            declared,
            step: self.step,
            arguments: self.arguments,
            extensions,
        })
    }
}

/// The declaration of a binding.
pub(super) fn declaration(at: usize, write: bool, name: &str, stored: &str) -> String {
    let access = if write { "read_write" } else { "read" };
    format!("@group(0) @binding({at}) var<storage, {access}> {name}: array<{stored}>;\n")
}

/// What lies within the brackets with which a text starts, and what follows them.
fn bracket(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('[')?;
    let mut depth = 0;
    for (at, c) in inside.char_indices() {
        match c {
            '[' => depth += 1,
            ']' if depth == 0 => return Some((&inside[..at], &inside[at + 1..])),
            ']' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Where the number ends with which a text starts.
fn number(text: &str) -> usize {
    let hex = text.starts_with("0x");
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let sign = matches!(c, '+' | '-') && before == 'e' && !hex;
        if !(c.is_ascii_alphanumeric() || c == '.' || sign) {
            return at;
        }
        before = c;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::gpu::binding_range::BindingLimits;
    use crate::exec::gpu::template::FOUR;
    use crate::op::{Plan, Role};

    /// The text of lines whose buffers `a` hold V, `b` numbers and `words` words.
    fn text(template: &'static str, plan: &Plan) -> Fallible<String> {
        let ranges = BindingRanges::new(plan, BindingLimits::ANY, false);
        let template = Template::new(template).units(FOUR);
        let template = template.buffer("a", SlotId(0)).buffer("b", SlotId(1));
        let template = template
            .buffer("words", SlotId(2))
            .number("THIRD", 1.0 / 3.0);
        template
            .build(&ranges)
            .map(|source| source.text)
            .map_err(|error| error.message)
    }

    fn plan() -> Plan {
        let mut plan = Plan::default();
        for name in ["a", "b", "words"] {
            plan.add(name, &[8], Role::Activation);
        }
        plan
    }

    const HEAD: &str =
        "// $a: array<V>\n// $b: array<#{F}>\n// $words: array<u32>\nalias V = #{V};\n";

    #[test]
    fn loads_of_half_precision_are_widened_and_stores_rounded() {
        let mut plan = plan();
        plan.slots[0].half = true;
        let lines = "    let x = $a[$words[2] + 1u] + $a[0];\n    $a[u32($a[3].x)] = x * 2.0;\n    $a[4] += x;\n\
            \x20   $b[1] = x.y;\n";
        let got = text(format!("{HEAD}{lines}").leak(), &plan).unwrap();
        let want = "@group(0) @binding(0) var<storage, read_write> buffer0: array<vec4<f16>>;\n\
            @group(0) @binding(1) var<storage, read> buffer1: array<u32>;\n\
            @group(0) @binding(2) var<storage, read_write> buffer2: array<f32>;\n\
            alias V = vec4<f32>;\n\
            \x20   let x = V(buffer0[buffer1[2] + 1u]) + V(buffer0[0]);\n\
            \x20   buffer0[u32(V(buffer0[3]).x)] = vec4<f16>(x * 2.0);\n\
            \x20   buffer0[4] = vec4<f16>(V(buffer0[4]) + (x));\n\
            \x20   buffer2[1] = x.y;\n";
        assert_eq!(
            got,
            format!("enable f16;\nconst THIRD: f32 = 0.33333334;\n{want}")
        );
    }

    #[test]
    fn types_numbers_and_functions_are_those_of_f64() {
        let mut plan = plan();
        plan.slots.iter_mut().for_each(|slot| slot.double = true);
        let template = "// $a: array<V>\nalias V = #{V};\n\
            let x = select(0.0, exp(b1.x) * 2.5e-6 + exponent, #{F}(n) > 0x1.8u);\n#if DOUBLE\n$a[2u] = x;\n#end\n#use activations\n";
        let got = text(template, &plan).unwrap();
        let want = "const THIRD: f64 = 0.3333333333333333lf;\n\
            @group(0) @binding(0) var<storage, read_write> buffer0: array<V>;\n\
            alias V = vec4<f64>;\n\
            let x = select(0.0lf, exp(b1.x) * 2.5e-6lf + exponent, f64(n) > 0x1.8u);\n\
            buffer0[2u] = x;\nalias D = vec4<f64>;\n";
        assert!(got.starts_with(want), "{got}");
        assert_eq!(got.matches("fn sigmoid(").count(), 1, "{got}");
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        let mut halved = plan();
        halved.slots.iter_mut().for_each(|slot| slot.half = true);
        for (line, part) in [
            ("$a[1] = 2.0 +", "cannot read"),
            ("let x = $a[1;", "no bracket"),
            ("let x = $words[1];", "holds u32"),
            ("let x = $c[1];", "no buffer is called `c`"),
            ("#main(GROUP) local {", "`local`"),
        ] {
            let template = format!("{HEAD}{line}\n").leak();
            let error = text(template, &halved).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
