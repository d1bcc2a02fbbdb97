//! What is done with bytes that nobody vouches for, one function a way in: each must come back, with an error of a few
//! bounded lines or with something that goes on working. The fuzzer calls them, and so do the ordinary tests.
#![allow(dead_code)] // each fuzz target uses one of them

use std::path::Path;

use pollster::block_on;
use toml::Table;
use wgrnn::cell::{Cell, library};
use wgrnn::data::{LineRules, TextSource, Tokens, VocabKind, Vocabulary, VocabularyRecipe};
use wgrnn::exec::Device;
use wgrnn::model::{Dims, Mode};
use wgrnn::train::foreign::{File, Foreign};
use wgrnn::train::settings::resolve;
use wgrnn::train::{
    About, Checkpoint, Event, Job, Length, Saved, Settings, State, Trainer, spec, state, update,
};
use wgrnn::{Error, Kind};

/// Models beyond this many bytes are refused by the program where a machine has no more; here, to be quick.
const SMALL: u64 = 1 << 20;

/// An error that a user can be shown: of one of the kinds that bad input has, and not endless.
#[track_caller]
fn shown(e: &Error) {
    let kinds = [
        Kind::Data,
        Kind::Checkpoint,
        Kind::Usage,
        Kind::Io,
        Kind::Diverged,
    ];
    assert!(kinds.contains(&e.kind), "{:?}: {e}", e.kind);
    assert!(!e.message.is_empty());
    assert!(e.message.len() < 100_000, "{} bytes", e.message.len());
    for line in e.message.lines() {
        let odd = line.chars().find(|c| c.is_control() && *c != '\t');
        assert!(odd.is_none(), "{odd:?} in {line:?}");
    }
}

/// The same, in one line.
#[track_caller]
fn one_line(e: &Error) {
    shown(e);
    assert_eq!(e.message.lines().count(), 1, "{e}");
}

/// A whole file as it comes; a file behind a fitting checksum, as a forger makes it; or a tiny run's checkpoint with
/// other JSON.
pub fn checkpoint(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else {
        return;
    };
    let read = match mode % 3 {
        0 => Checkpoint::from_bytes(bytes),
        1 => Checkpoint::from_bytes(&sealed(bytes)),
        _ => {
            let Ok(meta) = serde_json::from_slice(bytes) else {
                return;
            };
            let (_, tiny) = tiny();
            let bytes = Checkpoint { meta, ..tiny }.to_bytes().unwrap();
            Checkpoint::from_bytes(&bytes)
        }
    };
    match read {
        Err(e) => one_line(&e),
        Ok(checkpoint) => {
            let again = checkpoint.to_bytes().unwrap();
            // NaN is not equal to itself, so bytes are compared.
            let twice = Checkpoint::from_bytes(&again).unwrap().to_bytes();
            assert!(twice.unwrap() == again);
            if let Err(e) = go_on(&checkpoint) {
                shown(&e);
            }
        }
    }
}

/// Does with a checkpoint what `train --resume` does: reads it, and makes two steps and a last save.
fn go_on(checkpoint: &Checkpoint) -> wgrnn::Result<()> {
    let saved = Saved::read(checkpoint)?;
    let settings = saved.about.settings()?;
    let cells = saved.about.cells()?;
    let vocabulary = saved.about.vocabulary()?;
    vocabulary.decode(&[0, 1]);
    let spec = spec(&settings, cells, vocabulary.len());
    let dims = Dims {
        steps: settings.seq_len,
        batch: settings.batch,
    };
    let plan = spec.plan(dims, Mode::Train(update(&settings)))?;
    if plan.bytes() > SMALL {
        return Ok(());
    }
    let ids = (0..60)
        .map(|i| i % vocabulary.len() as u32)
        .collect::<Vec<_>>();
    let (train, validation) = (Tokens::from(ids.clone()), Tokens::from(ids[..20].to_vec()));
    let job = Job::new(settings, spec, Length::Steps(u64::MAX), train, validation)?;
    if job.plan.bytes() > SMALL {
        return Ok(());
    }
    let state = State::from_checkpoint(&job.plan, checkpoint)?;
    let plan = job.plan.clone();
    let mut trainer = block_on(Trainer::new(Device::Cpu, job, state))?;
    for at in 0..40 {
        match block_on(trainer.next(saved.counters.elapsed, at > 5))? {
            Event::Finished => break,
            Event::Save { state, .. } => drop(state.to_checkpoint(&plan, &saved.about)?),
            _ => {}
        }
    }
    Ok(())
}

