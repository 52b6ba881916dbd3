# SPDX-License-Identifier: Apache-2.0
# layerfs create: directories and tars become images that layerfs, skopeo and umoci agree on.
. "$LAYERFS_TESTS/lib.sh"
need skopeo umoci setfattr setcap jq tar
digest_of() { layerfs images --json | jq -r --arg t "$1" \
    '.[] | select(.tag == $t or .name == $t or (.tags // [] | index($t))) | .digest'; }
manifest_of() { layerfs inspect --manifest "$1"; }

# A directory with everything that a directory can have.
make_dir() {
    busybox_dir "$1"
    head -c 300000 /dev/urandom >"$1/large"
    ln "$1/large" "$1/large-too"
    ln "$1/etc/hostname" "$1/hostname"
    mkfifo "$1/fifo"
    mknod "$1/null" c 1 3
    mknod "$1/disk" b 259 70000
    ln -s /no/where "$1/dangling"
    chmod 4755 "$1/bin/busybox"
    chown 3000000:4000000 "$1/etc/group"
    setfattr -n user.note -v value "$1/etc/group"
    setfattr -n user.dir -v 0x00ff0a "$1/etc"
    setfattr -h -n trusted.link -v x "$1/dangling"
    cp /bin/true "$1/capable"
    setcap cap_net_raw+ep "$1/capable"
    truncate -s 20M "$1/sparse"
    printf middle | dd of="$1/sparse" bs=1 seek=10000000 conv=notrunc status=none
    touch -d '1960-01-02 03:04:05.678901234' "$1/old"
    touch -d '2020-01-02 03:04:05.678901234' "$1/etc"
    touch "$1"/$'\xff\xfe' "$1/$(printf 'n%.0s' {1..255})" "$1"/$'new\nline'
}
make_dir d
dump d d.dump

layerfs create --tag dir --dir d >out 2>err
is 'create is quiet on stderr without a terminal' "$(<err)" ''
like 'create prints the digest' "$(<out)" 'sha256:[0-9a-f]{64}'
check 'the image mounts' mount_image dir m
dump m m.dump
same 'the mount shows what the directory has' d.dump m.dump
check 'a program runs in it' chroot m /bin/sh -c 'cat /etc/hostname'
layerfs umount m

for c in gzip zstd none; do
    layerfs create --tag $c --compress $c --dir d >/dev/null
    like "--compress $c says so in the media type" "$(manifest_of $c | jq -r '.layers[0].mediaType')" \
        "^application/vnd.oci.image.layer.v1.tar$([ $c = none ] || echo "\\+$c")\$"
    check "skopeo inspects the $c image" skopeo inspect "oci:$LAYERFS_STORE:$c"
    rm -rf copy
    check "skopeo copies the $c image" skopeo copy -q "oci:$LAYERFS_STORE:$c" oci:copy:x
    is "skopeo sees the digest of the $c image" \
        "$(skopeo inspect "oci:$LAYERFS_STORE:$c" | jq -r .Digest)" "$(digest_of $c)"
    if [ $c != zstd ]; then
        rm -rf bundle
        check "umoci unpacks the $c image" umoci unpack --image "$LAYERFS_STORE:$c" bundle
        dump bundle/rootfs umoci.dump
        same "umoci's tree of the $c image is the directory's" d.dump umoci.dump
    fi
done
is 'the three have the same diffID' \
    "$(for c in gzip zstd none; do layerfs inspect --config $c | jq -r '.rootfs.diff_ids[]'; done |
        sort -u | wc -l)" 1

# Reproducible, whatever the threads.
export SOURCE_DATE_EPOCH=1600000000
for c in gzip zstd none; do
    first=''
    for n in 1 2 3 8; do
        layerfs create --tag t --compress $c --threads $n --dir d >/dev/null
        [ -n "$first" ] || first=$(digest_of t)
        is "$c with $n threads gives the same digest" "$(digest_of t)" "$first"
    done
done
layerfs create --tag a --dir d >/dev/null
cp -a d e
find e -newermt @1600000000 -exec touch -h {} +
layerfs create --tag b --dir e >/dev/null
is 'times after SOURCE_DATE_EPOCH do not matter' "$(digest_of b)" "$(digest_of a)"
is 'created is SOURCE_DATE_EPOCH' "$(layerfs inspect --config a | jq -r .created)" 2020-09-13T12:26:40Z
mount_image a m
is 'no time is later than SOURCE_DATE_EPOCH' "$(find m -newermt @1600000000 | wc -l)" 0
is 'earlier times are kept' "$(stat -c %.9Y m/old)" "$(stat -c %.9Y d/old)"
layerfs umount m
unset SOURCE_DATE_EPOCH
layerfs create --tag l1 --compress gzip --level 1 --dir d >/dev/null
layerfs create --tag l9 --compress gzip --level 9 --dir d >/dev/null
size() { manifest_of "$1" | jq '.layers[0].size'; }
check 'a higher level packs smaller' test "$(size l9)" -lt "$(size l1)"

