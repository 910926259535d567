#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Does computing in integers cost quality? Trains the same configuration in floats and in integers
# on equal tokens, three seeds each, and prints held-out bits per byte (the whole file) beside the
# mean training loss of the last 100 steps (equal batches for equal seeds).
#
#   tests/experiments/arithmetic.sh MAMBAINT DATA_DIR OUT_DIR
set -eu
tool=$1 data=$2 out=$3
here=$(dirname "$0")
mkdir -p "$out"

run() { # arithmetic seed
    log=$out/$1-$2.jsonl
    if ! grep -q '"whole": true' "$log" 2>/dev/null; then
        "$tool" train --config "$here/arithmetic.conf" --data-dir "$data" --arithmetic "$1" \
            --seed "$2" --out "$out/$1-$2.gguf" --json >"$log" 2>"$out/$1-$2.log"
    fi
    awk -v name="$1" -v seed="$2" '
        { match($0, /"loss": [0-9.]+/); loss[NR] = substr($0, RSTART + 8, RLENGTH - 8) }
        match($0, /"bits_per_byte": [0-9.]+/) { bits = substr($0, RSTART + 17, RLENGTH - 17) }
        END {
            for (i = NR - 99; i <= NR; i++) sum += loss[i]
            printf "| %s | %d | %.4f | %.4f |\n", name, seed, bits, sum / 100
        }' "$log"
}

echo "| arithmetic | seed | bits per byte | training loss, nats a token |"
echo "|---|---:|---:|---:|"
for seed in 1 2 3; do
    run float "$seed"
    run integer "$seed"
done | tee "$out/table.md"
awk -F'|' '
    { gsub(/ /, "", $2); n[$2]++; bits[$2] += $4; loss[$2] += $5 }
    END {
        f = "float"; i = "integer"
        printf "| mean, float | | %.4f | %.4f |\n", bits[f] / n[f], loss[f] / n[f]
        printf "| mean, integer | | %.4f | %.4f |\n", bits[i] / n[i], loss[i] / n[i]
        printf "| integer over float | | %+.2f %% | %+.2f %% |\n",
            100 * (bits[i] / bits[f] - 1), 100 * (loss[i] / loss[f] - 1)
    }' "$out/table.md"
