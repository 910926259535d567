#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The tokenizer against the whole conformance files: those of GPT-2 and GPT-NeoX, and the Universal
# Declaration of Human Rights in 388 languages and scripts. They are larger than the tree should be,
# so they are looked for in DATA (or MBI_DATA), packed or not, there or in its folder tokenizer:
# gpt2-encoder.json gpt2-vocab.bpe gpt2-reference-vectors.jsonl bpe-golden-ids.jsonl
# gpt-neox-20b-tokenizer.json udhr.tar, each also with .xz behind it. Status 77: no such folder named.
# Usage: conformance.sh CONFORMANCE PYTHON SOURCE_ROOT [DATA]
set -u
conformance=$1 python=$2 source=$3 data=${4:-${MBI_DATA:-}}
[ -n "$data" ] || {
    echo "name the folder of the conformance files: MBI_DATA=... (see $0)"
    exit 77
}
[ -d "$data/tokenizer" ] && data=$data/tokenizer
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

for name in gpt2-encoder.json gpt2-vocab.bpe gpt2-reference-vectors.jsonl bpe-golden-ids.jsonl \
    gpt-neox-20b-tokenizer.json udhr.tar; do
    if [ -f "$data/$name" ]; then
        cp "$data/$name" "$work/$name" || exit 1
    else
        xz -dc "$data/$name.xz" >"$work/$name" || exit 1
    fi
done
tar -xf "$work/udhr.tar" -C "$work" || exit 1 # makes the folder udhr
"$conformance" "$work" || exit
for name in gpt2-encoder.json gpt2-vocab.bpe gpt2-reference-vectors.jsonl bpe-golden-ids.jsonl; do
    cmp "$work/$name" "$source/tests/data/tokenizer/$name" || exit 1
done
"$python" -B "$source/tests/golden/neox_part.py" "$work/gpt-neox-20b-tokenizer.json" --check
