#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hidden proofs and their keys, made by the tool, by an independent verifier.

The tool synthesises models, makes keys with hidden weights and proves runs of them. These files are
never the same twice; so verify.py has to accept each key and each proof, find the outputs that the
readers here compute from the model file, and refuse the files with bytes changed, with another
number of a root, with other words about the roots, and under another key. Of a run in parts, and of
a linked chain, it also has to refuse parts in another order, parts of another run, and other links.

Usage: hidden_files.py TOOL
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
from proof_files import (FEATURES, PRESETS, SMALL, answer, ask, changed, check_lies, need, outputs,
                         read, refused, resealed)
from proof_files import sealed as series_of
from simple import Simple, integer
from simulate import check_pads, why

CHANGES = 3  # damaged copies of each file, and of each of its parts

# name, numbers of the models, proofs of the key, and whether those are of one root
NUMBERS = [("rwkv", [0], 20, False), ("xlstm", [2], 1, False), ("chain", [0, 1, 2], 3, False)]

# Models of tokens: name, shape, tokens of the prompt and of the answer, and the same
TOKENS = [
    ("one", SMALL, 1, 1, 1, False),
    ("chunks", {**SMALL, "norm": "bitshift", "gate": "squareplus", "hold": "on",
                "rotation-pairs": 2}, 6, 4, 8, False),
    ("one-root", {}, 3, 2, 1, True),
]

# Runs in parts: name, shape, tokens of the prompt and of the answer, steps of a part
PARTS = [("parts", {**SMALL, "chunk": 2}, 4, 3, 2)]

# One whose certificate looks weights up where they lie
DIRECT = {"layers": 1, "d-model": 96, "heads": 2, "head-dim": 16, "d-state": 16, "vocab": 2100,
          "chunk": 8, "rotation-pairs": 0}


def sealed(data):
    return data + hashlib.blake2b(data, digest_size=32).digest()


def with_bytes(file, at, new):
    """The same file with other bytes, and a right digest"""
    return sealed(file[:at] + new + file[at + len(new):-32])


def check_key(name, file, one_root):
    """Accept a key and no damaged ones; returns what it believes."""
    part, certificate, _ = verify.read_key(file)
    roots = certificate["hidden"]
    need(roots and one_root == (roots.count == 1), f"{name}: {roots} of its key")
    key = verify.verify_key(file)
    draw = random.Random(len(file))
    for k in range(CHANGES):
        bad = (resealed if k % 4 else changed)(file, draw)
        need(refused(verify.verify_key, bad), f"{name}: a damaged key is accepted")
    inner = 20 + len(part)                          # of the certificate, which has a digest, too
    length = int.from_bytes(file[inner - 4:inner], "little")
    for _ in range(CHANGES):
        bad = file[:inner] + resealed(file[inner:inner + length], draw) + file[inner + length:-32]
        need(refused(verify.verify_key, sealed(bad)), f"{name}: a false certificate is accepted")
    return key, roots


def check_roots(name, proof, key, roots, draw):
    """Neither another root nor other words about all of them are accepted."""
    length = int.from_bytes(proof[12:16], "little")
    body, models = 16 + length, 16 + len(key[0])
    number = int.from_bytes(proof[body:body + 4], "little")
    for other in (number ^ 1, roots.count, 2**32 - 1):
        lie = with_bytes(proof, body, struct.pack("<I", other))
        need(refused(verify.verify_run, lie, key), f"{name}: root {number} is accepted as {other}")
    said = 8 + (16 if roots.count > 1 else 0)       # the last things of the models' part
    for at in draw.sample(range(models - said - 32, models), CHANGES):
        lie = with_bytes(proof, at, bytes([proof[at] ^ 1]))
        need(refused(verify.verify_run, lie, key), f"{name}: other roots are accepted")
        part = bytearray(key[0])
        part[at - 16] ^= 1
        need(refused(verify.verify_run, lie, (bytes(part), key[1])),
             f"{name}: other roots are accepted of another key")
    for flags in (0, 1, 3):
        lie = with_bytes(proof, 10, struct.pack("<H", flags))
        need(refused(verify.verify_run, lie, key), f"{name}: accepted with flags {flags}")


