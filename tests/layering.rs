//! Imports run one way: cli -> train -> {task, model} -> exec, layer -> {cell, op}, `op` may use `cell`, an executor knows
//! plans and cells but no models, `task` fills plans and knows none either, `data` stands apart. Only `exec/gpu` names wgpu.

use std::path::{Path, PathBuf};

/// Each module and the modules that it may use beside itself; `error` and `rng` are everyone's.
const MODULES: [(&str, &[&str]); 9] = [
    ("cell", &[]),
    ("op", &["cell"]),
    ("layer", &["cell", "op"]),
    ("model", &["cell", "op", "layer"]),
    ("exec", &["cell", "op"]),
    ("data", &[]),
    ("task", &["op", "exec"]),
    (
        "train",
        &["cell", "op", "layer", "model", "exec", "data", "task"],
    ),
    (
        "cli",
        &[
            "cell", "op", "layer", "model", "exec", "data", "task", "train",
        ],
    ),
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// A source file's words and symbols, without comments and literals. `'` starts no literal that matters here.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    for line in text.lines() {
        // Strings may hold `//`; imports are never in one.
        let code = line.split("//").next().unwrap_or_default();
        let mut word = String::new();
        let mut quoted = false;
        for c in code.chars().chain([' ']) {
            if quoted || !(c.is_alphanumeric() || c == '_') {
                if !word.is_empty() {
                    tokens.push(std::mem::take(&mut word));
                }
                quoted ^= c == '"';
                if !quoted && !c.is_whitespace() {
                    tokens.push(c.to_string());
                }
            } else {
                word.push(c);
            }
        }
    }
    tokens
}

/// The modules right below the crate's root that the tokens name. `depth` is how many modules deep the file is; a
/// module written inside it reaches the root with one `super` more, so longer chains are followed too.
fn uses(tokens: &[String], depth: usize) -> Vec<String> {
    let is = |at: usize, want: &str| tokens.get(at).is_some_and(|t| t == want);
    let colons = |at: usize| is(at, ":") && is(at + 1, ":");
    let mut found = Vec::new();
    for i in 0..tokens.len() {
        let after = match tokens[i].as_str() {
            "crate" | "wgrnn" if colons(i + 1) => i + 3,
            "super" if !(i >= 3 && tokens[i - 3] == "super") => {
                let mut at = i;
                let mut supers = 0;
                while is(at, "super") && colons(at + 1) {
                    (at, supers) = (at + 3, supers + 1);
                }
                if supers < depth {
                    continue;
                }
                at
            }
            _ => continue,
        };
        if !is(after, "{") {
            found.extend(tokens.get(after).cloned());
            continue;
        }
        // The first word of each member of the outermost braces.
        let (mut level, mut at, mut first) = (1, after + 1, true);
        while level > 0 && at < tokens.len() {
            match tokens[at].as_str() {
                "{" => level += 1,
                "}" => level -= 1,
                "," if level == 1 => first = true,
                word if level == 1 && first => {
                    found.push(word.to_owned());
                    first = false;
                }
                _ => {}
            }
            at += 1;
        }
    }
    found
}

/// What a file at `path`, parts from `src` on, does that it may not.
fn faults(path: &[&str], text: &str) -> Vec<String> {
    let tokens = tokens(text);
    let mut faults = Vec::new();
    let name = path.join("/");
    if !name.starts_with("exec/gpu") && tokens.iter().any(|t| t == "wgpu") {
        faults.push(format!("{name} names wgpu"));
    }
    let module = path[0].trim_end_matches(".rs");
    let Some((_, allowed)) = MODULES.iter().find(|r| r.0 == module) else {
        return faults;
    };
    let depth = path.len() - usize::from(path[path.len() - 1] == "mod.rs");
    for other in uses(&tokens, depth) {
        let is_module = MODULES.iter().any(|r| r.0 == other);
        if is_module && other != module && !allowed.contains(&other.as_str()) {
            faults.push(format!("{name} uses {other}"));
        }
    }
    faults
}

