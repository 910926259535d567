#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The library on other processors: built by Debian's cross compilers, run by qemu-user. Unit tests,
# golden vectors, kernels against the reference and digests of whole models, fewer of each than
# natively; then the tool has to print what the native one prints.
# Usage: tests/cross.sh [MACHINE]...
#   MACHINE  aarch64 (64-bit Arm, with and without its dot products), s390x (big end first) or
#            i686 (32 bits); without one all of them
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
# shellcheck source=examples/prepare.sh
. "$root/examples/prepare.sh"

# What runs there. Of the training's floats only what makes integers of them is looked at.
tests="stand-in api base container exec ext2 ext3 features field golden_ops model module ntt session
    state tokenizer train bitexact whole"
model=$root/examples/models/storyteller.gguf

# needs MACHINE: packages that are missing.
needs() {
    case $1 in
    aarch64) compiler=aarch64-linux-gnu emulator=qemu-aarch64 libc=arm64 ;;
    s390x) compiler=s390x-linux-gnu emulator=qemu-s390x libc=s390x ;;
    i686) compiler=i686-linux-gnu emulator=qemu-i386 libc=i386 ;;
    esac
    command -v "$compiler-gcc" >/dev/null && [ -e "/usr/$compiler/include/stdio.h" ] ||
        echo "gcc-$compiler" "libc6-dev-$libc-cross"
    command -v "$emulator" >/dev/null || echo qemu-user
}

# emulated MACHINE PROGRAM ARGUMENT...
emulated() {
    case $1 in
    i686)
        loader=/usr/i686-linux-gnu/lib
        shift
        qemu-i386 "$loader/ld-linux.so.2" --library-path "$loader" "$@" ;;
    *)
        machine=$1
        shift
        "qemu-$machine" -L "/usr/$machine-linux-gnu" "$@" ;;
    esac
}

# check MACHINE ARGUMENT...: of `meson test`; on the processor in QEMU_CPU, if that is set.
check() {
    machine=$1
    shift
    meson test -C "$root/build-cross/$machine" --no-rebuild --num-processes 2 --print-errorlogs \
        -t 4 --suite unit --suite bitexact --suite golden "$@" </dev/null ||
        failed="$failed $machine"
}

# say COMMAND...: what the tool says of the bundled model and makes with it.
say() {
    "$@" inspect -m "$model" --json &&
        "$@" generate -m "$model" -p "Once upon a time" -n 30 --temperature 0.8 --seed 7 \
            --threads 2 --json
}

[ $# -gt 0 ] || set -- aarch64 s390x i686
for machine in "$@"; do
    case $machine in
    aarch64 | s390x | i686) ;;
    *)
        sed -n '/^# Usage/,/^set/s/^# \{0,1\}//p' "$0" >&2
        exit 2 ;;
    esac
done

missing=$(for machine in "$@"; do needs "$machine"; done | tr ' ' '\n' | sort -u)
# shellcheck disable=SC2086 # words
if [ -n "$missing" ] && ! install_missing cross.sh $missing; then
    echo "skipped: builds for other processors need packages that cannot be installed here:" $missing
    exit 77
fi

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
configure "$root/build" && build "$root/build" examples/cli/mambaint || exit 1
say "$root/build/examples/cli/mambaint" >"$work/native" || exit 1

failed=
for machine in "$@"; do
    echo "== $machine"
    folder=$root/build-cross/$machine
    neon=disabled
    [ "$machine" != aarch64 ] || neon=enabled
    configure "$folder" --cross-file "$root/tests/cross/$machine.ini" -Dauto_features=disabled \
        -Dtests=enabled -Dneon=$neon && build "$folder" || exit 1
    # shellcheck disable=SC2086 # words
    case $machine in
    aarch64)
        QEMU_CPU=cortex-a53 check "$machine" $tests
        QEMU_CPU=max check "$machine" --test-args "--backend neon" bitexact whole ;;
    *) check "$machine" $tests ;;
    esac
    say emulated "$machine" "$folder/examples/cli/mambaint" >"$work/$machine"
    if cmp "$work/native" "$work/$machine"; then
        echo "the tool prints what the native one prints"
    else
        failed="$failed $machine"
    fi
done
[ -z "$failed" ] || { echo "failed:$failed"; exit 1; }
