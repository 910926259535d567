#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Receipts from the command line: saved, run again, refused, read by their text in docs/container.md.
# Usage: receipt.sh TOOL SOURCE_ROOT
. "$(dirname "$0")/support.sh"
need_python
cd "$work" || exit 1

run 0 synth --preset mi-tiny --seed 3 --out tiny.gguf
run 0 synth --preset mi-tiny --seed 4 --out other.gguf
run 0 synth --preset simple --out simple.gguf

run 0 generate -m tiny.gguf -p 'Once upon' -n 15 --seed 7 --stop 'zq' --temperature 0.9 \
    --receipt a.receipt --save-state a.state --json
cp out ran
says err 'saved the receipt ('
run 0 receipt a.receipt -m tiny.gguf
says out 'a.receipt: holds; run again'
says out 'sampler: seed 7, temperature 0.8984375, top-k 0,'
says out 'fed as text: <|endoftext|> "Once upon"'
says out 'drawn, 1'
says out 'not shown: who ran it'
for flags in '--backend scalar' '--prefill-chunk 1 --threads 2'; do
    # shellcheck disable=SC2086 # a list of words
    run 0 receipt a.receipt -m tiny.gguf $flags --json
    json "set(d) == {'ok', 'check_ms', 'receipt', 'message'} and d['ok'] and d['message'] == 'holds'"
done
python3 - out ran <<'END' || problem 'receipt: it says something else than was run'
import json, sys
said, ran = (json.load(open(name)) for name in sys.argv[1:])
said = said["receipt"]
drawn = [i for p in said["parts"] if p["kind"] == "drawn" for i in p["ids"]]
sys.exit(not (said["text"].startswith(ran["text"]) and drawn[:len(ran["token_ids"])] == ran["token_ids"] and
              said["end"]["state_digest"] == ran["state_digest"] and said["start"]["position"] == 0 and
              said["sampler"]["seed"] == "7" and said["sampler"]["stop"] == ["zq"] and
              said["parts"][0]["text"] == "Once upon" and said["tokens"] == len(drawn)))
END

# The bytes, from the text of docs/container.md alone.
python3 - a.receipt ran <<'END' || problem 'receipt: other bytes than docs/container.md says'
import hashlib, json, struct, sys
data = open(sys.argv[1], "rb").read()
ran = json.load(open(sys.argv[2]))
magic, version, zero, model, tokenizer, start, end, position = struct.unpack_from("<8sII32s32s32s32sQ", data)
at = struct.calcsize("<8sII32s32s32s32sQ")
seed, temperature, top_k, top_p, min_p, penalty, last, n_stops, n_parts = struct.unpack_from("<QIIIIIIII", data, at)
at += struct.calcsize("<QIIIIIIII")
stops, parts = [], []
for _ in range(n_stops):
    n, = struct.unpack_from("<I", data, at)
    stops.append(data[at + 4:at + 4 + n])
    at += 4 + n
for _ in range(n_parts):
    kind, role, n = struct.unpack_from("<IIQ", data, at)
    parts.append((kind, role, struct.unpack_from("<%dI" % n, data, at + 16)))
    at += 16 + 4 * n
sys.exit(not (magic == b"MBIRECPT" and version == 1 and zero == 0 and position == 0 and
              end.hex() == ran["state_digest"] and (seed, temperature, top_k, top_p, min_p) == (7, 230, 0, 62259, 0) and
              (penalty, last, stops) == (0, 64, [b"zq"]) and [p[:2] for p in parts] == [(1, 0), (3, 0)] and
              list(parts[1][2][:len(ran["token_ids"])]) == ran["token_ids"] and
              data[at:] == hashlib.blake2b(data[:at], digest_size=32).digest()))
END

# On from a state.
run 0 generate -m tiny.gguf -p ' and' -n 5 --seed 8 --load-state a.state --receipt b.receipt
run 0 receipt b.receipt -m tiny.gguf --load-state a.state
says out 'start: after '
run 2 receipt b.receipt -m tiny.gguf
says err 'from a state'
run 2 receipt a.receipt -m tiny.gguf --load-state a.state
run 0 generate -m tiny.gguf -p 'x' -n 1 --save-state x.state
refuse 'another state' receipt b.receipt -m tiny.gguf --load-state x.state

# Nothing that was changed holds: every byte, also with a right digest behind it (settings that
# give the same tokens may say something true, so they are left out).
python3 - "$tool" <<'END' || problem 'receipt: a changed one holds'
import hashlib, subprocess, sys
data = open("b.receipt", "rb").read()
def refused(changed):
    open("c.receipt", "wb").write(changed)
    r = subprocess.run([sys.argv[1], "receipt", "c.receipt", "-m", "tiny.gguf", "--load-state", "a.state"],
                       stdin=subprocess.DEVNULL, capture_output=True)
    return r.returncode in (1, 2) and not r.stdout and r.stderr
for at in range(0, len(data), 7):
    flipped = data[:at] + bytes([data[at] ^ 16]) + data[at + 1:]
    if not refused(flipped):
        sys.exit("byte %d" % at)
    if not 152 <= at < 184 and at < len(data) - 32:
        body = flipped[:-32]
        if not refused(body + hashlib.blake2b(body, digest_size=32).digest()):
            sys.exit("byte %d, with its digest" % at)
END
refuse 'another model' receipt a.receipt -m other.gguf
refuse 'features' receipt a.receipt -m simple.gguf
refuse 'no receipt' receipt tiny.gguf -m tiny.gguf
refuse 'NOT hold' receipt tiny.gguf -m tiny.gguf
run 1 receipt c.receipt -m tiny.gguf --load-state a.state --json
json "not d['ok'] and d['receipt'] is None and d['message']"
usage receipt -m tiny.gguf
usage receipt a.receipt
usage generate -m simple.gguf --features 1,0,0,0,0,0,0,0,0,0 --receipt s.receipt
refuse 'no-such/r' generate -m tiny.gguf -p a --receipt no-such/r

# What check says.
run 0 check a.receipt --json
json "d['kind'] == 'receipt' and d['ok'] and 'mambaint receipt' in d['message']"
run 1 check c.receipt --json
json "d['kind'] == 'receipt' and not d['ok']"
finish
