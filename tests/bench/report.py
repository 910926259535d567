#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tables and the plot of docs/performance.md: models of random weights, measured by `bench`.

usage: report.py TOOL [--models mi-10m,...] [--large] [--backends NAME,...] [--threads N,...]
                 [--tokens N] [--prompt-tokens N,...] [--batch N,...]
                 [--results FILE] [--reuse] [--document FILE] [--plot FILE]

Makes the models in a temporary folder, one at a time, and writes the tables to standard output, or
with --document between the marks of that file. --results keeps what was measured as JSON; with
--reuse nothing is measured and that file is read. --plot needs gnuplot. Run it on a quiet machine.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from typing import Any, Dict, List, Optional, Tuple

HERE = os.path.dirname(os.path.abspath(__file__))
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
WEIGHTS = ("int8", "ternary")
SMALL = "mi-10m,mi-91m,mi-130m"
LARGE = "mi-1b,mi-2.8b"
SLOW = "scalar"  # the reference is measured on the first model alone
CHUNK = 64  # tokens of a prompt for which a pass over the weights serves

# Other engines, tokens per processor second of one thread, from docs/performance.md: what they were
# measured as, the decode and prefill figures, and the least ratio that is aimed at.
PEERS: Dict[Tuple[str, str], Tuple[str, Optional[float], Optional[float], float]] = {
    ("mi-10m", "int8"): ("llama.cpp, Mamba-1 10M, Q8_0", 616, 881, 2.0),
    ("mi-10m", "ternary"): ("llama.cpp, Mamba-1 10M, TQ2_0", 683, 822, 2.0),
    ("mi-91m", "int8"): ("llama.cpp, Mamba-2 91M, Q8_0", 136, 411, 2.0),
    ("mi-91m", "ternary"): ("llama.cpp, Mamba-2 91M, TQ2_0", 273, 400, 2.0),
    ("mi-130m", "int8"): ("llama.cpp, Mamba-2 130M, Q8_0", 90, 336, 2.0),
    ("mi-130m", "ternary"): ("llama.cpp, Mamba-2 130M, TQ2_0", 175, 366, 2.0),
    ("mi-1b", "ternary"): ("bitmamba.c, BitMamba-2 1B", 19.9, 43.3, 2.0),
    ("mi-2.8b", "int8"): ("llama.cpp, Mamba-1 2.8B, Q8_0", 4.73, 11.0, 1.8),
    ("mi-2.8b", "ternary"): ("llama.cpp, Mamba-1 2.8B, TQ2_0", 11.2, 11.6, 2.0),
}
PREFILL_AIM = 3.0
# The limits of the machine that they ran on, as these loops give them there.
THEIR_READ = 28e9
THEIR_PEAKS = {"avx512": (113e9, 230e9), "avx2": (74e9, 94e9)}  # matvec, matmul

Result = Dict[str, Any]


def fail(text: str) -> None:
    sys.exit("report.py: " + text)


# ---- measuring ----


def call(arguments: List[str]) -> str:
    done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False,
                          encoding="utf-8")
    if done.returncode != 0:
        fail("%s: status %d" % (" ".join(arguments), done.returncode))
    return done.stdout


def backends_here(tool: str, model: str) -> List[str]:
    """Those that run on this machine, the reference first."""
    found = []
    for name in ("scalar", "avx2", "avx512"):
        done = subprocess.run([tool, "generate", "-m", model, "-p", "a", "-n", "1", "--backend",
                               name], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False)
        if done.returncode == 0:
            found.append(name)
    return found


def measure(options: argparse.Namespace, model: str, path: str, backend: str) -> Result:
    tokens = options.tokens if model not in LARGE.split(",") else min(options.tokens, 32)
    prompts = options.prompt_tokens if model != "mi-2.8b" else "64"
    print("%s on %s" % (os.path.basename(path), backend), file=sys.stderr)
    command = [options.tool, "bench", "-m", path, "--json", "--backend", backend,
               "--threads", options.threads, "-n", str(tokens), "--prompt-tokens", prompts]
    if options.batch and model not in LARGE.split(","):
        command += ["--batch", options.batch]
    return json.loads(call(command))


def measure_all(options: argparse.Namespace) -> List[Result]:
    results = []
    models = options.models.split(",") + (LARGE.split(",") if options.large else [])
    with tempfile.TemporaryDirectory(prefix="mambaint-report-") as folder:
        for model in models:
            for weights in WEIGHTS:
                preset = model + ("-ternary" if weights == "ternary" else "")
                path = os.path.join(folder, preset + ".gguf")
                call([options.tool, "synth", "--preset", preset, "--out", path])
                for backend in options.backends or backends_here(options.tool, path):
                    if backend == SLOW and model != models[0]:
                        continue
                    result = measure(options, model, path, backend)
                    results.append(dict(result, model=model, weights=weights))
                os.remove(path)
    return results


def processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return "unknown"


# ---- what was measured ----


