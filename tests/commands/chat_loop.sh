#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The front page's program and the tool give the same answers to the same questions.
# Usage: chat_loop.sh SOURCE_ROOT CHAT_LOOP TOOL
set -u
model=$1/examples/models/storyteller.gguf
[ -f "$model" ] || exit 77
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

ask() { # ask NAME COMMAND...: two questions; the answers, without line ends, go to the file NAME
    name=$1
    shift
    printf 'Tell me a story about a cat.\nWhat happened then?\n' |
        timeout 100 "$@" >"$work/$name.raw" 2>"$work/$name.err" || {
        echo "$name: status $?"
        cat "$work/$name.err"
        exit 1
    }
    tr -d '\n' <"$work/$name.raw" >"$work/$name"
}

ask loop "$2" "$model"
ask tool "$3" chat -m "$model" --seed 0
[ -s "$work/loop" ] || { echo "no answer"; exit 1; }
cmp "$work/loop" "$work/tool"
