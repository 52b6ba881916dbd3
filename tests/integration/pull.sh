# SPDX-License-Identifier: Apache-2.0
# needs: corpus
# layerfs pull from layouts and archives; digests as skopeo has them.
. "$LAYERFS_TESTS/lib.sh"
need skopeo podman jq
"$GEN/images" oci features plain platforms >/dev/null
digest() { skopeo inspect "oci:$1" | jq -r .Digest; }
tags() { layerfs images --json | jq -r '.[] | .tag // .name // .tags[]' | sort | tr '\n' ' '; }

layerfs pull "oci:$T/oci:plain" >out 2>err
is 'pull prints the manifest digest' "$(grep -oE 'sha256:[0-9a-f]{64}' out | tail -1)" \
    "$(digest "$T/oci:plain")"
is 'the tag is there' "$(tags)" 'plain '
is "skopeo finds the same digest in the store" "$(digest "$LAYERFS_STORE:plain")" "$(digest "$T/oci:plain")"
remember
layerfs pull "oci:$T/oci:plain" >/dev/null
unchanged 'pulling again'
is '--quiet prints the digest only' "$(layerfs pull --quiet "oci:$T/oci:plain")" "$(digest "$T/oci:plain")"
is '--json can be parsed' "$(layerfs pull --json "oci:$T/oci:plain" |
    jq -r 'if type == "array" then .[0] else . end | .digest')" "$(digest "$T/oci:plain")"
layerfs pull --quiet --tag other:v1 "oci:$T/oci:plain" >/dev/null
is '--tag names it' "$(tags)" 'other:v1 plain '
"$GEN/images" single plain
layerfs pull --quiet --tag alone "oci:$T/single" >/dev/null
is 'the only image of a layout needs no tag' "$(digest "$LAYERFS_STORE:alone")" "$(digest "$T/oci:plain")"
fails 'a layout of several needs a tag' '1|2|3' "$T/oci" layerfs pull "oci:$T/oci"

# Archives.
mount_image plain m
dump m plain.dump
layerfs umount m
skopeo copy -q "oci:$T/oci:plain" "oci-archive:$T/oci.tar:plain"
layerfs pull --quiet --tag oa "oci-archive:$T/oci.tar" >/dev/null
is 'an oci-archive gives the same manifest' "$(digest "$LAYERFS_STORE:oa")" "$(digest "$T/oci:plain")"
skopeo copy -q "oci:$T/oci:plain" "docker-archive:$T/docker.tar:example.org/plain:v1"
layerfs pull --quiet --tag da "docker-archive:$T/docker.tar" >/dev/null
mount_image da m
dump m da.dump
layerfs umount m
same 'a docker-archive gives the same tree' plain.dump da.dump
layerfs pull --quiet --tag db "docker-archive:$T/docker.tar:example.org/plain:v1" >/dev/null
is 'a docker-archive by reference' "$(digest "$LAYERFS_STORE:db")" "$(digest "$LAYERFS_STORE:da")"
fails 'a reference that the archive lacks' 3 'example.org/none' \
    layerfs pull "docker-archive:$T/docker.tar:example.org/none:v1"
pod pull -q "oci:$T/oci:plain" >id 2>err || { cat err; exit 1; }
pod save -q --format docker-archive -o save.tar "$(<id)"
layerfs pull --quiet --tag ps "docker-archive:$T/save.tar" >/dev/null
mount_image ps m
dump m ps.dump
layerfs umount m
same 'the docker-archive of podman save gives the same tree' plain.dump ps.dump
pod save -q --format oci-archive -o save-oci.tar "$(<id)"
layerfs pull --quiet --tag po "oci-archive:$T/save-oci.tar" >/dev/null
mount_image po m
dump m po.dump
layerfs umount m
same 'the oci-archive of podman save gives the same tree' plain.dump po.dump
gzip -k docker.tar
layerfs pull --quiet --tag dz "docker-archive:$T/docker.tar.gz" >/dev/null &&
    ok 'a docker-archive may be compressed' || not_ok 'a docker-archive may be compressed'

# Platforms.
for p in amd64 arm64 arm/v6 arm/v7; do
    layerfs pull --quiet --platform linux/$p --tag "p-${p/\//}" "oci:$T/oci:platforms" >/dev/null
    mount_image "p-${p/\//}" m
    is "--platform linux/$p chooses" "$(cat m/platform)" "${p/\//}"
    layerfs umount m
done
layerfs pull --quiet --platform linux/arm/v8 --tag p-v8 "oci:$T/oci:platforms" >/dev/null
mount_image p-v8 m
is 'arm v8 takes v7' "$(cat m/platform)" armv7
layerfs umount m
fails 'a platform that is not there lists what is' 3 'arm64' \
    layerfs pull --platform linux/s390x "oci:$T/oci:platforms"

# Other ways in and out.
rm -rf "$LAYERFS_STORE"
skopeo copy -q "oci:$T/oci:features" oci:fresh:features
layerfs pull --quiet "oci:$T/oci:plain" >/dev/null
skopeo copy -q "oci:$T/oci:features" "oci:$LAYERFS_STORE:features"
is 'what skopeo puts into the store is an image' "$(tags)" 'features plain '
check 'and mounts' mount_image features m
dump m features.dump
layerfs umount m
rm -rf "$LAYERFS_STORE"
layerfs pull --quiet --drop-blobs "oci:$T/oci:features" >/dev/null
big=$(jq -r '.layers[].digest' "$T/oci/blobs/$(digest "$T/oci:features" | tr : /)")
for d in $big; do
    check "--drop-blobs keeps no layer blob (${d:7:8})" test ! -e "$LAYERFS_STORE/blobs/${d/://}"
done
mount_image features m
dump m dropped.dump
layerfs umount m
same 'and the tree is the same' features.dump dropped.dump

# The compressions, on a real image.
rm -rf "$LAYERFS_STORE"
layerfs pull --quiet --jobs 1 --tag gzip "oci:$LAYERFS_CORPUS:python" >/dev/null
mount_image gzip m
dump m gzip.dump
layerfs umount m
rm -rf "$LAYERFS_STORE"
skopeo copy -q --dest-compress-format zstd "oci:$LAYERFS_CORPUS:python" "oci:$T/zstd:python"
like 'the zstd image is one' "$(skopeo inspect --raw "oci:$T/zstd:python" | jq -r '.layers[0].mediaType')" zstd
layerfs pull --quiet --jobs 4 --tag zstd "oci:$T/zstd:python" >/dev/null
mount_image zstd m
dump m zstd.dump
layerfs umount m
same 'zstd and gzip layers give the same tree' gzip.dump zstd.dump

# Two at once: one of them does the work, both succeed.
rm -rf "$LAYERFS_STORE"
pids=()
for i in 1 2 3; do
    layerfs pull --quiet --tag "p$i" "oci:$T/zstd:python" >"out$i" 2>&1 &
    pids+=($!)
done
good=0
for p in "${pids[@]}"; do if wait "$p"; then good=$((good + 1)); fi; done
is 'three pulls of one image at once succeed' "$good" 3
is 'and all tags are there' "$(tags)" 'p1 p2 p3 '
is 'and nothing unfinished is left' "$(ls -A "$LAYERFS_STORE/tmp")" ''
