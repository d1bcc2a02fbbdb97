//! Names and shapes as other programs save them: what is taken, what is said of it, and the true reason where nothing is.

use std::collections::HashMap;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::*;
use crate::cell::library;
use crate::error::Kind;

/// A tensor of a file: its name, its type and its shape.
type TensorEntry<'a> = (&'a str, Dtype, &'a [usize]);

/// An LSTM of two layers of 2 units over one-hot vectors of 5 symbols, with a head.
const LSTM: [TensorEntry<'_>; 10] = [
    ("rnn.weight_ih_l0", Dtype::F32, &[8, 5]),
    ("rnn.weight_hh_l0", Dtype::F32, &[8, 2]),
    ("rnn.bias_ih_l0", Dtype::F32, &[8]),
    ("rnn.bias_hh_l0", Dtype::F32, &[8]),
    ("rnn.weight_ih_l1", Dtype::F32, &[8, 2]),
    ("rnn.weight_hh_l1", Dtype::F32, &[8, 2]),
    ("rnn.bias_ih_l1", Dtype::F32, &[8]),
    ("rnn.bias_hh_l1", Dtype::F32, &[8]),
    ("decoder.weight", Dtype::F32, &[5, 2]),
    ("decoder.bias", Dtype::F32, &[5]),
];

/// The same, reading the rows of an embedding that the head shares.
const TIED: [TensorEntry<'_>; 6] = [
    ("rnn.weight_ih_l0", Dtype::F32, &[8, 2]),
    ("rnn.weight_hh_l0", Dtype::F32, &[8, 2]),
    ("rnn.bias_ih_l0", Dtype::F32, &[8]),
    ("rnn.bias_hh_l0", Dtype::F32, &[8]),
    ("decoder.weight", Dtype::F32, &[5, 2]),
    ("decoder.bias", Dtype::F32, &[5]),
];

