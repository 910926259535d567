#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Saves and loads of the tool with one system call gone wrong, for every call and every way.

After each run the file that is saved must be the old one or the new one, to the byte; a failure is
a sentence and status 1, never a signal, and leaves nothing behind; what a killed run leaves behind
does not keep the next one from saving. Loads end in the same result or in an error.

usage: faults.py TOOL SHIM TEXT
"""

import os
import shutil
import subprocess
import sys
import tempfile

TOOL, SHIM, TEXT = sys.argv[1:4]
ERRORS = ["EIO", "ENOSPC", "EINTR", "SHORT"]
DEATHS = ["KILL", "KILLED"]

work = os.path.realpath(tempfile.mkdtemp(prefix="mambaint-fault-"))
folder = os.path.join(work, "here")  # the only files that faults touch
kept = os.path.join(work, "kept")
log = os.path.join(work, "log")
runs = 0


def fail(text):
    print("not as promised:", text)
    sys.exit(1)


def run(arguments, at=0, kind="", preload=True):
    """Status (negative: killed by that signal), standard output, standard error."""
    global runs
    environment = dict(os.environ, OPENBLAS_NUM_THREADS="1")
    if preload:
        environment.update(LD_PRELOAD=SHIM, FAULT_DIR=folder, FAULT_LOG=log, FAULT_AT=str(at),
                           FAULT_KIND=kind)
    if os.path.exists(log):
        os.remove(log)
    runs += 1
    done = subprocess.run([TOOL] + arguments, env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=60)
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def must(arguments):
    status, out, err = run(arguments, preload=False)
    if status != 0:
        fail("%s: status %d: %s" % (" ".join(arguments), status, err))
    return out


def content(name):
    try:
        with open(os.path.join(folder, name), "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def reset(old):
    """The folder as it was: the files in `old` (name to bytes) and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    os.mkdir(folder)
    for name, data in old.items():
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)


def calls():
    with open(log) as file:
        return [line.split() for line in file]


def check_order(name):
    """Everything is written and synced before the rename, the folder is synced after it."""
    made = [(call[1], call[2]) for call in calls()]
    for i, (what, fd) in enumerate(made):
        if not what.startswith("rename"):
            continue
        before = [w for w, _ in made[:i]]
        last_write = max(k for k, w in enumerate(before) if w == "write")
        if "fsync" not in before[last_write:] or "close" not in before[last_write:]:
            fail("%s: renamed before it was synced and closed" % name)
        if made[i + 1:i + 2] == [] or made[i + 1][0] != "fsync":
            fail("%s: the folder is not synced after the rename" % name)


def check_save(name, old, new, where, status, err, kind):
    for file in new:
        now = content(file)
        if now != new[file] and now != old.get(file):
            fail("%s: %s is neither the old file nor the new one" % (where, file))
        if status == 0 and now != new[file]:
            fail("%s: status 0, but %s is not the new file" % (where, file))
    if kind in DEATHS:
        if status != -9 and status != 0:
            fail("%s: status %d" % (where, status))
        return
    if status not in (0, 1):
        fail("%s: status %d: %s" % (where, status, err))
    if status == 1 and not err.strip():
        fail("%s: no word about the failure" % where)
    left = set(os.listdir(folder)) - set(old) - set(new)
    if left:
        fail("%s: left behind: %s" % (where, " ".join(left)))


def save_under_faults(name, arguments, old):
    reset(old)
    status, _, err = run(arguments)
    if status != 0:
        fail("%s: %s" % (name, err))
    new = {file: content(file) for file in os.listdir(folder)}
    n = len(calls())
    check_order(name)
    survived = 0
    for kind in ERRORS + DEATHS:
        for at in range(1, n + 1):
            reset(old)
            where = "%s, call %d of %d, %s" % (name, at, n, kind)
            status, _, err = run(arguments, at, kind)
            check_save(name, old, new, where, status, err, kind)
            survived += status == 0
            if kind in DEATHS:
                must(arguments)
                for file in new:
                    if content(file) != new[file]:
                        fail("%s: the next run saved something else" % where)
    print("%-28s %3d calls, %4d faults, %3d of them survived" %
          (name, n, n * len(ERRORS + DEATHS), survived))


