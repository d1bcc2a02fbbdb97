//! The rows of a table that have a gradient: one for every distinct id in use.

use crate::exec::Fillings;
use crate::op::{RowSource, SparseTable, SparseUpdate, scatter};

/// The contents of a table's slots, for the ids of the inputs and of the candidates.
pub(super) fn fill(
    table: &SparseTable,
    inputs: &[u32],
    candidates: &[u32],
    all: &mut Fillings<'_>,
) {
    let of = |source: RowSource| match source {
        RowSource::Inputs => inputs,
        RowSource::Candidates => candidates,
    };
    let used = table.sources.iter().flat_map(|(source, _, _)| of(*source));
    let mut ids: Vec<u32> = used.copied().collect();
    ids.sort_unstable();
    ids.dedup();
    for (source, rows, slot) in &table.sources {
        let place = |id: &u32| ids.partition_point(|known| known < id) as u32;
        let places: Vec<u32> = of(*source).iter().map(place).collect();
        let index = scatter::index(&places, *rows, table.rows.rows);
        all.push((*slot, index.into()));
    }
    ids.resize(table.rows.rows, SparseUpdate::NONE);
    all.push((table.ids, ids.into()));
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::{Matrix, SlotId};
    use crate::task::tests::words;

    fn empty(slot: SlotId) -> Matrix {
        Matrix::new(slot, 0, 0)
    }

    #[test]
    fn a_table_sums_each_id_once_whoever_used_it() {
        let table = SparseTable {
            table: empty(SlotId(9)),
            rows: Matrix {
                rows: 7,
                ..empty(SlotId(8))
            },
            inputs: Some(SlotId(3)),
            ids: SlotId(0),
            sources: vec![
                (RowSource::Inputs, 4, SlotId(1)),
                (RowSource::Candidates, 3, SlotId(2)),
            ],
        };
        let mut all = Vec::new();
        fill(&table, &[5, 2, 5], &[8, 2], &mut all);
        let none = SparseUpdate::NONE;
        assert_eq!(words(&all, 0), [2, 5, 8, none, none, none, none]);
        // Rows 1; 0 and 2; none; ...
        assert_eq!(words(&all, 1), [1, 0, 2, 0, 0, 1, 3, 3, 3, 3, 3, 3]);
        assert_eq!(words(&all, 2), [1, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2]);
    }
}
