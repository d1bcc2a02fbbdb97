//! Gaussian filters in a grid over an image: where it lies, how far apart and how wide they are, and how strong, a row says.

use super::split::each;
use super::{Cost, Limits, Matrix, Operand, Operation, Segment, area, bytes, same};
use crate::cell::real::Real;

/// `size` * `size` filters over an image of `height` rows of `width` pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Filters of a side, N.
    pub size: usize,
    /// Pixels of an image's row, A.
    pub width: usize,
    /// Rows of pixels, B.
    pub height: usize,
}

impl Grid {
    /// Numbers of a row of filters: N of A across, then N of B down.
    pub fn cols(self) -> usize {
        self.size * (self.width + self.height)
    }

    /// The pixels across and down.
    pub fn sides(self) -> [usize; 2] {
        [self.width, self.height]
    }

    /// How far apart filters are that reach over the longer side, in pixels; of a single filter nothing hangs on it.
    pub fn spread(self) -> f64 {
        let longest = self.width.max(self.height);
        (longest - 1) as f64 / (self.size.max(2) - 1) as f64
    }
}

/// What filters do with their intensity, gamma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intensity {
    /// Those that read are multiplied by it.
    Times,
    /// Those that write are divided by it.
    Over,
}

impl Intensity {
    /// Its power.
    pub fn sign(self) -> f64 {
        match self {
            Intensity::Times => 1.0,
            Intensity::Over => -1.0,
        }
    }
}

/// In which direction.
#[derive(Clone, Copy, Debug)]
pub enum FiltersForm {
    /// The filters.
    Forward {
        /// Those across, then those down [R, N * (A + B)].
        out: Matrix,
    },
    /// The gradient of the numbers that place them.
    Backward {
        /// The filters [R, N * (A + B)].
        filters: Matrix,
        /// Their gradient [R, N * (A + B)].
        upstream: Matrix,
        /// That of the numbers [R, 5].
        into: Matrix,
    },
}

/// The filters F of rows `at` [R, 5], which are g~X, g~Y, log sigma^2, log delta~ and log gamma. With pixels a from 1 to A and
/// filters i from 1 to N, `gX = (A + 1) / 2 (g~X + 1)`, `delta = (max(A, B) - 1) / (N - 1) delta~`,
/// `mu_i = gX + (i - N / 2 - 0.5) delta` and `F[i, a] = exp(-(a - mu_i)^2 / (2 sigma^2)) / Z_i`, whose sum over a is 1; those
/// down likewise, and times gamma or over it. Source: Gregor, Danihelka, Graves, Rezende, Wierstra 2015, "DRAW: a recurrent neural
/// network for image generation", section 3.2, equations 21 to 27.
///
/// Every filter has a sum, however narrow it is and wherever it lies: exponents are those beside the pixel that is nearest to
/// mu_i, whose own is 0, so that a filter far outside is the pixel at the edge. One below -40 counts as no share, which is less
/// than a rounding of f64 beside the sum. The first two numbers count from -100 to 100 and the logarithms from -20 to 20; what is
/// beyond is as the bound, and its gradient 0.
#[derive(Clone, Debug)]
pub struct Filters {
    /// The name in the plan.
    pub name: String,
    /// In which direction.
    pub form: FiltersForm,
    /// The numbers that place them.
    pub at: Matrix,
    /// The grid.
    pub grid: Grid,
    /// What is done with gamma.
    pub intensity: Intensity,
}

/// `x` within -most and most; a NaN stays one.
#[inline(always)]
fn bounded<F: Real>(x: F, most: f64) -> F {
    let most = F::of(most);
    if x > most {
        most
    } else if x < -most {
        -most
    } else {
        x
    }
}

/// The derivative of that.
#[inline(always)]
fn slope<F: Real>(x: F, most: f64) -> F {
    let most = F::of(most);
    if x > most || x < -most {
        F::ZERO
    } else {
        F::ONE
    }
}

/// What a row of numbers says.
struct Placed<F> {
    /// gX and gY.
    middle: [F; 2],
    /// delta.
    gap: F,
    /// 1 / sigma^2.
    inverse: F,
    /// gamma, or 1 / gamma.
    strength: F,
}

/// One filter.
struct Filter<F> {
    mu: F,
    nearest: F,
    inverse: F,
}

