//! In which order the checkpoint segments of a BPTT segment run forward and backward when few states may be kept between
//! them. Below, a segment is a checkpoint segment.
//!
//! Source: Gruslys, Munos, Danihelka, Lanctot, Graves, "Memory-efficient backpropagation through time" (2016), section
//! 3.1, with a segment of several steps in the place of one step. As many kept states as segments, of about the square
//! root of the steps each, are the scheme of Chen et al., "Training deep nets with sublinear memory cost" (2016).

/// What is to be done next. The current state is the one before some segment; it begins before segment 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Keeps the current state in a place.
    Keep(usize),
    /// Takes a kept state as the current one.
    Restore(usize),
    /// Runs the segment after the current state, of which only the state behind it is wanted; that is then the current
    /// one.
    Forward(usize),
    /// Runs the segment after the current state with all that its backward pass needs, then that pass.
    Backward(usize),
}

/// The least number of segments run forward, those before a backward pass included, and the first cut, for every number
/// of segments up to K and of kept states up to M, the state before the first segment being one of them.
struct CostTable {
    kept: usize,
    /// Cost and cut at [(segments - 1) * M + kept - 1].
    entries: Vec<(u64, u32)>,
}

impl CostTable {
    /// C(t, 1) = t (t + 1) / 2, C(1, m) = 1, C(t, m) = min over y of y + C(t - y, m - 1) + C(y, m): the first y segments
    /// are run to keep the state behind them, the segments after it go first, and then the y segments themselves.
    fn new(segments: usize, kept: usize) -> CostTable {
        let mut table = CostTable {
            kept,
            entries: Vec::with_capacity(segments * kept),
        };
        for t in 1..=segments {
            for m in 1..=kept {
                let entry = match (t, m) {
                    (1, _) => (1, 0),
                    (t, 1) => ((t as u64 * (t as u64 + 1)) / 2, 0),
                    _ => table.best(t, m),
                };
                table.entries.push(entry);
            }
        }
        table
    }

    /// Costs are convex in the number of segments, so that the best cut of one segment more is this one or the next.
    fn best(&self, t: usize, m: usize) -> (u64, u32) {
        let cost = |y: usize| y as u64 + self.cost(t - y, m - 1) + self.cost(y, m);
        let mut cut = (self.at(t - 1, m).1 as usize).max(1);
        while cut + 1 < t && cost(cut + 1) <= cost(cut) {
            cut += 1;
        }
        (cost(cut), cut as u32)
    }

    fn at(&self, segments: usize, kept: usize) -> (u64, u32) {
        self.entries[(segments - 1) * self.kept + kept - 1]
    }

    fn cost(&self, segments: usize, kept: usize) -> u64 {
        self.at(segments, kept).0
    }
}

/// The order for `segments` segments, at least one, and at most `kept` kept states, at least one; every segment's
/// backward pass comes once, from the last segment to the first.
pub(super) fn schedule(segments: usize, kept: usize) -> Vec<Action> {
    let mut writer = ScheduleWriter {
        // With a state before every segment there is nothing to choose.
        table: (kept < segments).then(|| CostTable::new(segments, kept)),
        free: (0..kept.min(segments)).rev().collect(),
        current: 0,
        actions: Vec::new(),
    };
    let place = writer.keep();
    writer.write(0, segments, place);
    writer.actions
}

struct ScheduleWriter {
    table: Option<CostTable>,
    free: Vec<usize>,
    /// The segment that the current state stands before.
    current: usize,
    actions: Vec<Action>,
}

impl ScheduleWriter {
    fn keep(&mut self) -> usize {
        let place = self.free.pop().unwrap_or_default();
        self.actions.push(Action::Keep(place));
        place
    }

    /// Makes the state before segment `to` the current one, from the state before `first` in `place`.
    fn go(&mut self, to: usize, first: usize, place: usize) {
        if self.current < first || self.current > to {
            self.actions.push(Action::Restore(place));
            self.current = first;
        }
        for segment in self.current..to {
            self.actions.push(Action::Forward(segment));
        }
        self.current = to;
    }

