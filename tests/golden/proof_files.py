#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Proofs of the tool, byte by byte and by an independent verifier.

The tool synthesises models, proves runs of them and makes keys. Each file has to have the digest
that proof_files.txt says, on every machine; verify.py has to accept it, refuse it with any byte
changed, and refuse it under another key; the weights digest and the outputs have to be those that
the readers here compute from the model file, so that a proof is about this model and this
arithmetic.

Usage: proof_files.py TOOL FILE           compares with the digests in FILE
       proof_files.py TOOL --print        prints what FILE should hold
"""
import hashlib
import os
import random
import struct
import subprocess
import sys
import tempfile

import reference
import verify
import verify_plan
from simple import Simple, integer

FEATURES = "0.5,-1.25,3.96875,-4,0,0.015625,-0.015625,2,-3,1"
PRESETS = ["simple-rwkv", "simple-mamba", "simple-xlstm"]
CHANGES = 8  # damaged copies of each proof

# name, numbers of the models, weights
PROOFS = [
    ("rwkv", [0], "committed"),
    ("mamba", [1], "committed"),
    ("xlstm", [2], "committed"),
    ("rwkv-public", [0], "public"),
    ("chain", [0, 1, 2], "committed"),
    ("chain-public", [2, 0], "public"),
]


# Chains with a proof for each model: the same
LINKED = [
    ("linked", [0, 1, 2], "committed"),
    ("linked-public", [2, 0], "public"),
]
OTHERS = "0.5,-1.25,3.96875,-4,0,0,0,2,-3,-1"


# Models of tokens: what they have in common, then name, shape, tokens of the prompt and of the
# answer, weights
SMALL = {"layers": 1, "d-model": 8, "heads": 2, "head-dim": 4, "d-state": 4, "vocab": 272,
         "chunk": 4, "rotation-pairs": 1}
TOKENS = [
    ("one", {}, 1, 1, "committed"),
    ("chunk", {"hold": "on", "gate": "algebraic", "weights": "ternary"}, 3, 2, "committed"),
    ("chunks", {"norm": "bitshift", "gate": "squareplus", "hold": "on", "rotation-pairs": 2}, 6, 4,
     "committed"),
    ("recurrent", {"chunk": 1, "tied-head": "off", "rotation-pairs": 0, "d-state": 2}, 5, 1,
     "committed"),
    ("heads", {"heads": 3, "d-model": 5, "tied-head": "off", "head-weights": "ternary", "chunk": 2},
     4, 1, "public"),
    ("long", {"layers": 2, "norm": "bitshift", "weights": "ternary", "heads": 1}, 8, 2, "public"),
]


# Series of proofs: the same, then how many steps each has
SERIES = [
    ("series", {}, 5, 4, "committed", 4),
    ("series-steps", {"chunk": 1, "rotation-pairs": 0, "d-state": 2}, 2, 3, "committed", 1),
    ("series-public", {"layers": 2, "chunk": 2, "hold": "on", "gate": "algebraic",
                       "norm": "bitshift", "weights": "ternary"}, 6, 4, "public", 6),
]


def need(condition, sentence):
    if not condition:
        sys.exit(sentence)


def ask(tool, *words):
    subprocess.run([tool, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def graph_of(model):
    """The graph of a model of numbers, with its parameters"""
    graph = verify_plan.SimpleGraph(model.features, model.hidden, model.outputs)
    for node, value in zip(verify.parameters(graph), (model.w1, model.b1, model.w2, model.b2)):
        node.value = value
    return graph


def weight_vector(graphs):
    """The vector of weights of models, laid out as verify_plan.py plans it, its end and its code."""
    plan = verify_plan.Plan(False, graphs, 1, 0, int(graphs[0].nodes[0].kind == 1))
    return (verify.weight_vector(plan), plan.weights_used,
            verify.choose_code(plan.weight_bits, 2))


def answer(graph, prompt, count):
    """The prompt and the likeliest tokens behind it"""
    ids = list(prompt)
    graph.reset()
    for at in range(len(prompt) + count - 1):
        graph.feed(ids[at])
        if at >= len(prompt) - 1:
            ids.append(graph.argmax.value[0])
    return ids


def outputs(models):
    x = [integer(t) for t in FEATURES.split(",")]
    for m in models:
        y, x = m.evaluate(x)
    return y


def refused(check, *args):
    try:
        check(*args)
    except verify.Refused:
        return True
    return False


def changed(data, draw):
    at = draw.randrange(len(data))
    return data[:at] + bytes([data[at] ^ draw.randrange(1, 256)]) + data[at + 1:]


def resealed(data, draw):
    """The same with a right digest at its end."""
    body = changed(data[:-32], draw)
    return body + hashlib.blake2b(body, digest_size=32).digest()


def check_committed(name, proof, key_file, graphs, draw):
    """Accept a proof and its key, and no damaged ones; returns what the key believes."""
    vector, used, code = weight_vector(graphs)
    root = verify.vector_root(code, [x % verify.P for x in vector], used)
    key = verify.verify_key(key_file)
    verify.verify_run(proof, key)
    need(verify.read_proof(proof)["weights_digest"] == root,
         f"{name}: the root is not of this model")
    for k in range(CHANGES):
        bad = (resealed if k % 4 else changed)(proof, draw)
        need(refused(verify.verify_run, bad, key), f"{name}: a damaged proof is accepted")
    for k in range(2):
        bad = (resealed if k else changed)(key_file, draw)
        need(refused(verify.verify_key, bad), f"{name}: a damaged key is accepted")
    return key


def check_public(name, proof, graphs, draw):
    """Accept a proof with public weights, and neither damaged ones nor one of other weights."""
    vector, *_ = weight_vector(graphs)
    verify.verify_public(proof, graphs)
    need(verify.read_proof(proof)["weights_digest"] == verify.digest_of_weights(vector),
         f"{name}: the digest is not of this model's weights")
    weights = [node for graph in graphs for node in verify.parameters(graph)]
    for _ in range(CHANGES):
        need(refused(verify.verify_public, resealed(proof, draw), graphs),
             f"{name}: a damaged proof is accepted")
        row = draw.choice(verify.rows_of(draw.choice(weights)))
        at = draw.randrange(len(row))
        row[at] += 1
        need(refused(verify.verify_public, proof, graphs),
             f"{name}: other weights are accepted")
        row[at] -= 1


def check_lies(name, proof, count, accept):
    """What a proof says of tokens cannot be changed: neither a token of the prompt, nor of the
    answer, nor how many there are of the answer's."""
    length = int.from_bytes(proof[12:16], "little")
    ids = 16 + length - 8 - 4 * count               # the last things of a statement
    for at in (ids, ids + 4 * (count - 1), 16 + length - 4):
        lie = bytearray(proof[:-32])
        lie[at] ^= 1
        lie = bytes(lie) + hashlib.blake2b(lie, digest_size=32).digest()
        need(refused(accept, lie), f"{name}: a lie about tokens is accepted")


