#!/bin/sh
# The long checks: fuzzing, a hundred kills, ten thousand steps with flat memory, thousands of checkpoints, a text of a
# gigabyte, advisories. About an hour and a half on two idle cores; `sh tests/long.sh fuzz` runs one part alone.
#
# Parts: kills, soak, rotation, text, copies, fuzz, advisories. FUZZ_SECONDS (600) is the time of each fuzz target. What came of
# the last run is recorded in tests/promises.md.
set -u
cd "$(dirname "$0")/.."
parts=${*:-"kills soak rotation text advisories copies fuzz"}
failed=
run() {
    echo "== $*"
    "$@" || failed="$failed; $*"
}
tests() {
    run cargo test --release --test faults -- --include-ignored --nocapture --test-threads 1 --exact "$@"
}
for part in $parts; do
    case $part in
        kills) WGRNN_KILLS=100 tests a_training_killed_at_random_moments_ends_in_the_same_bits ;;
        soak) WGRNN_STEPS=10000 tests memory_is_flat_over_a_long_run ;;
        rotation) tests thousands_of_checkpoints_are_rotated ;;
        text) tests a_text_of_a_gigabyte_takes_little_memory ;;
        # What needs no nightly Rust: many changed copies of good files and of findings.
        copies) WGRNN_CASES=30000 run cargo test --release --test hostile ;;
        advisories) run cargo deny check advisories ;;
        fuzz)
            # Needs `rustup toolchain install nightly` and `cargo install cargo-fuzz`.
            run cargo test --test hostile write_seeds -- --ignored --exact
            for target in checkpoint settings cell tokenizer corpus import; do
                mkdir -p "tests/fuzz/corpus/$target" "tests/fuzz/findings/$target"
                run cargo +nightly fuzz run --fuzz-dir tests/fuzz "$target" \
                    "tests/fuzz/corpus/$target" "tests/fuzz/seeds/$target" "tests/fuzz/findings/$target" -- \
                    -max_total_time="${FUZZ_SECONDS:-600}" -rss_limit_mb=2048 -malloc_limit_mb=1024 -timeout=20 \
                    -max_len=8192 -print_final_stats=1
            done
            ;;
        *)
            echo "unknown part: $part" >&2
            exit 2
            ;;
    esac
done
[ -z "$failed" ] || { echo "FAILED$failed" >&2; exit 1; }
echo "all long checks passed: $parts"
