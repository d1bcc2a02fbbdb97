//! Several kernels as one: each has workgroups of its own in a dispatch, and dispatch parameters of its own.
//!
//! A part is a function, its global names end with its number. The dispatch parameters of a part begin with its step and
//! end with how many steps it goes through; a part with 0 of them has nothing to do.

use std::fmt::Write;

use super::binding_range::{Bind, BindingRanges};
use super::kernel::{KernelSource, enabled};
use super::template::{Template, flat_groups};
use crate::op::Plan;
use crate::{Error, Result};

/// One kernel that does what `parts` do; `bindings` are the most that it may have.
///
/// # Errors
/// Internal, where they cannot be one.
pub(super) fn merged(
    label: &str,
    parts: &[(&Template, &BindingRanges)],
    plan: &Plan,
    bindings: usize,
) -> Result<KernelSource> {
    let fault = |fault: String| Error::internal(format!("kernel {label}: {fault}"));
    let (mut text, mut calls) = (String::new(), String::new());
    let mut extensions = Vec::new();
    let mut binds: Vec<Bind> = Vec::new();
    let (mut lane, mut groups) = ("", 0);
    for (n, (template, ranges)) in parts.iter().enumerate() {
        let part = template.part(ranges, n, binds.len())?;
        binds.extend(&part.binds);
        text += &part.text;
        for name in part.extensions {
            if !extensions.contains(&name) {
                extensions.push(name);
            }
        }
        let own = template.groups.iter().product::<u32>();
        let _ = writeln!(
            calls,
            "    if (number >= {groups}u && number < {}u && steps[{n}].w != 0u) {{\n\
             \x20       let own = number - {groups}u;",
            groups + own
        );
        let mut values = Vec::new();
        for argument in part.arguments {
            values.push(match argument {
                "id" => format!("vec3<u32>(own * GROUP_{n} + local, 0u, 0u)"),
                "groups" => format!("vec3<u32>({own}u, 1u, 1u)"),
                "group" => "vec3<u32>(own, 0u, 0u)".to_string(),
                "lane" => {
                    lane = ", @builtin(subgroup_invocation_id) lane: u32";
                    "lane".to_string()
                }
                other => return Err(fault(format!("a part asks for `{other}`"))),
            });
        }
        let _ = writeln!(calls, "        main_{n}({});\n    }}", values.join(", "));
        groups += own;
    }
    let found = binds.len();
    if found > bindings {
        return Err(fault(format!(
            "{found} storage bindings, and {bindings} are the limit"
        )));
    }
    let shared = |n: usize| {
        let mut others = binds.iter().enumerate();
        binds[n].write && others.any(|(m, b)| m != n && b.slot == binds[n].slot)
    };
    if let Some(n) = (0..found).find(|n| shared(*n)) {
        let name = &plan.slot(binds[n].slot).name;
        return Err(fault(format!(
            "a part writes to {name}, and another one binds it"
        )));
    }
    let parameters = parts.len();
    let _ = write!(
        text,
        "@group(0) @binding({found}) var<uniform> steps: array<vec4<u32>, {parameters}>;\n\
         @compute @workgroup_size(GROUP_0)\n\
         fn main(@builtin(num_workgroups) groups: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>, \
         @builtin(local_invocation_index) local: u32{lane}) {{\n\
         \x20   let number = group.y * groups.x + group.x;\n{calls}}}\n"
    );
    Ok(KernelSource {
        label: label.to_string(),
        text: enabled(&extensions) + &text,
        binds,
        parameters,
        groups: flat_groups(groups as usize, 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::gpu::binding_range::BindingLimits;
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
            bindings,
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

    #[test]
    fn what_cannot_be_one_kernel_is_an_error() {
        let of = |parts: [Template; 2], bindings| both(&parts, bindings).unwrap_err().message;
        let [a, b] = [template(TEXT, 0, 1), template(TEXT, 1, 1)];
        assert!(of([a.clone(), b], 1).contains("1 are the limit"));
        assert!(of([a.clone(), a.clone()], 2).contains("writes to a"));
        let thread = "// $to: array<#{F}>\n#main(GROUP) thread {\n    $to[thread] = 1.0;\n}\n";
        assert!(of([a.clone(), template(thread, 1, 1)], 2).contains("`thread`"));
        let odd = "// $to: array<#{F}>\n#main(64) id {\n    $to[id.x] = 1.0;\n}\n";
        assert!(of([a, template(odd, 1, 1)], 2).contains("expected GROUP"));
    }
}
