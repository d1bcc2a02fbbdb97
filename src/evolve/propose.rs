//! What is evaluated next: a function of the seed, the number of the evaluation, and the evaluations long enough before it.

use std::collections::HashSet;

use super::mutate::mutated;
use super::population::{FIRST_TRIES, Member, Population};
use super::sketch::Sketch;
use super::weed::sound;
use crate::cell::{Cell, library};
use crate::error::{Error, Result};
use crate::rng::{Purpose, Stream};

/// An evaluation may begin when all but so many before it have ended: no core waits, and as many of them may be at work
/// without a difference to what comes out.
pub const AT_ONCE: u64 = 16;

/// Of so many evaluations one tries a kept cell on other settings; the others try mutants.
const RETRIED: u64 = 4;
/// Tries of a cell, at most.
const MOST_TRIES: u64 = 3;
/// Members that are drawn where one is wanted; the best of them is taken.
const DRAWN: u64 = 3;
/// Mutations that may fail before the search is at its end.
const PATIENCE: u64 = 10_000;

/// A cell to be evaluated.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// Its number.
    pub number: u64,
    /// The cell; its name is that of the evaluation that is its first.
    pub cell: Cell,
    /// The hash of its normal form, in digits.
    pub hash: String,
    /// The name of the cell that it is a mutant of.
    pub parent: Option<String>,
    /// Which try it is.
    pub attempt: u64,
}

/// The cells that a search begins with.
const STARTS: [&str; 2] = ["gru", "lstm"];

/// Name and text of a cell that a search begins with.
fn first(name: &str) -> Result<(&'static str, &'static str)> {
    let found = library::CELLS.iter().find(|cell| cell.0 == name).copied();
    found.ok_or_else(|| Error::internal(format!("no cell {name}")))
}

/// A hash in digits.
fn digits(hash: u64) -> String {
    format!("{hash:016x}")
}

/// The evaluation `number` of a search with this seed, after `population`; `hashes` are those of all cells so far, and `pending` the
/// proposals that the population does not know of.
///
/// # Errors
/// Data, where no new mutant is found.
pub fn propose(
    seed: u64,
    number: u64,
    population: &Population,
    hashes: &HashSet<String>,
    pending: &[Proposal],
) -> Result<Proposal> {
    for (n, name) in STARTS.into_iter().enumerate() {
        let first = n as u64 * FIRST_TRIES;
        if (first..first + FIRST_TRIES).contains(&number) {
            let cell = library::builtin(name)?;
            return Ok(Proposal {
                number,
                hash: digits(cell.normal().hash),
                cell,
                parent: None,
                attempt: number - first,
            });
        }
    }
    let mut stream = Stream::new(seed, Purpose::Search, (1 << 32) + number);
    let retried = stream.below(RETRIED) == 0;
    let tries = |member: &Member| {
        let more = pending.iter().filter(|p| p.hash == member.hash);
        member.tries + more.count() as u64
    };
    let members: Vec<&Member> = population.members.iter().collect();
    let open: Vec<&Member> = members
        .iter()
        .copied()
        .filter(|member| tries(member) < MOST_TRIES)
        .collect();
    if retried && let Some(member) = drawn(&open, &mut stream) {
        return Ok(Proposal {
            number,
            cell: Cell::parse(&member.name, &member.text)?,
            hash: member.hash.clone(),
            parent: None,
            attempt: tries(member),
        });
    }
    for _ in 0..PATIENCE {
        let (name, text) = match drawn(&members, &mut stream) {
            Some(member) => (member.name.as_str(), member.text.as_str()),
            None => first(STARTS[stream.below(2) as usize])?,
        };
        let parent = Sketch::of(&Cell::parse(name, text)?)?;
        let Some(sketch) = mutated(&parent, &mut stream) else {
            continue;
        };
        let Ok(found) = sound(&sketch, &format!("cell-{number}")) else {
            continue;
        };
        let hash = digits(found.hash);
        if !hashes.contains(&hash) {
            return Ok(Proposal {
                number,
                cell: found.cell,
                hash,
                parent: Some(name.to_owned()),
                attempt: 0,
            });
        }
    }
    Err(Error::data(format!(
        "no new cell was found by {PATIENCE} mutations of {} cells",
        population.members.len()
    )))
}

/// The best of some drawn members, which stand best first.
fn drawn<'a>(members: &[&'a Member], stream: &mut Stream) -> Option<&'a Member> {
    let places = (0..DRAWN).map(|_| stream.below(members.len() as u64) as usize);
    let best = places.min()?;
    members.get(best).copied()
}