/// A file of these tensors. Elements are small numbers that differ from name to name; `same` has those of another.
fn bytes(entries: &[TensorEntry<'_>], same: &[(&str, &str)], metadata: &[(&str, &str)]) -> Vec<u8> {
    let data: Vec<Vec<u8>> = entries
        .iter()
        .map(|(name, dtype, shape)| {
            let of = same.iter().find(|s| s.0 == *name).map_or(*name, |s| s.1);
            let seed = of
                .bytes()
                .fold(7u64, |n, b| n.wrapping_mul(31).wrapping_add(b.into()));
            let size = dtype.bitsize() / 8;
            let n = shape.iter().product::<usize>() as u64;
            let word = |i: u64| {
                let value = ((seed.wrapping_mul(i + 3) >> 7) % 64) as f64 / 64.0 - 0.5;
                match dtype {
                    Dtype::F64 => value.to_le_bytes().to_vec(),
                    Dtype::F32 => (value as f32).to_le_bytes().to_vec(),
                    Dtype::F16 => half::f16::from_f64(value).to_le_bytes().to_vec(),
                    Dtype::BF16 => half::bf16::from_f64(value).to_le_bytes().to_vec(),
                    _ => vec![1; size],
                }
            };
            (0..n).flat_map(word).collect()
        })
        .collect();
    let views = entries
        .iter()
        .zip(&data)
        .map(|((name, dtype, shape), data)| {
            (
                *name,
                TensorView::new(*dtype, shape.to_vec(), data).unwrap(),
            )
        });
    let metadata: HashMap<String, String> = metadata
        .iter()
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .collect();
    safetensors::serialize(views, Some(metadata)).unwrap()
}

fn read(bytes: &[u8], cell: &str, ignore: &[&str]) -> Result<(Foreign, ForeignSizes)> {
    let cell = library::builtin(cell).unwrap();
    let file = File::read(bytes, Path::new("m.safetensors"))?;
    let ignore: Vec<String> = ignore.iter().map(|name| name.to_string()).collect();
    let foreign = Foreign::read(&file, &cell, &ignore)?;
    let sizes = foreign.sizes(&cell)?;
    Ok((foreign, sizes))
}

#[track_caller]
fn taken(entries: &[TensorEntry<'_>]) -> (Foreign, ForeignSizes) {
    read(&bytes(entries, &[], &[]), "lstm", &[]).unwrap()
}

#[track_caller]
fn refused(entries: &[TensorEntry<'_>], cell: &str) -> String {
    let e = read(&bytes(entries, &[], &[]), cell, &[]).unwrap_err();
    assert_eq!(e.kind, Kind::Checkpoint, "{e}");
    assert_eq!(e.message.lines().count(), 1, "{e}");
    e.message
}

/// The entries under other names.
fn renamed<'a>(entries: &[TensorEntry<'a>], names: &'a [String]) -> Vec<TensorEntry<'a>> {
    let names = names.iter().map(String::as_str);
    entries
        .iter()
        .zip(names)
        .map(|(entry, name)| (name, entry.1, entry.2))
        .collect()
}

#[track_caller]
fn holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}

#[test]
fn a_module_under_any_prefix_is_the_same_model() {
    let sizes = ForeignSizes {
        hidden: 2,
        layers: 2,
        embed: 0,
        symbols: Some(5),
        tie: false,
    };
    let (plain, found) = taken(&LSTM);
    assert_eq!(found, sizes);
    assert!(plain.notes.is_empty(), "{:?}", plain.notes);
    for prefix in [
        "",
        "lstm.",
        "model.rnn.",
        "module.",
        "_orig_mod.module.net.",
    ] {
        let names: Vec<String> = LSTM.iter().map(|e| e.0.replace("rnn.", prefix)).collect();
        let (foreign, found) = taken(&renamed(&LSTM, &names));
        assert_eq!(found, sizes);
        assert_eq!(foreign.tensors.keys().count(), 10);
        assert!(foreign.tensors.contains_key("rnn.bias_hh_l1"), "{prefix}");
        assert!(foreign.notes.is_empty(), "{:?}", foreign.notes);
    }
}

#[test]
fn modules_of_one_layer_each_stand_in_the_order_of_their_numbers() {
    for (low, high, cells) in [
        ("rnns.0.", "rnns.1.", false),
        ("rnns.9.", "rnns.10.", false),
        ("lstm1.", "lstm2.", false),
        ("net.cells.0.module.", "net.cells.1.module.", true),
    ] {
        let names: Vec<String> = LSTM
            .iter()
            .map(|e| {
                let own = e.0.replace("_l1", "_l0");
                let own = own.replace("rnn.", if e.0.ends_with("_l1") { high } else { low });
                if cells { own.replace("_l0", "") } else { own }
            })
            .collect();
        let (foreign, sizes) = taken(&renamed(&LSTM, &names));
        assert_eq!((sizes.layers, sizes.hidden), (2, 2));
        let shape = |name: &str| foreign.tensors[name].shape.clone();
        assert_eq!(shape("rnn.weight_ih_l0"), [8, 5], "{low}");
        assert_eq!(shape("rnn.weight_ih_l1"), [8, 2], "{low}");
        holds(&foreign.notes.join("\n"), &["layers, from the bottom"]);
    }
    let names: Vec<String> = LSTM
        .iter()
        .map(|e| match e.0.strip_suffix("_l1") {
            Some(own) => own.replace("rnn.", "rnns.2.") + "_l0",
            None => e.0.replace("rnn.", "rnns.0."),
        })
        .collect();
    holds(
        &refused(&renamed(&LSTM, &names), "lstm"),
        &["rnns.0", "then rnns.2"],
    );
    let names: Vec<String> = names
        .iter()
        .map(|n| n.replace("rnns.2", "decoder.rnn"))
        .collect();
    holds(
        &refused(&renamed(&LSTM, &names), "lstm"),
        &["decoder.rnn", "rnns.0", "--ignore"],
    );
}

#[test]
fn the_raw_weight_of_a_weight_drop_is_the_weight() {
    let mut entries = LSTM.to_vec();
    entries[1].0 = "rnn.module.weight_hh_l0_raw";
    // What it was made into at the last step stands beside it in some files.
    entries.push(("rnn.module.weight_hh_l0", Dtype::F32, &[8, 2]));
    let (foreign, _) = taken(&entries);
    let same = [("rnn.weight_hh_l0", "rnn.module.weight_hh_l0_raw")];
    let (wanted, _) = read(&bytes(&LSTM, &same, &[]), "lstm", &[]).unwrap();
    let name = "rnn.weight_hh_l0";
    assert_eq!(foreign.tensors[name], wanted.tensors[name]);
    holds(
        &foreign.notes.join("\n"),
        &["weight_hh_l0_raw", "--dropout-weights"],
    );
}

#[test]
fn floats_of_every_width_are_read_and_nothing_else() {
    let (wanted, _) = taken(&LSTM);
    for dtype in [Dtype::F16, Dtype::BF16, Dtype::F64] {
        let entries = LSTM.map(|e| (e.0, dtype, e.2));
        // Sixty-fourths below a half are exact in all of them.
        assert_eq!(taken(&entries).0.tensors, wanted.tensors, "{dtype}");
    }
    for dtype in [Dtype::I8, Dtype::F8_E4M3, Dtype::I64] {
        let mut entries = LSTM;
        entries[8].1 = dtype;
        let message = refused(&entries, "lstm");
        holds(
            &message,
            &["decoder.weight", "F16", &format!("found {dtype}")],
        );
    }
}

#[test]
fn f64_that_f32_cannot_hold_is_rounded_aloud_or_refused() {
    let of = |value: f64| {
        let (shape, word) = (vec![1, 1], value.to_le_bytes());
        let view = TensorView::new(Dtype::F64, shape, &word).unwrap();
        values::floats("w", &view)
    };
    assert_eq!(of(0.5).unwrap(), (vec![0.5], false));
    assert_eq!(of(0.1).unwrap(), (vec![0.1], true));
    let e = of(1e39).unwrap_err();
    assert_eq!(
        e.message,
        "w: element 0 is 1e39, expected a number that f32 can hold"
    );
    let mut entries = LSTM.map(|e| (e.0, Dtype::F64, e.2)).to_vec();
    entries.push(("step", Dtype::I64, &[]));
    let mut file = bytes(&entries, &[], &[]);
    let last = file.len() - 8;
    // The last eight bytes are those of `step`, the eight before them a float.
    file[last - 8..last].copy_from_slice(&0.1f64.to_le_bytes());
    let (foreign, _) = read(&file, "lstm", &[]).unwrap();
    holds(&foreign.notes.join("\n"), &["F64, rounded to F32"]);
}

#[test]
fn tied_matrices_are_known_however_they_are_stored() {
    let sizes = ForeignSizes {
        hidden: 2,
        layers: 1,
        embed: 2,
        symbols: Some(5),
        tie: true,
    };
    // As safetensors' save_model leaves it, with its note and without.
    for metadata in [&[("encoder.weight", "decoder.weight")][..], &[]] {
        let (foreign, found) = read(&bytes(&TIED, &[], metadata), "lstm", &[]).unwrap();
        assert_eq!(found, sizes);
        assert!(!foreign.tensors.contains_key("head.weight"));
        holds(&foreign.notes.join("\n"), &["decoder.weight", "tie = true"]);
    }
    // The embedding's name is the one that is left.
    let mut entries = TIED;
    entries[4].0 = "encoder.weight";
    assert_eq!(taken(&entries).1, sizes);
    // Both are there, and equal.
    let mut entries = TIED.to_vec();
    entries.push(("encoder.weight", Dtype::F32, &[5, 2]));
    let same = [("encoder.weight", "decoder.weight")];
    let (foreign, found) = read(&bytes(&entries, &same, &[]), "lstm", &[]).unwrap();
    assert_eq!(found, sizes);
    holds(
        &foreign.notes.join("\n"),
        &["decoder.weight, encoder.weight: equal bit by bit"],
    );
    // Both are there, and differ.
    let (foreign, found) = taken(&entries);
    assert_eq!(
        found,
        ForeignSizes {
            tie: false,
            ..sizes
        }
    );
    assert_eq!(foreign.tensors.len(), 7);
    assert!(foreign.notes.is_empty(), "{:?}", foreign.notes);
}

#[test]
fn weights_that_layers_share_are_taken_with_a_note() {
    let stored: Vec<TensorEntry<'_>> = LSTM
        .into_iter()
        .filter(|e| e.0 != "rnn.weight_hh_l1")
        .collect();
    let shared = [("rnn.weight_hh_l1", "rnn.weight_hh_l0")];
    let (foreign, _) = read(&bytes(&stored, &[], &shared), "lstm", &[]).unwrap();
    let of = |name: &str| foreign.tensors[name].clone();
    assert_eq!(of("rnn.weight_hh_l1"), of("rnn.weight_hh_l0"));
    holds(
        &foreign.notes.join("\n"),
        &["rnn.weight_hh_l1: shared between layers"],
    );
    let many: Vec<String> = (0..99).map(|n| format!("x{n}.weight")).collect();
    let many: Vec<(&str, &str)> = many
        .iter()
        .map(|n| (n.as_str(), "decoder.weight"))
        .collect();
    let e = read(&bytes(&LSTM, &[], &many), "lstm", &[]).unwrap_err();
    holds(&e.message, &["99 names", "at most 64"]);
}

#[test]
fn without_biases_embedding_and_head_are_told_apart_by_widths_or_names() {
    let entries = |embed: &'static [usize], read: &'static [usize], first: &'static str| {
        let mut entries = TIED.to_vec();
        entries[0].2 = read;
        entries[5] = (first, Dtype::F32, embed);
        entries
    };
    for name in ["a.weight", "z.weight"] {
        let (foreign, sizes) = taken(&entries(&[5, 3], &[8, 3], name));
        assert_eq!((sizes.embed, sizes.tie), (3, false));
        assert_eq!(foreign.tensors["head.weight"].shape, [5, 2]);
        let bias = StoredTensor::f32([5], vec![0.0; 5]);
        assert_eq!(foreign.tensors["head.bias"], bias);
    }
    let (foreign, sizes) = taken(&entries(&[5, 2], &[8, 2], "tokens.weight"));
    assert_eq!((sizes.embed, sizes.tie), (2, false));
    assert_eq!(
        foreign.names.shown("embedding.weight"),
        "tokens.weight (embedding.weight)"
    );
    let message = refused(&entries(&[5, 2], &[8, 2], "a.weight"), "lstm");
    holds(
        &message,
        &["a.weight [5, 2]", "decoder.weight [5, 2]", "--ignore"],
    );
}

