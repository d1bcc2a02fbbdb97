//! Training and validation parts: the tail of a text is held out, or some of its examples.

use std::ops::Range;

use super::batches::shuffle;
use crate::error::{Error, Result};
use crate::rng::Purpose;

/// The two parts of a text, as ranges of token positions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// What is trained on: the beginning.
    pub train: Range<usize>,
    /// What is held out: the tail; empty when the fraction is 0.
    pub validation: Range<usize>,
}

/// Splits `tokens` positions so that the last `fraction` of them is held out; training gets floor(tokens (1 - fraction)).
///
/// # Errors
/// `Kind::Usage` when the fraction is not in [0, 1); `Kind::Data` when a part would have nothing to predict.
pub fn split(tokens: usize, fraction: f64) -> Result<Split> {
    // One prediction takes two tokens.
    parts(tokens, fraction, "tokens", 2)
}

/// The same for `lines` lines, of which every one has something to predict.
///
/// # Errors
/// As [`split`].
pub fn split_lines(lines: usize, fraction: f64) -> Result<Split> {
    parts(lines, fraction, "lines", 1)
}

/// Splits `records` examples so that a share of them, drawn by `seed`, is held out: files are often sorted by label. Both
/// parts are ascending numbers of examples; they are a function of the arguments alone.
///
/// # Errors
/// As [`split`].
pub fn split_drawn(records: usize, fraction: f64, seed: u64) -> Result<(Vec<u32>, Vec<u32>)> {
    let sizes = parts(records, fraction, "examples", 1)?;
    let count = u32::try_from(records).map_err(|_| {
        Error::data(format!(
            "expected fewer than 2^32 examples, found {records}"
        ))
    })?;
    let mut train: Vec<u32> = (0..count).collect();
    shuffle(&mut train, seed, Purpose::Split, 0);
    let mut held_out = train.split_off(sizes.train.len());
    train.sort_unstable();
    held_out.sort_unstable();
    Ok((train, held_out))
}

/// Parts of at least `least` of `total` positions.
fn parts(total: usize, fraction: f64, what: &str, least: usize) -> Result<Split> {
    if !(0.0..1.0).contains(&fraction) {
        return Err(Error::usage(format!(
            "--val: expected a fraction from 0 to below 1, found {fraction}"
        )));
    }
    // The nudge keeps a product that is whole on paper, such as 10 * (1 - 0.9), from falling below it in binary.
    let kept = (total as f64 * (1.0 - fraction) * (1.0 + 1e-12)).floor() as usize;
    let kept = if fraction == 0.0 {
        total
    } else {
        kept.min(total)
    };
    if fraction > 0.0 && total - kept < least {
        return Err(Error::data(format!(
            "--val {fraction}: {} of {total} {what} are held out, expected at least {least}; raise --val, or give --val 0 \
             for no validation",
            total - kept
        )));
    }
    if kept < least {
        return Err(Error::data(format!(
            "--val {fraction}: {kept} of {total} {what} are left for training, expected at least {least}; lower --val or give \
             more text"
        )));
    }
    Ok(Split {
        train: 0..kept,
        validation: kept..total,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use proptest::prelude::*;

    #[test]
    fn five_percent_of_tinyshakespeare() {
        let s = split(1_115_394, 0.05).unwrap();
        assert_eq!(s.train, 0..1_059_624);
        assert_eq!(s.validation.len(), 55_770);
    }

    #[test]
    fn zero_means_no_validation() {
        let s = split(7, 0.0).unwrap();
        assert_eq!((s.train, s.validation), (0..7, 7..7));
    }

    #[test]
    fn whole_products_stay_whole() {
        assert_eq!(split(100, 0.9).unwrap().train.len(), 10);
        assert_eq!(split(1000, 0.1).unwrap().train.len(), 900);
    }

    #[test]
    fn bad_fractions_and_short_texts_are_refused() {
        for fraction in [-0.1, 1.0, 2.0, f64::NAN, f64::INFINITY] {
            let e = split(100, fraction).unwrap_err();
            assert_eq!(e.kind, Kind::Usage, "{fraction}");
        }
        assert_eq!(split(10, 0.05).unwrap_err().kind, Kind::Data);
        assert_eq!(split(10, 0.95).unwrap_err().kind, Kind::Data);
        assert_eq!(split(1, 0.0).unwrap_err().kind, Kind::Data);
        assert_eq!(split(0, 0.0).unwrap_err().kind, Kind::Data);
    }

    #[test]
    fn one_line_is_enough_for_a_part() {
        let s = split_lines(10, 0.1).unwrap();
        assert_eq!((s.train, s.validation), (0..9, 9..10));
        let e = split_lines(1, 0.5).unwrap_err();
        assert!(e.message.contains("0 of 1 lines are left"), "{e}");
    }

    #[test]
    fn examples_are_drawn_by_the_seed_from_the_whole_file() {
        let (train, held_out) = split_drawn(1000, 0.1, 7).unwrap();
        assert_eq!((train.len(), held_out.len()), (900, 100));
        let mut all = [train.clone(), held_out.clone()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
        assert!(train.is_sorted() && held_out.is_sorted());
        // From every part of a sorted file: 100 of 10 tens expected, 3.3 standard deviations to either side.
        for tenth in 0..10 {
            let of = held_out.iter().filter(|n| **n / 100 == tenth).count();
            assert!((1..=20).contains(&of), "{of} of tenth {tenth}");
        }
        assert_eq!(split_drawn(1000, 0.1, 7).unwrap().1, held_out);
        assert_ne!(split_drawn(1000, 0.1, 8).unwrap().1, held_out);
        assert_eq!(split_drawn(3, 0.0, 7).unwrap(), (vec![0, 1, 2], vec![]));
        assert_eq!(split_drawn(1, 0.5, 7).unwrap_err().kind, Kind::Data);
    }

    proptest! {
        #[test]
        fn the_parts_make_the_whole(tokens in 0usize..5_000_000, fraction in 0.0f64..1.0) {
            if let Ok(s) = split(tokens, fraction) {
                prop_assert_eq!(s.train.start, 0);
                prop_assert_eq!(s.train.end, s.validation.start);
                prop_assert_eq!(s.validation.end, tokens);
                let want = tokens as f64 * (1.0 - fraction);
                prop_assert!((s.train.len() as f64 - want).abs() <= 1.0 + 1e-5);
            }
        }
    }
}
