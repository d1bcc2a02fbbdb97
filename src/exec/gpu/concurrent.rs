//! Several kernels as one: each has workgroups of its own in a dispatch, and dispatch parameters of its own.
//!
//! A part is a function, its global names end with its number. The dispatch parameters of a part begin with its step and
//! end with how many steps it goes through; a part with 0 of them has nothing to do. Parts share bindings and, as a workgroup
//! has one part to do, its memory. Where parts have workgroups of different sizes the largest counts, and one of them does
//! the work of several small ones whose threads do not wait for one another.

use std::fmt::Write;

use super::binding_range::{Bind, BindingLimits, BindingRanges};
use super::kernel::{KernelSource, KernelText, enabled};
use super::template::{Template, flat_groups};
use super::writer::declaration;
use crate::op::Plan;
use crate::{Error, Result};

/// One kernel that does what `parts` do, with as many bindings and as much shared memory as `fit` allows. No part may touch what
/// another one writes.
///
/// # Errors
/// Internal, where they cannot be one.
pub(super) fn merged(
    label: &str,
    parts: &[(&Template, &BindingRanges)],
    plan: &Plan,
    fit: BindingLimits,
) -> Result<KernelSource> {
    let fault = |fault: String| Error::internal(format!("kernel {label}: {fault}"));
    let threads = |template: &Template| template.sizes.get("GROUP").copied().unwrap_or(0);
    let widest = (0..parts.len()).max_by_key(|n| (threads(parts[*n].0), parts.len() - n));
    let widest = widest.ok_or_else(|| fault("no parts".into()))?;
    let all = threads(parts[widest].0);
    let (mut text, mut calls) = (String::new(), String::new());
    let mut extensions = Vec::new();
    let mut shared = SharedBindings::default();
    let mut memory = SharedMemory::default();
    let (mut lane, mut groups) = ("", 0);
    for (n, (template, ranges)) in parts.iter().enumerate() {
        let part = template.part(ranges, n)?;
        let own = u64::from(template.groups.iter().product::<u32>());
        let threads = threads(template);
        let each = all / threads.max(1);
        if each > 1 && (all % threads > 0 || part.text.contains("Barrier()")) {
            return Err(fault(format!(
                "{}: workgroups of {threads} threads beside others of {all}",
                template.label
            )));
        }
        for name in &part.extensions {
            if !extensions.contains(name) {
                extensions.push(*name);
            }
        }
        let end = groups + own.div_ceil(each);
        let _ = writeln!(
            calls,
            "    if (number >= {groups}u && number < {end}u && steps[{n}].w != 0u) {{"
        );
        // The number of a workgroup and of a thread in it, as the part counts.
        let (group, thread, guard) = if each > 1 {
            (
                format!("(number - {groups}u) * {each}u + local / GROUP_{n}"),
                format!("local % GROUP_{n}"),
                format!("if (own < {own}u) {{ "),
            )
        } else {
            (format!("number - {groups}u"), "local".into(), String::new())
        };
        let _ = writeln!(calls, "        let own = {group};");
        let mut values = Vec::new();
        for argument in &part.arguments {
            values.push(match *argument {
                "id" => format!("vec3<u32>(own * GROUP_{n} + {thread}, 0u, 0u)"),
                "groups" => format!("vec3<u32>({own}u, 1u, 1u)"),
                "group" => "vec3<u32>(own, 0u, 0u)".to_string(),
                "thread" => thread.clone(),
                "lane" if each == 1 => {
                    lane = ", @builtin(subgroup_invocation_id) lane: u32";
                    "lane".to_string()
                }
                other => return Err(fault(format!("a part asks for `{other}`"))),
            });
        }
        let close = if each > 1 { " }" } else { "" };
        let _ = writeln!(
            calls,
            "        {guard}main_{n}({});{close}\n    }}",
            values.join(", ")
        );
        groups = end;
        let body = shared.take(&part, plan).map_err(fault)?;
        text += &memory.take(&body, template, n).map_err(fault)?;
    }
    let found = shared.binds.len();
    for (what, found, most) in [
        ("storage bindings", found, fit.bindings),
        ("bytes of shared memory", memory.bytes(), fit.memory),
    ] {
        if found > most {
            return Err(fault(format!("{found} {what}, and {most} are the limit")));
        }
    }
    let (binds, names) = (&shared.binds, &shared.declared);
    for (at, (bind, (name, stored))) in binds.iter().zip(names).enumerate() {
        text.push_str(&declaration(at, bind.write, name, stored));
    }
    text += &memory.declarations();
    let parameters = parts.len();
    let _ = write!(
        text,
        "@group(0) @binding({found}) var<uniform> steps: array<vec4<u32>, {parameters}>;\n\
         @compute @workgroup_size(GROUP_{widest})\n\
         fn main(@builtin(num_workgroups) groups: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>, \
         @builtin(local_invocation_index) local: u32{lane}) {{\n\
         \x20   let number = group.y * groups.x + group.x;\n{calls}}}\n"
    );
    Ok(KernelSource {
        label: label.to_string(),
        text: enabled(&extensions) + &text,
        binds: shared.binds,
        parameters,
        groups: flat_groups(groups as usize, 1),
        unchecked: false,
    })
}

