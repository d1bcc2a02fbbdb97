// One stage of one step of a recurrent layer, for all rows and units: sums of products first, then the cell's equations.
//
// The step is step.x, counted as src/op/scan.rs counts (2^32 - 1 for the step before the first); token ids and masks
// begin at row step.y, the masks' streams at step.z. V is a unit or four neighbouring ones, UNITS how many V make H. A
// thread keeps ROWS rows times COLUMNS V of every sum in registers; threads run along the units first, so that neighbours
// read neighbouring weights. Rows and units beyond the edge repeat the last one and store nothing. Layouts, in V:
//   state [S, T+1, B, UNITS]; saved [T, B, K, UNITS]; delta [T+1, B, D, UNITS]; scratch [planes, B, UNITS]
// Where PACKED, a step has the rows that still run, and ALL rows in place of T * B: see src/op/scan.rs. Where buffers hold
// a range of the rows of all steps, it begins with row step.w; where PARTED, a thread makes only those of this step's rows
// that are among the OWNED ones from there on: see src/exec/gpu/ranges.rs.
// Buffers, each bound only where the stage uses it:
// $state#: array<V>, of a state by its number
// $saved: array<V>
// $delta: array<V>
// $scratch: array<V>
// $projection: array<V>, rows of the input's product by position, or by token id where it is a table
// $ids: array<u32>, token ids [T, B]
// $input: array<V>, the input itself
// $counts: array<u32>, from word STARTS on where each step's rows start
// $control: array<u32>, words 5 and 6 are the key of this step's masks
// $upstream: array<V>, the gradient from above
// $w#: array<V>, weights whose rows are multiplied and whose columns are units, by number of their product
// $v#: array<V>, learned vectors, by number
alias V = #{V};
alias U = #{U};

#use activations
#use flat
#if MASKED
#use threefry

#{MASKS}
#end
#main(GROUP) id, groups, group#{LANE} {
    let t = step.x;
    let thread = flat(id, groups);
#if !SUBGROUP
    if (thread >= THREADS) {
        return;
    }
#end
#use scan_rows
#if UNIFORM
    // The same rows for a whole workgroup, in words from which a compiler sees it.
    let first_row = #{LOW}(group.y * groups.x + group.x) / (ACROSS / GROUP) * ROWS;
#else
    let first_row = #{LOW}thread / ACROSS * ROWS;
#end
#if CUT
    if (first_row >= running) {
        return;
    }
#end
    let first_unit = thread % ACROSS * COLUMNS;
#for r in 0..ROWS
    let row#{r} = min(first_row + #{r}u, running - 1u);
#end
#for c in 0..COLUMNS
    let unit#{c} = min(first_unit + #{c}u, UNITS - 1u);
#end
#{STAGE}
}
