#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Proofs from the command line: made, verified, refused, inspected; keys; what check says.
# Usage: proof.sh TOOL SOURCE_ROOT
. "$(dirname "$0")/support.sh"
need_python
cd "$work" || exit 1

ten='0.5,-1.25,0,0,0,0,0,0,0,1'
for preset in simple simple-mamba simple-xlstm; do
    run 0 synth --preset $preset --seed 3 --out $preset.gguf
done
run 0 synth --preset simple --seed 4 --out other.gguf
run 0 synth --preset mi-tiny --out tiny.gguf

# Without libsodium every command says so, and that is all there is to look at.
"$tool" prove -m simple.gguf --features $ten --out run.proof >out 2>err
if grep -q 'without libsodium' err; then
    refuse libsodium prove -m simple.gguf --features $ten --out run.proof
    [ ! -e run.proof ] || problem 'a refused command made a file'
    echo MIPF >some.proof
    echo MIVK >some.mivk
    refuse libsodium proof key -m simple.gguf --out simple.mivk
    refuse libsodium proof inspect some.proof
    refuse libsodium verify some.proof -m simple.gguf
    refuse libsodium verify some.proof --key some.mivk
    run 1 check some.proof --json && json "d['kind'] == 'proof' and 'libsodium' in d['message']"
    run 1 check some.mivk --json && json "d['kind'] == 'key' and 'libsodium' in d['message']"
    finish
fi

# ---- prove, verify ----
run 0 prove -m simple.gguf --features $ten --out run.proof
[ ! -s out ] || problem 'prove prints a result without being asked'
says err 'bits of soundness'
cp run.proof first.proof
run 0 prove -m simple.gguf --features $ten --out run.proof --json
cmp -s run.proof first.proof || problem 'prove: twice the same, two proofs'
json "set(d) == {'prove_ms', 'phases', 'proof_bytes', 'peak_rss_bytes', 'log2_trace', 'soundness_bits', 'zk', 'model_id', 'tokens', 'n_outputs', 'outputs'}"
json "d['proof_bytes'] == $(wc -c <run.proof) and d['soundness_bits'] >= 100 and d['prove_ms'] > 0"
json "d['tokens'] == 1 and d['n_outputs'] == len(d['outputs']) == 69"
json "d['peak_rss_bytes'] > 10**6 and d['log2_trace'] > 0 and len(d['model_id']) == 64"
cp out proved
run 0 generate -m simple.gguf --features $ten --json
cp out ran
python3 - proved ran <<'END' || problem 'prove: other outputs than generate'
import json, sys
proved, ran = (json.load(open(name)) for name in sys.argv[1:])
sys.exit(proved["outputs"] != ran["outputs"])
END
run 0 verify run.proof -m simple.gguf
says out 'run.proof: accepted'
says out 'features: 0.5, -1.25, 0,'
says out 'model: simple, features-in 10, hidden 16, outputs 69'
says out 'not shown: '
says out 'not hidden: the weights'
run 0 verify run.proof -m simple.gguf --features 0.50,-1.25,0,0,0,0,0,0,0,+1.0 --json
json "set(d) == {'ok', 'verify_ms', 'statement', 'message'} and d['ok'] and d['verify_ms'] > 0"
python3 - out proved ran <<'END' || problem 'verify: the statement is not what was run'
import json, sys
verified, proved, ran = (json.load(open(name)) for name in sys.argv[1:])
said = verified["statement"]
sys.exit(not (said["outputs"] == ran["outputs"] and said["features"] == ran["features"] and
              said["argmax"] == ran["argmax"] and said["frac"] == ran["frac"] and
              said["model_id"] == proved["model_id"] and said["weights"] == "committed" and
              said["tokens"] == 1 and said["models"][0]["hidden"] == 16 and
              said["models"][0]["architecture"] == "simple"))
END
run 0 prove -m simple.gguf --features $ten --weights public --zk off --out public.proof
run 0 verify public.proof -m simple.gguf --json
json "d['ok'] and d['statement']['weights'] == 'public'"
[ "$(wc -c <public.proof)" -lt "$(wc -c <run.proof)" ] || problem 'public weights make longer proofs'

# Chains, in their order.
chain='-m simple.gguf -m simple-mamba.gguf -m simple-xlstm.gguf'
# shellcheck disable=SC2086 # a list of words
run 0 prove $chain --features $ten --out chain.proof --json
cp out proved
# shellcheck disable=SC2086
run 0 generate $chain --features $ten --json
python3 - proved out <<'END' || problem 'prove: a chain gives other outputs than generate'
import json, sys
proved, ran = (json.load(open(name)) for name in sys.argv[1:])
sys.exit(proved["outputs"] != ran["outputs"])
END
# shellcheck disable=SC2086
run 0 verify chain.proof $chain && says out 'chain of 3 models'
refuse 'NOT accepted' verify chain.proof -m simple-mamba.gguf -m simple.gguf -m simple-xlstm.gguf
refuse 'configuration' verify chain.proof -m simple-mamba.gguf -m simple.gguf -m simple-xlstm.gguf
refuse '3 models, not 1' verify chain.proof -m simple.gguf

