//! The products' kernels: a direct one with a register tile, one through shared memory, and one on cooperative matrices.

use std::fmt::Write;

use super::product_tile::{ProductPlace, ProductTile, THREADS};
use super::template::{FOUR, ONE, Template, aligned, flat_groups};
use super::tile::{ELEMENT, Tile};
use crate::op::{MatMul, Matrix, Operation, ProductParts};
use crate::{Error, Result};

/// The kernel of a product.
pub(super) fn kernel(op: &MatMul, tile: &Tile, place: ProductPlace) -> Template {
    let shared_tile = || ProductTile::of(op, tile, place).filter(|_| tile.shared);
    if tile.cooperative > 0 {
        cooperative(op, tile)
    } else if let Some(of) = shared_tile() {
        shared(op, of, None)
    } else {
        direct(op, tile)
    }
}

/// The kernel of a product in parts.
///
/// # Errors
/// Internal, where a workgroup has too little memory.
pub(super) fn parts(op: &ProductParts, tile: &Tile, place: ProductPlace) -> Result<Template> {
    let of = ProductTile::of(&op.product, tile, place).ok_or_else(|| {
        let bytes = place.memory;
        Error::internal(format!("{}: {bytes} bytes of shared memory", op.name()))
    })?;
    Ok(shared(&op.product, of, Some(op)))
}

fn sizes(template: Template, op: &MatMul) -> Template {
    let (m, k, n) = op.dims();
    // Rows of A that count are rows of the product, or, transposed, what is summed over.
    let (rows, depth) = if op.transpose_a {
        (None, op.a.row_count)
    } else {
        (op.a.row_count, None)
    };
    let template = template
        .counted("M", m, rows)
        .counted("K", k, depth)
        .flag("COUNTED_ROWS", rows.is_some())
        .flag("COUNTED_DEPTH", depth.is_some())
        .size("N", n)
        .matrix("a", &op.a)
        .matrix("b", &op.b)
        .matrix("c", &op.c)
        .flag("TA", op.transpose_a)
        .flag("TB", op.transpose_b)
        .flag("BIASED", op.bias.is_some())
        .flag("ACCUMULATE", op.accumulate);
    match &op.bias {
        Some(bias) => template.matrix("bias", bias),
        None => template,
    }
}

/// One workgroup for each tile of the result: a template that knows how many are in a row, and how many there are.
fn tiles(template: Template, op: &MatMul, side: usize) -> (Template, usize) {
    let (m, _, n) = op.dims();
    let (down, across) = (m.div_ceil(side), n.div_ceil(side));
    (template.size("ACROSS", across), down * across)
}

/// Of a product, or of its parts.
fn shared(op: &MatMul, tile: ProductTile, parts: Option<&ProductParts>) -> Template {
    let (m, k, n) = op.dims();
    let template = Template::new(include_str!("../../../shaders/matmul_shared.wgsl"));
    let (template, tiles) = tiles(template, op, tile.side);
    let (count, rows, depth) =
        parts.map_or((1, m, k), |of| (of.parts, op.c.rows / of.parts, of.depth));
    let fours = tile.side / ELEMENT;
    let along = |m: &Matrix, along: bool| along && aligned(m);
    // Gradients of weights lie in one slot with sums that are no fours, and a dispatch of all binds it in one way.
    let apart = parts.is_some() || !op.transpose_a;
    let vectors = vectors(
        op,
        [along(&op.a, op.transpose_a), along(&op.b, !op.transpose_b)],
        apart && c_in_fours(op),
    );
    let template = template
        .size("GROUP", THREADS)
        .size("SIDE", tile.side)
        .size("FOURS", fours)
        .size("QUADS", tile.side / 64)
        .size("DEEP", tile.terms)
        .size("PITCH", fours + 1)
        .size("HALF", tile.terms * (fours + 1))
        .size("LENGTH", tile.elements() / ELEMENT)
        .size("LOADS", tile.terms * fours)
        .flag("PARTED", parts.is_some())
        .size("TILES", tiles)
        .size("PARTS", count)
        .size("PART_ROWS", rows)
        .size("DEPTH", depth)
        .size("M_LAST", m - 1)
        .size("K_LAST", k - 1)
        .size("N_LAST", n - 1);
    let template = in_fours(template, op, vectors);
    sizes(template, op).kernel(&op.name, flat_groups(tiles * count, 1))
}

