# SPDX-License-Identifier: Apache-2.0
# needs: corpus
# Many readers at once while the caches are dropped under them; mounts taken away under load; many
# mounts of one image.
. "$LAYERFS_TESTS/lib.sh"
layerfs pull --quiet "oci:$LAYERFS_CORPUS:python" >/dev/null
seconds=6
[ -z "$LONG" ] || seconds=120
mount_image python m
dump m wanted
layerfs umount m
transports='dev auto'
for mode in $(data_modes); do
    for transport in $transports; do
        layerfs mount --data=$mode --transport=$transport python m
        pid=$(daemon_of m)
        pids=()
        for kind in read mmap stat read; do
            walk $kind --threads 2 --seconds $seconds m >"out.$kind" 2>&1 &
            pids+=($!)
        done
        drops=0
        while kill -0 "${pids[0]}" 2>/dev/null; do
            echo 3 >/proc/sys/vm/drop_caches
            drops=$((drops + 1))
            wait_until 1 sh -c "! kill -0 ${pids[0]}" 2>/dev/null || true
        done
        good=0
        for p in "${pids[@]}"; do if wait "$p"; then good=$((good + 1)); fi; done
        is "$mode, $transport: 8 readers under $((drops > 2 ? 3 : drops))+ drops of the caches read all" "$good" 4
        dump m got
        same "$mode, $transport: and what they read is right" wanted got
        is "$mode, $transport: no errors" "$(stats m .counters.errors)" 0
        is "$mode, $transport: the same daemon" "$(daemon_of m)" "$pid"
        walk read --threads 4 --seconds 60 m >/dev/null 2>&1 &
        reader=$!
        wait_until 10 sh -c "test \"\$(ls /proc/$reader/task | wc -l)\" -ge 4"
        check "$mode, $transport: lazy umount under load" layerfs umount --lazy m
        kill $reader
        wait $reader 2>/dev/null || true
        check "$mode, $transport: the daemon ends" wait_until 20 no_daemons
    done
done
# Killed under load: readers get errors, the mount can be cleaned up.
layerfs mount python m
walk read --threads 4 --seconds 60 m >/dev/null 2>&1 &
reader=$!
wait_until 10 sh -c "test \"\$(ls /proc/$reader/task | wc -l)\" -ge 4"
kill -KILL "$(daemon_of m)"
check 'umount after the daemon was killed under load' sh -c 'layerfs umount m || layerfs umount --lazy m'
kill $reader 2>/dev/null || true
wait $reader 2>/dev/null || true
check 'the mount is gone' wait_until 20 not_mounted m

# Twenty mounts of one image at once.
for i in $(seq 20); do mkdir -p "n/$i"; done
pids=()
for i in $(seq 20); do
    layerfs mount python "n/$i" >"o.$i" 2>&1 &
    pids+=($!)
done
good=0
for p in "${pids[@]}"; do if wait "$p"; then good=$((good + 1)); fi; done
is '20 mounts at once' "$good $(fuse_mounts)" '20 20'
is 'all answer' "$(cat n/*/etc/debian_version | wc -l)" 20
is 'stats list them' "$(layerfs stats --json | jq length)" 20
check 'umount of all' layerfs umount n/*
is 'nothing is left' "$(fuse_mounts) $(daemons)" '0 '
