//! `import` and `export` from the command line: modules that PyTorch saved have PyTorch's loss, what cannot be taken over
//! is refused with nothing written, and a file speaks of the model alone.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::Value;

mod sandbox;
use sandbox::{Sandbox, TINY};

/// A file of PyTorch's modules.
fn module(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/modules");
    folder.join(format!("{name}.safetensors"))
}

fn nats(sandbox: &Sandbox, run: &str) -> f64 {
    let out = sandbox.ok(&format!(
        "eval {run} a.txt --json --device cpu --checkpoint last"
    ));
    serde_json::from_str::<Value>(&out).unwrap()["nats"]
        .as_f64()
        .unwrap()
}

/// Writes the tensors of a module again, as `change` makes them: another name, or none to leave it out.
fn rewritten(sandbox: &Sandbox, name: &str, change: impl Fn(&str) -> Option<String>) {
    let bytes = fs::read(module(name)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter();
    let kept = tensors.filter_map(|(name, view)| Some((change(&name)?, view)));
    let bytes = safetensors::serialize(kept, None).unwrap();
    fs::write(sandbox.at("m.safetensors"), bytes).unwrap();
}

#[test]
fn modules_of_pytorch_have_pytorchs_loss() {
    let sandbox = Sandbox::new();
    let mut seen = Vec::new();
    for (name, told) in [
        ("bias-false", "no biases in layer 0, layer 1, the head"),
        ("cells", "layers, from the bottom: cells.0, cells.1"),
        ("parallel-f16", "module.num_batches_tracked: integers"),
        ("relu", ""),
        ("rnns-raw", "without the weight drop"),
        ("tied", "embedding and head at once (tie = true)"),
    ] {
        let bytes = fs::read(module(name)).unwrap();
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        let metadata = header.metadata().clone().unwrap();
        let import = format!(
            "import {} --cell {} --vocab-from a.txt --out {name}",
            module(name).display(),
            metadata["cell"]
        );
        let done = sandbox.run(&import);
        assert_eq!(done.code, 0, "{name}: {}", done.err);
        assert!(done.err.contains(told), "{name}: {}", done.err);
        let settings = fs::read_to_string(sandbox.at(name).join("settings.toml")).unwrap();
        let tied = settings.lines().any(|line| line == "tie = true");
        assert_eq!(tied, name == "tied", "{name}: {settings}");
        let (got, want) = (
            nats(&sandbox, name),
            metadata["nats"].parse::<f64>().unwrap(),
        );
        // Some 260 losses in f32, each of some ten roundings of 6e-8.
        assert!(
            (got - want).abs() <= 1e-6 * want,
            "{name}: {got}, PyTorch {want}"
        );
        seen.push(format!("{name}.safetensors"));
    }
    let folder = fs::read_dir(module("tied").parent().unwrap()).unwrap();
    let mut all: Vec<String> = folder
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    all.sort();
    assert_eq!(seen, all);
    // What the weights do not tell: another nonlinearity is another loss, and that is said.
    let done = sandbox.run(&format!(
        "import {} --cell rnn --vocab-from a.txt --out tanh --json",
        module("relu").display()
    ));
    assert!(
        done.err.contains("rnn is tanh") && done.err.contains("rnn-relu"),
        "{}",
        done.err
    );
    let json: Value = serde_json::from_str(&done.out).unwrap();
    assert!(
        json["notes"][0].as_str().unwrap().contains("rnn-relu"),
        "{json}"
    );
    assert!((nats(&sandbox, "tanh") - nats(&sandbox, "relu")).abs() > 1e-3);
}

#[test]
fn every_missing_tensor_and_every_wrong_shape_is_named_at_once() {
    let sandbox = Sandbox::new();
    let import = "import m.safetensors --cell lstm --vocab-from a.txt --out r";
    rewritten(&sandbox, "cells", |name| {
        let gone = ["cells.0.weight_ih", "cells.1.bias_hh", "fc.weight"].contains(&name);
        // A vector in the place of a matrix.
        let name = match name {
            "cells.0.bias_ih" => "cells.1.weight_ih",
            "cells.1.weight_ih" => "cells.1.other_l0",
            name => name,
        };
        (!gone).then(|| name.to_string())
    });
    let parts = [
        "rnn.weight_ih_l0: missing",
        "rnn.bias_ih_l0: missing",
        "rnn.bias_hh_l1: missing",
        "head.weight: missing",
        "cells.1.weight_ih (rnn.weight_ih_l1): expected [20, 5], found [20]",
        "cells.1.other_l0 (rnn.other_l1): not a parameter",
    ];
    sandbox.refuses(import, 4, &parts);
}

#[test]
fn a_vocabulary_of_another_size_is_refused_with_both_numbers() {
    let sandbox = Sandbox::new();
    fs::write(sandbox.at("b.txt"), "the cat sat").unwrap();
    // A head without a bias says it too.
    for name in ["tied", "bias-false", "cells"] {
        let import = format!(
            "import {} --cell lstm --vocab-from b.txt --out r",
            module(name).display()
        );
        let parts = ["b.txt: has 7 symbols with --vocab char", "are for 11"];
        sandbox.refuses(&import, 3, &parts);
    }
}

#[test]
fn what_is_no_safetensors_file_or_no_number_is_refused() {
    let sandbox = Sandbox::new();
    let import = "import m.safetensors --cell rnn-relu --vocab-from a.txt --out r";
    let bytes = fs::read(module("relu")).unwrap();
    let mut nan = bytes.clone();
    let last = nan.len() - 4;
    nan[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(sandbox.at("m.safetensors"), nan).unwrap();
    sandbox.refuses(import, 4, &["rnn.weight_ih_l1: element 24 is NaN"]);
    fs::write(sandbox.at("m.safetensors"), &bytes[..bytes.len() - 4]).unwrap();
    sandbox.refuses(
        import,
        4,
        &["m.safetensors: no whole safetensors file", "cut short"],
    );
    fs::write(sandbox.at("m.safetensors"), b"PK\x03\x04 archive/data.pkl").unwrap();
    let python = [
        "a file of torch.save",
        "import torch, safetensors.torch",
        "save_file",
    ];
    sandbox.refuses(import, 4, &python);
    fs::create_dir(sandbox.at("folder")).unwrap();
    sandbox.refuses(
        "import folder --out r",
        2,
        &["folder: expected a safetensors file"],
    );
}

/// Two runs that differ in all but the model: where they are, what their text is called, how often they look up.
#[test]
fn an_export_speaks_of_the_model_alone_and_equal_models_are_equal_files() {
    let sandbox = Sandbox::new();
    let cell = "state h # mine\nh = tanh(linear(x, h))\n";
    fs::create_dir_all(sandbox.at("private/place")).unwrap();
    for place in ["my.cell", "private/my.cell"] {
        fs::write(sandbox.at(place), cell).unwrap();
    }
    fs::copy(sandbox.at("a.txt"), sandbox.at("private/secret.txt")).unwrap();
    let flags = format!("--steps 6 {TINY} -q --device cpu");
    sandbox.ok(&format!("train a.txt --out r --cell my.cell {flags}"));
    sandbox.ok(&format!(
        "train private/secret.txt --out private/place/s --cell private/my.cell {flags} --eval-every 3 --keep 7"
    ));
    sandbox.ok("export r --checkpoint last --out a.safetensors");
    sandbox.ok("export private/place/s --checkpoint last --out b.safetensors");
    let read = |name: &str| fs::read(sandbox.at(name)).unwrap();
    let bytes = read("a.safetensors");
    assert!(
        bytes == read("b.safetensors"),
        "two exports of equal weights differ"
    );
    let header = String::from_utf8_lossy(&bytes);
    for word in ["secret", "private", "a.txt", "keep = 7"] {
        assert!(!header.contains(word), "{word} in the file");
    }
    // Import and export again: the same file, though the run is another.
    sandbox.ok("import a.safetensors --out copy");
    sandbox.ok("export copy --out c.safetensors");
    assert!(
        bytes == read("c.safetensors"),
        "an imported export is another"
    );
    assert_eq!(nats(&sandbox, "r"), nats(&sandbox, "copy"));
    sandbox.refuses(
        "import a.safetensors --out q --ignore head",
        2,
        &["--ignore"],
    );
}

/// What reads the text, what connects the layers and the names of cells come back with the weights.
#[test]
fn an_export_of_any_model_comes_back_to_its_loss() {
    let sandbox = Sandbox::new();
    for (run, flags) in [
        (
            "words",
            "--vocab word --embed 6 --tie --layers 2 --residual",
        ),
        (
            "lines",
            "--lines --layers 2 --embed 4 --skip --cell lstm,gru",
        ),
        (
            "rest",
            "--layer-norm --project 5 --learn-initial --cell rnn-leaky --cell-const a=0.25",
        ),
        ("rare", "--softmax adaptive --cutoffs 5"),
    ] {
        let lines = "the cat sat on a mat;\n".repeat(12);
        fs::write(sandbox.at("a.txt"), lines).unwrap();
        sandbox.ok(&format!(
            "train a.txt --out {run} --steps 4 {TINY} {flags} -q --device cpu"
        ));
        sandbox.ok(&format!(
            "export {run} --checkpoint last --out {run}.safetensors"
        ));
        sandbox.ok(&format!("import {run}.safetensors --out {run}-copy"));
        let copy = format!("{run}-copy");
        assert_eq!(nats(&sandbox, run), nats(&sandbox, &copy), "{run}");
        sandbox.ok(&format!("export {copy} --out {copy}.safetensors"));
        let read = |name: &str| fs::read(sandbox.at(&format!("{name}.safetensors"))).unwrap();
        assert!(read(run) == read(&copy), "{run}");
    }
}

/// A tensor that nothing has a place for stays out on demand, and the rest is the same model.
#[test]
fn a_named_tensor_is_left_out() {
    let sandbox = Sandbox::new();
    let bytes = fs::read(module("relu")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let one = 1f32.to_le_bytes();
    let more = TensorView::new(safetensors::Dtype::F32, vec![1], &one).unwrap();
    let mut tensors = file.tensors();
    tensors.push(("optimizer.lr".into(), more));
    fs::write(
        sandbox.at("m.safetensors"),
        safetensors::serialize(tensors, None).unwrap(),
    )
    .unwrap();
    let import = "import m.safetensors --cell rnn-relu --vocab-from a.txt --out r";
    sandbox.refuses(
        import,
        4,
        &["optimizer.lr: no part", "--ignore optimizer.lr"],
    );
    sandbox.refuses(
        &format!("{import} --ignore lr"),
        2,
        &["--ignore lr: no such tensor"],
    );
    sandbox.ok(&format!("{import} --ignore optimizer"));
    sandbox.ok(&format!(
        "import {} --cell rnn-relu --vocab-from a.txt --out plain",
        module("relu").display()
    ));
    assert_eq!(nats(&sandbox, "r"), nats(&sandbox, "plain"));
}