# The same bytes for every number of threads and backend.
for backend in scalar avx2 avx512 neon; do
    for threads in 1 2; do
        "$tool" prove -m simple.gguf --features $ten --backend $backend --threads $threads \
            --out same.proof >/dev/null 2>err </dev/null || continue
        cmp -s same.proof first.proof || problem "prove: $backend, $threads threads: another proof"
    done
done
[ -e same.proof ] || problem 'prove: no backend runs'

# ---- keys, statements ----
run 0 proof key -m simple.gguf --out simple.mivk --json
json "d['key_bytes'] == $(wc -c <simple.mivk) and d['certify_ms'] > 0 and len(d['model_id']) == 64"
cp out key
run 0 proof key -m simple.gguf --out again.mivk && says out 'model id'
cmp -s simple.mivk again.mivk || problem 'proof key: twice the same, two keys'
run 0 proof key -m other.gguf --out other.mivk
# shellcheck disable=SC2086
run 0 proof key $chain --out chain.mivk
run 0 verify run.proof --key simple.mivk --json
python3 - out key <<'END' || problem 'the model ids of key and proof differ'
import json, sys
verified, key = (json.load(open(name)) for name in sys.argv[1:])
sys.exit(verified["statement"]["model_id"] != key["model_id"])
END
run 0 verify chain.proof -k chain.mivk

