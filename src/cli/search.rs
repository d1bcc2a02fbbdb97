//! `search`: evolution of cells.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use wgrnn::evolve::{
    self, PROBLEMS, ProblemText, Search, SearchLimits, SearchState, Told, TrainingSizes,
};
use wgrnn::{Error, Result};

use super::{flags, interrupt, out};

/// Rows of the live table.
const ROWS: usize = 10;
/// How long a search runs where nothing is said.
const MINUTES: u64 = 30;

pub fn command() -> Command {
    Command::new("search")
        .about("Search for cells by evolution: mutants of gru and lstm, kept by what they are worth beside gru")
        .arg(flags::whole("minutes", 1, 100_000).help("How long, the last trainings among it (default 30, without --evaluations)"))
        .arg(flags::whole("evaluations", 1, u32::MAX.into()).help("How many evaluations, those of earlier sittings among them"))
        .arg(flags::whole("population", 2, 100_000).help("How many cells are kept (default 100)"))
        .arg(flags::whole("seed", 0, u32::MAX.into()).help("Seed of data, weights and mutations (default 1)"))
        .arg(
            Arg::new("text")
                .long("text")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("The text that is one of the problems (default: the built-in corpus)"),
        )
        .arg(
            Arg::new("out")
                .long("out")
                .value_name("FOLDER")
                .value_parser(value_parser!(PathBuf))
                .help("The folder (default: search/SEED). One that a stopped search left goes on"),
        )
        .arg(
            Arg::new("no-final")
                .long("no-final")
                .action(ArgAction::SetTrue)
                .help("Do not train the ten best anew at the end"),
        )
        .arg(flags::device_of_measurements())
        .arg(flags::json())
        .after_help(
            "Examples:\n  wgrnn search --minutes 30 --out found\n  wgrnn search --evaluations 200 --text book.txt\n  \
             wgrnn cells show found/cells/cell-42.cell\n\n\
             A folder holds settings.toml, evaluations.jsonl with a line for every evaluation, finals.jsonl, and at the end table.tsv,\n\
             tree.svg, cells/NAME.cell and index.html with the family tree. What comes out hangs on the seed and the number of\n\
             evaluations and on the device, not on the cores, nor on how often the search was stopped.",
        )
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let number = |name: &str| m.get_one::<u64>(name).copied();
    let seed = number("seed").unwrap_or(1);
    let (minutes, evaluations) = (number("minutes"), number("evaluations"));
    let minutes = match (minutes, evaluations) {
        (None, None) => Some(MINUTES),
        (minutes, _) => minutes,
    };
    let sizes = TrainingSizes::default();
    let examples = sizes.examples + sizes.held_out;
    let text = match flags::path(m, "text") {
        None => ProblemText::builtin(examples)?,
        Some(path) => text_of(path, examples)?,
    };
    let search = Search {
        device: flags::open_measuring(m)?,
        seed,
        population: number("population").unwrap_or(100) as usize,
        sizes,
        text,
    };
    let limits = SearchLimits {
        evaluations,
        time: minutes.map(|minutes| Duration::from_secs(60 * minutes)),
        finals: !m.get_flag("no-final"),
    };
    let folder = match flags::path(m, "out") {
        Some(path) => path.clone(),
        None => Path::new("search").join(seed.to_string()),
    };
    evolve::check(&search, &folder)?;
    let stop = interrupt::stop_on_interrupt("what is being written")?;
    let live = LiveTable::new();
    let state = search.run(limits, &folder, &|told| live.tell(&told), &stop)?;
    live.finish();
    let page = folder.join("index.html").display().to_string();
    if m.get_flag("json") {
        return out::json(&summary(&search, &state, &page));
    }
    for line in table(&state) {
        out::line(&line)?;
    }
    if let Some(tally) = &state.finals {
        let names: Vec<&str> = tally.not_worse().iter().map(|cell| &*cell.name).collect();
        out::line(&format!(
            "trained anew on {} seeds, {} of {} cells that are neither gru nor lstm are not worse than gru on any problem: {}",
            evolve::SEEDS,
            names.len(),
            tally.others.len(),
            names.join(", ")
        ))?;
    }
    out::line(&page)
}

