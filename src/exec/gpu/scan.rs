//! The scan's kernels: one per stage, its products unrolled over a register tile, its equations from the cell.

use std::fmt::Write;

use super::ranges::{BoundRange, ScanRows};
use super::template::{FOUR, ONE, Template, aligned, flat_groups};
use super::tile::{ELEMENT, Tile};
use crate::cell::reduction::{EPS, Reduction};
use crate::cell::stage::{Instr, Load, ProductSum, Stage, Store, TermOperand};
use crate::cell::wgsl;
use crate::op::scan::InputProjection;
use crate::op::{Direction, Matrix, Scan};
use crate::{Error, Result};

/// A chain of products that one loop makes: an operand of `blocks` times H neighbouring elements, and for every sum that
/// it feeds the weight's rows that match.
#[derive(Clone, Debug, PartialEq)]
struct ProductChain {
    operand: TermOperand,
    blocks: usize,
    feeds: Vec<SumFeed>,
}

/// A sum that a product feeds: which, by which source's weight, from which of its blocks on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct SumFeed {
    sum: usize,
    source: usize,
    block: usize,
}

/// The products of a stage. Terms of a sum whose operands and weights continue one another become one chain (the deltas
/// of a cell's gates do); chains over the same operand share their loads of it.
fn products(sums: &[ProductSum]) -> Vec<ProductChain> {
    let mut products: Vec<ProductChain> = Vec::new();
    for (s, sum) in sums.iter().enumerate() {
        let mut chains: Vec<ProductChain> = Vec::new();
        for term in &sum.terms {
            if let Some(last) = chains.last_mut() {
                let feed = last.feeds[0];
                let continues = sum.transposed
                    && feed.source == term.source
                    && feed.block + last.blocks == term.block
                    && continues(last.operand, last.blocks, term.operand);
                if continues {
                    last.blocks += 1;
                    continue;
                }
            }
            chains.push(ProductChain {
                operand: term.operand,
                blocks: 1,
                feeds: vec![SumFeed {
                    sum: s,
                    source: term.source,
                    block: term.block,
                }],
            });
        }
        for chain in chains {
            let same =
                |p: &&mut ProductChain| p.operand == chain.operand && p.blocks == chain.blocks;
            match products.iter_mut().find(same) {
                Some(product) => product.feeds.extend(chain.feeds),
                None => products.push(chain),
            }
        }
    }
    products
}

/// Whether `next` lies right after `blocks` blocks from `first` on.
fn continues(first: TermOperand, blocks: usize, next: TermOperand) -> bool {
    match (first, next) {
        (TermOperand::Delta(a), TermOperand::Delta(b))
        | (TermOperand::NextDelta(a), TermOperand::NextDelta(b)) => a + blocks == b,
        _ => false,
    }
}

/// A scan with the tile that its kernels use.
struct ScanWriter<'a> {
    scan: &'a Scan,
    rows: usize,
    columns: usize,
    /// Elements of a V.
    width: usize,
    /// Threads of a subgroup, all of the same rows; 0 where each thread reads its rows itself.
    lanes: usize,
    /// The range of the rows of all steps that buffers hold, where they do not hold all of them.
    bound: Option<&'a BoundRange>,
}

/// A loop over time within a dispatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loop {
    /// Rows of a workgroup, all of which every thread has.
    rows: usize,
    /// Units (or fours of units) of a thread.
    columns: usize,
    /// Threads of a workgroup.
    group: usize,
    /// Steps of a dispatch.
    pub steps: usize,
}

/// Floating point operations of a workgroup in one dispatch: 40 ms at 5 GFLOP/s, what a submission is meant to take on a
/// processor of a slow device.
const SHORT: usize = 200_000_000;
/// Rounds of a thread's loops in one dispatch: llvmpipe ends them after 65,535, and says nothing.
const ROUNDS: usize = 60_000;

