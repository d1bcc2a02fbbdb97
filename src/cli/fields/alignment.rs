//! What written texts looked at: as lines of JSON, as drawings, and in the place of words that are not known.

use std::fs;
use std::path::PathBuf;

use clap::ArgMatches;
use serde_json::json;
use svg::node::element::{Group, Rectangle, Text};
use wgrnn::data::Vocabulary;
use wgrnn::data::fields::Examples;
use wgrnn::data::vocab::VocabKind;
use wgrnn::model::text::ModelFieldKind;
use wgrnn::train::{Alignment, ExampleSet, ModelAttention, TextWriter, WrittenText, atomic};
use wgrnn::{Error, Result};

use super::LoadedFields;
use super::drawing::page;
use crate::cli::flags;

/// What is wanted of it.
pub struct Wish {
    /// Whether words that are not known are replaced.
    pub replaces: bool,
    lines: Option<PathBuf>,
    drawings: Option<PathBuf>,
    /// The first flag that asks for any of it.
    flag: Option<&'static str>,
}

impl Wish {
    /// What the flags ask for.
    pub fn new(m: &ArgMatches) -> Wish {
        Wish {
            replaces: m.get_flag("replace-unk"),
            lines: flags::path(m, "attention").cloned(),
            drawings: flags::path(m, "svg").cloned(),
            flag: flags::first_given(m, &["attention", "svg", "replace-unk"]),
        }
    }

    /// How texts are looked at, where that is asked for.
    ///
    /// # Errors
    /// Usage, for a model that writes without attention, and for words to be replaced where there are none, or nothing to
    /// replace them by.
    pub fn looking<'a>(
        &self,
        run: &'a LoadedFields,
        writer: &TextWriter,
        read: &'a Examples,
        set: &'a ExampleSet,
    ) -> Result<Option<Looking<'a>>> {
        let Some(flag) = self.flag else {
            return Ok(None);
        };
        let Some((target, vocabulary)) = run.written() else {
            return Err(Error::internal("texts without a vocabulary"));
        };
        let attentions = writer.attentions().to_vec();
        let name = &run.model.name;
        if attentions.is_empty() {
            return Err(Error::usage(format!(
                "--{flag}: expected a model whose text looks at the steps of another field (`dot`, `additive`), got {name}"
            )));
        }
        let fields = run.model.fields();
        let of_tokens = |attention: &ModelAttention| {
            matches!(fields[attention.field].kind, ModelFieldKind::Tokens { .. })
        };
        let words = attentions.iter().position(of_tokens);
        if self.replaces {
            let expected = if words.is_none() {
                Some("a model that looks at a field of tokens".to_string())
            } else if !matches!(vocabulary.kind(), VocabKind::Word | VocabKind::Char) {
                Some(format!("words or characters as tokens of {target}"))
            } else if vocabulary.unknown_id().is_none() {
                Some(format!(
                    "a vocabulary of {target} with a symbol for what is unknown"
                ))
            } else {
                None
            };
            if let Some(expected) = expected {
                let found = vocabulary.unit();
                return Err(Error::usage(format!(
                    "--replace-unk: expected {expected}, got model {name} with {} {found}s of {target}",
                    vocabulary.len()
                )));
            }
        }
        Ok(Some(Looking {
            run,
            read,
            set,
            vocabulary,
            attentions,
            words,
        }))
    }
}

/// How texts are looked at.
pub struct Looking<'a> {
    run: &'a LoadedFields,
    read: &'a Examples,
    set: &'a ExampleSet,
    /// That of what is written.
    vocabulary: &'a Vocabulary,
    attentions: Vec<ModelAttention>,
    /// The attention that says by which words others are replaced.
    words: Option<usize>,
}

