//! Reads the golden values of this folder (README.md says what they are) and compares numbers with them.
//!
//! For tests only: a missing file or tensor is a panic that names it.

// Every test crate that has this module uses its own part of it.
#![allow(dead_code)]

use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// One golden file.
pub struct Golden {
    /// The file's name without its ending.
    pub name: String,
    /// Name -> shape and values in row-major order; `ids` too, as floats.
    pub tensors: HashMap<String, (Vec<usize>, Vec<f64>)>,
    /// The `settings` of the file's metadata: sizes, seed, optimisers.
    pub settings: serde_json::Value,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// The names of all golden files, sorted.
pub fn names() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).unwrap_or_else(|e| panic!("tests/golden: {e}"));
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|file| file.strip_suffix(".safetensors").map(str::to_owned))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "tests/golden holds no *.safetensors");
    names
}

/// The golden file `name`.
pub fn load(name: &str) -> Golden {
    let path = folder().join(format!("{name}.safetensors"));
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let file = SafeTensors::deserialize(&bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let metadata = header
        .metadata()
        .as_ref()
        .unwrap_or_else(|| panic!("{name}: no metadata"));
    let settings = serde_json::from_str(&metadata["settings"]).unwrap();
    let tensors = file
        .iter()
        .map(|(tensor, view)| {
            let words = view
                .data()
                .chunks_exact(8)
                .map(|chunk| <[u8; 8]>::try_from(chunk).unwrap());
            let values = match view.dtype() {
                Dtype::F64 => words.map(f64::from_le_bytes).collect(),
                Dtype::I64 => words.map(|word| i64::from_le_bytes(word) as f64).collect(),
                other => panic!("{name}: {tensor}: expected F64 or I64, found {other:?}"),
            };
            (tensor.to_owned(), (view.shape().to_vec(), values))
        })
        .collect();
    Golden {
        name: name.to_owned(),
        tensors,
        settings,
    }
}

impl Golden {
    fn tensor(&self, name: &str) -> &(Vec<usize>, Vec<f64>) {
        let found = self.tensors.get(name);
        found.unwrap_or_else(|| panic!("{}: no tensor `{name}`", self.name))
    }

    /// Whether the file holds tensor `name`.
    pub fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The values of tensor `name`, row-major.
    pub fn get(&self, name: &str) -> &[f64] {
        &self.tensor(name).1
    }

    /// The shape of tensor `name`.
    pub fn shape(&self, name: &str) -> &[usize] {
        &self.tensor(name).0
    }

    /// The token ids [T+1, B].
    pub fn ids(&self) -> Vec<u32> {
        self.get("ids").iter().map(|&id| id as u32).collect()
    }

    /// A size or count of the settings: `layers`, `V`, `H`, `B`, `T`, `seed`, `steps`.
    pub fn size(&self, key: &str) -> usize {
        let value = self.settings[key].as_u64();
        value.unwrap_or_else(|| panic!("{}: settings hold no number `{key}`", self.name)) as usize
    }

    /// The cell's name: `rnn`, `rnn-relu`, `lstm` or `gru`, or one of them with `-ln`.
    pub fn cell(&self) -> &str {
        self.settings["cell"].as_str().expect("settings: cell")
    }

    /// The embedding's width, or none for one-hot input.
    pub fn embed(&self) -> Option<usize> {
        self.settings["embed"].as_u64().map(|width| width as usize)
    }

    /// Whether the head's weight is the embedding's.
    pub fn tied(&self) -> bool {
        self.settings["tied"].as_bool().expect("settings: tied")
    }

    /// Whether the model has an extra: `bidirectional`, `layer_norm`, `residual` or `skip`.
    pub fn extra(&self, key: &str) -> bool {
        match self.settings.get(key) {
            None => false,
            Some(value) => value.as_bool().unwrap_or_else(|| panic!("settings: {key}")),
        }
    }

    /// The width of the linear layer after every recurrent layer; 0 for none.
    pub fn project(&self) -> usize {
        match self.settings.get("project") {
            None => 0,
            Some(_) => self.size("project"),
        }
    }

    /// The directions of a layer: 1 or 2.
    pub fn directions(&self) -> usize {
        1 + usize::from(self.extra("bidirectional"))
    }

    /// Whether recurrent layers and a head are all there is between ids and scores.
    pub fn is_plain(&self) -> bool {
        let extras = ["bidirectional", "layer_norm", "residual", "skip"];
        self.project() == 0 && !extras.iter().any(|key| self.extra(key))
    }

    /// The names of the parameters, sorted: those that have a gradient, without the initial states.
    pub fn parameters(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .tensors
            .keys()
            .filter_map(|name| name.strip_prefix("grad."))
            .filter(|name| !matches!(*name, "h0" | "c0"))
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    }

    /// Panics unless `got` is tensor `name` to `tolerance`; gives the worst error (see [`assert_close`]).
    pub fn assert_close(&self, name: &str, got: &[f64], tolerance: f64) -> f64 {
        let what = format!("{}: {name}", self.name);
        assert_close(&what, got, self.get(name), tolerance)
    }
}

/// Panics unless every |got - want| <= tolerance * max(|want|, the root mean square of all of `want`), naming the first
/// five elements that are off. An element far below its tensor's size is held to the size: it came out of a
/// cancellation of terms that large. A NaN fails. Gives the largest error, as a share of what `tolerance` multiplies.
pub fn assert_close(what: &str, got: &[f64], want: &[f64], tolerance: f64) -> f64 {
    assert_eq!(got.len(), want.len(), "{what}: number of elements");
    let scale = (want.iter().map(|w| w * w).sum::<f64>() / want.len().max(1) as f64).sqrt();
    let close = |g: f64, w: f64| (g - w).abs() <= tolerance * w.abs().max(scale);
    let wrong: Vec<String> = (0..got.len())
        .filter(|&i| !close(got[i], want[i]))
        .map(|i| format!("  [{i}] got {:e}, want {:e}", got[i], want[i]))
        .collect();
    if !wrong.is_empty() {
        panic!(
            "{what}: {} of {} elements differ by more than {tolerance:e}:\n{}",
            wrong.len(),
            got.len(),
            wrong[..wrong.len().min(5)].join("\n")
        );
    }
    let error = |(g, w): (&f64, &f64)| {
        let off = (g - w).abs();
        // Where both are zero there is nothing to be a share of.
        if off == 0.0 {
            0.0
        } else {
            off / w.abs().max(scale)
        }
    };
    got.iter().zip(want).map(error).fold(0.0, f64::max)
}