/// Whether every row that the scan reads or writes starts at a multiple of four elements.
fn fours(scan: &Scan) -> bool {
    let matrices = scan.weights.iter().flatten().chain(&scan.input);
    let mut matrices: Vec<Matrix> = matrices.chain(&scan.upstream).copied().collect();
    match scan.input_projection {
        InputProjection::Nothing => {}
        InputProjection::Rows(m) | InputProjection::Table { table: m, .. } => matrices.push(m),
    }
    let mut offsets = scan.vectors.iter().map(|v| v.offset);
    scan.hidden.is_multiple_of(ELEMENT)
        && matrices.iter().all(aligned)
        && offsets.all(|offset| offset.is_multiple_of(ELEMENT))
}

/// The kernels of every stage, in order, then that of the initial states where the scan makes their gradients. With a loop
/// over time one kernel has all stages; for a range of rows they are told where it begins.
pub(super) fn kernels(
    scan: &Scan,
    tile: &Tile,
    time: Option<&Loop>,
    bound: Option<&BoundRange>,
) -> Result<Vec<Template>> {
    let width = width(scan, tile);
    let (rows, columns) = tile.scan(scan.direction, scan.batch, scan.hidden / width);
    let writer = ScanWriter {
        scan,
        rows,
        columns,
        width,
        lanes: tile.subgroup,
        bound,
    };
    let label = |n: usize| format!("{}.{n}", scan.name);
    let mut kernels = match time {
        Some(time) => vec![writer.over(time).looped(time)?],
        None => {
            let stages = scan.stages().iter().enumerate();
            let kernels = stages.map(|(n, stage)| writer.kernel(stage, &label(n), tile));
            kernels.collect::<Result<_>>()?
        }
    };
    if scan.initial && scan.direction == Direction::Backward {
        let label = format!("{}.initial", scan.name);
        kernels.push(writer.kernel(&scan.compiled.initial, &label, tile)?);
    }
    Ok(kernels)
}

/// Elements of a V: four where every row allows it.
fn width(scan: &Scan, tile: &Tile) -> usize {
    if tile.vector && fours(scan) {
        ELEMENT
    } else {
        1
    }
}

/// The loop over time of a scan, where the tile has one and it is possible: the rule.
///
/// Rows must run from the first step to the last, which packed ones do not; there must be steps to loop over; a workgroup
/// must have a thread for every unit or few units; it has `sums` sums over rows at most; and a dispatch must be short: no longer than a submission is meant to be
/// on a slow device, and of no more rounds than llvmpipe goes through.
pub(super) fn time_loop(
    scan: &Scan,
    tile: &Tile,
    threads: usize,
    sums: usize,
) -> std::result::Result<Loop, String> {
    let steps = scan.range.len();
    if scan.packed.is_some() {
        return Err("rows are packed".into());
    }
    if steps < 2 {
        return Err(format!("{steps} steps"));
    }
    let width = width(scan, tile);
    let units = scan.hidden / width;
    let shape = tile.time_loop(scan.direction, scan.batch, units, threads);
    let (rows, columns, group) =
        shape.ok_or(format!("{units} units need more than {threads} threads"))?;
    let reductions: usize = scan.stages().iter().map(|s| s.reductions.len()).sum();
    if rows * reductions > sums {
        let found = rows * reductions;
        return Err(format!("{found} sums over rows, and {sums} are the limit"));
    }
    let (mut flops, mut rounds) = (0, 1);
    for stage in scan.stages() {
        for product in products(&stage.sums) {
            flops += 2 * product.blocks * scan.hidden * product.feeds.len();
            rounds += product.blocks * units;
        }
        rounds += rows * (stage.reductions.len() * units + columns);
    }
    let short = SHORT / (flops * rows * scan.hidden).max(1);
    let steps = [tile.loop_steps, steps, short, ROUNDS / rounds];
    let steps = steps.into_iter().min().filter(|steps| *steps > 0);
    let steps = steps.ok_or("a single step is longer than a dispatch may be")?;
    Ok(Loop {
        rows,
        columns,
        group,
        steps,
    })
}

