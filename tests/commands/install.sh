#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# chat.sh and run.sh on machines that lack something, played with stand-ins for the system's
# programs: what they would install, what they say where they cannot, and how run.sh counts.
# Usage: install.sh SOURCE_ROOT
set -u
source=$1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
failed=0

# machine NAME...: an empty machine with the basic programs and the named stand-ins.
machine() {
    rm -rf "${work:?}/bin" "${work:?}/tree" "${work:?}/log"
    mkdir -p "$work/bin" "$work/tree/examples/models" "$work/tree/tests"
    cp "$source/examples/chat.sh" "$source/examples/prepare.sh" "$work/tree/examples/"
    cp "$source/tests/run.sh" "$work/tree/tests/"
    for program in sh id dirname mktemp rm sed tr cat grep tee awk env chmod mkdir; do
        ln -s "$(command -v $program)" "$work/bin/$program"
    done
    for program in "$@"; do
        stand_in "$program"
    done
}

# stand_in NAME: a program that notes how it was called and does the least that is expected of it.
stand_in() {
    {
        echo "#!$work/bin/sh"
        echo "echo \"$1 \$*\" >>\"$work/log\""
        case $1 in
        apt-get) # what it installs appears
            cat <<END
case \$* in
*install*)
    for package in "\$@"; do
        case \$package in
        gcc) cp=cc ;; ninja-build) cp=ninja ;; meson | pkg-config) cp=\$package ;; *) continue ;;
        esac
        cat "$work/stand-in-\$cp" >"$work/bin/\$cp"
        chmod +x "$work/bin/\$cp"
    done
    echo "Setting up packages"
    ;;
esac
END
            ;;
        id) echo 'echo 1000' ;;
        sudo) echo '"$@"' ;;
        meson)
            cat <<END
case \$1 in
setup) mkdir -p "$work/tree/build"; echo x >"$work/tree/build/build.ninja"; echo "configuring" ;;
test) cat "$work/summary"; exit 1 ;;
esac
END
            ;;
        ninja)
            cat <<END
case "\$*" in
*' -n '*) exit 0 ;;
esac
mkdir -p "$work/tree/build/examples/cli"
printf '#!$work/bin/sh\necho "\$*"\ncat\nexit 3\n' >"$work/tree/build/examples/cli/mambaint"
chmod +x "$work/tree/build/examples/cli/mambaint"
echo "building"
END
            ;;
        esac
    } >"$work/stand-in-$1"
    cp "$work/stand-in-$1" "$work/bin/$1.new" && rm -f "$work/bin/$1" &&
        mv "$work/bin/$1.new" "$work/bin/$1" && chmod +x "$work/bin/$1"
}

# play WANTED-STATUS SCRIPT ARGUMENT...: run it on that machine with "hello" on its input.
play() {
    wanted=$1
    script=$2
    shift 2
    printf 'hello\n' | PATH=$work/bin sh "$work/tree/$script" "$@" >"$work/out" 2>"$work/err"
    status=$?
    if [ $status -ne "$wanted" ]; then
        echo "$script $* ended with $status instead of $wanted"
        cat "$work/out" "$work/err"
        failed=1
    fi
}

# expect FILE TEXT: a line of the file contains the text.
expect() {
    grep -qF -- "$2" "$work/$1" && return
    echo "$1 lacks: $2"
    cat "$work/$1"
    failed=1
}

printf 'noise\nOk:                 12  \nExpected Fail:      1   \nFail:               2   \n' \
    >"$work/summary"
printf 'Unexpected Pass:    1   \nSkipped:            3   \nTimeout:            4   \n' \
    >>"$work/summary"

# A bare Debian, root: everything is installed; the tool's status, arguments, input and output are
# passed through and nothing else is on standard output.
machine apt-get cc meson ninja pkg-config
if [ "$(id -u)" -eq 0 ]; then
    rm "$work/bin/cc" "$work/bin/meson" "$work/bin/ninja" "$work/bin/pkg-config"
    play 3 examples/chat.sh --seed 5
    expect log "install --no-install-recommends gcc libc6-dev meson ninja-build pkg-config"
    printf 'chat -m %s/tree/examples/models/storyteller.gguf --seed 5\nhello\n' "$work" >"$work/want"
    cmp -s "$work/want" "$work/out" || { echo "standard output of chat.sh:"; cat "$work/out"; failed=1; }
fi

# Not root, with sudo: through sudo. The second run installs and configures nothing.
machine apt-get cc meson ninja pkg-config id sudo
rm "$work/bin/ninja"
play 3 examples/chat.sh
expect log "sudo apt-get -q update"
expect log "sudo env DEBIAN_FRONTEND=noninteractive apt-get -q -y"
rm "$work/log"
play 3 examples/chat.sh
if grep -q -e apt-get -e sudo -e meson "$work/log"; then
    echo "the second run did too much:"
    cat "$work/log"
    failed=1
fi

# Not root, no sudo; then no apt at all: say what to install, status not 0.
machine apt-get cc meson ninja pkg-config id
rm "$work/bin/ninja"
play 1 examples/chat.sh
expect err "as root, run: apt-get install ninja-build"
machine cc meson pkg-config
play 1 examples/chat.sh
expect err "install these"
expect err "ninja-build"

# run.sh sums up what meson says.
machine apt-get cc meson ninja pkg-config
play 1 tests/run.sh
[ "$(tail -n 1 "$work/out")" = "13 passed, 7 failed, 3 skipped" ] || {
    echo "the last line of run.sh: $(tail -n 1 "$work/out")"
    failed=1
}
printf 'Ok:                 12  \nFail:               0   \nSkipped:            3   \n' \
    >"$work/summary"
play 0 tests/run.sh
[ "$(tail -n 1 "$work/out")" = "12 passed, 0 failed, 3 skipped" ] || {
    echo "the last line of run.sh: $(tail -n 1 "$work/out")"
    failed=1
}
printf 'meson broke\n' >"$work/summary"
play 1 tests/run.sh
play 2 tests/run.sh --no-such-flag
exit $failed
