//! Imports run one way: cli -> evolve -> lab -> train -> {task, model} -> exec, layer -> {cell, op}, `op` may use `cell`, an executor knows
//! plans and cells but no models, `task` fills plans and knows none either, `data`, `metrics`, `search` and `generate` stand apart. Only `exec/gpu` names wgpu.

use std::path::{Path, PathBuf};

/// Each module and the modules that it may use beside itself; `error` and `rng` are everyone's.
const MODULES: [(&str, &[&str]); 14] = [
    ("cell", &[]),
    ("op", &["cell"]),
    ("layer", &["cell", "op"]),
    ("model", &["cell", "op", "layer"]),
    ("exec", &["cell", "op"]),
    ("data", &[]),
    ("metrics", &[]),
    ("search", &[]),
    ("generate", &[]),
    ("task", &["op", "exec"]),
    (
        "train",
        &[
            "cell", "op", "layer", "model", "exec", "data", "metrics", "search", "task",
        ],
    ),
    (
        "lab",
        &[
            "cell", "op", "model", "exec", "data", "generate", "task", "train",
        ],
    ),
    (
        "evolve",
        &[
            "cell", "op", "model", "exec", "data", "generate", "task", "train", "lab",
        ],
    ),
    (
        "cli",
        &[
            "cell", "op", "layer", "model", "exec", "data", "metrics", "search", "generate",
            "task", "train", "lab", "evolve",
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

/// A circle of imports among files of one folder, given by name and text: what only their tests use does not count.
fn circle(files: &[(String, String)]) -> Option<String> {
    let names = |text: &str| -> Vec<usize> {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code = code.replace("crate::exec::gpu::", "super::");
        let uses = uses(&tokens(&code), 1).into_iter();
        let place = |name: String| files.iter().position(|file| file.0 == name);
        uses.filter_map(place).collect()
    };
    let mut left: Vec<(usize, Vec<usize>)> = files
        .iter()
        .enumerate()
        .map(|(n, file)| (n, names(&file.1)))
        .collect();
    // What uses nothing that is left is in no circle.
    loop {
        let known: Vec<usize> = left.iter().map(|file| file.0).collect();
        let before = left.len();
        left.retain(|(n, used)| used.iter().any(|other| other != n && known.contains(other)));
        if left.len() == before {
            break;
        }
    }
    let mut path = vec![left.first()?.0];
    loop {
        let last = path[path.len() - 1];
        let used = left
            .iter()
            .find(|file| file.0 == last)
            .map(|file| &file.1)?;
        let open = |other: &&usize| **other != last && left.iter().any(|file| file.0 == **other);
        let next = *used.iter().find(open)?;
        path.push(next);
        if let Some(start) = path[..path.len() - 1].iter().position(|n| *n == next) {
            let circle: Vec<&str> = path[start..].iter().map(|n| files[*n].0.as_str()).collect();
            return Some(circle.join(" -> "));
        }
    }
}

#[test]
fn no_files_of_the_gpu_import_in_a_circle() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/exec/gpu");
    let mut all = Vec::new();
    files(&folder, &mut all);
    let read = |path: &PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    let mut texts: Vec<(String, String)> = all.iter().map(read).collect();
    texts.retain(|(name, _)| name != "mod");
    assert!(texts.len() > 20, "only {} files", texts.len());
    assert_eq!(circle(&texts), None);
    // What a file takes from its neighbours it takes by the neighbour's name, or the walk would not see it.
    for (name, text) in &texts {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for used in uses(&tokens(&code.replace("crate::", "root::")), 1) {
            let known = texts.iter().any(|file| file.0 == used);
            assert!(known, "{name}.rs takes {used} from mod.rs");
        }
    }
}

#[test]
fn a_circle_of_imports_is_found() {
    let of = |texts: &[(&str, &str)]| {
        let owned = texts
            .iter()
            .map(|(name, text)| (name.to_string(), text.to_string()));
        circle(&owned.collect::<Vec<_>>())
    };
    let (a, b) = (("a", "use super::{b, d::D};"), ("b", "use super::c::C;"));
    let found = of(&[a, b, ("c", "fn f() { super::a::g() }"), ("d", "")]);
    assert_eq!(found.as_deref(), Some("a -> b -> c -> a"));
    let found = of(&[a, b, ("c", "use crate::exec::gpu::b::B;"), ("d", "")]);
    assert_eq!(found.as_deref(), Some("b -> c -> b"));
    let tests = "use super::d::D;\n#[cfg(test)]\nmod tests { use super::a::A; }";
    assert_eq!(of(&[a, b, ("c", tests), ("d", "use super::d::E;")]), None);
}

/// The only files that may hold the word, each with its reason beside it.
const UNSAFE: [&str; 4] = [
    "exec/cpu/product/tile.rs",
    "exec/gpu/device.rs",
    "exec/gpu/pipeline.rs",
    "main.rs",
];

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