impl<'a> ScanWriter<'a> {
    /// The same with the rows and units of a loop over time.
    fn over(&self, time: &Loop) -> ScanWriter<'a> {
        ScanWriter {
            rows: time.rows,
            columns: time.columns,
            ..*self
        }
    }

    /// What the shaders of a stage and of a loop over time have in common.
    fn common(&self, text: &'static str, masks: &[usize]) -> Template {
        let mut template = Template::new(text)
            .size("ROWS", self.rows)
            .size("COLUMNS", self.columns)
            .size("TILE", self.rows * self.columns)
            .size("BATCH", self.scan.batch)
            .size("UNITS", self.scan.hidden / self.width)
            .subgroup(self.lanes > 0)
            .units(if self.width == 1 { ONE } else { FOUR })
            .flag("MASKED", !masks.is_empty())
            .text("MASKS", self.masks(masks));
        for m in masks {
            template = template.number(&format!("SCALE{m}"), self.scan.cell.masks[*m].scale);
        }
        for (name, slot) in self.slots() {
            template = template.buffer(&name, slot);
        }
        template
    }

    /// What a thread does in a stage.
    fn stage(&self, stage: &Stage) -> std::result::Result<String, String> {
        Template::new(include_str!("../../../shaders/lib/scan_stage.wgsl"))
            .size("ROWS", self.rows)
            .size("COLUMNS", self.columns)
            .flag("INLINE", self.rows * self.columns <= 4)
            .size("SUMS", stage.sums.len())
            .size("REDUCTIONS", stage.reductions.len())
            .text("PRODUCTS", self.products(stage)?)
            .text("ROW_NUMBERS", self.reductions(stage)?)
            .text("PROGRAM", self.program(stage)?)
            .expanded()
    }

    /// All stages of some steps.
    fn looped(&self, time: &Loop) -> Result<Template> {
        let label = format!("{}.loop", self.scan.name);
        let fault = |fault: String| Error::internal(format!("kernel {label}: {fault}"));
        let mut stages = String::new();
        let mut masks: Vec<usize> = Vec::new();
        for stage in self.scan.stages() {
            let _ = writeln!(stages, "{{");
            stages += &self.stage(stage).map_err(fault)?;
            let _ = writeln!(stages, "}}\nstorageBarrier();");
            for mask in loaded_masks(stage) {
                if !masks.contains(&mask) {
                    masks.push(mask);
                }
            }
        }
        let text = include_str!("../../../shaders/scan_loop.wgsl");
        let backward = self.scan.direction == Direction::Backward;
        let groups = flat_groups(self.scan.batch.div_ceil(self.rows), 1);
        Ok(self
            .common(text, &masks)
            .size("GROUP", time.group)
            .flag("BACKWARD", backward)
            .text("STAGES", stages)
            .kernel(&label, groups))
    }

    fn kernel(&self, stage: &Stage, label: &str, tile: &Tile) -> Result<Template> {
        let units = self.scan.hidden / self.width;
        let mut across = units.div_ceil(self.columns);
        if self.lanes > 0 {
            across = across.next_multiple_of(tile.group);
        }
        let parted = self.bound.and_then(|b| b.parted);
        let most = parted.map_or(self.scan.batch, |owned| owned.min(self.scan.batch));
        let threads = across * most.div_ceil(self.rows);
        let fault = |fault: String| Error::internal(format!("kernel {label}: {fault}"));
        let mut template = self
            .common(
                include_str!("../../../shaders/scan.wgsl"),
                &loaded_masks(stage),
            )
            .size("GROUP", tile.group)
            .size("THREADS", threads)
            .size("ACROSS", across)
            .flag("PACKED", self.scan.packed.is_some())
            .flag("PARTED", parted.is_some())
            .flag("CUT", parted.is_some() || self.scan.packed.is_some())
            .text("LOW", if parted.is_some() { "low + " } else { "" })
            .flag("UNIFORM", across.is_multiple_of(tile.group))
            .text("STAGE", self.stage(stage).map_err(fault)?);
        if let Some(packed) = self.scan.packed {
            template = template
                .size("STARTS", packed.first)
                .size("STEPS", self.scan.steps)
                .size("ALL", self.scan.rows);
        }
        if let Some(owned) = parted {
            template = template.size("OWNED", owned);
        }
        Ok(template.kernel(label, flat_groups(threads, tile.group)))
    }

    /// Every slot that some stage may use, by its name in the shader.
    fn slots(&self) -> Vec<(String, crate::op::SlotId)> {
        let scan = self.scan;
        let mut slots = vec![("control".to_string(), scan.control)];
        slots.extend((0..scan.cell.states.len()).map(|k| {
            let slot = self.bound.map_or(scan.state, |b| b.states[k]);
            (format!("state{k}"), slot)
        }));
        slots.extend(scan.packed.map(|p| ("counts".to_string(), p.counts)));
        let mut add = |name: &str, slot: Option<crate::op::SlotId>| {
            slots.extend(slot.map(|s| (name.to_string(), s)));
        };
        add("saved", scan.saved);
        add("delta", scan.delta);
        add("scratch", scan.scratch);
        add("input", scan.input.map(|m| m.slot));
        add("upstream", scan.upstream.map(|m| m.slot));
        match scan.input_projection {
            InputProjection::Nothing => {}
            InputProjection::Rows(rows) => add("projection", Some(rows.slot)),
            InputProjection::Table { table, ids } => {
                add("projection", Some(table.slot));
                add("ids", Some(ids));
            }
        }
        for (s, weight) in scan.weights.iter().enumerate() {
            add(&format!("w{s}"), weight.map(|m| m.slot));
        }
        for (v, vector) in scan.vectors.iter().enumerate() {
            add(&format!("v{v}"), Some(vector.slot));
        }
        slots
    }

    /// Loops over the operands' elements, `width` at a time, all sums side by side.
    fn products(&self, stage: &Stage) -> std::result::Result<String, String> {
        let (h, w) = (self.scan.hidden, self.width);
        let mut out = String::new();
        for s in 0..stage.sums.len() {
            for r in 0..self.rows {
                for c in 0..self.columns {
                    let _ = writeln!(out, "var acc_{s}_{r}_{c} = V(0.0);");
                }
            }
        }
        for (p, product) in products(&stage.sums).iter().enumerate() {
            let _ = writeln!(out, "{{");
            // Where a subgroup's threads have the same rows, each reads those of one and all get them from it.
            let lanes = self.lanes;
            for g in 0..self.rows / lanes.max(1) {
                let row = match lanes {
                    0 => format!("row{g}"),
                    _ => format!("min(first_row + {}u + lane, running - 1u)", g * lanes),
                };
                if self.ends(product.operand) {
                    let _ = writeln!(out, "let goes_on{g} = {row} < later;");
                }
                let row = self.operand(product.operand, &row);
                let _ = writeln!(out, "let from{g} = {};", row.1);
            }
            let name = self.operand(product.operand, "0u").0;
            let steps = product.blocks * h / w;
            let _ = writeln!(out, "for (var k{p} = 0u; k{p} < {steps}u; k{p}++) {{");
            let x = if lanes > 0 { "a" } else { "x" };
            for g in 0..self.rows / lanes.max(1) {
                let _ = if self.ends(product.operand) {
                    writeln!(
                        out,
                        "let {x}{g} = select(V(0.0), ${name}[from{g} + k{p}], goes_on{g});"
                    )
                } else {
                    writeln!(out, "let {x}{g} = ${name}[from{g} + k{p}];")
                };
            }
            for r in 0..if lanes > 0 { self.rows } else { 0 } {
                let (from, lane) = (r / lanes, r % lanes);
                let _ = writeln!(out, "let x{r} = subgroupBroadcast(a{from}, {lane}u);");
            }
            for (f, feed) in product.feeds.iter().enumerate() {
                let weight = self.scan.weights[feed.source]
                    .ok_or(format!("source {} has no weight", feed.source))?;
                let (rows, columns) = match self.scan.direction {
                    Direction::Forward => (0, feed.block * h),
                    Direction::Backward => (feed.block * h, 0),
                };
                let base = (weight.offset + rows * weight.stride + columns) / w;
                let stride = weight.stride / w;
                for kk in 0..w {
                    for c in 0..self.columns {
                        let _ = writeln!(
                            out,
                            "let m_{f}_{kk}_{c} = $w{}[{base}u + (k{p} * {w}u + {kk}u) * {stride}u + unit{c}];",
                            feed.source
                        );
                    }
                }
            }
            // All terms of a sum follow one another: where sums are more than registers, each is fetched once a round.
            for r in 0..self.rows {
                for (f, feed) in product.feeds.iter().enumerate() {
                    for c in 0..self.columns {
                        let acc = format!("acc_{}_{r}_{c}", feed.sum);
                        for kk in 0..w {
                            let x = match w {
                                1 => format!("x{r}"),
                                _ => format!("V(x{r}[{kk}])"),
                            };
                            let _ = writeln!(out, "{acc} += {x} * m_{f}_{kk}_{c};");
                        }
                    }
                }
            }
            let _ = writeln!(out, "}}\n}}");
        }
        Ok(out)
    }

    /// For every row of the tile the reductions that the stage's program asks for.
    fn reductions(&self, stage: &Stage) -> std::result::Result<String, String> {
        let states = self.scan.cell.states.len();
        let mut out = String::new();
        let total = match self.width {
            1 => "total",
            _ => "(total.x + total.y + total.z + total.w)",
        };
        let h = self.scan.hidden;
        let place = |row: Load| self.load(row, states).ok_or(format!("no row for {row:?}"));
        for (n, reduction) in stage.reductions.iter().enumerate() {
            for r in 0..self.rows {
                let mean = |m: usize| format!("number_{m}_{r}");
                let (value, result) = match *reduction {
                    Reduction::Mean(row) => (place(row)?, "mean".to_string()),
                    Reduction::Scale { row, mean: m } => {
                        let centred = format!("({} - {})", place(row)?, mean(m));
                        (
                            format!("{centred} * {centred}"),
                            format!("1.0 / sqrt(mean + {EPS:?})"),
                        )
                    }
                    Reduction::Slope { sent, row, mean: m } => (
                        format!("{} * ({} - {})", place(sent)?, place(row)?, mean(m)),
                        "mean".to_string(),
                    ),
                };
                let _ = writeln!(
                    out,
                    "var number_{n}_{r} = V(0.0);\n{{\nlet b = row{r};\nvar total = V(0.0);\n\
                     for (var j = 0u; j < UNITS; j++) {{\ntotal += {value};\n}}\n\
                     let mean = {total} / {h}.0;\nnumber_{n}_{r} = V({result});\n}}"
                );
            }
        }
        Ok(out)
    }

    /// The functions of masks.
    fn masks(&self, masks: &[usize]) -> String {
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

    /// The buffer and the first element, in V, of an operand's row.
    fn operand(&self, operand: TermOperand, row: &str) -> (String, String) {
        match operand {
            TermOperand::Previous(k) => (format!("state{k}"), self.state(k, "t", row)),
            TermOperand::Made(i) => (
                "saved".into(),
                self.saved(self.scan.compiled.saved + i, row),
            ),
            TermOperand::Delta(d) => ("delta".into(), self.delta(d, "t", row)),
            TermOperand::NextDelta(d) => ("delta".into(), self.delta(d, "(t + 1u)", row)),
        }
    }

    /// Whether an operand is zero where a sequence ends, and the zeros behind all steps are beyond the range.
    fn ends(&self, operand: TermOperand) -> bool {
        self.scan.packed.is_some()
            && matches!(operand, TermOperand::NextDelta(_))
            && self.begins(ScanRows::Delta).is_some()
    }

    /// What is added to an element, counted from a range's first row on, where the rows are bound in ranges.
    fn begins(&self, rows: ScanRows) -> Option<String> {
        let first = self.bound?.first(rows)? / self.width as isize;
        Some(if first < 0 {
            format!("- {}u", -first)
        } else {
            format!("+ {first}u")
        })
    }

    /// The number of a row of this step among those of all steps.
    fn place(&self, row: &str) -> String {
        match self.scan.packed {
            Some(_) => format!("(here + {row})"),
            None => format!("(t * BATCH + {row})"),
        }
    }

    fn state(&self, k: usize, step: &str, row: &str) -> String {
        let first = k * (self.scan.steps + 1);
        let plane = if step == "t" { "old" } else { "now" };
        match (self.begins(ScanRows::State(k)), self.scan.packed) {
            (Some(first), None) => format!("({step} * BATCH + {row} - step.w) * UNITS {first}"),
            (Some(first), Some(_)) => format!("({plane} + {row} - step.w) * UNITS {first}"),
            (None, None) => format!("(({first}u + {step}) * BATCH + {row}) * UNITS"),
            (None, Some(_)) => format!("({k}u * (ALL + BATCH) + {plane} + {row}) * UNITS"),
        }
    }

    fn saved(&self, value: usize, row: &str) -> String {
        let (values, place) = (self.scan.saved_values(), self.place(row));
        match self.begins(ScanRows::Saved) {
            None => format!("({place} * {values}u + {value}u) * UNITS"),
            Some(first) => format!("(({place} - step.w) * {values}u + {value}u) * UNITS {first}"),
        }
    }

    fn delta(&self, d: usize, step: &str, row: &str) -> String {
        let deltas = self.scan.compiled.deltas;
        let first = self.begins(ScanRows::Delta);
        let place = match (self.scan.packed, step) {
            (_, "t") => self.place(row),
            (None, _) => format!("({step} * BATCH + {row})"),
            // The rows behind all steps are zero, as is what comes back where a sequence ends.
            (Some(_), _) if first.is_none() => {
                format!("(select(ALL, next, {row} < later) + {row})")
            }
            (Some(_), _) => format!("(select(here, next, {row} < later) + {row})"),
        };
        match first {
            None => format!("({place} * {deltas}u + {d}u) * UNITS"),
            Some(first) => format!("(({place} - step.w) * {deltas}u + {d}u) * UNITS {first}"),
        }
    }

    fn scratch(&self, plane: usize) -> String {
        format!("({plane}u * BATCH + b) * UNITS")
    }

    /// The first element, in V, of the row of a matrix [T * B, n] at this position.
    fn row(&self, rows: ScanRows, m: &Matrix) -> String {
        let (offset, stride) = (m.offset / self.width, m.stride / self.width);
        let position = self.position();
        match (self.begins(rows), self.scan.reversed) {
            (None, _) => format!("{offset}u + {position} * {stride}u"),
            (Some(first), false) => format!("({position} - step.w) * {stride}u {first}"),
            // Counted from the range's end, below 0: numbers wrap around.
            (Some(first), true) => format!(
                "({position} + step.w - {}u) * {stride}u {first}",
                self.scan.rows
            ),
        }
    }

    /// The position, in rows of the minibatch.
    fn position(&self) -> String {
        if self.scan.reversed {
            format!("(({}u - t) * BATCH + b)", self.scan.steps - 1)
        } else {
            self.place("b")
        }
    }

    fn program(&self, stage: &Stage) -> std::result::Result<String, String> {
        let states = self.scan.cell.states.len();
        // `statements` takes expressions; what is missing is told afterwards.
        let missing = std::cell::Cell::new(None);
        let text = wgsl::statements(
            &stage.program,
            |load| match self.load(load, states) {
                Some(text) => text,
                None => {
                    missing.set(Some(load));
                    String::new()
                }
            },
            |store, value| self.store(store, states, value),
        );
        match missing.get() {
            Some(load) => Err(format!("the plan gives nothing for {load:?}")),
            None => Ok(text),
        }
    }

    fn load(&self, load: Load, states: usize) -> Option<String> {
        let scan = self.scan;
        Some(match load {
            Load::Sum(s) => format!("sum{s}"),
            Load::Reduction(n) => format!("number{n}"),
            Load::Mask(m) => format!("mask{m}({}, b, j)", self.place("b")),
            Load::InputProjection(block) => {
                let block = block * scan.hidden / self.width;
                match scan.input_projection {
                    InputProjection::Nothing => return None,
                    InputProjection::Rows(rows) => {
                        format!(
                            "$projection[{} + {block}u + j]",
                            self.row(ScanRows::InputProjection, &rows)
                        )
                    }
                    InputProjection::Table { table, .. } => {
                        let first = table.offset / self.width + block;
                        let stride = table.stride / self.width;
                        let position = self.position();
                        format!("$projection[$ids[step.y + {position}] * {stride}u + {first}u + j]")
                    }
                }
            }
            Load::Input => format!("$input[{} + j]", self.row(ScanRows::Input, &scan.input?)),
            Load::Previous(k) => format!("$state{k}[{} + j]", self.state(k, "t", "b")),
            Load::New(k) => format!("$state{k}[{} + j]", self.state(k, "(t + 1u)", "b")),
            Load::Made(i) => format!("$saved[{} + j]", self.saved(scan.compiled.saved + i, "b")),
            Load::Saved(i) => format!("$saved[{} + j]", self.saved(i, "b")),
            Load::Vector(v) => {
                let offset = scan.vectors.get(v)?.offset / self.width;
                format!("$v{v}[{offset}u + j]")
            }
            Load::Upstream => format!(
                "$upstream[{} + j]",
                self.row(ScanRows::Upstream, &scan.upstream?)
            ),
            Load::Carry(k) => format!("$scratch[{} + j]", self.scratch(k)),
            Load::Scratch(i) => format!("$scratch[{} + j]", self.scratch(states + i)),
        })
    }

    fn store(&self, store: Store, states: usize, value: &str) -> String {
        let place = match store {
            Store::New(k) => format!("$state{k}[{} + j]", self.state(k, "(t + 1u)", "b")),
            Store::Made(i) => format!(
                "$saved[{} + j]",
                self.saved(self.scan.compiled.saved + i, "b")
            ),
            Store::Saved(i) => format!("$saved[{} + j]", self.saved(i, "b")),
            Store::Delta(d) => format!("$delta[{} + j]", self.delta(d, "t", "b")),
            Store::Carry(k) => format!("$scratch[{} + j]", self.scratch(k)),
            Store::Scratch(i) => format!("$scratch[{} + j]", self.scratch(states + i)),
            Store::Initial(k) => {
                format!("$scratch[{} + j]", self.scratch(self.scan.initial_plane(k)))
            }
            Store::Total(i) => {
                let (first, totals) = (self.scan.scratch_planes(), self.scan.compiled.totals);
                format!("$scratch[({first}u * BATCH + b * {totals}u + {i}u) * UNITS + j]")
            }
        };
        match store {
            Store::Total(_) => format!("{place} += {value};"),
            _ => format!("{place} = {value};"),
        }
    }
}

/// The masks that a stage's program loads.
fn loaded_masks(stage: &Stage) -> Vec<usize> {
    let masks = stage.program.instrs.iter().filter_map(|i| match i {
        Instr::Load(Load::Mask(m)) => Some(*m),
        _ => None,
    });
    masks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::library::builtin;

    #[test]
    fn the_deltas_of_a_cell_become_one_chain_and_gates_share_their_operand() {
        let compiled = builtin("lstm").unwrap().compile();
        let backward = products(&compiled.backward[0].sums);
        assert_eq!(backward.len(), 1, "{backward:?}");
        assert_eq!(backward[0].blocks, 4);
        let forward = products(&compiled.forward[0].sums);
        assert_eq!(forward.len(), 1, "{forward:?}");
        assert_eq!(forward[0].feeds.len(), 4);
    }
}
