# SPDX-License-Identifier: Apache-2.0
# layerfs gc, df, umount --all and --dead: what is kept, what is freed, what others left.
. "$LAYERFS_TESTS/lib.sh"
"$GEN/images" oci plain features many:10
S=$LAYERFS_STORE
mkdir m n up
gc() { layerfs gc --grace 0 "$@"; }
# all_files: everything but what gc itself needs.
all_files() {
    (cd "$S" && find . -type f ! -path './locks/*' | grep -vxE './(index.json|index.sum|oci-layout|layerfs.json)' | sort) || true
}
pull() { layerfs pull --quiet "oci:$T/oci:$1" >/dev/null; }

pull plain
pull features
all_files >before
gc --json >out
all_files >after
same 'nothing of tagged images goes' before after
is 'and nothing is freed' "$(jq '[.kinds | to_entries[] | select(.key != "leftovers") | .value.freed] | add' out)" 0
is 'nothing is reported as evicted' "$(jq -c .evicted out)" '[]'

# A dry run tells what the run does.
layerfs rm plain
all_files >before
gc --dry-run --json >dry
all_files >after
same 'a dry run removes nothing' before after
gc --json >real
is 'and tells what the run frees' "$(jq -c '[.kinds, .freed_bytes, .kept_bytes]' dry)" \
    "$(jq -c '[.kinds, .freed_bytes, .kept_bytes]' real)"
for kind in blobs trees layers packs objects; do
    check "$kind were freed" jq -e ".kinds.$kind.freed > 0 and .kinds.$kind.freed_bytes > 0" real
done
check 'the other image mounts' layerfs mount features m
layerfs umount m
is 'sizes that are kept are those of the files' "$(jq '[.kinds[] | .kept_bytes] | add' real)" \
    "$(cd "$S" && find blobs trees packs objects used -type f -printf '%s\n' | awk '{ s += $1 } END { print s }')"
layerfs rm features
gc >/dev/null
is 'without images nothing is left' "$(all_files)" ''

# Grace, and what a young document needs.
pull plain
layerfs rm plain
all_files >before
layerfs gc --json >out
all_files >after
same 'what is younger than a day stays' before after
find "$S" -type f -exec touch -d '2 days ago' {} +
manifest=$(grep -lE '"layers" ?:' "$S"/blobs/sha256/*)
touch "$manifest"
layerfs gc >/dev/null
all_files | grep -v verified >after
same 'a young manifest keeps its old config, layers, trees and contents' <(grep -v verified before) after
touch -d '2 days ago' "$manifest"
layerfs gc >/dev/null
is 'and all goes when it is old' "$(all_files)" ''
for bad in '' x 1x -1 5w 99999999999; do
    fails "a grace time of '$bad'" 2 grace layerfs gc --grace "$bad"
done

# Live mounts and writable uppers.
pull plain
layerfs mount plain m
dump m good
layerfs rm plain
gc >/dev/null
dump m again
same 'a mount keeps its image' good again
check 'and its blobs' layerfs mount "sha256:${manifest##*/}" n
layerfs umount n m
gc >/dev/null
is 'which goes with the mount' "$(all_files)" ''
pull plain
layerfs mount --upper "$T/up" plain m
echo x >m/new
layerfs umount m
layerfs rm plain
gc >/dev/null
check 'an upper that holds something keeps its image' test -n "$(all_files | grep objects)"
check 'with which it can be mounted again' layerfs mount --upper "$T/up" "sha256:${manifest##*/}" m
is 'with what was written' "$(cat m/new)" x
layerfs umount m
rm -rf up
gc >/dev/null
is 'an upper that is gone keeps nothing' "$(all_files)" ''
pull plain
mkdir up
layerfs mount --upper "$T/up" plain m
layerfs umount m
layerfs rm plain
gc >/dev/null
is 'an upper to which nobody wrote keeps nothing but its note' "$(all_files | grep -v uppers || true)" ''

# Eviction.
rm -rf "$S" up
pull plain
pull features
pull many
find "$S" -type f -exec touch -d '3 days ago' {} +
layerfs mount many m
layerfs umount m
touch -d '2 days ago' "$S/used/"*
layerfs gc --keep-last 2 --dry-run --json >out
is 'keep-last keeps the one that was mounted last' "$(jq '.evicted | length' out)" 1
check 'a dry run keeps the tags' test "$(layerfs images -q | wc -l)" = 3
refute 'and would not evict it' jq -e '.evicted[] | select(. == "many")' out
layerfs gc --keep-last 1 >/dev/null
is 'keep-last 1' "$(layerfs images -q)" many
check 'it is sound' layerfs validate --deep
pull plain
pull features
find "$S" -type f -exec touch -d '3 days ago' {} +
layerfs mount plain m
features=$(layerfs df --json | jq '.images[] | select(.name == "features") | .total')
all=$(layerfs df --json | jq .bytes)
layerfs gc --max-size $((all - 1)) --json >out
check 'max-size: not the image in use' test -n "$(layerfs images -q | grep plain)"
at_most 'and no more than needed' "$(jq '.evicted | length' out)" 1
layerfs gc --max-size 0 >/dev/null
is 'max-size 0: all but the image in use' "$(layerfs images -q)" plain
layerfs umount m
layerfs gc --max-size 0 >/dev/null
is 'an image that was used within the grace time stays' "$(layerfs images -q)" plain
gc --max-size 0 >/dev/null
is 'without grace it goes' "$(layerfs images -q) $(all_files)" ' '
check 'sizes of features were told' test "$features" -gt 0

