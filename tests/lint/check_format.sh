#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Layout as .clang-format says; skipped where the program is missing.
# Usage: check_format.sh SOURCE_ROOT
set -u
cd "$1" || exit 1
command -v clang-format >/dev/null || exit 77

# Many files a process, each of which is named once.
find include lib cpu cuda examples tests -name '*.[ch]' 2>/dev/null | sort |
    xargs clang-format --dry-run 2>&1 |
    sed -n 's/^\([^: ]*\):[0-9]*:[0-9]*: .*/clang-format -i \1/p' | uniq |
    if grep .; then exit 1; else exit 0; fi