def load_under_faults(name, arguments):
    """Nothing is saved in the folder; what comes out is all or an error."""
    status, want, err = run(arguments)
    if status != 0:
        fail("%s: %s" % (name, err))
    n = len(calls())
    before = {file: content(file) for file in os.listdir(folder)}
    for kind in ERRORS:
        for at in range(1, n + 1):
            where = "%s, call %d of %d, %s" % (name, at, n, kind)
            status, out, err = run(arguments, at, kind)
            if status == 0 and out != want:
                fail("%s: status 0, but another result" % where)
            if status not in (0, 1) or (status == 1 and not err.strip() + out.decode()):
                fail("%s: status %d: %s" % (where, status, err))
    if before != {file: content(file) for file in os.listdir(folder)}:
        fail("%s: a load changed a file" % name)
    print("%-28s %3d calls, %4d faults" % (name, n, n * len(ERRORS)))


def in_folder(name):
    return os.path.join(folder, name)


def train(steps, *more):
    return ["train", "--preset", "mi-tiny", "--vocab", "300", "--data", TEXT, "--steps", steps,
            "--batch", "2", "--context", "16", "--threads", "1", "--out",
            in_folder("t.gguf")] + list(more)


def main():
    os.mkdir(folder)
    os.mkdir(kept)
    model = os.path.join(kept, "model.gguf")
    must(["synth", "--preset", "mi-tiny", "--out", model])
    must(["synth", "--preset", "mi-tiny", "--seed", "1", "--out", in_folder("m.gguf")])
    must(["tokenizer", "train", TEXT, "--vocab", "280", "--out", in_folder("t.tok")])
    must(["generate", "-m", model, "-p", "old", "-n", "3", "--save-state", in_folder("s.state")])
    must(["generate", "-m", model, "-p", "old", "-n", "3", "--receipt", in_folder("r.receipt")])
    must(train("3"))
    first = {name: content(name) for name in os.listdir(folder)}
    first["run.checkpoint"] = first["t.gguf.checkpoint"]

    def only(*names):
        return {name: first[name] for name in names}

    synth = ["synth", "--preset", "mi-tiny", "--out", in_folder("m.gguf")]
    state = ["generate", "-m", model, "-p", "new", "-n", "3", "--save-state", in_folder("s.state")]
    receipt = ["generate", "-m", model, "-p", "new", "-n", "3",
               "--receipt", in_folder("r.receipt")]
    vocab = ["tokenizer", "train", TEXT, "--vocab", "300", "--out", in_folder("t.tok")]
    save_under_faults("model over an old one", synth, only("m.gguf"))
    save_under_faults("model where none is", synth, {})
    save_under_faults("tokenizer", vocab, only("t.tok"))
    save_under_faults("state over an old one", state, only("s.state"))
    save_under_faults("state where none is", state, {})
    save_under_faults("receipt over an old one", receipt, only("r.receipt"))
    save_under_faults("checkpoint and model", train("2"), only("t.gguf", "t.gguf.checkpoint"))

    reset(first)
    load_under_faults("load a model", ["generate", "-m", in_folder("m.gguf"), "-p", "a", "-n", "4"])
    load_under_faults("load a state", ["generate", "-m", model, "-p", "a", "-n", "4",
                                       "--load-state", in_folder("s.state")])
    load_under_faults("load a receipt", ["receipt", in_folder("r.receipt"), "-m", model])
    load_under_faults("load a tokenizer", ["tokenizer", "encode", "-t", in_folder("t.tok"),
                                           "-p", "a"])
    for name in ("m.gguf", "s.state", "t.tok", "run.checkpoint", "r.receipt"):
        load_under_faults("check " + name, ["check", in_folder(name)])
    print(runs, "runs")


try:
    main()
finally:
    shutil.rmtree(work, ignore_errors=True)