impl<F: Real> Filter<F> {
    /// How far pixel `a`, counted from 0, is from the nearest one, and its exponent's distance below that one's.
    #[inline(always)]
    fn away(&self, a: usize) -> (F, F) {
        let a = F::of((a + 1) as f64);
        let from = a - self.nearest;
        let both = a + self.nearest - F::of(2.0) * self.mu;
        (from, from * both * (F::of(0.5) * self.inverse))
    }
}

impl Filters {
    /// How many numbers place a grid.
    pub const NUMBERS: usize = 5;
    /// Where the middle of a grid may lie, in half images from the middle.
    pub const FARTHEST: f64 = 100.0;
    /// What the logarithms may be.
    pub const MOST: f64 = 20.0;
    /// An exponent as far below the largest counts as no share.
    pub const NOTHING: f64 = 40.0;

    #[inline(always)]
    fn placed<F: Real>(&self, at: &[F]) -> Placed<F> {
        let middle = |n: usize| {
            let half = F::of((self.grid.sides()[n] + 1) as f64 * 0.5);
            half * (bounded(at[n], Self::FARTHEST) + F::ONE)
        };
        Placed {
            middle: [middle(0), middle(1)],
            gap: F::of(self.grid.spread()) * bounded(at[3], Self::MOST).exp(),
            inverse: (-bounded(at[2], Self::MOST)).exp(),
            strength: (F::of(self.intensity.sign()) * bounded(at[4], Self::MOST)).exp(),
        }
    }

    /// How many gaps filter `i`, counted from 0, lies from the middle.
    fn offset(&self, i: usize) -> f64 {
        i as f64 - (self.grid.size - 1) as f64 * 0.5
    }

    /// Filter `i` along side `n`.
    #[inline(always)]
    fn filter<F: Real>(&self, placed: &Placed<F>, n: usize, i: usize) -> Filter<F> {
        let mu = placed.middle[n] + F::of(self.offset(i)) * placed.gap;
        let last = self.grid.sides()[n] as f64;
        Filter {
            mu,
            nearest: F::of(mu.f64().round().clamp(1.0, last)),
            inverse: placed.inverse,
        }
    }

    /// Where filter `i` along side `n` begins in a row of all.
    fn first(&self, n: usize, i: usize) -> usize {
        n * self.grid.size * self.grid.width + i * self.grid.sides()[n]
    }

    /// The plain code of a row: the filters.
    #[inline(always)]
    pub fn plain_row<F: Real>(&self, at: &[F], out: &mut [F]) {
        let placed = self.placed(at);
        for (n, by) in [F::ONE, placed.strength].into_iter().enumerate() {
            for i in 0..self.grid.size {
                let filter = self.filter(&placed, n, i);
                let row = &mut out[self.first(n, i)..][..self.grid.sides()[n]];
                let mut sum = F::ZERO;
                for (a, share) in row.iter_mut().enumerate() {
                    let (_, e) = filter.away(a);
                    *share = if e > F::of(Self::NOTHING) {
                        F::ZERO
                    } else {
                        (-e).exp()
                    };
                    sum += *share;
                }
                let by = by / sum;
                for share in row {
                    *share = by * *share;
                }
            }
        }
    }

    /// The plain code of a row of the numbers' gradient, of the filters and their gradient.
    #[inline(always)]
    pub fn plain_gradient<F: Real>(&self, at: &[F], filters: &[F], upstream: &[F], into: &mut [F]) {
        let placed = self.placed(at);
        let mut sums = [F::ZERO; Self::NUMBERS];
        for (n, by) in [F::ONE, placed.strength].into_iter().enumerate() {
            for i in 0..self.grid.size {
                let filter = self.filter(&placed, n, i);
                let (first, pixels) = (self.first(n, i), self.grid.sides()[n]);
                let (own, given) = (&filters[first..][..pixels], &upstream[first..][..pixels]);
                let mut along = F::ZERO;
                for a in 0..pixels {
                    along += own[a] * given[a];
                }
                // Shares of 1 move together.
                let mean = along / by;
                let (mut moved, mut widened) = (F::ZERO, F::ZERO);
                for a in 0..pixels {
                    let (from, e) = filter.away(a);
                    let share = own[a] * (given[a] - mean);
                    moved += share * from;
                    widened += share * e;
                }
                moved = moved * placed.inverse;
                sums[n] += moved;
                sums[2] += widened;
                sums[3] += F::of(self.offset(i)) * moved;
                if n == 1 {
                    sums[4] += along;
                }
            }
        }
        let half = |n: usize| F::of((self.grid.sides()[n] + 1) as f64 * 0.5);
        let by = [
            half(0),
            half(1),
            F::ONE,
            placed.gap,
            F::of(self.intensity.sign()),
        ];
        for (k, to) in into.iter_mut().enumerate() {
            let most = if k < 2 { Self::FARTHEST } else { Self::MOST };
            *to = slope(at[k], most) * by[k] * sums[k];
        }
    }
}