def file_line(name, data):
    return " ".join([name, str(len(data)), hashlib.blake2b(data, digest_size=32).hexdigest()])


def simple_lines(tool, folder, draw):
    """Proofs of models of numbers"""
    keys, paths = {}, [os.path.join(folder, p) for p in PRESETS]
    for path, preset in zip(paths, PRESETS):
        ask(tool, "synth", "--preset", preset, "--seed", "1", "--out", path)
    models = [Simple(read(path)) for path in paths]
    for name, numbers, weights in PROOFS:
        mine = [models[n] for n in numbers]
        words = [w for n in numbers for w in ("-m", paths[n])]
        path = os.path.join(folder, name)
        ask(tool, "prove", *words, f"--features={FEATURES}", "--weights", weights, "--out", path)
        proof = read(path)
        need(verify.read_proof(proof)["output"] == outputs(mine), f"{name}: other outputs")
        yield file_line(name, proof)
        graphs = [graph_of(model) for model in mine]
        if weights == "public":
            check_public(name, proof, graphs, draw)
            continue
        yield from committed_lines(tool, name, path, words, graphs, keys, draw)


def committed_lines(tool, name, path, words, graphs, keys, draw):
    """The key of a proof with committed weights, and the checks of both; keys: those of others"""
    proof = read(path)
    ask(tool, "proof", "key", *words, "--out", path + ".mivk")
    key = read(path + ".mivk")
    yield file_line(name + ".mivk", key)
    for other, believed in keys.items():
        need(refused(verify.verify_run, proof, believed), f"{name} is accepted under {other}'s key")
    keys[name] = check_committed(name, proof, key, graphs, draw)


