// Threefry-2x32 with 20 rounds (Salmon et al. 2011), bit for bit src/rng.rs.
fn rotate(x: u32, by: u32) -> u32 {
    return (x << by) | (x >> (32u - by));
}

fn rounds(x: vec2<u32>, a: u32, b: u32, c: u32, d: u32) -> vec2<u32> {
    var y = x;
    y.x += y.y;
    y.y = rotate(y.y, a) ^ y.x;
    y.x += y.y;
    y.y = rotate(y.y, b) ^ y.x;
    y.x += y.y;
    y.y = rotate(y.y, c) ^ y.x;
    y.x += y.y;
    y.y = rotate(y.y, d) ^ y.x;
    return y;
}

fn threefry2x32(key: vec2<u32>, counter: vec2<u32>) -> vec2<u32> {
    let third = 0x1BD11BDAu ^ key.x ^ key.y;
    var x = counter + key;
    x = rounds(x, 13u, 15u, 26u, 6u) + vec2<u32>(key.y, third + 1u);
    x = rounds(x, 17u, 29u, 16u, 24u) + vec2<u32>(third, key.x + 2u);
    x = rounds(x, 13u, 15u, 26u, 6u) + vec2<u32>(key.x, key.y + 3u);
    x = rounds(x, 17u, 29u, 16u, 24u) + vec2<u32>(key.y, third + 4u);
    x = rounds(x, 13u, 15u, 26u, 6u) + vec2<u32>(third, key.x + 5u);
    return x;
}
