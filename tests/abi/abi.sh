#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The binary interface against the kept dump. docs/abi.md says what to do when this fails.
# Usage: abi.sh check|update SOURCE_ROOT LIBRARY
set -u
mode=$1
root=$2
library=$3
kept=$root/tests/abi/libmambaint.abi

command -v abidw >/dev/null && command -v abidiff >/dev/null || exit 77
if command -v readelf >/dev/null && ! readelf -S "$library" | grep -q '\.debug_info'; then
    echo "the library was built without debug information (-Ddebug=true)"
    exit 77
fi
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# Types, names and versions alone: no line numbers, no paths, nothing that is not exported.
abidw --no-show-locs --no-corpus-path --no-comp-dir-path --no-architecture --no-elf-needed \
    --exported-interfaces-only --type-id-style hash --out-file "$work/new.abi" "$library" || exit 1

if [ "$mode" = update ]; then
    cp "$work/new.abi" "$kept"
    exit
fi
if [ ! -f "$kept" ]; then
    echo "tests/abi/libmambaint.abi is missing: ninja abi-update"
    exit 1
fi
abidiff --no-show-locs --suppressions "$root/tests/abi/private.suppr" "$kept" "$work/new.abi"
status=$?
case $status in
0) exit 0 ;;
*) # bits: 1 error, 2 usage, 4 changed, 8 incompatible
    [ $((status & 8)) -ne 0 ] && echo "incompatible: the soname number has to rise"
    [ $((status & 12)) -eq 4 ] && echo "changed: if it is meant, run ninja abi-update"
    exit 1 ;;
esac
