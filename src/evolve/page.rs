//! What a search leaves: a page with its result and family tree, a table, and every kept cell as a `.cell` file.

use std::fmt::Write;
use std::fs;

use super::finals::{Finalist, SEEDS, Tally, spread};
use super::population::{Member, worst};
use super::problems::PROBLEMS;
use super::run::{Search, SearchState};
use super::tree;
use crate::error::{Error, Result};
use crate::lab::{Folder, STYLE, escaped, shown};

/// Cells that the page shows with their equations and ancestors.
const SHOWN: usize = 10;

/// Writes all of it.
///
/// # Errors
/// Io; internal, where the tree cannot be drawn.
pub(super) fn write(folder: &Folder, search: &Search, state: &SearchState) -> Result<()> {
    let cells = folder.file("cells");
    fs::create_dir_all(&cells).map_err(|e| Error::io("create", &cells, &e))?;
    for member in &state.population.members {
        let name = format!("cells/{}.cell", member.name);
        folder.write(&name, &cell_file(member, search, state))?;
    }
    folder.write("table.tsv", &table(state))?;
    let best: Vec<&str> = state.population.members.iter().map(|m| &*m.name).collect();
    let tree = tree::svg(state, &best[..best.len().min(SHOWN)]);
    folder.write("tree.svg", &tree)?;
    folder.write("index.html", &page(search, state, &tree))
}

/// A kept cell as a file: its score in the comment.
pub fn cell_file(member: &Member, search: &Search, state: &SearchState) -> String {
    let parent = state
        .evaluated
        .iter()
        .find(|e| e.hash == member.hash)
        .and_then(|e| e.parent.as_deref());
    let parent = parent.map_or(String::new(), |parent| format!(", a mutant of {parent}"));
    let shares = PROBLEMS.iter().zip(&member.best);
    let shares: Vec<String> = shares
        .map(|(problem, share)| format!("{problem} {}", shown(*share)))
        .collect();
    // A built-in cell's own comment would stand below this one's.
    let lines = member.text.lines().filter(|line| !line.starts_with('#'));
    let mut text = format!(
        "# {}.cell - score {} of gru's 1, found by search with seed {} on {}{parent}; best shares of right next characters in {} tries: {}\n",
        member.name,
        shown(member.score(&state.population.gru)),
        search.seed,
        search.device.identity(),
        member.tries,
        shares.join(", "),
    );
    if let Some(found) = state
        .finals
        .iter()
        .flat_map(|t| &t.others)
        .find(|f| f.hash == member.hash)
    {
        let means = PROBLEMS.iter().zip(&found.accuracy);
        let means: Vec<String> = means
            .map(|(problem, all)| {
                let (mean, spread) = spread(all);
                format!("{problem} {} +- {}", shown(mean), shown(spread))
            })
            .collect();
        let _ = writeln!(
            text,
            "# trained anew on {SEEDS} seeds: {}",
            means.join(", ")
        );
    }
    for line in lines {
        text += line;
        text.push('\n');
    }
    text
}

/// A line a kept cell, its columns between tabs.
fn table(state: &SearchState) -> String {
    let mut text = format!("cell\thash\ttries\tscore\t{}\n", PROBLEMS.join("\t"));
    for member in &state.population.members {
        let shares = member.best.iter().map(|x| shown(*x)).collect::<Vec<_>>();
        let _ = writeln!(
            text,
            "{}\t{}\t{}\t{}\t{}",
            member.name,
            member.hash,
            member.tries,
            shown(member.score(&state.population.gru)),
            shares.join("\t")
        );
    }
    text
}