def check(name, folder, tool, words, run, count, one_root, keys):
    """A key, two proofs of one run and what is wrong with others; returns a proof and what to
    believe of it. keys: those of others"""
    draw = random.Random(count)
    path = os.path.join(folder, name)
    ask(tool, "proof", "key", *words, "--zk", "on", "--proofs", str(count), "--prover-key",
        path + ".mipk", "--out", path + ".mivk")
    key, roots = check_key(name, read(path + ".mivk"), one_root)
    proofs = []
    for _ in range(min(count, 2)):
        ask(tool, "prove", *words, *run, "--zk", "on", "--prover-key", path + ".mipk", "--out", path)
        proofs.append(read(path))
        verify.verify_run(proofs[-1], key)
    need(len(set(proofs)) == len(proofs), f"{name}: two proofs are the same")
    proof = proofs[-1]
    need(os.stat(path + ".mipk").st_mode & 0o077 == 0, f"{name}: others may read the prover's key")
    for _ in range(CHANGES):
        need(refused(verify.verify_run, resealed(proof, draw), key),
             f"{name}: a damaged proof is accepted")
    check_roots(name, proof, key, roots, draw)
    for other, believed in keys.items():
        need(refused(verify.verify_run, proof, believed), f"{name} is accepted under {other}'s key")
    keys[name] = key
    ask(tool, "proof", "key", *words, "--zk", "on", "--proofs", str(count), "--prover-key",
        path + ".again.mipk", "--out", path + ".again.mivk")
    again = verify.verify_key(read(path + ".again.mivk"))
    need(again != key, f"{name}: two keys are the same")
    need(refused(verify.verify_run, proof, again), f"{name}: accepted under another key of its model")
    # Even if that says that it is of this proof: what the key is of is in the proof's transcript.
    lie = sealed(proof[:16] + again[0] + proof[16 + len(again[0]):-32])
    need(refused(verify.verify_run, lie, again), f"{name}: accepted as a proof under another key")
    return proof, key


def simple_models(tool, folder, keys):
    paths = [os.path.join(folder, p) for p in PRESETS]
    for path, preset in zip(paths, PRESETS):
        ask(tool, "synth", "--preset", preset, "--seed", "1", "--out", path)
    models = [Simple(read(path)) for path in paths]
    for name, numbers, count, one_root in NUMBERS:
        words = [w for n in numbers for w in ("-m", paths[n])]
        proof, _ = check(name, folder, tool, words, [f"--features={FEATURES}"], count, one_root, keys)
        need(verify.read_proof(proof)["output"] == outputs([models[n] for n in numbers]),
             f"{name}: other outputs")


def synth(tool, folder, name, shape):
    path = os.path.join(folder, name + ".gguf")
    words = [w for key, value in shape.items() for w in ("--" + key, str(value))]
    ask(tool, "synth", "--preset", "mi-tiny", "--seed", "3", *words, "--out", path)
    return path


def token_models(tool, folder, keys):
    for seed, (name, shape, asked, count, proofs, one_root) in enumerate(TOKENS):
        path = synth(tool, folder, name, shape)
        prompt = [(97 * seed + 31 * i) % 256 for i in range(asked)]
        run = ["--ids", ",".join(map(str, prompt)), "-n", str(count)]
        proof, key = check(name, folder, tool, ["-m", path], run, proofs, one_root, keys)
        graph = reference.Model(read(path)).graph
        case = verify.read_proof(proof)
        need(case["tokens"] == answer(graph, prompt, count) and case["claimed"] == count,
             f"{name}: another answer")
        check_lies(name, proof, asked + count, lambda lie: verify.verify_run(lie, key))


def direct_certificate(tool, folder):
    """A key of more weights than are bounded one by one"""
    path = synth(tool, folder, "direct", DIRECT)
    key = os.path.join(folder, "direct.mivk")
    ask(tool, "proof", "key", "-m", path, "--zk", "on", "--proofs", "1", "--prover-key",
        os.path.join(folder, "direct.mipk"), "--out", key)
    file = read(key)
    _, certificate, public = verify.read_key(file)
    verify.set_public(certificate, public)
    need(verify.Verifier(certificate).plan.direct, "direct: it bounds weights one by one")
    verify.verify_key(file)
    bad = bytearray(file[:-32])
    bad[-100000] ^= 1
    need(refused(verify.verify_key, sealed(bytes(bad))), "direct: a damaged key is accepted")