# ---- a proof for each model of a chain ----
# shellcheck disable=SC2086 # lists of words
linked_chains() {
run 0 prove $chain --features $ten --linked --out linked.proof --json && cp out linked
says err 'linked.proof: proof 3 of 3: '
run 0 prove $chain --features $ten --out chain.proof --json
python3 - out linked <<'END' || problem 'prove --linked: other outputs, or sizes that are none'
import json, os, sys
merged, linked = (json.load(open(name)) for name in sys.argv[1:])
sizes = linked["proof_sizes"]
sys.exit(not (merged["outputs"] == linked["outputs"] and linked["proofs"] == len(sizes) == 3 and
              12 + sum(sizes) + 4 * 3 + 32 == linked["proof_bytes"] == os.path.getsize("linked.proof") and
              "proofs" not in merged and merged["model_id"] != linked["model_id"]))
END
run 0 verify linked.proof $chain --features $ten && says out 'proofs: 3, each of which takes what'
says out 'A chain of 3 models, run once on these features'
refuse 'NOT accepted' verify linked.proof $chain --features 1,1,1,1,1,1,1,1,1,1
refuse 'another model' verify linked.proof -m simple-mamba.gguf -m simple.gguf -m simple-xlstm.gguf
refuse 'has 3 proofs, but' verify linked.proof $chain -m simple.gguf
refuse 'more proofs than' verify linked.proof -m simple.gguf -m simple-mamba.gguf
refuse 'a key of each' verify linked.proof -m simple.gguf
refuse 'a key of each' verify linked.proof --key chain.mivk
for model in simple simple-mamba simple-xlstm; do
    run 0 proof key -m $model.gguf --out $model.one
done
keys='--key simple.one --key simple-mamba.one --key simple-xlstm.one'
run 0 verify linked.proof $keys --json && json "d['ok'] and d['statement']['chain'] == 'linked'"
json "d['statement']['proofs'] == len(d['statement']['proof_sizes']) == 3"
refuse 'proof 2: the proof is of another model' verify linked.proof --key simple.one --key simple-xlstm.one --key simple-mamba.one
refuse 'is of a chain with a proof for each' verify chain.proof $keys
refuse 'nosuch' verify linked.proof --key simple.one --key nosuch
run 0 check linked.proof --json && json "d['kind'] == 'proof' and d['ok']"
run 0 proof inspect linked.proof --statement linked.statement && says out ', the proofs '
run 0 proof inspect linked.proof --json && json "d['file_bytes'] > sum(d['statement']['proof_sizes']) > 0"
run 0 proof inspect linked.statement && says out 'Its models are proved one by one'
run 0 verify linked.proof $keys --expect linked.statement
refuse 'one of the two is of a chain' verify linked.proof $keys --expect chain.proof
run 0 prove $chain --features $ten --linked --weights public --out public-linked.proof
run 0 verify public-linked.proof $chain && says out 'weights: public'
refuse 'public' verify public-linked.proof $keys
run 0 prove $chain --features 0,0,0,0,0,0,0,0,0,1 --linked --out linked2.proof
python3 - <<'END'
import hashlib
def parts_of(name):
    data, parts, at = open(name, "rb").read(), [], 12
    for i in range(int.from_bytes(data[8:12], "little")):
        parts.append(data[at:at + 4 + int.from_bytes(data[at:at + 4], "little")])
        at += len(parts[-1])
    return data, parts
def save(name, parts):
    all = data[:8] + len(parts).to_bytes(4, "little") + b"".join(parts)
    open(name, "wb").write(all + hashlib.blake2b(all, digest_size=32).digest())
data, parts = parts_of("linked.proof")
_, others = parts_of("linked2.proof")
save("same-linked", parts)
save("linked-swapped", [parts[0], parts[2], parts[1]])
save("linked-short", parts[:2])
save("linked-headless", parts[1:])
save("linked-twice", [parts[0], parts[1], parts[1], parts[2]])
save("linked-mixed", [parts[0], others[1], others[2]])
open("linked.first", "wb").write(parts[0][4:])
open("link.part", "wb").write(parts[1][4:])
open("linked.last", "wb").write(parts[2][4:])
END
cmp -s linked.proof same-linked || problem 'a linked chain is not what the text says'
for lie in swapped short headless twice mixed; do
    refuse 'NOT accepted' verify linked-$lie $chain
    refuse 'series: ' verify linked-$lie $keys
    run 1 check linked-$lie
done
run 0 verify link.part --key simple-mamba.one && says out 'A part of a chain: a model, run once on what has the root'
run 0 verify link.part -m simple-mamba.gguf && says out 'handed on to the next model: 10 numbers'
run 0 proof inspect link.part --json
json "d['statement']['features'] is None and d['statement']['outputs'] is None and d['statement']['argmax'] is None"
json "len(d['statement']['link_before']) == len(d['statement']['link_behind']) == 64"
refuse 'later part of a chain' verify link.part -m simple-mamba.gguf --features $ten
refuse 'than the key' verify link.part -m simple.gguf
# one model of it where the others are not
run 0 prove -m simple.gguf --features $ten --part first --out first.link && run 0 verify first.link --key simple.one
says out 'handed on to the next model: 10 numbers'
cmp -s first.link linked.first || problem 'prove --part: another proof than that of the whole chain'
run 0 proof join linked.first link.part linked.last --out joined.proof && says out '3 proofs'
cmp -s joined.proof linked.proof || problem 'proof join: another file than that of prove --linked'
refuse 'what the one before it hands on' proof join linked.first linked.last --out joined2.proof
[ ! -e joined2.proof ] || problem 'proof join: a refused series is saved'
refuse 'no proof file' proof join linked.first simple.one --out joined2.proof
refuse 'nosuch' proof join linked.first nosuch --out joined2.proof
usage proof join linked.first && usage proof join --out joined2.proof
refuse 'for one model' prove $chain --features $ten --part first --out a
usage prove -m simple.gguf --features $ten --part second --out a
refuse 'takes text' prove -m tiny.gguf -m simple.gguf --features $ten --linked --out a
refuse 'prover-key' prove $chain --features $ten --linked --prover-key x --out a
}
linked_chains
refuse 'weights are other ones' verify run.proof --key other.mivk
refuse 'weights are other ones' verify run.proof -m other.gguf
refuse 'public, not committed' verify public.proof --key simple.mivk
refuse 'no key' verify run.proof --key run.proof
refuse 'no proof file' verify simple.mivk -m simple.gguf
run 0 proof inspect run.proof && says out "'mambaint verify' finds out" && says out 'model id'
run 0 proof inspect run.proof --statement run.statement --json
json "d['statement']['models'] and d['file_bytes'] == $(wc -c <run.proof)"
json "d['head_bytes'] + d['statement_bytes'] + d['body_bytes'] + 32 == d['file_bytes']"
run 0 verify run.proof --key simple.mivk --expect run.statement
run 0 verify run.proof --key simple.mivk --expect run.proof
run 0 prove -m simple.gguf --features 1,-1.25,0,0,0,0,0,0,0,1 --out next.proof
run 0 verify next.proof --key simple.mivk
refuse 'features are other ones' verify next.proof --key simple.mivk --expect run.statement
refuse 'weights are public' verify public.proof -m simple.gguf --expect run.statement
refuse 'feature 1 of the proof' verify next.proof --key simple.mivk --features $ten
run 1 verify next.proof --key simple.mivk --features $ten --json </dev/null
json "not d['ok'] and d['statement'] is None and 'feature 1' in d['message']"
refuse 'statement alone' verify run.statement --key simple.mivk
refuse 'no proof file' verify run.proof --key simple.mivk --expect simple.mivk