/// On matrices that a subgroup multiplies together, where the adapter has them for f16 with sums in f32.
///
/// This kernel has passed no check yet. It is valid to naga and becomes SPIR-V, which tests look at; nothing may train with it
/// before a check on the adapter itself.
fn cooperative(op: &MatMul, tile: &Tile) -> Template {
    let template = Template::new(include_str!("../../../shaders/matmul_cooperative.wgsl"))
        .size("GROUP", 4 * tile.cooperative)
        .size("SIZE", tile.matrices)
        .size("SIDE", 32 / tile.matrices)
        .size("DEEP", 16 / tile.matrices);
    let (template, groups) = tiles(template, op, 64);
    sizes(template, op)
        .extension("wgpu_cooperative_matrix")
        .extension("f16")
        .kernel(&op.name, flat_groups(groups, 1))
}

fn direct(op: &MatMul, tile: &Tile) -> Template {
    let (m, k, n) = op.dims();
    let lanes = tile.subgroup;
    let (rows, columns) = match lanes {
        0 => (tile.product_rows, tile.product_columns),
        _ => (
            tile.product_rows.min(m.next_multiple_of(lanes)),
            columns(n, tile),
        ),
    };
    let fours = columns / ELEMENT;
    let (down, mut across) = (m.div_ceil(rows), n.div_ceil(columns));
    if lanes > 0 {
        across = across.next_multiple_of(tile.group);
    }
    let vectors = vectors(
        op,
        [
            // Rows of the result are columns of a transposed A, and a thread's must then start at a whole four.
            tile.vector && aligned(&op.a) && (!op.transpose_a || rows.is_multiple_of(ELEMENT)),
            tile.vector && aligned(&op.b),
        ],
        tile.vector && c_in_fours(op),
    );
    let template = Template::new(include_str!("../../../shaders/matmul.wgsl"))
        .size("GROUP", tile.group)
        .size("THREADS", down * across)
        .size("ACROSS", across)
        .flag("UNIFORM", across.is_multiple_of(tile.group))
        .size("ROWS", rows)
        .size("COLUMNS", columns)
        .size("FOURS", fours)
        .size("WHOLE", k / ELEMENT * ELEMENT)
        .size("TAIL", k % ELEMENT)
        .subgroup(lanes > 0)
        .text("LOADS", loads(op, rows, fours, lanes));
    let template = in_fours(template, op, vectors);
    sizes(template, op).kernel(&op.name, flat_groups(down * across, tile.group))
}

/// Whether the columns of C and of the bias can be read and stored in fours: where they end with a whole one.
fn c_in_fours(op: &MatMul) -> bool {
    let of_c = [Some(op.c), op.bias];
    op.c.cols.is_multiple_of(ELEMENT) && of_c.iter().flatten().all(aligned)
}

/// Which of A, B, C and the bias are bound in fours, of those that may be: a slot is bound once, with one type; and C and its
/// bias agree.
fn vectors(op: &MatMul, [a, b]: [bool; 2], c: bool) -> [bool; 4] {
    let mut parts = [
        (Some(op.a), a),
        (Some(op.b), b),
        (Some(op.c), c),
        (op.bias, c),
    ];
    for _ in 0..parts.len() {
        let before = parts;
        let slot = |p: &(Option<Matrix>, bool)| p.0.map(|m| m.slot);
        for part in &mut parts {
            part.1 &= before
                .iter()
                .all(|other| slot(other) != slot(part) || other.1);
        }
        if op.bias.is_some() {
            let both = parts[2].1 && parts[3].1;
            (parts[2].1, parts[3].1) = (both, both);
        }
    }
    parts.map(|part| part.1)
}

