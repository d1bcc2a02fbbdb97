//! A search: evaluations side by side, a line of each in the folder, and what follows from all.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::finals::{self, Tally};
use super::population::{CHEAP_SHARE, Evaluated, Population};
use super::problems::{Drawn, PROBLEMS, ProblemText, Problems};
use super::propose::{AT_ONCE, Proposal, propose};
use super::{TrainingSizes, page};
use crate::error::{Error, Kind, Result};
use crate::exec::Device;
use crate::lab::{Folder, check_settings, side_by_side};

/// The file of evaluations in a search's folder.
const EVALUATIONS: &str = "evaluations.jsonl";

/// Between looks whether a search that waits is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// A search.
#[derive(Clone, Debug)]
pub struct Search {
    /// The seed of everything.
    pub seed: u64,
    /// How many cells are kept.
    pub population: usize,
    /// How large trainings are.
    pub sizes: TrainingSizes,
    /// The text that is one of the problems.
    pub text: ProblemText,
    /// Where cells are trained.
    pub device: Device,
}

/// How long a search runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SearchLimits {
    /// Evaluations, those of earlier sittings among them.
    pub evaluations: Option<u64>,
    /// The time of this sitting, the last trainings among it.
    pub time: Option<Duration>,
    /// Whether the best cells are trained anew at the end.
    pub finals: bool,
}

/// What is told of a search while it runs.
#[derive(Debug)]
pub enum Told<'a> {
    /// One more evaluation.
    Evaluated(&'a SearchState),
    /// So many of the last trainings are done, of so many.
    Finals(usize, usize),
}