def links_of(proof):
    """The links before and behind, as bytes; None where there is none"""
    return [link and link.left + link.right + verify.elements_bytes(link.value)
            for link in verify.read_proof(proof)["roots"]]


def with_link(proof, side, link):
    """A proof with another link, and a right digest"""
    old = links_of(proof)[side]
    need(proof.count(old) == 1, "a link that is in a proof twice")
    return sealed(proof[:-32].replace(old, link))


def swapped(proofs, i, others):
    """The proofs, but from number i on as many others as there are"""
    return proofs[:i] + others + proofs[i + len(others):]


def check_order(name, proofs, others):
    """Neither proofs in another order nor those of two runs are a series."""
    for i in range(len(proofs)):
        lies = [proofs[:i] + proofs[i + 1:], proofs[:i + 1] + proofs[i:], swapped(proofs, i, [others[i]])]
        if i + 1 < len(proofs):
            lies += [swapped(proofs, i, proofs[i:i + 2][::-1]), proofs[:i + 1] + others[i + 1:]]
        for lie in lies:
            need(refused(verify.read_series, series_of(lie)),
                 f"{name}: proofs of another order, or of two runs, are accepted")


def check_link(name, proofs, others, k, accept, draw):
    """What is behind proof k and before k + 1 cannot be changed: in one of them, in both, or so that a
    part of another run fits."""
    link = links_of(proofs[k])[verify.BEHIND]
    need(link == links_of(proofs[k + 1])[verify.BEFORE], f"{name}: two links between two proofs")
    for at in (draw.randrange(32), draw.randrange(32, 64), draw.randrange(64, 80)):
        other = bytearray(link)
        other[at] ^= 1
        both = [with_link(proofs[k], verify.BEHIND, other), with_link(proofs[k + 1], verify.BEFORE, other)]
        for i, lie in enumerate(both):
            need(refused(verify.read_series, series_of(swapped(proofs, k + i, [lie]))),
                 f"{name}: a link that one side does not have")
        verify.read_series(series_of(swapped(proofs, k, both)))
        for i, lie in enumerate(both):
            reason = why(accept[k + i], lie)
            need(reason, f"{name}: another link is accepted")
            need(at // 32 != i or "another proof" in reason, f"{name}: {reason}, not the name")
    for at in (64, 72):                             # a coordinate that is p
        other = link[:at] + struct.pack("<Q", verify.P) + link[at + 8:]
        need(why(verify.read_proof, with_link(proofs[k], verify.BEHIND, other)) == "no element",
             f"{name}: a value of a link that is no element")
    stranger = with_link(others[k + 1], verify.BEFORE, link)
    behind = links_of(proofs[k + 1])[verify.BEHIND]
    if behind:
        stranger = with_link(stranger, verify.BEHIND, behind)
    verify.read_series(series_of(swapped(proofs, k + 1, [stranger])))
    need("another proof" in (why(accept[k + 1], stranger) or ""),
         f"{name}: a part of another run is accepted")


def check_links(name, files, in_clear, accept, draw):
    """Two series of one run: accept the first, and nothing else that is made of both or of one that
    hides nothing. accept: for each proof; returns what the series says."""
    said = verify.verify_series(files[0], accept)
    (proofs, _), (others, _), (clear, _) = map(verify.read_series, (*files, in_clear))
    need(len(proofs) == len(others) == len(clear) >= 3, f"{name}: another number of proofs")
    need(series_of(proofs) == files[0], f"{name}: other bytes around the proofs")
    check_order(name, proofs, others)
    for k in range(len(proofs) - 1):
        check_link(name, proofs, others, k, accept, draw)
    for i, proof in enumerate(proofs):
        need(refused(accept[i], resealed(proof, draw)), f"{name}: a damaged proof is accepted")
        for flags in (0, 1, 3):
            lie = with_bytes(proof, 10, struct.pack("<H", flags))
            need(refused(accept[i], lie), f"{name}: accepted with flags {flags}")
        need(refused(verify.read_series, series_of(swapped(proofs, i, [clear[i]]))),
             f"{name}: a proof that hides nothing is accepted among others")
    return said


def runs_in_parts(tool, folder):
    """Runs of models of tokens in parts"""
    for name, shape, asked, count, steps in PARTS:
        model, path = synth(tool, folder, name, shape), os.path.join(folder, name)
        ask(tool, "proof", "key", "-m", model, "--zk", "on", "--proofs", "10", "--prover-key",
            path + ".mipk", "--out", path + ".mivk")
        key = verify.verify_key(read(path + ".mivk"))
        prompt, files = [31 * i for i in range(asked)], []
        words = ["-m", model, "--ids", ",".join(map(str, prompt)), "-n", str(count), "--chunk-steps",
                 str(steps), "--out", path]
        hidden = ["--zk", "on", "--prover-key", path + ".mipk"]
        for more in (hidden, hidden, []):
            ask(tool, "prove", *words, *more)
            files.append(read(path))
        accept = [lambda proof: verify.verify_run(proof, key)] * (-(-(asked + count - 1) // steps))
        said = check_links(name, files[:2], files[2], accept, random.Random(9))
        need(said == {"tokens": answer(reference.Model(read(model)).graph, prompt, count),
                      "claimed": count}, f"{name}: another answer")
        check_pads(verify.read_series(files[1])[0][1], key[1])


def linked_models(tool, folder):
    """A chain of the models of simple_models(), each of which has a key of its own"""
    paths = [os.path.join(folder, p) for p in PRESETS]
    path, files = os.path.join(folder, "linked"), []
    for model in paths:
        ask(tool, "proof", "key", "-m", model, "--zk", "on", "--proofs", "3", "--prover-key",
            model + ".mipk", "--out", model + ".mivk")
    words = [w for model in paths for w in ("-m", model)]
    words += ["--linked", f"--features={FEATURES}", "--out", path]
    hidden = ["--zk", "on", *(w for model in paths for w in ("--prover-key", model + ".mipk"))]
    for more in (hidden, hidden, []):
        ask(tool, "prove", *words, *more)
        files.append(read(path))
    keys = [verify.verify_key(read(model + ".mivk")) for model in paths]
    accept = [lambda proof, key=key: verify.verify_run(proof, key) for key in keys]
    said = check_links("linked", files[:2], files[2], accept, random.Random(9))
    need(said["output"] == outputs([Simple(read(model)) for model in paths]), "linked: other outputs")
    need(said["input"] == [integer(t) for t in FEATURES.split(",")], "linked: other features")
    for i, file in enumerate((files[0], said["saved"], saved_lie(said["saved"]))):
        with open(path + str(i), "wb") as f:
            f.write(file)
    keys = [model + ".mivk" for model in paths]
    for words, status in ((keys, 0), (keys[1:] + keys[:1], 1), (keys[:2], 1), (keys[:1], 1)):
        need(verify.main([path + "0", *words]) == status, "linked: another status of verify.py")
    need(verify.main([path + "1", *keys[:1]]) == 1, "linked: a saved statement is a proof")
    words = [path + "0", *(w for key in keys for w in ("--key", key))]
    ask(tool, "verify", *words, "--expect", path + "1")
    need(refused_by(tool, "verify", *words, "--expect", path + "2"), "linked: the tool expects other outputs")
    check_pads(verify.read_series(files[1])[0][1], b"")


def saved_lie(saved):
    """A saved statement with another output"""
    return with_bytes(saved, len(saved) - 36, bytes([saved[-36] ^ 1]))


def refused_by(tool, *words):
    """Whether the tool says no"""
    return subprocess.run([tool, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          check=False).returncode == 1


def main(args):
    need(len(args) == 1, __doc__)
    keys, tool = {}, os.path.abspath(args[0])
    with tempfile.TemporaryDirectory() as folder:
        simple_models(tool, folder, keys)
        token_models(tool, folder, keys)
        direct_certificate(tool, folder)
        runs_in_parts(tool, folder)
        linked_models(tool, folder)


if __name__ == "__main__":
    main(sys.argv[1:])