def find_run(result: Result, name: str, threads: int) -> Optional[Result]:
    """`name` may be the beginning of several: then the last, which has the longest prompt."""
    found = [run for run in result["runs"]
             if run["threads"] == threads and (run["name"] + " ").startswith(name + " ")]
    return found[-1] if found else None


def setting_of(result: Result, threads: int) -> Result:
    return next(s for s in result["settings"] if s["threads"] == threads)


def rank(backend: str) -> int:
    return ("scalar", "avx2", "avx512").index(backend)


def machines(results: List[Result]) -> List[Tuple[str, int, Result]]:
    """The limits for every backend and number of threads: the best that any run has seen."""
    best: Dict[Tuple[str, int], Result] = {}
    for result in results:
        for setting in result["settings"]:
            seen = best.setdefault((result["backend"], setting["threads"]), {})
            for key in ("read_bandwidth_bytes_per_s", "matvec_mac_per_s", "matmul_mac_per_s"):
                seen[key] = max(seen.get(key, 0), setting[key])
    return [(key[0], key[1], best[key]) for key in sorted(best, key=lambda k: (rank(k[0]), k[1]))]


# ---- tables ----


def number(value: float) -> str:
    return "%.0f" % value if value >= 100 else "%.1f" % value if value >= 10 else "%.2f" % value


def share(value: Optional[float]) -> str:
    return "-" if value is None else "%.0f %%" % (100 * value)


def table(heads: List[str], rows: List[List[str]]) -> List[str]:
    """The first two columns are words, the others numbers."""
    marks = ["---" if i < 2 else "---:" for i in range(len(heads))]
    return ["| " + " | ".join(row) + " |" for row in [heads, marks] + rows] + [""]


def machine_table(results: List[Result]) -> List[str]:
    rows = [[backend, str(threads), number(m["read_bandwidth_bytes_per_s"] / 1e9),
             number(m["matvec_mac_per_s"] / 1e9), number(m["matmul_mac_per_s"] / 1e9)]
            for backend, threads, m in machines(results)]
    return table(["backend", "threads", "read GB/s", "matvec GMAC/s a thread",
                  "matmul GMAC/s a thread"], rows)


def speed_table(results: List[Result], name: str, key: str) -> List[str]:
    rows = []
    for result in results:
        for setting in result["settings"]:
            run = find_run(result, name, setting["threads"])
            if run:
                rows.append(["%s %s" % (result["model"], result["weights"]), result["backend"],
                             str(setting["threads"]), number(run["tokens_per_s"]),
                             "%s..%s" % (number(run["tokens_per_s_lowest"]),
                                         number(run["tokens_per_s_highest"])),
                             number(run["tokens_per_cpu_s"]), share(run.get(key)),
                             share(run.get("mac_share"))])
    heads = ["model", "backend", "threads", "tokens/s", "lowest..highest", "per processor second",
             "share of reading", "share of arithmetic"]
    if key == "mac_share":
        heads.pop(6)
        rows = [row[:6] + row[7:] for row in rows]
    return table(heads, rows)


def load_table(results: List[Result]) -> List[str]:
    rows = []
    for result in results:
        setting = result["settings"][0]
        mib = {key: "%.1f" % (setting[key] / 1048576) if key in setting else "-"
               for key in ("rss_anonymous_bytes", "huge_page_bytes", "rss_file_bytes",
                           "peak_rss_bytes")}
        rows.append(["%s %s" % (result["model"], result["weights"]), result["backend"],
                     "%.1f" % setting["load_ms"], "%.1f" % setting["open_ms"],
                     "%.1f" % setting["session_ms"], mib["rss_anonymous_bytes"],
                     mib["huge_page_bytes"], mib["rss_file_bytes"], mib["peak_rss_bytes"]])
    return table(["model", "backend", "load ms", "open ms", "first session ms", "own MiB",
                  "in huge pages", "of the file", "peak"], rows)


def best_of(results: List[Result], model: str, weights: str) -> Optional[Result]:
    found = [r for r in results if (r["model"], r["weights"]) == (model, weights)]
    return max(found, key=lambda r: rank(r["backend"])) if found else None


def peer_row(results: List[Result], what: str, key: Tuple[str, str]) -> Optional[List[str]]:
    """The peer's figure, scaled by the limit that counts in our run, against ours; one thread."""
    result = best_of(results, *key)
    name, decode, prefill, aim = PEERS[key]
    peer = decode if what == "decode" else prefill
    run = find_run(result, what, 1) if result else None
    if not result or not run or not peer or result["backend"] not in THEIR_PEAKS:
        return None
    here = setting_of(result, 1)
    matvec, matmul = THEIR_PEAKS[result["backend"]]
    if what == "prefill":
        factor, aim = here["matmul_mac_per_s"] / matmul, PREFILL_AIM
    elif key[1] == "int8":
        factor = here["read_bandwidth_bytes_per_s"] / THEIR_READ
    else:
        factor = here["matvec_mac_per_s"] / matvec
    ratio = run["tokens_per_cpu_s"] / (peer * factor)
    return ["%s %s, %s" % (key[0], key[1], run["name"]), name, number(peer), number(peer * factor),
            number(run["tokens_per_cpu_s"]), "%.2f" % ratio, "%.1f" % aim,
            "yes" if ratio >= aim else "no"]