/// The whole page; it needs nothing from outside.
fn page(search: &Search, state: &SearchState, tree: &str) -> String {
    let weeded = state.evaluated.iter().filter(|e| e.accuracy.is_none());
    let mut hashes: Vec<&str> = state.evaluated.iter().map(|e| &*e.hash).collect();
    hashes.sort_unstable();
    hashes.dedup();
    let sizes = search.sizes;
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>search for cells</title>\n<style>{STYLE}\
         pre{{background:#eee;color:#000;padding:.5em;overflow-x:auto}}</style>\n</head>\n<body>\n<h1>search for cells</h1>\n\
         <p>A population that begins with gru and lstm; each step tries one of them on other drawn settings or a mutant, and cells are \
         kept by the worst of their shares of right next characters relative to gru's (Jozefowicz, Zaremba, Sutskever 2015). Every cell \
         has as many learned numbers as a gru of {} units, and {} updates of {} examples.</p>\n\
         <p>{} evaluations of {} different cells, of which {} were weeded out by the cheap problem; a population of {}, seed {}, on {}, version {}. \
         The text is {}.</p>\n",
        sizes.hidden,
        sizes.updates,
        sizes.batch,
        state.evaluated.len(),
        hashes.len(),
        weeded.count(),
        search.population,
        search.seed,
        escaped(&search.device.identity()),
        env!("CARGO_PKG_VERSION"),
        escaped(&search.text.name),
    );
    if let Some(tally) = &state.finals {
        finals(&mut html, tally);
    }
    html += "<h2>Family tree of the best</h2>\n";
    let drawing = tree.find("<svg").map_or(tree, |at| &tree[at..]);
    html += drawing;
    html += "\n<h2>The best cells</h2>\n";
    for member in state.population.members.iter().take(SHOWN) {
        let text = cell_file(member, search, state);
        let _ = writeln!(html, "<pre>{}</pre>", escaped(&text));
    }
    html += "<h2>All that are kept</h2>\n<table>\n";
    for (n, line) in table(state).lines().enumerate() {
        row(&mut html, n == 0, line.split('\t'));
    }
    html + "</table>\n</body>\n</html>\n"
}

/// A row of a table.
fn row(html: &mut String, head: bool, cells: impl Iterator<Item = impl AsRef<str>>) {
    let tag = if head { "th" } else { "td" };
    let cells = cells.map(|cell| format!("<{tag}>{}</{tag}>", escaped(cell.as_ref())));
    let _ = writeln!(html, "<tr>{}</tr>", cells.collect::<String>());
}

/// What the last trainings came to.
fn finals(html: &mut String, tally: &Tally) {
    let _ = write!(
        html,
        "<h2>Trained anew</h2>\n<p>The best cells and gru on {SEEDS} fresh seeds, each with a freshly drawn learning rate that all cells \
         share: mean and standard deviation of the shares of right next characters, and in brackets how far the cell is ahead of gru on \
         the same seeds, in hundredths of a share.</p>\n<table>\n"
    );
    let names = ["cell", "score before", "worst ratio"];
    let last = ["not worse than gru"];
    row(html, true, names.iter().chain(&PROBLEMS).chain(&last));
    let not_worse: Vec<&str> = tally.not_worse().iter().map(|cell| &*cell.hash).collect();
    let means = |cell: &Finalist| {
        let mut means = [0.0; PROBLEMS.len()];
        for (mean, all) in means.iter_mut().zip(&cell.accuracy) {
            *mean = spread(all).0;
        }
        means
    };
    for cell in std::iter::once(&tally.gru).chain(&tally.others) {
        let ahead = tally.ahead(cell);
        let mut cells = vec![
            cell.name.clone(),
            shown(cell.score),
            shown(worst(&means(cell), &means(&tally.gru))),
        ];
        for (problem, (mean, deviation)) in ahead.into_iter().enumerate() {
            let (own, spread) = spread(&cell.accuracy[problem]);
            cells.push(format!(
                "{own:.4} ± {spread:.4} ({:+.2} ± {:.2})",
                100.0 * mean,
                100.0 * deviation
            ));
        }
        cells.push(match not_worse.contains(&&*cell.hash) {
            true => "yes".into(),
            false => "-".into(),
        });
        row(html, false, cells.iter());
    }
    let _ = writeln!(
        html,
        "</table>\n<p>{} of {} cells that are neither gru nor lstm by hash are not worse than gru on any problem: their mean over the \
         seeds is not below gru's.</p>",
        not_worse.len(),
        tally.others.len(),
    );
}