impl Looking<'_> {
    /// The text, with words of the source in the place of unknown ones.
    pub fn replaced(&self, example: usize, text: &WrittenText) -> String {
        let Some(n) = self.words else {
            return String::new();
        };
        let source = self.source(n, example);
        let mut tokens = self.written(text);
        tokens.truncate(text.found.tokens.len());
        let weights = &text.alignments[n].weights;
        for ((token, id), weights) in tokens.iter_mut().zip(&text.found.tokens).zip(weights) {
            let most = weights.iter().enumerate().rev();
            let most = most.max_by(|a, b| a.1.total_cmp(b.1));
            if Some(*id) == self.vocabulary.unknown_id()
                && let Some((step, _)) = most
            {
                token.clone_from(&source[step]);
            }
        }
        let between = match self.vocabulary.kind() {
            VocabKind::Word => " ",
            _ => "",
        };
        tokens.join(between)
    }

    /// Writes what was asked for.
    ///
    /// # Errors
    /// Files that cannot be written.
    pub fn save(&self, wish: &Wish, texts: &[Vec<WrittenText>]) -> Result<()> {
        if let Some(file) = &wish.lines {
            let mut lines = String::new();
            for (example, texts) in texts.iter().enumerate() {
                for (rank, text) in texts.iter().enumerate() {
                    self.lines(&mut lines, example, rank, text);
                }
            }
            atomic::write(file, lines.as_bytes())?;
        }
        let Some(path) = &wish.drawings else {
            return Ok(());
        };
        let drawn = texts.iter().enumerate().map(|(example, texts)| {
            let best = texts.first();
            let all = best.iter().flat_map(|text| self.drawings(example, text));
            all.collect::<Vec<Drawing>>()
        });
        if path.extension().is_some_and(|ending| ending == "svg") {
            let all: Vec<Drawing> = drawn.flatten().collect();
            return atomic::write(path, sheet(all).as_bytes());
        }
        fs::create_dir_all(path).map_err(|e| Error::io("create", path, &e))?;
        for (n, some) in drawn.enumerate() {
            let file = path.join(format!("{}.svg", n + 1));
            atomic::write(&file, sheet(some).as_bytes())?;
        }
        Ok(())
    }

    fn lines(&self, lines: &mut String, example: usize, rank: usize, text: &WrittenText) {
        let target = self.written(text);
        for (n, (attention, alignment)) in self.each(text).enumerate() {
            let line = json!({
                "example": example + 1,
                "rank": rank + 1,
                "attention": attention.name,
                "source": self.source(n, example),
                "target": target,
                "weights": rounded(alignment),
            });
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
    }

    fn drawings(&self, example: usize, text: &WrittenText) -> Vec<Drawing> {
        let target = self.written(text);
        let each = self.each(text).enumerate();
        let drawn = each.map(|(n, (_, alignment))| {
            Drawing::new(&self.source(n, example), &target, &alignment.weights)
        });
        drawn.collect()
    }

    fn each<'b>(
        &'b self,
        text: &'b WrittenText,
    ) -> impl Iterator<Item = (&'b ModelAttention, &'b Alignment)> {
        self.attentions.iter().zip(&text.alignments)
    }

    /// The tokens that were written, and the end mark where it was.
    fn written(&self, text: &WrittenText) -> Vec<String> {
        let tokens = text.found.tokens.iter();
        let mut all: Vec<String> = tokens.map(|id| shown(self.vocabulary, *id)).collect();
        all.extend(text.found.ended.then(|| "</s>".to_string()));
        all
    }

    /// The steps that an attention looks at: words and characters as the file has them, other tokens as the vocabulary has
    /// them, steps of numbers by their own number from 1 on.
    fn source(&self, attention: usize, example: usize) -> Vec<String> {
        let field = &self.run.model.fields()[self.attentions[attention].field];
        let name = &field.name;
        let number = self.set.number(example as u32) as usize;
        let ids = self.set.tokens(name, example as u32).unwrap_or_default();
        let Some(vocabulary) = self.run.codes.vocabulary(name) else {
            let steps = self.read.steps(name).unwrap_or_default();
            return (1..=steps.get(number).copied().unwrap_or(0))
                .map(|step| step.to_string())
                .collect();
        };
        let items = self.read.items(name, number).unwrap_or_default();
        let raw: Vec<String> = match vocabulary.kind() {
            VocabKind::Word => {
                let words = items.iter().flat_map(|item| item.split_whitespace());
                words.map(str::to_string).collect()
            }
            VocabKind::Char => items.concat().chars().map(String::from).collect(),
            _ => Vec::new(),
        };
        if raw.len() == ids.len() {
            return raw;
        }
        ids.iter().map(|id| shown(vocabulary, *id)).collect()
    }
}

