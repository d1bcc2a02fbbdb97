//! Weights that another program saved: the tensors of a PyTorch module under our names, and the sizes that follow from
//! their shapes.

mod file;
mod layers;
mod matrices;
#[cfg(test)]
mod tests;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use safetensors::tensor::TensorView;

use super::checkpoint::StoredTensor;
use crate::cell::{Cell, SourceKind, VectorKind};
use crate::error::{Error, Result, nearest};
pub use file::File;
use layers::{layer_of, ours};
use matrices::{Named, Widths};

/// Names of tensors that a message lists.
const SHOWN: usize = 30;
/// Characters of a name that a message shows.
const WIDE: usize = 200;
/// Names of a tensor beside the one that it is stored under; a module of any size has a few.
const ALIASES: usize = 64;

/// The tensors of a foreign file under our names, as f32.
#[derive(Clone, Debug, PartialEq)]
pub struct Foreign {
    /// The tensors.
    pub tensors: BTreeMap<String, StoredTensor>,
    /// What was decided and a user should know, a line each.
    pub notes: Vec<String>,
    /// What the file calls them.
    pub names: Names,
    /// Whether the embedding is the head's weight too.
    tied: bool,
}

/// The names that tensors have in the file that they come from, by ours; none where they have no other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names(BTreeMap<String, String>);

/// What the shapes of foreign tensors say about their model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignSizes {
    /// H.
    pub hidden: usize,
    /// Recurrent layers.
    pub layers: usize,
    /// The embedding's width; 0 for none.
    pub embed: usize,
    /// V, where a head or an embedding says so.
    pub symbols: Option<usize>,
    /// Whether the head's weight is the embedding's.
    pub tie: bool,
}

/// A file's tensors by name, those too that it has under a second name.
struct FileTensors<'a> {
    views: BTreeMap<&'a str, TensorView<'a>>,
}

impl Foreign {
    /// The tensors of a model of `cell` in a file, without those that `ignore` names: by their whole names, or by a
    /// beginning that ends before a dot. Integers that are no weights are left out; biases that no layer has are zero.
    ///
    /// # Errors
    /// Usage: a name to ignore that no tensor has. Checkpoint: layers or parts that a model cannot have, more or other
    /// tensors than it has, elements that are no floats.
    pub fn read(file: &File<'_>, cell: &Cell, ignore: &[String]) -> Result<Foreign> {
        let (mut stored, mut notes) = FileTensors::new(file)?;
        stored.leave_out(ignore)?;
        notes.extend(stored.leave_out_integers());
        stored.refuse()?;

        let parts: Vec<layers::ParameterName<'_>> = stored
            .views
            .keys()
            .filter_map(|n| layers::part(n))
            .collect();
        let recurrent = layers::stack(&parts)?;
        notes.extend(recurrent.notes);
        let (weights, biases) = stored.matrices()?;
        let shape = |name: &str| {
            let theirs = recurrent.names.get(name)?;
            stored.views.get(theirs).map(|view| view.shape())
        };
        let head = matrices::choose(&weights, &biases, widths(cell, shape))?;
        notes.extend(head.notes);

        let mut names = recurrent.names;
        for (ours, theirs) in [
            ("embedding.weight", head.embedding),
            ("head.weight", head.weight),
            ("head.bias", head.bias),
        ] {
            if let Some(theirs) = theirs {
                names.insert(ours.into(), theirs);
            }
        }
        let mut foreign = Foreign {
            tensors: BTreeMap::new(),
            notes,
            names: Names::default(),
            tied: head.tied,
        };
        let mut rounded = Vec::new();
        for (ours, theirs) in &names {
            let view = &stored.views[theirs];
            let (data, inexact) = values::floats(theirs, view)?;
            if inexact {
                rounded.push(*theirs);
            }
            foreign
                .tensors
                .insert(ours.clone(), StoredTensor::f32(view.shape(), data));
            foreign.names.0.insert(ours.clone(), theirs.to_string());
        }
        if !rounded.is_empty() {
            foreign
                .notes
                .push(format!("{}: F64, rounded to F32", list(rounded)));
        }
        foreign.fill_biases(cell, recurrent.apart);
        Ok(foreign)
    }

