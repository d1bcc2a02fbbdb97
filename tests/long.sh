#!/bin/sh
# The long checks: fuzzing, a hundred kills, ten thousand steps with flat memory, a thousand trainings on an adapter,
# thousands of checkpoints, a text of a gigabyte, advisories. About two hours on two idle cores; `sh tests/long.sh fuzz` runs one
# part alone.
#
# Parts: kills, soak, load, rotation, text, optimised, advisories, copies, fuzz. What came of the last run is recorded in
# tests/promises.md. Of fuzzing: FUZZ_TARGETS (all six) are what is fuzzed, each for FUZZ_SECONDS (600); FUZZ_TIMEOUT (20) is how
# many seconds one input may take, and wants to be longer on a machine that has other things to do.
set -u
cd "$(dirname "$0")/.."
parts=${*:-"kills soak load rotation text optimised advisories copies fuzz"}
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
        # Needs an adapter; a software driver is one.
        load) run cargo test --release --test load -- --ignored --nocapture --test-threads 1 ;;
        rotation) tests thousands_of_checkpoints_are_rotated ;;
        text) tests a_text_of_a_gigabyte_takes_little_memory ;;
        # What needs no nightly Rust: many changed copies of good files and of findings.
        copies) WGRNN_CASES=30000 run cargo test --release --test hostile ;;
        # Kernels with LLVM's optimisation, as programs have them; tests/all.sh leaves it out.
        optimised) run cargo test --test gpu --test double --test half --test split --test models_beside \
            --test measured_devices -- --include-ignored ;;
        advisories) run cargo deny check advisories ;;
        fuzz)
            # Needs `rustup toolchain install nightly` and `cargo install cargo-fuzz`. No sanitizer: what is fuzzed has no
            # unsafe code, and without one the build takes minutes instead of an hour and cases come several times as fast.
            # Address space is limited in its place, so that a header that is believed still shows.
            run cargo test --test hostile write_seeds -- --ignored --exact
            for target in ${FUZZ_TARGETS:-checkpoint settings cell tokenizer corpus import}; do
                mkdir -p "tests/fuzz/corpus/$target" "tests/fuzz/findings/$target"
                run cargo +nightly fuzz build --fuzz-dir tests/fuzz --sanitizer none "$target"
                (
                    failed=
                    ulimit -v 6000000
                    run cargo +nightly fuzz run --fuzz-dir tests/fuzz --sanitizer none "$target" \
                        "tests/fuzz/corpus/$target" "tests/fuzz/seeds/$target" "tests/fuzz/findings/$target" -- \
                        -max_total_time="${FUZZ_SECONDS:-600}" -rss_limit_mb=2048 -timeout="${FUZZ_TIMEOUT:-20}" \
                        -max_len=16384 -print_final_stats=1
                    [ -z "$failed" ]
                ) || failed="$failed; fuzz $target"
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
