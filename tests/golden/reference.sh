#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The library against reference.py, which was written from the documents alone: digests, logits
# after every token, saved states, costs and drawn tokens have to be equal to the bit.
# Usage: reference.sh PYTHON MAMBAINT LOGITS SOURCE_ROOT
set -u
[ $# = 4 ] || {
    echo "usage: reference.sh PYTHON MAMBAINT LOGITS SOURCE_ROOT" >&2
    exit 2
}
absolute() {
    echo "$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"
}
python=$1 mambaint=$(absolute "$2") logits=$(absolute "$3") source=$(absolute "$4")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

fail() {
    echo "not equal: $*"
    exit 1
}

reference() { # reference MODEL ARGUMENT...: the answer as lines "name value"
    "$python" -B "$source/tests/golden/reference.py" "$@" >answer || fail "reference.py $*"
}

answer() { # answer NAME: one value of the last answer
    sed -n "s/^$1 //p" answer
}

make_ids() { # make_ids SEED COUNT: ids of the bytes and specials, which every vocabulary here has
    awk -v x="$1" -v n="$2" 'BEGIN {
        for (; n > 0; n--) { x = x * 16807 % 2147483647; print x % 272 }
    }'
}

feed() { # feed MODEL STATE RUN [OPTION]: the library's logits go to the file $2.logits
    "$logits" feed "$1" ids "$2" "$3" ${4:+"$4"} >"$2.logits" || fail "feeding $1 in runs of $3"
}

# compare MODEL [ARGUMENT...]: the ids of the file ids, one by one and in runs of other lengths.
compare() {
    model=$1
    shift
    feed "$model" steps 1 backend=scalar
    reference "$model" --ids ids --trace trace --state steps "$@"
    cmp steps.logits trace || fail "logits of $model"
    tail -n 1 trace >last
    for run in 1 7 1000; do
        feed "$model" runs "$run"
        cmp runs steps || fail "state of $model after runs of $run"
        tail -n 1 runs.logits | cmp - last || fail "logits of $model after runs of $run"
    done
}

# identify MODEL: does the library give the digests that reference.py just gave?
identify() {
    "$mambaint" inspect -m "$1" --json >description || fail "inspect $1"
    for digest in model_digest graph_digest; do
        grep -q "\"$digest\": \"$(answer $digest)\"" description || fail "$digest of $1"
    done
}

# small NAME TOKENS OPTION...: a model of the library, and others with weights far from training.
small() {
    name=$1 count=$2
    shift 2
    "$mambaint" synth --out "$name" --preset mi-tiny --seed "$count" "$@" >/dev/null ||
        fail "synth $*"
    make_ids "$count" "$count" >ids
    compare "$name"
    identify "$name"
    echo "$name: $count tokens, state $(answer state_blake2b)"
    for seed in 1 2 3; do
        reference "$name" --redraw "$seed" redrawn
        compare redrawn
    done
}

# draw MODEL OPTIONS OF THE LIBRARY -- THE SAME FOR reference.py
draw() {
    model=$1 theirs='' ours=''
    shift
    while [ "$1" != -- ]; do
        theirs="$theirs $1"
        shift
    done
    shift
    ours=$*
    # shellcheck disable=SC2086 # lists of words
    "$logits" draw "$model" ids 60 $theirs >drawn || fail "drawing from $model"
    # shellcheck disable=SC2086
    reference "$model" --ids ids --generate 60 $ours
    answer generated | cmp - drawn || fail "drawn tokens of $model:$theirs"
}

# text MODEL FILE: the cost of a text; leaves what was fed in the file ids.
text() {
    "$logits" score "$1" "$2" >scored || fail "scoring $2 with $1"
    tail -n 1 scored >ids
    head -n 2 scored >want
    compare "$1" --score --text "$2"
    grep -E '^(bits_q16|tokens) ' answer | cmp - want || fail "cost of $2 under $1"
}

cat >story.txt <<'END'
Once upon a time there was a little cat who lived in a small house near the sea. Every morning she
sat by the window and watched the boats. One day a big bird came down and said, "Hello! Do you want
to play with me?" The cat was happy and ran outside. They played all day long, and when the sun went
down, the bird flew home and the cat went to sleep. She had a new friend.
END
head -c 70 story.txt >line.txt

small ternary 24 --chunk 8 --weights ternary --head-weights ternary --tied-head off \
    --rotation-pairs 0
small classical 10 --chunk 1 --rotation-pairs 2
small shifts 24 --chunk 8 --rotation-pairs 3 --norm bitshift --gate algebraic --hold on \
    --tied-head on
small smooth 40 --chunk 16 --layers 1 --d-model 30 --heads 3 --head-dim 10 --d-state 8 \
    --rotation-pairs 4 --gate squareplus --hold on --tied-head off --head-weights int8

draw shifts temperature=0 -- --temperature 0
draw shifts temperature=1.25 top-p=1 repeat-penalty=1.7 repeat-last=20 seed=11 -- \
    --temperature 320 --penalty 6963 --last 20 --seed 11
draw smooth temperature=0.8 top-k=40 top-p=0.875 min-p=0.0625 seed=123456789012345 -- \
    --temperature 205 --top-k 40 --top-p 57344 --min-p 4096 --seed 123456789012345
text smooth line.txt

story=$source/examples/models/storyteller.gguf
if [ -f "$story" ]; then
    text "$story" story.txt
    identify "$story"
    [ "$(wc -w <ids)" -ge 72 ] || fail "the story is shorter than a chunk"
    echo "storyteller: $(wc -w <ids) tokens, state $(answer state_blake2b)"
fi
