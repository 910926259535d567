#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Build everything and run every test. Installs what is missing. The last line is
# "N passed, N failed, N skipped"; the status is 0 only if nothing failed.
# Usage: tests/run.sh [--quick] [--sanitize | --verify]
#   --quick     leave the long tests out
#   --sanitize  build with the address and undefined-behaviour sanitizers, in build-asan/
#   --verify    build so that every proven interval is looked at while running, in build-verify/
set -u
root=$(cd "$(dirname "$0")/.." && pwd) || exit 1
# shellcheck source=examples/prepare.sh
. "$root/examples/prepare.sh"

folder=$root/build
options=
selection=
for argument in "$@"; do
    case $argument in
    --quick) selection="$selection --no-suite slow" ;;
    --sanitize)
        folder=$root/build-asan
        options="-Db_sanitize=address,undefined -Db_lundef=false -Doptimization=1 -Dcuda=disabled"
        selection="$selection --suite unit --suite fault --suite fuzz --suite cli" ;;
    --verify)
        folder=$root/build-verify
        options="-Dverify=true -Dcuda=disabled -Dsodium=disabled" # which proofs have no part in
        selection="$selection --suite unit --suite bitexact --suite golden" ;;
    *)
        echo "usage: tests/run.sh [--quick] [--sanitize | --verify]" >&2
        exit 2 ;;
    esac
done

# finish PASSED FAILED SKIPPED
finish() {
    echo "$1 passed, $2 failed, $3 skipped"
    [ "$2" -eq 0 ]
    exit
}

# Libraries: their tests are skipped without them, so all but check may be missing elsewhere.
missing_libraries() {
    command -v pkg-config >/dev/null || { echo "$libraries" | sed 's/[a-z0-9]*=//g'; return; }
    for pair in $libraries; do
        pkg-config --exists "${pair%%=*}" || echo "${pair#*=}"
    done
}
libraries="check=check jansson=libjansson-dev liblzma=liblzma-dev libsodium=libsodium-dev
    libutf8proc=libutf8proc-dev openblas=libopenblas-dev libedit=libedit-dev"

needed="$(missing_tools) $(missing_libraries)"
if [ -n "$(echo "$needed" | tr -d ' \n')" ]; then
    # shellcheck disable=SC2086 # words
    if ! install_missing run.sh $needed; then
        { [ -z "$(missing_tools)" ] && pkg-config --exists check; } || finish 0 1 0
    fi
    # A folder made before looks again for what has just been installed.
    [ ! -f "$folder/build.ninja" ] || meson setup --reconfigure "$folder" "$root" </dev/null >&2
fi

# shellcheck disable=SC2086 # words
configure "$folder" $options || finish 0 1 0
build "$folder" || finish 0 1 0

log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
# Limits are for what hangs, not for a slow machine.
export CK_TIMEOUT_MULTIPLIER=4
# shellcheck disable=SC2086 # words
meson test -C "$folder" --no-rebuild --print-errorlogs --timeout-multiplier 4 $selection </dev/null 2>&1 | tee "$log"

# The summary of meson; without one the run itself broke.
# shellcheck disable=SC2046 # three numbers
finish $(awk '
    /^Ok: +[0-9]+ *$/ { ok += $2; seen = 1 }
    /^Expected Fail: +[0-9]+ *$/ { ok += $3 }
    /^(Fail|Timeout): +[0-9]+ *$/ { bad += $2 }
    /^Unexpected Pass: +[0-9]+ *$/ { bad += $3 }
    /^Skipped: +[0-9]+ *$/ { skipped += $2 }
    END { print ok + 0, seen ? bad + 0 : 1, skipped + 0 }' "$log")
