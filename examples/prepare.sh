# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# Read by examples/chat.sh and tests/run.sh: install what is missing, configure, build. Everything
# it prints goes to standard error and nothing reads standard input.

# install_missing NAME-OF-THE-COMMAND PACKAGE...: through apt where there is one, else say what to do.
install_missing() {
    for_what=$1
    shift
    if ! command -v apt-get >/dev/null; then
        echo "$for_what: install these (or what your system calls them), then try again: $*"
        return 1
    fi
    as_root=
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "$for_what: as root, run: apt-get install $*"
            return 1
        fi
        as_root=sudo
    fi
    echo "$for_what: installing $*"
    $as_root apt-get -q update ||
        echo "$for_what: apt-get update failed; trying with the package lists as they are"
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 \
        install --no-install-recommends "$@"
} </dev/null >&2

# compiler_works: there is a C compiler with the C library's headers, by one of the names meson tries.
compiler_works() {
    trial=$(mktemp -d) || return 1
    printf '#include <stdio.h>\nint main(void) { return 0; }\n' >"$trial/a.c"
    works=1
    for compiler in "${CC:-cc}" ${CC:-gcc clang}; do
        # shellcheck disable=SC2086 # CC may carry arguments
        $compiler -o "$trial/a" "$trial/a.c" 2>/dev/null && works=0 && break
    done
    rm -rf "$trial"
    return $works
}

# missing_tools: the packages of the programs that every build needs and this machine lacks.
missing_tools() {
    compiler_works || echo gcc libc6-dev
    command -v meson >/dev/null || echo meson
    command -v ninja >/dev/null || echo ninja-build
    command -v pkg-config >/dev/null || echo pkg-config
}

# configure FOLDER [MESON-ARGUMENT...]: set up a build folder that does not exist yet. CUDA code is made
# for this machine's GPU alone; without one for a single kind, which shows that it compiles.
configure() {
    folder=$1
    shift
    gpu=$(nvidia-smi -i 0 --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | tr -d .)
    [ -f "$folder/build.ninja" ] || meson setup "-Dgpu_arch=${gpu:-90}" "$@" "$folder" "$root"
} </dev/null >&2

# build FOLDER [TARGET...]: bring it up to date; silent when it is, unless something fails.
build() {
    folder=$1
    shift
    if ninja -C "$folder" -n "$@" 2>/dev/null | grep -q 'no work to do'; then
        return 0
    fi
    ninja -C "$folder" "$@"
} </dev/null >&2