#[test]
fn layers_without_biases_get_zeros_and_a_note() {
    let bare: Vec<TensorEntry<'_>> = LSTM.into_iter().filter(|e| !e.0.contains("bias")).collect();
    let (foreign, sizes) = taken(&bare);
    assert_eq!((sizes.hidden, sizes.layers), (2, 2));
    for name in ["rnn.bias_ih_l0", "rnn.bias_hh_l1"] {
        assert_eq!(foreign.tensors[name], StoredTensor::f32([8], vec![0.0; 8]));
    }
    assert_eq!(
        foreign.tensors["head.bias"],
        StoredTensor::f32([5], vec![0.0; 5])
    );
    holds(
        &foreign.notes.join("\n"),
        &["layer 0, layer 1, the head", "bias=False"],
    );
    // One layer of a module cannot be without: its biases are missing.
    let some: Vec<TensorEntry<'_>> = LSTM
        .into_iter()
        .filter(|e| !e.0.contains("bias_ih_l1"))
        .collect();
    assert!(!taken(&some).0.tensors.contains_key("rnn.bias_ih_l1"));
    let some: Vec<TensorEntry<'_>> = LSTM
        .into_iter()
        .filter(|e| !(e.0.contains("bias") && e.0.ends_with("_l1")))
        .collect();
    assert!(!taken(&some).0.tensors.contains_key("rnn.bias_ih_l1"));
}

