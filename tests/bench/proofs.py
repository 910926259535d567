#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What proofs cost: by the number of steps and by the size of the model, as tables and a plot.

usage: proofs.py TOOL [--steps N,...] [--steps-model NAME] [--models NAME[:STEPS],...] [--runs N]
                 [--folder DIR] [--no-prover-key] [--results FILE] [--reuse]
                 [--document FILE] [--plot FILE]

Models of random weights are made in a temporary folder (or --folder, where they and the keys stay
and are used again); each is proved with a prover's key and verified with a verifier's. The tables
go to standard output or, with --document, between the marks of that file. --results keeps what was
measured as JSON; with --reuse nothing is measured and that file is read. --plot needs gnuplot. Of
several runs the one of the median time counts. Run it on a quiet machine; mi-130m needs 12 GB of
memory and 6 GB of disk.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from typing import Any, Dict, List, Tuple

HERE = os.path.dirname(os.path.abspath(__file__))
BEGIN, END = "<!-- proofs: begin -->", "<!-- proofs: end -->"
STEPS = "1,4,16,64,128"
MODELS = "simple:1,mi-tiny:16,mi-1m:16,mi-10m:16,mi-130m:16"
FEATURES = "1,0.5,0,0,0,0,0,0,0,-1"
# What a stage of the tool counts as, in the order of the tables.
PHASES = ("run", "witness", "commit", "sums", "lookup", "open")
COUNTS_AS = {"answer": "run", "check": "run"}
Row = Dict[str, Any]


def call(command: List[str]) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("%s: status %d\n%s" % (" ".join(command), done.returncode, done.stderr))
    return done.stdout


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def ask(steps: int, answered: int) -> List[str]:
    """Ids of a run of so many steps, the last ones of which are answered."""
    ids = [1 + i % 250 for i in range(steps - answered + 1)]
    return ["--ids", ",".join(map(str, ids)), "-n", str(answered)]