def peer_table(results: List[Result]) -> List[str]:
    rows = [peer_row(results, what, key) for what in ("decode", "prefill") for key in PEERS]
    return table(["model", "peer", "there", "scaled to here", "ours", "ratio", "aim", "reached"],
                 [row for row in rows if row])


def tables(report: Result, plot: Optional[str]) -> str:
    results = report["results"]
    lines = ["Processor: %s. Made by `tests/bench/report.py`." % report["processor"], "",
             "### The machine", ""] + machine_table(results)
    lines += ["### Decode", ""] + speed_table(results, "decode", "read_share")
    lines += ["### Prefill of the longest prompt", ""]
    lines += speed_table(results, "prefill", "mac_share")
    batches = sorted({r["name"] for result in results for r in result["runs"]
                      if r["name"].startswith("batch ")}, key=lambda n: int(n.split()[1]))
    for name in batches:
        lines += ["### %s texts together" % name.split()[1], ""]
        lines += speed_table(results, name, "read_share")
    lines += ["### Load and memory, %d thread" % results[0]["settings"][0]["threads"], ""]
    lines += load_table(results)
    if peer_table(results)[2:-1]:
        lines += ["### Against others, one thread, tokens per processor second", ""]
        lines += peer_table(results)
    if plot:
        lines += ["![Roofline of one thread](%s)" % plot, ""]
    return "\n".join(lines)


def put_into(path: str, text: str) -> None:
    with open(path, encoding="utf-8") as file:
        old = file.read()
    if BEGIN not in old or END not in old:
        fail("%s has no marks to write between" % path)
    before, rest = old.split(BEGIN, 1)
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + BEGIN + "\n\n" + text + "\n" + END + rest.split(END, 1)[1])


# ---- the plot ----


def points(results: List[Result], kind: str) -> List[str]:
    """Lines: multiply-adds per byte of weights, 1e9 multiply-adds a second, a label."""
    lines = []
    for key in {(r["model"], r["weights"]): 0 for r in results}:
        result = best_of(results, *key)
        assert result
        longest = find_run(result, "prefill", 1)
        for run in result["runs"]:
            word, _, size = run["name"].partition(" ")
            if word != kind or run["threads"] != 1 or (kind == "prefill" and run is not longest):
                continue
            macs = result["macs_per_token"]
            passes = 1
            if kind == "prefill":
                macs += result["head_macs"] / int(size) - result["head_macs"]
                passes = min(int(size), CHUNK)
            elif kind == "batch":
                passes = int(size)
            lines.append('%g %g "%s %s"' % (passes * macs / result["bytes_per_token"],
                                            macs * run["tokens_per_s"] / 1e9, *key))
    return lines


def draw(report: Result, path: str) -> None:
    results = report["results"]
    best = [m for m in machines(results) if m[1] == 1]
    if not best:
        fail("nothing was measured with one thread, so there is nothing to draw")
    backend, _, limits = best[-1]
    with tempfile.TemporaryDirectory(prefix="mambaint-report-") as folder:
        for kind in ("decode", "batch", "prefill"):
            with open(os.path.join(folder, kind), "w", encoding="utf-8") as file:
                file.write("\n".join(points(results, kind)) + "\n")
        values = "folder='%s'; out='%s'; backend='%s'; read=%g; matvec=%g; matmul=%g" % (
            folder, os.path.abspath(path), backend, limits["read_bandwidth_bytes_per_s"] / 1e9,
            limits["matvec_mac_per_s"] / 1e9, limits["matmul_mac_per_s"] / 1e9)
        call(["gnuplot", "-e", values, os.path.join(HERE, "roofline.gp")])


# ---- the command ----


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tool")
    parser.add_argument("--models", default=SMALL)
    parser.add_argument("--large", action="store_true", help="also " + LARGE)
    parser.add_argument("--backends", type=lambda text: text.split(","))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--prompt-tokens", default="64,512")
    parser.add_argument("--batch", default="4,16")
    parser.add_argument("--results")
    parser.add_argument("--reuse", action="store_true")
    parser.add_argument("--document")
    parser.add_argument("--plot")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if options.reuse:
        if not options.results:
            fail("--reuse needs --results")
        with open(options.results, encoding="utf-8") as file:
            report = json.load(file)
    else:
        report = {"processor": processor(), "results": measure_all(options)}
        if options.results:
            with open(options.results, "w", encoding="utf-8") as file:
                json.dump(report, file, indent=1)
    plot = None
    if options.plot:
        draw(report, options.plot)
        plot = os.path.relpath(options.plot, os.path.dirname(options.document or options.plot) or ".")
    text = tables(report, plot)
    if options.document:
        put_into(options.document, text)
    else:
        print(text)


main()
