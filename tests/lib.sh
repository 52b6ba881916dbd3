# SPDX-License-Identifier: Apache-2.0
# What integration scripts share; each starts with `. "$LAYERFS_TESTS/lib.sh"`.
#
# A script checks with `check`, `is`, `like`, `fails`; one that meets a surprise dies, which the
# runner counts. tests/run gives: T (an empty directory), LAYERFS_STORE (in it, not there yet),
# BUILD, LAYERFS_TESTS, LAYERFS_ROOT, LAYERFS_CORPUS (an OCI layout, for scripts that need it), LONG
# and SANITIZE ("" or a word). All processes and mounts of a script vanish with its namespaces, so
# nothing here cleans up but for what lies outside of them (`defer`).
# shellcheck shell=bash
set -euo pipefail
: "${T:?run it by tests/run}"
GEN=$LAYERFS_TESTS/generators
POINTS=0 DEFERRED=()

run_deferred() {
    local rc=$? i
    for ((i = ${#DEFERRED[@]} - 1; i >= 0; i--)); do eval "${DEFERRED[i]}" || true; done
    if [ $rc = 0 ] && [ "$POINTS" = 0 ]; then rc=99; fi
    exit $rc
}
trap run_deferred EXIT
trap 'echo "# ${BASH_SOURCE[0]##*/}:$LINENO: failed: $BASH_COMMAND" >&2' ERR

# defer COMMAND: at the end, last one first.
defer() { DEFERRED+=("$1"); }

ok() { POINTS=$((POINTS + 1)); echo "ok - $1"; }

# not_ok NAME [DETAIL]: the script goes on.
not_ok() {
    POINTS=$((POINTS + 1))
    echo "not ok - $1"
    if [ $# -gt 1 ]; then sed 's/^/#   /' <<<"$2"; fi
}

skip() { POINTS=$((POINTS + 1)); echo "skip - $1 ($2)"; }

# need COMMAND…: what is not installed is a failure, not a reason to skip.
need() {
    local c
    for c; do
        command -v "$c" >/dev/null || { echo "# $c is not installed (tests/packages)" >&2; exit 1; }
    done
}

# check NAME COMMAND…: it must succeed; its output shows only when it does not.
check() {
    local name=$1 out rc=0
    shift
    out=$("$@" 2>&1) || rc=$?
    if [ $rc = 0 ]; then ok "$name"; else not_ok "$name" "exit status $rc of: $*"$'\n'"$out"; fi
}

# refute NAME COMMAND…: it must fail.
refute() {
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then not_ok "$name" "succeeded: $*"$'\n'"$out"; else ok "$name"; fi
}

# is NAME GOT WANTED
is() {
    if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "got:    $2"$'\n'"wanted: $3"; fi
}

# like NAME GOT REGEX (extended)
like() {
    if [[ $2 =~ $3 ]]; then ok "$1"; else not_ok "$1" "got: $2"$'\n'"wanted: /$3/"; fi
}

# at_most NAME GOT LIMIT: whole numbers.
at_most() {
    if [ "$2" -le "$3" ]; then ok "$1 ($2 <= $3)"; else not_ok "$1" "got $2, more than $3"; fi
}

# same NAME FILE FILE: equal files; the first differences show.
same() {
    local out
    if out=$(diff -a "$2" "$3" | head -n 20) && [ -z "$out" ]; then
        ok "$1"
    else
        not_ok "$1" "< ${2##*/}"$'\n'"> ${3##*/}"$'\n'"$out"
    fi
}

# fails NAME CODES REGEX COMMAND…: it must end with one of the exit codes ("4" or "1|4"), having
# written exactly one line to stderr, which starts with "layerfs: " and matches.
fails() {
    local name=$1 codes=$2 regex=$3 rc=0 err lines
    shift 3
    "$@" >"$T/.out" 2>"$T/.err" </dev/null || rc=$?
    err=$(<"$T/.err") lines=$(wc -l <"$T/.err")
    if ! [[ $rc =~ ^($codes)$ ]]; then
        not_ok "$name" "exit status $rc, wanted $codes: $*"$'\n'"$err"
    elif [ "$lines" != 1 ] || [[ $err != 'layerfs: '* ]] || ! [[ $err =~ $regex ]]; then
        not_ok "$name" "wanted one line like /$regex/, got $lines:"$'\n'"$err"
    else
        ok "$name"
    fi
}

# wait_until SECONDS COMMAND…: until it succeeds; fails when the time is over.
wait_until() {
    local scale=1 end
    [ -z "$SANITIZE" ] || scale=4
    end=$((SECONDS + $1 * scale))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -le "$end" ] || { echo "# waited in vain for: $*" >&2; return 1; }
        sleep 0.02
    done
}

gone() { [ ! -d "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; }
mounted() { mountpoint -q "$1"; }
not_mounted() { ! mountpoint -q "$1"; }
# Of this test: a namespace starts with the mounts of the machine.
fuse_mounts() {
    awk -v t="$T/" '/ - fuse\.layerfs / && (index($5, t) == 1 || index($5, "/run/") == 1)' \
        /proc/self/mountinfo | wc -l
}

# daemons: pids of all layerfs processes of this test.
daemons() {
    local p
    for p in /proc/[0-9]*; do
        if [ "$(readlink "$p/exe")" = "$(realpath "$BUILD/tools/layerfs")" ] && ! gone "${p#/proc/}"; then
            echo "${p#/proc/}"
        fi
    done 2>/dev/null
    return 0
}

no_daemons() { [ -z "$(daemons)" ]; }

# stats MNT JQ: one value of `layerfs stats --json`.
stats() { layerfs stats --json "$1" | jq -r "(if type == \"array\" then .[0] else . end) | $2"; }
requests() { stats "$1" .total_requests; }
daemon_of() { stats "$1" .pid; }

# cacheable_requests MNT: all but those of which the kernel knows no cache: find asks for the type of
# the file system once, and python whether each file is a terminal.
cacheable_requests() { stats "$1" '.requests | del(.STATFS, .IOCTL) | add'; }

# free MNT NAME COMMAND…: it costs no request. The kernel may take cached pages back at any moment, also
# where nobody drops caches, and asks for those again: so what must be found is one round without any
# request; a handler that is asked each time has none.
free() {
    local mnt=$1 name=$2 before more=() _
    shift 2
    for _ in 1 2 3 4 5 6 7 8; do
        before=$(cacheable_requests "$mnt")
        "$@" >/dev/null
        more+=("$(($(cacheable_requests "$mnt") - before))")
        if [ "${more[-1]}" = 0 ]; then
            ok "$name"
            return
        fi
    done
    not_ok "$name" "requests in each round: ${more[*]}: $(stats "$mnt" '.requests | tostring')"
}

# can FEATURE: whether the build and this kernel have passthrough or io_uring.
can() {
    layerfs --version | grep '^libfuse' | grep -q "$1" || return
    [ "$1" != io_uring ] || [ -e /sys/module/fuse/parameters/enable_uring ]
}
data_modes() { if can passthrough; then echo cached passthrough; else echo cached; fi; }

# mount_image IMAGE MNT [OPTION…]
mount_image() {
    local image=$1 mnt=$2
    shift 2
    mkdir -p "$mnt"
    layerfs mount "$@" "$image" "$mnt"
}

# dump DIR FILE [treedump option…]: all that can be seen of a tree, one line a name, sorted.
dump() {
    local dir=$1 file=$2
    shift 2
    "$BUILD/tests/treedump" "$@" "$dir" >"$file"
}

# listing DIR: names, sizes and digests below a store, but for what is not part of its state.
listing() {
    (cd "$1" && find . \( -path ./tmp -o -path ./partial -o -path ./locks -o -path ./mounts \) -prune -o \
        -type f -printf '%p %s ' -exec sh -c 'sha256sum <"$1"' - {} \; -o -printf '%p %y\n') | sort
}

# unchanged NAME: store and mounts are as `remember` saw them, and tmp/ holds nothing.
remember() { listing "$LAYERFS_STORE" >"$T/.before"; }
unchanged() {
    listing "$LAYERFS_STORE" >"$T/.after"
    if ! cmp -s "$T/.before" "$T/.after"; then
        not_ok "$1: the store is as it was" "$(diff "$T/.before" "$T/.after" | head -n 20)"
    elif [ -n "$(ls -A "$LAYERFS_STORE/tmp" 2>/dev/null)" ]; then
        not_ok "$1: the store is as it was" "left in tmp/: $(ls -A "$LAYERFS_STORE/tmp")"
    elif [ "$(fuse_mounts)" != "${MOUNTS:-0}" ] || [ -n "$(daemons)" ]; then
        not_ok "$1: no mount is left" "$(grep "fuse.*$T" /proc/self/mountinfo) processes: $(daemons)"
    else
        ok "$1: store as it was, no mount left"
    fi
}

drop_caches() { sync && echo 3 >/proc/sys/vm/drop_caches; }

# as_user COMMAND…: as a user without any privilege or account.
USER_ID=12345
as_user() { setpriv --reuid $USER_ID --regid $USER_ID --clear-groups "$@"; }

# pod …: podman with a storage of the test's own.
pod() {
    podman --root "$T/pod" --runroot /run/pod --tmpdir /run/podtmp --storage-driver vfs \
        --cgroup-manager cgroupfs "$@"
}

# busybox_dir DIR: a small root file system that runs.
busybox_dir() {
    local d=$1 a
    mkdir -p "$d"/{bin,etc,proc,sys,dev,tmp,root,var/log}
    chmod 1777 "$d/tmp"
    cp /bin/busybox "$d/bin/"
    for a in sh ls cat echo id true stat find sha256sum mkdir rm mv ln sleep; do
        ln -sf busybox "$d/bin/$a"
    done
    echo root:x:0:0:root:/root:/bin/sh >"$d/etc/passwd"
    echo root:x:0: >"$d/etc/group"
    echo layerfs >"$d/etc/hostname"
}