/// A file whose checksum stands where it should and fits; see `wgrnn::train::checkpoint`.
pub fn sealed(rest: &[u8]) -> Vec<u8> {
    const PREFIX: &[u8] = br#"{"__metadata__":{"checksum":""#;
    let mut bytes = rest.get(..8).unwrap_or(&[0; 8]).to_vec();
    bytes.extend(PREFIX);
    let digits = bytes.len()..bytes.len() + 64;
    bytes.extend([b'0'; 64]);
    bytes.extend(rest.get(8..).unwrap_or_default());
    let hash = blake3::hash(&bytes).to_hex();
    bytes[digits].copy_from_slice(hash.as_bytes());
    bytes
}

/// The vocabulary and the checkpoint of a tiny run that begins.
pub fn tiny() -> (About, Checkpoint) {
    let settings = Settings {
        hidden: 2,
        seq_len: 3,
        batch: 2,
        ..Settings::default()
    };
    let vocabulary = Vocabulary::build(VocabKind::Char, b"abc", 1).unwrap();
    let cell = library::builtin("rnn").unwrap();
    let spec = spec(&settings, vec![cell.clone()], 3);
    let ids = (0..30).map(|i| i % 3).collect::<Vec<u32>>();
    let none = Tokens::from(Vec::new());
    let about = About {
        program: "test".into(),
        settings: settings.to_toml().unwrap(),
        symbols: vocabulary.clone().into(),
        cells: vec![(&cell).into()],
        text: None,
        valid: None,
        floor: None,
    };
    let job = Job::new(settings, spec, Length::Steps(9), Tokens::from(ids), none).unwrap();
    let state = job.start().unwrap();
    let checkpoint = state.to_checkpoint(&job.plan, &about).unwrap();
    (about, checkpoint)
}

/// A settings file, or flags as `name=value` lines; what is taken comes back from its own text, and has a plan.
pub fn settings(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let names: Vec<&str> = library::names().collect();
    let path = Path::new("s.toml");
    let found = match mode % 2 {
        0 => resolve(Some((path, text)), Table::new(), &names),
        _ => {
            let mut flags = Table::new();
            for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
                if let Some(key) = Settings::keys().iter().find(|key| key.name == name) {
                    flags.insert(name.into(), key.value(value));
                }
            }
            resolve(None, flags, &names)
        }
    };
    let settings = match found {
        Err(e) => return shown(&e),
        Ok(settings) => settings,
    };
    let written = settings.to_toml().unwrap();
    let again = resolve(Some((path, &written)), Table::new(), &names).unwrap();
    assert_eq!(again, settings);
    let cells = settings
        .cell
        .split(',')
        .map(|name| library::builtin(name.trim()));
    let cells = match cells.collect::<wgrnn::Result<Vec<Cell>>>() {
        Err(e) => return shown(&e),
        Ok(cells) => cells,
    };
    let spec = spec(&settings, cells, 7);
    let dims = Dims {
        steps: settings.seq_len,
        batch: settings.batch,
    };
    match spec.plan(dims, Mode::Train(update(&settings))) {
        Err(e) => shown(&e),
        Ok(plan) => {
            let _ = plan.bytes();
        }
    }
}

/// A cell's text; what is taken is differentiated, cut and printed.
pub fn cell(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Cell::parse("c", text) {
        Err(e) => one_line(&e),
        Ok(cell) => {
            let compiled = cell.compile();
            cell.compile_inference();
            assert!(!cell.summary(&compiled).is_empty());
            assert!(cell.parameters(3, 5) < 1 << 40);
        }
    }
}

