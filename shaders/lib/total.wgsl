// All lanes' shares of a row, added in order.
fn total(own: #{F}, thread: u32) -> #{F} {
#if SHARED
    shares[thread] = own;
    workgroupBarrier();
    var sum = 0.0;
    for (var l = 0u; l < LANES; l++) {
        sum += shares[thread - thread % LANES + l];
    }
    workgroupBarrier();
    return sum;
#else
    return own;
#end
}
