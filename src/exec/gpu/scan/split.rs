//! Sums that threads share: how a workgroup of a split step is laid out, and the text of its products.

use std::fmt::Write;
use std::ops::Range;

use super::places::Places;
use super::products::{ThreadShare, ThreadTile, product_loop, zeros};
use crate::cell::{FusedProduct, Stage};

/// Threads of a workgroup at most.
const THREADS: usize = 256;
/// Bytes of a workgroup's memory: what every device has.
const BYTES: usize = 16 << 10;
/// Numbers of sums that a thread keeps in registers; where a stage has more sums they are made in several passes.
const REGISTERS: usize = 64;
/// Units of a thread, in one V or in several.
const UNITS: usize = 4;

/// What a thread has of an operand, in the words of shaders/scan_split.wgsl, and its part of a sum.
const SLICE: ThreadShare = ThreadShare {
    first: "slice",
    next: " += SLICES",
    sums: "part",
};

/// The layout of a workgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SplitLayout {
    /// Rows of a thread.
    pub rows: usize,
    /// V of a thread.
    pub columns: usize,
    /// Threads along the units.
    pub lanes: usize,
    /// Threads along the rows.
    pub bands: usize,
    /// Threads that share a sum.
    pub slices: usize,
    /// V that the workgroup's memory has for every thread.
    pub parts: usize,
    /// Elements of a V.
    width: usize,
}

impl SplitLayout {
    /// The layout for a stage with products: `slices` threads a sum and `rows` rows a thread where there is enough for
    /// them to do, for numbers of so many bytes.
    ///
    /// Fewer threads share a sum as long as there are `full` workgroups, and a thread has fewer rows where there would be fewer
    /// than `fewest`.
    ///
    /// Lanes and bands are as many as make a square of threads. Those that few rows or units leave over become slices as
    /// long as there is a V for each. A thread adds up one sum of the parts, so that rows and V are no more than slices.
    pub fn of(
        places: &Places,
        stage: &Stage,
        (slices, rows): (usize, usize),
        bytes: usize,
        [fewest, full]: [usize; 2],
    ) -> Option<SplitLayout> {
        let layout = |slices, rows| SplitLayout::of_sizes(places, stage, (slices, rows), bytes);
        let groups = |layout: &SplitLayout| layout.groups(places).iter().product::<usize>();
        let mut found = layout(slices, rows)?;
        let mut share = found.slices;
        while full > 0 && share / 2 >= found.rows * found.columns {
            share /= 2;
            match layout(share, found.rows) {
                Some(fewer) if fewer.slices == share && groups(&fewer) >= full => found = fewer,
                _ => break,
            }
        }
        while groups(&found) < fewest && found.rows > 1 {
            found = layout(slices, found.rows / 2)?;
        }
        Some(found)
    }

    fn of_sizes(
        places: &Places,
        stage: &Stage,
        (slices, rows): (usize, usize),
        bytes: usize,
    ) -> Option<SplitLayout> {
        let products = stage.products();
        let longest = products.iter().map(|p| p.blocks * places.units()).max()?;
        let columns = UNITS / places.width;
        let most = longest.next_power_of_two().max(columns);
        let mut slices = slices.min(most).max(columns);
        let rows = rows.min(places.scan.batch).min(slices / columns);
        let owners = (THREADS / slices).ilog2();
        let within = |most: usize, share: usize| (1 << share).min(most.next_power_of_two());
        let lanes = within(
            places.units().div_ceil(columns),
            owners.div_ceil(2) as usize,
        );
        let bands = within(places.scan.batch.div_ceil(rows), (owners / 2) as usize);
        while 2 * lanes * bands * slices <= THREADS && slices < most {
            slices *= 2;
        }
        let parts = BYTES / (lanes * bands * slices * places.width * bytes);
        Some(SplitLayout {
            rows,
            columns,
            lanes,
            bands,
            slices,
            parts: parts.min(stage.sums.len() * rows * columns),
            width: places.width,
        })
    }

    /// Whether the threads of both have the same rows, units and parts of sums.
    pub fn same_threads(&self, other: &SplitLayout) -> bool {
        let parts = self.parts;
        *self == SplitLayout { parts, ..*other }
    }

    /// Workgroups along the units and along the rows.
    pub fn groups(&self, places: &Places) -> [usize; 2] {
        let across = places.units().div_ceil(self.columns * self.lanes);
        [across, places.most_rows().div_ceil(self.rows * self.bands)]
    }

    /// Threads of the workgroup.
    pub fn threads(&self) -> usize {
        self.lanes * self.bands * self.slices
    }

