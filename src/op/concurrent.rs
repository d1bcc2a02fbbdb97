//! Scans side by side: layers whose steps need nothing of one another, each over some steps of its own.
//!
//! In any order they leave the same, so that an adapter may run them in one dispatch a step: see [`Plan::concurrent`], which
//! brings scans together.
//!
//! [`Plan::concurrent`]: super::Plan::concurrent

use super::{Cost, Direction, Matrix, Operand, Operation, Scan, Segment};

/// Scans of one direction, none of which touches what another one writes. The steps of a scan may be none.
#[derive(Clone, Debug)]
pub struct ConcurrentScans {
    /// The name in the plan, such as `forward.l0+l1`.
    pub name: String,
    /// The scans; packed ones are not among them.
    pub scans: Vec<Scan>,
}

impl ConcurrentScans {
    /// The scans' names as one: `forward.l0+l1`.
    pub fn named(scans: &[Scan]) -> String {
        let direction = match scans.first().map(|s| s.direction) {
            Some(Direction::Backward) => "backward.",
            _ => "forward.",
        };
        let label = |s: &Scan| {
            s.name
                .strip_prefix(direction)
                .unwrap_or(&s.name)
                .to_string()
        };
        let labels: Vec<String> = scans.iter().map(label).collect();
        format!("{direction}{}", labels.join("+"))
    }

    /// The stages of a step: as many as the scan with the most has.
    pub fn stages(&self) -> usize {
        let stages = self.scans.iter().map(|s| s.stages().len());
        stages.max().unwrap_or(0)
    }

    /// The steps that take the longest.
    pub fn steps(&self) -> usize {
        let steps = self.scans.iter().map(|s| s.range.len());
        steps.max().unwrap_or(0)
    }

    /// The scans after whose last step the gradients with respect to the initial states are made.
    pub fn initials(&self) -> impl Iterator<Item = &Scan> {
        let made = |s: &&Scan| s.initial && s.direction == Direction::Backward;
        self.scans.iter().filter(made)
    }
}

impl Operation for ConcurrentScans {
    const KIND: &'static str = "concurrent";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        self.scans.iter_mut().flat_map(Scan::operands).collect()
    }

    fn cost(&self) -> Cost {
        self.scans.iter().map(Scan::cost).sum()
    }

    /// Of each stage of all scans, then of each scan's initial states' gradients where they are made.
    fn costs(&self) -> Vec<Cost> {
        let costs: Vec<Vec<Cost>> = self.scans.iter().map(Scan::costs).collect();
        let of = |scan: usize, stage: usize| {
            if stage < self.scans[scan].stages().len() {
                costs[scan][stage]
            } else {
                Cost::default()
            }
        };
        let stage = |stage| (0..costs.len()).map(move |scan| (scan, stage));
        let stages = (0..self.stages()).map(|s| stage(s).map(|(scan, s)| of(scan, s)).sum());
        let initial = self
            .scans
            .iter()
            .zip(&costs)
            .filter_map(|(scan, costs)| costs.get(scan.stages().len()).copied());
        stages.chain(initial).collect()
    }

    fn check(&self) -> Result<(), String> {
        let Some(first) = self.scans.first() else {
            return Err("expected scans, found none".into());
        };
        for (n, scan) in self.scans.iter().enumerate() {
            scan.check()?;
            if scan.direction != first.direction || scan.packed.is_some() {
                return Err(format!(
                    "{}: expected a scan without packed rows that runs as {} does",
                    scan.name, first.name
                ));
            }
            let others = self.scans.iter().enumerate().filter(|(m, _)| *m != n);
            let touched = others.flat_map(|(_, s)| s.reads().into_iter().chain(s.writes()));
            let touched: Vec<Matrix> = touched.collect();
            let shared = |w: &Matrix| touched.iter().any(|t| w.meets(t));
            if let Some(m) = scan.writes().into_iter().find(shared) {
                return Err(format!(
                    "{}: slot {} is another scan's, too",
                    scan.name, m.slot.0
                ));
            }
        }
        Ok(())
    }

    fn shape(&self) -> String {
        let shapes: Vec<String> = self.scans.iter().map(Scan::shape).collect();
        shapes.join(" + ")
    }

    fn sum_length(&self) -> usize {
        self.scans.iter().map(Scan::sum_length).max().unwrap_or(0)
    }

    fn scans(&self) -> &[Scan] {
        &self.scans
    }

    fn place(&mut self, segment: Segment) {
        self.scans.iter_mut().for_each(|scan| scan.place(segment));
    }
}