/// Whoever is told.
type Tell<'a> = &'a (dyn Fn(Told<'_>) + Sync);

/// Where a search is.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchState {
    /// All evaluations up to the first that is missing.
    pub evaluated: Vec<Evaluated>,
    /// What follows from them.
    pub population: Population,
    /// The best cells, trained anew; none before that.
    pub finals: Option<Tally>,
}

impl Search {
    /// What the folder of a search has as settings.
    fn settings(&self) -> String {
        let TrainingSizes {
            hidden,
            batch,
            examples,
            held_out,
            updates,
            cheap_updates,
        } = self.sizes;
        format!(
            "search = \"cells\"\nseed = {}\npopulation = {}\ntext = {:?}\nhidden = {hidden}\nbatch = {batch}\nexamples = {examples}\n\
             held_out = {held_out}\nupdates = {updates}\ncheap_updates = {cheap_updates}\ndevice = {}\nversion = \"{}\"\n",
            self.seed,
            self.population,
            self.text.name,
            toml::Value::from(self.device.identity()),
            env!("CARGO_PKG_VERSION")
        )
    }

    /// Runs in the folder `out`, which is new or one that the same search has begun; `tell` is given where it is after every
    /// evaluation, and `stop` ends it at once.
    ///
    /// # Errors
    /// As [`check`]; Interrupted, where it was stopped; what a training ends with.
    pub fn run(
        &self,
        limits: SearchLimits,
        out: &Path,
        tell: Tell<'_>,
        stop: &AtomicBool,
    ) -> Result<SearchState> {
        let folder = Folder::with(out, &self.settings())?;
        let known: Vec<Evaluated> = folder.lines(EVALUATIONS)?;
        let running = Running {
            search: self,
            problems: Problems::new(self.sizes, &self.text, self.seed, &self.device)?,
            known: known.into_iter().map(|e| (e.number, e)).collect(),
            began: Instant::now(),
            folder,
            limits,
            stop,
            shared: Mutex::new(SharedProgress {
                proposals: Vec::new(),
                hashes: HashSet::new(),
                base: Population::new(self.population),
                based_on: 0,
                done: HashMap::new(),
                whole: 0,
                seconds: 0.0,
                trained: 0,
                failed: false,
            }),
            more: Condvar::new(),
        };
        let outcome = side_by_side(|| running.piece(tell));
        let evaluated = running.shared().evaluated();
        let count = evaluated.len();
        let interrupted = || {
            Error::new(
                Kind::Interrupted,
                format!(
                    "interrupted after {count} evaluations, which {} keeps: the same command goes on",
                    out.display()
                ),
            )
        };
        match outcome {
            Err(e) if e.kind == Kind::Interrupted => return Err(interrupted()),
            other => other.map_err(|e| running.folder.with_kept(e))?,
        }
        if stop.load(Ordering::SeqCst) {
            return Err(interrupted());
        }
        let mut state = SearchState {
            population: Population::after(self.population, &evaluated),
            evaluated,
            finals: None,
        };
        if limits.finals {
            let tally = finals::run(
                &running.folder,
                &running.problems,
                self.seed,
                &state.population,
                stop,
                &|done, of| tell(Told::Finals(done, of)),
            );
            state.finals = match tally {
                Err(e) if e.kind == Kind::Interrupted => return Err(interrupted()),
                other => other.map_err(|e| running.folder.with_kept(e))?,
            };
        }
        page::write(&running.folder, self, &state)?;
        Ok(state)
    }
}

/// Whether `search` can have the folder at `out`; nothing is written.
///
/// # Errors
/// Usage: a folder of something else, or of a search with other settings.
pub fn check(search: &Search, out: &Path) -> Result<()> {
    check_settings(out, &search.settings())
}

/// What workers share.
#[derive(Debug)]
struct SharedProgress {
    /// All proposals, in order.
    proposals: Vec<Proposal>,
    hashes: HashSet<String>,
    /// What the newest proposal was made of: the population after so many evaluations.
    base: Population,
    based_on: usize,
    /// Evaluations by number, as far as they have ended.
    done: HashMap<u64, Evaluated>,
    /// How many there are without a gap.
    whole: usize,
    /// Seconds of this sitting's trainings on the kept problems, and of how many cells.
    seconds: f64,
    trained: u32,
    /// Something failed: nobody waits any more.
    failed: bool,
}

impl SharedProgress {
    /// All evaluations up to the first that is missing.
    fn evaluated(&self) -> Vec<Evaluated> {
        let all = (0..self.whole as u64).filter_map(|n| self.done.get(&n).cloned());
        all.collect()
    }
}

struct Running<'a> {
    search: &'a Search,
    problems: Problems,
    known: HashMap<u64, Evaluated>,
    began: Instant,
    folder: Folder,
    limits: SearchLimits,
    stop: &'a AtomicBool,
    shared: Mutex<SharedProgress>,
    more: Condvar,
}

