//! From a template to a kernel, or to a part of one, for the slots of a plan.

use super::binding_range::BindingRanges;
use super::kernel::{KernelSource, KernelText, enabled};
use super::template::{ONE, Template};
use super::writer::KernelWriter;
use crate::{Error, Result};

impl Template {
    /// The kernel, its slots as `ranges` binds them.
    ///
    /// # Errors
    /// Internal, for a fault of the template or where a slot cannot be bound so.
    pub fn build(&self, ranges: &BindingRanges) -> Result<KernelSource> {
        let part = self.write(KernelWriter::new(self, ranges, None), ranges)?;
        Ok(KernelSource {
            label: self.label.clone(),
            text: enabled(&part.extensions) + &part.text,
            binds: part.binds,
            parameters: usize::from(part.step),
            groups: self.groups,
            unchecked: false,
        })
    }

    /// The same as part `number` of a kernel, under names of its own: a function `main_NUMBER`.
    ///
    /// # Errors
    /// As [`Template::build`].
    pub fn part(&self, ranges: &BindingRanges, number: usize) -> Result<KernelText> {
        let writer = KernelWriter::new(self, ranges, Some(number));
        self.write(writer, ranges)
    }

    fn write(&self, mut writer: KernelWriter, ranges: &BindingRanges) -> Result<KernelText> {
        let mut template = self.clone();
        let double = ranges.plan().doubled();
        template.sizes.insert("DOUBLE".into(), u64::from(double));
        let number = if double { "f64" } else { "f32" };
        template.texts.insert("F".into(), number.into());
        for text in template.texts.values_mut().filter(|t| t.contains(ONE)) {
            *text = text.replace(ONE, number);
        }
        let written = template.walk(&mut writer).and_then(|()| writer.finish());
        written.map_err(|fault| Error::internal(format!("kernel {}: {fault}", self.label)))
    }

    fn walk(&self, writer: &mut KernelWriter) -> std::result::Result<(), String> {
        let lines: Vec<&str> = self.text.lines().collect();
        if writer.is_part() {
            self.expand(&lines, &mut self.sizes.clone(), &mut |line| {
                writer.name(line);
                Ok(())
            })?;
        }
        for line in &lines {
            if let Some((name, rest)) = line.strip_prefix("// $").and_then(|l| l.split_once(": ")) {
                let of = rest.split([',', ' ']).next().unwrap_or(rest);
                writer.declare(name, &self.splice(of, &self.sizes)?, &self.texts["V"])?;
            }
        }
        self.expand(&lines, &mut self.sizes.clone(), &mut |line| {
            writer.line(line)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::gpu::binding_range::BindingLimits;
    use crate::op::{Plan, Role, SlotId};

    const DIRECTIVES: &str = "// A test.\n// $a: array<#{T}>, read\n// $w#: array<f32>\n#for i in 0..N\nlet x#{i} = $a[#{i}] + $w1[0];\n\
        #end\n#if N\n$b[N] = x0;\n#else\nnever\n#end\n// $b: array<f32>\n";

    fn ten_slots() -> Plan {
        let mut plan = Plan::default();
        for n in 0..10 {
            plan.add(format!("slot{n}"), &[8], Role::Activation);
        }
        plan
    }

    fn build(template: Template, plan: &Plan) -> Result<KernelSource> {
        let ranges = BindingRanges::new(plan, BindingLimits::ANY, false);
        template.kernel("k", [1; 3]).build(&ranges)
    }

    fn template() -> Template {
        Template::new(DIRECTIVES)
            .size("N", 2)
            .text("T", "f32")
            .buffer("a", SlotId(4))
            .buffer("w1", SlotId(7))
    }

    #[test]
    fn directives_expand_and_stores_make_bindings_writable() {
        let source = build(template().buffer("b", SlotId(9)), &ten_slots()).unwrap();
        assert!(source.text.contains("let x1 = buffer0[1] + buffer1[0];"));
        assert!(source.text.contains("buffer2[N] = x0;"));
        assert!(!source.text.contains("never"));
        let writes: Vec<(usize, bool)> = source.binds.iter().map(|b| (b.slot.0, b.write)).collect();
        assert_eq!(writes, [(4, false), (7, false), (9, true)]);
    }

    #[test]
    fn one_slot_is_one_binding() {
        let source = build(template().buffer("b", SlotId(4)), &ten_slots()).unwrap();
        assert_eq!(source.binds.len(), 2);
        assert!(source.binds[0].write);
    }

    #[test]
    fn faults_name_the_kernel_and_the_buffer() {
        let missing = build(template(), &ten_slots()).unwrap_err();
        assert!(missing.message.contains("kernel k") && missing.message.contains("`b`"));
        let mixed = template().text("T", "vec4<f32>").buffer("b", SlotId(4));
        let mixed = build(mixed, &ten_slots()).unwrap_err();
        assert!(mixed.message.contains("bound as"), "{}", mixed.message);
    }
}
