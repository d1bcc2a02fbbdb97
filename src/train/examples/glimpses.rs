//! What a model with an eye looks at: the image of every example, and where each glimpse lies.

use crate::error::Result;
use crate::exec::Engine;
use crate::op::{Op, Plan, Retina};
use crate::task::Minibatch;

use super::evaluate::row;

/// The glimpses of an example, in the order in which they are made.
#[derive(Clone, Debug, PartialEq)]
pub struct Glimpses {
    /// The example, among those of the set.
    pub example: u32,
    /// The image that the first of them sees, rows of `width` pixels.
    pub image: Vec<f32>,
    /// Pixels of an image's row.
    pub width: usize,
    /// Pixels of the side of the first square of each.
    pub size: usize,
    /// Their places: across and down, (-1, -1) the corner above at the left, (1, 1) the one below at the right.
    pub places: Vec<[f32; 2]>,
}

/// Those of a minibatch that has run, whose examples are `examples`; `loss` has a row an example.
pub(super) async fn glimpses(
    engine: &mut Engine,
    plan: &Plan,
    minibatch: &Minibatch,
    loss: usize,
    examples: &[u32],
) -> Result<Vec<Glimpses>> {
    let eyes = plan.ops.iter().filter_map(|op| match op {
        Op::Retina(retina) => Some(retina),
        _ => None,
    });
    let mut all: Vec<Glimpses> = Vec::new();
    for (
        n,
        Retina {
            image,
            at,
            width,
            size,
            ..
        },
    ) in eyes.enumerate()
    {
        if n == 0 {
            let images = engine.read(image.slot).await?;
            let rows = minibatch.places(loss).iter().enumerate();
            let of = |(r, (place, _)): (usize, &(usize, usize))| Glimpses {
                example: examples[*place],
                image: row(&images, *image, r).to_vec(),
                width: *width,
                size: *size,
                places: Vec::new(),
            };
            all = rows.map(of).collect();
        }
        let places = engine.read(at.slot).await?;
        for (r, glimpses) in all.iter_mut().enumerate() {
            let place = row(&places, *at, r);
            glimpses.places.push([place[0], place[1]]);
        }
    }
    Ok(all)
}