#[test]
fn what_a_model_has_no_place_for_is_refused_by_name_and_left_out_on_demand() {
    let mut entries = LSTM.to_vec();
    entries.extend([
        ("step", Dtype::I64, &[][..]),
        ("bn.num_batches_tracked", Dtype::I64, &[]),
        ("optimizer.lr", Dtype::F32, &[1]),
        ("norm.weight", Dtype::F32, &[2]),
        ("norm.bias", Dtype::F32, &[2]),
    ]);
    let message = refused(&entries, "lstm");
    holds(&message, &["--ignore norm.bias,norm.weight,optimizer.lr"]);
    let file = bytes(&entries, &[], &[]);
    let (foreign, _) = read(&file, "lstm", &["norm", "optimizer.lr"]).unwrap();
    assert_eq!(foreign.tensors, taken(&LSTM).0.tensors);
    holds(
        &foreign.notes.join("\n"),
        &["bn.num_batches_tracked, step: integers"],
    );
    let e = read(&file, "lstm", &["nor", "optimiser"]).unwrap_err();
    assert_eq!(e.kind, Kind::Usage);
    holds(
        &e.message,
        &[
            "--ignore optimiser: no such tensor; is it optimizer.lr?",
            "--ignore nor:",
        ],
    );
    assert_eq!(e.message.lines().count(), 2);
}

