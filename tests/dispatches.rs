//! scratch
mod common;
use common::pairs::{adamw, spec};
use wgrnn::exec::gpu::{Gpu, Tile};
use wgrnn::model::Dims;

#[test]
fn listed() {
    for (embed, layers) in [(0, 1), (32, 1), (0, 2)] {
        let plan = spec("lstm", 128, layers, embed).plan(Dims { steps: 3, batch: 4 }, adamw()).unwrap();
        println!("== embed {embed} layers {layers}: {}", Gpu::count(&plan, &Tile::GPU).unwrap());
        for (name, groups) in Gpu::workgroups(&plan, &Tile::GPU).unwrap() {
            println!("{name} {groups:?}");
        }
    }
}
