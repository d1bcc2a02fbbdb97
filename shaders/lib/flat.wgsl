// The index of a thread where workgroups of GROUP threads lie along x and, beyond its limit, along y.
fn flat(id: vec3<u32>, groups: vec3<u32>) -> u32 {
    return id.y * groups.x * GROUP + id.x;
}
