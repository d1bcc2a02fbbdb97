//! Which foreign matrices are the embedding and the head: by their biases, their shapes, and whether they are one.

use std::collections::BTreeMap;

use safetensors::tensor::TensorView;

use super::{list, shown};
use crate::error::{Error, Result};

/// Parts of a name that say embedding where nothing else does.
const EMBEDDINGS: [&str; 5] = ["emb", "encoder", "lookup", "wte", "token"];

/// A matrix [rows, columns] that is called `weight`, or the bias beside one.
pub(super) struct Named<'a> {
    /// The whole name.
    pub name: &'a str,
    /// What stands before `weight` or `bias`.
    pub stem: &'a str,
    /// Its elements.
    pub view: TensorView<'a>,
}

/// The widths of the lowest recurrent layer, as far as they are known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Widths {
    /// D, what it reads.
    pub input: Option<usize>,
    /// H.
    pub hidden: Option<usize>,
}

/// The tensors that are embedding and head.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ForeignHead<'a> {
    /// The embedding's table [V, E].
    pub embedding: Option<&'a str>,
    /// The head's weight [V, H].
    pub weight: Option<&'a str>,
    /// The head's bias [V].
    pub bias: Option<&'a str>,
    /// Whether the embedding's table is the head's weight too.
    pub tied: bool,
    /// What was decided and a user should know.
    pub notes: Vec<String>,
}

/// A matrix under all the names that it has, and the bias beside it.
struct NamedMatrix<'a> {
    names: Vec<&'a str>,
    rows: usize,
    cols: usize,
    bias: Option<&'a str>,
}

/// Finds embedding and head among all matrices and biases that are no recurrent layer's. A part that is not there stays
/// none.
///
/// # Errors
/// Checkpoint: more matrices or biases than the two need, or two that nothing tells apart.
pub(super) fn choose<'a>(
    weights: &[Named<'a>],
    biases: &[Named<'a>],
    widths: Widths,
) -> Result<ForeignHead<'a>> {
    let matrices = merged(weights, biases);
    let beside = |bias: &&Named<'a>| weights.iter().any(|w| w.stem == bias.stem);
    let alone: Vec<&str> = biases
        .iter()
        .filter(|b| !beside(b))
        .map(|b| b.name)
        .collect();
    let biased: Vec<&NamedMatrix<'a>> = matrices.iter().filter(|m| m.bias.is_some()).collect();
    if biased.len() > 1 {
        return Err(too_many(&biased, "one linear layer, the head"));
    }
    if alone.len() + biased.len() > 1 {
        return Err(Error::checkpoint(format!(
            "{}: a bias without a weight; --ignore leaves it out",
            list(alone)
        )));
    }
    let bias = biased
        .first()
        .and_then(|m| m.bias)
        .or(alone.first().copied());
    let mut head = match &matrices[..] {
        [] => ForeignHead::default(),
        [one] => single(one, !alone.is_empty(), widths),
        [first, second] => {
            let (head, embedding) = match is_head(first, second, widths) {
                Some(true) => (first, second),
                Some(false) => (second, first),
                None => {
                    let both: Vec<&NamedMatrix<'a>> = matrices.iter().collect();
                    return Err(too_many(
                        &both,
                        "a head with a bias, or names that say which is the embedding",
                    ));
                }
            };
            ForeignHead {
                embedding: Some(embedding.names[0]),
                weight: Some(head.names[0]),
                notes: ([head, embedding].into_iter())
                    .filter(|m| m.names.len() > 1)
                    .map(|m| {
                        format!(
                            "{}: equal bit by bit, taken once",
                            list(m.names.iter().copied())
                        )
                    })
                    .collect(),
                ..ForeignHead::default()
            }
        }
        many => {
            let others: Vec<&NamedMatrix<'a>> = many
                .iter()
                .filter(|m| biased.is_empty() || m.bias.is_none())
                .collect();
            return Err(too_many(&others, "an embedding and a head at most"));
        }
    };
    head.bias = bias;
    Ok(head)
}

