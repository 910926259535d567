#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every command: what it prints, its JSON, its status, what it refuses.
# Usage: commands.sh TOOL SOURCE_ROOT
. "$(dirname "$0")/support.sh"
need_python
cd "$work" || exit 1
hex='len(%s) == 64 and int(%s, 16) >= 0'
digest() { echo "$hex" | sed "s/%s/$1/g"; }

# ---- help ----
run 0 --help && says out 'tokenizer import'
run 0 -h && run 0 help && run 0 --version && says out 'mambaint '
for command in chat generate train eval inspect check synth bench prove verify 'proof inspect' \
    'proof join' 'proof key' 'tokenizer train' 'tokenizer encode' 'tokenizer decode' 'tokenizer import'; do
    # shellcheck disable=SC2086 # one word or two
    run 0 $command --help </dev/null
    says out "usage: mambaint $command"
    says out 'examples:'
    says out "  mambaint $command"
    [ ! -s err ] || problem "$command --help prints to standard error"
    cp out help
    # shellcheck disable=SC2086
    run 0 help $command
    cmp -s out help || problem "help $command differs from $command --help"
done
run 0 tokenizer --help && says out 'tokenizer encode'

# The manual names every flag.
manual=$2/examples/cli/mambaint.1
for command in chat generate train eval inspect check synth bench prove verify 'proof inspect' \
    'proof join' 'proof key' 'tokenizer train' 'tokenizer encode' 'tokenizer decode' 'tokenizer import'; do
    grep -q "^\.It Cm $command" "$manual" || problem "the manual lacks $command"
    # shellcheck disable=SC2086
    for flag in $("$tool" $command --help | sed -n 's|^  ... -\(-[a-z0-9-]*\).*|\1|p'); do
        grep -q -e "\(Fl\|,\) $flag\b" "$manual" || problem "the manual lacks -$flag of $command"
    done
done

# ---- wrong usage ----
usage
usage no-such-command
usage tokenizer
usage tokenizer no-such-command
usage generate --no-such-flag
usage generate -x
usage generate -m
usage generate
usage generate -m a b
usage generate -m a --json=yes
usage generate -m a -n many
usage generate -m a --tokens=-1
usage generate -m a --threads 0
usage generate -m a --threads 257
usage generate -m a --threads all && says err "neither auto nor a number from 1 to 256"
usage generate -m a --tempersture 1 && says err "did you mean '--temperature'"
usage chat
usage eval
usage eval "$text"
usage inspect
usage check
usage check a b
usage synth
usage bench
usage train
usage tokenizer train --out a
usage tokenizer train "$text"
usage tokenizer encode -p a
usage tokenizer decode 1
usage tokenizer import one
usage tokenizer import one two

# ---- synth, inspect, check ----
run 0 synth --preset mi-tiny --out tiny.gguf --json
json "d['parameters'] > 10000 and $(digest "d['model_digest']")"
cp out first
run 0 synth --preset mi-tiny --out again.gguf --json
{ cmp -s out first && cmp -s tiny.gguf again.gguf; } || problem 'synth: twice the same, two models'
run 0 synth --preset mi-tiny --seed 1 --out other.gguf --json
cmp -s out first && problem 'synth: another seed, the same model'
run 0 synth --preset mi-tiny-ternary --chunk 1 --norm bitshift --gate squareplus --hold on \
    --out ternary.gguf --json
run 0 synth --preset mi-tiny --d_model 64 --out wide.gguf # '_' is '-'
usage synth --preset no-such --out a
usage synth --preset mi-tiny --layers 0 --out a
usage synth --preset mi-tiny --d-state 17 --out a
usage synth --preset mi-tiny --weights wooden --out a
refuse 'no-such-folder' synth --preset mi-tiny --out no-such-folder/a
refuse 'regular file' synth --preset mi-tiny --out .
refuse 'regular file' synth --preset mi-tiny --out /dev/null
[ -c /dev/null ] || problem 'synth replaced a device'
[ ! -e a ] || problem 'a refused command made a file'