    /// The sizes of a model of `cell` that has these tensors.
    ///
    /// # Errors
    /// Data, where the cell multiplies nothing; Checkpoint, where its first weight is missing, has the gates of another
    /// cell, or reads or makes other widths than the rest.
    pub fn sizes(&self, cell: &Cell) -> Result<ForeignSizes> {
        let shape = |name: &str| self.tensors.get(name).map(|t| t.shape.as_slice());
        let layers = self
            .tensors
            .keys()
            .filter_map(|name| layer_of(name))
            .max()
            .map_or(0, |l| l.saturating_add(1));
        if layers == 0 {
            return Err(Error::checkpoint(format!(
                "no recurrent weights by PyTorch's names (weight_ih_l0); found {}",
                if self.names.0.is_empty() {
                    "nothing else".into()
                } else {
                    list(self.names.0.values().map(String::as_str))
                }
            )));
        }
        let hidden = self.hidden(cell, layers)?;
        let embed = match shape("embedding.weight") {
            Some([_, width]) => *width,
            _ => 0,
        };
        let first = |name: &str| shape(name).and_then(|s| s.first().copied());
        let symbols = ["head.weight", "embedding.weight", "head.bias"]
            .into_iter()
            .find_map(first);
        let input = widths(cell, shape).input;
        if let (0, Some(symbols), Some(input)) = (embed, symbols, input)
            && symbols != input
        {
            return Err(Error::checkpoint(format!(
                "{} reads {input} values: expected one-hot vectors of the head's {symbols} symbols, or an embedding of width \
                 {input}, found neither",
                self.names.shown(&ours(&cell.sources[0].weight, 0)),
            )));
        }
        Ok(ForeignSizes {
            hidden,
            layers,
            embed,
            symbols,
            tie: self.tied,
        })
    }

    /// H, the same in all layers.
    fn hidden(&self, cell: &Cell, layers: usize) -> Result<usize> {
        let Some(source) = cell.sources.first() else {
            return Err(Error::data(format!("{}: multiplies nothing", cell.name)));
        };
        // A weight of a state is as wide as the state, whatever the cell; that of the input is as high as its gates.
        let states = |kind: SourceKind| matches!(kind, SourceKind::Previous(_));
        let recurrent = cell.sources.iter().find(|s| states(s.kind));
        let mut hidden = None;
        if let Some(source) = recurrent {
            // Tensors, not layers, are counted: a name can speak of any layer.
            let of_layers = self.tensors.iter().filter_map(|(name, tensor)| {
                let layer = layer_of(name)?;
                (ours(&source.weight, layer) == *name).then_some((layer, name, tensor))
            });
            let mut first: Option<(&String, usize)> = None;
            for (_, name, tensor) in of_layers {
                let width = self.width_of(cell, name, tensor, source.gates.len())?;
                match first {
                    Some((other, before)) if before != width => {
                        return Err(Error::checkpoint(format!(
                            "layers of different sizes are not supported: {} hands on {before} values, {} {width}",
                            self.names.shown(other),
                            self.names.shown(name)
                        )));
                    }
                    Some(_) => {}
                    None => first = Some((name, width)),
                }
            }
            hidden = first.map(|(_, width)| width);
        }
        if let Some(hidden) = hidden {
            return Ok(hidden);
        }
        let (name, gates) = (ours(&source.weight, 0), source.gates.len());
        match self.tensors.get(&name).map(|t| &t.shape[..]) {
            Some([rows, _]) if *rows > 0 && rows % gates == 0 => Ok(rows / gates),
            Some(found) => Err(Error::checkpoint(format!(
                "{}: expected [{gates} H, D] for cell {}, found {found:?}",
                self.names.shown(&name),
                cell.name
            ))),
            None => Err(Error::checkpoint(format!(
                "{name}: missing among the weights of {layers} layers; found {}",
                list(self.names.0.values().map(String::as_str))
            ))),
        }
    }

    /// The width of the state that a weight [gates * H, H] multiplies.
    fn width_of(
        &self,
        cell: &Cell,
        name: &str,
        tensor: &StoredTensor,
        gates: usize,
    ) -> Result<usize> {
        let shown = self.names.shown(name);
        let [rows, cols] = tensor.shape[..] else {
            return Err(Error::checkpoint(format!(
                "{shown}: expected [{gates} H, H] for cell {}, found {:?}",
                cell.name, tensor.shape
            )));
        };
        if cols > 0 && gates.checked_mul(cols) == Some(rows) {
            return Ok(cols);
        }
        if cols == 0 || rows == 0 || rows % cols != 0 {
            return Err(Error::checkpoint(format!(
                "{shown}: expected [{gates} H, H] for cell {}, found [{rows}, {cols}]",
                cell.name
            )));
        }
        let found = rows / cols;
        let hint = match found {
            1 => "; is it --cell rnn or rnn-relu?",
            3 => "; is it --cell gru?",
            4 => "; is it --cell lstm?",
            _ => "",
        };
        let plural = if found == 1 { "" } else { "s" };
        Err(Error::checkpoint(format!(
            "{shown}: [{rows}, {cols}] has {found} gate{plural} of {cols} units, cell {} has {gates}{hint}",
            cell.name
        )))
    }

