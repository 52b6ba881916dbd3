# SPDX-License-Identifier: Apache-2.0
# Data modes and transports: what auto takes, what is refused, how each reads.
. "$LAYERFS_TESTS/lib.sh"
"$GEN/images" oci plain
layerfs pull --quiet "oci:$T/oci:plain" >/dev/null
uring=/sys/module/fuse/parameters/enable_uring
"$GEN/images" x sizes
layerfs pull --quiet "oci:$T/x:sizes" >/dev/null
mkdir ref m
umoci unpack --image x:sizes ref/b 2>/dev/null
(cd ref/b/rootfs && find . -type f -exec sha256sum {} + | sort -k2) >wanted

reads() { # NAME MNT: whole, in odd pieces, backwards, mapped
    (cd "$2" && find . -type f -exec sha256sum {} + | sort -k2) >got
    same "$1: contents" wanted got
    is "$1: a read in odd pieces" "$(dd if="$2/s1048577" bs=7777 status=none | sha256sum)" \
        "$(sha256sum <ref/b/rootfs/s1048577)"
    is "$1: reads at random offsets" "$(for o in 1048570 5 70000 65535 131071 4095 0; do
        tail -c +$((o + 1)) "$2/s1048577" | head -c 9; done | sha256sum)" \
        "$(for o in 1048570 5 70000 65535 131071 4095 0; do
            tail -c +$((o + 1)) ref/b/rootfs/s1048577 | head -c 9; done | sha256sum)"
    check "$1: mmap" walk mmap "$2"
    is "$1: past the end is nothing" "$(tail -c +1048580 "$2/s1048577" | wc -c)" 0
}

if can io_uring; then
    was=$(<$uring)
    defer "echo $was >$uring"
    echo N >$uring
    layerfs mount plain m
    is 'auto takes /dev/fuse where the kernel parameter is off' "$(stats m .transport)" dev
    layerfs umount m
    layerfs mount --transport=uring plain m 2>err
    is '--transport=uring turns it on' "$(stats m .transport) $(<$uring)" 'uring Y'
    like 'and says so' "$(<err)" 'enable_uring'
    layerfs umount m
    layerfs mount plain m 2>err
    is 'auto takes io_uring where it is on' "$(stats m .transport)" uring
    is 'and says nothing' "$(<err)" ''
    layerfs umount m
    layerfs mount --transport=dev plain m
    is '--transport=dev' "$(stats m .transport)" dev
    layerfs umount m
    transports='dev uring'
else
    skip 'io_uring' "this build or kernel has none: $(layerfs --version | tr '\n' ' ')"
    fails '--transport=uring is refused with a reason' '[1-5]' 'io_uring|uring' \
        layerfs mount --transport=uring plain m
    transports=dev
fi
if ! can passthrough; then
    skip 'passthrough' 'this build has none'
    fails '--data=passthrough is refused with a reason' '[1-5]' passthrough \
        layerfs mount --data=passthrough plain m
fi
for transport in $transports; do
    for mode in $(data_modes); do
        layerfs mount --data=$mode --transport=$transport sizes m
        is "$mode over $transport: stats tell" "$(stats m '.data + " " + .transport')" "$mode $transport"
        reads "$mode over $transport" m
        if [ $mode = passthrough ]; then
            check "$mode over $transport: large files are the kernel's" \
                test "$(stats m .counters.passthrough_opens)" -gt 0
        fi
        is "$mode over $transport: no errors" "$(stats m .counters.errors)" 0
        drop_caches
        reads "$mode over $transport, cold" m
        layerfs umount m
    done
done
layerfs mount plain m
like 'auto chooses a data mode' "$(stats m .data)" '^(cached|passthrough)$'
like 'stats for people name mode and transport' "$(layerfs stats m)" "$(stats m .transport)"
is 'stats of all mounts' "$(layerfs stats --json | jq -r '.[0].mountpoint')" "$T/m"
is 'stats count the bytes of reads' "$(cat m/large >/dev/null; test "$(stats m \
    '.counters.read_object_bytes + .counters.passthrough_opens')" -gt 0 && echo yes)" yes
layerfs umount m