# ---- keys of provers ----
run 0 proof key --prover -m tiny.gguf --out tiny.mipk --json
json "d['key_bytes'] == $(wc -c <tiny.mipk) and d['commit_ms'] > 0 and len(d['model_id']) == 64"
json "set(d['phases']) == {'weights', 'write'} and d['peak_rss_bytes'] > 0"
run 0 proof key --prover -m tiny.gguf --out again.mipk && says out 'for the prover alone'
cmp -s tiny.mipk again.mipk || problem 'proof key --prover: twice the same, two keys'
run 0 check tiny.mipk --json && json "d == {'kind': 'prover-key', 'ok': True, 'message': 'whole'}"
run 0 prove -m tiny.gguf --ids 5,40 -n 1 --out plain.proof --json
json "{'weights', 'run', 'witness', 'commit', 'sums', 'lookup', 'open'} <= set(d['phases'])"
run 0 prove -m tiny.gguf --ids 5,40 -n 1 --prover-key tiny.mipk --out with.proof --json
json "'check' in d['phases'] and 'weights' not in d['phases']"
cmp -s plain.proof with.proof || problem 'prove: another proof with a prover key'
refuse 'another model' prove -m simple.gguf --features $ten --prover-key tiny.mipk --out no.proof
run 0 synth --preset mi-tiny --seed 7 --out seven.gguf
refuse 'another model' prove -m seven.gguf --ids 5,40 -n 1 --prover-key tiny.mipk --out no.proof
refuse 'no key of a prover' prove -m tiny.gguf --ids 5,40 -n 1 --prover-key simple.mivk --out no.proof
refuse 'cannot open' prove -m tiny.gguf --ids 5,40 -n 1 --prover-key nothing --out no.proof
head -c 100000 tiny.mipk >cut.mipk
refuse 'was cut' prove -m tiny.gguf --ids 5,40 -n 1 --prover-key cut.mipk --out no.proof
python3 - <<'END'
data = bytearray(open("tiny.mipk", "rb").read())
for at in range(4096, len(data) - 32, 8):
    data[at] ^= 1
open("bad.mipk", "wb").write(data)
END
refuse 'is damaged' prove -m tiny.gguf --ids 5,40 -n 1 --prover-key bad.mipk --out no.proof
run 1 check bad.mipk && says out 'was damaged'
[ ! -e no.proof ] || problem 'prove: a proof of a bad prover key'

# ---- hidden proofs ----
run 0 proof key -m simple.gguf --zk on --proofs 3 --prover-key zk.mipk --out zk.mivk
says out 'makes 3 proofs, of which 3 are left'
says out 'model id'
[ "$(stat -c %a zk.mipk 2>/dev/null || stat -f %Lp zk.mipk)" = 600 ] || problem 'others may read zk.mipk'
refuse 'is of a new one' proof key -m simple.gguf --zk on --proofs 3 --prover-key zk.mipk --out no.mivk
run 0 proof key -m simple.gguf --zk on --prover-key zk.mipk --out again.mivk
cmp -s zk.mivk again.mivk || problem 'proof key --zk on: two keys of one key of the prover'
run 0 proof key -m simple.gguf --zk on --proofs 3 --prover-key other.mipk --out other-zk.mivk --json
json "d['proofs'] == 3 and d['proofs_left'] == 3 and len(d['model_id']) == 64"
cmp -s zk.mivk other-zk.mivk && problem 'proof key --zk on: two keys that are the same'
run 0 proof key -m tiny.gguf --zk on --prover --proofs 5 --out hidden.mipk
says out 'of which'
run 0 prove -m simple.gguf --features $ten --zk on --prover-key zk.mipk --out zk.proof --json
json "d['zk'] and d['proofs_left'] == 2 and d['proof_bytes'] == $(wc -c <zk.proof)"
cp out proved
run 0 verify zk.proof --key zk.mivk
says out 'zk.proof: accepted'
says out 'weights: hidden'
says out 'hidden: the weights, and all that was computed'
grep -q 'not hidden' out && problem 'verify: hidden, and not'
run 0 verify zk.proof --key zk.mivk --features $ten --json
python3 - out proved <<'END' || problem 'verify: a hidden proof says something else than was run'
import json, sys
verified, proved = (json.load(open(name)) for name in sys.argv[1:])
said = verified["statement"]
sys.exit(not (said["outputs"] == proved["outputs"] and said["weights"] == "hidden" and
              said["model_id"] == proved["model_id"]))
