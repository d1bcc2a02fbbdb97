//! Brings the scans of a plan together that can run side by side: those of independent layers as they are, those of a
//! stack as a wavefront, in which a layer runs through some steps while the one below it runs through the next ones.
//!
//! The operations between two layers are cut along time, which they can be where each row of their result hangs on the
//! same row of what they read. Everything else that stands between the scans is moved before or behind them. Source of
//! the schedule: Appleyard, Kocisky, Blunsom, "Optimizing performance of recurrent neural networks on GPUs" (2016),
//! section 3.3.

use std::collections::VecDeque;
use std::ops::Range;

use super::merge::conflict;
use super::scan::InputProjection;
use super::{ConcurrentScans, Direction, Matrix, Op, Plan, Scan};

/// Scans that run side by side, with what lies between them.
struct Wavefront {
    scans: Vec<WavefrontScan>,
    /// What stands between them and hangs on none of them.
    before: Vec<Op>,
    /// What hangs on them, and none of them on it.
    after: Vec<Op>,
}

/// A scan of a wavefront.
struct WavefrontScan {
    scan: Scan,
    /// What makes its input out of an earlier member's output.
    links: Vec<Op>,
    /// By how many parts of its steps it runs behind the first scan.
    lag: usize,
}

impl Plan {
    /// The same plan with scans side by side, at most `most` of them; where one needs another's output, it runs `steps`
    /// steps behind. It computes the same, sums in the same order included. None where no two scans go together.
    pub fn concurrent(&self, steps: usize, most: usize) -> Option<Plan> {
        let mut ops = Vec::with_capacity(self.ops.len());
        let mut rest: VecDeque<Op> = self.ops.iter().cloned().collect();
        let mut any = false;
        while let Some(op) = rest.pop_front() {
            let Op::Scan(scan) = &op else {
                ops.push(op);
                continue;
            };
            let mut wavefront = Wavefront::of(scan.clone());
            while wavefront.scans.len() < most && wavefront.grow(&mut rest, steps) {}
            if wavefront.scans.len() == 1 {
                ops.push(op);
                continue;
            }
            any = true;
            ops.append(&mut wavefront.before);
            wavefront.write(steps, &mut ops);
            // What comes behind is looked at again: it may begin with a scan.
            wavefront
                .after
                .drain(..)
                .rev()
                .for_each(|op| rest.push_front(op));
        }
        any.then(|| Plan {
            ops,
            ..self.clone()
        })
    }
}

impl Wavefront {
    fn of(scan: Scan) -> Wavefront {
        let member = WavefrontScan {
            scan,
            links: Vec::new(),
            lag: 0,
        };
        Wavefront {
            scans: vec![member],
            before: Vec::new(),
            after: Vec::new(),
        }
    }

    /// Takes the next scan into the wavefront, with all that stands before it; false where that would change what is computed,
    /// or is of no use.
    fn grow(&mut self, rest: &mut VecDeque<Op>, steps: usize) -> bool {
        let Some(at) = rest.iter().position(|op| matches!(op, Op::Scan(_))) else {
            return false;
        };
        let Op::Scan(scan) = rest[at].clone() else {
            return false;
        };
        let first = &self.scans[0].scan;
        if scan.direction != first.direction || scan.steps != first.steps || !whole(&scan) {
            return false;
        }
        if self.scans.iter().any(|m| !whole(&m.scan)) {
            return false;
        }
        let own = Op::Scan(scan.clone());
        // Scans that touch the same without an operation between them.
        if self.members().any(|member| conflict(&member, &own)) {
            return false;
        }
        let (before, hanging) = self.sorted(rest.iter().take(at));
        let Some((links, after)) = needed(hanging, &own) else {
            return false;
        };
        let lag = if links.is_empty() {
            0
        } else {
            self.scans.iter().map(|m| m.lag).max().unwrap_or(0) + 1
        };
        if lag > 0 {
            let reversed = scan.reversed || self.scans.iter().any(|m| m.scan.reversed);
            let ragged = reversed || scan.batch != first.batch || 2 * steps > scan.steps;
            if ragged || !self.in_step(&scan, &links) {
                return false;
            }
        }
        rest.drain(..=at);
        self.before.extend(before);
        self.after = after;
        self.scans.push(WavefrontScan { scan, links, lag });
        true
    }

    fn members(&self) -> impl Iterator<Item = Op> {
        self.scans.iter().map(|m| Op::Scan(m.scan.clone()))
    }

