#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the tests do, at full length: every kernel of every backend compared with the reference
# 100,000 times over random and 100,000 times over extreme inputs, random graphs with and without
# fusing, then whole models over 100,000 tokens in every way to run them. Some hours.
# Usage: tests/soak.sh [FOLDER]
#   FOLDER  of the build; build/ without one
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
# shellcheck source=examples/prepare.sh
. "$root/examples/prepare.sh"

folder=${1-$root/build}
configure "$folder" && build "$folder" tests/bitexact/bitexact tests/golden/whole || exit 1

status=0
# soak PROGRAM ARGUMENT...
soak() {
    program=$folder/tests/$1
    shift
    echo "== $program $*"
    "$program" "$@" </dev/null || { status=1; echo "== failed: $program $*"; }
}
soak bitexact/bitexact --count 100000 --graphs 2000
soak bitexact/bitexact --self-test
soak golden/whole --tokens 100000 --every "$root/tests/golden/whole.txt"
exit $status
