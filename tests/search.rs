//! `search` as a user meets it: refusals before any work. What a search comes to is tested beside its code.

mod sandbox;

use std::fs;

use sandbox::Sandbox;

#[test]
fn bad_input_is_refused_before_anything_is_evaluated() {
    let sandbox = Sandbox::new();
    sandbox.refuses("search --minutes 0", 2, &["--minutes", "0"]);
    sandbox.refuses("search --population 1", 2, &["--population", "1"]);
    sandbox.refuses("search --text none.txt", 7, &["none.txt"]);
    fs::write(sandbox.at("short.txt"), "a short text").unwrap();
    sandbox.refuses(
        "search --text short.txt",
        3,
        &["short.txt", "expected at least", "characters", "found 12"],
    );
    fs::write(sandbox.at("bytes.txt"), [b'a', b'b', 0xFF]).unwrap();
    sandbox.refuses(
        "search --text bytes.txt",
        3,
        &["bytes.txt", "expected UTF-8", "at 2"],
    );
    let many: String = (0..400_000u32)
        .filter_map(|n| char::from_u32(0x4E00 + n % 300))
        .collect();
    fs::write(sandbox.at("many.txt"), many).unwrap();
    sandbox.refuses(
        "search --text many.txt",
        3,
        &["many.txt", "at most 256 different characters", "found 300"],
    );
    fs::create_dir(sandbox.at("full")).unwrap();
    fs::write(sandbox.at("full/a.txt"), "kept").unwrap();
    sandbox.refuses(
        "search --out full",
        2,
        &["--out full", "new folder", "seed = 1"],
    );
    assert!(!sandbox.at("search").exists());
}
