//! The kernel of a stage whose sums several threads share.

use super::super::template::{Template, flat_groups};
use super::split::SplitLayout;
use super::step_kernel::ScanWriter;
use crate::cell::Stage;
use crate::{Error, Result};

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
        let products = layout.products(&self.places, stage).map_err(fault)?;
        // Of the rows that a thread sums over it has one in the end.
        let equations = self.equations(stage, 1, 1).map_err(fault)?;
        let template = self
            .of_a_step(text, stage)
            .size("GROUP", layout.threads())
            .size("OWNERS", layout.lanes * layout.bands)
            .size("LANES", layout.lanes)
            .size("BANDS", layout.bands)
            .size("SLICES", layout.slices)
            .size("PARTS", layout.parts * layout.threads())
            .size("ACROSS", across)
            .size("SUMS", stage.sums.len())
            .text("PRODUCTS", products)
            .text("EQUATIONS", equations);
        Ok(template.kernel(label, flat_groups(across * down, 1)))
    }
}
