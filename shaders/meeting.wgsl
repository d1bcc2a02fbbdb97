// A meeting of all workgroups of a dispatch, of which each has as many threads and as much memory as one of a kernel that spans
// workgroups: each says that it is there, then waits for all others, and leaves a word where one did not come in time.
// $there: array<atomic<u32>>, a word for each workgroup, 0 before
// $missed: array<atomic<u32>>
var<workgroup> held: array<u32, HELD>;

#main(GROUP) group, groups, thread {
    for (var i = thread; i < HELD; i += GROUP) {
        held[i] = group.x;
    }
    workgroupBarrier();
    // Of another thread, so that the memory is needed.
    let number = held[(thread + 1u) % HELD];
    if (thread > 0u) {
        return;
    }
    atomicStore(&$there[number], 1u);
    var polls = 0u;
    for (var n = 0u; n < groups.x; n++) {
        while (atomicLoad(&$there[n]) == 0u && polls < POLLS) {
            polls += 1u;
#use pause
            if (paused == 0x12345u) {
                break;
            }
        }
    }
    if (polls >= POLLS) {
        atomicStore(&$missed[0], 1u);
    }
}
