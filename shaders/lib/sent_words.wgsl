// What stands in the exchange for a word that has not come: the bits of a NaN, which is sent as another one.
const ABSENT = 0xffffffffu;

// The words of a V that is sent.
fn words_of(value: V) -> U {
    let words = bitcast<U>(value);
    return select(words, U(0x7fc00000u), words == U(ABSENT));
}
