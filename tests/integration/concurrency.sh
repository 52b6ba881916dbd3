# SPDX-License-Identifier: Apache-2.0
# limit: 900
# Eight processes pull, create, prepare, mount, remove and collect in one store at the same moment:
# no image that has a tag ever fails validation or a mount, and nothing that nobody needs stays.
#
# Each worker has tags of its own, so that it knows what they must be; layers and contents are
# shared by all, so that one worker's garbage is what another is about to need.
. "$LAYERFS_TESTS/lib.sh"
seconds=15
[ -z "$LONG" ] || seconds=300
mkdir -p d/sub e m
echo tiny >d/tiny
for i in $(seq 20); do head -c 3000 /dev/urandom >"d/sub/small$i"; done
for i in 1 2 3; do head -c 100000 /dev/urandom >"d/sub/large$i"; done
cp -a d e/copy
echo other >e/other
layerfs --store oci create --tag one --dir d >/dev/null
layerfs --store oci create --tag two --from one --dir e >/dev/null
sum() { (cd "$1" && find . -type f -exec sha256sum {} + | sort | sha256sum); }
want_d=$(sum d)
layerfs pull --quiet "oci:$T/oci:one" >/dev/null # makes the store

# say WORKER TEXT: a failure.
say() { echo "$1: $2" >>failures; }
# must WORKER COMMAND…
must() {
    local worker=$1 out
    shift
    out=$("$@" 2>&1) || say "$worker" "$*: $out"
}
until_time() { [ "$SECONDS" -lt "$seconds" ]; }
SECONDS=0

puller() {
    local w=$1 n=0
    while until_time; do
        must "$w" layerfs pull --quiet --tag "$w-a" "oci:$T/oci:one"
        must "$w" layerfs validate --deep "$w-a"
        must "$w" layerfs pull --quiet --tag "$w-b" "oci:$T/oci:two"
        must "$w" layerfs prepare "$w-b"
        must "$w" layerfs tag "$w-b" "$w-c"
        must "$w" layerfs rm "$w-b"
        must "$w" layerfs validate "$w-c"
        must "$w" layerfs rm "$w-a"
        must "$w" layerfs rm "$w-c"
        n=$((n + 1))
    done
    echo $n >"rounds.$w"
}
mounter() {
    local w=$1 n=0
    mkdir -p "m/$w"
    while until_time; do
        must "$w" layerfs pull --quiet --tag "$w-a" "oci:$T/oci:one"
        must "$w" layerfs mount "$w-a" "m/$w"
        must "$w" layerfs rm "$w-a"
        [ "$(sum "m/$w" 2>&1)" = "$want_d" ] || say "$w" 'a mount shows other contents'
        must "$w" layerfs umount "m/$w"
        n=$((n + 1))
    done
    echo $n >"rounds.$w"
}
creator() {
    local w=$1 n=0
    while until_time; do
        must "$w" layerfs create --tag "$w-a" --dir d
        must "$w" layerfs create --tag "$w-b" --from "$w-a" --dir e
        must "$w" layerfs rm "$w-a"
        must "$w" layerfs validate --deep "$w-b"
        must "$w" layerfs rm "$w-b"
        n=$((n + 1))
    done
    echo $n >"rounds.$w"
}
collector() {
    local w=$1 n=0
    while until_time; do
        must "$w" layerfs gc --grace 0
        must "$w" layerfs df
        n=$((n + 1))
    done
    echo $n >"rounds.$w"
}
touch failures
pids=()
for job in 'puller p1' 'puller p2' 'mounter m1' 'mounter m2' 'creator c1' 'creator c2' 'collector g1' 'collector g2'; do
    $job >/dev/null 2>&1 &
    pids+=($!)
done
wait "${pids[@]}"
for w in p1 p2 m1 m2 c1 c2 g1 g2; do
    check "$w went round ($(cat rounds.$w 2>/dev/null) times)" test "$(cat rounds.$w)" -gt 0
done
is 'nothing ever failed' "$(sort failures | uniq -c | sort -rn | head -n 20)" ''
is 'the one image that was left is there' "$(layerfs images -q)" one
check 'and sound' layerfs validate --deep
layerfs rm one
layerfs gc --grace 0 >/dev/null
is 'nothing else is' "$(cd "$LAYERFS_STORE" && find blobs trees packs objects tmp leases used uppers mounts -type f)" ''
is 'no mount or daemon is left' "$(fuse_mounts) $(daemons)" '0 '
