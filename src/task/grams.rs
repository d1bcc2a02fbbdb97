//! Neighbouring tokens as one symbol.

/// The symbol below `symbols` for `ids`, all below `vocabulary`, from the first one on. Where there are as many symbols as
/// such sequences, each has its own; else a hash chooses, and several may share one (Weinberger et al. 2009, "Feature hashing
/// for large scale multitask learning"; Joulin et al. 2016 take it for n-grams of words). It is a part of what a run's weights
/// mean: the same in every build.
pub fn gram(ids: &[u32], vocabulary: usize, symbols: usize) -> u32 {
    let sequences = u32::try_from(ids.len()).ok();
    let sequences = sequences.and_then(|n| (vocabulary as u64).checked_pow(n));
    let number = ids.iter().fold(0u64, |number, id| {
        let shifted = number.wrapping_mul(vocabulary as u64);
        shifted.wrapping_add(u64::from(*id))
    });
    match sequences {
        Some(sequences) if sequences <= symbols as u64 => number as u32,
        _ => (mixed(number) % symbols as u64) as u32,
    }
}

/// SplitMix64's mixing of a number's bits (Steele, Lea, Flood 2014).
fn mixed(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sequence_has_a_symbol_of_its_own_where_there_are_as_many() {
        let all = (0..5).flat_map(|a| (0..5).map(move |b| gram(&[a, b], 5, 25)));
        assert_eq!(all.collect::<Vec<u32>>(), (0..25).collect::<Vec<u32>>());
    }

    #[test]
    fn a_hash_spreads_the_others_evenly_and_is_the_same_in_every_build() {
        let mut counts = [0usize; 24];
        for a in 0..40 {
            for b in 0..40 {
                counts[gram(&[a, b], 40, 24) as usize] += 1;
            }
        }
        // 1,600 sequences, 67 a symbol, with a deviation of 8.
        assert!(counts.iter().all(|n| (35..100).contains(n)), "{counts:?}");
        assert_ne!(gram(&[1, 2], 40, 24), gram(&[2, 1], 40, 24));
        let long: Vec<u32> = (0..40).collect();
        assert_eq!(gram(&[3, 1, 4], 1000, 1 << 20), SHORT);
        assert_eq!(gram(&long, 1000, 1 << 20), LONG);
    }

    // Worked out apart, in Python.
    const SHORT: u32 = 862965;
    const LONG: u32 = 29852;
}
