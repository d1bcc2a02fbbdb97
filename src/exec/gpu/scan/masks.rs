//! The random factors of a cell in its kernels.

use std::fmt::Write;

use super::places::Places;
use crate::cell::stage::{Instr, Load, Stage};

/// The masks that a stage's program loads.
pub(super) fn loaded_masks(stage: &Stage) -> Vec<usize> {
    let masks = stage.program.instrs.iter().filter_map(|i| match i {
        Instr::Load(Load::Mask(m)) => Some(*m),
        _ => None,
    });
    masks.collect()
}

impl Places<'_> {
    /// The functions of masks.
    pub fn masks(&self, masks: &[usize]) -> String {
        let mut out = String::new();
        for &m in masks {
            let mask = &self.scan.cell.masks[m];
            let row = if mask.locked { "b" } else { "(step.y + at)" };
            let stream = self.scan.streams[m].wrapping_sub(self.scan.streams[0]);
            let threshold = mask.threshold();
            let (h, width) = (self.scan.hidden, self.width);
            let value = match width {
                1 => {
                    "let words = threefry2x32(key, vec2<u32>(element / 2u, 0u));\n\
                      let word = select(words.x, words.y, element % 2u == 1u);"
                }
                _ => {
                    "let word = vec4<u32>(threefry2x32(key, vec2<u32>(element / 2u, 0u)), \
                      threefry2x32(key, vec2<u32>(element / 2u + 1u, 0u)));"
                }
            };
            let _ = writeln!(
                out,
                "fn mask{m}(at: u32, b: u32, j: u32) -> V {{\n\
                 let key = threefry2x32(vec2<u32>($control[5], $control[6]), vec2<u32>(step.z + {stream}u, 0u));\n\
                 let element = {row} * {h}u + j * {width}u;\n{value}\n\
                 return select(V(0.0), V(SCALE{m}), word >= U({threshold}u));\n}}"
            );
        }
        out
    }
}
