//! The order of what threads of a workgroup hand one another through storage.
//!
//! A barrier of the workgroup's memory leaves storage as unordered as it was. So where a kernel has a barrier between a load
//! from a storage buffer and a store to it, in whichever order, one of the barriers between them must be said of storage:
//! without one another thread may see the wrong one of both.

use std::collections::HashMap;

use wgpu::naga::{AddressSpace, Barrier, Block, Expression, Function, Handle, Module, Statement};

/// What has happened to a buffer since the last barrier of storage.
#[derive(Clone, Copy, Default)]
struct Seen {
    loaded: bool,
    stored: bool,
    /// The same before a later barrier, one of the workgroup's memory alone.
    loaded_before: bool,
    stored_before: bool,
}

struct Walk<'a> {
    module: &'a Module,
    buffers: HashMap<&'a str, Seen>,
    fault: Option<String>,
}

/// What is wrong with a text's order, if anything.
pub fn fault(text: &str) -> Option<String> {
    let module = wgpu::naga::front::wgsl::parse_str(text).unwrap();
    let mut walk = Walk {
        module: &module,
        buffers: HashMap::new(),
        fault: None,
    };
    for entry in &module.entry_points {
        walk.block(&entry.function, &entry.function.body);
    }
    walk.fault
}

impl<'a> Walk<'a> {
    /// The storage buffer that a pointer points into.
    fn buffer(&self, function: &Function, pointer: Handle<Expression>) -> Option<&'a str> {
        match &function.expressions[pointer] {
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => {
                self.buffer(function, *base)
            }
            Expression::GlobalVariable(variable) => {
                let variable = &self.module.global_variables[*variable];
                let storage = matches!(variable.space, AddressSpace::Storage { .. });
                variable.name.as_deref().filter(|_| storage)
            }
            _ => None,
        }
    }

    fn load(&mut self, buffer: Option<&'a str>) {
        let Some(name) = buffer else { return };
        let seen = self.buffers.entry(name).or_default();
        seen.loaded = true;
        if seen.stored_before {
            self.fault
                .get_or_insert(format!("{name} is loaded behind a store"));
        }
    }

    fn store(&mut self, buffer: Option<&'a str>) {
        let Some(name) = buffer else { return };
        let seen = self.buffers.entry(name).or_default();
        seen.stored = true;
        if seen.loaded_before || seen.stored_before {
            self.fault
                .get_or_insert(format!("{name} is stored to behind a load or store"));
        }
    }

    fn barrier(&mut self, barrier: Barrier) {
        for seen in self.buffers.values_mut() {
            if barrier.contains(Barrier::STORAGE) {
                *seen = Seen::default();
            } else {
                seen.loaded_before |= seen.loaded;
                seen.stored_before |= seen.stored;
            }
        }
    }

    fn block(&mut self, function: &Function, block: &Block) {
        for statement in block.iter() {
            match statement {
                Statement::Emit(range) => {
                    for expression in range.clone() {
                        if let Expression::Load { pointer } = function.expressions[expression] {
                            self.load(self.buffer(function, pointer));
                        }
                    }
                }
                Statement::Store { pointer, .. } => self.store(self.buffer(function, *pointer)),
                Statement::ControlBarrier(barrier) => self.barrier(*barrier),
                Statement::Block(inner) => self.block(function, inner),
                Statement::If { accept, reject, .. } => {
                    self.block(function, accept);
                    self.block(function, reject);
                }
                Statement::Switch { cases, .. } => {
                    cases
                        .iter()
                        .for_each(|case| self.block(function, &case.body));
                }
                // Twice: the end of one round is before the beginning of the next.
                Statement::Loop {
                    body, continuing, ..
                } => {
                    for _ in 0..2 {
                        self.block(function, body);
                        self.block(function, continuing);
                    }
                }
                Statement::Call {
                    function: called, ..
                } => {
                    let called = &self.module.functions[*called];
                    self.block(called, &called.body);
                }
                _ => {}
            }
        }
    }
}
