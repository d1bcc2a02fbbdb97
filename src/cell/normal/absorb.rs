//! What learned numbers take up: a factor, a constant, another learned number beside them.

use super::polynomial::{Coefficient, Monomial, Polynomial};
use super::{Atom, AtomId, NormalForm};

impl NormalForm {
    /// How often each atom stands in what the output hangs on.
    pub(super) fn uses(&self) -> Vec<usize> {
        let (states, atoms) = self.live();
        let mut uses = vec![0; self.atoms.len()];
        let roots = states.iter().map(|k| &self.states[*k]);
        let inner = atoms.iter().flat_map(|id| self.atoms[*id].inner());
        for id in roots.chain(inner).flat_map(Polynomial::atoms) {
            uses[id] += 1;
        }
        uses
    }

    /// Leaves out what a learned number that stands in one place takes up, until nothing more is.
    pub(super) fn absorb(&mut self) {
        loop {
            let uses = self.uses();
            let learned: Vec<Learned> = self.atoms.iter().map(Learned::of).collect();
            let rules = Rules {
                atoms: &self.atoms,
                learned: &learned,
                uses: &uses,
            };
            let mut changed = false;
            let states = self.states.iter().map(|p| rules.reduced(p)).collect();
            changed |= self.states != states;
            let mut atoms = self.atoms.clone();
            for atom in &mut atoms {
                for inner in atom.inner_mut() {
                    let reduced = rules.reduced(inner);
                    changed |= reduced != *inner;
                    *inner = reduced;
                }
            }
            (self.states, self.atoms) = (states, atoms);
            if !changed {
                return;
            }
        }
    }

    /// The terms that have no factor which takes up their sign.
    pub(super) fn fixed_sign(&self, a: &Polynomial, uses: &[usize]) -> Polynomial {
        let fixed = |term: &&(Monomial, Coefficient)| free(&term.0, &self.atoms, uses).is_none();
        Polynomial(a.0.iter().filter(fixed).cloned().collect())
    }
}

/// Whether an atom is learned, and how it stands in a term.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Learned {
    Not,
    Bias,
    Other,
}

impl Learned {
    fn of(atom: &Atom) -> Learned {
        match atom {
            Atom::Vector(_, true) => Learned::Bias,
            Atom::Vector(_, false) | Atom::Product(..) => Learned::Other,
            _ => Learned::Not,
        }
    }
}

/// The factor of a term that is learned and stands nowhere else.
fn free(monomial: &Monomial, atoms: &[Atom], uses: &[usize]) -> Option<AtomId> {
    let is = |(id, power): &&(AtomId, u32)| {
        *power == 1 && uses[*id] == 1 && Learned::of(&atoms[*id]) != Learned::Not
    };
    monomial.iter().find(is).map(|factor| factor.0)
}

struct Rules<'a> {
    atoms: &'a [Atom],
    learned: &'a [Learned],
    uses: &'a [usize],
}

impl Rules<'_> {
    fn reduced(&self, a: &Polynomial) -> Polynomial {
        let mut kept: Vec<(Monomial, Coefficient)> = Vec::new();
        // Those that take up others come first.
        let (takers, others): (Vec<_>, Vec<_>) =
            a.0.iter()
                .partition(|(m, _)| free(m, self.atoms, self.uses).is_some());
        for (monomial, _) in takers {
            if !kept.iter().any(|(taker, _)| self.takes(taker, monomial)) {
                kept.push((monomial.clone(), Coefficient::ONE));
            }
        }
        let count = kept.len();
        for (monomial, x) in others {
            let taken = kept[..count]
                .iter()
                .any(|(taker, _)| self.takes(taker, monomial));
            if !taken {
                kept.push((monomial.clone(), *x));
            }
        }
        kept.sort();
        Polynomial(kept)
    }

    /// Whether the free factor of `taker` can be any number more: `other` is the rest of that term, behind a bias, or the rest
    /// times the same kind of learned factor.
    fn takes(&self, taker: &Monomial, other: &Monomial) -> bool {
        let Some(free) = free(taker, self.atoms, self.uses) else {
            return false;
        };
        let rest: Monomial = taker.iter().filter(|f| f.0 != free).copied().collect();
        let bias = self.learned[free] == Learned::Bias;
        if bias && rest == *other {
            return true;
        }
        other.iter().any(|(id, power)| {
            let same = match (&self.atoms[free], &self.atoms[*id]) {
                (Atom::Product(_, a), Atom::Product(_, b)) => a.is(b),
                (Atom::Vector(..), Atom::Vector(..)) => true,
                _ => false,
            };
            let without = || -> Monomial { other.iter().filter(|f| f.0 != *id).copied().collect() };
            *power == 1 && *id != free && same && without() == rest
        })
    }
}
