//! The text of a sketched cell, as a `.cell` file has it.

use super::sketch::{PartId, Sketch, SketchPart};

/// How tightly an operator binds: sums, products, all else.
const SUM: u8 = 1;
const PRODUCT: u8 = 2;
const WHOLE: u8 = 3;

impl Sketch {
    /// The text of a tidy sketch: what is used twice has a name, and states get their new values last.
    pub fn text(&self) -> String {
        let mut uses = vec![0; self.parts.len()];
        for id in self.parts.iter().flat_map(SketchPart::operands) {
            uses[id] += 1;
        }
        for id in &self.new_states {
            uses[*id] += 1;
        }
        let mut writing = Writing {
            sketch: self,
            names: vec![None; self.parts.len()],
        };
        // States are read where they stand for the step before: above all lines that make one. The output's line is the last.
        let order: Vec<usize> = (1..self.states.len()).chain([0]).collect();
        let late = |k: usize| order.iter().position(|o| *o == k);
        let mut text = format!("state {}\n", self.states.join(", "));
        let (mut biases, mut lines) = (String::new(), String::new());
        let mut count = 0;
        for (id, part) in self.parts.iter().enumerate() {
            // A line reads what is made above it, so a state's last line may read that state alone.
            let roots = self.new_states.iter().enumerate();
            let root = roots
                .filter(|(_, root)| **root == id)
                .any(|(k, _)| self.reads_states_before(&writing.names, id, late(k), &order));
            let starts = matches!(part, SketchPart::Linear(_, Some(_)));
            if (uses[id] > 1 && !part.is_leaf()) || root || starts {
                count += 1;
                let name = self.free_name(count);
                lines += &format!("{name} = {}\n", writing.part(id).0);
                if let SketchPart::Linear(_, Some(start)) = part {
                    biases += &format!("bias {name} = {start}\n");
                }
                writing.names[id] = Some(name);
            }
        }
        text += &biases;
        text += &lines;
        for k in order {
            text += &format!(
                "{} = {}\n",
                self.states[k],
                writing.part(self.new_states[k]).0
            );
        }
        text
    }

    /// Whether what would be written for a part in the line of a state reads a state that a line above has made.
    fn reads_states_before(
        &self,
        names: &[Option<String>],
        id: PartId,
        place: Option<usize>,
        order: &[usize],
    ) -> bool {
        let above = &order[..place.unwrap_or(0)];
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if names[id].is_some() {
                continue;
            }
            match &self.parts[id] {
                SketchPart::State(k) if above.contains(k) => return true,
                part => open.extend(part.operands()),
            }
        }
        false
    }

    /// The `n`-th name that is no state's.
    fn free_name(&self, n: usize) -> String {
        let mut name = format!("v{n}");
        while self.states.contains(&name) {
            name.push('_');
        }
        name
    }
}

struct Writing<'a> {
    sketch: &'a Sketch,
    names: Vec<Option<String>>,
}

impl Writing<'_> {
    /// What a part is called, or how it is made, and how tightly that binds.
    fn part(&self, id: PartId) -> (String, u8) {
        if let Some(name) = &self.names[id] {
            return (name.clone(), WHOLE);
        }
        match &self.sketch.parts[id] {
            SketchPart::Input => ("x".into(), WHOLE),
            SketchPart::State(k) => (self.sketch.states[*k].clone(), WHOLE),
            SketchPart::Number(x) if *x < 0.0 => (format!("({x})"), WHOLE),
            SketchPart::Number(x) => (format!("{x}"), WHOLE),
            SketchPart::Linear(operands, _) => {
                let all: Vec<String> = operands.iter().map(|o| self.part(*o).0).collect();
                (format!("linear({})", all.join(", ")), WHOLE)
            }
            SketchPart::Unary(op, a) => (format!("{}({})", op.name(), self.part(*a).0), WHOLE),
            SketchPart::Binary(op, a, b) => {
                let binds = match op.name() {
                    "+" | "-" => SUM,
                    "*" | "/" => PRODUCT,
                    name => {
                        let (a, b) = (self.part(*a).0, self.part(*b).0);
                        return (format!("{name}({a}, {b})"), WHOLE);
                    }
                };
                let a = self.operand(*a, binds);
                let b = self.operand(*b, binds + 1);
                (format!("{a} {} {b}", op.name()), binds)
            }
        }
    }

    /// In brackets, where it binds less than `least`.
    fn operand(&self, id: PartId, least: u8) -> String {
        let (text, binds) = self.part(id);
        if binds < least {
            format!("({text})")
        } else {
            text
        }
    }
}
