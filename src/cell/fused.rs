//! Which products of a stage run as one: both executors make them so.

use super::stage::{ProductSum, Stage, TermOperand};

/// Products that run as one: an operand of `blocks` times H neighbouring elements, and for every sum that it feeds the
/// part of a weight that matches.
#[derive(Clone, Debug, PartialEq)]
pub struct FusedProduct {
    /// The first operand; more than one follow one another.
    pub operand: TermOperand,
    /// How many operands of H elements there are.
    pub blocks: usize,
    /// Whether the weights are used transposed, as [`ProductSum::transposed`] says.
    pub transposed: bool,
    /// The sums, which share what is read of the operand.
    pub feeds: Vec<SumFeed>,
}

/// A sum that a product feeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SumFeed {
    /// Which sum of the stage.
    pub sum: usize,
    /// The index of the source whose weight it is.
    pub source: usize,
    /// The first block of H columns of that weight.
    pub block: usize,
    /// Whether another product feeds the sum before this one.
    pub accumulates: bool,
}

impl FusedProduct {
    /// The sums in groups whose columns lie side by side in one weight, so that a dense product makes each group. Sums
    /// over transposed weights have all the same columns, and stand alone.
    pub fn dense(&self) -> impl Iterator<Item = &[SumFeed]> {
        self.feeds.chunk_by(|a, b| {
            !self.transposed
                && (a.source, a.sum + 1, a.block + 1) == (b.source, b.sum, b.block)
                && a.accumulates == b.accumulates
        })
    }
}

impl Stage {
    /// The products of the stage, in the order in which every sum adds them. Terms of a sum whose operands and weights
    /// continue one another become one (the deltas of a cell's gates do); those over the same operand share it.
    pub fn products(&self) -> Vec<FusedProduct> {
        let mut products: Vec<FusedProduct> = Vec::new();
        for (s, sum) in self.sums.iter().enumerate() {
            for chain in chains(s, sum) {
                let same = |p: &&mut FusedProduct| {
                    (p.operand, p.blocks, p.transposed)
                        == (chain.operand, chain.blocks, chain.transposed)
                };
                match products.iter_mut().find(same) {
                    Some(product) => product.feeds.extend(chain.feeds),
                    None => products.push(chain),
                }
            }
        }
        let mut fed = vec![false; self.sums.len()];
        for feed in products.iter_mut().flat_map(|p| &mut p.feeds) {
            feed.accumulates = std::mem::replace(&mut fed[feed.sum], true);
        }
        products
    }
}

/// The products of a sum, terms that continue one another taken as one.
fn chains(number: usize, sum: &ProductSum) -> Vec<FusedProduct> {
    let mut chains: Vec<FusedProduct> = Vec::new();
    for term in &sum.terms {
        if let Some(last) = chains.last_mut() {
            let feed = last.feeds[0];
            let continues = sum.transposed
                && feed.source == term.source
                && feed.block + last.blocks == term.block
                && continues(last.operand, last.blocks, term.operand);
            if continues {
                last.blocks += 1;
                continue;
            }
        }
        chains.push(FusedProduct {
            operand: term.operand,
            blocks: 1,
            transposed: sum.transposed,
            feeds: vec![SumFeed {
                sum: number,
                source: term.source,
                block: term.block,
                accumulates: false,
            }],
        });
    }
    chains
}

/// Whether `next` lies right after `blocks` blocks from `first` on.
fn continues(first: TermOperand, blocks: usize, next: TermOperand) -> bool {
    match (first, next) {
        (TermOperand::Delta(a), TermOperand::Delta(b))
        | (TermOperand::NextDelta(a), TermOperand::NextDelta(b)) => a + blocks == b,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::library::{builtin, names};
    use crate::cell::stage::{Load, Store};

    #[test]
    fn the_deltas_of_a_cell_become_one_product_and_gates_share_their_operand() {
        let compiled = builtin("lstm").unwrap().compile();
        let backward = compiled.backward[0].products();
        assert_eq!(backward.len(), 1, "{backward:?}");
        assert_eq!(backward[0].blocks, 4);
        let forward = compiled.forward[0].products();
        assert_eq!(forward.len(), 1, "{forward:?}");
        assert_eq!(forward[0].feeds.len(), 4);
        let dense: Vec<usize> = forward[0].dense().map(<[SumFeed]>::len).collect();
        assert_eq!(dense, [4]);
    }

    /// Of every cell, and each sum adds its first product to nothing and the later ones to what is there.
    #[test]
    fn every_term_is_in_one_product() {
        let mut accumulated = 0;
        for name in names() {
            let cell = builtin(name).unwrap().compile();
            let stages = cell.forward.iter().chain(&cell.backward);
            for stage in stages.chain([&cell.initial]) {
                let mut fed = vec![0; stage.sums.len()];
                for product in stage.products() {
                    let feeds: Vec<&SumFeed> = product.dense().flatten().collect();
                    assert!(feeds.iter().copied().eq(&product.feeds), "{name}");
                    for feed in feeds {
                        assert_eq!(feed.accumulates, fed[feed.sum] > 0, "{name}: {product:?}");
                        accumulated += usize::from(feed.accumulates);
                        fed[feed.sum] += product.blocks;
                    }
                }
                let terms: Vec<usize> = stage.sums.iter().map(|s| s.terms.len()).collect();
                assert_eq!(fed, terms, "{name}");
            }
        }
        assert!(accumulated > 0);
    }

    /// A step's kernels read in products and reductions what belongs to other threads, and no barrier is between that and
    /// what they store.
    #[test]
    fn no_stage_stores_what_its_products_and_reductions_read() {
        for name in names() {
            let cell = builtin(name).unwrap().compile();
            let stages = cell.forward.iter().chain(&cell.backward);
            for stage in stages.chain([&cell.initial]) {
                let mut read: Vec<Store> = Vec::new();
                for product in stage.products() {
                    match product.operand {
                        // Those are of another step.
                        TermOperand::Previous(_) | TermOperand::NextDelta(_) => {}
                        TermOperand::Made(i) => read.push(Store::Made(i)),
                        TermOperand::Delta(d) => {
                            read.extend((d..d + product.blocks).map(Store::Delta));
                        }
                    }
                }
                for row in stage.reductions.iter().flat_map(|r| r.rows()) {
                    read.extend(match row {
                        Load::New(k) => Some(Store::New(k)),
                        Load::Made(i) => Some(Store::Made(i)),
                        Load::Saved(i) => Some(Store::Saved(i)),
                        Load::Carry(k) => Some(Store::Carry(k)),
                        Load::Scratch(i) => Some(Store::Scratch(i)),
                        _ => None,
                    });
                }
                let stores = stage.program.stores.iter();
                let both: Vec<_> = stores.filter(|s| read.contains(&s.0)).collect();
                assert!(both.is_empty(), "{name}: {both:?}");
            }
        }
    }
}
