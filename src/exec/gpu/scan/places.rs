//! Where a scan's rows lie in its slots, in the words of its kernels: the text around them names the step t and the row b.

use super::super::ranges::{BoundRange, ScanRows};
use super::super::template::aligned;
use super::super::tile::ELEMENT;
use crate::cell::SumFeed;
use crate::cell::stage::{Store, TermOperand};
use crate::op::scan::InputProjection;
use crate::op::{Matrix, Scan, SlotId};

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

/// Elements of a V: four where every row allows it.
pub(super) fn width(scan: &Scan, vector: bool) -> usize {
    if vector && fours(scan) { ELEMENT } else { 1 }
}

/// The places of a scan's rows, in elements of a V.
pub(super) struct Places<'a> {
    pub scan: &'a Scan,
    /// Elements of a V.
    pub width: usize,
    /// The range of the rows of all steps that buffers hold, where they do not hold all of them.
    pub bound: Option<&'a BoundRange>,
    /// The rows that workgroups send one another, in a kernel that spans them; a delta is that of this step.
    pub exchanged: Option<&'a [TermOperand]>,
}

impl Places<'_> {
    /// Whether a product's weight lies as in forward, in a backward scan.
    pub fn turned(&self, feed: &SumFeed) -> bool {
        self.scan.turned[feed.source]
    }

    /// The rows of a step that a range has at most, where it need not own whole steps.
    pub fn parted(&self) -> Option<usize> {
        self.bound.and_then(|b| b.parted)
    }

    /// The rows of a step that a dispatch has at most.
    pub fn most_rows(&self) -> usize {
        let batch = self.scan.batch;
        self.parted().map_or(batch, |owned| owned.min(batch))
    }

    /// How many V make H.
    pub fn units(&self) -> usize {
        self.scan.hidden / self.width
    }

    /// Every slot that some stage may use, by its name in the shader.
    pub fn slots(&self) -> Vec<(String, SlotId)> {
        let scan = self.scan;
        let mut slots = vec![("control".to_string(), scan.control)];
        slots.extend((0..scan.cell.states.len()).map(|k| {
            let slot = self.bound.map_or(scan.state, |b| b.states[k]);
            (format!("state{k}"), slot)
        }));
        slots.extend(scan.packed.map(|p| ("counts".to_string(), p.counts)));
        let mut add = |name: &str, slot: Option<SlotId>| {
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

    /// The buffer and the first element, in V, of an operand's row.
    pub fn operand(&self, operand: TermOperand, row: &str) -> (String, String) {
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

    /// The first element, in V, of an operand's row in the exchange of a kernel that spans workgroups: what earlier dispatches
    /// and this one's steps have made.
    pub fn received(&self, operand: TermOperand, row: &str) -> Option<String> {
        let plane = match operand {
            TermOperand::Previous(_) | TermOperand::NextDelta(_) => "done",
            TermOperand::Made(_) | TermOperand::Delta(_) => "(done + 1u)",
        };
        self.in_exchange(operand, plane, row)
    }

    /// Where the exchange takes what is stored for row b, where others need it.
    pub fn sent(&self, store: Store) -> Option<String> {
        let operand = match store {
            Store::New(k) => TermOperand::Previous(k),
            Store::Made(i) => TermOperand::Made(i),
            Store::Delta(d) => TermOperand::Delta(d),
            _ => return None,
        };
        self.in_exchange(operand, "(done + 1u)", "b")
    }

    fn in_exchange(&self, operand: TermOperand, plane: &str, row: &str) -> Option<String> {
        let of_its_step = match operand {
            TermOperand::NextDelta(d) => TermOperand::Delta(d),
            other => other,
        };
        let sent = self.exchanged?.iter();
        let position = sent.into_iter().position(|sent| *sent == of_its_step)?;
        Some(format!(
            "(({plane} * BATCH + {row}) * SENT + {position}u) * UNITS"
        ))
    }

    /// Whether an operand is zero where a sequence ends, and the zeros behind all steps are beyond the range or not sent.
    pub fn ends(&self, operand: TermOperand) -> bool {
        self.scan.packed.is_some()
            && matches!(operand, TermOperand::NextDelta(_))
            && (self.begins(ScanRows::Delta).is_some() || self.exchanged.is_some())
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
    pub fn place(&self, row: &str) -> String {
        match self.scan.packed {
            Some(_) => format!("(here + {row})"),
            None => format!("(t * BATCH + {row})"),
        }
    }

    /// A state's row of step t, or of the next one.
    pub fn state(&self, k: usize, step: &str, row: &str) -> String {
        let first = k * (self.scan.steps + 1);
        let plane = if step == "t" { "old" } else { "now" };
        match (self.begins(ScanRows::State(k)), self.scan.packed) {
            (Some(first), None) => format!("({step} * BATCH + {row} - step.w) * UNITS {first}"),
            (Some(first), Some(_)) => format!("({plane} + {row} - step.w) * UNITS {first}"),
            (None, None) => format!("(({first}u + {step}) * BATCH + {row}) * UNITS"),
            (None, Some(_)) => format!("({k}u * (ALL + BATCH) + {plane} + {row}) * UNITS"),
        }
    }

    /// A kept value's row of this step.
    pub fn saved(&self, value: usize, row: &str) -> String {
        let (values, place) = (self.scan.saved_values(), self.place(row));
        match self.begins(ScanRows::Saved) {
            None => format!("({place} * {values}u + {value}u) * UNITS"),
            Some(first) => format!("(({place} - step.w) * {values}u + {value}u) * UNITS {first}"),
        }
    }

    /// A delta's row of step t, or of the next one.
    pub fn delta(&self, d: usize, step: &str, row: &str) -> String {
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

    /// A row of a scratch plane.
    pub fn scratch(&self, plane: usize) -> String {
        format!("({plane}u * BATCH + b) * UNITS")
    }

    /// The first element, in V, of the row of a matrix [T * B, n] at this position.
    pub fn row(&self, rows: ScanRows, m: &Matrix) -> String {
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
    pub fn position(&self) -> String {
        if self.scan.reversed {
            format!("(({}u - t) * BATCH + b)", self.scan.steps - 1)
        } else {
            self.place("b")
        }
    }
}
