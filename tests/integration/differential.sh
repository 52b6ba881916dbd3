# SPDX-License-Identifier: Apache-2.0
# needs: corpus
# limit: 600
# Real images: what the mount shows is what `umoci unpack` makes of the same image, down to the
# nanosecond, the hard-link group and the xattr.
#
# Known deviations, taken out of both sides: none. (Directories that no tar entry describes have the
# time of the unpacking with umoci; these images have none of them.)
. "$LAYERFS_TESTS/lib.sh"
need umoci jq
compare() { # LAYOUT TAG
    rm -rf bundle umoci.dump
    umoci unpack --image "$1:$2" bundle 2>err || { cat err; exit 1; }
    dump bundle/rootfs umoci.dump
    layerfs pull --quiet "oci:$1:$2" >/dev/null
    for mode in $(data_modes); do
        mount_image "$2" m --data=$mode
        dump m mount.dump
        layerfs umount m
        same "$2, $mode: the same $(wc -l <umoci.dump) names as umoci" umoci.dump mount.dump
    done
    rm -rf bundle
}
for tag in $(jq -r '.manifests[].annotations["org.opencontainers.image.ref.name"]' \
    "$LAYERFS_CORPUS/index.json"); do
    compare "$LAYERFS_CORPUS" "$tag"
done
"$GEN/images" oci many:120
# umoci makes d*/ as it goes: nothing describes them.
sed_times() { sed -E -i 's,^(\.(/d[0-9])?) (.*) mtime=[-0-9.]+,\1 \3 mtime=*,' "$1"; }
umoci unpack --image oci:many bundle 2>err
dump bundle/rootfs umoci.dump
layerfs pull --quiet "oci:$T/oci:many" >/dev/null
mount_image many m
dump m mount.dump
layerfs umount m
sed_times umoci.dump
sed_times mount.dump
same '120 layers: the same as umoci' umoci.dump mount.dump