/// A `tokenizer.json`, or a vocabulary as a checkpoint holds it; what is taken encodes and decodes.
pub fn tokenizer(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else {
        return;
    };
    let vocabulary = match mode % 3 {
        0 | 1 => match Vocabulary::from_tokenizer(bytes, mode % 3 == 1) {
            Err(e) => return one_line(&e),
            Ok(vocabulary) => vocabulary,
        },
        _ => match serde_json::from_slice::<Vocabulary>(bytes) {
            Err(_) => return,
            Ok(vocabulary) => vocabulary,
        },
    };
    assert!(vocabulary.len() >= 2);
    let _ = (
        vocabulary.hash(),
        vocabulary.before_text(),
        vocabulary.unit(),
    );
    if let Err(e) = vocabulary.encode("ab the cat\r\n<unk> é\u{10ffff}".as_bytes()) {
        shown(&e);
    }
    let last = vocabulary.len() as u32 - 1;
    vocabulary.decode(&[0, last, 1, last / 2]);
    let stored = serde_json::to_string(&vocabulary).unwrap();
    let again: Vocabulary = serde_json::from_str(&stored).unwrap();
    assert_eq!(again.len(), vocabulary.len());
}

/// A text, maybe compressed, in every kind of symbols, as one stream or line by line.
pub fn corpus(bytes: &[u8]) {
    let Some((mode, mut bytes)) = bytes.split_first() else {
        return;
    };
    let kinds = [
        VocabKind::Char,
        VocabKind::Byte,
        VocabKind::Word,
        VocabKind::Piece,
    ];
    let recipe = VocabularyRecipe {
        kind: kinds[usize::from(mode % 4)],
        min_count: 1 + u64::from(mode >> 3 & 1),
        max_size: match mode >> 4 & 1 {
            0 => None,
            _ => Some(270),
        },
        lines: mode >> 2 & 1 == 1,
        unknown: false,
    };
    let source = TextSource::Files(vec!["-".into()]);
    let corpus = match source.open_with(&std::env::temp_dir(), &mut bytes) {
        Err(e) => return one_line(&e),
        Ok(corpus) => corpus,
    };
    let vocabulary = match corpus.vocabulary(&recipe) {
        Err(e) => return one_line(&e),
        Ok(vocabulary) => vocabulary,
    };
    if recipe.lines {
        match corpus.lines(&vocabulary, LineRules::default()) {
            Err(e) => one_line(&e),
            Ok((lines, _)) => assert!(lines.predictions() > 0),
        }
    } else {
        match corpus.encode(&vocabulary) {
            Err(e) => one_line(&e),
            Ok(tokens) => assert!(!tokens.is_empty()),
        }
    }
}

/// Weights from elsewhere, as `import` reads them; the first byte picks the cell.
pub fn import(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else {
        return;
    };
    // What a file is instead may come with two lines of Python.
    let file = match File::read(bytes, Path::new("a.safetensors")) {
        Err(e) => return shown(&e),
        Ok(file) => file,
    };
    let names: Vec<&str> = library::names().collect();
    let name = names[usize::from(*mode) % names.len()];
    let cell = library::builtin(name).unwrap();
    let foreign = match Foreign::read(&file, &cell, &[]) {
        Err(e) => return one_line(&e),
        Ok(foreign) => foreign,
    };
    for note in &foreign.notes {
        assert!(
            note.len() < 100_000 && !note.contains(char::is_control),
            "{note:?}"
        );
    }
    let sizes = match foreign.sizes(&cell) {
        Err(e) => return one_line(&e),
        Ok(sizes) => sizes,
    };
    let settings = Settings {
        cell: name.into(),
        hidden: sizes.hidden,
        layers: sizes.layers,
        embed: sizes.embed,
        tie: sizes.tie,
        ..Settings::default()
    };
    if let Err(e) = settings.check(&names) {
        return shown(&e);
    }
    let vocab = sizes.symbols.unwrap_or(3).clamp(2, 1000);
    let spec = spec(&settings, vec![cell], vocab);
    let dims = Dims { steps: 2, batch: 2 };
    match spec.plan(dims, Mode::Train(update(&settings))) {
        Err(e) => shown(&e),
        Ok(plan) => {
            let weights = Checkpoint {
                tensors: foreign.tensors,
                meta: serde_json::Value::Null,
            };
            if plan.bytes() > SMALL {
                return;
            }
            match state::weights(&plan, &weights) {
                Err(e) => shown(&foreign.names.translate(e)),
                Ok(flat) => assert!(flat.iter().all(|x| x.is_finite())),
            }
        }
    }
}
