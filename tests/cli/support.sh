# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Read by the tests of the command, which are called with the tool and the root of the sources.
# A test ends with `finish`.
set -u
tool=$(cd "$(dirname "$1")" && pwd)/${1##*/} || exit 1
# shellcheck disable=SC2034 # for the tests
text=$2/tests/data/tokenizer/udhr/eng.txt
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
# A sanitizer's complaint must not look like a refusal.
export ASAN_OPTIONS=exitcode=99 UBSAN_OPTIONS=halt_on_error=1:exitcode=99

# A file, because some checks run at the end of a pipe, in a shell of their own.
problem() {
    echo "not as promised: $*"
    : >"$work/failed"
}

# run STATUS ARGUMENT...: the tool ends with that status; what it prints goes to $work/out and
# $work/err. Standard input is empty unless the caller redirects it.
run() {
    wanted=$1
    shift
    ran=$*
    "$tool" "$@" >"$work/out" 2>"$work/err"
    status=$?
    [ $status -eq "$wanted" ] || {
        problem "mambaint $ran: status $status, not $wanted"
        cat "$work/out" "$work/err"
    }
}

# usage ARGUMENT...: wrong usage: status 2, a message, nothing on standard output.
usage() {
    run 2 "$@" </dev/null
    refused
}

# refuse WORD ARGUMENT...: status 1, a sentence with the word, nothing on standard output.
refuse() {
    word=$1
    shift
    run 1 "$@" </dev/null
    refused
    says err "$word"
}

refused() {
    [ -s "$work/err" ] || problem "mambaint $ran: no message"
    [ ! -s "$work/out" ] || problem "mambaint $ran: something on standard output"
}

# says FILE TEXT: a line of the output contains the text.
says() {
    grep -qF -- "$2" "$work/$1" || {
        problem "mambaint $ran: $1 lacks: $2"
        cat "$work/$1"
    }
}

# json EXPRESSION: each line of the output is JSON; the expression is true of d, the last line, and
# of lines, the list of them.
json() {
    python3 - "$work/out" "$1" <<'END' || problem "mambaint $ran: $1"
import json, sys
with open(sys.argv[1], encoding="utf-8") as file:
    lines = [json.loads(line) for line in file]
d = lines[-1]
if not eval(sys.argv[2]):
    print(open(sys.argv[1]).read()[-2000:])
    sys.exit(1)
END
}

# find_seed REASON ARGUMENT...: sets seed to the first with which the tool's answer ends for that
# reason; random weights end some answers early.
find_seed() {
    reason=$1
    shift
    for seed in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        "$tool" "$@" --seed $seed --json </dev/null 2>&1 | grep -q "\"stop_reason\": \"$reason\"" &&
            return
    done
    problem "mambaint $*: no seed ends with $reason"
}

need_python() { command -v python3 >/dev/null || exit 77; }

finish() {
    [ ! -e "$work/failed" ]
    exit
}