END
run 0 proof inspect zk.proof --statement zk.statement && says out 'weights: hidden'
run 0 proof inspect zk.proof --json && json "d['statement']['weights'] == 'hidden'"
run 0 verify zk.proof --key zk.mivk --expect zk.statement
run 0 check zk.proof --json && json "d['kind'] == 'proof' and d['ok']"
run 0 check zk.mivk --json && json "d['kind'] == 'key' and 'certificate holds' in d['message']"
run 0 check zk.mipk --json && json "d['kind'] == 'prover-key' and d['ok']"
run 0 proof inspect zk.mipk && says out '2 of 3 are left'
run 0 proof inspect zk.mipk --json
json "d['prover_key']['weights'] == 'hidden' and d['prover_key']['proofs_left'] == 2"
run 0 prove -m simple.gguf --features $ten --zk on --prover-key zk.mipk --out second.proof
says err 'proofs left: 1'
cmp -s zk.proof second.proof && problem 'prove --zk on: one proof twice'
run 0 verify second.proof --key zk.mivk
refuse 'weights are other ones' verify zk.proof --key other-zk.mivk
refuse 'hidden, not committed' verify zk.proof --key simple.mivk
refuse 'hidden, not committed' verify zk.proof -m simple.gguf
refuse 'committed, not hidden' verify run.proof --key zk.mivk
refuse 'not hidden' verify public.proof --key zk.mivk
refuse 'set zk to on' prove -m simple.gguf --features $ten --prover-key zk.mipk --out no.proof
refuse 'hide nothing' prove -m tiny.gguf --ids 5,40 -n 1 --zk on --prover-key tiny.mipk --out no.proof
refuse 'weights' prove -m other.gguf --features $ten --zk on --prover-key zk.mipk --out no.proof
refuse 'another model' prove -m simple-mamba.gguf --features $ten --zk on --prover-key zk.mipk --out no.proof
run 0 proof inspect zk.mipk && says out '1 of 3 are left' # nothing of all that was counted
run 0 prove -m tiny.gguf --ids 5,40 -n 2 --zk on --prover-key hidden.mipk --out hidden.proof
run 0 proof key -m tiny.gguf --zk on --prover-key hidden.mipk --out hidden.mivk
run 0 verify hidden.proof --key hidden.mivk --json && json "d['ok'] and d['statement']['ids'][:2] == [5, 40]"
run 0 prove -m tiny.gguf --ids 5,40,7 -n 16 --chunk-steps 8 --zk on --prover-key hidden.mipk --out parts.proof
run 0 verify parts.proof --key hidden.mivk && says out 'proofs: 3' && says out 'hidden: the weights'
run 0 proof key -m simple-mamba.gguf --zk on --proofs 3 --prover-key second.mipk --out second.mivk
run 0 proof key -m simple.gguf --zk on --proofs 3 --prover-key first.mipk --out first.mivk
run 0 prove -m simple.gguf -m simple-mamba.gguf --linked --features $ten --zk on --prover-key first.mipk \
    --prover-key second.mipk --out linked.proof && says err 'proofs left of the key that has the fewest: 2'
run 0 verify linked.proof --key first.mivk --key second.mivk && says out 'link that both proofs name'
refuse 'hidden, not committed' verify linked.proof -m simple.gguf -m simple-mamba.gguf
run 0 proof key -m simple.gguf --prover --out first-clear.mipk
run 0 proof key -m simple-mamba.gguf --prover --out second-clear.mipk
run 0 prove -m simple.gguf -m simple-mamba.gguf --linked --features $ten --out linked.proof
run 0 prove -m simple.gguf -m simple-mamba.gguf --linked --features $ten --prover-key first-clear.mipk \
    --prover-key second-clear.mipk --out keyed.proof
cmp linked.proof keyed.proof || problem 'prove --linked: prover keys change a proof'
run 0 prove -m simple.gguf --features $ten --zk on --prover-key zk.mipk --out third.proof
run 0 verify third.proof --key zk.mivk
usage prove -m simple.gguf --features $ten --zk on --prover-key zk.mipk --out no.proof
says err 'is used up' && says err 'make a new key'
run 0 proof inspect zk.mipk && says out '0 of 3 are left'
python3 - <<'END'
import hashlib
data = bytearray(open("zk.proof", "rb").read())
data[16 + int.from_bytes(data[12:16], "little")] ^= 1
data[-32:] = hashlib.blake2b(data[:-32], digest_size=32).digest()
open("number.proof", "wb").write(data)
END
refuse 'is refused:' verify number.proof --key zk.mivk
[ ! -e no.proof ] && [ ! -e no.mivk ] || problem 'prove --zk on: a refused command made a file'

# ---- check ----
run 0 check run.proof && says out "'mambaint verify' checks that"
run 0 check run.proof --json && json "d['kind'] == 'proof' and d['ok']"
run 0 check run.statement --json && json "d == {'kind': 'statement', 'ok': True, 'message': 'whole'}"
run 0 check simple.mivk --json && json "d['kind'] == 'key' and 'certificate holds' in d['message']"

