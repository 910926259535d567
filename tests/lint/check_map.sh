#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The exported list, the public headers and, where given, the built library name the same functions.
# Usage: check_map.sh SOURCE_ROOT [LIBRARY]
set -u
case ${2-} in
'' | /*) library=${2-} ;;
*) library=$PWD/$2 ;;
esac
cd "$1" || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

sed -n 's/^[ \t]*\(mambaint_[a-z0-9_]*\);$/\1/p' lib/mambaint.map >"$work/listed"
sort -u "$work/listed" >"$work/map"

# A declaration is MAMBAINT_API, then a type, then the first name that is followed by "(".
for header in include/mambaint/*.h include/mambaint.h; do
    [ -f "$header" ] && awk -f tests/lint/strip.awk "$header"
done | grep -v '^[ 	]*#' | tr '\n' ' ' | tr ';' '\n' |
    sed -n 's/.*MAMBAINT_API[^(]*[ *]\(mambaint_[a-z0-9_]*\)(.*/\1/p' | sort -u >"$work/headers"

status=0
compare() { # compare LEFT_FILE LEFT_NAME RIGHT_FILE RIGHT_NAME
    comm -23 "$1" "$3" | sed "s|^|in $2 but not in $4: |" >"$work/difference"
    comm -13 "$1" "$3" | sed "s|^|in $4 but not in $2: |" >>"$work/difference"
    if [ -s "$work/difference" ]; then
        cat "$work/difference"
        status=1
    fi
}

cmp -s "$work/listed" "$work/map" || { echo "lib/mambaint.map is not sorted"; status=1; }
[ -s "$work/headers" ] || { echo "no declaration found in include/"; status=1; }
compare "$work/headers" "the headers" "$work/map" "lib/mambaint.map"
if [ -n "$library" ] && command -v nm >/dev/null; then
    nm -D --defined-only "$library" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' |
        sort -u >"$work/exported"
    compare "$work/headers" "the headers" "$work/exported" "the library"
fi
exit $status
