//! Random changes of a cell.
//!
//! Source: Jozefowicz, Zaremba, Sutskever, "An empirical exploration of recurrent network architectures" (2015), section 3.1.

use super::sketch::{PartId, Sketch, SketchPart};
use crate::cell::operator::{Binary, Unary};
use crate::rng::Stream;

/// Changes of one mutation, at most.
const MOST_CHANGES: u64 = 3;

/// Sketches of more values are given up: a step of theirs would take too long to measure.
const MOST_PARTS: usize = 48;

/// What a value can be squashed by.
const ACTIVATIONS: [Activation; 7] = [
    Activation::Of(Unary::Tanh),
    Activation::Of(Unary::Sigmoid),
    Activation::Of(Unary::Relu),
    Activation::Itself,
    Activation::One,
    Activation::Times(0.9),
    Activation::Times(1.1),
];

const OPERATORS: [Binary; 3] = [Binary::Mul, Binary::Add, Binary::Sub];

#[derive(Clone, Copy)]
enum Activation {
    Of(Unary),
    Itself,
    One,
    Times(f64),
}

/// A sketch after one to three random changes; none where they led to no cell.
pub fn mutated(sketch: &Sketch, stream: &mut Stream) -> Option<Sketch> {
    let mut sketch = sketch.clone();
    for _ in 0..=stream.below(MOST_CHANGES) {
        change(&mut sketch, stream)?;
        sketch = sketch.tidy()?;
    }
    (sketch.parts.len() <= MOST_PARTS).then_some(sketch)
}

/// One change at one value that is made of others.
fn change(sketch: &mut Sketch, stream: &mut Stream) -> Option<()> {
    let made: Vec<PartId> = (0..sketch.parts.len())
        .filter(|id| !sketch.parts[*id].is_leaf())
        .collect();
    let here = *pick(&made, stream)?;
    match (stream.below(5), sketch.parts[here].clone()) {
        (0, SketchPart::Unary(_, a)) => {
            let other = pick(&ACTIVATIONS, stream)?;
            let made = activated(sketch, *other, a);
            replace(sketch, here, made);
        }
        (1, SketchPart::Binary(op, a, b)) if OPERATORS.contains(&op) => {
            let others: Vec<Binary> = OPERATORS.into_iter().filter(|o| *o != op).collect();
            sketch.parts[here] = SketchPart::Binary(*pick(&others, stream)?, a, b);
        }
        (2, part) => {
            let operands = part.operands();
            let n = stream.below(operands.len() as u64) as usize;
            let made = activated(sketch, *pick(&ACTIVATIONS, stream)?, operands[n]);
            *sketch.parts[here].operands_mut().swap_remove(n) = made;
        }
        (3, _) => {
            let ancestor = ancestor(sketch, here, stream)?;
            replace(sketch, here, ancestor);
        }
        (4, _) => {
            let other = *pick(&made, stream)?;
            let a = ancestor(sketch, here, stream)?;
            let b = ancestor(sketch, other, stream)?;
            let op = *pick(&OPERATORS, stream)?;
            sketch.parts.push(SketchPart::Binary(op, a, b));
            let made = sketch.parts.len() - 1;
            replace(sketch, here, made);
        }
        // An activation or operator was to be changed where there is none.
        _ => return None,
    }
    Some(())
}

/// What an activation makes of a value.
fn activated(sketch: &mut Sketch, activation: Activation, a: PartId) -> PartId {
    let part = match activation {
        Activation::Itself => return a,
        Activation::Of(op) => SketchPart::Unary(op, a),
        Activation::One => SketchPart::Number(1.0),
        Activation::Times(x) => {
            sketch.parts.push(SketchPart::Number(x));
            SketchPart::Binary(Binary::Mul, sketch.parts.len() - 1, a)
        }
    };
    sketch.parts.push(part);
    sketch.parts.len() - 1
}

/// One of the values that `id` is made of.
fn ancestor(sketch: &Sketch, id: PartId, stream: &mut Stream) -> Option<PartId> {
    let marked = sketch.made_of(id);
    let all: Vec<PartId> = (0..marked.len())
        .filter(|other| marked[*other] && *other != id)
        .collect();
    pick(&all, stream).copied()
}

/// Puts `new` wherever `old` is used, but within `new` itself.
fn replace(sketch: &mut Sketch, old: PartId, new: PartId) {
    let last = sketch.parts.len() - 1;
    for (id, part) in sketch.parts.iter_mut().enumerate() {
        let own = id == new && id == last;
        for operand in part.operands_mut() {
            if *operand == old && !own {
                *operand = new;
            }
        }
    }
    for root in &mut sketch.new_states {
        if *root == old {
            *root = new;
        }
    }
}

/// One of these, each as likely.
fn pick<'a, T>(all: &'a [T], stream: &mut Stream) -> Option<&'a T> {
    all.get(stream.below(all.len() as u64) as usize)
}
