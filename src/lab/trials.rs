//! What follows from trials of cells on tasks: ranks, what explains them, and the claims of the paper.

use super::least_squares::{Row, explained, left, share_of};
use super::{Finding, HeatMap, Measured, Plot, Scale, Series};

const VANILLA: &str = "lstm-peephole";
/// The standard LSTM, and what differs from it in one thing each.
pub const CELLS: [&str; 9] = [
    VANILLA,
    "lstm-nig",
    "lstm-nfg",
    "lstm-nog",
    "lstm-niaf",
    "lstm-noaf",
    "lstm-cifg",
    "lstm-np",
    "lstm-fgr",
];

/// The tasks of these trials, in their order.
fn tasks(measured: &[Measured]) -> Vec<&str> {
    let mut all: Vec<&str> = Vec::new();
    for trial in measured {
        if !all.contains(&trial.text("task")) {
            all.push(trial.text("task"));
        }
    }
    all
}

/// The mean rank of each cell, a line a task.
pub fn plot(measured: &[Measured]) -> Plot {
    let ranked = adjusted(&ranked(measured));
    let series = tasks(measured).into_iter().map(|task| Series {
        name: task.into(),
        points: (1..)
            .map(f64::from)
            .zip(CELLS)
            .filter_map(|(n, cell)| Some((n, spread(&ranked, task, cell)?.mean)))
            .collect(),
    });
    Plot {
        title: "Mean rank of trials by cell".into(),
        across: CELLS
            .map(|cell| cell.trim_start_matches("lstm-"))
            .join(", "),
        up: "mean rank, less what rate, size, noise say".into(),
        across_scale: Scale::Linear,
        up_scale: Scale::Linear,
        series: series.collect(),
    }
}

/// The mean rank by rate and size.
pub fn heat(measured: &[Measured]) -> Option<HeatMap> {
    let ranked = ranked(measured);
    let (rates, sizes) = (Bins::of(&ranked, "lr", 5)?, Bins::of(&ranked, "hidden", 3)?);
    let mean = |rate: usize, size: usize| {
        let own = ranked.iter().filter(|(m, _)| {
            rates.place(m.number("lr")) == Some(rate)
                && sizes.place(m.number("hidden")) == Some(size)
        });
        let own: Vec<f64> = own.map(|(_, rank)| *rank).collect();
        (!own.is_empty()).then(|| own.iter().sum::<f64>() / own.len() as f64)
    };
    let row = |size: usize| (0..rates.count).map(|rate| mean(rate, size)).collect();
    Some(HeatMap {
        title: "Mean rank of trials by rate and size: 0 is the best".into(),
        across: ("learning rate".into(), rates.names()),
        up: ("hidden size".into(), sizes.names()),
        rows: (0..sizes.count).map(row).collect(),
    })
}

