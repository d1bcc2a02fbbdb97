//! Which recurrent layer a foreign tensor belongs to, by its name: PyTorch's, under any prefix; one module of many
//! layers, or one numbered module a layer.

use std::collections::{BTreeMap, BTreeSet};

use super::{list, shown};
use crate::error::{Error, Result};

/// The parameters of `LSTMCell`, `GRUCell` and `RNNCell`, whose names have no layer.
const OF_CELLS: [&str; 4] = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"];

/// Parts of a name that a wrapper adds: `DataParallel` and weight drop, `torch.compile`.
const WRAPPERS: [&str; 2] = ["module", "_orig_mod"];

/// A parameter of a recurrent layer, by its name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ParameterName<'a> {
    /// The whole name.
    pub name: &'a str,
    /// What stands before the parameter, without wrappers.
    stem: String,
    /// The parameter without its layer: `weight_ih`.
    what: &'a str,
    /// The layer within its module.
    layer: usize,
    /// Whether it is what a weight drop keeps, from which the weight itself is made.
    raw: bool,
}

/// The recurrent layers' parameters under our names.
pub(super) struct RecurrentParameters<'a> {
    /// Our name, and theirs.
    pub names: BTreeMap<String, &'a str>,
    /// Whether every layer is a module of its own.
    pub apart: bool,
    /// What was decided and a user should know.
    pub notes: Vec<String>,
}

/// The name of our parameter `what` of a layer.
pub(super) fn ours(what: &str, layer: usize) -> String {
    format!("rnn.{what}_l{layer}")
}

/// The layer of one of our recurrent parameters: 1 for `rnn.weight_ih_l1`.
pub(super) fn layer_of(ours: &str) -> Option<usize> {
    split_layer(ours.strip_prefix("rnn.")?).map(|(_, layer)| layer)
}

/// `weight_ih_l1` as `weight_ih` and 1.
fn split_layer(what: &str) -> Option<(&str, usize)> {
    let (what, layer) = what.rsplit_once("_l")?;
    let digits = layer.bytes().all(|b| b.is_ascii_digit());
    (digits && !what.is_empty()).then(|| layer.parse().ok().map(|layer| (what, layer)))?
}

/// A name as a recurrent parameter's; none where it is another's.
pub(super) fn part(name: &str) -> Option<ParameterName<'_>> {
    let (stem, last) = name.rsplit_once('.').unwrap_or(("", name));
    let (last, raw) = match last.strip_suffix("_raw") {
        Some(last) => (last, true),
        None => (last, false),
    };
    let (what, layer) = match split_layer(last) {
        Some(split) => split,
        None if OF_CELLS.contains(&last) => (last, 0),
        None => return None,
    };
    let stem: Vec<&str> = stem
        .split('.')
        .filter(|part| !WRAPPERS.contains(part))
        .collect();
    Some(ParameterName {
        name,
        stem: stem.join("."),
        what,
        layer,
        raw,
    })
}

/// Why a recurrent parameter of that name cannot be taken over, where its name says so.
pub(super) fn refusal(name: &str) -> Option<&'static str> {
    let last = name.rsplit('.').next().unwrap_or(name);
    let plain = |suffix: &str| {
        let rest = last.strip_suffix(suffix);
        rest.is_some_and(|rest| split_layer(rest).is_some())
    };
    if plain("_reverse") {
        Some(
            "layers in both directions of time are not supported: a model that predicts the next token would see it",
        )
    } else if split_layer(last).is_some_and(|(what, _)| what == "weight_hr") {
        Some("proj_size is not supported: expected layers that hand on their hidden state as it is")
    } else if plain("_g") || plain("_v") {
        Some(
            "weight normalisation is not supported: save the module after torch.nn.utils.remove_weight_norm",
        )
    } else if name.split('.').any(|part| part == "parametrizations") {
        Some(
            "a parametrized weight is not supported: save the module after \
             torch.nn.utils.parametrize.remove_parametrizations",
        )
    } else {
        None
    }
}