def token_lines(tool, folder, draw):
    """Proofs of models of tokens"""
    keys, others = {}, []
    for seed, (name, shape, asked, count, weights) in enumerate(TOKENS):
        path = os.path.join(folder, name)
        words = [w for key, value in {**SMALL, **shape}.items() for w in ("--" + key, str(value))]
        ask(tool, "synth", "--preset", "mi-tiny", "--seed", str(seed), *words,
            "--out", path + ".gguf")
        graph = reference.Model(read(path + ".gguf")).graph
        prompt = [(97 * seed + 31 * i) % 256 for i in range(asked)]
        words = ["-m", path + ".gguf"]
        ask(tool, "prove", *words, "--ids", ",".join(map(str, prompt)), "-n", str(count),
            "--weights", weights, "--out", path)
        proof = read(path)
        case = verify.read_proof(proof)
        need(case["tokens"] == answer(graph, prompt, count) and case["claimed"] == count,
             f"{name}: another answer")
        yield file_line(name, proof)
        if weights == "public":
            check_public(name, proof, [graph], draw)
            for other in others:
                need(refused(verify.verify_public, proof, [other]),
                     f"{name}: accepted with another model")
            others.append(graph)
            check_lies(name, proof, asked + count, lambda lie: verify.verify_public(lie, [graph]))
            continue
        yield from committed_lines(tool, name, path, words, [graph], keys, draw)
        check_lies(name, proof, asked + count, lambda lie: verify.verify_run(lie, keys[name]))


def sealed(parts):
    """A series of some proofs"""
    data = b"MIPS" + struct.pack("<HHI", 1, 1, len(parts))
    data += b"".join(struct.pack("<I", len(part)) + part for part in parts)
    return data + hashlib.blake2b(data, digest_size=32).digest()


def check_series(name, file, accept, draw):
    """Accept a series, in its order alone, and no damaged ones."""
    proofs, _ = verify.read_series(file)
    said = verify.verify_series(file, accept)
    need(sealed(proofs) == file, f"{name}: other bytes around the proofs")
    for i in range(len(proofs)):
        for lie in (proofs[:i] + proofs[i + 1:], proofs[:i] + proofs[i:i + 1] + proofs[i:],
                    proofs[:i] + proofs[i:i + 2][::-1] + proofs[i + 2:]):
            need(lie == proofs or refused(verify.read_series, sealed(lie)),
                 f"{name}: proofs of another order are accepted")
        bad = proofs[:i] + [resealed(proofs[i], draw)] + proofs[i + 1:]
        need(refused(verify.verify_series, sealed(bad), accept),
             f"{name}: a damaged proof is accepted")
    need(refused(verify.read_series, changed(file, draw)), f"{name}: a damaged file is accepted")
    return said


def series_lines(tool, folder, draw):
    """Series of proofs of models of tokens"""
    for seed, (name, shape, asked, count, weights, steps) in enumerate(SERIES):
        path = os.path.join(folder, name)
        words = [w for key, value in {**SMALL, **shape}.items() for w in ("--" + key, str(value))]
        ask(tool, "synth", "--preset", "mi-tiny", "--seed", str(seed), *words,
            "--out", path + ".gguf")
        graph = reference.Model(read(path + ".gguf")).graph
        prompt = [(89 * seed + 37 * i) % 256 for i in range(asked)]
        words = ["-m", path + ".gguf"]
        ask(tool, "prove", *words, "--ids", ",".join(map(str, prompt)), "-n", str(count),
            "--weights", weights, "--chunk-steps", str(steps), "--out", path)
        file = read(path)
        yield file_line(name, file)
        if weights == "public":
            said = check_series(name, file, lambda p: verify.verify_public(p, [graph]), draw)
        else:
            ask(tool, "proof", "key", *words, "--out", path + ".mivk")
            key = verify.verify_key(read(path + ".mivk"))
            said = check_series(name, file, lambda p: verify.verify_run(p, key), draw)
        need(said == {"tokens": answer(graph, prompt, count), "claimed": count},
             f"{name}: another answer")