    /// Puts zeros where a whole model, or a layer that is a module of its own, has no biases, and where the head has none.
    fn fill_biases(&mut self, cell: &Cell, apart: bool) {
        let mut gates: BTreeMap<&str, usize> = BTreeMap::new();
        for vector in &cell.vectors {
            if matches!(vector.kind, VectorKind::Bias { .. }) {
                *gates.entry(vector.parameter()).or_default() += 1;
            }
        }
        let recurrent = cell
            .sources
            .iter()
            .find(|s| matches!(s.kind, SourceKind::Previous(_)));
        let source = recurrent.or(cell.sources.first());
        let has = |layer: usize| {
            gates
                .keys()
                .any(|what| self.tensors.contains_key(&ours(what, layer)))
        };
        let layers: BTreeSet<usize> = self
            .tensors
            .keys()
            .filter_map(|name| layer_of(name))
            .collect();
        let without: Vec<usize> = layers.iter().copied().filter(|l| !has(*l)).collect();
        let meant = apart || without.len() == layers.len();
        let mut filled = Vec::new();
        if let (true, Some(source)) = (meant && !gates.is_empty(), source) {
            for layer in without {
                // The zeros are fewer than the weight's elements, whatever a file says.
                let Some(weight) = self.tensors.get(&ours(&source.weight, layer)) else {
                    continue;
                };
                let rows = match weight.shape[..] {
                    [rows, cols] if rows > 0 && cols > 0 => rows,
                    _ => continue,
                };
                let hidden = rows / source.gates.len();
                for (what, gates) in &gates {
                    let zeros = StoredTensor::f32([gates * hidden], vec![0.0; gates * hidden]);
                    self.tensors.insert(ours(what, layer), zeros);
                }
                filled.push(format!("layer {layer}"));
            }
        }
        let weight = ["head.weight", "embedding.weight"]
            .iter()
            .find_map(|n| self.tensors.get(*n));
        if let Some([rows, cols]) = weight.map(|w| &w.shape[..])
            && *cols > 0
            && !self.tensors.contains_key("head.bias")
        {
            let zeros = StoredTensor::f32([*rows], vec![0.0; *rows]);
            self.tensors.insert("head.bias".into(), zeros);
            filled.push("the head".into());
        }
        if !filled.is_empty() {
            self.notes.push(format!(
                "no biases in {} (bias=False): they are zero here, which computes the same, but training on learns them",
                list(filled.iter().map(String::as_str))
            ));
        }
    }
}

impl Names {
    /// An error about tensors, a line each that begins with our name, with the file's names before ours.
    pub fn translate(&self, e: Error) -> Error {
        let lines = e.message.lines().map(|line| match line.split_once(": ") {
            Some((name, what)) => format!("{}: {what}", self.shown(name)),
            None => line.to_string(),
        });
        Error::new(e.kind, lines.collect::<Vec<_>>().join("\n"))
    }

    /// The file's name of one of our tensors, with ours where the two differ.
    fn shown(&self, ours: &str) -> String {
        match self.0.get(ours) {
            Some(theirs) if theirs != ours => format!("{} ({ours})", shown(theirs)),
            _ => ours.to_string(),
        }
    }
}

impl<'a> FileTensors<'a> {
    /// All tensors of a file under all their names, and what is to be said of shared ones.
    fn new(file: &'a File<'a>) -> Result<(FileTensors<'a>, Vec<String>)> {
        let mut views: BTreeMap<&str, TensorView<'a>> = file.tensors.iter().collect();
        // safetensors' save_model stores a shared tensor once, and its other names in the metadata.
        let mut shared = BTreeSet::new();
        for (name, stored) in &file.metadata {
            if let Ok(view) = file.tensors.tensor(stored)
                && !views.contains_key(name.as_str())
            {
                views.insert(name, view);
                shared.insert(name.as_str());
            }
        }
        if shared.len() > ALIASES {
            return Err(Error::checkpoint(format!(
                "{} names stand for other tensors by the metadata, expected at most {ALIASES}",
                shared.len()
            )));
        }
        // An embedding and a head that are one are a matter of their own.
        shared.retain(|name| layers::part(name).is_some());
        let notes = if shared.is_empty() {
            Vec::new()
        } else {
            vec![format!(
                "{}: shared between layers, which is not supported: equal as they stand, but training on parts them",
                list(shared)
            )]
        };
        Ok((FileTensors { views }, notes))
    }

