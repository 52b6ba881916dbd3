# SPDX-License-Identifier: Apache-2.0
# bash completion for layerfs. Commands and options are asked of the program itself.
# shellcheck shell=bash

_layerfs_commands() { "$1" --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'; }
_layerfs_options() {
    "$1" ${2:+"$2"} --help 2>/dev/null | grep -oE '^ +(-[a-z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+'
}
_layerfs_mounts() { awk '$3 == "fuse.layerfs" || $4 ~ /layerfs/ { print $2 }' /proc/mounts; }

_layerfs() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} program=$1
    local command='' i words=''
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --store) i=$((i + 1)) ;;
        -*) ;;
        *) command=${COMP_WORDS[i]}; break ;;
        esac
    done
    case $before in
    --data) words='auto cached passthrough' ;;
    --transport) words='auto uring dev' ;;
    --compress) words='gzip zstd none' ;;
    --from) words=$("$program" images --quiet 2>/dev/null) ;;
    --tls-verify) words='true false' ;;
    --store | --dir | --tar | --upper | --work | --authfile | --cert-dir | --registries-conf | --dest-digest-file) ;;
    *)
        case $command,$word in
        *,-*) words=$(_layerfs_options "$program" "$command") ;;
        ,*) words=$(_layerfs_commands "$program") ;;
        pull,*) words='docker:// oci: oci-archive: docker-archive:' ;;
        mount,* | tag,* | rm,* | inspect,* | bundle,* | prepare,* | validate,*)
            words=$("$program" images --quiet 2>/dev/null) ;;
        umount,* | stats,*) words=$(_layerfs_mounts) ;;
        esac
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    if [ "${#COMPREPLY[@]}" = 0 ]; then compopt -o default 2>/dev/null; fi
}
complete -F _layerfs layerfs
