#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# No variable at file scope: the library's objects have no writable data. One has: lib/exec/registry.c
# knows the shared objects that the process has loaded, which is a list of the process; a few words.
# Usage: check_no_globals.sh ARCHIVE
set -u
command -v objdump >/dev/null || exit 77

objdump -h "$1" | awk '
    / file format / { member = $1; files++ }
    member ~ /exec_registry\.c\.o:$/ && $2 ~ /^\.bss/ && $3 ~ /^0+[0-7]?[0-9a-f]$/ { next }
    $2 ~ /^\.(data|bss|tdata|tbss)/ && $2 !~ /^\.data\.rel\.ro/ && $3 !~ /^0+$/ {
        print member " " $2 " " $3 " bytes"
        bad = 1
    }
    END { exit bad || !files }'
