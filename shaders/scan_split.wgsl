// One stage of one step of a recurrent layer, for devices whose threads wait for their loads: SLICES threads share every
// sum of products, each the elements of every SLICES-th V that is summed over, so that the loads of all of them are under way
// at once and no loop is long.
//
// A workgroup has LANES * BANDS * SLICES threads, and a thread has ROWS rows times COLUMNS V of its sums in registers: V's
// are dealt to the LANES in turn and rows to the BANDS, so that neighbours read neighbours. The slices' parts of some sums
// at a time go to the workgroup's memory as [SLICES, V, OWNERS], where threads add up some slices each, and one for every row
// and V what they have made. The order is that of the slices, so that two runs give the same bits. At last the one evaluates
// the cell's equations. Rows and units beyond the edge repeat the last one and store nothing. Where buffers lie is as in
// shaders/scan.wgsl. Nothing that is stored here is read by another thread of the dispatch: storage needs no barrier.
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
// $w#: array<V>, weights, by number of their product
// $v#: array<V>, learned vectors, by number
alias V = #{V};
alias U = #{U};

#use activations
#if MASKED
#use threefry

#{MASKS}
#end
#use shared_sums

#main(GROUP) id, groups, group {
    let t = step.x;
#use scan_rows
    // The same for a whole workgroup, in words from which a compiler sees it.
    let number = group.y * groups.x + group.x;
    let top = #{LOW}number / ACROSS * (ROWS * BANDS);
    let left = number % ACROSS * (COLUMNS * LANES);
    if (top >= running) {
        return;
    }
    let thread = id.x % GROUP;
    let slice = thread / OWNERS;
    let owner = thread % OWNERS;
    let band = top + owner / LANES;
    let lane = left + owner % LANES;
#{STAGE}
}
