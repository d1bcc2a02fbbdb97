//! Weights that another program saved: the tensors of a PyTorch module under our names, and the sizes that follow from
//! their shapes.

use std::collections::{BTreeMap, BTreeSet};

use safetensors::{Dtype, SafeTensors};

use super::checkpoint::Tensor;
use crate::cell::Cell;
use crate::error::{Error, Result};

/// Names of tensors that an error lists.
const SHOWN: usize = 30;

/// The tensors of a foreign file under our names, as f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreign {
    /// The tensors.
    pub tensors: BTreeMap<String, Tensor>,
}

/// What the shapes of foreign tensors say about their model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// H.
    pub hidden: usize,
    /// Recurrent layers.
    pub layers: usize,
    /// The embedding's width; 0 for none.
    pub embed: usize,
    /// V, where the head has a bias.
    pub symbols: Option<usize>,
    /// Whether the head's weight is the embedding's.
    pub tie: bool,
}

impl Foreign {
    /// The tensors of a safetensors file.
    ///
    /// # Errors
    /// Checkpoint: recurrent weights under several prefixes, two tensors of one name, elements that are no floats.
    pub fn read(file: &SafeTensors<'_>) -> Result<Foreign> {
        Ok(Foreign {
            tensors: rename(file)?,
        })
    }

    /// The sizes of a model of `cell` that has these tensors.
    ///
    /// # Errors
    /// Data, where the cell multiplies nothing; Checkpoint, where its first weight is missing or its shape does not fit.
    pub fn sizes(&self, cell: &Cell) -> Result<Sizes> {
        let tensors = &self.tensors;
        let shape = |name: &str| tensors.get(name).map(|t| t.shape.clone());
        let Some(source) = cell.sources.first() else {
            return Err(Error::data(format!("{}: multiplies nothing", cell.name)));
        };
        let first = format!("rnn.{}_l0", source.weight);
        let hidden = match shape(&first).as_deref() {
            Some([rows, _]) if *rows > 0 && rows % source.lanes.len() == 0 => {
                rows / source.lanes.len()
            }
            Some(found) => {
                return Err(Error::checkpoint(format!(
                    "{first}: expected [{} H, D] for cell {}, found {found:?}",
                    source.lanes.len(),
                    cell.name
                )));
            }
            None => {
                let known: Vec<String> = { tensors.keys().take(SHOWN) }
                    .map(|name| name.escape_debug().to_string())
                    .collect();
                let more = match tensors.len().saturating_sub(SHOWN) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                return Err(Error::checkpoint(format!(
                    "{first}: missing; found {}{more}",
                    known.join(", ")
                )));
            }
        };
        let layers = { tensors.keys() }
            .filter_map(|name| layer_of(name))
            .max()
            .map_or(0, |l| l.saturating_add(1));
        let embed = match shape("embedding.weight").as_deref() {
            Some([_, width]) => *width,
            _ => 0,
        };
        Ok(Sizes {
            hidden,
            layers,
            embed,
            symbols: shape("head.bias").and_then(|s| s.first().copied()),
            tie: embed > 0 && !tensors.contains_key("head.weight"),
        })
    }
}

/// The layer of a recurrent parameter: 1 for `weight_ih_l1`.
fn layer_of(name: &str) -> Option<usize> {
    let (_, layer) = name.rsplit_once("_l")?;
    layer.parse().ok()
}

/// The tensors under our names: recurrent ones by PyTorch's names under any prefix, the head by its bias, the embedding
/// by having none.
fn rename(file: &SafeTensors<'_>) -> Result<BTreeMap<String, Tensor>> {
    let names: Vec<&str> = file.names().into_iter().collect();
    let stem = |name: &str| name.rsplit_once('.').map(|(stem, _)| stem.to_string());
    let last = |name: &str| name.rsplit('.').next().unwrap_or(name).to_string();
    let prefixes: BTreeSet<Option<String>> = names
        .iter()
        .filter(|n| layer_of(n).is_some())
        .map(|n| stem(n))
        .collect();
    if prefixes.len() > 1 {
        return Err(Error::checkpoint(
            "recurrent weights stand under several prefixes, expected one stack of layers",
        ));
    }
    let mut tensors = BTreeMap::new();
    for name in &names {
        let ours = if layer_of(name).is_some() {
            format!("rnn.{}", last(name))
        } else {
            let stem = stem(name);
            let beside = |what: &str| {
                let other = stem
                    .as_ref()
                    .map_or(what.to_string(), |s| format!("{s}.{what}"));
                names.contains(&other.as_str())
            };
            match last(name).as_str() {
                "bias" => "head.bias".to_string(),
                "weight" if beside("bias") => "head.weight".to_string(),
                "weight" => "embedding.weight".to_string(),
                _ => name.to_string(),
            }
        };
        if tensors.insert(ours.clone(), tensor(file, name)?).is_some() {
            return Err(Error::checkpoint(format!(
                "{}: a second {ours}",
                name.escape_debug()
            )));
        }
    }
    Ok(tensors)
}

/// A tensor as f32.
fn tensor(file: &SafeTensors<'_>, name: &str) -> Result<Tensor> {
    let shown = name.escape_debug();
    let view = file
        .tensor(name)
        .map_err(|e| Error::checkpoint(format!("{shown}: {e}")))?;
    let bytes = view.data();
    let data: Vec<f32> = match view.dtype() {
        Dtype::F32 => {
            let (words, _) = bytes.as_chunks();
            words.iter().map(|w| f32::from_le_bytes(*w)).collect()
        }
        Dtype::F64 => {
            let (words, _) = bytes.as_chunks();
            words
                .iter()
                .map(|w| f64::from_le_bytes(*w) as f32)
                .collect()
        }
        Dtype::BF16 => {
            let (words, _) = bytes.as_chunks();
            let wide = |w: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(*w)) << 16);
            words.iter().map(wide).collect()
        }
        other => {
            return Err(Error::checkpoint(format!(
                "{shown}: expected F32, F64 or BF16, found {other}"
            )));
        }
    };
    Ok(Tensor::f32(view.shape(), data))
}