    /// Takes out what a user names.
    fn leave_out(&mut self, ignore: &[String]) -> Result<()> {
        let mut faults = Vec::new();
        for pattern in ignore {
            let meant = |name: &str| {
                name.strip_prefix(pattern.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            let all = self.views.keys().copied();
            let hint =
                nearest(pattern, all).map_or(String::new(), |n| format!("; is it {}?", shown(n)));
            if !self.views.keys().any(|name| meant(name)) {
                faults.push(format!("--ignore {}: no such tensor{hint}", shown(pattern)));
            }
            self.views.retain(|name, _| !meant(name));
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Error::usage(faults.join("\n")))
        }
    }

    /// Takes out integers that are no weight by their name, and says which.
    fn leave_out_integers(&mut self) -> Vec<String> {
        let counts = |name: &str, view: &TensorView<'_>| {
            let weight = matches!(last(name), "weight" | "bias") || layers::part(name).is_some();
            values::is_integer(view.dtype()) && !weight
        };
        let out: Vec<&str> = self
            .views
            .iter()
            .filter(|(name, view)| counts(name, view))
            .map(|(name, _)| *name)
            .collect();
        self.views.retain(|name, view| !counts(name, view));
        if out.is_empty() {
            Vec::new()
        } else {
            vec![format!("{}: integers, no weights, left out", list(out))]
        }
    }

    /// Refuses what a model cannot have.
    fn refuse(&self) -> Result<()> {
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for name in self.views.keys() {
            if let Some(reason) = layers::refusal(name) {
                reasons.entry(reason).or_default().push(name);
            }
        }
        let reasons: Vec<String> = reasons
            .into_iter()
            .map(|(reason, names)| format!("{}: {reason}", list(names)))
            .collect();
        if reasons.is_empty() {
            Ok(())
        } else {
            Err(Error::checkpoint(reasons.join("; ")))
        }
    }

    /// Matrices called `weight`, and the biases that can belong to them.
    ///
    /// # Errors
    /// Checkpoint: anything else that is no recurrent layer's.
    fn matrices(&self) -> Result<(Vec<Named<'a>>, Vec<Named<'a>>)> {
        let (mut weights, mut biases, mut others) = (Vec::new(), Vec::new(), Vec::new());
        let all = self
            .views
            .iter()
            .filter(|(name, _)| layers::part(name).is_none());
        for (name, view) in all {
            let named = Named {
                name,
                stem: name.rsplit_once('.').map_or("", |(stem, _)| stem),
                view: view.clone(),
            };
            // Beside a weight that is no matrix, a bias is that of a normalisation.
            let weight = || self.views.get(format!("{}.weight", named.stem).as_str());
            match (last(name), view.shape()) {
                ("weight", [_, _]) => weights.push(named),
                ("bias", [_]) if weight().is_none_or(|w| w.shape().len() == 2) => {
                    biases.push(named)
                }
                _ => others.push(*name),
            }
        }
        if others.is_empty() {
            return Ok((weights, biases));
        }
        let names: Vec<String> = others.iter().map(|name| shown(name)).collect();
        let more = if names.len() > SHOWN { ",..." } else { "" };
        Err(Error::checkpoint(format!(
            "{}: no part of a model of recurrent layers, an embedding and a head; to leave out what is of no use: --ignore \
             {}{more}",
            list(others),
            names[..names.len().min(SHOWN)].join(",")
        )))
    }
}

/// D and H of the lowest layer, by the shapes of its weights.
fn widths<'s>(cell: &Cell, shape: impl Fn(&str) -> Option<&'s [usize]>) -> Widths {
    let cols = |wanted: &dyn Fn(SourceKind) -> bool| {
        let source = cell.sources.iter().find(|s| wanted(s.kind))?;
        match shape(&ours(&source.weight, 0))? {
            [_, cols] => Some(*cols),
            _ => None,
        }
    };
    Widths {
        input: cols(&|kind| kind == SourceKind::Input),
        hidden: cols(&|kind| matches!(kind, SourceKind::Previous(_))),
    }
}

/// The last part of a name.
fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

/// A name from a file as a message shows it.
fn shown(name: &str) -> String {
    let mut text: String = name
        .chars()
        .take(WIDE)
        .flat_map(char::escape_debug)
        .collect();
    if name.chars().nth(WIDE).is_some() {
        text.push_str("...");
    }
    text
}

/// Names as a message lists them.
fn list<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut names = names.into_iter();
    let first: Vec<String> = names.by_ref().take(SHOWN).map(shown).collect();
    match names.count() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