/// Matrices that are equal bit by bit are one; in the order of their names.
fn merged<'a>(weights: &[Named<'a>], biases: &[Named<'a>]) -> Vec<NamedMatrix<'a>> {
    let mut matrices: Vec<NamedMatrix<'a>> = Vec::new();
    let mut places = BTreeMap::new();
    for weight in weights {
        let view = &weight.view;
        let key = (
            view.dtype(),
            view.shape().to_vec(),
            *blake3::hash(view.data()).as_bytes(),
        );
        let place = *places.entry(key).or_insert_with(|| {
            matrices.push(NamedMatrix {
                names: Vec::new(),
                rows: view.shape()[0],
                cols: view.shape()[1],
                bias: None,
            });
            matrices.len() - 1
        });
        let matrix = &mut matrices[place];
        matrix.names.push(weight.name);
        let bias = biases.iter().find(|b| b.stem == weight.stem);
        matrix.bias = matrix.bias.or(bias.map(|b| b.name));
    }
    matrices
}

/// The only matrix there is: the head's over one-hot vectors, or the embedding's and the head's at once.
fn single<'a>(matrix: &NamedMatrix<'a>, bias_alone: bool, widths: Widths) -> ForeignHead<'a> {
    let name = matrix.names[0];
    let one_hot = widths.input == Some(matrix.rows);
    let fits = widths.hidden == Some(matrix.cols);
    let embedded = match widths.input {
        Some(input) => input == matrix.cols,
        // Where the lowest weight is missing, a matrix that no head can be is the embedding.
        None => !fits && matrix.bias.is_none(),
    };
    let twice = matrix.names.len() > 1;
    if twice || embedded && fits && (bias_alone || !one_hot) {
        let how = if twice {
            format!("{}: equal bit by bit", list(matrix.names.iter().copied()))
        } else {
            format!(
                "{}: the only matrix beside the recurrent layers, which read its rows",
                shown(name)
            )
        };
        return ForeignHead {
            embedding: Some(name),
            tied: true,
            notes: vec![format!(
                "{how}; taken as embedding and head at once (tie = true)"
            )],
            ..ForeignHead::default()
        };
    }
    if embedded && !one_hot && matrix.bias.is_none() {
        return ForeignHead {
            embedding: Some(name),
            ..ForeignHead::default()
        };
    }
    let mut notes = Vec::new();
    if embedded && one_hot && fits {
        notes.push(format!(
            "{}: as wide as it is high, taken as a head over one-hot input, not as a tied embedding",
            shown(name)
        ));
    }
    ForeignHead {
        weight: Some(name),
        notes,
        ..ForeignHead::default()
    }
}

/// Whether the first of two matrices is the head and the second the embedding; none where that cannot be told.
fn is_head(first: &NamedMatrix<'_>, second: &NamedMatrix<'_>, widths: Widths) -> Option<bool> {
    if first.bias.is_some() != second.bias.is_some() {
        return Some(first.bias.is_some());
    }
    let fits = |head: &NamedMatrix<'_>, embedding: &NamedMatrix<'_>| {
        widths.hidden == Some(head.cols) && widths.input == Some(embedding.cols)
    };
    match (fits(first, second), fits(second, first)) {
        (true, false) => return Some(true),
        (false, true) => return Some(false),
        _ => {}
    }
    let named = |m: &NamedMatrix<'_>| {
        let name = m.names[0].to_ascii_lowercase();
        EMBEDDINGS.iter().any(|word| name.contains(word))
    };
    (named(first) != named(second)).then(|| named(second))
}

fn too_many(matrices: &[&NamedMatrix<'_>], expected: &str) -> Error {
    let found = matrices
        .iter()
        .map(|m| format!("{} [{}, {}]", m.names[0], m.rows, m.cols));
    let found: Vec<String> = found.collect();
    Error::checkpoint(format!(
        "matrices beside the recurrent layers: expected {expected}, found {}; --ignore leaves one out",
        list(found.iter().map(String::as_str))
    ))
}
