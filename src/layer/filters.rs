//! Patches of images: a grid of Gaussian filters reads one, or writes one. Gregor, Danihelka, Graves, Rezende, Wierstra 2015,
//! section 3.2.

use super::{Builder, Value};
use crate::error::Result;
use crate::op::batch_matmul::Transposed;
use crate::op::filters::{FiltersForm, Grid, Intensity};
use crate::op::{BatchMatMul, Filters, Matrix, Op};

/// The filters of a grid [R, N * (A + B)], across and down, as rows of `at` [R, 5] place them: see [`Filters`].
///
/// # Errors
/// Internal, for ids that no layer has read.
pub fn filters(
    builder: &mut Builder,
    name: &str,
    at: Value,
    grid: Grid,
    intensity: Intensity,
) -> Result<Value> {
    let (places, axis) = (builder.rows(at)?, builder.axis(at));
    let out = builder.activation(axis, name, grid.cols());
    let op = Filters {
        name: name.to_string(),
        form: FiltersForm::Forward { out },
        at: places,
        grid,
        intensity,
    };
    builder.push(Op::Filters(op.clone()));
    let made = name.to_string();
    Ok(
        builder.made_rows(name, out, axis, move |builder, upstream| {
            let into = builder.activation(axis, format!("d.{made}.at"), Filters::NUMBERS);
            builder.push(Op::Filters(Filters {
                name: format!("{made}.backward"),
                form: FiltersForm::Backward {
                    filters: out,
                    upstream,
                    into,
                },
                ..op
            }));
            builder.give(at, into);
        }),
    )
}

/// Filters across and down as they stand in rows.
fn across_and_down(rows: Matrix, grid: Grid) -> [Matrix; 2] {
    let across = grid.size * grid.width;
    [
        rows.columns(0, across),
        rows.columns(across, grid.size * grid.height),
    ]
}

/// Appends a product `c = a b` for every row, `inner` numbers a sum.
fn product(
    builder: &mut Builder,
    name: String,
    [a, b, c]: [Matrix; 3],
    transposed: Transposed,
    inner: usize,
) {
    builder.push(Op::BatchMatMul(BatchMatMul {
        name,
        a,
        b,
        c,
        inner,
        transposed,
    }));
}

/// What filters read of images [R, B * A]: rows of patches [R, N * N], `FY x FX^T` (equation 27, for one image).
///
/// # Errors
/// Internal, for ids that no layer has read.
pub fn read_patch(
    builder: &mut Builder,
    name: &str,
    image: Value,
    filters: Value,
    grid: Grid,
) -> Result<Value> {
    let Grid {
        size,
        width,
        height,
    } = grid;
    let (x, axis) = (builder.rows(image)?, builder.axis(image));
    let [fx, fy] = across_and_down(builder.rows(filters)?, grid);
    let half = builder.activation(axis, format!("{name}.down"), size * width);
    let out = builder.activation(axis, name, size * size);
    let (neither, a, b) = (Transposed::Neither, Transposed::A, Transposed::B);
    product(
        builder,
        format!("{name}.down"),
        [fy, x, half],
        neither,
        height,
    );
    product(builder, name.to_string(), [half, fx, out], b, width);
    let label = name.to_string();
    Ok(
        builder.made_rows(name, out, axis, move |builder, upstream| {
            let of = |part: &str| format!("{label}.{part}.backward");
            let d_half = builder.activation(axis, format!("d.{label}.down"), size * width);
            let d_filters = builder.activation(axis, format!("d.{label}.filters"), grid.cols());
            let [d_fx, d_fy] = across_and_down(d_filters, grid);
            product(builder, of("down"), [upstream, fx, d_half], neither, size);
            product(builder, of("fx"), [upstream, half, d_fx], a, size);
            product(builder, of("fy"), [d_half, x, d_fy], b, width);
            builder.give(filters, d_filters);
            if builder.wants(image) {
                let d_image = builder.activation(axis, format!("d.{label}.image"), x.cols);
                product(builder, of("image"), [fy, d_half, d_image], a, size);
                builder.give(image, d_image);
            }
        }),
    )
}

/// What filters write of patches w [R, N * N]: rows of images [R, B * A], `FY^T w FX` (equation 29).
///
/// # Errors
/// Internal, for ids that no layer has read.
pub fn write_patch(
    builder: &mut Builder,
    name: &str,
    patch: Value,
    filters: Value,
    grid: Grid,
) -> Result<Value> {
    let Grid {
        size,
        width,
        height,
    } = grid;
    let (w, axis) = (builder.rows(patch)?, builder.axis(patch));
    let [fx, fy] = across_and_down(builder.rows(filters)?, grid);
    let half = builder.activation(axis, format!("{name}.across"), size * width);
    let out = builder.activation(axis, name, height * width);
    let (neither, a, b) = (Transposed::Neither, Transposed::A, Transposed::B);
    product(
        builder,
        format!("{name}.across"),
        [w, fx, half],
        neither,
        size,
    );
    product(builder, name.to_string(), [fy, half, out], a, size);
    let label = name.to_string();
    Ok(
        builder.made_rows(name, out, axis, move |builder, upstream| {
            let of = |part: &str| format!("{label}.{part}.backward");
            let d_half = builder.activation(axis, format!("d.{label}.across"), size * width);
            let d_filters = builder.activation(axis, format!("d.{label}.filters"), grid.cols());
            let d_patch = builder.activation(axis, format!("d.{label}.patch"), w.cols);
            let [d_fx, d_fy] = across_and_down(d_filters, grid);
            product(
                builder,
                of("across"),
                [fy, upstream, d_half],
                neither,
                height,
            );
            product(builder, of("fx"), [w, d_half, d_fx], a, size);
            product(builder, of("fy"), [half, upstream, d_fy], b, width);
            product(builder, of("patch"), [d_half, fx, d_patch], b, width);
            builder.give(filters, d_filters);
            builder.give(patch, d_patch);
        }),
    )
}