/// The bindings of all parts: one for each slot, or range of it.
#[derive(Default)]
struct SharedBindings {
    binds: Vec<Bind>,
    declared: Vec<(String, String)>,
}

impl SharedBindings {
    /// Adds those of a part; returns its text with the names of bindings that others have, too.
    fn take(&mut self, part: &KernelText, plan: &Plan) -> std::result::Result<String, String> {
        let mut text = part.text.clone();
        for (bind, (name, stored)) in part.binds.iter().zip(&part.declared) {
            let same = |(own, of): (&Bind, &(String, String))| {
                own.slot == bind.slot && own.range == bind.range && of.1 == *stored
            };
            if let Some(at) = self.binds.iter().zip(&self.declared).position(same) {
                self.binds[at].write |= bind.write;
                text = text.replace(&format!("{name}["), &format!("{}[", self.declared[at].0));
            } else {
                self.binds.push(*bind);
                self.declared.push((name.clone(), stored.clone()));
            }
        }
        let twice = |n: usize| {
            let mut others = self.binds.iter().enumerate().filter(|(m, _)| *m != n);
            self.binds[n].write && others.any(|(_, b)| b.slot == self.binds[n].slot)
        };
        match (0..self.binds.len()).find(|n| twice(*n)) {
            None => Ok(text),
            Some(n) => Err(format!(
                "a part writes to {}, and another one binds it in another way",
                plan.slot(self.binds[n].slot).name
            )),
        }
    }
}

/// The memory of a workgroup, which every part has for itself: of each type of elements some arrays, as long as any part needs.
#[derive(Default)]
struct SharedMemory {
    arrays: Vec<(String, u64)>,
}

impl SharedMemory {
    /// Takes the arrays out of a part's text; returns the rest, with the names of those that are there for all.
    fn take(
        &mut self,
        text: &str,
        template: &Template,
        part: usize,
    ) -> std::result::Result<String, String> {
        let (mut rest, mut used, mut names) = (String::new(), Vec::new(), Vec::new());
        for line in text.lines() {
            let Some(array) = line.strip_prefix("var<workgroup> ") else {
                rest += line;
                rest.push('\n');
                continue;
            };
            let read = || {
                let (name, of) = array.strip_suffix(">;")?.split_once(": array<")?;
                let (element, length) = of.rsplit_once(", ")?;
                let size = length.strip_suffix(&format!("_{part}")).unwrap_or(length);
                let length = template.sizes.get(size).copied();
                Some((name, element, length.or_else(|| size.parse().ok())?))
            };
            let (name, element, length) = read().ok_or(format!("cannot read `{line}`"))?;
            let free = |(at, of): (usize, &(String, u64))| of.0 == element && !used.contains(&at);
            let known = (0..).zip(&self.arrays).position(free);
            let at = known.unwrap_or_else(|| {
                self.arrays.push((element.to_string(), 0));
                self.arrays.len() - 1
            });
            self.arrays[at].1 = self.arrays[at].1.max(length);
            used.push(at);
            names.push((format!("{name}["), format!("shared{at}[")));
        }
        Ok(names
            .iter()
            .fold(rest, |text, (own, all)| text.replace(own, all)))
    }

    fn bytes(&self) -> usize {
        let each = |element: &str| {
            let (width, number) = match element.strip_prefix("vec4<") {
                Some(number) => (4, number.trim_end_matches('>')),
                None => (1, element),
            };
            width * if number == "f64" { 8 } else { 4 }
        };
        let arrays = self.arrays.iter();
        arrays.map(|(of, length)| each(of) * *length as usize).sum()
    }

    fn declarations(&self) -> String {
        let arrays = self.arrays.iter().enumerate();
        let line = |(at, (element, length)): (usize, &(String, u64))| {
            format!("var<workgroup> shared{at}: array<{element}, {length}>;\n")
        };
        arrays.map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Role, SlotId};

    const TEXT: &str = "// $to: array<V>\nalias V = #{V};\nfn twice(x: V) -> V {\n    return x + x;\n}\n\
        #main(GROUP) id, group {\n    $to[id.x] = twice(V(step.x));\n}\n";

    fn template(text: &'static str, slot: usize, groups: u32) -> Template {
        let template = Template::new(text).size("GROUP", 8);
        let template = template.buffer("to", SlotId(slot));
        template.kernel(format!("part{slot}"), [groups, 1, 1])
    }

    fn plan() -> Plan {
        let mut plan = Plan::default();
        for name in ["a", "b"] {
            plan.add(name, &[8], Role::Activation);
        }
        plan
    }