    /// What a thread has of every sum.
    pub fn thread(&self) -> ThreadTile {
        ThreadTile {
            rows: self.rows,
            columns: self.columns,
            lanes: 0,
        }
    }

    /// V of a sum that a thread has.
    fn values(&self) -> usize {
        self.rows * self.columns
    }

    /// The sums of each pass: as many as fit in registers, and as evenly as that allows.
    fn passes(&self, sums: usize) -> impl Iterator<Item = Range<usize>> {
        let most = (REGISTERS / (self.values() * self.width)).max(1);
        let each = sums.div_ceil(sums.div_ceil(most).max(1)).max(1);
        (0..sums)
            .step_by(each)
            .map(move |first| first..(first + each).min(sums))
    }

    /// What goes through the workgroup's memory at a time: some sums, and of each some of a thread's V.
    fn portions(&self, sums: Range<usize>) -> Vec<(Range<usize>, Range<usize>)> {
        let each = (self.parts / self.values()).max(1);
        let some = self.parts.min(self.values());
        let cut = |all: Range<usize>, each: usize| {
            all.clone()
                .step_by(each)
                .map(move |first| first..(first + each).min(all.end))
        };
        let sums = cut(sums, each);
        sums.flat_map(|sums| cut(0..self.values(), some).map(move |v| (sums.clone(), v)))
            .collect()
    }

    /// The sums of a stage, in the registers of the threads that evaluate its equations.
    pub fn products(&self, places: &Places, stage: &Stage) -> std::result::Result<String, String> {
        let products = stage.products();
        let passes: Vec<Range<usize>> = self.passes(stage.sums.len()).collect();
        let mut out = String::new();
        for (n, pass) in passes.iter().enumerate() {
            out += "{\n";
            out += &zeros(self.thread(), pass.clone(), SLICE);
            for (p, product) in products.iter().enumerate() {
                let fed = product.feeds.iter().filter(|feed| pass.contains(&feed.sum));
                let some = FusedProduct {
                    feeds: fed.copied().collect(),
                    ..product.clone()
                };
                if !some.feeds.is_empty() {
                    out += &product_loop(places, self.thread(), (p, &some), SLICE)?;
                }
            }
            let portions = self.portions(pass.clone());
            for (portion, (sums, values)) in portions.iter().enumerate() {
                let last = n + 1 == passes.len() && portion + 1 == portions.len();
                out += &self.added(sums, values, last);
            }
            out += "}\n";
        }
        Ok(out)
    }

    /// The parts of some V of some sums go to the workgroup's memory, where threads add up those of some slices each, and
    /// whoever has the V what they have made: about as many terms in either turn.
    fn added(&self, sums: &Range<usize>, values: &Range<usize>, last: bool) -> String {
        let all = sums.len() * values.len();
        let mut out = String::new();
        for (place, (s, value)) in sums
            .clone()
            .flat_map(|s| values.clone().map(move |v| (s, v)))
            .enumerate()
        {
            let (r, c) = (value / self.columns, value % self.columns);
            let _ = writeln!(
                out,
                "parts[(slice * {all}u + {place}u) * OWNERS + owner] = part_{s}_{r}_{c};"
            );
        }
        out += "workgroupBarrier();\n";
        // Each V has as many threads as there are for all of them.
        let most = (self.slices / all).max(1).ilog2();
        let helpers = 1 << most.min(self.slices.ilog2() / 2);
        let each = self.slices / helpers;
        if helpers > 1 {
            let _ = writeln!(
                out,
                "if (slice < {}u) {{\n\
                 let first = (slice / {all}u * {}u + slice % {all}u) * OWNERS + owner;\n\
                 parts[first] = added(first, {all}u * OWNERS, {each}u);\n}}\nworkgroupBarrier();",
                helpers * all,
                each * all
            );
        }
        let (next, count) = if helpers > 1 {
            (each * all, helpers)
        } else {
            (all, self.slices)
        };
        let (first, end) = (values.start, values.end);
        let from = if first > 0 {
            format!("slice >= {first}u && ")
        } else {
            String::new()
        };
        let _ = writeln!(out, "if ({from}slice < {end}u) {{");
        for (n, s) in sums.clone().enumerate() {
            let value = match (n * values.len(), first) {
                (0, 0) => "slice".to_string(),
                (0, first) => format!("(slice - {first}u)"),
                // Several sums at a time have all V.
                (before, _) => format!("({before}u + slice)"),
            };
            let _ = writeln!(
                out,
                "acc_{s}_0_0 = added({value} * OWNERS + owner, {next}u * OWNERS, {count}u);"
            );
        }
        out += "}\n";
        if !last {
            out += "workgroupBarrier();\n";
        }
        out
    }
}
