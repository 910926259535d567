#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the front page promises of ./examples/chat.sh, on a copy of the tree that was never built.
# Usage: chat.sh SOURCE_ROOT
set -u
source=$1
[ -f "$source/examples/models/storyteller.gguf" ] || exit 77
command -v meson >/dev/null && command -v ninja >/dev/null || exit 77
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

fail() {
    echo "$*"
    exit 1
}

mkdir "$work/tree"
for part in "$source"/*; do
    case ${part##*/} in
    build*) ;;
    *) cp -R "$part" "$work/tree/" ;;
    esac
done
cd / || exit 1

ask() { # ask NAME COMMAND...: one question; the answer goes to the file NAME
    name=$1
    shift
    printf 'Tell me a story about a cat.\n' | "$@" >"$work/$name" 2>"$work/$name.err" ||
        fail "$name: status $?: $(tail -n 5 "$work/$name.err")"
}

# First run: it has to build, and still prints the story alone.
ask first "$work/tree/examples/chat.sh" --seed 7
size=$(wc -c <"$work/first")
[ "$size" -ge 200 ] || fail "only $size bytes of a story"
grep -q -i -e 'ninja' -e '^\[[0-9]*/' -e 'meson' "$work/first" && fail "the build talks in the story"

# Second run: the same story, started within two seconds.
started=$(date +%s)
printf 'Tell me a story about a cat.\n' | "$work/tree/examples/chat.sh" --seed 7 2>/dev/null |
    { head -c 1 >"$work/one"; date +%s >"$work/first_byte"; cat >"$work/rest"; }
[ $(($(cat "$work/first_byte") - started)) -le 2 ] || fail "the second run is slow to start"
cat "$work/one" "$work/rest" | cmp -s - "$work/first" || fail "the second run tells another story"

# With a terminal: the same command under one.
if command -v script >/dev/null && script -qec true /dev/null >/dev/null 2>&1; then
    printf 'Tell me a story about a cat.\n\004' |
        script -qec "'$work/tree/examples/chat.sh' --seed 7" /dev/null >"$work/terminal" 2>&1 ||
        fail "with a terminal: status $?: $(tail -n 5 "$work/terminal")"
    [ "$(wc -c <"$work/terminal")" -ge 200 ] || fail "no story on a terminal"
fi

# The tool's status comes through.
"$work/tree/examples/chat.sh" --no-such-flag </dev/null >"$work/out" 2>"$work/err"
[ $? -eq 2 ] || fail "a wrong flag does not end with status 2"
[ ! -s "$work/out" ] || fail "a wrong flag prints to standard output"
exit 0