run 0 inspect -m tiny.gguf && says out 'mamba-integer'
says out 'decay spectrum'
run 0 inspect -m tiny.gguf --json
json "d['architecture'] == 'mamba-integer' and d['parameters'] > 10000 and d['vocab'] == 300"
json "$(digest "d['model_digest']") and d['model_digest'] == '$(sed 's/.*"model_digest": "//; s/".*//' first)'"
run 0 inspect -m ternary.gguf --json --metadata --tensors --graph --intervals
json "all(d[k] for k in ('metadata', 'tensors', 'graph', 'intervals', 'config', 'ternary_zeros'))"
run 0 inspect -m tiny.gguf --metadata --tensors --graph --intervals
says out 'token_embd.weight'
says out 'logits'

for file in tiny.gguf ternary.gguf; do
    run 0 check $file --json
    json "d == {'kind': 'model', 'ok': True, 'message': 'whole'}"
done
run 0 check tiny.gguf && says out 'tiny.gguf: model, whole'
run 1 check no-such-file --json </dev/null
json "d['kind'] == 'unknown' and not d['ok'] and 'no-such-file' in d['message']"
run 1 check . --json && json "not d['ok'] and 'directory' in d['message']"
run 1 check "$text" --json && json "d['kind'] == 'unknown' and not d['ok'] and d['message']"
printf 'bad \377 name' >'bad'
name=$(printf 'bad\377name')
run 1 check "$name" --json && json "'bad\\ufffdname' in d['message']"

# ---- generate ----
find_seed length generate -m tiny.gguf -p 'Once upon' -n 40
run 0 generate -m tiny.gguf -p 'Once upon' -n 40 --temperature 0.8 --seed "$seed" --json
json "isinstance(d['text'], str) and len(d['token_ids']) == 40 and $(digest "d['state_digest']")"
json "d['stop_reason'] == 'length' and set(d) == {'text', 'token_ids', 'state_digest', 'stop_reason'}"
cp out json
run 0 generate -m tiny.gguf -p 'Once upon' -n 40 --seed "$seed"
[ ! -s err ] || problem 'generate: something on standard error'
python3 - json out <<'END' || problem 'generate: text and JSON differ'
import json, sys
text = json.load(open(sys.argv[1], encoding="utf-8"))["text"].encode()
out = open(sys.argv[2], "rb").read()
sys.exit(out != text + (b"" if text.endswith(b"\n") else b"\n"))
END
printf 'Once upon' | run 0 generate -m tiny.gguf -n 40 --seed "$seed" --json
cmp -s out json || problem 'generate: another text from standard input than from -p'
echo 'Once upon' | run 0 generate --model=tiny.gguf -n40 --seed="$seed" --json
cmp -s out json || problem 'generate: the line end of echo counts'
run 0 generate -m tiny.gguf -p 'Once upon' -n 40 --seed 1000 --json
cmp -s out json && problem 'generate: another seed, the same text'
run 0 generate -m tiny.gguf -p '' -n 0 --json
json "d['text'] == '' and d['token_ids'] == []"
run 0 generate -m tiny.gguf -p 'a' -n 0
[ ! -s out ] || problem 'generate -n 0 prints something'
find_seed end-of-turn generate -m tiny.gguf -p a -n 4000 --temperature 2 --top-p 1
run 0 generate -m tiny.gguf -p a -n 4000 --temperature 2 --top-p 1 --seed "$seed" --json
json "d['token_ids'][-1] == 4 and 4 not in d['token_ids'][:-1]"
find_seed stop generate -m tiny.gguf -p a -n 4000 --temperature 2 --top-p 1 --stop e --stop t
run 0 generate -m tiny.gguf -p a -n 4000 --temperature 2 --top-p 1 --stop e --stop t \
    --seed "$seed" --json
json "'e' not in d['text'] and 't' not in d['text']"
find_seed length generate -m tiny.gguf -p 'Once upon' -n 40

