//! `stages`: what a network writes at first, and what after more training.

use std::sync::Arc;

use pollster::block_on;
use serde_json::json;

use super::{
    Experiment, Facts, Finding, Measured, Plot, Point, Scale, Series, Size, crossed, facts, mean,
    run, seeds, text, text_model, whole,
};
use crate::cell::library;
use crate::data::builtin;
use crate::error::{Error, Result};
use crate::exec::Device;
use crate::generate;
use crate::train::{Choice, Generator, Settings};

/// The experiment.
pub struct Stages;

const TEXT: &str = "text";
const BRACKETS: &str = "brackets";
const XML: &str = "xml";
const WIKI: &str = "wiki";
const KINDS: [&str; 4] = [TEXT, BRACKETS, XML, WIKI];

/// Pairs of a line that close in order; of a wiki's page lines below its heading.
const PAIRS: usize = 4;
/// Texts that are drawn side by side, and characters of each.
const ROWS: usize = 16;
const LENGTH: usize = 400;
/// Characters of the first of them that the table shows.
const SHOWN: usize = 90;

impl Experiment for Stages {
    fn name(&self) -> &'static str {
        "stages"
    }

    fn about(&self) -> &'static str {
        "What does a network write at first, and what after more training?"
    }

    fn method(&self) -> &'static str {
        "An LSTM over characters is trained with Adam at 0.01 on the built-in corpus, on lines of brackets of three kinds, on lines of XML \
         whose tags have names of random letters and on pages of a wiki (`wgrnn generate`), always from the same start and for more and more updates. Then it \
         writes 16 texts of 400 characters, each drawn as likely as it says. Of the corpus the share of written words counts that occur in \
         what was trained on; of brackets, tags, and a wiki's headings, links and bold words the share that closes the one that is innermost, where what is \
         left open at a line's end counts as wrong."
    }

    fn points(&self, size: Size, seed: u64) -> Vec<Facts> {
        let (characters, hidden, updates): (u64, u64, &[u64]) = match size {
            Size::Quick => (200_000, 64, &[1600, 800, 400, 200, 100, 30, 1]),
            Size::Full => (
                2_000_000,
                256,
                &[30_000, 10_000, 3000, 1000, 300, 100, 30, 1],
            ),
        };
        let mut base = text_model::point(characters, 0);
        base.insert("hidden".into(), json!(hidden));
        base.insert("lr".into(), json!(0.01));
        crossed(
            base.into(),
            &[
                ("updates", json!(updates)),
                ("kind", json!(KINDS)),
                ("seed", seeds(seed, 1)),
            ],
        )
    }

    fn measure(&self, point: &Point, device: &Device) -> Result<Facts> {
        let kind = text(point, "kind")?;
        let settings = Settings {
            hidden: whole(point, "hidden")? as usize,
            lr: super::number(point, "lr")?,
            ..Settings::default()
        };
        let characters = whole(point, "characters")? + whole(point, "held_out")?;
        let made = match kind {
            TEXT => builtin::generate(1, characters as usize).text,
            task => lines(task, characters as usize)?,
        };
        let cell = library::builtin("lstm")?;
        let trained = text_model::trained(device, point, &made, cell, settings)?;
        let texts = written(device, &trained)?;
        let shares = match kind {
            TEXT => known_words(&texts, &made[..trained.characters]),
            kind => closed(&texts, kind),
        };
        let first = texts.first().map_or("", |text| text);
        let first: String = first.chars().take(SHOWN).collect();
        Ok(facts(json!({
            "nats": trained.course.last().1,
            "right": shares.right as f64 / shares.all.max(1) as f64,
            "counted": shares.all,
            "sample": first.replace('\n', " / "),
        })))
    }

    fn columns(&self) -> &'static [&'static str] {
        &[
            "kind", "updates", "seed", "nats", "counted", "right", "sample",
        ]
    }

    fn plot(&self, measured: &[Measured]) -> Plot {
        let series = KINDS.map(|kind| Series {
            name: match kind {
                TEXT => "words that the text has".into(),
                kind => format!("{kind}: closes rightly"),
            },
            points: course(measured, kind),
        });
        Plot {
            title: "What a network writes, by updates".into(),
            across: "updates".into(),
            up: "share that is right".into(),
            across_scale: Scale::Log,
            up_scale: Scale::Linear,
            series: series.into(),
        }
    }

    fn findings(&self, measured: &[Measured]) -> Vec<Finding> {
        let said = |kind: &str| {
            let all = course(measured, kind);
            let all = all
                .iter()
                .map(|(updates, share)| format!("{updates}: {}", run::shown(*share)));
            format!("by updates: {}", all.collect::<Vec<_>>().join(", "))
        };
        let end = |kind: &str| course(measured, kind).last().map(|last| last.1);
        let samples = || {
            let own = |m: &&Measured| m.text("kind") == TEXT;
            let mut all: Vec<&Measured> = measured.iter().filter(own).collect();
            all.sort_by(|a, b| {
                a.number("updates")
                    .unwrap_or(0.0)
                    .total_cmp(&b.number("updates").unwrap_or(0.0))
            });
            let all = all.iter().map(|m| {
                let updates = m.number("updates").map_or("-".into(), run::shown);
                format!("{updates}: \u{201c}{}\u{201d}", m.text("sample"))
            });
            all.collect::<Vec<_>>().join("; ")
        };
        vec![
            Finding {
                claim: "At first it writes letters at random, then words, then sentences",
                by: "Karpathy 2015, \u{201c}The unreasonable effectiveness of recurrent neural networks\u{201d}",
                found: format!(
                    "share of known words {}. Samples: {}",
                    said(TEXT),
                    samples()
                ),
                holds: course(measured, TEXT)
                    .first()
                    .zip(end(TEXT))
                    .map(|((_, first), last)| *first < 0.2 && last > 0.8),
            },
            Finding {
                claim: "Brackets come to be closed in order: nine of ten at least",
                by: "Karpathy, Johnson, Fei-Fei 2015",
                found: format!("share that closes rightly {}", said(BRACKETS)),
                holds: end(BRACKETS).map(|share| share >= 0.9),
            },
            Finding {
                claim: "Tags with names that nobody has seen come to be closed by the same name: nine of ten at least",
                by: "Karpathy 2015, of Wikipedia's XML; Jozefowicz, Zaremba, Sutskever 2015",
                found: format!(
                    "share that closes rightly {}; to say up to ten random letters again takes more updates than these",
                    said(XML)
                ),
                holds: end(XML).map(|share| share >= 0.9),
            },
            Finding {
                claim: "A wiki's headings, links and bold words come to be closed as they opened: nine of ten at least",
                by: "Karpathy 2015, of Wikipedia's markup",
                found: format!(
                    "share that closes rightly {}; what is within a mark is longer than between two brackets",
                    said(WIKI)
                ),
                holds: end(WIKI).map(|share| share >= 0.9),
            },
        ]
    }
}

