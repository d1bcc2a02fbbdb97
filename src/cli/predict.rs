//! `predict`: what a run's model of fields answers, a line or a block for every example, in their order.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use pollster::block_on;
use serde_json::{Map, Value, json};
use wgrnn::data::fields::{Examples, FieldKind};
use wgrnn::model::text::{Model, Target};
use wgrnn::train::examples::Paint;
use wgrnn::train::{ExampleSet, FieldEvaluator, Scored, examples};
use wgrnn::{Error, Result};

use super::fields::{FieldSource, LoadedFields, canvases, forecast, glimpses, texts};
use super::load::Loaded;
use super::{decoding, flags, out};

pub fn command() -> Command {
    Command::new("predict")
        .about("Answer for every example what a run's model predicts: a label, a label a word, a text, how numbers go on, or an image made again")
        .arg(flags::run())
        .arg(
            Arg::new("files")
                .value_name("FILE")
                .num_args(0..)
                .value_parser(value_parser!(PathBuf))
                .help("Files of the model's fields, FIELD=FILE too; without one, and for -, standard input"),
        )
        .arg(
            flags::whole("top", 1, 1000)
                .help("The K most likely labels of an example, each with its probability"),
        )
        .args(decoding::args())
        .args(texts::args())
        .args(canvases::args())
        .arg(
            flags::whole("steps", 1, 65536)
                .help("Of models of numbers: how many steps ahead, later ones from those before (default: as many as the model predicts at once)"),
        )
        .args(flags::read_as())
        .arg(flags::checkpoint())
        .arg(flags::device())
        .arg(flags::json())
        .after_help(
            "Answer k is that to example k. What is to be predicted need not be in the files; where it is, it is not looked \
             at.\n\nExamples:\n  wgrnn predict runs/names names.tsv --top 3\n  echo Hinton | wgrnn predict runs/names --format text\n  \
             wgrnn predict runs/tags new.conll > tagged.conll\n  \
             wgrnn predict runs/captions image=new.safetensors\n  wgrnn predict runs/load load.csv --steps 48 > ahead.csv\n  wgrnn predict runs/de-en source=new.de --beam 5 --replace-unk --attention looked.jsonl --svg drawings\n    printf 'Irish\\nIrish\\n' | wgrnn predict runs/described kind=- --format text --temperature 0.8",
        )
}

/// The answers of a loss for one example.
#[derive(Clone, Debug, Default)]
struct Answer {
    /// By step, the classes by falling score, each with its probability.
    steps: Vec<(usize, Vec<(u32, f64)>)>,
}

pub fn run(m: &ArgMatches) -> Result<()> {
    let run = LoadedFields::required(Loaded::from_args(m)?)?;
    let model = &run.model;
    let (writes, numbers) = (run.written().is_some(), forecast::of_numbers(&run));
    let paints = model.painting().is_some();
    if !paints {
        choices(m, model, writes, numbers)?;
        canvases::refuse_sheet(m, &model.name)?;
    }
    let mut files = flags::files(m);
    if files.is_empty() {
        files.push("-".into());
    }
    let settings = flags::reading(m, &run.loaded.settings);
    let source = FieldSource::new(model, &files, &settings, &run.loaded.path)?;
    let source = source.without(run.answers());
    let read = source.read()?;
    if numbers && !forecast::is_along(&run) {
        let set = forecast::sequences(&run, &source, &read, &settings)?;
        return forecast::predict(m, &run, set);
    }
    let records = source.inputs(&run.codes, &read)?;
    let all = (0..records.len() as u32).collect();
    let set = ExampleSet::new(model.clone(), records, all, None)?;
    if paints {
        let seed = m.get_one::<u64>("seed").copied().unwrap_or(1);
        return canvases::print(m, &run, Paint::Again(&set), seed);
    }
    if numbers {
        return forecast::along(m, &run, set);
    }
    if writes {
        return texts::predict(m, &run, &read, set);
    }
    let mut evaluator = FieldEvaluator::answering(&run.loaded.spec, set.clone(), &run.codes)?;
    let drawing = flags::path(m, "svg");
    if drawing.is_some() {
        evaluator = evaluator.with_glimpses();
    }
    let remedy = "give fewer examples at once";
    let parameters = run.weights(evaluator.plan(), "the answers", remedy)?;
    let device = flags::open_device(m)?;
    let top = m.get_one::<u64>("top").map_or(1, |k| *k as usize);
    let mut found = vec![vec![Answer::default(); model.losses().len()]; set.len()];
    let evaluation = block_on(
        evaluator.run(&device, &parameters, &mut |scored: Scored<'_>| {
            let of = &mut found[scored.example as usize][scored.loss];
            of.steps.push((scored.step, best(scored.scores, top)));
            Ok(())
        }),
    )?;
    if let Some(file) = drawing {
        let mut seen = evaluation.glimpses;
        seen.sort_by_key(|glimpses| glimpses.example);
        let first = model
            .losses()
            .iter()
            .position(|loss| matches!(loss.target, Target::Class(_)));
        let taken = |answers: &Vec<Answer>| {
            let answer = first.and_then(|loss| Some((loss, answers[loss].steps.first()?)));
            answer.map_or(String::new(), |(loss, (_, best))| {
                labels(&run, loss, &best[..1], false)
            })
        };
        let taken: Vec<String> = found.iter().map(taken).collect();
        glimpses::write(file, &seen, &taken)?;
    }
    let probable = m.value_source("top").is_some();
    let mut text = String::new();
    for (example, mut answers) in found.into_iter().enumerate() {
        answers
            .iter_mut()
            .for_each(|answer| answer.steps.sort_by_key(|(step, _)| *step));
        if m.get_flag("json") {
            text.push_str(&object(&run, &answers).to_string());
            text.push('\n');
        } else {
            write(&mut text, &run, &read, example, &answers, probable);
        }
    }
    out::raw(text.as_bytes())
}