/// What follows from the trials.
pub fn findings(measured: &[Measured]) -> Vec<Finding> {
    let tasks = tasks(measured);
    let ranked = ranked(measured);
    let of_cells = adjusted(&ranked);
    let said = |wanted: &[&str]| {
        let of_task = |task: &str| {
            let all = wanted.iter().filter_map(|cell| {
                let own = spread(&of_cells, task, cell)?;
                let (mean, error) = (own.mean, own.error);
                Some(format!("{cell} {mean:.2} \u{b1} {error:.2}"))
            });
            format!("{task}: {}", all.collect::<Vec<_>>().join(", "))
        };
        format!(
            "mean rank, less what rate, size and noise say of it, and its standard error, {}",
            tasks
                .iter()
                .map(|task| of_task(task))
                .collect::<Vec<_>>()
                .join("; ")
        )
    };
    // How many standard errors a cell lies above the standard one; less is better.
    let above = |task: &str, cell: &str| -> Option<f64> {
        let (own, other) = (
            spread(&of_cells, task, cell)?,
            spread(&of_cells, task, VANILLA)?,
        );
        Some((own.mean - other.mean) / own.error.hypot(other.error))
    };
    let of_all = |cells: &[&str]| -> Option<Vec<f64>> {
        let all = cells
            .iter()
            .flat_map(|cell| tasks.iter().map(|task| above(task, cell)));
        all.collect::<Option<Vec<f64>>>()
            .filter(|all| !all.is_empty())
    };
    let rows = rows(&ranked);
    let share = |group: usize| share_of(&rows, &GROUPS, group);
    let named = |name: &str, group: usize| {
        let found = share(group).map_or("-".into(), |share| format!("{:.1}%", 100.0 * share));
        format!("{name} {found}")
    };
    let whole = explained(&rows, |_| true);
    let whole = whole.map_or("-".into(), |share| format!("{:.1}%", 100.0 * share));
    let shares = format!(
        "of the variance of ranks all terms explain {whole}; alone {}, {}, {}, {}, {}",
        named("rate", RATE),
        named("size", SIZE),
        named("noise", NOISY),
        named("cell", CELL),
        named("rate times size", BOTH),
    );
    let trials = measured.len() / (CELLS.len() * tasks.len()).max(1);
    let few = format!(
        "with {trials} trials a cell and task, {SIGNIFICANT} standard errors being called significant"
    );
    vec![
        Finding {
            claim: "No variant is significantly better than the standard LSTM",
            by: "Greff et al. 2015",
            found: format!("{}; {few}", said(&CELLS)),
            holds: of_all(&CELLS[1..]).map(|all| all.iter().all(|z| *z > -SIGNIFICANT)),
        },
        Finding {
            claim: "Without a forget gate, or without the output's activation, it is significantly worse on some task",
            by: "Greff et al. 2015",
            found: format!("{}; {few}", said(&[VANILLA, "lstm-nfg", "lstm-noaf"])),
            holds: of_all(&["lstm-nfg"])
                .zip(of_all(&["lstm-noaf"]))
                .map(|(nfg, noaf)| {
                    [nfg, noaf]
                        .iter()
                        .all(|all| all.iter().any(|z| *z > SIGNIFICANT))
                }),
        },
        Finding {
            claim: "Coupled gates, or none of the peepholes, do not make it significantly worse",
            by: "Greff et al. 2015",
            found: format!("{}; {few}", said(&[VANILLA, "lstm-cifg", "lstm-np"])),
            holds: of_all(&["lstm-cifg", "lstm-np"])
                .map(|all| all.iter().all(|z| *z < SIGNIFICANT)),
        },
        Finding {
            claim: "The learning rate matters most of all settings, and more than the cell",
            by: "Greff et al. 2015, by random forests; here by least squares",
            found: shares.clone(),
            holds: share(RATE).map(|rate| {
                [SIZE, NOISY, CELL]
                    .iter()
                    .all(|other| share(*other) < Some(rate))
            }),
        },
        Finding {
            claim: "Rate and size hardly interact: their product explains less than a twentieth of the variance",
            by: "Greff et al. 2015",
            found: shares,
            holds: share(BOTH).map(|both| both < 0.05),
        },
    ]
}

/// Standard errors that are called significant: of the comparisons of a cell on a task with the standard one, sixteen of two tasks, one in
/// twenty is 2 apart by chance, and one in four hundred 3.
const SIGNIFICANT: f64 = 3.0;

/// Every trial with its rank among those of its task, from 0 for the best to 1 for the worst.
fn ranked(measured: &[Measured]) -> Vec<(&Measured, f64)> {
    let mut all = Vec::new();
    for task in tasks(measured) {
        let mut own: Vec<(&Measured, f64)> = measured
            .iter()
            .filter(|m| m.text("task") == task)
            .map(|m| (m, m.number("nats").unwrap_or(f64::INFINITY)))
            .collect();
        own.sort_by(|a, b| a.1.total_cmp(&b.1));
        let most = own.len().saturating_sub(1).max(1) as f64;
        let ranks = own.iter().enumerate();
        all.extend(ranks.map(|(n, (m, _))| (*m, n as f64 / most)));
    }
    all
}

/// The same ranks less what the linear model says of rate, size and noise: what is left for the cell to explain. Nothing, of
/// too few trials.
fn adjusted<'a>(ranked: &[(&'a Measured, f64)]) -> Vec<(&'a Measured, f64)> {
    let left = left(&rows(ranked), |term| GROUPS[term] != CELL).unwrap_or_default();
    ranked.iter().map(|(m, _)| *m).zip(left).collect()
}

