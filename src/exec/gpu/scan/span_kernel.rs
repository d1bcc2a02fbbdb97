//! The kernel that spans workgroups, and the one that fills its exchange before.

use std::fmt::Write;

use super::super::flag::UNMET;
use super::super::template::{Template, flat_groups};
use super::super::tile::Tile;
use super::masks::loaded_masks;
use super::span::{LOOK, POLLS, Span};
use super::step_kernel::ScanWriter;
use crate::cell::stage::TermOperand;
use crate::op::{Direction, Exchange};
use crate::{Error, Result};

impl ScanWriter<'_> {
    /// The kernel that fills the exchange, then the one that goes through the steps.
    pub fn spanning(&self, span: &Span, exchange: Exchange, tile: &Tile) -> Result<[Template; 2]> {
        let name = &self.places.scan.name;
        let label = format!("{name}.span");
        let fault = |fault: String| Error::internal(format!("kernel {label}: {fault}"));
        let steps = self.steps(span, &label).map_err(fault)?;
        let fill = self
            .fill(span, &format!("{name}.fill"), tile)
            .map_err(fault)?;
        Ok([fill, steps].map(|t| {
            t.buffer("exchange", exchange.words)
                .buffer("flag", exchange.flag)
        }))
    }

    fn steps(&self, span: &Span, label: &str) -> std::result::Result<Template, String> {
        let layout = span.layout().ok_or("no layout")?;
        let mut stages = String::new();
        let mut masks: Vec<usize> = Vec::new();
        for (stage, own) in self.places.scan.stages().iter().zip(&span.layouts) {
            let _ = writeln!(stages, "{{");
            stages += &self.split_stage(stage, own.as_ref())?;
            // What the next stage waits for is then under way, and its parts take the place of this one's.
            let _ = writeln!(stages, "}}\nworkgroupBarrier();");
            for mask in loaded_masks(stage) {
                if !masks.contains(&mask) {
                    masks.push(mask);
                }
            }
        }
        let text = include_str!("../../../../shaders/scan_span.wgsl");
        let [across, down] = span.groups;
        let template = self.of_steps(text, &masks);
        let template = super::split_kernel::sized(template, layout, across)
            .flag(
                "BACKWARD",
                self.places.scan.direction == Direction::Backward,
            )
            .flag("FOURS", self.places.width > 1)
            .size("SENT", span.sent.len())
            .size("POLLS", POLLS)
            .size("LOOK", LOOK)
            .size("PAUSE", span.pause)
            .size("UNMET", UNMET as usize)
            .text("STAGES", stages);
        Ok(template.kernel(label, flat_groups(across * down, 1)))
    }

    fn fill(&self, span: &Span, label: &str, tile: &Tile) -> std::result::Result<Template, String> {
        let mut cases = String::new();
        for (e, sent) in span.sent.iter().enumerate() {
            let (buffer, first) = match *sent {
                TermOperand::Previous(_) => self.places.operand(*sent, "b"),
                TermOperand::Delta(d) => self.places.operand(TermOperand::NextDelta(d), "b"),
                // Nothing of an earlier step is read.
                TermOperand::Made(_) | TermOperand::NextDelta(_) => continue,
            };
            let _ = writeln!(
                cases,
                "case {e}u: {{ words = words_of(${buffer}[{first} + j]); }}"
            );
        }
        let scan = self.places.scan;
        let plane = scan.batch * span.sent.len() * self.places.units();
        let text = include_str!("../../../../shaders/scan_fill.wgsl");
        let template = self
            .of_steps(text, &[])
            .size("GROUP", tile.flat)
            .size("PLANE", plane)
            .size("SENT", span.sent.len())
            .text("CASES", cases);
        let threads = (span.steps + 1) * plane;
        Ok(template.kernel(label, flat_groups(threads, tile.flat)))
    }
}