    /// `count` segments from `first` on, the state before which is kept in `place`.
    fn write(&mut self, first: usize, count: usize, place: usize) {
        // Not by recursion over the cuts of the later part: there may be as many as segments.
        let mut parts = vec![(first, count, place)];
        while let Some((first, count, place)) = parts.pop() {
            let kept = 1 + self.free.len();
            let cut = match &self.table {
                _ if count == 1 || kept == 1 => 0,
                None => 1,
                Some(table) => table.at(count, kept).1 as usize,
            };
            if cut > 0 {
                self.go(first + cut, first, place);
                let behind = self.keep();
                parts.push((first, cut, place));
                parts.push((first + cut, count - cut, behind));
                continue;
            }
            for segment in (first..first + count).rev() {
                self.go(segment, first, place);
                self.actions.push(Action::Backward(segment));
            }
            self.free.push(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeSet, HashMap};

    /// Segments run forward by a schedule, after a check that every action may be done when it comes.
    fn play(segments: usize, kept: usize) -> u64 {
        let mut places = HashMap::new();
        let (mut current, mut next, mut forward) = (0, segments, 0);
        for action in schedule(segments, kept) {
            match action {
                Action::Keep(place) => {
                    assert!(place < kept, "place {place} of {kept}");
                    places.insert(place, current);
                }
                Action::Restore(place) => current = places[&place],
                Action::Forward(segment) => {
                    assert_eq!(segment, current);
                    (current, forward) = (current + 1, forward + 1);
                }
                Action::Backward(segment) => {
                    assert_eq!((segment, segment + 1), (current, next));
                    (next, forward) = (segment, forward + 1);
                }
            }
        }
        assert_eq!(next, 0, "{segments} segments, {kept} states");
        forward
    }

    /// The cheapest way over all ways: a search over what is kept, where the state is, and what is left to go backward.
    fn brute(segments: usize, kept: usize) -> u64 {
        type SearchNode = (BTreeSet<usize>, usize, usize);
        let mut seen: BTreeSet<SearchNode> = BTreeSet::new();
        let mut levels: Vec<Vec<SearchNode>> = vec![vec![([0].into(), 0, segments)]];
        for cost in 0.. {
            levels.push(Vec::new());
            while let Some((states, current, left)) = levels[cost].pop() {
                if !seen.insert((states.clone(), current, left)) {
                    continue;
                }
                if left == 0 {
                    return cost as u64;
                }
                for state in &states {
                    levels[cost].push((states.clone(), *state, left));
                    let mut fewer = states.clone();
                    fewer.remove(state);
                    levels[cost].push((fewer, current, left));
                }
                if states.len() < kept {
                    let mut more = states.clone();
                    more.insert(current);
                    levels[cost].push((more, current, left));
                }
                if current + 1 < left {
                    levels[cost + 1].push((states, current + 1, left));
                } else if current + 1 == left {
                    levels[cost + 1].push((states, current, left - 1));
                }
            }
        }
        unreachable!()
    }

    #[test]
    fn no_way_is_cheaper() {
        for segments in 1..=8 {
            for kept in 1..=segments + 1 {
                let what = format!("{segments} segments, {kept} states");
                assert_eq!(play(segments, kept), brute(segments, kept), "{what}");
            }
        }
    }

    #[test]
    fn the_table_is_the_minimum_over_all_cuts() {
        let (segments, kept) = (60, 9);
        let table = CostTable::new(segments, kept);
        for t in 2..=segments {
            for m in 2..=kept {
                let cuts = (1..t).map(|y| y as u64 + table.cost(t - y, m - 1) + table.cost(y, m));
                assert_eq!(table.cost(t, m), cuts.min().unwrap(), "C({t}, {m})");
            }
        }
    }

    #[test]
    fn schedules_cost_what_the_table_says() {
        for (segments, kept) in [(1, 1), (30, 1), (30, 3), (100, 10), (997, 12), (50, 49)] {
            let want = CostTable::new(segments, kept).cost(segments, kept);
            assert_eq!(
                play(segments, kept),
                want,
                "{segments} segments, {kept} states"
            );
        }
        // A state before every segment: all segments but the last run twice.
        assert_eq!(play(1000, 1000), 1999);
        assert_eq!(play(1000, 5000), 1999);
    }
}
