//! The products' kernels: a direct one with a register tile, one through shared memory, and one on cooperative matrices.

use std::fmt::Write;

use super::template::{FOUR, ONE, Template, aligned, flat_groups};
use super::tile::{ELEMENT, Tile};
use crate::op::{MatMul, Matrix};

/// The kernel of a product.
pub(super) fn kernel(op: &MatMul, tile: &Tile) -> Template {
    if tile.cooperative > 0 {
        cooperative(op, tile)
    } else if tile.shared {
        shared(op)
    } else {
        direct(op, tile)
    }
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

/// One workgroup for each tile of 64 x 64 elements of the result.
fn tiles(template: Template, op: &MatMul) -> (Template, [u32; 3]) {
    const TILE: usize = 64;
    let (m, _, n) = op.dims();
    let (down, across) = (m.div_ceil(TILE), n.div_ceil(TILE));
    (
        template.size("ACROSS", across),
        flat_groups(down * across, 1),
    )
}

fn shared(op: &MatMul) -> Template {
    let template = Template::new(include_str!("../../../shaders/matmul_shared.wgsl"));
    let (template, groups) = tiles(template.size("GROUP", 256), op);
    sizes(template, op).kernel(&op.name, groups)
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
    let (template, groups) = tiles(template, op);
    sizes(template, op)
        .extension("wgpu_cooperative_matrix")
        .extension("f16")
        .kernel(&op.name, groups)
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
    // The columns of C and of the bias are read and stored in fours only where they end with a whole one.
    let of_c = [Some(op.c), op.bias];
    let c_vector = tile.vector && n.is_multiple_of(ELEMENT) && of_c.iter().flatten().all(aligned);
    let mut parts = [
        // Rows of the result are columns of a transposed A, and a thread's must then start at a whole four.
        (
            Some(op.a),
            tile.vector && aligned(&op.a) && (!op.transpose_a || rows.is_multiple_of(ELEMENT)),
        ),
        (Some(op.b), tile.vector && aligned(&op.b)),
        (Some(op.c), c_vector),
        (op.bias, c_vector),
    ];
    // A slot is bound once, with one type; and C and its bias agree.
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
    let of = |vector: bool| if vector { FOUR } else { ONE };
    let last = |m: &Matrix| (m.cols - 1) / ELEMENT * ELEMENT;
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
        .size("A_LAST", last(&op.a))
        .size("B_LAST", last(&op.b))
        .flag("AV", parts[0].1)
        .flag("BV", parts[1].1)
        .flag("CV", parts[2].1)
        .text("A", of(parts[0].1))
        .text("B", of(parts[1].1))
        .text("C", of(parts[2].1))
        .text("BIAS", of(parts[3].1))
        .subgroup(lanes > 0)
        .text("LOADS", loads(op, rows, fours, lanes));
    sizes(template, op).kernel(&op.name, flat_groups(down * across, tile.group))
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
