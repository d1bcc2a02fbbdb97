//! The cell's equations in a kernel: the program of a stage with every load and store at its place.

use std::cell::Cell;

use super::super::ranges::ScanRows;
use super::places::Places;
use crate::cell::stage::{Load, Stage, Store};
use crate::cell::wgsl;
use crate::op::scan::InputProjection;

impl Places<'_> {
    /// The statements of a stage's program for row b and unit j.
    pub fn program(&self, stage: &Stage) -> std::result::Result<String, String> {
        // `statements` takes expressions; what is missing is told afterwards.
        let missing = Cell::new(None);
        let text = wgsl::statements(
            &stage.program,
            |load| match self.load(load) {
                Some(text) => text,
                None => {
                    missing.set(Some(load));
                    String::new()
                }
            },
            |store, value| self.store(store, value),
        );
        match missing.get() {
            Some(load) => Err(format!("the plan gives nothing for {load:?}")),
            None => Ok(text),
        }
    }

    /// A load; none where the plan gives nothing for it.
    pub fn load(&self, load: Load) -> Option<String> {
        let scan = self.scan;
        let states = scan.cell.states.len();
        Some(match load {
            Load::Sum(s) => format!("sum{s}"),
            Load::Reduction(n) => format!("number{n}"),
            Load::Mask(m) => format!("mask{m}({}, b, j)", self.place("b")),
            Load::InputProjection(block) => {
                let block = block * scan.hidden / self.width;
                match scan.input_projection {
                    InputProjection::Nothing => return None,
                    InputProjection::Rows(rows) => {
                        format!(
                            "$projection[{} + {block}u + j]",
                            self.row(ScanRows::InputProjection, &rows)
                        )
                    }
                    InputProjection::Table { table, .. } => {
                        let first = table.offset / self.width + block;
                        let stride = table.stride / self.width;
                        let position = self.position();
                        format!("$projection[$ids[step.y + {position}] * {stride}u + {first}u + j]")
                    }
                }
            }
            Load::Input => format!("$input[{} + j]", self.row(ScanRows::Input, &scan.input?)),
            Load::Previous(k) => format!("$state{k}[{} + j]", self.state(k, "t", "b")),
            Load::New(k) => format!("$state{k}[{} + j]", self.state(k, "(t + 1u)", "b")),
            Load::Made(i) => format!("$saved[{} + j]", self.saved(scan.compiled.saved + i, "b")),
            Load::Saved(i) => format!("$saved[{} + j]", self.saved(i, "b")),
            Load::Vector(v) => {
                let offset = scan.vectors.get(v)?.offset / self.width;
                format!("$v{v}[{offset}u + j]")
            }
            Load::Delta(d) => format!("$delta[{} + j]", self.delta(d, "t", "b")),
            Load::Upstream => format!(
                "$upstream[{} + j]",
                self.row(ScanRows::Upstream, &scan.upstream?)
            ),
            Load::Carry(k) => format!("$scratch[{} + j]", self.scratch(k)),
            Load::Scratch(i) => format!("$scratch[{} + j]", self.scratch(states + i)),
        })
    }

    fn store(&self, store: Store, value: &str) -> String {
        let states = self.scan.cell.states.len();
        let place = match store {
            Store::New(k) => format!("$state{k}[{} + j]", self.state(k, "(t + 1u)", "b")),
            Store::Made(i) => format!(
                "$saved[{} + j]",
                self.saved(self.scan.compiled.saved + i, "b")
            ),
            Store::Saved(i) => format!("$saved[{} + j]", self.saved(i, "b")),
            Store::Delta(d) => format!("$delta[{} + j]", self.delta(d, "t", "b")),
            Store::Carry(k) => format!("$scratch[{} + j]", self.scratch(k)),
            Store::Scratch(i) => format!("$scratch[{} + j]", self.scratch(states + i)),
            Store::Initial(k) => {
                format!("$scratch[{} + j]", self.scratch(self.scan.initial_plane(k)))
            }
            Store::Total(i) => {
                let (first, totals) = (self.scan.scratch_planes(), self.scan.compiled.totals);
                format!("$scratch[({first}u * BATCH + b * {totals}u + {i}u) * UNITS + j]")
            }
        };
        match store {
            Store::Total(_) => format!("{place} += {value};"),
            _ => match self.sent(store) {
                None => format!("{place} = {value};"),
                Some(to) => format!("{place} = {value};\nsend({to} + j, {value});"),
            },
        }
    }
}