    /// Operations behind the wavefront: those that hang on nothing of it, and those that do, directly or through one another,
    /// after those that did so before.
    fn sorted<'a>(&self, ops: impl Iterator<Item = &'a Op>) -> (Vec<Op>, Vec<Op>) {
        let links = self.scans.iter().flat_map(|m| m.links.iter().cloned());
        let wavefront: Vec<Op> = self.members().chain(links).collect();
        let (mut before, mut hanging) = (Vec::new(), self.after.clone());
        for op in ops {
            if wavefront.iter().chain(&hanging).any(|e| conflict(e, op)) {
                hanging.push(op.clone())
            } else {
                before.push(op.clone())
            }
        }
        (before, hanging)
    }

    /// Whether row by row, each link reads what the scans, or the links before it, have made by then.
    fn in_step(&self, scan: &Scan, links: &[Op]) -> bool {
        let rows = scan.rows;
        let cut = |op: &Op| part(op, rows, 0..rows).is_some();
        let mut made: Vec<Matrix> = Vec::new();
        for member in &self.scans {
            made.extend(made_by(&member.scan));
            made.extend(member.links.iter().flat_map(Op::writes));
        }
        made.extend(links.iter().flat_map(Op::writes));
        let in_line = |m: &Matrix| made.iter().all(|own| !own.meets(m) || own.aligned(m));
        let read = links
            .iter()
            .flat_map(|op| op.reads().into_iter().filter(move |m| m.rows == rows));
        let whole = |m: &Matrix| m.rows == rows || made.iter().all(|own| !own.meets(m));
        let last = match scan.direction {
            Direction::Backward => scan.upstream,
            Direction::Forward => match scan.input_projection {
                InputProjection::Rows(rows) => Some(rows),
                _ => None,
            },
        };
        let own = Op::Scan(scan.clone()).reads();
        let mut others = own.iter().filter(|m| Some(**m) != last);
        let written: Vec<Matrix> = links.iter().flat_map(Op::writes).collect();
        let apart = |m: &Matrix| written.iter().all(|w| !w.meets(m));
        // What a link changes of what an earlier scan reads, it changes behind that scan's back, row by row; and none
        // reads what the new scan is about to write.
        let behind = |m: &Matrix| {
            written
                .iter()
                .all(|w| !w.meets(m) || (m.rows == rows && w.aligned(m)))
        };
        let writes = Op::Scan(scan.clone()).writes();
        let ahead = |op: &Op| {
            op.reads()
                .iter()
                .all(|r| writes.iter().all(|w| !w.meets(r)))
        };
        links.iter().all(cut)
            && links.iter().all(|op| op.reads().iter().all(whole))
            && read.chain(last).all(|m| in_line(&m))
            && others.all(apart)
            && self
                .members()
                .all(|op| op.writes().iter().all(apart) && op.reads().iter().all(behind))
            && links.iter().all(ahead)
    }

    /// Writes the wavefront: round by round, what each scan's next steps need, then those steps of all scans.
    fn write(&self, steps: usize, ops: &mut Vec<Op>) {
        let all = self.scans[0].scan.steps;
        let lag = self.scans.iter().map(|m| m.lag).max().unwrap_or(0);
        let steps = if lag == 0 { all } else { steps };
        let parts = all.div_ceil(steps);
        let names: Vec<Scan> = self.scans.iter().map(|m| m.scan.clone()).collect();
        let name = ConcurrentScans::named(&names);
        for round in 0..parts + lag {
            let mut scans = Vec::new();
            for WavefrontScan { scan, links, lag } in &self.scans {
                let range = match round.checked_sub(*lag).filter(|part| *part < parts) {
                    None => 0..0,
                    Some(part) => {
                        let (first, end) = (part * steps, (part * steps + steps).min(all));
                        match scan.direction {
                            Direction::Forward => first..end,
                            Direction::Backward => all - end..all - first,
                        }
                    }
                };
                let rows = range.start * scan.batch..range.end * scan.batch;
                if !rows.is_empty() {
                    ops.extend(
                        links
                            .iter()
                            .filter_map(|op| part(op, scan.rows, rows.clone())),
                    );
                }
                let initial = scan.initial && !range.is_empty() && range.start == 0;
                scans.push(Scan {
                    initial,
                    range,
                    ..scan.clone()
                });
            }
            ops.push(Op::ConcurrentScans(ConcurrentScans {
                name: name.clone(),
                scans,
            }));
        }
    }
}

/// Of operations in order, those that make what the scan `own` reads, and the others; none where one of the others would
/// then come too late.
fn needed(ops: Vec<Op>, own: &Op) -> Option<(Vec<Op>, Vec<Op>)> {
    let mut wanted: Vec<Matrix> = own.reads();
    let (mut links, mut others): (VecDeque<Op>, VecDeque<Op>) = Default::default();
    for op in ops.into_iter().rev() {
        let writes = op.writes();
        match writes.iter().any(|w| wanted.iter().any(|m| m.meets(w))) {
            true => {
                wanted.extend(op.reads());
                links.push_front(op);
            }
            false if conflict(&op, own) || links.iter().any(|link| conflict(&op, link)) => {
                return None;
            }
            false => others.push_front(op),
        }
    }
    Some((links.into(), others.into()))
}

/// Whether a scan goes through all steps of a rectangle.
fn whole(scan: &Scan) -> bool {
    scan.packed.is_none() && scan.range == (0..scan.steps) && scan.steps > 1
}

/// The rows, one for every row of a minibatch, that a scan leaves for links: its output, or its deltas.
fn made_by(scan: &Scan) -> Vec<Matrix> {
    match (scan.direction, scan.delta) {
        (Direction::Backward, Some(slot)) => {
            let cols = scan.compiled.deltas * scan.hidden;
            vec![rows(slot, 0, scan.rows, cols)]
        }
        _ => {
            let first = |k| scan.state_row(k, 1, 0, &[]);
            let states = 0..scan.cell.states.len();
            states
                .map(|k| rows(scan.state, first(k), scan.rows, scan.hidden))
                .collect()
        }
    }
}

fn rows(slot: super::SlotId, offset: usize, rows: usize, cols: usize) -> Matrix {
    Matrix {
        slot,
        offset,
        rows,
        cols,
        stride: cols,
        row_count: None,
    }
}

/// Rows `range` of an operation on `all` rows, of which each of the result hangs on that row of what it reads; none for
/// other operations.
fn part(op: &Op, all: usize, range: Range<usize>) -> Option<Op> {
    let whole = |m: &Matrix| m.rows == all && m.row_count.is_none();
    if !op.writes().iter().all(whole) {
        return None;
    }
    op.band(range)
}
