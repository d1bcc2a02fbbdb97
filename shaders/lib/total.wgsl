// All lanes' shares of a row, added in order. STORED: what lanes have stored before is there for the others behind it.
fn total(own: #{F}, thread: u32) -> #{F} {
#if SHARED
    shares[thread] = own;
#if STORED
    storageBarrier();
#end
    workgroupBarrier();
    var sum = 0.0;
    for (var l = 0u; l < LANES; l++) {
        sum += shares[thread - thread % LANES + l];
    }
#if STORED
    storageBarrier();
#end
    workgroupBarrier();
    return sum;
#else
    return own;
#end
}
