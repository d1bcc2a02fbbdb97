//! Several kernels as one: each has workgroups of its own in a dispatch, and dispatch parameters of its own.
//!
//! WGSL has no name spaces, so every global name of a text gets the number of its part. The dispatch parameters of a part
//! begin with its step and end with how many steps it goes through; a part with 0 of them has nothing to do.

use std::fmt::Write;

use super::template::{Source, flat_groups, renamed};
use crate::op::Plan;
use crate::{Error, Result};

/// The head of a kernel's entry point.
const HEAD: &str = "@compute @workgroup_size(GROUP)\nfn main(";

/// One kernel that does what `parts` do; `bindings` are the most that it may have.
///
/// # Errors
/// Internal, where they cannot be one.
pub(super) fn merged(
    label: &str,
    parts: &[Source],
    plan: &Plan,
    bindings: usize,
) -> Result<Source> {
    let fault = |fault: String| Error::internal(format!("kernel {label}: {fault}"));
    let binds: Vec<_> = parts.iter().flat_map(|p| p.binds.iter().copied()).collect();
    if binds.len() > bindings {
        let found = binds.len();
        return Err(fault(format!(
            "{found} storage bindings, and {bindings} are the limit"
        )));
    }
    let shared = |n: usize| {
        let mut others = binds.iter().enumerate();
        binds[n].write && others.any(|(m, b)| m != n && b.slot == binds[n].slot)
    };
    if let Some(n) = (0..binds.len()).find(|n| shared(*n)) {
        let name = &plan.slot(binds[n].slot).name;
        return Err(fault(format!(
            "a part writes to {name}, and another one binds it"
        )));
    }
    let (mut enabled, mut text, mut calls) = (String::new(), String::new(), String::new());
    let (mut lane, mut first, mut groups) = ("", 0, 0);
    for (n, part) in parts.iter().enumerate() {
        let numbered = numbered(part, n, first).map_err(fault)?;
        for line in numbered.enabled {
            if !enabled.contains(&line) {
                enabled += &line;
            }
        }
        text += &numbered.text;
        let own = part.groups.iter().product::<u32>();
        let _ = writeln!(
            calls,
            "    if (number >= {groups}u && number < {}u && steps[{n}].w != 0u) {{\n\
             \x20       let own = number - {groups}u;",
            groups + own
        );
        let values = { numbered.arguments.iter() }
            .map(|a| {
                Ok(match a.builtin.as_str() {
                    "global_invocation_id" => format!("vec3<u32>(own * GROUP_{n} + local, 0u, 0u)"),
                    "num_workgroups" => format!("vec3<u32>({own}u, 1u, 1u)"),
                    "workgroup_id" => "vec3<u32>(own, 0u, 0u)".to_string(),
                    "subgroup_invocation_id" => {
                        lane = ", @builtin(subgroup_invocation_id) lane: u32";
                        "lane".to_string()
                    }
                    other => return Err(fault(format!("an entry point is parameters {other}"))),
                })
            })
            .collect::<Result<Vec<String>>>()?;
        let _ = writeln!(calls, "        main_{n}({});\n    }}", values.join(", "));
        first += part.binds.len();
        groups += own;
    }
    let parameters = parts.len();
    let _ = write!(
        text,
        "@group(0) @binding({first}) var<uniform> steps: array<vec4<u32>, {parameters}>;\n\
         @compute @workgroup_size(GROUP_0)\n\
         fn main(@builtin(num_workgroups) groups: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>, \
         @builtin(local_invocation_index) local: u32{lane}) {{\n\
         \x20   let number = group.y * groups.x + group.x;\n{calls}}}\n"
    );
    Ok(Source {
        label: label.to_string(),
        text: enabled + &text,
        binds,
        parameters,
        groups: flat_groups(groups as usize, 1),
        numbers: Vec::new(),
    })
}

/// A part under names of its own.
struct Numbered {
    /// Its lines that must stand before all else.
    enabled: Vec<String>,
    text: String,
    arguments: Vec<Argument>,
}

/// An argument of an entry point.
struct Argument {
    builtin: String,
    name: String,
    of: String,
}

