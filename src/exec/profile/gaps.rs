//! The gaps between kernels: how long the device did nothing between the end of one and the beginning of the next.

use crate::exec::gpu::Span;

/// The gaps of a step, each a mean over the timed steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Gaps {
    /// How many there are: one fewer than kernels ran.
    pub count: usize,
    /// Seconds of all of them together.
    pub sum: f64,
    /// Seconds of the middle one.
    pub median: f64,
    /// Seconds of the longest.
    pub longest: f64,
    /// The kernel after whose end the longest begins.
    pub after: String,
}

/// Seconds between each span's end and the beginning of the next; 0 where they overlap.
pub fn between(spans: &[Span]) -> Vec<f64> {
    let idle = |w: &[Span]| (w[1].start - w[0].start - w[0].seconds).max(0.0);
    spans.windows(2).map(idle).collect()
}

/// The gaps of steps that ran the same kernels in the same order; none of fewer than two kernels.
pub fn gaps(steps: &[&[Span]]) -> Option<Gaps> {
    let first = steps.first()?;
    let each: Vec<Vec<f64>> = steps.iter().map(|spans| between(spans)).collect();
    let count = each.iter().map(Vec::len).min()?;
    let mean = |n: usize| each.iter().map(|gaps| gaps[n]).sum::<f64>() / each.len() as f64;
    let means: Vec<f64> = (0..count).map(mean).collect();
    let longest = (0..count).max_by(|a, b| means[*a].total_cmp(&means[*b]))?;
    Some(Gaps {
        count,
        sum: means.iter().sum(),
        median: super::super::limits::median(means.clone()),
        longest: means[longest],
        after: first[longest].label.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(times: &[(&str, f64, f64)]) -> Vec<Span> {
        let span = |(label, start, end): &(&str, f64, f64)| Span {
            op: 0,
            part: None,
            label: label.to_string(),
            start: *start,
            seconds: end - start,
        };
        times.iter().map(span).collect()
    }

    #[test]
    fn the_longest_gap_is_the_one_that_is_long_on_average() {
        let steps = [
            spans(&[
                ("a", 0.0, 1.0),
                ("b", 1.5, 2.0),
                ("c", 5.0, 6.0),
                ("d", 6.5, 7.0),
            ]),
            // One step was held up after `a`; the mean still is the longest after `b`. `c` and `d` overlap.
            spans(&[
                ("a", 0.0, 1.0),
                ("b", 3.0, 4.0),
                ("c", 7.0, 9.0),
                ("d", 8.0, 9.5),
            ]),
        ];
        let found = gaps(&[&steps[0], &steps[1]]).unwrap();
        let want = Gaps {
            count: 3,
            sum: 1.25 + 3.0 + 0.25,
            median: 1.25,
            longest: 3.0,
            after: "b".into(),
        };
        assert_eq!(found, want);
    }

    #[test]
    fn one_kernel_has_no_gaps() {
        assert_eq!(gaps(&[&spans(&[("a", 0.0, 1.0)])]), None);
        assert_eq!(gaps(&[]), None);
    }
}
