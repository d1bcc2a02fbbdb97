// What the threads of a workgroup that shares sums do in one stage of one step. Around it stand t, running, slice, band, lane
// and the shared sums: see shaders/scan_split.wgsl.
#for s in 0..SUMS
    var acc_#{s}_0_0 = V(0.0);
#end
    {
#for r in 0..ROWS
        let row#{r} = min(band + #{r}u * BANDS, running - 1u);
#end
#for c in 0..COLUMNS
        let unit#{c} = min(lane + #{c}u * LANES, UNITS - 1u);
#end
#{PRODUCTS}
    }
    // A thread has the sums of one of its rows and units now; there are no more of them than slices.
    if (slice < TILE) {
        let first_row = band + slice / COLUMNS * BANDS;
        let first_unit = lane + slice % COLUMNS * LANES;
        let row0 = min(first_row, running - 1u);
        let unit0 = min(first_unit, UNITS - 1u);
#{EQUATIONS}
    }
