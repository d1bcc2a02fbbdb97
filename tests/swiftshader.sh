#!/bin/sh
# Fetches SwiftShader, the software Vulkan driver in Debian's packages of Chromium, and prints the path of its ICD file.
# Nothing is installed: the packages are unpacked, and of their 130 MB only the driver is kept, below target/.
set -eu
cd "$(dirname "$0")/.."
kept="$(cd "${CARGO_TARGET_DIR:-target}" 2> /dev/null && pwd || (mkdir -p target && cd target && pwd))/swiftshader"
icd="$kept/vk_swiftshader_icd.json"

fail() {
    echo "no second driver: $1" >&2
    echo "set SECOND_DRIVER to the ICD file (.json) of any other Vulkan driver, or to none to leave it out" >&2
    exit 1
}

if [ ! -e "$icd" ]; then
    for tool in apt-get dpkg-deb; do
        command -v $tool > /dev/null || fail "SwiftShader comes from Debian's packages, and there is no $tool here"
    done
    work="$(mktemp -d)"
    trap 'rm -rf "$work"' EXIT
    (
        cd "$work"
        # apt-get downloads as a user of its own, which must be able to write here.
        chmod 755 .
        if ! apt-get download -qq chromium chromium-common > log 2>&1; then
            as_root=
            [ "$(id -u)" = 0 ] || as_root=sudo
            # The list of packages may be old, or not there.
            $as_root apt-get update -qq > log 2>&1 || true
            apt-get download -qq chromium chromium-common >> log 2>&1 || { cat log >&2; exit 1; }
        fi
        for package in chromium*.deb; do
            dpkg-deb -x "$package" unpacked
        done
    ) || fail "apt-get cannot download the packages chromium and chromium-common"
    found="$work/unpacked/usr/lib/chromium"
    for file in libvk_swiftshader.so vk_swiftshader_icd.json; do
        [ -e "$found/$file" ] || fail "this system's package of Chromium holds no $file (Ubuntu's is a snap)"
    done
    mkdir -p "$kept"
    cp "$found/libvk_swiftshader.so" "$kept/"
    # Last, and at once: a folder with it is whole.
    cp "$found/vk_swiftshader_icd.json" "$icd.new"
    mv "$icd.new" "$icd"
fi
echo "$icd"
