# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Completion of mambaint for bash. Commands and flags are those that the tool's own help shows.

_mambaint() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local tool=${COMP_WORDS[0]} command=${COMP_WORDS[1]-} choices

    [[ $command = tokenizer || $command = proof ]] && [[ $COMP_CWORD -gt 2 ]] &&
        command="$command ${COMP_WORDS[2]}"
    case $COMP_CWORD/$command/$before in
    1/*) choices="$("$tool" --help 2>/dev/null | awk '/^  [a-z]/ { print $1 }' | sort -u) help" ;;
    2/tokenizer/*) choices='train encode decode import' ;;
    2/proof/*) choices='inspect key' ;;
    */prove/--weights) choices='committed public' ;;
    */--zk) choices='off on' ;;
    */--backend) choices='auto scalar avx2 avx512 neon cuda' ;;
    */--threads) choices=auto ;;
    */--architecture) choices='mamba-integer simple' ;;
    */--arithmetic) choices='integer float' ;;
    */--norm) choices='rms bitshift' ;;
    */--gate) choices='hard algebraic squareplus' ;;
    */--weights | */--head-weights) choices='int8 ternary' ;;
    */--hold | */--tied-head) choices='on off' ;;
    */--pre) choices='gpt-2 cl100k' ;;
    */--decay-init) choices='octaves hippo' ;;
    *)
        [[ $word = -* ]] || return
        # shellcheck disable=SC2086 # one word or two
        choices=$("$tool" $command --help 2>/dev/null | grep -o -e '^  ... --[a-z0-9-]*' |
            grep -o -e '--.*') ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$word")
}

complete -o default -F _mambaint mambaint
