//! The family tree of some cells: who is a mutant of whom, a column a generation.

use std::collections::{HashMap, HashSet};

use svg::node::element::{Circle, Line, Text, Title};
use svg::{Document, Node};

use super::population::worst;
use super::run::SearchState;
use crate::lab::shown;

/// Sizes in pixels: a generation, a cell, the room around all and behind the last name.
const ACROSS: usize = 130;
const DOWN: usize = 22;
const ROOM: usize = 20;
const NAME: usize = 170;

/// The tree of the cells called `names` and of all that they come from.
pub fn svg(state: &SearchState, names: &[&str]) -> String {
    let mut parents: HashMap<&str, Option<&str>> = HashMap::new();
    let mut scores: HashMap<&str, f64> = HashMap::new();
    for e in &state.evaluated {
        parents.entry(&e.name).or_insert(e.parent.as_deref());
        let score = e
            .accuracy
            .map_or(0.0, |all| worst(&all, &state.population.gru));
        let best = scores.entry(&e.name).or_insert(score);
        *best = best.max(score);
    }
    let mut wanted: HashSet<&str> = HashSet::new();
    for name in names {
        let mut next = Some(*name);
        while let Some(name) = next {
            wanted.insert(name);
            next = parents.get(name).copied().flatten();
        }
    }
    // In the order in which they were first evaluated, so that children come after their parents.
    let mut order: Vec<&str> = Vec::new();
    for e in &state.evaluated {
        if wanted.contains(&*e.name) && !order.contains(&&*e.name) {
            order.push(&e.name);
        }
    }
    let mut placed: Vec<(&str, usize)> = Vec::new();
    for root in order.iter().filter(|name| parents[**name].is_none()) {
        place(root, 0, &order, &parents, &mut placed);
    }
    let deepest = placed.iter().map(|p| p.1).max().unwrap_or(0);
    let (width, height) = (
        2 * ROOM + deepest * ACROSS + NAME,
        2 * ROOM + placed.len() * DOWN,
    );
    let mut document = Document::new()
        .set("viewBox", (0, 0, width, height))
        .set("width", width)
        .set("height", height)
        .set("font-family", "sans-serif")
        .set("font-size", 12);
    let at = |row: usize, depth: usize| (ROOM + depth * ACROSS, ROOM + row * DOWN + DOWN / 2);
    for (row, (name, depth)) in placed.iter().enumerate() {
        let (x, y) = at(row, *depth);
        let above = placed[..row]
            .iter()
            .rposition(|p| Some(p.0) == parents[name]);
        if let Some(above) = above {
            let (left, top) = at(above, depth - 1);
            for (from, to) in [((left, top), (left, y)), ((left, y), (x, y))] {
                document.append(line(from, to));
            }
        }
    }
    for (row, (name, depth)) in placed.iter().enumerate() {
        let (x, y) = at(row, *depth);
        let best = names.contains(name);
        let score = scores.get(name).copied().unwrap_or(0.0);
        let dot = Circle::new()
            .set("cx", x)
            .set("cy", y)
            .set("r", 4)
            .set("fill", if best { "#0072b2" } else { "#999" })
            .add(Title::new(format!("{name}: {score}")));
        document.append(dot);
        let weight = if best { "bold" } else { "normal" };
        let text = Text::new(format!("{name} {}", shown(score)))
            .set("x", x + 8)
            .set("y", y + 4)
            .set("font-weight", weight);
        document.append(text);
    }
    document.to_string()
}

fn line(from: (usize, usize), to: (usize, usize)) -> Line {
    Line::new()
        .set("x1", from.0)
        .set("y1", from.1)
        .set("x2", to.0)
        .set("y2", to.1)
        .set("stroke", "#999")
}

/// A cell, and below it, one column further, its mutants.
fn place<'a>(
    name: &'a str,
    depth: usize,
    order: &[&'a str],
    parents: &HashMap<&str, Option<&str>>,
    placed: &mut Vec<(&'a str, usize)>,
) {
    placed.push((name, depth));
    for child in order.iter().filter(|child| parents[**child] == Some(name)) {
        place(child, depth + 1, order, parents, placed);
    }
}
