#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The cuda backend on this machine's GPU: graphs and whole models compared with the reference, the
# sanitizer's tools, the speed of models. A table is printed last; the status is 0 only if nothing
# failed, 77 where there is no GPU or no cuda backend.
# Usage: tests/gpu.sh [--quick] [--no-build] [--only PARTS] [BUILD]
#   --quick     fewer graphs, 2,000 tokens instead of 100,000, small models: a few minutes
#   --only      some of graphs,whole,sessions,sanitizer,models,training,products
#   --no-build  take BUILD as it is: no compiler, no meson. Of it are needed libmambaint.so.0,
#               mambaint/, tests/bitexact/bitexact, tests/golden/whole, examples/cli/mambaint and
#               what there is in tests/cuda/. For a machine without the optional libraries set it
#               up with -Dauto_features=disabled -Dtests=enabled -Davx2=enabled -Davx512=enabled
#               -Dcuda=enabled
#   BUILD       build folder, made if it is not there; build-gpu/ without one
# shellcheck disable=SC2317 # step calls functions by name
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1

quick=
make=yes
parts=graphs,whole,sessions,sanitizer,models,training,products
build=$root/build-gpu
while [ $# -gt 0 ]; do
    argument=$1
    shift
    case $argument in
    --quick) quick=yes ;;
    --no-build) make= ;;
    --only)
        parts=${1:-}
        [ $# -eq 0 ] || shift ;;
    -*)
        sed -n '/^# Usage/,/^# shellcheck/{/shellcheck/d;s/^# \{0,1\}//p;}' "$0" >&2
        exit 2 ;;
    *) build=$argument ;;
    esac
done

# wanted PART
wanted() {
    case ,$parts, in
    *,"$1",*) return 0 ;;
    *) return 1 ;;
    esac
}

# ---- the device ----

# smi FIELDS: of the first GPU, separated by ", ".
smi() {
    nvidia-smi -i 0 --query-gpu="$1" --format=csv,noheader 2>/dev/null
}
if ! command -v nvidia-smi >/dev/null || [ -z "$(smi name)" ]; then
    echo "gpu.sh: skipped: no NVIDIA GPU or driver here"
    exit 77
fi
device="$(smi name), driver $(smi driver_version), compute capability $(smi compute_cap)"
echo "== $device"

# Libraries that the modules need and that the linker may not know.
LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/usr/local/cuda/lib64
export LD_LIBRARY_PATH

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
: >"$work/table"
failed=0

# ---- steps ----

# row CHECK RESULT SECONDS DETAIL
row() {
    echo "| $1 | $2 | $3 | $4 |" >>"$work/table"
    echo "== $1: $2 after $3 s. $4"
    [ "$2" != FAIL ] || failed=1
}

# within SECONDS COMMAND...
within() {
    if command -v timeout >/dev/null; then
        timeout -k 10 "$@" </dev/null
    else
        shift
        "$@" </dev/null
    fi
}

# step CHECK SECONDS DETAIL COMMAND...: DETAIL is a command that makes a few words of the log.
step() {
    check=$1
    limit=$2
    detail=$3
    shift 3
    echo "== $check: $*"
    start=$(date +%s)
    within "$limit" "$@" >"$work/log" 2>&1
    status=$?
    seconds=$(($(date +%s) - start))
    if [ $status -eq 0 ] && words=$($detail <"$work/log"); then
        row "$check" pass $seconds "$words"
        return 0
    fi
    tail -n 25 "$work/log"
    case $status in
    124 | 137) words="not finished after $limit s" ;;
    0) ;;
    *) words="status $status: $(tail -n 1 "$work/log" | tr '|' ' ' | cut -c 1-120)" ;;
    esac
    row "$check" FAIL $seconds "$words"
    return 1
}

# missing CHECK WHY
missing() {
    row "$1" missing 0 "$2"
}

last_line() {
    tail -n 1
}

# Every operation has to be in some graph.
graph_words() {
    awk '/^cuda: graphs run/ { seen = 1; lacks = index($0, "; none has") ? $0 : "" }
        { last = $0 }
        END { if (!seen) lacks = "no graph ran"; print lacks ? lacks : last; exit lacks != "" }'
}

sanitizer_words() {
    grep 'ERROR SUMMARY' | tail -n 1 | sed 's/=* *//' | grep .
}

# Tokens a second of each run, from the JSON of bench.
bench_words() {
    tr '{' '\n' | sed -n 's/.*"name": "\([^"]*\)".*"tokens_per_s": \([0-9]*\).*/\1: \2/p' |
        paste -s -d , - | sed 's/,/, /g; s/$/ tokens\/s/' | grep '[0-9]'
}

table() {
    echo
    echo "CUDA checks of $(date -u +%Y-%m-%d), $device"
    echo
    echo "| check | result | seconds | |"
    echo "|---|---|---|---|"
    cat "$work/table"
    exit $failed
}

# ---- the build ----

