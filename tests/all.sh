#!/bin/sh
# Runs every check: formatting, lints, tests, and the GPU tests once more on a second driver. The GPU tests need a Vulkan,
# Metal or DX12 adapter; on a Linux machine without any Vulkan driver, Mesa's software driver is installed first.
#
# The second driver is SwiftShader, out of Debian's packages of Chromium, so that one driver's habit does not pass for
# correctness. SECOND_DRIVER=FILE.json names another one's ICD file; SECOND_DRIVER=none leaves it out, and says so. Where the
# packages are not to be had (Ubuntu's is a snap), that is said in the last line; SECOND_DRIVER=required makes it an error.
set -eu
cd "$(dirname "$0")/.."

have_vulkan() {
    [ -n "${VK_DRIVER_FILES:-}${VK_ICD_FILENAMES:-}" ] && return 0
    for folder in /usr/share/vulkan/icd.d /usr/local/share/vulkan/icd.d /etc/vulkan/icd.d; do
        for file in "$folder"/*.json; do
            [ -e "$file" ] && return 0
        done
    done
    return 1
}

if [ "$(uname)" = Linux ] && ! have_vulkan; then
    if ! command -v apt-get > /dev/null; then
        echo "no Vulkan driver found: install one (Mesa's vulkan drivers hold the software driver llvmpipe)" >&2
        exit 1
    fi
    as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    echo "no Vulkan driver found: installing mesa-vulkan-drivers"
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mesa-vulkan-drivers libvulkan1 > /dev/null
fi

# Mesa's device selection asks for a Wayland session and complains when there is none.
export NODEVICE_SELECT=1
# Mesa's software driver compiles each kernel for longer than a test runs it: without LLVM's optimisation, two thirds of the time.
# `sh tests/long.sh optimised` runs the same kernels as programs have them.
export GALLIVM_PERF=nopt

if cargo fmt --version > /dev/null 2>&1; then
    cargo fmt --check
else
    echo "NOT CHECKED: formatting (rustup component add rustfmt)"
fi
if cargo clippy --version > /dev/null 2>&1; then
    cargo clippy --quiet --all-targets -- -D warnings
else
    echo "NOT CHECKED: lints (rustup component add clippy)"
fi
if cargo deny --version > /dev/null 2>&1; then
    # Advisories need the network: tests/long.sh looks at them.
    cargo deny --offline check licenses bans sources
else
    echo "NOT CHECKED: dependencies (cargo install cargo-deny --locked)"
fi
RUSTDOCFLAGS="-D warnings" cargo doc --quiet --no-deps
cargo test

# Several cells, packed rows, faults of devices, equal bits: what a driver's habit would show in, in about a minute.
decisive="gru_cho_agrees lstm_agrees packed_sequences two_runs lost_device readback submissions"
icd="${SECOND_DRIVER:-}"
name=
required=
if [ "$icd" = required ]; then
    required=1
    icd=
fi
if [ -z "$icd" ] && [ "$(uname -s) $(uname -m)" = "Linux x86_64" ]; then
    icd="$(sh tests/swiftshader.sh)" || [ -z "$required" ] || exit 1
    name=SwiftShader
fi
case "$icd" in
"")
    echo "NOT CHECKED: a second driver (SwiftShader comes with Debian's Chromium for x86-64; else set SECOND_DRIVER)" >&2
    [ -z "$required" ]
    ;;
none) echo "NOT CHECKED: a second driver (SECOND_DRIVER=none)" ;;
*)
    echo "once more with $icd"
    # The tests refuse any adapter of another name, so that they cannot pass on the first driver by mistake.
    env VK_DRIVER_FILES="$icd" VK_ICD_FILENAMES="$icd" TEST_ADAPTER="$name" \
        cargo test --test gpu --test device -- $decisive
    ;;
esac
