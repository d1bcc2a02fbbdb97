//! The kernels of a scan's stages, from their texts, and what all kernels of scans have in common.

use super::super::template::{FOUR, ONE, Template, flat_groups};
use super::super::tile::Tile;
use super::masks::loaded_masks;
use super::places::Places;
use super::products::{ThreadTile, products};
use crate::cell::Stage;
use crate::{Error, Result};

/// A scan with the tile that its kernels use.
pub(super) struct ScanWriter<'a> {
    pub places: Places<'a>,
    pub tile: ThreadTile,
}

impl ScanWriter<'_> {
    /// What the shaders of scans have in common.
    fn common(&self, text: &'static str, masks: &[usize]) -> Template {
        let mut template = Template::new(text)
            .size("ROWS", self.tile.rows)
            .size("COLUMNS", self.tile.columns)
            .size("TILE", self.tile.rows * self.tile.columns)
            .size("BATCH", self.places.scan.batch)
            .size("UNITS", self.places.units())
            .subgroup(self.tile.lanes > 0)
            .units(if self.places.width == 1 { ONE } else { FOUR })
            .flag("MASKED", !masks.is_empty())
            .text("MASKS", self.places.masks(masks));
        for m in masks {
            template = template.number(&format!("SCALE{m}"), self.places.scan.cell.masks[*m].scale);
        }
        for (name, slot) in self.places.slots() {
            template = template.buffer(&name, slot);
        }
        template
    }

    /// What a thread does in a stage.
    fn stage(&self, stage: &Stage) -> std::result::Result<String, String> {
        let products = products(&self.places, self.tile, stage)?;
        let equations = self.equations(stage, self.tile.rows, self.tile.columns)?;
        Ok(format!("{products}\n{equations}"))
    }

    /// The equations of a stage on the sums of so many rows and units.
    pub fn equations(
        &self,
        stage: &Stage,
        rows: usize,
        columns: usize,
    ) -> std::result::Result<String, String> {
        Template::new(include_str!("../../../../shaders/lib/scan_stage.wgsl"))
            .size("ROWS", rows)
            .size("COLUMNS", columns)
            .flag("INLINE", rows * columns <= 4)
            .size("SUMS", stage.sums.len())
            .size("REDUCTIONS", stage.reductions.len())
            .text("ROW_NUMBERS", self.places.reductions(stage, rows)?)
            .text("PROGRAM", self.places.program(stage)?)
            .expanded()
    }

    /// A stage of one step.
    pub fn kernel(&self, stage: &Stage, label: &str, tile: &Tile) -> Result<Template> {
        let mut across = self.places.units().div_ceil(self.tile.columns);
        if self.tile.lanes > 0 {
            across = across.next_multiple_of(tile.group);
        }
        let threads = across * self.places.most_rows().div_ceil(self.tile.rows);
        let fault = |fault: String| Error::internal(format!("kernel {label}: {fault}"));
        let text = include_str!("../../../../shaders/scan.wgsl");
        let template = self
            .of_a_step(text, stage)
            .size("GROUP", tile.group)
            .size("THREADS", threads)
            .size("ACROSS", across)
            .flag("UNIFORM", across.is_multiple_of(tile.group))
            .text("STAGE", self.stage(stage).map_err(fault)?);
        Ok(template.kernel(label, flat_groups(threads, tile.group)))
    }

    /// What the shaders of one stage of one step have in common.
    pub fn of_a_step(&self, text: &'static str, stage: &Stage) -> Template {
        self.of_steps(text, &loaded_masks(stage))
    }

    /// What the shaders have in common that find a step's rows.
    pub fn of_steps(&self, text: &'static str, masks: &[usize]) -> Template {
        let (scan, parted) = (self.places.scan, self.places.parted());
        let mut template = self
            .common(text, masks)
            .flag("PACKED", scan.packed.is_some())
            .flag("PARTED", parted.is_some())
            .flag("CUT", parted.is_some() || scan.packed.is_some())
            .text("LOW", if parted.is_some() { "low + " } else { "" });
        if let Some(packed) = scan.packed {
            template = template
                .size("STARTS", packed.first)
                .size("STEPS", scan.steps)
                .size("ALL", scan.rows);
        }
        if let Some(owned) = parted {
            template = template.size("OWNED", owned);
        }
        template
    }
}
