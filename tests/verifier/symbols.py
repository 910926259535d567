#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What is in libmambaint-verify.a: the functions of its list and what they need, which is libc and
libsodium's hash; nothing that runs, trains, reads models or starts threads.

Usage: symbols.py ARCHIVE INTERNAL_LIBRARY EXPORTS
"""
import re
import shutil
import subprocess
import sys

# Parts of the library by their objects, and what of them a stand-in of the same name replaces.
AWAY = re.compile(r"(lib_(exec|sample|train|convert|container|model|tokenizer)_|lib_base_(pool|team|"
                  r"cores|file)|lib_api_(model|session|step|feed|state|trainer|proof_run|proof_tokens)|"
                  r"/train/|(^|/)cpu|libmambaint-(avx|vnni|neon|train))")
STAND_INS = {"mbi_parallel_for", "mbi_pool_create", "mbi_pool_free", "mbi_pool_threads",
             "mbi_usable_cores"}
LIBC = re.compile(r"(_GLOBAL_OFFSET_TABLE_|__(assert_fail|errno_location|stack_chk_fail|tls_get_addr|"
                  r"\w+_chk)|explicit_bzero|_*(mem|bcmp|str|v?sn?printf|malloc|calloc|realloc|free|abort)\w*)$")
HASH = re.compile(r"(sodium_init|crypto_generichash_blake2b\w*)$")


def names(path, kinds):
    """(object, symbol) of these kinds"""
    out = subprocess.run(["nm", "-A", path], capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        where, _, rest = line.rpartition(":")
        words = rest.split()
        if len(words) >= 2 and words[-2] in kinds:
            yield where, words[-1]


def main(archive, internal, exports):
    if not shutil.which("nm"):
        sys.exit(77)
    with open(exports, encoding="ascii") as f:
        want = f.read().split()
    got = sorted(name for _, name in names(archive, "TDRBVW"))
    if got != sorted(want) or want != sorted(want):
        sys.exit(f"exported: {set(got) ^ set(want)}, or the list is not sorted")
    needs = {name for _, name in names(archive, "Uw")}
    odd = sorted(n for n in needs if not LIBC.match(n) and not HASH.match(n))
    if odd:
        sys.exit(f"it needs what is neither libc's nor libsodium's hash: {odd}")
    away = {name for where, name in names(internal, "TDRB") if AWAY.search(where)} - STAND_INS
    mine = {name.split(".")[0] for _, name in names(archive, "TDRBtdrb")}
    if len(away) < 100 or not {"mbi_program_create", "mbi_team_init", "mambaint_session_next"} <= away:
        sys.exit("this test no longer sees what it looks for")
    if mine & away:
        sys.exit(f"it holds what does not verify: {sorted(mine & away)}")
    kernels = sorted(n for n in mine if n.endswith("_eval"))
    if kernels:
        sys.exit(f"it holds kernels: {kernels}")


main(*sys.argv[1:])
