#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# chat without a terminal: lines in, answers out and nothing else, the commands, the status.
# Usage: chat.sh TOOL SOURCE_ROOT
. "$(dirname "$0")/support.sh"
cd "$work" || exit 1

"$tool" synth --preset mi-tiny --out tiny.gguf >/dev/null
"$tool" synth --preset mi-tiny --seed 1 --out other.gguf >/dev/null

# talk STATUS LINES ARGUMENT...: lines as printf writes them.
talk() {
    wanted=$1
    # shellcheck disable=SC2059 # a format on purpose
    printf "$2" >lines
    shift 2
    run "$wanted" chat -m tiny.gguf -n 20 "$@" <lines
}

same() { cmp -s "$1" "$2" || problem "$3"; }

talk 0 'Tell me a story about a cat.\n' && cp out cat
[ -s cat ] || problem 'no answer'
[ "$(tail -c 1 cat | od -An -tx1 | tr -d ' ')" = 0a ] || problem 'the answer has no line end'
talk 0 'Tell me a story about a cat.' && same out cat 'the last line end changes the answer'
talk 0 '\n\nTell me a story about a cat.\n\n' && same out cat 'empty lines change the answer'
talk 0 'Tell me a story about a cat.\n' --seed 0 && same out cat 'the seed is not 0'
talk 0 'Tell me a story about a cat.\n' --seed 5
cmp -s out cat && problem 'another seed, the same answer'
talk 0 ''
[ ! -s out ] || problem 'an answer to nothing'

# Going back is exact.
talk 0 'One.\nTwo.\n' && cp out two
talk 0 'One.\nThree.\n/undo\nTwo.\n' && cp out undone
talk 0 'One.\n' && cp out one
talk 0 'One.\nThree.\n' && cp out three
{ cat three; tail -c +$(($(wc -c <one) + 1)) two; } | same - undone '/undo is not exact'
talk 0 'Three.\n/reset\nOne.\nTwo.\n' && cp out reset
talk 0 'Three.\n' && cat out two | same - reset '/reset is not exact'
talk 0 'One.\n/save a.state\n' && talk 0 'Three.\n/load a.state\nTwo.\n' && cp out loaded
talk 0 'Three.\n' && { cat out; tail -c +$(($(wc -c <one) + 1)) two; } |
    same - loaded '/load is not exact'
talk 0 'One.\n/retry\n' --seed 8 && cp out retried
talk 0 'One.\n' --seed 8 && cp out eight
talk 0 'One.\n' --seed 9 && cat eight out | same - retried '/retry is not the next seed'
talk 0 'One.\n/undo\n/seed 9\nOne.\n' --seed 8 && same out retried '/seed 9 is not --seed 9'
talk 0 '/seed\n' --seed 12 && says err 'seed 12'
[ ! -s out ] || problem '/seed answers on standard output'
talk 0 'One.\n/quit\nTwo.\n' && same out one '/quit does not leave'
talk 0 'One.\n' --system 'Be brief.'
cmp -s out one && problem '--system changes nothing'
talk 0 '/help\n' && says err /retry
"$tool" check a.state >/dev/null || problem '/save saves no whole state'

# What fails is told, the talk goes on, the status remembers.
for line in /undo /retry /nothing /save /load '/load no-such' '/load tiny.gguf' '/seed x' \
    '/save no-such/a'; do
    talk 1 "$line\nOne.\n" && same out one "after $line"
    [ -s err ] || problem "$line: no message"
done
run 1 chat -m other.gguf <lines
printf '/load a.state\n' | run 1 chat -m other.gguf
says err 'another model'

refuse backend chat -m tiny.gguf --backend no-such
refuse no-such chat -m no-such
usage chat -m tiny.gguf --seed x
usage chat -m tiny.gguf --temperature hot
usage chat -m tiny.gguf -n 0
data=${text%/*/*}
if "$tool" tokenizer import "$data/gpt2-encoder.json" "$data/gpt2-vocab.bpe" --out gpt2.tok \
    >/dev/null 2>&1; then
    "$tool" train --preset mi-tiny --tokenizer gpt2.tok --data "$text" --steps 1 --batch 1 \
        --context 8 --out plain.gguf 2>/dev/null || problem 'no model with an imported tokenizer'
    refuse turns chat -m plain.gguf
fi

printf 'One.\nTwo.\nThree.\n' | "$tool" chat -m tiny.gguf -n 100000 2>err | head -c 1 >/dev/null
grep -v '^(cut' err && problem 'noise when the reader leaves'
finish
