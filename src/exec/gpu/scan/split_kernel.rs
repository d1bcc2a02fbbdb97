//! The kernel of a stage whose sums several threads share.

use super::super::template::{Template, flat_groups};
use super::split::SplitLayout;
use super::step_kernel::ScanWriter;
use crate::cell::Stage;
use crate::{Error, Result};

/// A template with the sizes of a workgroup that shares sums, of which so many lie along the units.
pub(super) fn sized(template: Template, layout: &SplitLayout, across: usize) -> Template {
    template
        .size("GROUP", layout.threads())
        .size("OWNERS", layout.lanes * layout.bands)
        .size("LANES", layout.lanes)
        .size("BANDS", layout.bands)
        .size("SLICES", layout.slices)
        .size("PARTS", layout.parts * layout.threads())
        .size("ACROSS", across)
}

impl ScanWriter<'_> {
    /// A stage of one step, its workgroups laid out so.
    pub fn split_kernel(
        &self,
        stage: &Stage,
        label: &str,
        layout: &SplitLayout,
    ) -> Result<Template> {
        let fault = |fault: String| Error::internal(format!("kernel {label}: {fault}"));
        let text = include_str!("../../../../shaders/scan_split.wgsl");
        let [across, down] = layout.groups(&self.places);
        let body = self.split_stage(stage, Some(layout)).map_err(fault)?;
        let template = sized(self.of_a_step(text, stage), layout, across)
            .size("SUMS", stage.sums.len())
            .text("STAGE", body.trim_end());
        Ok(template.kernel(label, flat_groups(across * down, 1)))
    }

    /// What the threads of a workgroup do in a stage, which has no sums where it has no layout.
    pub fn split_stage(
        &self,
        stage: &Stage,
        layout: Option<&SplitLayout>,
    ) -> std::result::Result<String, String> {
        let products = layout.map(|layout| layout.products(&self.places, stage));
        Template::new(include_str!("../../../../shaders/lib/split_stage.wgsl"))
            .size("ROWS", self.tile.rows)
            .size("COLUMNS", self.tile.columns)
            .size("SUMS", stage.sums.len())
            .text("PRODUCTS", products.transpose()?.unwrap_or_default())
            // Of the rows that a thread sums over it has one in the end.
            .text("EQUATIONS", self.equations(stage, 1, 1)?)
            .expanded()
    }
}