/// Updates and the share that is right, rising.
fn course(measured: &[Measured], kind: &str) -> Vec<(f64, f64)> {
    let all = super::lengths::values(measured, "updates");
    let share = |updates: f64| {
        let of = |m: &Measured| m.text("kind") == kind && m.number("updates") == Some(updates);
        Some((updates, mean(measured, "right", of)?))
    };
    all.into_iter().filter_map(share).collect()
}

/// So many characters of the lines of a task.
fn lines(task: &str, characters: usize) -> Result<String> {
    let task = generate::task(task)?;
    let mut text = String::new();
    for line in task.examples(u64::MAX, 1, Some(PAIRS))? {
        text += &line;
        if text.len() >= characters {
            text.truncate(characters);
            break;
        }
    }
    Ok(text)
}

/// What a trained network writes behind the end of a line.
fn written(device: &Device, trained: &text_model::Trained) -> Result<Vec<String>> {
    let vocabulary = &trained.vocabulary;
    let plan = Arc::new(Generator::plan(&trained.model, ROWS)?);
    let ids = block_on(async {
        let parameters = &trained.course.parameters;
        let mut generator = Generator::new(device, plan, parameters).await?;
        let mut last = vec![vocabulary.before_text(); ROWS];
        let mut ids: Vec<Vec<u32>> = vec![Vec::new(); ROWS];
        for _ in 0..LENGTH {
            let scores = generator.feed(&last).await?;
            last = generator.draw(&scores, &Choice::default())?;
            for (ids, id) in ids.iter_mut().zip(&last) {
                ids.push(*id);
            }
        }
        Ok::<_, Error>(ids)
    })?;
    let texts = ids.iter().map(|ids| vocabulary.decode(ids));
    Ok(texts
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect())
}