# Several layers, and a base.
mkdir up
echo up >up/file
tar -C up --numeric-owner --owner=7 --group=8 -cf up.tar file
gzip -k up.tar
zstd -q up.tar
mkdir low
echo low >low/file
touch low/low
layerfs create --tag two --dir low --tar up.tar >/dev/null
is 'each --dir and --tar is a layer' "$(manifest_of two | jq '.layers | length')" 2
mount_image two m
is 'the later layer lies above' "$(cat m/file) $(stat -c %u:%g m/file)" 'up 7:8'
check 'the earlier layer shows' test -e m/low
layerfs umount m
for f in up.tar.gz up.tar.zst; do
    layerfs create --tag packed --tar $f >/dev/null
    is "$f is unpacked and packed anew" "$(layerfs inspect --config packed | jq -c .rootfs.diff_ids)" \
        "[\"sha256:$(sha256sum up.tar | cut -d' ' -f1)\"]"
done
layerfs create --tag from --from dir --tar up.tar >/dev/null
is '--from keeps the layers of the base' "$(manifest_of from | jq -c '.layers[0]')" \
    "$(manifest_of dir | jq -c '.layers[0]')"
is '--from adds a layer' "$(manifest_of from | jq '.layers | length')" 2
tar -C "$T" -cf wh.tar --transform 's,^up.tar$,etc/.wh.hostname,' up.tar
layerfs create --tag wh --from dir --tar wh.tar >/dev/null
mount_image wh m
check 'a whiteout in a tar removes a name of the base' test ! -e m/etc/hostname -a -e m/hostname
layerfs umount m

# Configuration.
layerfs create --tag conf --tar up.tar --entrypoint /bin/sh --entrypoint -c --cmd 'echo hi' \
    --env A=1 --env B='x y' --workdir /work --user 1000:1000 --label l.one=1 \
    --annotation a.one=2 --platform linux/arm64/v8 --history 'made by a test' \
    --created 2021-02-03T04:05:06Z >/dev/null
skopeo inspect --config "oci:$LAYERFS_STORE:conf" >conf
q() { jq -c "$1" conf; }
is '--entrypoint' "$(q .config.Entrypoint)" '["/bin/sh","-c"]'
is '--cmd' "$(q .config.Cmd)" '["echo hi"]'
is '--env' "$(q '.config.Env | map(select(startswith("PATH=") | not))')" '["A=1","B=x y"]'
is '--workdir' "$(q .config.WorkingDir)" '"/work"'
is '--user' "$(q .config.User)" '"1000:1000"'
is '--label' "$(q .config.Labels)" '{"l.one":"1"}'
is '--annotation' "$(manifest_of conf | jq -c .annotations)" '{"a.one":"2"}'
is '--platform' "$(q '[.os,.architecture,.variant]')" '["linux","arm64","v8"]'
like '--history' "$(q .history)" 'made by a test'
is '--created' "$(q .created)" '"2021-02-03T04:05:06Z"'
is 'history has one entry a layer' "$(q '[.history[] | select(.empty_layer | not)] | length')" 1
layerfs create --tag conf2 --from conf --tar up.tar --env A=2 --env C=3 >/dev/null
is '--from keeps the configuration, --env replaces by name' "$(layerfs inspect --config conf2 |
    jq -c '[.config.User, (.config.Env | map(select(startswith("PATH=") | not)) | sort)]')" \
    '["1000:1000",["A=2","B=x y","C=3"]]'
is '--json can be parsed' "$(layerfs create --json --tag j --tar up.tar | jq -r .digest)" "$(digest_of j)"

# Refusals.
remember
fails 'no layer and no base' 2 . layerfs create --tag x
fails 'no tag' 2 . layerfs create --dir d
fails 'a directory that is not there' 3 none layerfs create --tag x --dir none
fails 'a tar that is not there' 3 none layerfs create --tag x --tar none
fails 'an unknown compression' 2 lzma layerfs create --tag x --compress lzma --dir d
fails 'a base that is not there' 3 nobody layerfs create --tag x --from nobody --dir d
fails 'a level that is none' 2 . layerfs create --tag x --level many --dir d
mkdir wh && touch wh/.wh.name
fails 'a directory with the name of a whiteout' '1|2|4' '\.wh\.name' layerfs create --tag x --dir wh
head -c 5000 /dev/urandom >garbage
fails 'a tar that is none' 4 garbage layerfs create --tag x --tar garbage
unchanged 'after all refusals'
