#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Machine code without floating point (x86-64).
# Usage: check_no_float_code.sh registers ARCHIVE   no vector or x87 register at all
#        check_no_float_code.sh arithmetic ARCHIVE  no floating-point arithmetic outside the trainer
#                                                   and the importer; vector moves and integers pass
set -u
mode=$1
archive=$2
command -v objdump >/dev/null || exit 77
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# "file format" lines name the member; an instruction line has its mnemonic in the third field.
objdump -d --no-show-raw-insn "$archive" >"$work/code" || exit 1
awk -F '\t' -v mode="$mode" '
    / file format / {
        member = $1
        sub(/: *file format .*/, "", member)
        checked = mode == "registers" || member !~ /lib_(train|convert)_|mambaint-train/
        next
    }
    NF < 2 || !checked { next }
    {
        seen++
        split($2, word, " ")
        op = word[1]
        bad = 0
        if (op ~ /^f/) # every x87 mnemonic begins with f, and no other one does
            bad = 1
        else if (mode == "registers")
            bad = $2 ~ /%[xyz]mm|%mm[0-7]|%st/
        else if (op ~ /^v?(add|sub|mul|div|sqrt|min|max|rcp|rsqrt|hadd|hsub|addsub|dp|round|cmp[a-z]*|u?comi)(ss|sd|ps|pd)$/)
            bad = $2 ~ /%[xyz]mm/ # "cmpsd" is also a string instruction
        else if (op ~ /^v?cvt/ || op ~ /^vfn?m(add|sub)/ || op ~ /^v?(rndscale|reduce|getexp|scalef)/)
            bad = 1
        if (bad) {
            print member ": " $2
            if (++n == 20)
                exit
        }
    }
    END {
        if (!seen) {
            print "no code found"
            exit 1
        }
        print seen " instructions looked at"
        exit n > 0
    }' "$work/code"
