//! What an eye sees of an image at a place: squares about it, each twice as large as the one before, and as coarse as it is large.

use super::split::each;
use super::{Cost, FlatKernel, Limits, Matrix, Operand, Operation, Segment, area, bytes, same};
use crate::cell::real::Real;

/// A place as far away as so many images is as far as any.
const MOST_AWAY: f64 = 100.0;

/// out [R, scales * size * size] of images [R, height * width], rows of pixels, at places [R, 2]: across and down, (-1, -1) the
/// corner above at the left, (1, 1) the one below at the right. Square k is size * 2^k pixels wide, and each of its size * size
/// numbers is the mean of 2^k * 2^k samples a pixel apart; between pixels a sample is linear, outside the image it is 0. Source:
/// Mnih, Heess, Graves, Kavukcuoglu 2014, "Recurrent models of visual attention", section 3.1 and figure 1A. It has no backward
/// pass: the image is data, and the place is drawn.
#[derive(Clone, Debug)]
pub struct Retina {
    /// The name in the plan.
    pub name: String,
    /// The images.
    pub image: Matrix,
    /// The places.
    pub at: Matrix,
    /// What is seen.
    pub out: Matrix,
    /// Pixels of an image's row.
    pub width: usize,
    /// Numbers of a square's side.
    pub size: usize,
    /// How many squares.
    pub scales: usize,
}

impl Retina {
    /// The most squares: the last is 2^7 times as large as the first.
    pub const MOST_SCALES: usize = 8;

    /// Columns of `out`.
    pub fn cols(size: usize, scales: usize) -> usize {
        scales * size * size
    }

    fn height(&self) -> usize {
        self.image.cols / self.width
    }

    /// The plain code for one row.
    #[inline(always)]
    pub fn plain_row<F: Real>(&self, image: &[F], at: &[F], out: &mut [F]) {
        let sides = [self.width, self.height()];
        let (half, one, size) = (F::of(0.5), F::ONE, self.size);
        // Pixel n has its middle at n + 1/2.
        let middle = |n: usize| {
            let side = F::of(sides[n] as f64);
            let inside = (at[n] + one) * half;
            let most = F::of(MOST_AWAY);
            if inside > most {
                most * side
            } else if inside < -most {
                -most * side
            } else {
                inside * side
            }
        };
        let middle = [middle(0), middle(1)];
        let pixel = |x: i64, y: i64| {
            let inside = x >= 0 && y >= 0 && x < sides[0] as i64 && y < sides[1] as i64;
            if inside {
                image[y as usize * sides[0] + x as usize]
            } else {
                F::ZERO
            }
        };
        for scale in 0..self.scales {
            let step = 1usize << scale;
            let away = F::of((size * step) as f64 * 0.5);
            let corner = middle.map(|m| m - away);
            let first = corner.map(|c| c.f64().floor());
            let [tx, ty] = [0, 1].map(|n| corner[n] - F::of(first[n]));
            for row in 0..size {
                for col in 0..size {
                    let mut sum = F::ZERO;
                    for v in 0..step {
                        for u in 0..step {
                            let x = first[0] as i64 + (col * step + u) as i64;
                            let y = first[1] as i64 + (row * step + v) as i64;
                            let above = (one - tx) * pixel(x, y) + tx * pixel(x + 1, y);
                            let below = (one - tx) * pixel(x, y + 1) + tx * pixel(x + 1, y + 1);
                            sum += (one - ty) * above + ty * below;
                        }
                    }
                    out[(scale * size + row) * size + col] = sum / F::of((step * step) as f64);
                }
            }
        }
    }

    /// Its kernel.
    pub fn kernel(&self) -> FlatKernel {
        FlatKernel {
            sizes: vec![
                ("WIDTH", self.width),
                ("HEIGHT", self.height()),
                ("SIZE", self.size),
            ],
            matrices: vec![("out", self.out), ("image", self.image), ("at", self.at)],
            rows: self.out.rows,
            ..FlatKernel::default()
        }
    }
}