/// Puts the parameters of all layers into one stack.
///
/// # Errors
/// Checkpoint: several stacks; numbered modules with a gap between them, or with several layers each; two parameters of
/// one name.
pub(super) fn stack<'a>(parts: &[ParameterName<'a>]) -> Result<RecurrentParameters<'a>> {
    let stems: BTreeSet<&str> = parts.iter().map(|p| p.stem.as_str()).collect();
    let order = order(&stems)?;
    let apart = order.len() > 1;
    let mut layers = RecurrentParameters {
        names: BTreeMap::new(),
        apart,
        notes: Vec::new(),
    };
    if apart {
        if let Some(deep) = parts.iter().find(|p| p.layer > 0) {
            return Err(Error::checkpoint(format!(
                "{}: expected one layer in each of the modules {}",
                shown(deep.name),
                list(order)
            )));
        }
        layers.notes.push(format!(
            "layers, from the bottom: {}",
            list(order.iter().copied())
        ));
    }
    let key = |part: &ParameterName<'_>| {
        let place = order.iter().position(|stem| *stem == part.stem);
        ours(part.what, place.unwrap_or(0) + part.layer)
    };
    // A weight drop makes the weight from what it keeps, and where nothing is dropped the two are equal.
    let (raw, plain): (Vec<&ParameterName<'a>>, Vec<&ParameterName<'a>>) =
        parts.iter().partition(|p| p.raw);
    let mut taken: Vec<&str> = Vec::new();
    for part in raw {
        insert(&mut layers.names, key(part), part.name)?;
        taken.push(part.name);
    }
    let dropped: BTreeSet<String> = layers.names.keys().cloned().collect();
    for part in plain {
        let key = key(part);
        if !dropped.contains(&key) {
            insert(&mut layers.names, key, part.name)?;
        }
    }
    if !taken.is_empty() {
        layers.notes.push(format!(
            "{}: taken as the weight itself, without the weight drop that it was trained with (--dropout-weights)",
            list(taken)
        ));
    }
    Ok(layers)
}

fn insert<'a>(names: &mut BTreeMap<String, &'a str>, ours: String, theirs: &'a str) -> Result<()> {
    match names.get(&ours) {
        Some(first) => Err(Error::checkpoint(format!(
            "{}: a second {ours} beside {}",
            shown(theirs),
            shown(first)
        ))),
        None => {
            names.insert(ours, theirs);
            Ok(())
        }
    }
}

/// The modules from the lowest layer to the highest: one, or several whose names differ in one number alone.
fn order<'s>(stems: &BTreeSet<&'s str>) -> Result<Vec<&'s str>> {
    let several = || {
        Error::checkpoint(format!(
            "recurrent weights stand under {}: expected one stack of layers, or modules that one number tells apart; \
             --ignore leaves a module out",
            list(
                stems
                    .iter()
                    .map(|stem| if stem.is_empty() { "no prefix" } else { *stem })
            )
        ))
    };
    let all: Vec<Vec<&str>> = stems.iter().map(|stem| tokens(stem)).collect();
    let [first, others @ ..] = &all[..] else {
        return Ok(Vec::new());
    };
    if others.is_empty() {
        return Ok(stems.iter().copied().collect());
    }
    let differs = |at: usize| all.iter().any(|one| one[at] != first[at]);
    if all.iter().any(|one| one.len() != first.len()) {
        return Err(several());
    }
    let places: Vec<usize> = (0..first.len()).filter(|at| differs(*at)).collect();
    let [place] = places[..] else {
        return Err(several());
    };
    let mut numbered = Vec::new();
    for (stem, tokens) in stems.iter().zip(&all) {
        let number: u64 = tokens[place].parse().map_err(|_| several())?;
        numbered.push((number, *stem));
    }
    numbered.sort_unstable();
    let follows = |pair: &[(u64, &str)]| pair[0].0.checked_add(1) == Some(pair[1].0);
    let gap = numbered.windows(2).find(|pair| !follows(pair));
    match gap {
        Some(pair) => Err(Error::checkpoint(format!(
            "expected modules that are numbered one after another, found {} and then {}",
            shown(pair[0].1),
            shown(pair[1].1)
        ))),
        None => Ok(numbered.into_iter().map(|(_, stem)| stem).collect()),
    }
}

/// A name cut into runs of digits and what stands between them.
fn tokens(name: &str) -> Vec<&str> {
    let digit = |c: char| c.is_ascii_digit();
    let mut tokens = Vec::new();
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let kind = digit(c);
        let end = rest.find(|c| digit(c) != kind).unwrap_or(rest.len());
        let (token, after) = rest.split_at(end);
        tokens.push(token);
        rest = after;
    }
    tokens
}
