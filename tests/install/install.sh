#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Install into an empty folder, then build and run a stranger's program against what lies there.
# Usage: install.sh BUILD_ROOT SOURCE_ROOT VERSION COMPILER...
set -u
build=$1
source=$2
version=$3
shift 3
command -v meson >/dev/null && command -v pkg-config >/dev/null || exit 77
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

fail() {
    echo "$*"
    exit 1
}

meson install -C "$build" --no-rebuild --quiet --destdir "$work/root" >"$work/log" 2>&1 ||
    fail "meson install: $(cat "$work/log")"

pc=$(find "$work/root" -name mambaint.pc)
[ -n "$pc" ] || fail "mambaint.pc is not installed"
PKG_CONFIG_PATH=$(dirname "$pc")
PKG_CONFIG_SYSROOT_DIR=$work/root
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
[ "$(pkg-config --modversion mambaint)" = "$version" ] || fail "mambaint.pc has another version"

# shellcheck disable=SC2046 # flags are words
"$@" -std=c99 -Wall -Werror $(pkg-config --cflags mambaint) "$source/tests/install/consumer.c" \
    -o "$work/consumer" $(pkg-config --libs mambaint) || fail "the consumer does not build"

library=$(find "$work/root" -name libmambaint.so)
LD_LIBRARY_PATH=$(dirname "$library")${LD_LIBRARY_PATH+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
[ "$("$work/consumer")" = "$version" ] || fail "the consumer does not run"
if command -v readelf >/dev/null; then
    readelf -d "$work/consumer" | grep -q 'NEEDED.*libmambaint\.so\.0\]' || fail "soname"
    readelf -d "$library" | grep -q 'TEXTREL' && fail "text relocations"
    readelf -lW "$library" | grep -q 'GNU_RELRO' || fail "no RELRO"
    readelf -lW "$library" | grep 'GNU_STACK' | grep -q 'RWE' && fail "executable stack"
fi

# The verifier that is linked alone.
if [ -n "$(find "$work/root" -name mambaint-verify.pc)" ]; then
    # shellcheck disable=SC2046 # flags are words
    "$@" -std=c99 -Wall -Werror $(pkg-config --cflags mambaint-verify) "$source/examples/verify.c" \
        -o "$work/verify" $(pkg-config --libs mambaint-verify) || fail "verify.c does not build"
    "$work/verify" 2>"$work/log"
    [ $? -eq 2 ] && grep -q usage "$work/log" || fail "the verifier does not run"
    if command -v readelf >/dev/null; then
        readelf -d "$work/verify" | grep -q 'NEEDED.*libmambaint' && fail "the verifier is not alone"
    fi
fi

# The headers in the tree are the headers installed.
(cd "$source/include" && find . -name '*.h' | sort) >"$work/want"
include=$(dirname "$(find "$work/root" -type d -path '*/include/mambaint')")
(cd "$include" && find . -name '*.h' | sort) >"$work/have"
diff "$work/want" "$work/have" || fail "headers"

tool=$(find "$work/root" -type f -name mambaint -path '*/bin/*')
[ -z "$tool" ] || "$tool" --help >"$work/help" || fail "the installed tool does not run"

# Nothing installed says where it was built.
for path in "$source" "$build"; do
    found=$(grep -rlaF "$path/" "$work/root")
    [ -z "$found" ] || fail "the build path $path is in: $found"
done
exit 0
