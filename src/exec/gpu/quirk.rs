//! Habits of drivers, and what is done about each: data with a reason, never a condition somewhere in the code.

use super::adapter::Adapter;

/// Whose habit it is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Of {
    /// Every adapter's, where no line below says otherwise.
    All,
    /// That of software adapters.
    Software,
}

/// What is done about it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Measure {
    /// Waits may take so many seconds.
    Patience(f64),
    /// A product of more floating point operations is cut into several dispatches.
    Product(f64),
    /// A thread that waits for another workgroup makes so many divisions between two looks, each of the one before.
    Pause(usize),
}

/// A habit.
#[derive(Clone, Copy, Debug)]
struct Quirk {
    of: Of,
    measure: Measure,
    reason: &'static str,
}

/// All of them; a later line wins.
const QUIRKS: [Quirk; 5] = [
    Quirk {
        of: Of::All,
        measure: Measure::Patience(30.0),
        reason: "drivers of GPUs end a submission themselves after 2 to 10 seconds",
    },
    Quirk {
        of: Of::Software,
        measure: Measure::Patience(300.0),
        reason: "its threads wait for processors as all others do: beside 10 busy processes on 2 cores llvmpipe took more \
                 than 30 seconds for a step of milliseconds, and no watchdog ends a submission",
    },
    Quirk {
        of: Of::All,
        measure: Measure::Product(2e10),
        reason: "100 ms at 200 GFLOP/s, less than an integrated GPU does; a fast one takes 1 to 2 ms, many waves of its \
                 workgroups, so that the cut costs nothing",
    },
    Quirk {
        of: Of::Software,
        measure: Measure::Product(4e9),
        reason: "200 ms at the 20 GFLOP/s that llvmpipe does on two cores; each piece is another kernel to compile, so not \
                 smaller still",
    },
    Quirk {
        of: Of::Software,
        measure: Measure::Pause(60),
        reason: "a look takes a GPU 0.7 us, the way to its last cache and back, but llvmpipe nanoseconds, and the workgroup that \
                 is waited for may have lost its processor to other work for milliseconds; not more looks, as llvmpipe goes \
                 through 65,535 rounds and then on, saying nothing",
    },
];

fn find<T>(adapter: &Adapter, wanted: impl Fn(Measure) -> Option<T>, otherwise: T) -> T {
    let known = QUIRKS.iter().rev().filter(|q| match q.of {
        Of::All => true,
        Of::Software => adapter.software,
    });
    // A reason is what makes a line one of the table.
    let reasoned = known.filter(|q| !q.reason.is_empty());
    let mut measures = reasoned.map(|q| q.measure);
    measures.find_map(wanted).unwrap_or(otherwise)
}

/// Seconds that a wait for an adapter may take.
pub(super) fn patience(adapter: &Adapter) -> f64 {
    let wanted = |m| match m {
        Measure::Patience(seconds) => Some(seconds),
        _ => None,
    };
    find(adapter, wanted, 30.0)
}

/// Divisions that a thread makes between two looks for what another workgroup sends.
pub(super) fn pause(adapter: &Adapter) -> usize {
    let wanted = |m| match m {
        Measure::Pause(divisions) => Some(divisions),
        _ => None,
    };
    find(adapter, wanted, 0)
}

/// Floating point operations of a dispatch of a product at most.
pub(super) fn largest_product(adapter: &Adapter) -> f64 {
    let wanted = |m| match m {
        Measure::Product(flops) => Some(flops),
        _ => None,
    };
    find(adapter, wanted, f64::INFINITY)
}