# A text in two halves, the state in a file between them, is the text in one piece.
run 0 generate -m tiny.gguf -p 'Once upon' -n 15 --seed "$seed" --json --save-state half.state
cp out half
run 0 check half.state --json && json "d['kind'] == 'state' and d['ok']"
run 0 generate -m tiny.gguf -p '' -n 25 --seed "$seed" --json --load-state half.state </dev/null
python3 - json half out <<'END' || problem 'generate: going on from a state gives another text'
import json, sys
whole, first, second = (json.load(open(name, encoding="utf-8")) for name in sys.argv[1:])
sys.exit(first["token_ids"] + second["token_ids"] != whole["token_ids"] or
         second["state_digest"] != whole["state_digest"])
END

refuse backend generate -m tiny.gguf -p a --backend no-such
refuse no-such-file generate -m no-such-file -p a
refuse directory generate -m . -p a
refuse 'another model' generate -m other.gguf -p a --load-state half.state
refuse state generate -m tiny.gguf -p a --load-state tiny.gguf
refuse GGUF generate -m half.state -p a
refuse no-such generate -m tiny.gguf -p a --load-state no-such
refuse 'no-such/s' generate -m tiny.gguf -p a --save-state no-such/s
usage generate -m tiny.gguf -p a --temperature hot
usage generate -m tiny.gguf -p a --temperature -1
usage generate -m tiny.gguf -p a --top-p 2
usage generate -m tiny.gguf -p a --seed -1
usage generate -m tiny.gguf -p a --prefill-chunk 0

