// A pause of PAUSE divisions, none of which a compiler can leave out: each is of the one before, and the last one is compared with
// what is none of their results, the numbers of looks and 2^32 - 1 over them.
    var paused = polls;
#for i in 0..PAUSE
    paused = 0xffffffffu / (paused | 1u);
#end
