//! The sums of a stage in a thread's registers: loops over the operands' elements, unrolled over its rows and units.

use std::fmt::Write;
use std::ops::Range;

use super::places::Places;
use crate::cell::{FusedProduct, Stage};
use crate::op::Direction;

/// What a thread has of every sum.
#[derive(Clone, Copy)]
pub(super) struct ThreadTile {
    pub rows: usize,
    /// Units, or fours of units.
    pub columns: usize,
    /// Threads of a subgroup, all of the same rows; 0 where each thread reads its rows itself.
    pub lanes: usize,
}

impl ThreadTile {
    /// Rows of which a thread reads the elements itself.
    fn own_rows(&self) -> usize {
        self.rows / self.lanes.max(1)
    }
}

/// Which V of an operand a thread goes through, and what its sums of them are called.
#[derive(Clone, Copy)]
pub(super) struct ThreadShare {
    /// The first one.
    pub first: &'static str,
    /// What goes on to the next one, behind the loop's variable.
    pub next: &'static str,
    /// What the names of sums begin with.
    pub sums: &'static str,
}

/// All of them.
const ALL: ThreadShare = ThreadShare {
    first: "0u",
    next: "++",
    sums: "acc",
};

/// The loops of a stage's products, a V of the operand a round, all sums side by side.
pub(super) fn products(
    places: &Places,
    tile: ThreadTile,
    stage: &Stage,
) -> std::result::Result<String, String> {
    let mut out = zeros(tile, 0..stage.sums.len(), ALL);
    for (p, product) in stage.products().iter().enumerate() {
        out += &product_loop(places, tile, (p, product), ALL)?;
    }
    Ok(out)
}

/// The registers of these sums.
pub(super) fn zeros(tile: ThreadTile, sums: Range<usize>, share: ThreadShare) -> String {
    let mut out = String::new();
    for s in sums {
        for r in 0..tile.rows {
            for c in 0..tile.columns {
                let _ = writeln!(out, "var {}_{s}_{r}_{c} = V(0.0);", share.sums);
            }
        }
    }
    out
}

/// The loop of product number `p`, over a thread's share of its operand.
pub(super) fn product_loop(
    places: &Places,
    tile: ThreadTile,
    (p, product): (usize, &FusedProduct),
    share: ThreadShare,
) -> std::result::Result<String, String> {
    let (first, next) = (share.first, share.next);
    let mut out = "{\n".to_string();
    out += &rows(places, tile, product);
    let steps = product.blocks * places.units();
    let _ = writeln!(
        out,
        "for (var k{p} = {first}; k{p} < {steps}u; k{p}{next}) {{"
    );
    out += &operands(places, tile, product, p);
    out += &weights(places, tile, product, p)?;
    out += &sums(places, tile, product, share);
    out += "}\n}\n";
    Ok(out)
}

/// Where the rows of an operand begin. Where a subgroup's threads have the same rows, each reads those of one and all get
/// them from it.
fn rows(places: &Places, tile: ThreadTile, product: &FusedProduct) -> String {
    let mut out = String::new();
    for g in 0..tile.own_rows() {
        let row = match tile.lanes {
            0 => format!("row{g}"),
            lanes => format!("min(first_row + {}u + lane, running - 1u)", g * lanes),
        };
        if places.ends(product.operand) {
            let _ = writeln!(out, "let goes_on{g} = {row} < later;");
        }
        let received = places.received(product.operand, &row);
        let from = received.unwrap_or_else(|| places.operand(product.operand, &row).1);
        let _ = writeln!(out, "let from{g} = {from};");
    }
    out
}

/// The elements of the operand's rows in one round.
fn operands(places: &Places, tile: ThreadTile, product: &FusedProduct, p: usize) -> String {
    let mut out = String::new();
    let name = places.operand(product.operand, "0u").0;
    let x = if tile.lanes > 0 { "a" } else { "x" };
    if places.received(product.operand, "0u").is_some() {
        // All are looked for before any is waited for.
        for g in 0..tile.own_rows() {
            let _ = writeln!(out, "let seen{g} = ahead(from{g} + k{p});");
        }
        for g in 0..tile.own_rows() {
            let comes = if places.ends(product.operand) {
                format!("goes_on{g}")
            } else {
                "true".to_string()
            };
            let _ = writeln!(
                out,
                "let {x}{g} = received(from{g} + k{p}, seen{g}, {comes});"
            );
        }
        return out;
    }
    for g in 0..tile.own_rows() {
        let _ = if places.ends(product.operand) {
            writeln!(
                out,
                "let {x}{g} = select(V(0.0), ${name}[from{g} + k{p}], goes_on{g});"
            )
        } else {
            writeln!(out, "let {x}{g} = ${name}[from{g} + k{p}];")
        };
    }
    for r in 0..if tile.lanes > 0 { tile.rows } else { 0 } {
        let (from, lane) = (r / tile.lanes, r % tile.lanes);
        let _ = writeln!(out, "let x{r} = subgroupBroadcast(a{from}, {lane}u);");
    }
    out
}

/// The weights that one round multiplies them with: for each element of a V one of the weight's rows, its columns being
/// units; of weights that lie as in forward, for each unit of a V one of its rows, its columns being the operand's elements.
fn weights(
    places: &Places,
    tile: ThreadTile,
    product: &FusedProduct,
    p: usize,
) -> std::result::Result<String, String> {
    let (h, w) = (places.scan.hidden, places.width);
    let mut out = String::new();
    for (f, feed) in product.feeds.iter().enumerate() {
        let weight = places.scan.weights[feed.source]
            .ok_or(format!("source {} has no weight", feed.source))?;
        let forward = places.scan.direction == Direction::Forward;
        let (rows, columns) = if forward || places.turned(feed) {
            (0, feed.block * h)
        } else {
            (feed.block * h, 0)
        };
        let base = (weight.offset + rows * weight.stride + columns) / w;
        let stride = weight.stride / w;
        for kk in 0..w {
            for c in 0..tile.columns {
                let (row, column) = if places.turned(feed) {
                    (format!("unit{c}"), format!("k{p}"))
                } else {
                    (format!("k{p}"), format!("unit{c}"))
                };
                let _ = writeln!(
                    out,
                    "let m_{f}_{kk}_{c} = $w{}[{base}u + ({row} * {w}u + {kk}u) * {stride}u + {column}];",
                    feed.source
                );
            }
        }
    }
    Ok(out)
}

/// The multiply-adds of one round. All terms of a sum follow one another: where sums are more than registers, each is
/// fetched once a round.
fn sums(places: &Places, tile: ThreadTile, product: &FusedProduct, share: ThreadShare) -> String {
    let mut out = String::new();
    for r in 0..tile.rows {
        for (f, feed) in product.feeds.iter().enumerate() {
            for c in 0..tile.columns {
                let acc = format!("{}_{}_{r}_{c}", share.sums, feed.sum);
                if places.turned(feed) && places.width > 1 {
                    let dots = (0..places.width).map(|kk| format!("dot(x{r}, m_{f}_{kk}_{c})"));
                    let dots: Vec<String> = dots.collect();
                    let _ = writeln!(out, "{acc} += V({});", dots.join(", "));
                    continue;
                }
                for kk in 0..places.width {
                    let x = match places.width {
                        1 => format!("x{r}"),
                        _ => format!("V(x{r}[{kk}])"),
                    };
                    let _ = writeln!(out, "{acc} += {x} * m_{f}_{kk}_{c};");
                }
            }
        }
    }
    out
}