/// Part `n`, whose bindings begin with number `first`.
fn numbered(part: &Source, n: usize, first: usize) -> std::result::Result<Numbered, String> {
    if !part.text.lines().any(|l| l.starts_with("const GROUP: ")) {
        return Err(format!("{} has no GROUP", part.label));
    }
    let (before, after) = part.text.split_once(HEAD).ok_or("no entry point")?;
    let (parameters, body) = after.split_once(") {\n").ok_or("an open head")?;
    let arguments = parameters
        .split(", ")
        .map(argument)
        .collect::<Option<Vec<_>>>();
    let arguments = arguments.ok_or(format!("cannot read `{parameters}`"))?;
    let plain: Vec<String> = { arguments.iter() }
        .map(|a| format!("{}: {}", a.name, a.of))
        .collect();
    let whole = format!("{before}fn main({}) {{\n{body}", plain.join(", "));
    let (mut enabled, mut text, mut names) = (Vec::new(), String::new(), Vec::new());
    for line in whole.lines() {
        if line.starts_with("enable ") {
            enabled.push(format!("{line}\n"));
            continue;
        }
        if line.ends_with("var<uniform> step: vec4<u32>;") {
            continue;
        }
        names.extend(declared(line));
        match line
            .strip_prefix("@group(0) @binding(")
            .and_then(|l| l.split_once(')'))
        {
            Some((at, rest)) => {
                let at: usize = at.parse().map_err(|_| format!("cannot read `{line}`"))?;
                let _ = writeln!(text, "@group(0) @binding({}){rest}", first + at);
            }
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    for name in names {
        text = renamed(&text, name, &format!("{name}_{n}"));
    }
    Ok(Numbered {
        enabled,
        text: renamed(&text, "step", &format!("steps[{n}]")),
        arguments,
    })
}

/// The global name that a line declares.
fn declared(line: &str) -> Option<&str> {
    let code = match line.strip_prefix('@') {
        // Behind its attributes.
        Some(_) => line.find("var<").map(|at| &line[at..])?,
        None => line,
    };
    let kind = if code.starts_with("var<") { "> " } else { " " };
    let name = match code.split_once(kind)? {
        ("const" | "alias" | "fn", name) => name,
        (kind, name) if kind.starts_with("var<") => name,
        _ => return None,
    };
    let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    Some(&name[..end.unwrap_or(name.len())])
}

/// `@builtin(NAME) name: type`.
fn argument(text: &str) -> Option<Argument> {
    let (builtin, rest) = text.strip_prefix("@builtin(")?.split_once(") ")?;
    let (name, of) = rest.split_once(": ")?;
    Some(Argument {
        builtin: builtin.to_string(),
        name: name.to_string(),
        of: of.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::gpu::template::Bind;
    use crate::op::{Role, SlotId};

    fn source(slot: usize, groups: u32) -> Source {
        let head = HEAD;
        Source {
            label: format!("part{slot}"),
            text: format!(
                "const GROUP: u32 = 8u;\n@group(0) @binding(0) var<storage, read_write> buffer0: array<V>;\n\
                 @group(0) @binding(1) var<uniform> step: vec4<u32>;\nalias V = f32;\nfn twice(x: V) -> V {{\n    \
                 return x + x;\n}}\n{head}@builtin(global_invocation_id) id: vec3<u32>, @builtin(workgroup_id) group: \
                 vec3<u32>) {{\n    buffer0[id.x] = twice(V(step.x));\n}}\n"
            ),
            binds: vec![Bind {
                slot: SlotId(slot),
                write: true,
                window: None,
            }],
            parameters: 1,
            groups: [groups, 1, 1],
            numbers: Vec::new(),
        }
    }

    fn plan() -> Plan {
        let mut plan = Plan::default();
        for name in ["a", "b"] {
            plan.add(name, &[8], Role::Activation);
        }
        plan
    }

    #[test]
    fn parts_keep_their_names_apart_and_their_workgroups() {
        let one = merged("both", &[source(0, 3), source(1, 2)], &plan(), 2).unwrap();
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

    #[test]
    fn what_cannot_be_one_kernel_is_an_error() {
        let of = |parts: &[Source], bindings| {
            merged("both", parts, &plan(), bindings)
                .unwrap_err()
                .message
        };
        assert!(of(&[source(0, 1), source(1, 1)], 1).contains("1 are the limit"));
        assert!(of(&[source(0, 1), source(0, 1)], 2).contains("writes to a"));
        let mut parameters = source(1, 1);
        parameters.text = parameters.text.replace("workgroup_id", "num_subgroups");
        assert!(of(&[source(0, 1), parameters], 2).contains("num_subgroups"));
    }
}
