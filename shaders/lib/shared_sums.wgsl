// The parts of sums that the threads of a workgroup have made, as [SLICES, V, OWNERS].
var<workgroup> parts: array<V, PARTS>;

// The sum of `count` parts, each `next` behind the one before.
fn added(first: u32, next: u32, count: u32) -> V {
    var sum = parts[first];
    for (var n = 1u; n < count; n++) {
        sum += parts[first + n * next];
    }
    return sum;
}