impl Running<'_> {
    fn shared(&self) -> MutexGuard<'_, SharedProgress> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One evaluation; false where none is to come.
    fn piece(&self, tell: Tell<'_>) -> Result<bool> {
        let made = self.next(tell);
        if made.is_err() {
            self.shared().failed = true;
            self.more.notify_all();
        }
        made
    }

    fn next(&self, tell: Tell<'_>) -> Result<bool> {
        let Some((proposal, cheap)) = self.proposal(tell)? else {
            return Ok(false);
        };
        let began = Instant::now();
        let evaluated = self.evaluate(&proposal, cheap)?;
        self.folder.add_line(EVALUATIONS, &evaluated)?;
        let mut shared = self.shared();
        if evaluated.accuracy.is_some() {
            shared.seconds += began.elapsed().as_secs_f64();
            shared.trained += 1;
        }
        self.note(&mut shared, evaluated, tell);
        Ok(true)
    }

    /// Takes an evaluation that has ended.
    fn note(&self, shared: &mut SharedProgress, evaluated: Evaluated, tell: Tell<'_>) {
        shared.done.insert(evaluated.number, evaluated);
        while shared.done.contains_key(&(shared.whole as u64)) {
            shared.whole += 1;
        }
        self.more.notify_all();
        let evaluated = shared.evaluated();
        tell(Told::Evaluated(&SearchState {
            population: Population::after(self.search.population, &evaluated),
            evaluated,
            finals: None,
        }));
    }

    /// The next evaluation that no earlier sitting has made, and what the gru has right on the cheap problem; none where nothing is
    /// to come.
    fn proposal(&self, tell: Tell<'_>) -> Result<Option<(Proposal, f64)>> {
        let mut shared = self.shared();
        loop {
            if shared.failed || self.stop.load(Ordering::SeqCst) || self.over(&shared) {
                return Ok(None);
            }
            let number = shared.proposals.len();
            // The gru's first evaluation is what others are weeded out by.
            let needed = (number + 1)
                .saturating_sub(AT_ONCE as usize)
                .max(number.min(1));
            if shared.whole < needed {
                shared = match self.more.wait_timeout(shared, LOOK) {
                    Ok((shared, _)) => shared,
                    Err(poisoned) => poisoned.into_inner().0,
                };
                continue;
            }
            while shared.based_on < needed {
                let number = shared.based_on as u64;
                let Some(evaluated) = shared.done.get(&number).cloned() else {
                    return Err(Error::internal(format!("no evaluation {number}")));
                };
                shared.base.add(&evaluated);
                shared.based_on += 1;
            }
            let proposal = propose(
                self.search.seed,
                number as u64,
                &shared.base,
                &shared.hashes,
                &shared.proposals[needed..],
            )?;
            shared.hashes.insert(proposal.hash.clone());
            shared.proposals.push(proposal.clone());
            let Some(known) = self.known.get(&proposal.number) else {
                return Ok(Some((proposal, shared.base.cheap)));
            };
            if known.hash != proposal.hash || known.attempt != proposal.attempt {
                return Err(Error::data(format!(
                    "{EVALUATIONS}: expected {} of hash {} as evaluation {number}, found {} of hash {}",
                    proposal.cell.name, proposal.hash, known.name, known.hash
                )));
            }
            self.note(&mut shared, known.clone(), tell);
        }
    }

    /// Whether nothing more is to begin. What an earlier sitting has evaluated costs nothing.
    fn over(&self, shared: &SharedProgress) -> bool {
        let number = shared.proposals.len() as u64;
        if self.known.contains_key(&number) {
            return self.limits.evaluations.is_some_and(|most| number >= most);
        }
        let late = self.limits.time.is_some_and(|time| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let cell = shared.seconds / f64::from(shared.trained.max(1));
            // The evaluations in hand and the last trainings are to end in time.
            let last = match self.limits.finals {
                true => finals::CELLS as f64 * cell / cores as f64,
                false => 0.0,
            };
            self.began.elapsed().as_secs_f64() + last + cell >= time.as_secs_f64()
        });
        late || self.limits.evaluations.is_some_and(|most| number >= most)
    }

    fn evaluate(&self, proposal: &Proposal, cheap_gru: f64) -> Result<Evaluated> {
        let drawn = Drawn::new(self.search.seed, proposal.attempt);
        let cheap = match proposal.attempt {
            0 => Some(self.problems.cheap(&proposal.cell, drawn, self.stop)?),
            _ => None,
        };
        let weeded = cheap.is_some_and(|cheap| cheap < CHEAP_SHARE * cheap_gru);
        let accuracy = match weeded {
            true => None,
            false => {
                let mut all = [0.0; PROBLEMS.len()];
                for (problem, accuracy) in all.iter_mut().enumerate() {
                    *accuracy =
                        self.problems
                            .accuracy(problem, &proposal.cell, drawn, self.stop)?;
                }
                Some(all)
            }
        };
        Ok(Evaluated {
            number: proposal.number,
            name: proposal.cell.name.clone(),
            hash: proposal.hash.clone(),
            parent: proposal.parent.clone(),
            text: proposal.cell.text.clone(),
            attempt: proposal.attempt,
            lr: drawn.lr,
            cheap,
            accuracy,
        })
    }
}
