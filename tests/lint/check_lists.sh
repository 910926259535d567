#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every C file is listed by hand in a meson.build of its folder or of one above it.
# Usage: check_lists.sh SOURCE_ROOT
set -u
cd "$1" || exit 1

bad=$(
    find lib cpu examples tests -name '*.c' ! -path 'tests/install/*' | sort | while read -r file; do
        path=$file
        listed=
        name=${file##*/}
        case $file in # tests/meson.build lists the module that test_<module>.c tests
        tests/unit/test_*) module=${name#test_} name="'${module%.c}'" ;;
        esac
        while [ -z "$listed" ] && [ "$path" != "${path%/*}" ]; do
            path=${path%/*}
            [ -f "$path/meson.build" ] && grep -qF -- "$name" "$path/meson.build" && listed=yes
        done
        [ -n "$listed" ] || echo "$file: in no meson.build"
    done
)
[ -z "$bad" ] && exit 0
echo "$bad"
exit 1
