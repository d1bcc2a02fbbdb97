//! What a search knows: every evaluation in order, and the cells that are kept by them.

use serde::{Deserialize, Serialize};

use super::problems::PROBLEMS;

/// Evaluations of the gru and of the lstm with which a search begins, each on other drawn settings.
pub const FIRST_TRIES: u64 = 3;

/// A cell that does worse than this share of the gru on the cheap problem is weeded out.
pub const CHEAP_SHARE: f64 = 0.9;

/// One evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    /// Its number, from 0 on.
    pub number: u64,
    /// The cell's name.
    pub name: String,
    /// The hash of the cell's normal form, as 16 hexadecimal digits.
    pub hash: String,
    /// The name of the cell that it is a mutant of.
    pub parent: Option<String>,
    /// The cell's text.
    pub text: String,
    /// Which try of the cell it is, from 0 on: all cells share the settings of a try.
    pub attempt: u64,
    /// The learning rate.
    pub lr: f64,
    /// The share of right next characters on the cheap problem, at the first try.
    pub cheap: Option<f64>,
    /// The same on each problem; none where the cell was weeded out.
    pub accuracy: Option<[f64; 3]>,
}

/// A cell that is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// The hash of its normal form.
    pub hash: String,
    /// Its text.
    pub text: String,
    /// Evaluations.
    pub tries: u64,
    /// The best share of right next characters on each problem.
    pub best: [f64; 3],
}

/// What follows from evaluations in the order of their numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Population {
    /// How many are kept.
    most: usize,
    /// The best of the gru's first tries on each problem.
    pub gru: [f64; 3],
    /// The gru on the cheap problem.
    pub cheap: f64,
    /// Those that are kept, best first.
    pub members: Vec<Member>,
}

impl Population {
    /// Of nobody, with room for `most`.
    pub fn new(most: usize) -> Population {
        Population {
            most,
            gru: [0.0; 3],
            cheap: 0.0,
            members: Vec::new(),
        }
    }

    /// The population after these evaluations.
    pub fn after<'a>(most: usize, all: impl IntoIterator<Item = &'a Evaluated>) -> Population {
        let mut made = Population::new(most);
        for evaluated in all {
            made.add(evaluated);
        }
        made
    }

    /// Adds an evaluation, the one after those so far.
    pub fn add(&mut self, evaluated: &Evaluated) {
        if evaluated.number == 0 {
            self.cheap = evaluated.cheap.unwrap_or(0.0);
        }
        let Some(accuracy) = evaluated.accuracy else {
            return;
        };
        if evaluated.number < FIRST_TRIES {
            raise(&mut self.gru, accuracy);
        }
        match self.members.iter_mut().find(|m| m.hash == evaluated.hash) {
            Some(member) => {
                member.tries += 1;
                raise(&mut member.best, accuracy);
            }
            None => self.members.push(Member {
                name: evaluated.name.clone(),
                hash: evaluated.hash.clone(),
                text: evaluated.text.clone(),
                tries: 1,
                best: accuracy,
            }),
        }
        // Equal ones stay in the order in which they came.
        let gru = self.gru;
        self.members
            .sort_by(|a, b| b.score(&gru).total_cmp(&a.score(&gru)));
        self.members.truncate(self.most);
    }
}

impl Member {
    /// The worst accuracy over the problems, relative to the gru's.
    pub fn score(&self, gru: &[f64; 3]) -> f64 {
        worst(&self.best, gru)
    }
}

/// The worst of the shares, each relative to that of the gru.
pub fn worst(accuracy: &[f64; 3], gru: &[f64; 3]) -> f64 {
    let ratios = accuracy.iter().zip(gru);
    ratios
        .map(|(own, gru)| own / gru.max(f64::MIN_POSITIVE))
        .fold(f64::INFINITY, f64::min)
}

fn raise(best: &mut [f64; 3], found: [f64; 3]) {
    for n in 0..PROBLEMS.len() {
        best[n] = best[n].max(found[n]);
    }
}
