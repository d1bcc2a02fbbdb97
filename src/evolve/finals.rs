//! The best cells, trained anew on fresh seeds and freshly drawn settings, beside the gru.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::population::{Member, Population};
use super::problems::{Drawn, PROBLEMS, Problems};
use crate::cell::{Cell, library};
use crate::error::{Error, Kind, Result};
use crate::lab::{Folder, side_by_side};

/// Cells that are trained anew beside the gru.
pub const FINALISTS: usize = 10;
/// Seeds, each with settings of its own.
pub const SEEDS: u64 = 5;
/// As many trainings on all problems as there are.
pub(super) const CELLS: usize = (FINALISTS + 1) * SEEDS as usize;

/// The file of them in a search's folder.
const FINALS: &str = "finals.jsonl";
/// Where the draws of fresh settings begin: those of the search lie below.
const FRESH: u64 = 1 << 40;

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct FinalTraining {
    hash: String,
    problem: usize,
    seed: u64,
    accuracy: f64,
}

/// A cell that was trained anew.
#[derive(Clone, Debug, PartialEq)]
pub struct Finalist {
    /// Its name.
    pub name: String,
    /// The hash of its normal form.
    pub hash: String,
    /// Its text.
    pub text: String,
    /// Its score in the search.
    pub score: f64,
    /// The share of right next characters by problem and seed.
    pub accuracy: [[f64; SEEDS as usize]; PROBLEMS.len()],
}

/// The last trainings.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    /// The gru.
    pub gru: Finalist,
    /// The others, in the order of the search.
    pub others: Vec<Finalist>,
    /// The hash of the lstm.
    pub lstm: String,
}

impl Tally {
    /// By problem, the mean over the seeds of how far a cell is ahead of the gru, and the standard deviation of that.
    pub fn ahead(&self, cell: &Finalist) -> [(f64, f64); PROBLEMS.len()] {
        let mut ahead = [(0.0, 0.0); PROBLEMS.len()];
        for (problem, ahead) in ahead.iter_mut().enumerate() {
            let pairs = cell.accuracy[problem]
                .iter()
                .zip(&self.gru.accuracy[problem]);
            let differences: Vec<f64> = pairs.map(|(own, gru)| own - gru).collect();
            *ahead = spread(&differences);
        }
        ahead
    }

    /// Those that are neither gru nor lstm and whose mean is not below the gru's on any problem.
    pub fn not_worse(&self) -> Vec<&Finalist> {
        let others = self.others.iter();
        others
            .filter(|cell| cell.hash != self.gru.hash && cell.hash != self.lstm)
            .filter(|cell| self.ahead(cell).iter().all(|(mean, _)| *mean >= 0.0))
            .collect()
    }
}

/// Mean and standard deviation.
pub(super) fn spread(all: &[f64]) -> (f64, f64) {
    let count = all.len() as f64;
    let mean = all.iter().sum::<f64>() / count;
    let squares: f64 = all.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, (squares / (count - 1.0).max(1.0)).sqrt())
}

/// Trains the best of `population` anew; what the folder has already is not trained again. Nothing, where only the gru is kept.
///
/// # Errors
/// Interrupted, where `stop` was set; what a training ends with.
pub(super) fn run(
    folder: &Folder,
    problems: &Problems,
    seed: u64,
    population: &Population,
    stop: &AtomicBool,
    tell: &(dyn Fn(usize, usize) + Sync),
) -> Result<Option<Tally>> {
    let gru = library::builtin("gru")?;
    let gru_hash = format!("{:016x}", gru.normal().hash);
    let best: Vec<&Member> = population
        .members
        .iter()
        .filter(|member| member.hash != gru_hash)
        .take(FINALISTS)
        .collect();
    if best.is_empty() {
        return Ok(None);
    }
    let mut cells = vec![(gru_hash.clone(), gru)];
    for member in &best {
        cells.push((
            member.hash.clone(),
            Cell::parse(&member.name, &member.text)?,
        ));
    }
    let known: Vec<FinalTraining> = folder.lines(FINALS)?;
    let mut accuracy: HashMap<(String, usize, u64), f64> = known
        .into_iter()
        .map(|t| ((t.hash, t.problem, t.seed), t.accuracy))
        .collect();
    let mut missing = Vec::new();
    for seed in 0..SEEDS {
        for (hash, cell) in &cells {
            for problem in 0..PROBLEMS.len() {
                if !accuracy.contains_key(&(hash.clone(), problem, seed)) {
                    missing.push((hash, cell, problem, seed));
                }
            }
        }
    }
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    side_by_side(|| {
        if stop.load(Ordering::SeqCst) {
            return Err(Error::new(Kind::Interrupted, "interrupted"));
        }
        let Some((hash, cell, problem, number)) = missing.get(next.fetch_add(1, Ordering::SeqCst))
        else {
            return Ok(false);
        };
        let drawn = Drawn::new(seed, FRESH + number);
        let trained = FinalTraining {
            hash: (*hash).clone(),
            problem: *problem,
            seed: *number,
            accuracy: problems.accuracy(*problem, cell, drawn, stop)?,
        };
        folder.add_line(FINALS, &trained)?;
        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
        done.push(trained);
        tell(done.len(), missing.len());
        Ok(true)
    })?;
    for t in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
        accuracy.insert((t.hash, t.problem, t.seed), t.accuracy);
    }
    let finalist = |(hash, cell): &(String, Cell), score: f64| -> Result<Finalist> {
        let mut all = [[0.0; SEEDS as usize]; PROBLEMS.len()];
        for (problem, row) in all.iter_mut().enumerate() {
            for (seed, value) in row.iter_mut().enumerate() {
                let found = accuracy.get(&(hash.clone(), problem, seed as u64));
                *value =
                    *found.ok_or_else(|| Error::internal(format!("{}: not trained", cell.name)))?;
            }
        }
        Ok(Finalist {
            name: cell.name.clone(),
            hash: hash.clone(),
            text: cell.text.clone(),
            score,
            accuracy: all,
        })
    };
    let others = cells[1..].iter().zip(&best);
    Ok(Some(Tally {
        gru: finalist(&cells[0], 1.0)?,
        others: others
            .map(|(cell, member)| finalist(cell, member.score(&population.gru)))
            .collect::<Result<_>>()?,
        lstm: format!("{:016x}", library::builtin("lstm")?.normal().hash),
    }))
}
