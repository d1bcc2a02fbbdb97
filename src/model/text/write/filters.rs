//! Patches of images by Gaussian filters: what is read, and what is written.

use super::super::graph::{Along, ValueNode};
use super::Writer;
use crate::error::Result;
use crate::layer::{self, Builder, Value};
use crate::op::Filters;
use crate::op::filters::{Grid, Intensity};

/// What filters follow from: the value that places them, what they have a row for, their grid, and what is done with gamma.
pub(super) type FiltersOf = (usize, Along, Grid, Intensity);

impl Writer<'_> {
    /// `read(image, at)`.
    pub(super) fn read_patch(
        &mut self,
        builder: &mut Builder,
        node: &ValueNode,
        size: usize,
        width: Option<usize>,
    ) -> Result<Value> {
        let sides = self.image_sides(builder, node, ("read", 0), width)?;
        let (grid, filters) =
            self.filters(builder, node, ("read", Intensity::Times), size, sides)?;
        let image = self.places(builder, node, [0])?[0];
        layer::read_patch(
            builder,
            &format!("line.{}", node.label),
            image,
            filters,
            grid,
        )
    }

    /// `write(patch, at, v)`.
    pub(super) fn write_patch(
        &mut self,
        builder: &mut Builder,
        node: &ValueNode,
        width: Option<usize>,
    ) -> Result<Value> {
        let size = self.patch_size(builder, node)?;
        let sides = self.image_sides(builder, node, ("write", 2), width)?;
        let (grid, filters) =
            self.filters(builder, node, ("write", Intensity::Over), size, sides)?;
        let patch = self.places(builder, node, [0])?[0];
        layer::write_patch(
            builder,
            &format!("line.{}", node.label),
            patch,
            filters,
            grid,
        )
    }

    /// The filters that the second operand of `what` places: one for all lines that have them in common.
    fn filters(
        &mut self,
        builder: &mut Builder,
        node: &ValueNode,
        (what, intensity): (&str, Intensity),
        size: usize,
        [width, height]: [usize; 2],
    ) -> Result<(Grid, Value)> {
        self.place(builder, node, what, (Filters::NUMBERS, "five"))?;
        let grid = Grid {
            size,
            width,
            height,
        };
        let of = (node.operands[1], node.along, grid, intensity);
        if let Some((_, known)) = self.filters.iter().find(|(known, _)| *known == of) {
            return Ok((grid, *known));
        }
        let at = self.places(builder, node, [1])?[0];
        let name = format!("line.{}.filters", node.label);
        let made = layer::filters(builder, &name, at, grid, intensity)?;
        self.filters.push((of, made));
        Ok((grid, made))
    }
}
