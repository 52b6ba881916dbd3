# SPDX-License-Identifier: Apache-2.0
# limit: 900
# Memory is bounded: while preparing a large layer, and of the daemon after a walk over many files.
. "$LAYERFS_TESTS/lib.sh"
need /usr/bin/time
if [ -n "$SANITIZE" ]; then
    skip 'memory' 'a sanitizer needs many times the memory itself'
    exit 0
fi
mib=1024
[ -z "$LONG" ] || mib=10240
for how in none gzip zstd; do
    if [ -n "$LONG" ] && [ $how = gzip ]; then continue; fi
    rm -rf oci "$LAYERFS_STORE"
    "$GEN/images" oci big-$how:$mib
    /usr/bin/time -f '%M %e' -o rss layerfs pull --quiet --tag big "oci:$T/oci:big-$how" >/dev/null
    read -r rss seconds <rss
    at_most "$how: peak of preparing $mib MiB in $seconds s (KiB)" "$rss" 65536
    /usr/bin/time -f '%M' -o rss layerfs mount big "$T" 2>err || { mkdir -p m; /usr/bin/time -f '%M' -o rss layerfs mount big m; }
    umount "$T" 2>/dev/null || layerfs umount m
done
rm -rf oci "$LAYERFS_STORE"
mkdir one
head -c 700M /dev/zero | openssl enc -aes-128-ctr -K 0 -iv 0 2>/dev/null >one/large
/usr/bin/time -f '%M %e' -o rss layerfs create --tag c --compress zstd --dir one >/dev/null
read -r rss seconds <rss
at_most "peak of create of a 700 MiB file in $seconds s (KiB)" "$rss" 131072
rm -rf one "$LAYERFS_STORE"

n=500000
"$GEN/images" oci files:$n
layerfs pull --quiet "oci:$T/oci:files" >/dev/null
rm -rf oci
for transport in dev auto; do
    mount_image files m --transport=$transport --data=cached
    pid=$(daemon_of m)
    is "$n files are seen ($transport)" "$(walk stat m | cut -d' ' -f2)" $((n + (n + 499) / 500))
    private=$(awk '/^Private_Dirty:/ { print $2 }' "/proc/$pid/smaps_rollup")
    at_most "private memory of the daemon after a walk over $n files, $transport (KiB)" "$private" 8192
    echo 2 >/proc/sys/vm/drop_caches
    walk stat m >/dev/null
    private=$(awk '/^Private_Dirty:/ { print $2 }' "/proc/$pid/smaps_rollup")
    at_most "and after a second one (KiB)" "$private" 8192
    layerfs umount m
done
