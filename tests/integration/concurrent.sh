# SPDX-License-Identifier: Apache-2.0
# Many processes on one store at once: pulls, creates, tags, removals, mounts; and one that is killed
# in the middle.
. "$LAYERFS_TESTS/lib.sh"
"$GEN/images" oci plain features sizes many:30
"$GEN/images" large big-none:96
names() { layerfs images --json | jq -r '[.[].name] | sort | join(" ")'; }

# all COMMANDS…: run at once, as many as there are; how many succeeded.
all() {
    local pids=() good=0 c p
    for c in "$@"; do
        bash -c "$c" >>log 2>&1 &
        pids+=($!)
    done
    for p in "${pids[@]}"; do if wait "$p"; then good=$((good + 1)); fi; done
    echo $good
}

jobs=()
for i in 1 2 3 4; do
    for t in plain features sizes many; do
        jobs+=("layerfs pull --quiet --tag $t-$i oci:$T/oci:$t")
    done
done
is '16 pulls of 4 images at once, into no store' "$(all "${jobs[@]}")" 16
is 'all names are there' "$(names)" "$(for t in plain features sizes many; do
    for i in 1 2 3 4; do echo "$t-$i"; done; done | sort | paste -sd' ')"
is 'nothing unfinished is left' "$(ls -A "$LAYERFS_STORE/tmp")" ''

busybox_dir d
jobs=()
for i in $(seq 8); do
    jobs+=("SOURCE_DATE_EPOCH=1 layerfs create --tag c$i --dir d >/dev/null" "layerfs tag plain-1 t$i" "layerfs rm sizes-$(((i - 1) % 4 + 1)) || true")
done
is 'creates, tags and removals at once' "$(all "${jobs[@]}")" 24
is 'the names are right' "$(names)" "$( (for t in plain features many; do
    for i in 1 2 3 4; do echo "$t-$i"; done; done
    for i in $(seq 8); do echo "c$i"; echo "t$i"; done) | sort | paste -sd' ')"
is 'the eight creates made one image' "$(layerfs images --json | jq -r '.[] |
    select(.name | startswith("c")) | .digest' | sort -u | wc -l)" 1
jobs=()
for i in $(seq 12); do
    mkdir "m$i"
    jobs+=("layerfs mount plain-1 m$i && cmp m$i/large m1/large && layerfs umount m$i || layerfs umount m$i")
done
layerfs mount plain-1 m1
jobs=("${jobs[@]:1}")
is '11 mounts, reads and unmounts at once' "$(all "${jobs[@]}")" 11
layerfs umount m1
is 'no mount and no daemon is left' "$(fuse_mounts) $(daemons)" '0 '

# One image that is not prepared, mounted by many at once: one prepares it.
rm -rf "$LAYERFS_STORE"/{trees,packs,objects}/*
jobs=()
for i in $(seq 6); do jobs+=("layerfs mount many-1 m$i && test -e m$i/last"); done
is 'six mounts of an image to be prepared' "$(all "${jobs[@]}")" 6
layerfs umount m1 m2 m3 m4 m5 m6

# Blobs and objects that are not what their names say.
damaged() {
    find "$LAYERFS_STORE"/blobs "$LAYERFS_STORE"/objects -type f 2>/dev/null | while read -r f; do
        [ "$(sha256sum <"$f" | cut -c1-64)" = "$(sed -E 's,.*/(blobs/sha256|objects)/,,; s,/,,' <<<"$f")" ] ||
            echo "$f"
    done
}

# Killed in the middle of a pull: the next one does it, and leaves nothing behind.
for delay in 1 3 6; do
    rm -rf "$LAYERFS_STORE"
    layerfs pull --quiet "oci:$T/large:big-none" >/dev/null 2>&1 &
    pid=$!
    wait_until 20 sh -c "test \"\$(du -sm '$LAYERFS_STORE' 2>/dev/null | cut -f1)\" -ge $((delay * 10))" || true
    kill -KILL $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    like "killed after $((delay * 10)) MiB: no image, or all of it was done" \
        "$(layerfs images --json 2>/dev/null | jq -r '.[].name')" '^(big-none)?$'
    is 'and what has its name is whole' "$(damaged)" ''
    check 'and the next pull does it' layerfs pull --quiet "oci:$T/large:big-none"
    check 'and it mounts' mount_image big-none m
    is 'with all files' "$(walk read m | cut -d' ' -f3)" $((6 * (8 << 20) + 6 * 8 * 32 * 32256))
    layerfs umount m
done