/// A user's text.
fn text_of(path: &Path, examples: u64) -> Result<ProblemText> {
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, &e))?;
    let name = path.display().to_string();
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Error::data(format!("{name}: expected UTF-8, found other bytes at {at}"))
    })?;
    ProblemText::of(&name, &text, examples)
}

/// What came out, for programs.
fn summary(search: &Search, state: &SearchState, page: &str) -> serde_json::Value {
    let members = state.population.members.iter().map(|member| {
        json!({
            "name": member.name, "hash": member.hash, "tries": member.tries,
            "score": member.score(&state.population.gru), "best": member.best,
        })
    });
    let finals = state.finals.as_ref().map(|tally| {
        let of = |cell: &evolve::Finalist| json!({"name": cell.name, "hash": cell.hash, "accuracy": cell.accuracy});
        let others: Vec<_> = tally.others.iter().map(of).collect();
        let not_worse: Vec<&str> = tally.not_worse().iter().map(|cell| &*cell.name).collect();
        json!({"gru": of(&tally.gru), "others": others, "not_worse": not_worse})
    });
    json!({
        "seed": search.seed, "device": search.device.identity(), "evaluations": state.evaluated.len(), "problems": PROBLEMS,
        "gru": state.population.gru, "members": members.collect::<Vec<_>>(), "finals": finals, "page": page,
    })
}

/// The best cells so far, a line each.
fn table(state: &SearchState) -> Vec<String> {
    let (gru, members) = (&state.population.gru, &state.population.members);
    let weeded = state.evaluated.iter().filter(|e| e.accuracy.is_none());
    let mut lines = vec![
        format!(
            "{} evaluations, {} weeded out, {} cells kept",
            state.evaluated.len(),
            weeded.count(),
            members.len()
        ),
        format!(
            "{:<12} {:>5} {:>7} {:>11} {:>7} {:>7}",
            "cell", "tries", "score", PROBLEMS[0], PROBLEMS[1], PROBLEMS[2]
        ),
    ];
    for member in members.iter().take(ROWS) {
        let [a, b, c] = member.best;
        lines.push(format!(
            "{:<12} {:>5} {:>7.4} {a:>11.4} {b:>7.4} {c:>7.4}",
            member.name,
            member.tries,
            member.score(gru)
        ));
    }
    lines
}

/// The table that a terminal sees change; elsewhere a line for every evaluation.
struct LiveTable {
    bar: Option<ProgressBar>,
    start: Instant,
}

impl LiveTable {
    fn new() -> LiveTable {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        LiveTable {
            bar,
            start: Instant::now(),
        }
    }

    fn tell(&self, told: &Told) {
        let seconds = self.start.elapsed().as_secs_f64();
        match (told, &self.bar) {
            (Told::Evaluated(state), Some(bar)) => {
                bar.set_message(format!("{seconds:.0} s, {}", table(state).join("\n")));
                bar.tick();
            }
            (Told::Evaluated(state), None) => {
                if let Some(last) = state.evaluated.last() {
                    let found = match last.accuracy {
                        None => "weeded out".to_owned(),
                        Some(all) => format!("{:.4}", evolve::worst(&all, &state.population.gru)),
                    };
                    let best = state.population.members.first();
                    let best = best.map_or(String::new(), |m| {
                        format!(", best {} {:.4}", m.name, m.score(&state.population.gru))
                    });
                    let count = state.evaluated.len();
                    out::note(&format!(
                        "{seconds:.0} s: {count} evaluations, {}: {found}{best}",
                        last.name
                    ));
                }
            }
            (Told::Finals(done, of), Some(bar)) => {
                bar.set_message(format!("{seconds:.0} s: {done} of the last {of} trainings"));
                bar.tick();
            }
            (Told::Finals(done, of), None) => {
                out::note(&format!(
                    "{seconds:.0} s: {done} of the last {of} trainings"
                ));
            }
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