# df.
pull plain
layerfs tag plain other
layerfs df --json >out
is 'df: one image with two names' "$(jq -r '.images[] | .name' out)" plain,other
is 'df: all of it its own' "$(jq '.images[0] | .total - .unique' out)" 0
is 'df: all files' "$(jq '.bytes' out)" \
    "$(cd "$S" && find blobs trees packs objects used -type f -printf '%s\n' | awk '{ s += $1 } END { print s }')"
is 'df: nothing to reclaim' "$(jq .reclaimable_bytes out)" 0
layerfs create --tag top --from plain --dir "$LAYERFS_TESTS/generators" >/dev/null 2>&1
layerfs df --json >out
check 'df: an image on top shares the base' jq -e \
    '(.images[] | select(.name == "top")) as $t | $t.shared > 0 and $t.unique > 0 and $t.unique + $t.shared == $t.total' out
unique=$(jq '.images[] | select(.name == "top") | .unique' out)
layerfs rm top
is 'df: what is its own can be reclaimed' "$(layerfs df --json | jq .reclaimable_bytes)" "$unique"
is 'gc frees that much' "$(gc --json | jq .freed_bytes)" "$unique"
like 'df as a table' "$(layerfs df)" 'plain,other'

# What dead commands left.
mkdir -p "$S/tmp/objects-dead" "$S/partial"
echo x >"$S/tmp/objects-dead/0123"
echo x >"$S/tmp/.tmp-dead"
echo 'blob sha256:00' >"$S/leases/dead"
echo >"$S/trees/$(printf '%064d' 0).verified"
echo x >"$S/partial/dead"
echo x >"$S/partial/live"
mkdir "$S/tmp/objects-live"
exec 8<"$S/partial/live" 9<"$S/tmp/objects-live"
flock 8
flock 9
layerfs gc >/dev/null
is 'leftovers go, but what is locked, and young downloads' \
    "$(cd "$S" && find tmp leases partial | sort | tr '\n' ' ')" \
    'leases partial partial/dead partial/live tmp tmp/objects-live '
check 'a note without its tree goes' test ! -e "$S/trees/$(printf '%064d' 0).verified"
gc >/dev/null
is 'without grace downloads go too' "$(ls "$S/partial")" live
exec 8<&- 9<&-
gc >/dev/null
is 'all is gone once it is not locked' "$(ls "$S/partial" "$S/tmp" "$S/leases")" "$(printf '%s:\n\n%s:\n\n%s:' "$S/leases" "$S/partial" "$S/tmp")"
is 'no lock file stays' "$(ls "$S/locks" | tr '\n' ' ')" 'gc gc-gate gc-run '

# Dead daemons.
layerfs mount plain m
layerfs mount plain n
kill -KILL "$(daemon_of m)"
wait_until 10 sh -c '! ls m'
gc >/dev/null
is 'gc leaves a dead mount to umount' "$(ls "$S/mounts" | wc -l)" 2
check 'umount --dead' layerfs umount --dead
check 'takes the dead one' not_mounted m
check 'and not the live one' mounted n
is 'with its record and runtime directory' "$(ls "$S/mounts" | wc -l) $(ls /run/layerfs | wc -l)" '1 1'
layerfs mount plain m
kill -KILL $(daemons)
wait_until 10 sh -c '! ls m && ! ls n'
umount m n
is 'two records of dead mounts that are gone' "$(ls "$S/mounts" | wc -l)" 2
gc >/dev/null
is 'gc takes records and runtime directories' "$(ls "$S/mounts" /run/layerfs | grep -c '[0-9a-f]$' || true)" 0
layerfs mount plain m
kill -KILL $(daemons)
wait_until 10 sh -c '! ls m'
rm -f "$S"/mounts/*
check 'umount --dead finds a mount without record' layerfs umount --dead
check 'and takes it' not_mounted m
layerfs mount plain m
layerfs mount plain m
mkdir up2
layerfs mount --upper "$T/up2" plain n
kill -KILL "$(daemon_of n)"
check 'umount --all' layerfs umount --all
is 'takes everything' "$(fuse_mounts) $(grep -c "$T/n" /proc/self/mountinfo || true) $(ls "$S/mounts" | wc -l) $(daemons)" '0 0 0 '
fails 'umount without arguments' 2 MOUNTPOINT layerfs umount
fails 'umount --all with one' 2 MOUNTPOINT layerfs umount --all m

# Damage: contents stay when nobody knows what is needed.
pull features
layerfs rm plain
layerfs rm other
manifest=$(layerfs images --json | jq -r '.[0].digest')
cp "$S/blobs/sha256/${manifest#sha256:}" keep
printf x | dd of="$S/blobs/sha256/${manifest#sha256:}" bs=1 seek=20 conv=notrunc status=none
all_files >before
fails 'gc of a store with a damaged manifest' 4 'kept' gc
all_files >after
same 'removes no content' before after
cp keep "$S/blobs/sha256/${manifest#sha256:}"
check 'and does when it is whole again' gc
check 'what is left is sound' layerfs validate --deep
echo broken >"$S/uppers/$(printf '%064d' 1).json"
fails 'a note on an upper that cannot be read' 4 uppers gc
rm "$S"/uppers/*

# Killed at any time: the next one finishes it. (crash.sh kills at every call.)
pull plain
layerfs rm features
layerfs rm plain
layerfs gc --grace 0 >/dev/null &
kill -KILL $! 2>/dev/null || true
wait $! 2>/dev/null || true
gc >/dev/null
is 'a gc that was killed is finished by the next' "$(all_files | grep -v uppers || true)" ''
