//! Sizes that fit the registers and caches of the processor.

use pulp::{Simd, WithSimd};

use crate::cell::simd::SimdElement;

/// Registers of columns in a tile of C.
pub const WIDE: usize = 2;
/// Rows in a tile of C, at most: with [`WIDE`] columns and the operands they fill 32 registers, which AVX-512 and NEON
/// have.
pub const TALL: usize = 12;
/// The same for sixteen registers.
pub const TALL_16: usize = 6;
/// Terms that are summed in one go: a strip of this depth stays in a first-level cache while panels stream past it.
pub const DEEP: usize = 512;
/// Rows of B, or columns of a transposed A, that are fetched before they are packed.
pub const SOON: usize = 8;

/// How many columns a panel has, and rows a tile at most, with this processor's registers.
pub fn tile<F: SimdElement>() -> (usize, usize) {
    struct Ask;
    impl WithSimd for Ask {
        type Output = (usize, usize);
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> (usize, usize) {
            let tall = match S::REGISTER_COUNT {
                32.. => TALL,
                _ => TALL_16,
            };
            // In bytes, so that it serves every number type.
            (WIDE * size_of::<S::f32s>(), tall)
        }
    }
    let (bytes, tall) = F::widest(Ask);
    (bytes / size_of::<F>(), tall)
}

/// Asks for the cache line at an address, which need not be in any object, to be written where `write`.
#[inline(always)]
pub fn prefetch<T>(at: *const T, write: bool) {
    // SAFETY: a prefetch reads and writes nothing and cannot fault, whatever the address; every processor that has this
    // instruction set has it.
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch};
        if write {
            _mm_prefetch::<_MM_HINT_ET0>(at.cast())
        } else {
            _mm_prefetch::<_MM_HINT_T0>(at.cast())
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (at, write);
}
