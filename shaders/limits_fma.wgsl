// Multiply-adds in registers: what the device computes when no memory is touched. CHAINS chains that do not wait for one
// another, LOOPS times; factor and summand come from memory, so that no compiler can work the result out beforehand.
// $from: array<vec4<f32>>
// $to: array<vec4<f32>>
#main(GROUP) id, groups {
    let i = flat(id, groups);
    let factor = $from[0];
    let summand = $from[1];
#for c in 0..CHAINS
    var x#{c} = vec4<f32>(f32(i + #{c}u));
#end
    for (var n = 0u; n < LOOPS; n++) {
#for r in 0..UNROLL
#for c in 0..CHAINS
        x#{c} = fma(x#{c}, factor, summand);
#end
#end
    }
    var all = vec4<f32>(0.0);
#for c in 0..CHAINS
    all += x#{c};
#end
    $to[i % COUNT] = all;
}

#use flat