/// How many of how many are right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// Those that are.
    pub right: usize,
    /// All.
    pub all: usize,
}

/// The words of `texts` that `known` has too. The last word of a text may be cut off and does not count.
fn known_words(texts: &[String], known: &str) -> Shares {
    let words = |text: &str| -> Vec<String> {
        let all = text.split(|c: char| !c.is_alphabetic());
        all.filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect()
    };
    let known: std::collections::HashSet<String> = words(known).into_iter().collect();
    let mut shares = Shares::default();
    for text in texts {
        let mut own = words(text);
        own.pop();
        shares.all += own.len();
        shares.right += own.iter().filter(|word| known.contains(*word)).count();
    }
    shares
}

/// What closes the innermost that is open, in the lines of `texts` that end: brackets, tags of XML, or marks of a wiki, as `kind`
/// says. What is open at a line's end, or where a line is no longer one of these, counts as not closed.
pub fn closed(texts: &[String], kind: &str) -> Shares {
    let marks = match kind {
        XML => marks_of_tags,
        WIKI => marks_of_wiki,
        _ => marks_of_brackets,
    };
    let mut shares = Shares::default();
    for text in texts {
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            let mut open: Vec<&str> = Vec::new();
            for mark in marks(line) {
                match mark {
                    Mark::Opens(name) => open.push(name),
                    Mark::Closes(name) => {
                        shares.all += 1;
                        let innermost = open.pop();
                        shares.right += usize::from(innermost == Some(name));
                    }
                }
            }
            shares.all += open.len();
        }
    }
    shares
}

/// What opens or closes something of a name.
enum Mark<'a> {
    Opens(&'a str),
    Closes(&'a str),
}

/// The marks of a line of brackets.
fn marks_of_brackets(line: &str) -> Vec<Mark<'_>> {
    let mark = |c: char| match c {
        '(' => Some(Mark::Opens("(")),
        '[' => Some(Mark::Opens("[")),
        '{' => Some(Mark::Opens("{")),
        ')' => Some(Mark::Closes("(")),
        ']' => Some(Mark::Closes("[")),
        '}' => Some(Mark::Closes("{")),
        _ => None,
    };
    line.chars().filter_map(mark).collect()
}

/// The marks of a line of XML, up to where it is none any more.
fn marks_of_tags(mut line: &str) -> Vec<Mark<'_>> {
    let mut marks = Vec::new();
    while let Some(inside) = line.strip_prefix('<') {
        let Some((name, rest)) = inside.split_once('>') else {
            break;
        };
        if name.contains('<') {
            break;
        }
        marks.push(match name.strip_prefix('/') {
            Some(name) => Mark::Closes(name),
            None => Mark::Opens(name),
        });
        line = rest;
    }
    marks
}

/// The marks of a line of a wiki: runs of one of its signs. A run of no meaning closes what nothing has opened.
fn marks_of_wiki(line: &str) -> Vec<Mark<'_>> {
    let (mut marks, mut at, mut bold) = (Vec::new(), 0, false);
    for run in line.as_bytes().chunk_by(|a, b| a == b) {
        // A piece of a character that is not ASCII is no sign.
        let text = line.get(at..at + run.len()).unwrap_or("");
        marks.extend(match (text, run[0]) {
            ("[[", _) => Some(Mark::Opens("]]")),
            ("'''", _) => {
                bold = !bold;
                Some(if bold {
                    Mark::Opens(text)
                } else {
                    Mark::Closes(text)
                })
            }
            (_, b'=') if at == 0 => Some(Mark::Opens(text)),
            (_, b'=' | b'[' | b']' | b'\'') => Some(Mark::Closes(text)),
            _ => None,
        });
        at += run.len();
    }
    marks
}
