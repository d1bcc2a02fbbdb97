//! Squashed values whose sign is free: tanh(a) is as good as -tanh(a), and sigmoid(a) as 1 - sigmoid(a), where learned numbers
//! make -a of a. Of all that can be written so, one is taken.

use super::polynomial::Polynomial;
use super::{Atom, AtomId, NormalForm};
use crate::cell::operator::Unary;

/// So many values are tried with both signs.
const MOST: usize = 6;

impl NormalForm {
    /// The least hash over all signs.
    pub(super) fn least_hash(&self) -> u64 {
        let uses = self.uses();
        let is_free = |id: &AtomId| {
            let squashed = self.squashed(*id);
            squashed.is_some_and(|a| self.fixed_sign(a, &uses).sign() == 0.0)
        };
        let free: Vec<AtomId> = self
            .reached()
            .into_iter()
            .filter(is_free)
            .take(MOST)
            .collect();
        let signs = 0..1u32 << free.len();
        let hashes = signs.map(|signs| {
            let mut form = self.clone();
            for (n, id) in free.iter().enumerate() {
                if signs >> n & 1 == 1 {
                    form.flip(*id, &uses);
                }
            }
            form.hash()
        });
        hashes.min().unwrap_or_default()
    }

    /// Gives squashed values the sign that the terms within add up to which no learned number turns.
    pub(super) fn settle_signs(&mut self) {
        let uses = self.uses();
        for id in self.reached() {
            let squashed = self.squashed(id);
            if squashed.is_some_and(|a| self.fixed_sign(a, &uses).sign() < 0.0) {
                self.flip(id, &uses);
            }
        }
    }

    /// What is squashed to make this atom, where it is made so.
    fn squashed(&self, id: AtomId) -> Option<&Polynomial> {
        match &self.atoms[id] {
            Atom::Unary(Unary::Tanh | Unary::Sigmoid, a) => Some(a),
            _ => None,
        }
    }

    /// Takes -a in place of a, and what that makes of the value.
    fn flip(&mut self, id: AtomId, uses: &[usize]) {
        let Some(a) = self.squashed(id) else { return };
        let turned = a.plus(&self.fixed_sign(a, uses).scaled(-2.0));
        let minus = Polynomial::atom(id).scaled(-1.0);
        let value = match self.atoms[id] {
            Atom::Unary(Unary::Sigmoid, _) => Polynomial::constant(1.0).plus(&minus),
            _ => minus,
        };
        if let Atom::Unary(_, a) = &mut self.atoms[id] {
            *a = turned;
        }
        for state in &mut self.states {
            *state = state.replaced(id, &value);
        }
        let inner = self.atoms.iter_mut().flat_map(Atom::inner_mut);
        for a in inner {
            if a.atoms().any(|used| used == id) {
                *a = a.replaced(id, &value);
            }
        }
    }
}
