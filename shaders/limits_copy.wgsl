// to = from, one vec4 a thread, neighbours beside neighbours: what the memory gives when nothing else is done.
// $from: array<vec4<f32>>
// $to: array<vec4<f32>>
#main(GROUP) id, groups {
    let i = flat(id, groups);
    if (i >= COUNT) {
        return;
    }
    $to[i] = $from[i];
}

#use flat
