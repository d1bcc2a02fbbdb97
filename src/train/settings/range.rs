//! The ranges of settings: data, from which follow both the check and what an error says was expected.

use std::fmt;
use std::ops::Bound::{self, Excluded, Included, Unbounded};

use super::{cutoffs, pairs};

/// Which values a setting takes, of those that its type has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Range {
    /// All of them.
    Any,
    /// Numbers whose range hangs on another setting.
    Related,
    /// Whole numbers from the first to the second, both included; `u64::MAX` is no upper limit.
    Whole(u64, u64),
    /// 0, which stands for no limit, or a whole number from this one on.
    NoLimitOr(u64),
    /// Finite numbers between two bounds.
    Numbers(Bound<f64>, Bound<f64>),
    /// A list such as `f=1,o=-1`, see [`pairs`].
    Pairs,
    /// A list such as `20000,200000`, see [`cutoffs`].
    Rising,
}

/// All values of a type that is not a number.
pub(super) const ANY: Range = Range::Any;
/// What [`Range::Related`] says.
pub(super) const RELATED: Range = Range::Related;
pub(super) const FINITE: Range = Range::Numbers(Unbounded, Unbounded);
pub(super) const POSITIVE: Range = above(0.0);
pub(super) const NOT_NEGATIVE: Range = Range::Numbers(Included(0.0), Unbounded);
/// From 0 to below 1.
pub(super) const FRACTION: Range = Range::Numbers(Included(0.0), Excluded(1.0));
/// Above 0, to 1.
pub(super) const FACTOR: Range = above_to(0.0, 1.0);
pub(super) const PAIRS: Range = Range::Pairs;
pub(super) const RISING: Range = Range::Rising;

pub(super) const fn above(low: f64) -> Range {
    Range::Numbers(Excluded(low), Unbounded)
}

pub(super) const fn above_to(low: f64, high: f64) -> Range {
    Range::Numbers(Excluded(low), Included(high))
}

pub(super) const fn between(low: f64, high: f64) -> Range {
    Range::Numbers(Included(low), Included(high))
}

pub(super) const fn whole(least: u64, most: u64) -> Range {
    Range::Whole(least, most)
}

pub(super) const fn from(least: u64) -> Range {
    Range::Whole(least, u64::MAX)
}

pub(super) const fn no_limit_or(least: u64) -> Range {
    Range::NoLimitOr(least)
}

/// What kind of value a type of settings has, as far as ranges go.
#[derive(Clone, Copy)]
pub(super) enum RangeKind {
    Whole,
    Number,
    Text,
    Other,
}

/// A value of one of these kinds.
#[derive(Clone, Copy)]
pub(super) enum Judged<'a> {
    Whole(u64),
    Number(f64),
    Text(&'a str),
    Other,
}

impl Range {
    /// Whether it says something about values of a kind; a plain number without bounds could be NaN, so that `Any` is none.
    pub(super) const fn suits(self, kind: RangeKind) -> bool {
        match self {
            Range::Any => !matches!(kind, RangeKind::Number),
            Range::Whole(..) | Range::NoLimitOr(_) => matches!(kind, RangeKind::Whole),
            Range::Related | Range::Numbers(..) => matches!(kind, RangeKind::Number),
            Range::Pairs | Range::Rising => matches!(kind, RangeKind::Text),
        }
    }

    /// What was expected and came, where a value lies outside.
    pub(super) fn fault(self, value: Judged) -> Option<String> {
        let fits = match (self, value) {
            (Range::Pairs, Judged::Text(list)) => return pairs(list).err(),
            (Range::Rising, Judged::Text(list)) => return cutoffs(list).err(),
            (Range::Whole(least, most), Judged::Whole(v)) => (least..=most).contains(&v),
            (Range::NoLimitOr(least), Judged::Whole(v)) => v == 0 || v >= least,
            (Range::Numbers(low, high), Judged::Number(v)) => within(low, high, v),
            _ => true,
        };
        let shown = match value {
            Judged::Whole(v) => v.to_string(),
            Judged::Number(v) => v.to_string(),
            Judged::Text(text) => format!("{text:?}"),
            Judged::Other => String::new(),
        };
        (!fits).then(|| format!("expected {self}, got {shown}"))
    }

    /// Whether a number lies in it.
    pub(super) fn holds(self, number: f64) -> bool {
        self.fault(Judged::Number(number)).is_none()
    }
}

/// Numbers are judged as the f32 that the device will see, too: 1e-60 is 0 there, 1e60 infinite. NaN is nowhere.
fn within(low: Bound<f64>, high: Bound<f64>, v: f64) -> bool {
    let seen = v as f32;
    let above = match low {
        Unbounded => true,
        Included(low) => v >= low,
        Excluded(low) => v > low && seen > low as f32,
    };
    let below = match high {
        Unbounded => true,
        Included(high) => v <= high,
        Excluded(high) => v < high && seen < high as f32,
    };
    seen.is_finite() && above && below
}

/// What an error says was expected.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Range::Any => f.write_str("any"),
            Range::Related => f.write_str("what another setting says"),
            Range::Whole(least, u64::MAX) => write!(f, "{least} or more"),
            Range::Whole(least, most) => write!(f, "{least} to {most}"),
            Range::NoLimitOr(least) => write!(f, "0 for no limit, or {least} or more"),
            Range::Numbers(Unbounded, Unbounded) => f.write_str("a finite number"),
            Range::Numbers(Excluded(low), Unbounded) => write!(f, "a number above {low}"),
            Range::Numbers(Included(low), Unbounded) => write!(f, "{low} or more"),
            Range::Numbers(low, high) => {
                match low {
                    Unbounded => {}
                    Included(low) => write!(f, "{low} ")?,
                    Excluded(low) => write!(f, "above {low} ")?,
                }
                match high {
                    Unbounded => Ok(()),
                    Included(high) => write!(f, "to {high}"),
                    Excluded(high) => write!(f, "to below {high}"),
                }
            }
            Range::Pairs => f.write_str("NAME=VALUE, one or several"),
            Range::Rising => f.write_str("rising whole numbers from 1 on"),
        }
    }
}