/// A mean and its standard error.
struct Spread {
    mean: f64,
    error: f64,
}

/// The ranks of a cell on a task; none where there are no two.
fn spread(ranked: &[(&Measured, f64)], task: &str, cell: &str) -> Option<Spread> {
    let own = ranked
        .iter()
        .filter(|(m, _)| m.text("task") == task && m.text("cell") == cell);
    let ranks: Vec<f64> = own.map(|(_, rank)| *rank).collect();
    let count = ranks.len() as f64;
    if ranks.len() < 2 {
        return None;
    }
    let mean = ranks.iter().sum::<f64>() / count;
    let squares: f64 = ranks.iter().map(|rank| (rank - mean).powi(2)).sum();
    Some(Spread {
        mean,
        error: (squares / (count - 1.0) / count).sqrt(),
    })
}

/// What the terms of the linear model belong to.
const RATE: usize = 0;
const SIZE: usize = 1;
const NOISY: usize = 2;
const BOTH: usize = 3;
const CELL: usize = 4;
const GROUPS: [usize; 6 + CELLS.len() - 1] = {
    let mut groups = [CELL; 6 + CELLS.len() - 1];
    groups[0] = RATE;
    groups[1] = RATE;
    groups[2] = SIZE;
    groups[3] = SIZE;
    groups[4] = NOISY;
    groups[5] = BOTH;
    groups
};

/// The trials as rows of the linear model.
fn rows(ranked: &[(&Measured, f64)]) -> Vec<Row> {
    let scaled = |name: &str, by: fn(f64) -> f64| -> Vec<f64> {
        let all: Vec<f64> = ranked
            .iter()
            .map(|(m, _)| by(m.number(name).unwrap_or(f64::NAN)))
            .collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let squares: f64 = all.iter().map(|x| (x - mean).powi(2)).sum();
        let deviation = (squares / all.len() as f64).sqrt();
        // What is the same in all trials explains nothing.
        let deviation = if deviation > 0.0 { deviation } else { 1.0 };
        all.iter().map(|x| (x - mean) / deviation).collect()
    };
    let (rate, size) = (scaled("lr", f64::ln), scaled("hidden", f64::ln));
    let noise = scaled("noise", |x| x);
    let row = |(n, (m, rank)): (usize, &(&Measured, f64))| {
        let (rate, size, noise) = (rate[n], size[n], noise[n]);
        let mut terms = vec![rate, rate * rate, size, size * size, noise, rate * size];
        let cells = CELLS[1..].iter();
        terms.extend(cells.map(|cell| f64::from(u8::from(m.text("cell") == *cell))));
        Row {
            terms,
            number: *rank,
        }
    };
    ranked.iter().enumerate().map(row).collect()
}

/// Equal ratios of a number.
struct Bins {
    least: f64,
    most: f64,
    count: usize,
}

impl Bins {
    /// So many over what was measured.
    fn of(ranked: &[(&Measured, f64)], name: &str, count: usize) -> Option<Bins> {
        let all: Vec<f64> = ranked.iter().filter_map(|(m, _)| m.number(name)).collect();
        let bins = Bins {
            least: all.iter().copied().min_by(f64::total_cmp)?,
            most: all.iter().copied().max_by(f64::total_cmp)?,
            count,
        };
        (bins.most > bins.least).then_some(bins)
    }

    /// The one that a number is in.
    fn place(&self, x: Option<f64>) -> Option<usize> {
        let share = (x? / self.least).ln() / (self.most / self.least).ln();
        Some(((share * self.count as f64) as usize).min(self.count - 1))
    }

    /// Between what each is.
    fn names(&self) -> Vec<String> {
        let end = |n: usize| {
            let share = n as f64 / self.count as f64;
            let x = self.least * (self.most / self.least).powf(share);
            match x < 1.0 {
                true => format!("{x:.1e}"),
                false => format!("{x:.0}"),
            }
        };
        (0..self.count)
            .map(|n| format!("{} to {}", end(n), end(n + 1)))
            .collect()
    }
}