/// Refuses flags that have no meaning for a model that writes texts, or for one that does not.
fn choices(m: &ArgMatches, model: &Model, writes: bool, numbers: bool) -> Result<()> {
    let mut of_texts = [&texts::FLAGS[..], &decoding::FLAGS].concat();
    of_texts.retain(|flag| *flag != "svg" || !model.has_glimpses());
    let (without, has) = if writes {
        (vec!["top", "steps"], "writes texts")
    } else if numbers {
        ([&["top"], &of_texts[..]].concat(), "predicts numbers")
    } else {
        ([&["steps"], &of_texts[..]].concat(), "predicts labels")
    };
    match flags::first_given(m, &without) {
        None => Ok(()),
        Some(flag) => Err(Error::usage(format!(
            "--{flag}: expected none, as model {} {has}",
            model.name
        ))),
    }
}

/// The `k` classes of the highest scores, the first of equal ones first, with their probabilities: the softmax of all.
fn best(scores: &[f32], k: usize) -> Vec<(u32, f64)> {
    let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp = |score: f32| f64::from(score - most).exp();
    let sum: f64 = scores.iter().map(|score| exp(*score)).sum();
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]));
    order.truncate(k);
    let with = |class: u32| (class, exp(scores[class as usize]) / sum);
    order.into_iter().map(with).collect()
}

fn name(run: &LoadedFields, loss: usize, class: u32) -> String {
    let field = run.model.losses()[loss].target.field();
    let names = field.and_then(|field| run.codes.classes(&run.model.fields()[field].name));
    let name = names.and_then(|names| names.name(class));
    name.unwrap_or("?").to_string()
}

/// Whether a loss predicts labels, as one beside losses of numbers may.
fn is_label(run: &LoadedFields, loss: usize) -> bool {
    matches!(run.model.losses()[loss].target, Target::Class(_))
}

/// One or several labels, with probabilities where these are asked for.
fn labels(run: &LoadedFields, loss: usize, best: &[(u32, f64)], probable: bool) -> String {
    let one = |(class, p): &(u32, f64)| {
        let name = name(run, loss, *class);
        if probable {
            format!("{name}\t{p:.4}")
        } else {
            name
        }
    };
    let all: Vec<String> = best.iter().map(one).collect();
    all.join("\t")
}

/// Appends the answer to an example: a line, or a word a line with its tag and an empty line behind.
fn write(
    text: &mut String,
    run: &LoadedFields,
    read: &Examples,
    example: usize,
    answers: &[Answer],
    probable: bool,
) {
    let fields = examples::fields(&run.model);
    let along =
        run.model
            .losses()
            .iter()
            .find_map(|loss| match &fields[loss.target.field()?].kind {
                FieldKind::ClassesAlong(of) => Some(of.as_str()),
                _ => None,
            });
    let Some(along) = along else {
        let labelled = answers
            .iter()
            .enumerate()
            .filter(|(loss, _)| is_label(run, *loss));
        let all = labelled.map(|(loss, answer)| {
            let steps = answer.steps.iter();
            let steps: Vec<String> = steps
                .map(|(_, best)| labels(run, loss, best, probable))
                .collect();
            steps.join("\t")
        });
        text.push_str(&all.collect::<Vec<String>>().join("\t"));
        text.push('\n');
        return;
    };
    // Steps of numbers are no words: there are their labels alone.
    let of_numbers = fields.iter().any(|f| f.name == along && f.kind.has_steps());
    let words = match of_numbers {
        true => vec![""; answers.iter().map(|a| a.steps.len()).max().unwrap_or(0)],
        false => read.items(along, example).unwrap_or_default(),
    };
    for (step, word) in words.iter().enumerate() {
        let mut cells = Vec::new();
        if !of_numbers {
            cells.push(word.to_string());
        }
        for (loss, answer) in answers.iter().enumerate() {
            if let Some((_, best)) = answer.steps.get(step) {
                cells.push(labels(run, loss, best, probable));
            }
        }
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    text.push('\n');
}

/// The answer to an example as JSON: for every predicted field its labels, with their probabilities.
fn object(run: &LoadedFields, answers: &[Answer]) -> Value {
    let fields = examples::fields(&run.model);
    let mut all = Map::new();
    for (loss, answer) in answers.iter().enumerate() {
        let Target::Class(field) = run.model.losses()[loss].target else {
            continue;
        };
        let field = &fields[field];
        let step = |best: &Vec<(u32, f64)>| {
            let one = |(class, p): &(u32, f64)| json!({ "label": name(run, loss, *class), "p": p });
            Value::Array(best.iter().map(one).collect())
        };
        let steps = answer.steps.iter().map(|(_, best)| step(best));
        let mut steps: Vec<Value> = steps.collect();
        let value = match field.kind {
            FieldKind::ClassesAlong(_) => Value::Array(steps),
            _ => steps.pop().unwrap_or(Value::Null),
        };
        all.insert(field.name.clone(), value);
    }
    Value::Object(all)
}