impl Operation for Filters {
    const KIND: &'static str = "filters";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        // Where a narrow filter lies hangs on the last bits of its numbers.
        let mut operands = vec![Operand::read(&mut self.at).sum()];
        match &mut self.form {
            FiltersForm::Forward { out } => operands.push(Operand::write(out).rows()),
            FiltersForm::Backward {
                filters,
                upstream,
                into,
            } => operands.extend([
                Operand::read(filters).rows(),
                Operand::read(upstream).rows(),
                Operand::write(into).rows(),
            ]),
        }
        operands
    }

    fn cost(&self) -> Cost {
        // Of each share: an exponent and its exponential; or a mean, an exponent and two sums.
        let (each, elements) = match &self.form {
            FiltersForm::Forward { out } => (7, area(out)),
            FiltersForm::Backward {
                filters,
                upstream,
                into,
            } => (12, area(filters) + area(upstream) + area(into)),
        };
        Cost {
            flops: (each * self.at.rows * self.grid.cols()) as f64,
            bytes: bytes(area(&self.at) + elements),
        }
    }

    fn check(&self) -> Result<(), String> {
        let (rows, cols) = (self.at.rows, self.grid.cols());
        let numbers = (rows, Self::NUMBERS);
        same("places", numbers, (rows, self.at.cols))?;
        let filters = |m: &Matrix| same("filters", (rows, cols), (m.rows, m.cols));
        match &self.form {
            FiltersForm::Forward { out } => filters(out),
            FiltersForm::Backward {
                filters: own,
                upstream,
                into,
            } => {
                filters(own)?;
                filters(upstream)?;
                same("gradient of places", numbers, (into.rows, into.cols))
            }
        }
    }

    fn shape(&self) -> String {
        let Grid {
            size,
            width,
            height,
        } = self.grid;
        format!("{} x {size} x ({width} + {height})", self.at.rows)
    }

    fn sum_length(&self) -> usize {
        match self.form {
            FiltersForm::Forward { .. } => self.grid.width.max(self.grid.height),
            FiltersForm::Backward { .. } => self.grid.cols(),
        }
    }

    fn split(&self, limits: &dyn Limits) -> Vec<Filters> {
        let mut own = self.clone();
        let all: Vec<Matrix> = own.operands().iter().map(Operand::matrix).collect();
        each(limits.rows(&all, 1), |first, count| {
            let band = |m: Matrix| m.band(first, count);
            Filters {
                at: band(self.at),
                form: match self.form {
                    FiltersForm::Forward { out } => FiltersForm::Forward { out: band(out) },
                    FiltersForm::Backward {
                        filters,
                        upstream,
                        into,
                    } => FiltersForm::Backward {
                        filters: band(filters),
                        upstream: band(upstream),
                        into: band(into),
                    },
                },
                ..self.clone()
            }
        })
    }

    fn place(&mut self, _: Segment) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::SlotId;

    const GRID: Grid = Grid {
        size: 3,
        width: 5,
        height: 4,
    };

    fn filters(grid: Grid, intensity: Intensity) -> Filters {
        let out = Matrix::new(SlotId(1), 1, grid.cols());
        let filters = Filters {
            name: "filters".into(),
            form: FiltersForm::Forward { out },
            at: Matrix::new(SlotId(0), 1, Filters::NUMBERS),
            grid,
            intensity,
        };
        filters.check().unwrap();
        filters
    }

    fn made(of: &Filters, at: [f64; 5]) -> Vec<f64> {
        let mut out = vec![f64::NAN; of.grid.cols()];
        of.plain_row(&at, &mut out);
        out
    }

    #[test]
    fn filters_are_those_of_the_equations() {
        let at = [0.25, -0.5, 0.3, -0.4, 0.7];
        for (intensity, gamma) in [
            (Intensity::Times, 0.7f64.exp()),
            (Intensity::Over, (-0.7f64).exp()),
        ] {
            let out = made(&filters(GRID, intensity), at);
            let delta = 4.0 / 2.0 * (-0.4f64).exp();
            let mut want = Vec::new();
            for (g, pixels, by) in [(0.25, 5, 1.0), (-0.5, 4, gamma)] {
                let g = f64::from(pixels + 1) / 2.0 * (g + 1.0);
                for i in 1..=3 {
                    let mu = g + (f64::from(i) - 1.5 - 0.5) * delta;
                    let share =
                        |a: i32| (-(f64::from(a) - mu).powi(2) / (2.0 * 0.3f64.exp())).exp();
                    let sum: f64 = (1..=pixels).map(share).sum();
                    want.extend((1..=pixels).map(|a| by * share(a) / sum));
                }
            }
            for (got, want) in out.iter().zip(&want) {
                assert!((got - want).abs() < 1e-14, "{got} {want}");
            }
        }
    }

    #[test]
    fn narrow_filters_and_those_outside_have_their_sum() {
        let of = filters(GRID, Intensity::Times);
        // Middles at the corners and in the middle of 5 x 4 pixels; next to nothing wide.
        let narrow = made(&of, [0.0, 0.0, -20.0, 0.0, 0.0]);
        assert_eq!(narrow[..5], [1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(
            narrow[5..15],
            [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
        );
        // Above the image, half way between two rows, below it.
        assert_eq!(
            narrow[15..],
            [1.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 1.0]
        );
        // Numbers beyond their bounds are as those.
        for (far, bound) in [
            ([-1e9, 7.0, 1.0, 1.0, 1.0], [-100.0, 7.0, 1.0, 1.0, 1.0]),
            (
                [3.0, 1e30, -1e30, 1e30, -1e30],
                [3.0, 100.0, -20.0, 20.0, -20.0],
            ),
        ] {
            let out = made(&of, far);
            assert_eq!(out, made(&of, bound));
            for i in 0..3 {
                let sum: f64 = out[5 * i..5 * i + 5].iter().sum();
                assert!((sum - 1.0).abs() < 1e-14, "{sum}");
            }
            // The whole of it is the pixel at the edge; no gradient goes to a number at its bound, and none is NaN.
            let mut single = vec![f32::NAN; GRID.cols()];
            let far = far.map(|x| x as f32);
            of.plain_row(&far, &mut single);
            assert!(single.iter().all(|x| x.is_finite()), "{single:?}");
            let upstream: Vec<f32> = (0..GRID.cols()).map(|n| (n as f32).sin()).collect();
            let mut into = [f32::NAN; 5];
            of.plain_gradient(&far, &single, &upstream, &mut into);
            assert!(into.iter().all(|x| x.is_finite()), "{into:?}");
            for (number, slope) in far.iter().zip(into) {
                assert!(number.abs() < 100.0 || slope == 0.0, "{number} {slope}");
            }
        }
        // What is no number comes through.
        let broken = made(&of, [f64::NAN, 0.0, 0.0, 0.0, 0.0]);
        assert!(
            broken[..15].iter().all(|x| x.is_nan()) && broken[15..].iter().all(|x| !x.is_nan())
        );
        // A single filter lies in the middle, whatever is said of gaps.
        let one = Grid { size: 1, ..GRID };
        let one = made(&filters(one, Intensity::Times), [0.0, 0.0, -20.0, 3.0, 0.0]);
        assert_eq!(one, [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.0]);
    }

    /// Of a filter partly outside, a narrow one and a wide one.
    #[test]
    fn gradients_are_finite_differences() {
        for (at, intensity) in [
            ([0.25, -0.5, 0.3, -0.4, 0.7], Intensity::Times),
            ([-1.2, 1.4, -0.5, 0.5, 0.2], Intensity::Over),
            ([0.3, 0.1, -3.0, 0.1, -0.6], Intensity::Times),
            ([0.1, 0.2, 4.0, -1.0, 0.3], Intensity::Over),
        ] {
            let of = filters(GRID, intensity);
            let upstream: Vec<f64> = (0..GRID.cols()).map(|n| (2.0 * n as f64).cos()).collect();
            let mut got = [f64::NAN; 5];
            of.plain_gradient(&at, &made(&of, at), &upstream, &mut got);
            let value = |at: [f64; 5]| -> f64 {
                let terms = made(&of, at).into_iter().zip(&upstream);
                terms.map(|(f, g)| f * g).sum()
            };
            for (k, got) in got.iter().enumerate() {
                let (mut more, mut less) = (at, at);
                more[k] += 1e-6;
                less[k] -= 1e-6;
                let want = (value(more) - value(less)) / 2e-6;
                assert!(
                    (got - want).abs() < 1e-8 * (1.0 + want.abs()),
                    "{at:?} {k}: {got} {want}"
                );
            }
        }
    }
}
