// What a thread does in one stage of one step once it has the sums of products for its rows and units, acc_SUM_ROW_COLUMN: the
// cell's equations on them. Around it stand t, first_row, first_unit, row# and unit#: see shaders/scan.wgsl.
#{ROW_NUMBERS}
#if INLINE
#for r in 0..ROWS
#for c in 0..COLUMNS
    if (first_row + #{r}u < running && first_unit + #{c}u < UNITS) {
        let b = row#{r};
        let j = unit#{c};
#for s in 0..SUMS
        let sum#{s} = acc_#{s}_#{r}_#{c};
#end
#for n in 0..REDUCTIONS
        let number#{n} = number_#{n}_#{r};
#end
#{PROGRAM}
    }
#end
#end
#else
    // Many rows: the equations stand here once, and the sums come through an array.
#for s in 0..SUMS
    var sums#{s}: array<V, TILE>;
#for r in 0..ROWS
#for c in 0..COLUMNS
    sums#{s}[#{r}u * COLUMNS + #{c}u] = acc_#{s}_#{r}_#{c};
#end
#end
#end
#for n in 0..REDUCTIONS
    var numbers#{n}: array<V, ROWS>;
#for r in 0..ROWS
    numbers#{n}[#{r}u] = number_#{n}_#{r};
#end
#end
    for (var i = 0u; i < TILE; i++) {
        let b = first_row + i / COLUMNS;
        let j = first_unit + i % COLUMNS;
        if (b < running && j < UNITS) {
#for s in 0..SUMS
            let sum#{s} = sums#{s}[i];
#end
#for n in 0..REDUCTIONS
            let number#{n} = numbers#{n}[i / COLUMNS];
#end
#{PROGRAM}
        }
    }
#end
