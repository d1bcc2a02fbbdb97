// The update of optimizer.wgsl for the rows of a table [V, D] that $ids names, whose gradients are rows [M, D]. Ids are
// distinct; one beyond the table, which here starts with row FIRST, is left alone. A thread does one element or four.
// $parameters: array<#{V}>
// $gradients: array<#{V}>
// $first: array<#{V}>, the rule's first arena
// $second: array<#{V}>, its second
// $hyper: array<#{F}>, lr, scale, update, corrections 1 and 2
// $report: array<#{F}>, loss, norm, 1 where both are finite
// $ids: array<u32>
alias V = #{V};

#main(GROUP) id, groups {
    let i = flat(id, groups);
    if (i >= GRADIENTS_ROWS * GRADIENTS_COLS || $report[2] != 1.0) {
        return;
    }
    let token = $ids[i / GRADIENTS_COLS];
    if (token < FIRST || token - FIRST >= PARAMETERS_ROWS) {
        return;
    }
    let column = i % GRADIENTS_COLS;
    let row = token - FIRST;
    let at = PARAMETERS_OFFSET + row * PARAMETERS_STRIDE + column;
#if ARENAS
    let at_first = FIRST_OFFSET + row * FIRST_STRIDE + column;
#end
#if SECOND
    let at_second = SECOND_OFFSET + row * SECOND_STRIDE + column;
#end
    let at_gradient = GRADIENTS_OFFSET + i / GRADIENTS_COLS * GRADIENTS_STRIDE + column;
    let norm = $report[1];
#use rules
}

#use flat
