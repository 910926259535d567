#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Two builds in two places install the same bytes. Usage: reproducible.sh SOURCE_ROOT
# Without the modules of CUDA, which take minutes: nvcc writes names of its own into its objects, and
# the linker leaves them out (-s in cuda/meson.build).
set -u
source=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

for place in one "another place/deeper"; do
    mkdir -p "$work/$place"
    cp -R "$source/." "$work/$place/tree" || exit 1
    rm -rf "$work/$place/tree/.git" "$work/$place/tree"/build*
    if ! {
        meson setup -Dtests=disabled -Ddocs=disabled -Dcuda=disabled "$work/$place/out" "$work/$place/tree" &&
            ninja -C "$work/$place/out" &&
            meson install -C "$work/$place/out" --no-rebuild --destdir "$work/$place/root"
    } >"$work/log" 2>&1; then
        tail -n 20 "$work/log"
        exit 1
    fi
done
diff -r "$work/one/root" "$work/another place/deeper/root" && echo "the two builds are the same"