#[test]
fn imports_run_one_way() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&source, &mut all);
    let mut seen = std::collections::BTreeSet::new();
    let mut found = Vec::new();
    for file in &all {
        let inside = file.strip_prefix(&source).unwrap();
        let parts: Vec<&str> = inside.iter().map(|p| p.to_str().unwrap()).collect();
        if parts.len() > 1 {
            let known = MODULES.iter().any(|r| r.0 == parts[0]);
            assert!(known, "src/{} is no module of this test", parts[0]);
            seen.insert(parts[0].to_owned());
        }
        found.extend(faults(&parts, &std::fs::read_to_string(file).unwrap()));
    }
    assert!(seen.len() >= 7, "only {seen:?} were found");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The only files that may hold the word, each with its reason beside it.
const UNSAFE: [&str; 3] = ["exec/cpu/product/tile.rs", "exec/gpu/device.rs", "main.rs"];

/// Release builds have no optimisation across codegen units, without which this is a call for every element of a loop.
#[test]
fn no_array_is_made_by_calls() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&source, &mut all);
    for file in &all {
        let text = std::fs::read_to_string(file).unwrap();
        let found = text.contains("array::from_fn(");
        assert!(
            !found,
            "{}: write a loop in place of from_fn",
            file.display()
        );
    }
}

#[test]
fn unsafe_code_stands_where_it_is_documented() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&source, &mut all);
    let mut found = Vec::new();
    for file in &all {
        let text = std::fs::read_to_string(file).unwrap();
        let blocks = tokens(&text).iter().filter(|t| *t == "unsafe").count();
        if blocks > 0 {
            let name = file.strip_prefix(&source).unwrap().to_str().unwrap();
            let reasons = text.matches("// SAFETY: ").count();
            assert!(
                reasons >= blocks,
                "{name}: {blocks} unsafe blocks, {reasons} reasons"
            );
            found.push(name.replace('\\', "/"));
        }
    }
    found.sort();
    assert_eq!(found, UNSAFE);
}

#[test]
fn every_way_to_write_an_import_is_seen() {
    let cases: [(&[&str], &str, &str); 9] = [
        (
            &["op", "add.rs"],
            "use crate::model::Spec;",
            "op/add.rs uses model",
        ),
        (
            &["cell", "mod.rs"],
            "use crate::{error::Error, op::{Op, Plan}};",
            "cell/mod.rs uses op",
        ),
        (
            &["exec", "cpu", "mod.rs"],
            "fn f() { crate::model::g(); }",
            "exec/cpu/mod.rs uses model",
        ),
        (
            &["exec", "mod.rs"],
            "use super::train::Loop;",
            "exec/mod.rs uses train",
        ),
        (
            &["exec", "cpu", "scan.rs"],
            "use super::super::super::layer::X;",
            "exec/cpu/scan.rs uses layer",
        ),
        (
            &["data", "vocab.rs"],
            "use crate::{\n    rng,\n    cell,\n};",
            "data/vocab.rs uses cell",
        ),
        (
            &["layer", "mod.rs"],
            "mod tests { use super::super::exec::Inputs; }",
            "layer/mod.rs uses exec",
        ),
        (
            &["exec", "cpu", "mod.rs"],
            "use wgpu::Device;",
            "exec/cpu/mod.rs names wgpu",
        ),
        (&["main.rs"], "type D = wgpu::Device;", "main.rs names wgpu"),
    ];
    for (path, text, fault) in cases {
        assert_eq!(faults(path, text), [fault], "{text}");
    }
    let fine: [(&[&str], &str); 6] = [
        (
            &["op", "scan.rs"],
            "use super::{Cost, Matrix};\nuse crate::cell::{Cell, eval};",
        ),
        (
            &["model", "init.rs"],
            "use crate::op::{Fill, Plan}; // crate::train",
        ),
        (&["exec", "gpu", "mod.rs"], "use wgpu::Device;"),
        (&["exec", "gpu.rs"], "use wgpu::Device;"),
        (
            &["layer", "linear.rs"],
            "let name = \"crate::train::x wgpu\"; /* none */",
        ),
        (
            &["train", "run_dir", "tests.rs"],
            "use super::super::checkpoint; use crate::data::Corpus;",
        ),
    ];
    for (path, text) in fine {
        assert_eq!(faults(path, text), Vec::<String>::new(), "{text}");
    }
}