class Bench:
    def __init__(self, tool: str, folder: str, runs: int, with_key: bool) -> None:
        self.tool, self.folder, self.runs, self.with_key = tool, folder, runs, with_key

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def json(self, *arguments: str) -> Row:
        return json.loads(call([self.tool, *arguments, "--json"]))

    def kept(self, name: str, *arguments: str) -> Row:
        """A file that a command makes, and what it said of it then."""
        said = self.path(name + ".json")
        if not (os.path.exists(said) and os.path.exists(self.path(name))):
            row = self.json(*arguments, "--out", self.path(name))
            with open(said, "w", encoding="ascii") as file:
                json.dump(row, file)
        with open(said, encoding="ascii") as file:
            return json.load(file)

    def prove(self, model: str, steps: int) -> Row:
        tell("%s, %d steps" % (model, steps))
        gguf, proof = self.path(model + ".gguf"), self.path("proof")
        made = self.kept(model + ".gguf", "synth", "--preset", model)
        base = ["prove", "-m", gguf, "--out", proof]
        row: Row = {"model": model, "parameters": made["parameters"]}
        if self.with_key:
            key = self.kept(model + ".mipk", "proof", "key", "--prover", "-m", gguf)
            row.update(prover_key_bytes=key["key_bytes"], prover_key_ms=key["commit_ms"])
            base += ["--prover-key", self.path(model + ".mipk")]
        key = self.kept(model + ".mivk", "proof", "key", "-m", gguf)
        row.update(key_bytes=key["key_bytes"], key_ms=key["certify_ms"])
        what = ["--features", FEATURES]
        if not model.startswith("simple"):
            what = ask(steps, (steps + 1) // 2)
            if self.json(*base, *what)["tokens"] != steps:  # the answer ended before
                what = ask(steps, 1)
        runs = sorted((self.json(*base, *what) for _ in range(self.runs)),
                      key=lambda r: r["prove_ms"])
        row.update(runs[len(runs) // 2])
        checks = [self.json("verify", proof, "--key", self.path(model + ".mivk"))
                  for _ in range(5)]
        row["verify_ms"] = sorted(c["verify_ms"] for c in checks)[2]
        row["steps"] = row.pop("tokens")
        return row


def shares(row: Row) -> Dict[str, float]:
    """Of each phase the share of the whole time; `run` has what no stage claims."""
    part = dict.fromkeys(PHASES, 0.0)
    for name, ms in row["phases"].items():
        if name != "weights":
            part[COUNTS_AS.get(name, name)] += ms
    part["run"] += own_ms(row) - sum(part.values())
    return {name: ms / own_ms(row) for name, ms in part.items()}


def own_ms(row: Row) -> float:
    """Without the commitment to the weights, which a key keeps."""
    return row["prove_ms"] - row["phases"].get("weights", 0.0)


def line(cells: List[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def table(rows: List[Row], first: str) -> List[str]:
    head = [first, "limbs", "prove, s", "peak, GB", "proof, bytes", "verify, ms",
            *("%s, %%" % name for name in PHASES)]
    out = [line(head), line(["---"] * len(head))]
    for row in rows:
        share = shares(row)
        name = str(row["steps"]) if first == "steps" else "%s, %d steps" % (row["model"],
                                                                            row["steps"])
        out.append(line([name, "2^%d" % row["log2_trace"], "%.2f" % (own_ms(row) / 1e3),
                         "%.2f" % (row["peak_rss_bytes"] / 1e9), "{:,}".format(row["proof_bytes"]),
                         "%.1f" % row["verify_ms"],
                         *("%.0f" % (100 * share[name]) for name in PHASES)]))
    return out


def keys(rows: List[Row]) -> List[str]:
    head = ["", "parameters", "verifier's key, bytes", "made in, s", "prover's key, bytes",
            "made in, s"]
    out = [line(head), line(["---"] * len(head))]
    for row in rows:
        prover = ["-", "-"]
        if "prover_key_bytes" in row:
            prover = ["{:,}".format(row["prover_key_bytes"]),
                      "%.2f" % (row["prover_key_ms"] / 1e3)]
        out.append(line([row["model"], "{:,}".format(row["parameters"]),
                         "{:,}".format(row["key_bytes"]), "%.2f" % (row["key_ms"] / 1e3),
                         *prover]))
    return out


def write_document(path: str, text: str) -> None:
    with open(path, encoding="utf-8") as file:
        old = file.read()
    if old.count(BEGIN) != 1 or old.count(END) != 1:
        sys.exit("%s: the marks %s and %s are not there once" % (path, BEGIN, END))
    before, after = old.split(BEGIN)[0], old.split(END)[1]
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + "\n\n" + text + "\n\n" + END + after)


def plot(path: str, by_steps: List[Row], by_size: List[Row]) -> None:
    """Columns: steps or parameters, seconds of all, then of each phase, one on the other."""
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for name, rows, x in (("steps", by_steps, "steps"), ("size", by_size, "parameters")):
            names.append(os.path.join(folder, name))
            with open(names[-1], "w", encoding="ascii") as file:
                for row in sorted(rows, key=lambda r: r[x]):
                    seconds, share, upto, columns = own_ms(row) / 1e3, shares(row), 0.0, []
                    for phase in PHASES:
                        upto += seconds * share[phase]
                        columns.append("%.6f" % upto)
                    print(row[x], "%.6f" % seconds, *columns, file=file)
        values = "steps='%s'; size='%s'; out='%s'; phases='%s'; model='%s'" % (
            names[0], names[1], path, " ".join(PHASES), by_steps[0]["model"])
        call(["gnuplot", "-e", values, os.path.join(HERE, "proofs.gp")])


def parse(arguments: List[str]) -> argparse.Namespace:
    p = argparse.ArgumentParser(usage=(__doc__ or "").split("usage: ")[1].split("\n\n")[0])
    p.add_argument("tool")
    p.add_argument("--steps", default=STEPS)
    p.add_argument("--steps-model", default="mi-1m")
    p.add_argument("--models", default=MODELS)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--folder")
    p.add_argument("--no-prover-key", action="store_true")
    p.add_argument("--results")
    p.add_argument("--reuse", action="store_true")
    p.add_argument("--document")
    p.add_argument("--plot")
    args = p.parse_args(arguments)
    if args.runs < 1 or (args.reuse and not args.results):
        p.error("--runs is at least 1, and --reuse needs --results")
    return args


def measure(args: argparse.Namespace, folder: str) -> Dict[str, List[Row]]:
    bench = Bench(args.tool, folder, args.runs, not args.no_prover_key)
    pairs: List[Tuple[str, int]] = []
    for name in args.models.split(","):
        model, _, steps = name.partition(":")
        pairs.append((model, int(steps or "1")))
    return {"steps": [bench.prove(args.steps_model, int(n)) for n in args.steps.split(",")],
            "size": [bench.prove(*pair) for pair in pairs]}


def main(arguments: List[str]) -> int:
    args = parse(arguments)
    if args.reuse:
        with open(args.results, encoding="ascii") as file:
            rows = json.load(file)
    elif args.folder:
        rows = measure(args, args.folder)
    else:
        with tempfile.TemporaryDirectory() as folder:
            rows = measure(args, folder)
    if args.results and not args.reuse:
        with open(args.results, "w", encoding="ascii") as file:
            json.dump(rows, file, indent=1)
    text = "\n".join(["By steps, %s:" % rows["steps"][0]["model"], "", *table(rows["steps"],
                                                                               "steps"),
                      "", "By the size of the model:", "", *table(rows["size"], "model"),
                      "", "Keys:", "", *keys(rows["size"])])
    if args.document:
        write_document(args.document, text)
    else:
        print(text)
    if args.plot:
        plot(args.plot, rows["steps"], rows["size"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
