#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The same bytes, ids and end state for every number of threads, prefill chunk and backend.
# Usage: same.sh TOOL SOURCE_ROOT
. "$(dirname "$0")/support.sh"
cd "$work" || exit 1

head -c 3000 "$text" >prompt
"$tool" synth --preset mi-tiny --out tiny.gguf >/dev/null
"$tool" synth --preset mi-tiny-ternary --chunk 1 --gate algebraic --out one.gguf >/dev/null
"$tool" synth --preset mi-1m --layers 2 --norm bitshift --gate squareplus --out shift.gguf >/dev/null

backends=scalar
for backend in avx2 avx512 neon; do # those of the build that run here
    "$tool" generate -m tiny.gguf -p a -n 1 --backend $backend >/dev/null 2>err </dev/null &&
        backends="$backends $backend"
done
count=0
for model in tiny one shift; do
    first=
    for backend in $backends; do
        for threads in 1 2; do
            for chunk in 1 7 64 512; do
                run 0 generate -m $model.gguf -n 100 --seed 3 --backend "$backend" \
                    --threads $threads --prefill-chunk $chunk --json <prompt
                [ -n "$first" ] || cp out first.$model
                first=yes
                cmp -s out first.$model ||
                    problem "$model: $backend, $threads threads, prefill chunk $chunk"
                count=$((count + 1))
            done
        done
        run 0 eval -m $model.gguf prompt --json --backend "$backend" --threads 2 --prefill-chunk 33
        [ -f score.$model ] || cp out score.$model
        cmp -s out score.$model || problem "$model: eval with $backend"
    done
done
echo "$count runs, backends: $backends"
finish
