# SPDX-License-Identifier: Apache-2.0
# limit: 400
# Damaged trees, packs and objects, full and unwritable disks, stores of another version.
. "$LAYERFS_TESTS/lib.sh"
"$GEN/images" oci features plain
"$GEN/images" many many:20
layerfs pull --quiet "oci:$T/oci:features" >/dev/null
mount_image features m
dump m good.dump
layerfs umount m

# Trees, a byte changed.
image_tree=$(find "$LAYERFS_STORE/trees" -type f ! -name '*.verified' ! -name '*.layer')
check 'the tree of the image is found' test -f "$image_tree"
cp "$image_tree" tree
size=$(stat -c %s tree)
offsets="$(seq 0 7 300) $(awk -v s="$size" 'BEGIN { srand(9); for (i = 0; i < 60; i++) print int(rand() * s) }') $((size - 1))"
bad=0 n=0 first=''
for o in $offsets; do
    n=$((n + 1))
    chmod u+w "$image_tree"
    cp tree "$image_tree"
    byte=$(od -An -tu1 -j "$o" -N 1 tree)
    printf "\\x$(printf %02x $((byte ^ (1 << (o % 8)))))" | dd of="$image_tree" bs=1 seek="$o" conv=notrunc status=none
    remember
    rc=0
    timeout 20 layerfs mount features m >out 2>err || rc=$?
    listing "$LAYERFS_STORE" >after
    if [[ $rc != [1-5] ]] || mountpoint -q m || [ "$(wc -l <err)" != 1 ] ||
        ! grep -qE '^layerfs: .*(tree|[0-9a-f]{12})' err || ! cmp -s .before after; then
        bad=$((bad + 1))
        first=${first:-"byte $o: exit $rc: $(<err) $(diff .before after | head -3)"}
        if mountpoint -q m; then layerfs umount m; fi
    fi
done
[ $bad = 0 ] && ok "$n trees with a byte changed are refused" || not_ok "$bad of $n changed trees" "$first"
for s in 0 1 100 $((size / 2)) $((size - 1)); do
    head -c "$s" tree >"$image_tree"
    fails "a tree cut to $s bytes" '[1-5]' 'tree|[0-9a-f]{12}' layerfs mount features m
done
cp tree "$image_tree"
head -c 100 /dev/zero >>"$image_tree"
fails 'a tree with bytes behind it' '[1-5]' 'tree|[0-9a-f]{12}' layerfs mount features m
fails 'inspect --tree refuses it too' '[1-5]' 'tree|[0-9a-f]{12}' layerfs inspect --tree features
cp tree "$image_tree"
check 'the right bytes mount again' mount_image features m
dump m again.dump
same 'and show the same' good.dump again.dump
# Cut off under a living mount: an error for readers, no death.
pid=$(daemon_of m)
layerfs umount m
layerfs mount features m
pid=$(daemon_of m)
drop_caches
truncate -s 4096 "$image_tree"
drop_caches
treedump m >out 2>&1 || true
check 'a tree cut off under a mount does not end its daemon' kill -0 "$pid"
check 'which still answers' sh -c 'stat -f m >/dev/null'
layerfs umount m
cp tree "$image_tree"

# A tree of a newer version, of another image.
layerfs pull --quiet "oci:$T/many:many" >/dev/null
mount_image many m
layerfs umount m
other=$(find "$LAYERFS_STORE/trees" -type f ! -name '*.verified' ! -name '*.layer' ! -path "$image_tree")
cp "$other" "$image_tree"
fails 'the tree of another image in its place' '[1-5]' 'tree|[0-9a-f]{12}' layerfs mount features m
cp tree "$image_tree"

# Packs and objects.
layerfs pull --quiet "oci:$T/oci:plain" >/dev/null
rm -rf "$LAYERFS_STORE"/objects/??
mount_image plain m
rc=0
cat m/large >/dev/null 2>err || rc=$?
if [ $rc != 0 ]; then
    ok 'a missing object is an I/O error for its reader'
    check 'the daemon lives on' stat m/bin/f1
else
    ok 'a missing object was made anew'
fi
layerfs umount m

# Full and unwritable disks. The store is below a small tmpfs, a read-only mount.
mkdir small
for size in 64k 1m 6m 9m 12m; do
    mount -t tmpfs -o size=$size tmpfs small
    export LAYERFS_STORE=$T/small/store
    rc=0
    layerfs images >/dev/null 2>&1 || true
    mkdir -p "$LAYERFS_STORE"
    listing "$LAYERFS_STORE" >before
    timeout 60 layerfs pull "oci:$T/oci:plain" >out 2>err </dev/null || rc=$?
    if [ "$rc" = 5 ] && [ "$(wc -l <err)" = 1 ] && grep -q '^layerfs: .*[Nn]o space' err; then
        ok "a disk of $size is full: $(cut -c1-100 <err)"
    else
        not_ok "a disk of $size is full" "exit status $rc: $(<err)"
    fi
    is "and holds no part of an image ($size)" "$(find "$LAYERFS_STORE"/{blobs,trees,packs,objects,tmp} -type f 2>/dev/null)" ''
    is "nor a tag ($size)" "$(jq '.manifests | length' "$LAYERFS_STORE/index.json" 2>/dev/null || echo 0)" 0
    umount small
done
mount -t tmpfs -o size=64m tmpfs small
layerfs pull --quiet "oci:$T/oci:features" >/dev/null
mount_image features m
layerfs umount m
layerfs pull --quiet "oci:$T/oci:plain" >/dev/null
rm -rf "$LAYERFS_STORE"/trees/* "$LAYERFS_STORE"/packs/*
mount -o remount,ro small
remember
fails 'pull into an unwritable store' 5 "$LAYERFS_STORE|[Rr]ead-only" layerfs pull "oci:$T/many:many"
fails 'tag in an unwritable store' 5 . layerfs tag plain other
fails 'rm in an unwritable store' 5 . layerfs rm plain
fails 'create in an unwritable store' 5 . layerfs create --tag x --dir "$LAYERFS_TESTS"
fails 'mount of an image to be prepared in an unwritable store' 5 . layerfs mount plain m
check 'nothing is mounted' not_mounted m
check 'images can be listed' layerfs images
mount -o remount,rw small
unchanged 'after all refusals'
umount small

# A store of a newer version, and no store.
export LAYERFS_STORE=$T/newer
layerfs pull --quiet "oci:$T/oci:plain" >/dev/null
jq -c '.version = 2' "$LAYERFS_STORE/layerfs.json" >v && cp v "$LAYERFS_STORE/layerfs.json"
remember
for c in "mount plain m" "pull oci:$T/oci:plain" "images" "tag plain x" "rm plain" "inspect plain"; do
    # shellcheck disable=SC2086  # words
    fails "a newer store: $c" '[1-5]' 'version' layerfs $c
done
unchanged 'a newer store'
echo '{' >"$LAYERFS_STORE/layerfs.json"
fails 'a store with a broken version file' '[1-5]' 'layerfs.json' layerfs images
export LAYERFS_STORE=$T/file
echo x >file
fails 'a store that is a file' '[1-5]' "$T/file" layerfs pull "oci:$T/oci:plain"
is 'no daemon is left' "$(daemons)" ''
