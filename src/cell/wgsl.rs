//! A program as WGSL: one `let` an instruction, loads and stores through functions of the kernel's skeleton.

use std::fmt::Write;

use super::stage::{Instr, Program};

/// The statements of `program`. Values have the skeleton's type `V` (a scalar or a vector of units); `load` and `store`
/// give the skeleton's expression and statement for a place.
pub fn statements<L: Copy, S: Copy>(
    program: &Program<L, S>,
    load: impl Fn(L) -> String,
    store: impl Fn(S, &str) -> String,
) -> String {
    let mut text = String::new();
    for (i, instr) in program.instrs.iter().enumerate() {
        let value = match *instr {
            Instr::Load(what) => load(what),
            Instr::Constant(value) => format!("V({value:?})"),
            Instr::Unary(op, a) => op.wgsl().replace("{0}", &format!("v{a}")),
            Instr::Binary(op, a, b) => op
                .wgsl()
                .replace("{0}", &format!("v{a}"))
                .replace("{1}", &format!("v{b}")),
        };
        let _ = writeln!(text, "let v{i} = {value};");
    }
    for (what, register) in &program.stores {
        let _ = writeln!(text, "{}", store(*what, &format!("v{register}")));
    }
    text
}