if [ "$make" ]; then
    # shellcheck source=examples/prepare.sh
    . "$root/examples/prepare.sh"
    make_build() {
        configure "$build" --buildtype=release -Dcuda=enabled \
            -Dgpu_arch="$(smi compute_cap | tr -d .)" && build "$build" &&
            build "$build" tests/cuda/bench-matrix && build "$build" tests/cuda/bench-runs
    }
    start=$(date +%s)
    make_build || { row build FAIL $(($(date +%s) - start)) ""; table; }
    row build pass $(($(date +%s) - start)) ""
fi
module=$build/mambaint/backend-cuda.so
tool=$build/examples/cli/mambaint
if [ ! -f "$module" ]; then
    echo "gpu.sh: skipped: there is no $module"
    exit 77
fi

# ---- the same bits ----

bitexact="$build/tests/bitexact/bitexact"
graphs=600 tokens=100000 seconds_whole=600 rounds=300
models="mi-130m mi-130m-ternary mi-1b mi-1b-ternary"
if [ "$quick" ]; then
    graphs=60 tokens=2000 seconds_whole=200 rounds=40 models="mi-130m mi-130m-ternary"
fi

! wanted graphs || step "random graphs" 300 graph_words \
    "$bitexact" --module "$module" --backend cuda --graphs $graphs
# Each model by itself and all at once: most of the time goes into single tokens, which leave most of
# the device idle.
whole_models() {
    # shellcheck disable=SC2016 # the inner shell expands them
    echo 'pids= rc=0
        for model in mi-1m mi-1m-ternary mi-1m-chunk-1; do
            "$@" --model $model & pids="$pids $!"
        done
        for pid in $pids; do wait "$pid" || rc=1; done
        exit $rc'
}
whole_words() {
    awk '/ ways over / { ways += $1; differ += $(NF - 1) }
        END { print ways " ways, " differ + 0 " different"; exit !ways || differ }'
}
! wanted whole || step "whole models, $tokens tokens" $seconds_whole whole_words \
    sh -c "$(whole_models)" whole "$build/tests/golden/whole" --module "$module" --backend cuda \
    --few --tokens $tokens "$root/tests/golden/whole.txt"

sanitizer=$(PATH=$PATH:/usr/local/cuda/bin command -v compute-sanitizer)
for name in memcheck racecheck initcheck; do
    wanted sanitizer || break
    if [ "$sanitizer" ]; then
        step "compute-sanitizer $name" 200 sanitizer_words "$sanitizer" --tool $name \
            --error-exitcode 99 "$bitexact" --module "$module" --backend cuda --graphs 3 --seed 1
    else
        missing "compute-sanitizer $name" "not installed"
    fi
done

# ---- models ----

# end_state MODEL BACKEND: what the model writes and where it ends, drawn and greedy.
end_state() {
    within 120 "$tool" generate -m "$1" -p "Once upon a time" -n 64 --temperature 0.8 --seed 7 \
        --backend "$2" --json &&
        within 120 "$tool" generate -m "$1" -p "Once upon a time" -n 37 --temperature 0 \
            --repeat-penalty 1 --backend "$2" --json
}

for name in $models; do
    wanted models || break
    model=$work/model.gguf
    step "$name: made" 200 true "$tool" synth --preset "$name" --seed 1 --out "$model" || continue
    start=$(date +%s)
    if end_state "$model" auto >"$work/cpu" && end_state "$model" cuda >"$work/gpu" &&
        cmp "$work/cpu" "$work/gpu"; then
        row "$name: text and end state as the CPU's" pass $(($(date +%s) - start)) ""
    else
        row "$name: text and end state as the CPU's" FAIL $(($(date +%s) - start)) ""
    fi
    step "$name: speed" 150 bench_words "$tool" bench -m "$model" --backend cuda --threads 1 \
        -n 128 --batch 64 --prompt-tokens 512,2048 --json
    rm -f "$model"
done

# ---- what else is built ----

# optional CHECK SECONDS PROGRAM ARGUMENT...
optional() {
    check=$1
    limit=$2
    program=$build/tests/cuda/$3
    shift 3
    if [ -x "$program" ]; then
        step "$check" "$limit" last_line "$program" "$@"
    else
        missing "$check" "${program##*/} is not built"
    fi
}
# Lines of bench-runs: what was timed, and tokens a second.
runs_words() {
    sed -n 's/^[^,]*, \(.*\): [0-9.]* us, \([0-9]*\) tokens\/s$/\1: \2/p' | paste -s -d , - |
        sed 's/,\([^ ]\)/; \1/g; s/$/ tokens\/s/' | grep '[0-9]'
}
! wanted sessions || optional "sessions beside the reference's, drawn on the device" 400 test-sessions \
    "$module" cuda $rounds
for name in $models; do
    wanted models || break
    [ -x "$build/tests/cuda/bench-runs" ] || break
    step "$name: steps drawn on the host and on the device" 200 runs_words \
        "$build/tests/cuda/bench-runs" "$module" "$name" 1x1 1x8 1x16
done
! wanted training || optional "training" 300 test-train-cuda --module "$module" "$work" mi-130m 16 512 5
! wanted products || optional "products of matrices" 120 bench-matrix
table
