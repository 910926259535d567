#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The same bytes from every build and setting: `mambaint generate` with the bundled model, threads
# 1 and 2, prefill chunks 1, 7, 64 and 512, gcc and clang, -O0 and -O3.
# Usage: tests/grid.sh [--part] [MODEL]
#   --part  the build in build/ and one by gcc at -O0, instead of all four builds
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
# shellcheck source=examples/prepare.sh
. "$root/examples/prepare.sh"

builds="gcc-O0 gcc-O3 clang-O0 clang-O3"
if [ "${1-}" = --part ]; then
    builds="build gcc-O0"
    shift
fi
model=${1-$root/examples/models/storyteller.gguf}
if [ ! -f "$model" ]; then
    echo "grid.sh: no model $model"
    exit 77
fi

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# tool_of BUILD: make it and print the path of its command.
tool_of() {
    case $1 in
    build) folder=$root/build ;;
    *)
        folder=$root/build-grid/$1
        compiler=${1%-*}
        command -v "$compiler" >/dev/null || return 77
        # In `CC=... configure` a function would keep CC, so this runs in its own shell.
        (
            CC=$compiler
            export CC
            configure "$folder" -Doptimization="${1#*-O}" -Dtests=disabled -Ddocs=disabled -Dcuda=disabled
        ) || return 1 ;;
    esac
    configure "$folder" && build "$folder" examples/cli/mambaint || return 1
    echo "$folder/examples/cli/mambaint"
}

first=
total=0
different=0
for name in $builds; do
    tool=$(tool_of "$name")
    case $? in
    0) ;;
    77)
        echo "grid.sh: $name left out: no such compiler"
        continue ;;
    *)
        echo "grid.sh: $name does not build"
        exit 1 ;;
    esac
    for threads in 1 2; do
        for chunk in 1 7 64 512; do
            out=$work/$name-$threads-$chunk
            "$tool" generate -m "$model" -p "Once upon a time" -n 300 --temperature 0.8 --seed 7 \
                --threads $threads --prefill-chunk $chunk --json >"$out" </dev/null || {
                echo "grid.sh: $name, $threads threads, prefill chunk $chunk: failed"
                exit 1
            }
            [ -n "$first" ] || first=$out
            total=$((total + 1))
            if cmp -s "$first" "$out"; then
                echo "same       $name, $threads threads, prefill chunk $chunk"
            else
                echo "DIFFERENT  $name, $threads threads, prefill chunk $chunk"
                different=$((different + 1))
            fi
        done
    done
done
[ -s "$first" ] || { echo "grid.sh: nothing was generated"; exit 1; }
echo "$total runs, $different different"
[ "$different" -eq 0 ]
