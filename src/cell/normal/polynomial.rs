//! Sums of products of atoms.

use super::AtomId;

/// A product of atoms, each with its power, by rising atom.
pub(super) type Monomial = Vec<(AtomId, u32)>;

/// More terms than this are not written out: a product of sums then is an atom.
pub(super) const MOST_TERMS: usize = 256;

/// Constants that differ by less, relative to 1, are one.
const NOTHING: f64 = 1e-9;

/// A coefficient, as the bits of an f64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Coefficient(u64);

impl Coefficient {
    pub const ONE: Coefficient = Coefficient(0x3FF0_0000_0000_0000);

    pub fn of(x: f64) -> Coefficient {
        // 0 and -0 are one.
        Coefficient((x + 0.0).to_bits())
    }

    pub fn value(self) -> f64 {
        f64::from_bits(self.0)
    }

    /// Rounded so far that it does not show in which order it was made: 32 of 52 bits stay, to the nearest.
    pub fn rounded(self) -> Coefficient {
        Coefficient((self.0 + 0x8_0000) & !0xF_FFFF)
    }

    pub fn bits(self) -> u64 {
        self.0
    }
}

/// A sum of products of atoms, by rising product; none has the coefficient 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Polynomial(pub Vec<(Monomial, Coefficient)>);

impl Polynomial {
    pub fn constant(x: f64) -> Polynomial {
        Polynomial::sum(vec![(Vec::new(), x)])
    }

    pub fn atom(id: AtomId) -> Polynomial {
        Polynomial(vec![(vec![(id, 1)], Coefficient::ONE)])
    }

    /// Of these terms, in any order.
    fn sum(mut terms: Vec<(Monomial, f64)>) -> Polynomial {
        terms.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let mut made: Vec<(Monomial, f64)> = Vec::new();
        for (monomial, x) in terms {
            match made.last_mut() {
                Some(last) if last.0 == monomial => last.1 += x,
                _ => made.push((monomial, x)),
            }
        }
        // What is left of terms that cancel is rounding; what is not finite stays.
        made.retain(|term| term.1.abs() >= NOTHING || term.1.is_nan());
        let rounded = made.into_iter().map(|(m, x)| (m, Coefficient::of(x)));
        Polynomial(rounded.collect())
    }

    fn terms(&self) -> impl Iterator<Item = (&Monomial, f64)> {
        self.0.iter().map(|(monomial, x)| (monomial, x.value()))
    }

    pub fn plus(&self, other: &Polynomial) -> Polynomial {
        let all = self.terms().chain(other.terms());
        Polynomial::sum(all.map(|(m, x)| (m.clone(), x)).collect())
    }

    pub fn scaled(&self, by: f64) -> Polynomial {
        Polynomial::sum(self.terms().map(|(m, x)| (m.clone(), by * x)).collect())
    }

    /// The product, where it has not too many terms.
    pub fn times(&self, other: &Polynomial) -> Option<Polynomial> {
        if self.0.len() * other.0.len() > MOST_TERMS {
            return None;
        }
        let mut terms = Vec::new();
        for (a, x) in self.terms() {
            for (b, y) in other.terms() {
                terms.push((product(a, b), x * y));
            }
        }
        Some(Polynomial::sum(terms))
    }

    /// Its number, where it is one.
    pub fn value(&self) -> Option<f64> {
        match &self.0[..] {
            [] => Some(0.0),
            [(monomial, x)] if monomial.is_empty() => Some(x.value()),
            _ => None,
        }
    }

    /// The atom that it is, where it is one.
    pub fn only(&self) -> Option<AtomId> {
        match &self.0[..] {
            [(monomial, x)] if x.rounded() == Coefficient::ONE => match &monomial[..] {
                [(id, 1)] => Some(*id),
                _ => None,
            },
            _ => None,
        }
    }

    /// The same with rounded coefficients: equal for what is equal but for roundings.
    pub fn rounded(&self) -> Polynomial {
        Polynomial(
            self.0
                .iter()
                .map(|(m, x)| (m.clone(), x.rounded()))
                .collect(),
        )
    }

    /// The largest coefficient without its sign; 1 of nothing.
    pub fn size(&self) -> f64 {
        let largest = self.terms().map(|t| t.1.abs()).fold(0.0, f64::max);
        match largest {
            0.0 => 1.0,
            size => size,
        }
    }

    /// The sign that the coefficients add up to; 0 where they cancel.
    pub fn sign(&self) -> f64 {
        let total: f64 = self.terms().map(|t| t.1).sum();
        match total.abs() < NOTHING {
            true => 0.0,
            false => total.signum(),
        }
    }

    /// Whether it is the one of itself and its negative that stands for both within a cell.
    pub fn is_first(&self) -> bool {
        match self.sign() {
            0.0 => self.terms().next().is_none_or(|t| t.1 > 0.0),
            sign => sign > 0.0,
        }
    }

    /// Every atom in it, again for each term.
    pub fn atoms(&self) -> impl Iterator<Item = AtomId> + '_ {
        self.0.iter().flat_map(|(m, _)| m.iter().map(|(id, _)| *id))
    }

    /// What it is when `atom` is `value`; itself where that has too many terms.
    pub fn replaced(&self, atom: AtomId, value: &Polynomial) -> Polynomial {
        let mut sum = Polynomial::default();
        for (monomial, x) in &self.0 {
            let power = monomial.iter().find(|f| f.0 == atom).map_or(0, |f| f.1);
            let rest = monomial.iter().filter(|f| f.0 != atom).copied().collect();
            let mut term = Polynomial(vec![(rest, *x)]);
            for _ in 0..power {
                match term.times(value) {
                    Some(made) => term = made,
                    None => return self.clone(),
                }
            }
            sum = sum.plus(&term);
        }
        sum
    }
}

/// The product of two products.
fn product(a: &Monomial, b: &Monomial) -> Monomial {
    let mut made: Monomial = a.clone();
    for (id, power) in b {
        match made.iter_mut().find(|f| f.0 == *id) {
            Some(factor) => factor.1 += power,
            None => made.push((*id, *power)),
        }
    }
    made.sort_unstable();
    made
}