# ---- models of text: keys, and statements about them ----
run 0 proof key -m tiny.gguf --out tiny.mivk --json
json "d['key_bytes'] == $(wc -c <tiny.mivk)"
run 0 proof key -m tiny.gguf --out again.mivk
cmp -s tiny.mivk again.mivk || problem 'proof key: twice the same, two keys'
run 0 check tiny.mivk --json && json "d['kind'] == 'key' and 'certificate holds' in d['message']"
python3 - <<'END'
import hashlib, struct
key = open("tiny.mivk", "rb").read()
models = key[16:16 + int.from_bytes(key[12:16], "little")]
def save(name, ids, answered, body=b""):
    run = struct.pack(f"<QIII{len(ids)}III", 0, len(ids) - 1, 2, len(ids), *ids, 2, answered)
    data = b"MIPF" + struct.pack("<HHHHI", 1, 1, 1, 0, len(models + run)) + models + run + body
    open(name, "wb").write(data + hashlib.blake2b(data, digest_size=32).digest())
save("ids.statement", [5, 40, 41, 42, 43], 2)
save("outside", [5, 300, 41, 42, 43], 2)
save("nothing.proof", [5, 40, 41, 42, 43], 2, bytes(100))
END
run 0 check ids.statement --json && json "d == {'kind': 'statement', 'ok': True, 'message': 'whole'}"
run 0 proof inspect ids.statement && says out 'answered greedily'
says out 'prompt, 3 tokens: 5 40 41'
says out 'answer, 2 tokens: 42 43'
grep -q 'as text' out && problem 'proof inspect: a text without a tokenizer'
run 0 proof inspect ids.statement --tokenizer tiny.gguf && says out 'answer as text: "'
run 0 proof inspect ids.statement --json
json "d['statement']['ids'] == [5, 40, 41, 42, 43] and d['statement']['n_outputs'] == 2"
json "d['statement']['tokens'] == 4 and d['statement']['text'] is None"
json "len(d['statement']['models'][0]['public_digest']) == 64 and d['body_bytes'] == 0"
run 0 proof inspect ids.statement --json --tokenizer tiny.gguf
json "len(d['statement']['text']) == 2 and isinstance(d['statement']['prompt'], str)"
refuse 'not of tokens' proof inspect run.proof --tokenizer tiny.gguf
refuse 'outside the vocabulary' proof inspect outside
refuse 'statement alone' verify ids.statement --key tiny.mivk
refuse 'NOT accepted' verify nothing.proof --key tiny.mivk
refuse 'NOT accepted' verify nothing.proof -m tiny.gguf --prompt a
refuse 'another model than the key' verify nothing.proof -m simple.gguf
cp ids.statement story.statement

# ---- damage ----
python3 - <<'END'
import hashlib
data = bytearray(open("run.proof", "rb").read())
key = bytearray(open("simple.mivk", "rb").read())
def seal(b):
    b[-32:] = hashlib.blake2b(b[:-32], digest_size=32).digest()
def save(name, b):
    open(name, "wb").write(b)
save("cut", data[:-1])
save("long", data + b"\0")
for name, at, right in (("flipped", 1000, False), ("false", 1000, True), ("outputs", 148, True),
                        ("version", 4, True)):
    b = bytearray(data)
    b[at] ^= 1
    if right:
        seal(b)
    save(name, b)
key[-200] ^= 1
save("key", key)
END
refuse digest verify cut -m simple.gguf
refuse digest verify long -m simple.gguf
refuse digest verify flipped -m simple.gguf
refuse 'is refused:' verify false -m simple.gguf
refuse 'is refused:' verify outputs -m simple.gguf
refuse 'version 0' verify version -m simple.gguf
refuse digest verify run.proof --key key
run 1 verify false -m simple.gguf --json </dev/null
json "not d['ok'] and d['statement'] is None and 'is refused:' in d['message']"
run 0 check false # whole, and false
run 1 check flipped --json </dev/null && json "d['kind'] == 'proof' and 'digest' in d['message']"
run 1 check key --json </dev/null && json "d['kind'] == 'key' and 'digest' in d['message']"
refuse digest proof inspect flipped

