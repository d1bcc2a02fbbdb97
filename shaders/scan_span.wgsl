// Steps of a recurrent layer in one dispatch, whose workgroups wait for one another: each has some rows and some units, as in
// shaders/scan_split.wgsl, and goes through step.w steps from step step.x on, backward in time where BACKWARD.
//
// What products read of others' rows goes through the exchange [steps + 1, B, SENT, H], which scan_fill.wgsl has filled with
// ABSENT before. Each word is stored once in a dispatch, as the bits of a number, and is its own flag: who needs it looks until
// it is there. So it takes neither a counter nor an order of memory beyond a word's own. Plane 0 holds what earlier dispatches
// have made, plane n + 1 what step n makes. All else a thread has made itself; later dispatches find it where they always do.
//
// No API promises that a workgroup which waits lets another one run. So a thread looks POLLS times in a dispatch at most, then
// sets the flag, at which all others look now and then; from there on nobody waits, and what is made counts for nothing: see
// src/exec/gpu/repeat.rs.
// Buffers, each bound only where a stage uses it:
// $state#: array<V>, of a state by its number
// $saved: array<V>
// $delta: array<V>
// $scratch: array<V>
// $projection: array<V>, rows of the input's product by position, or by token id where it is a table
// $ids: array<u32>, token ids [T, B]
// $input: array<V>, the input itself
// $counts: array<u32>, from word STARTS on where each step's rows start
// $control: array<u32>, words 5 and 6 are the key of this step's masks
// $upstream: array<V>, the gradient from above
// $w#: array<V>, weights, by number of their product
// $v#: array<V>, learned vectors, by number
// $exchange: array<atomic<u32>>
// $flag: array<atomic<u32>>
alias V = #{V};
alias U = #{U};

#use activations
#if MASKED
#use threefry

#{MASKS}
#end
#use shared_sums
#use sent_words

// How often this thread has looked in vain; POLLS where nobody waits any more.
var<private> polls: u32;

// The words of a V, as far as they are there.
fn ahead(place: u32) -> U {
#if FOURS
    let at = 4u * place;
    return U(
        atomicLoad(&$exchange[at]),
        atomicLoad(&$exchange[at + 1u]),
        atomicLoad(&$exchange[at + 2u]),
        atomicLoad(&$exchange[at + 3u]),
    );
#else
    return atomicLoad(&$exchange[place]);
#end
}

fn missing(words: U) -> bool {
#if FOURS
    return any(words == U(ABSENT));
#else
    return words == ABSENT;
#end
}

// A V of which these words were there; zero where nobody sends it.
fn received(place: u32, seen: U, comes: bool) -> V {
    if (!comes) {
        return V(0.0);
    }
    var words = seen;
    while (missing(words) && polls < POLLS) {
        polls += 1u;
        if (polls == POLLS) {
            atomicStore(&$flag[0], UNMET);
        } else if (polls % LOOK == 0u && atomicLoad(&$flag[0]) != 0u) {
            polls = POLLS;
        }
        words = ahead(place);
#use pause
        if (paused == 0x12345u) {
            polls = POLLS;
        }
    }
    return bitcast<V>(words);
}

fn send(place: u32, value: V) {
    let words = words_of(value);
#if FOURS
    let at = 4u * place;
    atomicStore(&$exchange[at], words.x);
    atomicStore(&$exchange[at + 1u], words.y);
    atomicStore(&$exchange[at + 2u], words.z);
    atomicStore(&$exchange[at + 3u], words.w);
#else
    atomicStore(&$exchange[place], words);
#end
}

#main(GROUP) id, groups, group {
    let number = group.y * groups.x + group.x;
    let top = number / ACROSS * (ROWS * BANDS);
    let left = number % ACROSS * (COLUMNS * LANES);
    let thread = id.x % GROUP;
    let slice = thread / OWNERS;
    let owner = thread % OWNERS;
    let band = top + owner / LANES;
    let lane = left + owner % LANES;
    polls = select(0u, POLLS, atomicLoad(&$flag[0]) != 0u);
    for (var done = 0u; done < step.w; done++) {
#if BACKWARD
        let t = step.x - done;
#else
        let t = step.x + done;
#end
#use scan_rows
        // The same for a whole workgroup, in words from which a compiler sees it.
        if (top < running) {
#{STAGES}
        }
    }
}
