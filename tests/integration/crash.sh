# SPDX-License-Identifier: Apache-2.0
# limit: 900
# Every command that writes is killed before, or fails at, each of its system calls: afterwards the
# store validates, the next run completes, and gc leaves what a run without faults leaves.
#
# A few calls, spread over all of them, unless LONG.
. "$LAYERFS_TESTS/lib.sh"
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 # leaks cannot be looked for under ptrace
need faults
each=2
[ -z "$LONG" ] || each=1000000

# A tiny image: contents in a tree, in a pack and as an object.
mkdir -p d/sub
echo tiny >d/tiny
head -c 5000 /dev/urandom >d/sub/small
head -c 100000 /dev/urandom >d/sub/large
ln -s tiny d/link
mkdir e
echo other >e/other
head -c 90000 /dev/urandom >e/large

# Stores to start from: with nothing, an image, one to be prepared, garbage.
layerfs --store s.empty create --tag x --dir e >/dev/null
layerfs --store s.empty rm x
layerfs --store s.empty gc --grace 0 >/dev/null
layerfs --store s.image create --tag base --dir e >/dev/null
cp -a s.image s.bare
rm -rf s.bare/trees/* s.bare/packs/* s.bare/objects/*
cp -a s.image s.garbage
layerfs --store s.garbage create --tag old --dir d >/dev/null
layerfs --store s.garbage rm old
layerfs --store oci create --tag tiny --dir d >/dev/null # a layout is a store

restore() {
    rm -rf store
    cp -a "s.$1" store
}
state() { # what counts: images, and everything but times
    layerfs images --json | jq -cS '[.[] | {name, digest}] | sort'
    (cd store && find blobs trees packs objects tmp leases -type f ! -name '*.verified' -exec sha256sum {} + | sort -k 2)
}
problem=''
# one START KIND N COMMAND…
one() {
    local start=$1 kind=$2 n=$3 rc=0
    shift 3
    restore "$start"
    faults "$kind" "$n" layerfs "$@" >out 2>err || rc=$?
    [ $rc != 255 ] || return 0 # threads: fewer calls than last time
    if [ $rc -gt 128 ] && [[ $kind != kill* ]]; then problem+="$kind at $n: died of it ($rc): $(<err)"$'\n'; fi
    if [ $rc != 0 ] && [ $rc -lt 128 ] && [ "$(wc -l <err)" != 1 ]; then problem+="$kind at $n: not one line: $(<err)"$'\n'; fi
    if ! layerfs validate --deep >out 2>&1; then problem+="$kind at $n: store is not valid: $(<out)"$'\n'; fi
    rc=0
    layerfs "$@" >out 2>err || rc=$?
    # What was done already cannot be done again: only rm minds.
    if [ $rc != 0 ] && [ "$1" != rm ]; then problem+="$kind at $n: the next run failed: $(<err)"$'\n'; fi
    if ! layerfs validate --deep >out 2>&1; then problem+="$kind at $n: then it is not valid: $(<out)"$'\n'; fi
    layerfs gc --grace 0 >/dev/null 2>err || problem+="$kind at $n: gc: $(<err)"$'\n'
    state >got
    cmp -s got "want" || problem+="$kind at $n: other state: $(diff want got | head -5)"$'\n'
}
# faulty NAME START COMMAND…
faulty() {
    local name=$1 start=$2 kind total step n done
    shift 2
    restore "$start"
    layerfs "$@" >/dev/null
    layerfs gc --grace 0 >/dev/null
    state >want
    for kind in kill ENOSPC EIO EMFILE ${LONG:+kill-all}; do
        restore "$start"
        total=$(faults $kind 0 layerfs "$@" 2>/dev/null | tail -n 1)
        step=$((total / each > 0 ? total / each : 1))
        problem='' done=0
        for ((n = 1 + RANDOM % step; n <= total; n += step)); do
            one "$start" $kind "$n" "$@"
            done=$((done + 1))
        done
        if [ -z "$problem" ] && [ $done -gt 0 ]; then
            ok "$name: $kind at $done of $total calls"
        else
            not_ok "$name: $kind at $done of $total calls" "$(head -c 3000 <<<"$problem")"
        fi
    done
}
RANDOM=5
faulty pull image pull --quiet "oci:$T/oci:tiny"
faulty create image create --quiet --tag tiny --dir d
faulty 'create on top' image create --quiet --tag tiny --from base --dir d
faulty prepare bare prepare --quiet base
faulty tag image tag base other
faulty rm garbage rm base
faulty gc garbage gc --grace 0
faulty 'pull into an empty store' empty pull --quiet "oci:$T/oci:tiny"