# ---- wrong usage ----
usage verify run.proof && says err 'whose weights'
usage verify run.proof -m simple.gguf --key simple.mivk && says err 'not both'
usage verify -m simple.gguf
usage verify run.proof -m simple.gguf --features 1
usage verify run.proof -m simple.gguf --features a,0,0,0,0,0,0,0,0,0
usage prove -m simple.gguf --out a && says err 'option features'
usage prove -m simple.gguf --features $ten
usage prove --features $ten --out a
usage prove -m simple.gguf --features 1,2 --out a && says err 'takes 10'
usage prove -m simple.gguf --features 9,0,0,0,0,0,0,0,0,0 --out a
usage prove -m simple.gguf --features $ten --weights int8 --out a
usage prove -m simple.gguf --features $ten --zk maybe --out a
usage proof
usage proof no-such-command
usage proof key -m simple.gguf
usage proof key --out a
usage proof inspect
usage prove -m simple.gguf --features $ten --zk on --out a && says err 'takes a prover key'
refuse 'another model' prove -m simple.gguf --features $ten --zk on --prover-key hidden.mipk --out a
refuse 'public weights' prove -m simple.gguf --features $ten --zk on --weights public --out a
refuse 'one of each' prove -m simple.gguf -m simple-mamba.gguf --linked --features $ten --prover-key hidden.mipk --out a
refuse 'made together' prove -m simple.gguf --part first --features $ten --zk on --prover-key hidden.mipk --out a
usage proof key -m simple.gguf --zk on --out a && says err 'where is it'
usage proof key -m simple.gguf --zk on --prover --prover-key zk.mipk --out a
usage proof key -m simple.gguf --prover-key zk.mipk --out a
usage proof key -m simple.gguf --proofs 5 --out a
usage proof key -m simple.gguf --zk on --prover --proofs 0 --out a
run 0 proof inspect tiny.mipk && says out 'any number'
run 0 proof inspect tiny.mipk --json && json "d['prover_key']['proofs_left'] is None"
head -c 100 tiny.mipk >short.mipk
refuse 'was cut' proof inspect short.mipk
refuse 'takes text' prove -m tiny.gguf --features $ten --out a
refuse 'takes text' prove -m tiny.gguf -m tiny.gguf --prompt a --out a
refuse 'takes text' proof key -m simple.gguf -m tiny.gguf --out a
refuse 'takes features' prove -m simple.gguf --prompt a --out a
refuse 'takes features' prove -m simple.gguf --ids 1 --out a
usage prove -m tiny.gguf --ids 1, --out a && says err 'last comma'
usage prove -m tiny.gguf --ids '' --out a && says err 'there is none'
usage prove -m tiny.gguf --ids 1,300 --out a && says err 'outside the vocabulary of 300'
usage prove -m tiny.gguf --ids 1 --prompt a --out a && says err 'one of them'
# A text: the answer is that of generate, and nothing but it is accepted.
run 0 prove -m tiny.gguf -p 'Once upon' -n 6 --out text.proof --json && cp out proved
json "d['n_outputs'] == len(d['token_ids']) and d['tokens'] >= d['n_outputs'] and d['soundness_bits'] >= 100"
run 0 generate -m tiny.gguf -p 'Once upon' -n 6 --temperature 0 --json && cp out ran
python3 - proved ran <<'END' || problem 'prove: another answer than that of generate'
import json, sys
proved, ran = (json.load(open(name)) for name in sys.argv[1:])
sys.exit(proved["text"] != ran["text"])
END
run 0 verify text.proof -m tiny.gguf -p 'Once upon' && says out 'text.proof: accepted'
says out 'answered greedily'
run 0 verify text.proof --key tiny.mivk --json && json "d['ok'] and d['statement']['n_outputs'] >= 1"
refuse 'NOT accepted' verify text.proof -m tiny.gguf -p 'Once more'
refuse 'NOT accepted' verify text.proof -m tiny.gguf -p 'Once upon' --text 'a time'
run 0 prove -m tiny.gguf -p 'Once upon' -n 6 --backend scalar --threads 1 --out again.proof
cmp -s text.proof again.proof || problem 'another backend makes another proof'
run 0 prove -m tiny.gguf -p 'Once upon' -n 6 --weights public --out public-text.proof
run 0 verify public-text.proof -m tiny.gguf && says out 'public-text.proof: accepted'
refuse 'NOT accepted' verify public-text.proof --key tiny.mivk
python3 - text.proof <<'END'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
for i, at in enumerate((len(data) // 3, len(data) // 2, len(data) - 100)):
    other = bytearray(data)
    other[at] ^= 1
    open(f"damaged{i}.proof", "wb").write(other)
END
for i in 0 1 2; do
    refuse 'NOT accepted' verify "damaged$i.proof" -m tiny.gguf
done

# The same in parts: several proofs in one file, which say together what one says.
run 0 prove -m tiny.gguf -p 'Once upon' -n 6 --chunk-steps 8 --out series.proof --json && cp out proved
run 0 verify text.proof -m tiny.gguf --json && cp out whole
run 0 verify series.proof -m tiny.gguf --json && cp out series
python3 - proved ran whole series <<'END' || problem 'prove --chunk-steps: another answer'
import json, sys
proved, ran, whole, series = (json.load(open(name)) for name in sys.argv[1:])
proofs = series["statement"].pop("proofs")
sys.exit(not (proved["text"] == ran["text"] and proofs == -(-proved["tokens"] // 8) > 1 and
              series["statement"] == whole["statement"] and series["ok"]))
END
run 0 verify series.proof --key tiny.mivk -p 'Once upon' --tokenizer tiny.gguf --expect text.proof
says out 'series.proof: accepted' && says out 'each of which begins with what the one before it left'
run 0 verify text.proof --key tiny.mivk --expect series.proof
run 0 check series.proof --json && json "d['kind'] == 'proof' and d['ok']"
run 0 proof inspect series.proof --json
json "d['file_bytes'] == $(wc -c <series.proof) and d['statement']['proofs'] > 1 and 'body_bytes' not in d"
run 0 proof inspect series.proof --statement series.statement && says out 'proofs: '
run 0 verify series.proof --key tiny.mivk --expect series.statement
refuse 'NOT accepted' verify series.proof -m tiny.gguf -p 'Once more'
run 0 prove -m tiny.gguf -p 'Once upon' -n 6 --chunk-steps 8 --weights public --out public-series.proof
run 0 verify public-series.proof -m tiny.gguf && says out 'weights: public'
refuse 'than the key' verify public-series.proof --key tiny.mivk
python3 - <<'END'
import hashlib
data = open("series.proof", "rb").read()
def number(at):
    return int.from_bytes(data[at:at + 4], "little")
parts, at = [], 12
for i in range(number(8)):
    parts.append(data[at:at + 4 + number(at)])
    at += len(parts[-1])
def save(name, parts):
    all = data[:8] + len(parts).to_bytes(4, "little") + b"".join(parts)
    open(name, "wb").write(all + hashlib.blake2b(all, digest_size=32).digest())
save("same-series", parts)
save("swapped", parts[1:2] + parts[:1] + parts[2:])
save("short", parts[:-1])
open("first.part", "wb").write(parts[0][4:])
open("last.part", "wb").write(parts[-1][4:])
bad = bytearray(data)
bad[len(data) - 100] ^= 1
open("damaged", "wb").write(bad)
END
cmp -s series.proof same-series || problem 'a series is not what the text says'
refuse 'does not begin at position 0' verify swapped --key tiny.mivk
refuse 'no other one follows' verify short --key tiny.mivk
refuse digest verify damaged --key tiny.mivk
refuse digest proof inspect damaged
run 0 verify first.part --key tiny.mivk && says out 'memory behind, at position 8, by its root: '
run 0 verify last.part --key tiny.mivk --tokenizer tiny.gguf && says out 'memory before, at position '
refuse 'end of a run alone' verify last.part -m tiny.gguf -p 'Once upon'
run 0 proof inspect last.part --tokenizer tiny.gguf --json
json "d['statement']['t0'] % 8 == 0 and d['statement']['memory_behind'] is None"
usage prove -m tiny.gguf --prompt a --chunk-steps 12 --out a && says err 'no multiple of 8'
usage prove -m tiny.gguf --prompt a --chunk-steps 0 --out a
refuse 'one step' prove -m simple.gguf --features $ten --chunk-steps 8 --out a
usage prove -m tiny.gguf --prompt a --chunk-steps 8 -n 1048576 --out a && says err '1048577 steps'

usage prove -m tiny.gguf --prompt a --tokens 0 --out a
usage prove -m tiny.gguf --prompt a -n 4096 --out a && says err '4097 steps'
usage prove -m tiny.gguf --prompt a --threads 0 --out a
usage prove -m tiny.gguf --prompt a --threads some --out a
printf 'a\0b' >nul
"$tool" prove -m tiny.gguf --out a <nul >out 2>err
[ $? -eq 1 ] && grep -q NUL err || problem 'prove: a prompt with a NUL'
usage verify story.statement --key tiny.mivk --prompt a && says err '--tokenizer'
refuse 'no-such' verify story.statement --key tiny.mivk --prompt a --tokenizer no-such
refuse 'no-such' proof inspect story.statement --tokenizer no-such
refuse 'no-such' prove -m no-such --features $ten --out a
refuse 'no-such' prove -m simple.gguf --features $ten --out no-such/a
refuse 'backend' prove -m simple.gguf --features $ten --backend no-such --out a
refuse 'no-such' verify no-such -m simple.gguf
refuse 'no-such' verify run.proof -m no-such
refuse 'no-such' verify run.proof --key no-such
refuse 'no-such' verify run.proof -m simple.gguf --expect no-such
refuse 'no-such' proof inspect no-such
refuse 'no-such/s' proof inspect run.proof --statement no-such/s
refuse 'no proof file' proof inspect simple.gguf
[ ! -e a ] || problem 'a refused command made a file'
[ -z "$(find . -name '*.tmp')" ] || problem 'something is left behind'
finish