#[test]
fn a_refusal_says_the_true_reason() {
    let with = |more: &[TensorEntry<'static>]| {
        let mut entries = LSTM.to_vec();
        entries.extend(more);
        entries
    };
    for (name, reason) in [
        ("rnn.weight_hr_l0", "proj_size is not supported"),
        ("rnn.weight_ih_l0_reverse", "both directions of time"),
        ("rnn.weight_hh_l0_g", "weight normalisation"),
        (
            "rnn.parametrizations.weight_hh_l0.original0",
            "remove_parametrizations",
        ),
    ] {
        let message = refused(&with(&[(name, Dtype::F32, &[2, 2])]), "lstm");
        holds(&message, &[name, reason]);
    }
    // All of them at once.
    let both = [
        ("rnn.weight_hr_l0", Dtype::F32, &[2, 2][..]),
        ("rnn.bias_hh_l1_reverse", Dtype::F32, &[8]),
    ];
    holds(
        &refused(&with(&both), "lstm"),
        &["proj_size", "both directions"],
    );
    // Another cell's weights.
    let message = refused(&LSTM, "gru");
    holds(
        &message,
        &[
            "rnn.weight_hh_l0: [8, 2] has 4 gates of 2 units",
            "gru has 3",
            "--cell lstm",
        ],
    );
    // Layers of different sizes.
    let mut entries = LSTM;
    (entries[4].2, entries[5].2) = (&[12, 2], &[12, 3]);
    let message = refused(&entries, "lstm");
    holds(
        &message,
        &[
            "different sizes",
            "weight_hh_l0 hands on 2",
            "weight_hh_l1 3",
        ],
    );
    // What is read is neither one-hot nor embedded.
    let mut entries = LSTM;
    entries[0].2 = &[8, 4];
    holds(
        &refused(&entries, "lstm"),
        &["reads 4 values", "5 symbols", "embedding of width 4"],
    );
    // Two heads.
    let message = refused(
        &with(&[
            ("v.weight", Dtype::F32, &[5, 2]),
            ("v.bias", Dtype::F32, &[5]),
        ]),
        "lstm",
    );
    holds(
        &message,
        &[
            "one linear layer, the head",
            "decoder.weight [5, 2], v.weight [5, 2]",
        ],
    );
    // No recurrent layer at all.
    let message = refused(&[("lstm/kernel", Dtype::F32, &[2, 2])], "lstm");
    holds(&message, &["lstm/kernel"]);
    let message = refused(&LSTM[8..], "lstm");
    holds(&message, &["no recurrent weights", "decoder.weight"]);
}

