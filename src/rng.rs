//! Counter-based random numbers: every draw is a function of (seed, purpose, step, index).
//!
//! Threefry-2x32 with 20 rounds (Salmon et al. 2011) needs only 32-bit additions, rotations and exclusive ors, so the
//! CPU and a WGSL kernel (`shaders/lib/threefry.wgsl`) give the same bits, and nothing but the seed has to be stored.

use rand::Rng;
use rand::rand_core::{Infallible, TryRng};

/// What a random number is for. Two purposes never share a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Initial weights.
    Init = 1,
    /// Dropout masks.
    Dropout = 2,
    /// Sampling of text.
    Sample = 3,
    /// Orders of minibatches.
    Shuffle = 4,
    /// The built-in corpus.
    Corpus = 5,
    /// Inputs made up by checks, tests and benchmarks.
    Check = 6,
    /// Scheduled sampling: which inputs the model makes, and which tokens.
    Mix = 7,
    /// The candidates of a sampled softmax.
    Candidates = 8,
    /// Which examples are held out.
    Split = 9,
    /// Data of known tasks, which `generate` writes.
    Generate = 10,
    /// Draws within a model.
    Draw = 11,
    /// The search for cells: mutations, settings that are drawn.
    Search = 12,
    /// Settings and noise that experiments draw.
    Lab = 13,
}

/// Two random words for the 64-bit `key` and the 64-bit `counter`, each given as two words.
///
/// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011), Threefry-2x32-20.
pub fn threefry2x32(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    let [[a], [b]] = rounds(key, [[counter[0]], [counter[1]]]);
    [a, b]
}

/// The same for the counters `[first, 0]`, `[first + 1, 0]` and so on: the first word of each, and the second. Inlined into a
/// loop with wide vectors it takes them together.
#[inline(always)]
pub fn threefry2x32_run<const N: usize>(key: [u32; 2], first: u32) -> [[u32; N]; 2] {
    let mut counters = [[0; N]; 2];
    for (n, counter) in (0..).zip(&mut counters[0]) {
        *counter = first.wrapping_add(n);
    }
    rounds(key, counters)
}

/// The rounds on N counters side by side.
#[inline(always)]
fn rounds<const N: usize>(key: [u32; 2], counters: [[u32; N]; 2]) -> [[u32; N]; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let keys = [key[0], key[1], 0x1BD1_1BDA ^ key[0] ^ key[1]];
    let [mut a, mut b] = counters;
    for n in 0..N {
        a[n] = a[n].wrapping_add(keys[0]);
        b[n] = b[n].wrapping_add(keys[1]);
    }
    for block in 0..5u32 {
        for rotation in ROTATIONS[block as usize % 2] {
            for n in 0..N {
                a[n] = a[n].wrapping_add(b[n]);
                b[n] = b[n].rotate_left(rotation) ^ a[n];
            }
        }
        let next = block as usize + 1;
        let (of_a, of_b) = (
            keys[next % 3],
            keys[(next + 1) % 3].wrapping_add(next as u32),
        );
        for n in 0..N {
            a[n] = a[n].wrapping_add(of_a);
            b[n] = b[n].wrapping_add(of_b);
        }
    }
    [a, b]
}

/// The key of a stream: the words of the seed, the second one mixed with the purpose.
pub fn key(seed: u64, purpose: Purpose) -> [u32; 2] {
    threefry2x32([seed as u32, (seed >> 32) as u32], [purpose as u32, 0])
}

/// A stream of random words at (seed, purpose, step), usable with every distribution of `rand`.
///
/// It can be moved to any index at no cost: word `i` is a function of `i` alone.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    index: u64,
}

impl Stream {
    /// The stream of `purpose` at `step`, from its first word on.
    pub fn new(seed: u64, purpose: Purpose, step: u64) -> Self {
        let key = threefry2x32(key(seed, purpose), [step as u32, (step >> 32) as u32]);
        Stream { key, index: 0 }
    }

    /// The index of the next word.
    pub fn position(&self) -> u64 {
        self.index
    }

    /// Continues at word `index`.
    pub fn seek(&mut self, index: u64) {
        self.index = index;
    }

    /// A uniform number in [0, 1) with 24 random bits.
    pub fn uniform(&mut self) -> f32 {
        unit(self.next_word())
    }

    /// A draw from the standard normal distribution, by Box and Muller's transformation; takes two words.
    pub fn normal(&mut self) -> f64 {
        let u1 = 1.0 - f64::from(self.next_word()) / 4_294_967_296.0;
        let u2 = f64::from(self.next_word()) / 4_294_967_296.0;
        (-2.0 * u1.ln()).sqrt() * (std::f64::consts::TAU * u2).cos()
    }

    /// A whole number below `n`, each as likely up to `n` of 2^64; takes two words. 0 where `n` is.
    pub fn below(&mut self, n: u64) -> u64 {
        // The upper word of the product.
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    fn next_word(&mut self) -> u32 {
        let pair = self.index / 2;
        let words = threefry2x32(self.key, [pair as u32, (pair >> 32) as u32]);
        let word = words[(self.index % 2) as usize];
        self.index += 1;
        word
    }
}

/// The uniform number in [0, 1) that a random word stands for: its upper 24 bits, as an f32 holds them exactly.
pub fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.next_word())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let low = u64::from(self.next_word());
        Ok(low | u64::from(self.next_word()) << 32)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for chunk in bytes.chunks_mut(4) {
            let word = self.next_word().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The known-answer vectors that Random123 ships for threefry2x32 with 20 rounds.
    #[test]
    fn threefry_gives_the_published_answers() {
        assert_eq!(threefry2x32([0, 0], [0, 0]), [0x6b20_0159, 0x99ba_4efe]);
        assert_eq!(
            threefry2x32([u32::MAX; 2], [u32::MAX; 2]),
            [0x1cb9_96fc, 0xbb00_2be7]
        );
        assert_eq!(
            threefry2x32([0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3]),
            [0xc492_3a9c, 0x483d_f7a0]
        );
    }

    #[test]
    fn a_run_has_the_words_of_its_counters() {
        let key = [0x1319_8a2e, 0x0370_7344];
        let [a, b] = threefry2x32_run::<5>(key, u32::MAX - 1);
        for n in 0..5 {
            let counter = (u32::MAX - 1).wrapping_add(n as u32);
            assert_eq!([a[n], b[n]], threefry2x32(key, [counter, 0]));
        }
    }

    #[test]
    fn a_stream_can_be_moved() {
        let mut a = Stream::new(7, Purpose::Dropout, 3);
        let all: Vec<f32> = (0..9).map(|_| a.uniform()).collect();
        a.seek(4);
        assert_eq!(a.uniform(), all[4]);
        assert_ne!(all, {
            let mut b = Stream::new(7, Purpose::Dropout, 4);
            (0..9).map(|_| b.uniform()).collect::<Vec<_>>()
        });
    }
}
