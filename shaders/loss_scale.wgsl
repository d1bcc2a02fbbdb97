// The factor 2^(START + scaling[0]) of the loss goes into the scale (BEGIN), and is chosen for the next step, with the
// corrections of this update (else); src/op/loss_scale.rs has the rules. One thread.
// $hyper: array<#{F}>, lr, scale, update, corrections 1 and 2, 1 / factor, factor
// $scaling: array<#{F}>, exponent, good steps, corrections 1 and 2 of the updates so far
// $report: array<#{F}>, loss, norm, 1 where both are finite, BEYOND where the gradient is beyond f16
#main(1) {
#if BEGIN
    // Powers of two by their bits, exactly.
    let exponent = i32($scaling[0]) + i32(START);
    let factor = bitcast<f32>(u32(127 + exponent) << 23u);
    let scale = $hyper[1] * factor;
    $hyper[1] = scale;
    $hyper[5] = bitcast<f32>(u32(127 - exponent) << 23u);
    $hyper[6] = factor;
#else
    let verdict = $report[2];
    let exponent = $scaling[0] + START;
    if (verdict == 1.0) {
        let first = BETA1 * $scaling[2] + REST1;
        let second = BETA2 * $scaling[3] + REST2;
        $scaling[2] = first;
        $scaling[3] = second;
        $hyper[3] = first;
        $hyper[4] = second;
        let good = $scaling[1] + 1.0;
        let full = good >= PERIOD;
        $scaling[1] = select(good, 0.0, full);
        $scaling[0] = select(exponent, min(exponent + 1.0, MOST), full) - START;
    }
    if (verdict == BEYOND) {
        $scaling[1] = 0.0;
        $scaling[0] = max(exponent - 1.0, 0.0) - START;
    }
#end
}