/// A template that binds A, B, C and the bias in fours where that is so.
fn in_fours(template: Template, op: &MatMul, vectors: [bool; 4]) -> Template {
    let of = |vector: bool| if vector { FOUR } else { ONE };
    let last = |m: &Matrix| (m.cols - 1) / ELEMENT * ELEMENT;
    let [a, b, c, bias] = vectors;
    template
        .size("A_LAST", last(&op.a))
        .size("B_LAST", last(&op.b))
        .flag("AV", a)
        .flag("BV", b)
        .flag("CV", c)
        .text("A", of(a))
        .text("B", of(b))
        .text("C", of(c))
        .text("BIAS", of(bias))
}

/// Columns a thread, where workgroups are filled with threads that make nothing: those that leave the fewest of them.
fn columns(n: usize, tile: &Tile) -> usize {
    let padded = |fours: &usize| n.next_multiple_of(tile.group * fours * ELEMENT);
    let choices = (1..=tile.product_columns / ELEMENT).rev();
    choices.min_by_key(padded).unwrap_or(1) * ELEMENT
}

/// Four steps of K: `x{row}_{q}` and `y{four}_{q}`, whichever way the operands lie.
fn loads(op: &MatMul, rows: usize, fours: usize, lanes: usize) -> String {
    let mut out = String::new();
    if lanes > 0 {
        shared_rows(&mut out, op, rows, lanes);
    } else if op.transpose_a {
        for q in 0..ELEMENT {
            for four in 0..rows.div_ceil(ELEMENT) {
                let _ = writeln!(
                    out,
                    "let a{four}_{q} = left(k + {q}u, i + {}u);",
                    four * ELEMENT
                );
            }
            for r in 0..rows {
                let _ = writeln!(out, "let x{r}_{q} = a{}_{q}[{}];", r / ELEMENT, r % ELEMENT);
            }
        }
    } else {
        for r in 0..rows {
            let _ = writeln!(out, "let a{r} = left(i + {r}u, k);");
            for q in 0..ELEMENT {
                let _ = writeln!(out, "let x{r}_{q} = a{r}[{q}];");
            }
        }
    }
    for n in 0..fours {
        if op.transpose_b {
            for e in 0..ELEMENT {
                let _ = writeln!(out, "let b{n}_{e} = right(j + {}u, k);", n * ELEMENT + e);
            }
            for q in 0..ELEMENT {
                let _ = writeln!(
                    out,
                    "let y{n}_{q} = {FOUR}(b{n}_0[{q}], b{n}_1[{q}], b{n}_2[{q}], b{n}_3[{q}]);"
                );
            }
        } else {
            for q in 0..ELEMENT {
                let _ = writeln!(out, "let y{n}_{q} = right(k + {q}u, j + {}u);", n * ELEMENT);
            }
        }
    }
    out
}

/// The rows' elements where a subgroup's threads have the same rows: each thread reads those of one row (of a transposed A,
/// those of four rows at one step of K), and all get them from it.
fn shared_rows(out: &mut String, op: &MatMul, rows: usize, lanes: usize) {
    for g in 0..rows / lanes {
        let first = g * lanes;
        let _ = if op.transpose_a {
            writeln!(
                out,
                "let a{g} = left(k + lane % 4u, i + {first}u + lane / 4u * 4u);"
            )
        } else {
            writeln!(out, "let a{g} = left(i + {first}u + lane, k);")
        };
    }
    for r in 0..rows {
        let (g, row) = (r / lanes, r % lanes);
        for q in 0..ELEMENT {
            let (from, element) = if op.transpose_a {
                (row / ELEMENT * ELEMENT + q, row % ELEMENT)
            } else {
                (row, q)
            };
            let _ = writeln!(
                out,
                "let x{r}_{q} = subgroupBroadcast(a{g}[{element}], {from}u);"
            );
        }
    }
}