#[test]
fn a_name_is_shown_to_a_bounded_length() {
    let long = "x".repeat(5000) + "\n";
    let mut entries = LSTM.to_vec();
    entries.push((&long, Dtype::F32, &[1]));
    assert!(refused(&entries, "lstm").len() < 1000);
}

#[test]
fn other_formats_are_named_with_the_way_out() {
    let zip = |member: &str| {
        let mut bytes = b"PK\x03\x04\0\0\0\0".to_vec();
        bytes.extend(member.as_bytes());
        bytes
    };
    let index = br#"{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}"#;
    let whole = bytes(&LSTM, &[], &[]);
    let cases: Vec<(Vec<u8>, &str, &[&str])> = vec![
        (
            zip("archive/data.pkl"),
            "m.pt",
            &[
                "torch.save",
                "torch.load(\"some/m.pt\"",
                "\"some/m.safetensors\")",
            ],
        ),
        (
            zip("m/data.pkl m/constants.pkl"),
            "m.pt",
            &["torch.jit.save"],
        ),
        (
            zip("w.npy"),
            "m.npz",
            &["NumPy archive", "numpy.load(\"some/m.npz\")"],
        ),
        (zip("model.weights.h5"), "m.keras", &["Keras"]),
        (zip("a.txt"), "m.zip", &["a zip archive"]),
        (
            b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(),
            "m.pth",
            &["torch.save", "torch.load(\"some/m.pth\""],
        ),
        (b"\x80\x04\x95".to_vec(), "m.pkl", &["a Python pickle"]),
        (b"\x93NUMPY\x01".to_vec(), "m.npy", &["NumPy array"]),
        (b"\x89HDF\r\n\x1a\n".to_vec(), "m.h5", &["HDF5", "Keras"]),
        (b"GGUF\x03\0\0\0".to_vec(), "m.gguf", &["GGUF"]),
        (b"\x08\x07\x12\x07pytorch\x1a".to_vec(), "m.bin", &["ONNX"]),
        (b"\xff".to_vec(), "m.onnx", &["ONNX"]),
        (b"\x04\0\0\0".to_vec(), "m.t7", &["Torch7"]),
        (
            b"version https://git-lfs.github.com/spec/v1\noid".to_vec(),
            "m.safetensors",
            &["Git LFS pointer", "git lfs pull"],
        ),
        (
            index.to_vec(),
            "m.safetensors.index.json",
            &[
                "2 files (m-1.safetensors, m-2.safetensors)",
                "open(\"m.safetensors.index.json\")",
                "\"m.safetensors\")",
            ],
        ),
        (b"{\"a\": 1}".to_vec(), "m.json", &["JSON"]),
        (
            b"<!DOCTYPE html><html>".to_vec(),
            "m.safetensors",
            &["a web page"],
        ),
        (vec![0x1f, 0x8b, 8], "m.gz", &["gzip"]),
        (Vec::new(), "m.safetensors", &["an empty file"]),
        (
            whole[..200].to_vec(),
            "m.safetensors",
            &["its header takes", "has 200", "cut short"],
        ),
        (
            whole[..whole.len() - 1].to_vec(),
            "m.safetensors",
            &["cut short"],
        ),
        (
            b"It was the best of times".to_vec(),
            "m.txt",
            &["a text, expected"],
        ),
        (vec![0xee; 40], "m.bin", &["no safetensors file"]),
    ];
    // A header's length may begin like anything: 640 bytes like a pickle.
    let mut pickled = vec![0x80, 2, 0, 0, 0, 0, 0, 0];
    pickled.extend_from_slice(&whole[8..200]);
    let cut = (
        pickled,
        "m.safetensors",
        &["takes 640 bytes", "cut short"][..],
    );
    for (bytes, name, parts) in cases.into_iter().chain([cut]) {
        let e = File::read(&bytes, &Path::new("some").join(name)).unwrap_err();
        assert_eq!(e.kind, Kind::Checkpoint, "{e}");
        assert!(e.message.starts_with(&format!("some/{name}: ")), "{e}");
        holds(&e.message, parts);
    }
    assert!(File::read(&whole, Path::new("m")).is_ok());
}
