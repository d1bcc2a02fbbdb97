//! A hash that does not hang on names or order: every atom gets a colour of what it is made of and where it is used, again and
//! again, as Weisfeiler and Lehman (1968) tell graphs apart.

use super::polynomial::{Monomial, Polynomial};
use super::{Atom, Multiplied, NormalForm, RowFunction};
use crate::cell::graph::Fold;

/// Rounds of colours: how far one atom sees.
const ROUNDS: usize = 8;

/// Two words as one (the finaliser of SplitMix64 by Steele, Lea, Flood 2014).
fn mixed(a: u64, b: u64) -> u64 {
    let mut z = a.rotate_left(23) ^ b.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Words whose order means nothing.
fn unordered(mut words: Vec<u64>) -> u64 {
    words.sort_unstable();
    words.into_iter().fold(17, mixed)
}

impl NormalForm {
    pub(super) fn hash(&self) -> u64 {
        let (states, atoms) = self.live();
        let mut colours: Vec<u64> = self.atoms.iter().map(|atom| self.kind(atom)).collect();
        // A state's colour, whether or not an equation looks at it elementwise.
        let output = |k: usize| u64::from(k == self.output);
        let mut state_colours: Vec<u64> = (0..self.states.len())
            .map(|k| mixed(1, output(k)))
            .collect();
        for _ in 0..ROUNDS {
            let mut uses: Vec<Vec<u64>> = vec![Vec::new(); self.atoms.len()];
            let mut state_uses: Vec<Vec<u64>> = vec![Vec::new(); self.states.len()];
            for k in &states {
                let owner = mixed(2, state_colours[*k]);
                using(&self.states[*k], owner, &colours, &mut uses);
            }
            for id in &atoms {
                let atom = &self.atoms[*id];
                for (place, a) in atom.inner().into_iter().enumerate() {
                    let owner = mixed(colours[*id], place as u64);
                    using(a, owner, &colours, &mut uses);
                    if atom.takes_any_sign() {
                        using(&a.scaled(-1.0), owner, &colours, &mut uses);
                    }
                }
                if let Some(k) = atom.state() {
                    state_uses[k].push(colours[*id]);
                }
            }
            let made: Vec<(usize, u64)> = atoms
                .iter()
                .map(|id| {
                    let atom = &self.atoms[*id];
                    let inner = atom.inner().into_iter();
                    let inner = inner.map(|a| match atom.takes_any_sign() {
                        false => polynomial(a, &colours),
                        true => unordered(vec![
                            polynomial(a, &colours),
                            polynomial(&a.scaled(-1.0), &colours),
                        ]),
                    });
                    let inner = inner.fold(3, mixed);
                    let state = atom.state().map_or(4, |k| state_colours[k]);
                    let own = mixed(mixed(colours[*id], inner), state);
                    (*id, mixed(own, unordered(std::mem::take(&mut uses[*id]))))
                })
                .collect();
            for k in &states {
                let own = mixed(state_colours[*k], polynomial(&self.states[*k], &colours));
                state_colours[*k] = mixed(own, unordered(std::mem::take(&mut state_uses[*k])));
            }
            for (id, colour) in made {
                colours[id] = colour;
            }
        }
        let all = atoms.iter().map(|id| colours[*id]);
        let all = all.chain(states.iter().map(|k| state_colours[*k]));
        unordered(all.collect())
    }

    /// What an atom is, without what it is made of.
    fn kind(&self, atom: &Atom) -> u64 {
        match atom {
            Atom::Input => 11,
            Atom::Previous(_) => 12,
            Atom::Product(_, Multiplied::Input) => 13,
            Atom::Product(_, Multiplied::Previous(_)) => 14,
            Atom::Product(_, Multiplied::Made(_)) => 15,
            Atom::Vector(_, bias) => mixed(16, u64::from(*bias)),
            Atom::Unary(op, _) => mixed(17, *op as u64),
            Atom::Binary(op, ..) => mixed(18, *op as u64),
            Atom::Row(RowFunction::Mean, _) => 19,
            Atom::Row(RowFunction::Standard, _) => 20,
            Atom::Row(RowFunction::Fold(Fold::Sum), _) => 21,
            Atom::Row(RowFunction::Fold(Fold::Max), _) => 22,
            Atom::Row(RowFunction::Fold(Fold::First), _) => 23,
            Atom::Attended(_, scores, _) => mixed(24, *scores as u64),
            Atom::Mask(_) => 25,
        }
    }
}

/// A polynomial by the colours of its atoms.
fn polynomial(a: &Polynomial, colours: &[u64]) -> u64 {
    let terms = a.0.iter();
    unordered(
        terms
            .map(|(m, x)| mixed(monomial(m, colours), x.rounded().bits()))
            .collect(),
    )
}

fn monomial(m: &Monomial, colours: &[u64]) -> u64 {
    let factors = m.iter();
    unordered(
        factors
            .map(|(id, power)| mixed(colours[*id], u64::from(*power)))
            .collect(),
    )
}

/// Notes for each atom of `a` in what company it stands there.
fn using(a: &Polynomial, owner: u64, colours: &[u64], uses: &mut [Vec<u64>]) {
    for (m, x) in &a.0 {
        let whole = mixed(mixed(owner, x.rounded().bits()), monomial(m, colours));
        for (id, power) in m {
            uses[*id].push(mixed(whole, u64::from(*power)));
        }
    }
}
