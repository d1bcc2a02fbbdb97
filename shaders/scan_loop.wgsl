// Steps of a recurrent layer in one dispatch: a workgroup has ROWS rows and all units, and waits for no other one.
//
// From step step.x on it goes through step.w steps, backward in time where BACKWARD; after every stage its threads wait for
// one another. Everything else is as in shaders/scan.wgsl, but that nothing is PACKED.
// Buffers, each bound only where the stage uses it:
// $state#: array<V>, of a state by its number
// $saved: array<V>
// $delta: array<V>
// $scratch: array<V>
// $projection: array<V>, rows of the input's product by position, or by token id where it is a table
// $ids: array<u32>, token ids [T, B]
// $input: array<V>, the input itself
// $control: array<u32>, words 5 and 6 are the key of this step's masks
// $upstream: array<V>, the gradient from above
// $w#: array<V>, weights whose rows are multiplied and whose columns are units, by number of their product
// $v#: array<V>, learned vectors, by number
alias V = #{V};
alias U = #{U};

#use activations
#if MASKED
#use threefry

#{MASKS}
#end
#main(GROUP) thread, groups, group#{LANE} {
    let running = BATCH;
    let first_row = (group.y * groups.x + group.x) * ROWS;
    let first_unit = thread * COLUMNS;
#for r in 0..ROWS
    let row#{r} = min(first_row + #{r}u, running - 1u);
#end
#for c in 0..COLUMNS
    let unit#{c} = min(first_unit + #{c}u, UNITS - 1u);
#end
    for (var done = 0u; done < step.w; done++) {
#if BACKWARD
        let t = step.x - done;
#else
        let t = step.x + done;
#end
#{STAGES}
    }
}