impl Operation for Retina {
    const KIND: &'static str = "retina";

    fn name(&self) -> &str {
        &self.name
    }

    fn operands(&mut self) -> Vec<Operand<'_>> {
        vec![
            Operand::read(&mut self.image),
            Operand::read(&mut self.at),
            Operand::write(&mut self.out),
        ]
    }

    fn cost(&self) -> Cost {
        // Each sample is three means of two.
        let samples: usize = (0..self.scales).map(|scale| 1 << (2 * scale)).sum();
        let numbers = self.out.rows * self.size * self.size;
        Cost {
            flops: (9 * numbers * samples) as f64,
            bytes: bytes(area(&self.image) + area(&self.at) + area(&self.out)),
        }
    }

    fn check(&self) -> Result<(), String> {
        let rows = self.image.rows;
        let cols = Retina::cols(self.size, self.scales);
        same("places", (rows, 2), (self.at.rows, self.at.cols))?;
        same("what is seen", (rows, cols), (self.out.rows, self.out.cols))?;
        if self.width > 0 && self.image.cols.is_multiple_of(self.width) {
            return Ok(());
        }
        Err(format!(
            "expected images of rows of {} pixels, found {} numbers",
            self.width, self.image.cols
        ))
    }

    fn shape(&self) -> String {
        format!(
            "{} x {} x {} x {}",
            self.out.rows, self.scales, self.size, self.size
        )
    }

    fn sum_length(&self) -> usize {
        4 << (2 * (self.scales - 1))
    }

    fn split(&self, limits: &dyn Limits) -> Vec<Retina> {
        let rows = limits.rows(&[self.out, self.image, self.at], 1);
        each(rows, |first, count| Retina {
            image: self.image.band(first, count),
            at: self.at.band(first, count),
            out: self.out.band(first, count),
            ..self.clone()
        })
    }

    fn place(&mut self, _: Segment) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::SlotId;

    /// What is seen of an image of 4 x 4 pixels, 2 x 2 numbers at two scales.
    fn seen(at: [f64; 2]) -> Vec<f64> {
        let matrix = |cols| Matrix {
            slot: SlotId(0),
            offset: 0,
            rows: 1,
            cols,
            stride: cols,
            row_count: None,
        };
        let retina = Retina {
            name: "seen".into(),
            image: matrix(16),
            at: matrix(2),
            out: matrix(8),
            width: 4,
            size: 2,
            scales: 2,
        };
        retina.check().unwrap();
        let image: Vec<f64> = (1..=16).map(f64::from).collect();
        let mut out = vec![f64::NAN; 8];
        retina.plain_row(&image, &at, &mut out);
        out
    }

    #[test]
    fn squares_lie_about_the_place_and_get_coarser() {
        // By hand: the four pixels in the middle, and the means of the four quarters.
        assert_eq!(
            seen([0.0, 0.0]),
            [6.0, 7.0, 10.0, 11.0, 3.5, 5.5, 11.5, 13.5]
        );
        // A pixel to the right: the large square reaches a pixel beyond the edge.
        let right = [7.0, 8.0, 11.0, 12.0];
        let coarse = [
            (2.0 + 3.0 + 6.0 + 7.0) / 4.0,
            (4.0 + 8.0) / 4.0,
            (10.0 + 11.0 + 14.0 + 15.0) / 4.0,
            (12.0 + 16.0) / 4.0,
        ];
        assert_eq!(seen([0.5, 0.0]), [right, coarse].concat());
        // Half a pixel down: the mean of two rows.
        assert_eq!(seen([0.0, 0.25])[..4], [8.0, 9.0, 12.0, 13.0]);
        // The corner above at the left, and far away.
        assert_eq!(seen([-1.0, -1.0]), [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 3.5]);
        assert_eq!(seen([1e30, 0.0]), [0.0; 8]);
    }
}
