#if DOUBLE
#use double
#else
// By its bits, since a compiler may take every number for finite.
fn finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}
#end