    fn both(parts: &[Template; 2], bindings: usize) -> Result<KernelSource> {
        let plan = plan();
        let ranges = BindingRanges::new(&plan, BindingLimits::ANY, false);
        merged(
            "both",
            &[(&parts[0], &ranges), (&parts[1], &ranges)],
            &plan,
            BindingLimits {
                bindings,
                memory: 300,
                ..BindingLimits::ANY
            },
        )
    }

    #[test]
    fn parts_keep_their_names_apart_and_their_workgroups() {
        let one = both(&[template(TEXT, 0, 3), template(TEXT, 1, 2)], 2).unwrap();
        assert_eq!(
            (one.parameters, one.groups, one.binds.len()),
            (2, [5, 1, 1], 2)
        );
        for want in [
            "@binding(0) var<storage, read_write> buffer0_0: array<V_0>;",
            "@binding(1) var<storage, read_write> buffer0_1: array<V_1>;",
            "@binding(2) var<uniform> steps: array<vec4<u32>, 2>;",
            "buffer0_1[id.x] = twice_1(V_1(steps[1].x));",
            "fn main_1(id: vec3<u32>, group: vec3<u32>) {",
            "if (number >= 3u && number < 5u && steps[1].w != 0u) {",
            "main_0(vec3<u32>(own * GROUP_0 + local, 0u, 0u), vec3<u32>(own, 0u, 0u));",
        ] {
            assert!(one.text.contains(want), "{want}\n{}", one.text);
        }
        let module = wgpu::naga::front::wgsl::parse_str(&one.text).unwrap();
        let mut validator =
            wgpu::naga::valid::Validator::new(Default::default(), Default::default());
        validator.validate(&module).unwrap();
    }

    /// Adds a workgroup's threads in its memory, two numbers a thread.
    const SUM: &str = "// $to: array<#{F}>\nvar<workgroup> all: array<#{F}, 40>;\nvar<workgroup> more: array<#{F}, GROUP>;\n\
        #main(GROUP) group, thread {\n    all[thread] = #{F}(thread);\n    more[thread] = #{F}(group.x);\n    workgroupBarrier();\n    \
        $to[thread] = all[0] + more[1];\n}\n";
    const ONE: &str =
        "// $to: array<#{F}>\n#main(GROUP) id, group {\n    $to[id.x] = #{F}(group.x);\n}\n";

    #[test]
    fn parts_share_bindings_and_memory_and_small_workgroups_go_together() {
        let wide = |slot| template(SUM, slot, 3).size("GROUP", 32);
        let parts = [wide(0), template(ONE, 0, 9)];
        let one = both(&parts, 1).unwrap();
        // Nine workgroups of 8 threads are three of 32.
        assert_eq!((one.groups, one.binds.len()), ([6, 1, 1], 1));
        for want in [
            "let own = (number - 3u) * 4u + local / GROUP_1;",
            "if (own < 9u) { main_1(vec3<u32>(own * GROUP_1 + local % GROUP_1, 0u, 0u), vec3<u32>(own, 0u, 0u)); }",
            "buffer0_0[id.x] = f32(group.x);",
            "@workgroup_size(GROUP_0)",
        ] {
            assert!(one.text.contains(want), "{want}\n{}", one.text);
        }
        let short = SUM.replace("40", "16").leak();
        let two = both(&[wide(0), template(short, 1, 3).size("GROUP", 32)], 2).unwrap();
        let arrays: Vec<&str> = two
            .text
            .lines()
            .filter(|l| l.starts_with("var<wo"))
            .collect();
        let want = ["shared0: array<f32, 40>", "shared1: array<f32, 32>"];
        assert_eq!(arrays, want.map(|of| format!("var<workgroup> {of};")));
        for text in [one.text, two.text] {
            let module = wgpu::naga::front::wgsl::parse_str(&text).unwrap();
            let mut validator =
                wgpu::naga::valid::Validator::new(Default::default(), Default::default());
            validator.validate(&module).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_one_kernel_is_an_error() {
        let of = |parts: [Template; 2], bindings| both(&parts, bindings).unwrap_err().message;
        let [a, b] = [template(TEXT, 0, 1), template(TEXT, 1, 1)];
        assert!(of([a.clone(), b], 1).contains("1 are the limit"));
        let fours = a.clone().units(crate::exec::gpu::template::FOUR);
        assert!(of([a.clone(), fours], 2).contains("writes to a"));
        let long = SUM.replace("40", "90").leak();
        let waits = template(long, 1, 1);
        let long = of([a.clone(), waits], 2);
        assert!(long.contains("392 bytes of shared memory"), "{long}");
        let waits = template(SUM, 1, 1);
        let wide = a.clone().size("GROUP", 32);
        assert!(of([wide, waits], 2).contains("8 threads beside others of 32"));
        let odd = "// $to: array<#{F}>\n#main(64) id {\n    $to[id.x] = 1.0;\n}\n";
        assert!(of([a, template(odd, 1, 1)], 2).contains("expected GROUP"));
    }
}