/// Weights to six places.
fn rounded(alignment: &Alignment) -> Vec<Vec<f64>> {
    let round = |weight: &f32| (1e6 * f64::from(*weight)).round() / 1e6;
    let rows = alignment.weights.iter();
    rows.map(|row| row.iter().map(round).collect()).collect()
}

/// A token as text.
fn shown(vocabulary: &Vocabulary, id: u32) -> String {
    String::from_utf8_lossy(&vocabulary.decode(&[id])).into_owned()
}

/// Units of a weight's square, of a letter's width, and of the space between drawings.
const SQUARE: f64 = 16.0;
const LETTER: f64 = 7.5;
const MARGIN: f64 = 12.0;

/// A matrix of weights with what was read above it and what was written beside it.
struct Drawing {
    group: Group,
    width: f64,
    height: f64,
}

impl Drawing {
    fn new(source: &[String], target: &[String], weights: &[Vec<f32>]) -> Drawing {
        let longest = |words: &[String]| {
            let letters = words.iter().map(|word| word.chars().count()).max();
            LETTER * letters.unwrap_or(0) as f64 + 6.0
        };
        let (left, top) = (longest(target), longest(source));
        let middle = |n: usize| (n as f64 + 0.5) * SQUARE + 4.0;
        let mut group = Group::new();
        for (n, word) in source.iter().enumerate() {
            let place = format!("translate({} {}) rotate(-90)", left + middle(n), top - 4.0);
            group = group.add(Text::new(word.as_str()).set("transform", place));
        }
        for (n, (word, row)) in target.iter().zip(weights).enumerate() {
            let label = Text::new(word.as_str()).set("text-anchor", "end");
            group = group.add(label.set("x", left - 4.0).set("y", top + middle(n)));
            for (step, weight) in row.iter().enumerate() {
                // The larger a weight, the lighter, as Bahdanau et al. 2015 draw them.
                let shade = (255.0 * weight.clamp(0.0, 1.0)).round();
                let square = Rectangle::new()
                    .set("x", left + step as f64 * SQUARE)
                    .set("y", top + n as f64 * SQUARE)
                    .set("width", SQUARE)
                    .set("height", SQUARE)
                    .set("stroke", "gray")
                    .set("stroke-width", 0.5)
                    .set("fill", format!("rgb({shade},{shade},{shade})"));
                group = group.add(square);
            }
        }
        Drawing {
            group,
            width: left + source.len() as f64 * SQUARE,
            height: top + weights.len() as f64 * SQUARE,
        }
    }
}

/// Drawings one below the other.
fn sheet(drawings: Vec<Drawing>) -> String {
    let width = drawings.iter().map(|d| d.width).fold(0.0, f64::max) + 2.0 * MARGIN;
    let height: f64 = MARGIN + drawings.iter().map(|d| d.height + MARGIN).sum::<f64>();
    let mut document = page(width, height)
        .set("font-family", "sans-serif")
        .set("font-size", 12);
    let mut top = MARGIN;
    for Drawing { group, height, .. } in drawings {
        document = document.add(group.set("transform", format!("translate({MARGIN} {top})")));
        top += height + MARGIN;
    }
    format!("{document}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_is_as_light_as_its_weight() {
        let words = |all: &[&str]| all.iter().map(|word| word.to_string()).collect::<Vec<_>>();
        let weights = [vec![1.0, 0.0, 0.0], vec![0.0, 0.4, 0.6]];
        let (source, target) = (words(&["ja", "<b>", "c"]), words(&["yes", "</s>"]));
        let drawing = || Drawing::new(&source, &target, &weights);
        let text = sheet(vec![drawing(), drawing()]);
        let of = |shade: u32| {
            let fill = format!("fill=\"rgb({shade},{shade},{shade})\"");
            text.matches(&fill).count()
        };
        assert_eq!([of(255), of(0), of(102), of(153)], [2, 6, 2, 2], "{text}");
        assert!(text.contains("&lt;b&gt;") && text.contains("&lt;/s&gt;"));
        // 4 letters at the left and 3 squares; 3 letters above and 2 squares, twice.
        let (width, height) = (36.0 + 48.0 + 24.0, 12.0 + 2.0 * (28.5 + 32.0 + 12.0));
        assert!(
            text.contains(&format!("viewBox=\"0 0 {width} {height}\"")),
            "{text}"
        );
    }
}
