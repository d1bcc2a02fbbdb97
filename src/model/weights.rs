//! Parameters under the names, in the gate order and in the layout of PyTorch.

use std::collections::BTreeMap;

use crate::cell::real::Real;
use crate::error::{Error, Result, nearest};
use crate::op::{Parameter, Plan};

/// A named tensor's shape and values, in row order; f32 as files hold them unless a test wants every digit of f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor<F = f32> {
    /// The shape.
    pub shape: Vec<usize>,
    /// The values.
    pub data: Vec<F>,
}

/// Where each element of a parameter, in the file's order, lies in the flat arena.
fn places(parameter: &Parameter) -> impl Iterator<Item = usize> + '_ {
    let m = parameter.matrix;
    let (outer, inner) = if parameter.transposed {
        (m.cols, m.rows)
    } else {
        (m.rows, m.cols)
    };
    (0..outer).flat_map(move |o| {
        (0..inner).map(move |i| {
            let (row, col) = if parameter.transposed { (i, o) } else { (o, i) };
            m.offset + row * m.stride + col
        })
    })
}

/// A flat arena (parameters, gradients or an optimiser's) as named tensors.
pub fn export<F: Real>(plan: &Plan, flat: &[F]) -> BTreeMap<String, Tensor<F>> {
    let tensors = plan.parameters.iter().map(|p| {
        let tensor = Tensor {
            shape: p.file_shape.clone(),
            data: places(p).map(|at| flat[at]).collect(),
        };
        (p.name.clone(), tensor)
    });
    tensors.collect()
}

/// Faults that an error lists: a file can have any number of them.
const SHOWN: usize = 100;

/// The flat arena that named tensors make: the inverse of [`export`].
///
/// # Errors
/// Checkpoint: missing tensors, unknown tensors and wrong shapes, all at once up to a number that can be read.
pub fn import<'a, F: Real>(
    plan: &Plan,
    tensors: impl IntoIterator<Item = (&'a str, &'a [usize], &'a [F])>,
) -> Result<Vec<F>> {
    let mut flat = vec![F::ZERO; plan.arena];
    let mut missing: Vec<&str> = plan.parameters.iter().map(|p| p.name.as_str()).collect();
    let mut faults = Vec::new();
    for (name, shape, data) in tensors {
        let Some(parameter) = plan.parameters.iter().find(|p| p.name == name) else {
            let names = plan.parameters.iter().map(|p| p.name.as_str());
            let hint = nearest(name, names).map_or(String::new(), |n| format!("; is it {n}?"));
            let name = name.escape_debug();
            faults.push(format!("{name}: not a parameter of this model{hint}"));
            continue;
        };
        missing.retain(|m| *m != name);
        if shape != parameter.file_shape || data.len() != shape.iter().product::<usize>() {
            faults.push(format!(
                "{name}: expected {:?}, found {shape:?}",
                parameter.file_shape
            ));
            continue;
        }
        for (at, value) in places(parameter).zip(data) {
            flat[at] = *value;
        }
    }
    faults.extend(missing.iter().map(|m| format!("{m}: missing")));
    if faults.is_empty() {
        Ok(flat)
    } else {
        let more = faults.len().saturating_sub(SHOWN);
        faults.truncate(SHOWN);
        if more > 0 {
            faults.push(format!("and {more} faults more"));
        }
        Err(Error::checkpoint(faults.join("\n")))
    }
}