# ---- generate --features ----
run 0 synth --preset simple-mamba --seed 1 --out mamba.gguf --json
json "d['parameters'] == 24 * 11 + 69 * 25 and $(digest "d['model_digest']")"
run 0 synth --preset simple --seed 2 --out simple.gguf
run 0 synth --architecture simple --features-in 3 --hidden 4 --outputs 2 --out short.gguf
run 0 check simple.gguf --json && json "d == {'kind': 'model', 'ok': True, 'message': 'whole'}"
run 0 inspect -m simple.gguf --graph && says out features && says out output.weight
run 0 inspect -m simple.gguf --json
json "d['architecture'] == 'simple' and d['vocab'] == d['state_size'] == 0 and not d['tokenizer_digest']"
ten='0.5,-1.25,.75,+1, 0 ,0.015625,-0.015625,3.96875,-4,1'
run 0 generate -m simple.gguf --features "$ten" --json
json "d['features'] == [16, -40, 24, 32, 0, 1, 0, 127, -128, 32] and d['frac'] == 12"
json "len(d['outputs']) == 69 and d['argmax'] == d['outputs'].index(max(d['outputs']))"
json "set(d) == {'features', 'outputs', 'frac', 'argmax', 'model_digest'} and len(d['model_digest']) == 1"
cp out one
run 0 generate --model=simple.gguf --features="$ten" --backend scalar --json
cmp -s out one || problem 'generate --features: the scalar backend gives something else'
run 0 generate -m simple.gguf --features "$ten" && says err 'largest: '
python3 - one out err <<'END' || problem 'generate --features: lines and JSON differ'
import fractions, json, sys
one = json.load(open(sys.argv[1]))
lines = ["%d %s" % (i, float(fractions.Fraction(v, 4096)) if v % 4096 else v // 4096)
         for i, v in enumerate(one["outputs"])]
out, err = (open(name).read().splitlines() for name in sys.argv[2:])
same = all(a.split()[0] == b.split()[0] and float(a.split()[1]) == float(b.split()[1])
           for a, b in zip(lines, out))
sys.exit(len(out) != 69 or not same or not err[0].startswith("largest: %d " % one["argmax"]))
END
run 0 generate -m mamba.gguf -m simple.gguf --features "$ten" --json
json "len(d['model_digest']) == 2 and d['model_digest'][1] == '$(sed 's/.*"model_digest": \["//; s/".*//' one)'"
cmp -s out one && problem 'generate --features: a chain gives what its last model gives'
usage generate -m simple.gguf --features 1,2
usage generate -m simple.gguf --features "$ten,1"
usage generate -m simple.gguf --features 1,2,3,4,5,6,7,8,9,x && says err 'number 4'
usage generate -m short.gguf --features 1,x,3 && says err 'number 2'
usage generate -m short.gguf --features 1,1e0,3
usage generate -m short.gguf --features 1,2,3.984375 && says err '3.96875'
usage generate --features 1,2,3
for flag in '-p a' '-n 3' '--load-state half.state' '--save-state s'; do
    # shellcheck disable=SC2086
    usage generate -m short.gguf --features 1,2,3 $flag
done
usage generate -m tiny.gguf -m tiny.gguf -p a && says err chain
usage inspect -m tiny.gguf -m tiny.gguf && says err 'one model'
usage eval -m tiny.gguf --model=tiny.gguf "$text"
refuse 'takes text' generate -m tiny.gguf --features 1
refuse 'hands nothing on' generate -m short.gguf -m short.gguf --features 1,2,3
refuse 'model 2 takes 3' generate -m simple.gguf -m short.gguf --features "$ten"
refuse 'no-such' generate -m simple.gguf -m no-such --features "$ten"
refuse 'features, not text' generate -m simple.gguf
refuse 'features, not text' generate -m simple.gguf -p a
refuse 'features, not text' chat -m simple.gguf
refuse 'features, not text' eval -m simple.gguf "$text"
refuse 'features, not text' bench -m simple.gguf
refuse 'features, not text' train --preset simple --data "$text" --out a
refuse tokenizer tokenizer encode -m simple.gguf -p a

# ---- eval ----
run 0 eval -m tiny.gguf "$text" --json
json "d['bytes'] == $(wc -c <"$text") and d['tokens'] > 0"
json "abs(d['bits_per_byte'] * d['bytes'] * 0.69314718056 / d['tokens'] - d['nats_per_token']) < 1e-6"
cp out first
run 0 eval -m tiny.gguf - --json <"$text"
cmp -s out first || problem 'eval: a file and standard input differ'
run 0 eval -m tiny.gguf "$text" && says out 'bits per byte'
refuse empty eval -m tiny.gguf /dev/null
refuse no-such eval -m tiny.gguf no-such
refuse backend eval -m tiny.gguf "$text" --backend no-such

# ---- bench ----
# No figure is held to a size; all are there, and numbers.
run 0 bench -m tiny.gguf --prompt-tokens 20,5 -n 10 --batch 1,3 --threads 1,2 --profile --json
json "all(d[k] > 0 for k in ('decode_tokens_per_s', 'prefill_tokens_per_s', 'first_token_ms', 'load_ms', 'peak_rss_bytes', 'bytes_per_token', 'macs_per_token', 'read_bandwidth_bytes_per_s', 'matvec_mac_per_s', 'matmul_mac_per_s', 'decode_share', 'prefill_share'))"
json "(d['threads'], d['prompt_tokens'], d['tokens']) == (1, 20, 10)"
json "$(digest "d['model_digest']") and d['backend'] in ('scalar', 'avx2', 'avx512', 'neon')"
json "[s['threads'] for s in d['settings']] == [1, 2]"
json "[(r['threads'], r['name']) for r in d['runs']] == [(t, n) for t in (1, 2) for n in ('prefill 20', 'prefill 5', 'decode', 'batch 1', 'batch 3')]"
json "all(r['tokens_per_s_lowest'] <= r['tokens_per_s'] <= r['tokens_per_s_highest'] and r['tokens_per_cpu_s'] > 0 and r['repeats'] >= 3 and r['mac_share'] > 0 for r in d['runs'])"
json "d['runs'][2]['tokens_per_s'] == d['decode_tokens_per_s'] and d['runs'][2]['read_share'] == d['decode_share']"
json "{p['run'] for p in d['profile']} == {'prefill', 'decode'} and all(p['calls'] > 0 for p in d['profile'])"
cp out bench.json
run 0 bench -m tiny.gguf --prompt-tokens 20 -n 10 --threads 2 --compare bench.json --json
json "{'prefill 20', 'decode', 'load_ms'} < {c['name'] for c in d['compare']}"
json "all(c['threads'] == 2 and abs(c['ratio'] * c['before'] / c['now'] - 1) < 1e-6 for c in d['compare'])"
[ ! -s err ] || problem 'bench --compare warns of nothing'
run 0 bench -m ternary.gguf --prompt-tokens 20 -n 10 --threads 3 --backend scalar --profile \
    --compare bench.json
says out 'tokens/s'
says out 'matvec'
says err 'another model'
says err 'nothing for 3 threads'
refuse backend bench -m tiny.gguf --backend no-such
refuse 'no output of' bench -m tiny.gguf --compare tiny.gguf
refuse 'no output of' bench -m tiny.gguf --compare first
refuse no-such bench -m tiny.gguf --compare no-such
head -c 200 bench.json >cut.json
refuse 'no output of' bench -m tiny.gguf --compare cut.json
usage bench -m tiny.gguf --prompt-tokens 0
usage bench -m tiny.gguf --prompt-tokens 5,
usage bench -m tiny.gguf --threads 1,257
usage bench -m tiny.gguf --batch 1,,2
usage bench -m tiny.gguf --batch 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17

# ---- tokenizer ----
run 0 tokenizer train "$text" --vocab 320 --out small.tok --json
json "d['vocab'] == 320 and $(digest "d['tokenizer_digest']")"
run 0 tokenizer train "$text" --vocab 320 --threads 1 --out small1.tok
cmp -s small.tok small1.tok || problem 'tokenizer train: threads change the file'
run 0 check small.tok --json && json "d['kind'] == 'tokenizer' and d['ok']"
printf 'all \303\251 \000 \377\n<|endoftext|>' >bytes
run 0 tokenizer encode -t small.tok <bytes && cp out ids
run 0 tokenizer decode -t small.tok <ids
cmp -s out bytes || problem 'tokenizer: decode does not undo encode'
run 0 tokenizer encode -t small.tok --json <bytes && json "d['ids'] and 0 not in d['ids']"
run 0 tokenizer encode -t small.tok --special --json <bytes && json "d['ids'][-1] == 0"
# shellcheck disable=SC2046 # ids as arguments
run 0 tokenizer decode -t small.tok --json $(cat ids) && json "d['text'].startswith('all é \\0 \\ufffd')"
run 0 tokenizer encode -m tiny.gguf -p 'Hi' --json && json "len(d['ids']) == 2"
run 0 tokenizer encode -t small.tok -p '' --json && json "d['ids'] == []"
refuse vocabulary tokenizer decode -t small.tok 320
usage tokenizer decode -t small.tok one
usage tokenizer decode -t small.tok -- -1
usage tokenizer train "$text" --vocab 271 --out a
refuse no-such tokenizer train no-such --out a
refuse GGUF tokenizer encode -t half.state -p a
run 1 generate -m small.tok -p a </dev/null && refused
data=${text%/*/*}
"$tool" tokenizer import "$data/gpt2-encoder.json" "$data/gpt2-vocab.bpe" --out gpt2.tok \
    >out 2>err </dev/null
case $? in
0)
    run 0 tokenizer encode -t gpt2.tok -p 'Hello world' --json && json "d['ids'] == [15496, 995]"
    refuse '' tokenizer import "$text" "$data/gpt2-vocab.bpe" --out a ;;
*) says err JSON ;; # a build without jansson
esac

# ---- where the output cannot go ----
if [ -c /dev/full ]; then
    for command in --help 'inspect -m tiny.gguf' 'generate -m tiny.gguf -p a -n 4' \
        'generate -m tiny.gguf -p a -n 4 --json' "eval -m tiny.gguf $text"; do
        # shellcheck disable=SC2086
        "$tool" $command >/dev/full 2>err </dev/null
        [ $? -eq 1 ] || problem "$command: status is not 1 on a full disk"
        [ -s err ] || problem "$command: no word on a full disk"
    done
fi
"$tool" generate -m tiny.gguf -p a -n 1000000 2>err | head -c 5 >/dev/null
[ ! -s err ] || problem 'generate: noise when its reader leaves'
"$tool" synth --preset mi-tiny --out closed.gguf >&- 2>err
[ $? -eq 1 ] || problem 'synth: status is not 1 without a standard output'
cmp -s closed.gguf tiny.gguf || problem 'synth: the closed standard output went into the file'

[ -z "$(find . -name '*.tmp')" ] || problem 'something is left behind'
finish
