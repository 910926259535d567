#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# train: metrics, configuration files, checkpoints, interrupts, and the number that eval repeats.
# Usage: train.sh TOOL SOURCE_ROOT
. "$(dirname "$0")/support.sh"
need_python
cd "$work" || exit 1

head -c 4000 "$text" >held-out.txt
shape='--preset mi-tiny --vocab 300 --batch 4 --context 32'

# train STATUS ARGUMENT...
train() {
    wanted=$1
    shift
    # shellcheck disable=SC2086 # words
    run "$wanted" train $shape --data "$text" "$@" </dev/null
}

# ---- metrics ----
train 0 --valid held-out.txt --steps 24 --valid-every 8 --save-every 5 --out a.gguf --json
json "[l['step'] for l in lines] == list(range(1, 25)) and d['tokens'] == 24 * 4 * 32"
json "all(set('step tokens loss bits_per_byte lr tokens_per_s seconds'.split()) <= set(l) for l in lines)"
json "all((l['bits_per_byte'] is None) == (l['step'] % 8 > 0) for l in lines) and d['whole']"
json "all(l['loss'] > 0 and l['lr'] > 0 and l['tokens_per_s'] > 0 for l in lines)"
cp out metrics
says err 'the whole held-out text'
run 0 check a.gguf --json && json "d['kind'] == 'model' and d['ok']"
run 0 check a.gguf.checkpoint --json && json "d['kind'] == 'checkpoint' and d['ok']"
run 0 eval -m a.gguf held-out.txt --json
cat metrics >>out
json "lines[0]['bits_per_byte'] == d['bits_per_byte']" # equal, not close
train 0 --valid held-out.txt --steps 24 --out b.gguf
[ ! -s out ] || problem 'train without --json prints to standard output'
cmp -s a.gguf b.gguf || problem 'validations or saves change the model'
train 0 --steps 24 --arithmetic float --out float.gguf
cmp -s a.gguf float.gguf && problem '--arithmetic float is the integer run'

# ---- configuration files ----
cat >run.conf <<END
# a comment
data = ${text##*/}
data_dir = ${text%/*}
preset = mi-tiny

vocab=300
batch = 4
context = 32
steps = 999999
out = b.gguf
json = on
END
run 0 train --config run.conf --steps 24 </dev/null
json "len(lines) == 24"
cmp -s a.gguf b.gguf || problem 'a configuration file gives another model'
for line in 'no-such = 1' 'a line' 'json = perhaps' 'threads = 0'; do
    { cat run.conf; echo "$line"; } >bad.conf
    usage train --config bad.conf
    says err bad.conf:12
done
refuse no-such.conf train --config no-such.conf --out b.gguf

# ---- going on ----
train 0 --steps 24 --out c.gguf --checkpoint c.mark
{ [ -f c.mark ] && [ ! -f c.gguf.checkpoint ]; } || problem '--checkpoint names no checkpoint'
train 0 --steps 24 --out d.gguf --resume c.mark # nothing is left to do
cmp -s a.gguf d.gguf || problem 'a run that was over made another model'
refuse 'lr' train --preset mi-tiny --vocab 300 --batch 4 --context 32 --data "$text" --steps 24 \
    --out d.gguf --resume c.mark --lr 0.1
refuse checkpoint train --preset mi-tiny --data "$text" --out d.gguf --resume a.gguf
refuse no-such train --preset mi-tiny --data "$text" --out d.gguf --resume no-such
refuse no-such train --data no-such --out d.gguf
refuse backend train --data "$text" --out d.gguf --backend no-such
refuse no-such train --data "$text" --out no-such/d.gguf
refuse no-such train --data "$text" --out d.gguf --checkpoint no-such/d
usage train --out d.gguf
usage train --data "$text" --out d.gguf --steps 0
usage train --data "$text" --out d.gguf --steps 1 --tokens 1
usage train --data "$text" --out d.gguf --lr fast
usage train --data "$text" --out d.gguf --arithmetic roman

# ---- interrupts: the first saves, and going on ends where an undisturbed run ends ----
# stop SIGNAL: a long run that the signal ends once it is under way.
stop() {
    rm -f metrics
    # shellcheck disable=SC2086 # words
    "$tool" train $shape --data "$text" --steps 4000 --out stopped.gguf --json $resume \
        >metrics 2>err </dev/null &
    pid=$!
    until [ -s metrics ]; do sleep 0.1; done
    kill "-$1" $pid
    wait $pid
    status=$?
    [ $status -eq 130 ] || problem "train: status $status after SIG$1"
    grep -q 'goes on' err || problem "train: no word about going on after SIG$1"
    resume='--resume stopped.gguf.checkpoint'
    for file in stopped.gguf stopped.gguf.checkpoint; do
        "$tool" check $file >out || problem "after SIG$1: $(cat out)"
    done
}
resume=
stop INT
stop TERM
# A hang-up that was ignored when the test began (nohup) is ignored by what it starts.
grep -q '^SigIgn:.*[13579bdf]$' /proc/self/status || stop HUP
# shellcheck disable=SC2086
train 0 --steps 4000 --out stopped.gguf $resume
train 0 --steps 4000 --out straight.gguf --threads 1
cmp -s stopped.gguf straight.gguf || problem 'stopped and resumed, the run made another model'
cmp -s stopped.gguf.checkpoint straight.gguf.checkpoint || problem 'another last checkpoint'

# A reader that leaves does not stop the run.
# shellcheck disable=SC2086
{ "$tool" train $shape --data "$text" --steps 24 --out e.gguf --json 2>/dev/null </dev/null
  echo $? >status; } | head -n 1 >/dev/null
cmp -s a.gguf e.gguf || problem 'train stops when the reader of its metrics leaves'
finish