def relinked(proofs, k):
    """Proofs k and k + 1 of a chain with another root between them"""
    changed_proofs = list(proofs)
    root = verify.read_proof(proofs[k])["roots"][verify.BEHIND]
    other = bytes([root[0] ^ 1]) + root[1:]
    for i in (k, k + 1):
        body = proofs[i][:-32]
        need(body.count(root) == 1, "a root that a proof does not have")
        body = body.replace(root, other)
        changed_proofs[i] = body + hashlib.blake2b(body, digest_size=32).digest()
    return changed_proofs


def check_links(name, file, other, accept):
    """Neither the roots of a chain nor its proofs can be exchanged with those of other features."""
    proofs, _ = verify.read_series(file)
    others, _ = verify.read_series(other)
    for k in range(len(proofs) - 1):
        roots = [verify.read_proof(p[k])["roots"][verify.BEHIND] for p in (proofs, others)]
        need(roots[0] != roots[1], f"{name}: other features make no difference")
        for lie in (proofs[:k + 1] + others[k + 1:], others[:k + 1] + proofs[k + 1:]):
            need(refused(verify.read_series, sealed(lie)), f"{name}: two runs as one")
        lie = relinked(proofs, k)
        verify.read_series(sealed(lie))
        for i in (k, k + 1):
            need(refused(accept[i], lie[i]), f"{name}: another root is accepted")


def linked_lines(tool, folder, draw):
    """Chains of the models of simple_lines(), whose keys are there"""
    names = [name for name, numbers, weights in PROOFS[:len(PRESETS)]]
    paths = [os.path.join(folder, p) for p in PRESETS]
    models = [Simple(read(path)) for path in paths]
    for name, numbers, weights in LINKED:
        files = []
        for features in (FEATURES, OTHERS):
            path = os.path.join(folder, name)
            ask(tool, "prove", *[w for n in numbers for w in ("-m", paths[n])], "--linked",
                f"--features={features}", "--weights", weights, "--out", path)
            files.append(read(path))
        yield file_line(name, files[0])
        if weights == "public":
            accept = [lambda p, g=graph_of(models[n]): verify.verify_public(p, [g])
                      for n in numbers]
        else:
            keys = [verify.verify_key(read(os.path.join(folder, names[n] + ".mivk")))
                    for n in numbers]
            accept = [lambda p, k=key: verify.verify_run(p, k) for key in keys]
        said = check_series(name, files[0], accept, draw)
        need(said["output"] == outputs([models[n] for n in numbers]), f"{name}: other outputs")
        need(said["input"] == [integer(t) for t in FEATURES.split(",")], f"{name}: other features")
        need(refused(verify.verify_series, files[0], accept[1:] + accept[:1]),
             f"{name}: accepted with keys in another order")
        check_links(name, *files, accept)


def lines(tool, folder):
    draw = random.Random(7)
    yield from simple_lines(tool, folder, draw)
    yield from linked_lines(tool, folder, random.Random(8))
    yield from token_lines(tool, folder, draw)
    yield from series_lines(tool, folder, draw)


def main(args):
    need(len(args) == 2, __doc__)
    with tempfile.TemporaryDirectory() as folder:
        text = "".join(line + "\n" for line in lines(os.path.abspath(args[0]), folder))
    if args[1] == "--print":
        sys.stdout.write(text)
        return
    with open(args[1], encoding="ascii") as f:
        want = f.read()
    for got, line in zip(text.splitlines(), want.splitlines()):
        need(got == line, f"{got.split()[0]}: other bytes: {got}; asked for: {line}")
    need(text == want, "another number of files")


if __name__ == "__main__":
    main(sys.argv[1:])
