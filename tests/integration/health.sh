# SPDX-License-Identifier: Apache-2.0
# layerfs stats: latencies, pools, hung requests, Prometheus' text, a daemon that does not answer.
. "$LAYERFS_TESTS/lib.sh"
need jq python3
"$GEN/images" oci plain
layerfs pull --quiet "oci:$T/oci:plain" >/dev/null
mkdir m n

mount_image plain m
find m >/dev/null
cat m/large m/bin/f1 >/dev/null
layerfs stats --json m >one
is 'every request was timed' "$(jq '[.latency[].count] | add' one)" \
    "$(jq '[.requests | to_entries[] | select(.key != "INIT") | .value] | add' one)"
is 'a histogram holds all of its requests' \
    "$(jq '[.latency[] | (.buckets | add) == .count] | all' one)" true
is 'and took time' "$(jq '[.latency[] | .sum_ns > 0 and .p50_ns > 0 and .p99_ns >= .p50_ns] | all' one)" true
is 'nothing is under way' "$(jq -c '.health | [.in_flight, .hung, .oldest]' one)" '[0,0,[]]'
is 'pools tell their size' "$(jq .pools.small_buffers.object_size one)" 65536
check 'and that they were used' jq -e '[.pools[].peak] | add > 0' one
check 'contents were read' jq -e '.counters.read_object_bytes >= 8388608' one
layerfs stats m >text
check 'the text has a line for each opcode' grep -Eq '^ +READ +[0-9]+ +[0-9.]+ +[0-9.]+ +[0-9.]+$' text
check 'and what hangs' grep -q 'hung 0' text
is 'reading them costs no request' "$(requests m)" "$(requests m)"
if mount -t fusectl fusectl /sys/fs/fuse/connections 2>/dev/null || [ -e /sys/fs/fuse/connections/1 ]; then
    is 'the kernel says what waits' "$(stats m .health.waiting)" 0
fi

# Prometheus' text: its grammar, once for each metric, histograms that add up.
cat >valid.py <<'END'
import re, sys
name, types, helps, seen, series, last = r'[a-zA-Z_:][a-zA-Z0-9_:]*', {}, set(), set(), {}, None
text = sys.stdin.read()
assert text.endswith('\n')
label = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"'
for line in text.splitlines():
    if line.startswith('# HELP '):
        last = line.split()[2]
        assert last not in helps, line
        helps.add(last)
    elif line.startswith('# TYPE '):
        _, _, metric, kind = line.split()
        assert metric == last and metric not in types, line
        types[metric] = kind
        assert kind in ('counter', 'gauge', 'histogram'), line
    else:
        m = re.fullmatch(rf'({name})\{{({label}(?:,{label})*)\}} ([0-9.]+)', line)
        assert m, line
        base = re.sub('_(bucket|sum|count)$', '', m[1]) if types[last] == 'histogram' else m[1]
        assert base == last, line
        assert (m[1], m[2]) not in seen, line
        seen.add((m[1], m[2]))
        if m[1].endswith('_bucket') and types[last] == 'histogram':
            key, le = re.fullmatch(r'(.*),le="(.*)"', m[2]).groups()
            series.setdefault(key, []).append((float(le), float(m[3])))
        elif m[1].endswith('_count') and types[last] == 'histogram':
            rows = series[m[2]]
            assert rows == sorted(rows) and rows[-1] == (float('inf'), float(m[3])), line
            assert [r[1] for r in rows] == sorted(r[1] for r in rows), line
        if types[last] == 'counter':
            assert last.endswith('_total'), line
print(len(seen))
END
odd=$'n"o\\d\nd'
mkdir "$odd"
mount_image plain "$odd"
layerfs stats --prometheus >all.prom
check 'the text for Prometheus is valid' python3 valid.py <all.prom
is 'both mounts are up' "$(grep -c '^layerfs_mount_up{.*} 1$' all.prom)" 2
check 'labels are escaped' grep -qF 'n\"o\\d\nd' all.prom
check 'of one mount' sh -c "test \"\$(layerfs stats --prometheus m | grep -c ^layerfs_mount_up)\" = 1"
layerfs umount "$odd"
mkdir collect
echo before >collect/layerfs.prom
inode=$(stat -c %i collect/layerfs.prom)
check '--prometheus-file writes it' layerfs stats --prometheus-file collect/layerfs.prom
check 'it is valid' python3 valid.py <collect/layerfs.prom
check 'the file was replaced' test "$(stat -c %i collect/layerfs.prom)" != "$inode"
is 'others may read it' "$(stat -c %a collect/layerfs.prom)" 644
is 'nothing else is left' "$(ls -A collect)" layerfs.prom
fails 'a file that cannot be written' '[1-5]' none/x layerfs stats --prometheus-file none/x
fails 'two forms at once' 2 prometheus layerfs stats --prometheus --json

# Watching: a line a second, which shows what happened in it.
timeout 20 layerfs stats --watch=1 m >watched &
watcher=$!
wait_until 10 grep -q requests/s watched
i=0
until [ "$(awk 'NR > 1 && $1 > 0' watched | wc -l)" -gt 0 ] || [ $((i += 1)) -gt 200 ]; do
    stat "m/no-such-file-$i" >/dev/null 2>&1 || sleep 0.05
done
check 'it shows requests' test "$(awk 'NR > 1 && $1 > 0' watched | wc -l)" -gt 0
layerfs umount m
check 'it ends with the mount' wait_until 10 gone $watcher
wait $watcher || true
fails 'no time at all' 2 watch layerfs stats --watch=0

# A disk that hangs: the objects come from another mount, whose daemon is stopped.
mkdir frozen
cp -r "$LAYERFS_STORE/objects" frozen/
layerfs create --quiet --tag frozen --dir frozen >/dev/null
mount_image frozen n
mount --bind n/objects "$LAYERFS_STORE/objects"
mount_image plain m
stopped=$(daemon_of n)
kill -STOP "$stopped"
cat m/large >large &
reader=$!
check 'a request is seen to be under way' wait_until 10 sh -c "layerfs stats --json m | jq -e '.health.in_flight > 0'"
is 'which does not hang yet' "$(stats m .health.hung)" 0
check 'after 10 s it is said to hang' wait_until 30 sh -c "layerfs stats --json m | jq -e '.health.hung > 0'"
is 'it is the read' "$(stats m '.health.oldest[0] | [.opcode, .seconds > 10] | join(" ")')" 'READ true'
check 'Prometheus is told' sh -c "layerfs stats --prometheus | grep -E 'layerfs_requests_hung.*/m\"} [1-9]'"
check 'a stopped daemon is no obstacle' timeout 10 layerfs stats n
check 'nor for all' timeout 10 layerfs stats
kill -CONT "$stopped"
wait $reader
is 'the read ends' "$(stat -c %s large)" $((8 << 20))
is 'and nothing hangs any more' "$(stats m '.health | [.in_flight, .hung] | join(" ")')" '0 0'
layerfs umount m
umount "$LAYERFS_STORE/objects"
layerfs umount n

# A dead one.
mount_image plain m
pid=$(daemon_of m)
kill -KILL "$pid"
wait_until 10 gone "$pid"
layerfs stats --prometheus >dead.prom
check 'the mount of a dead daemon is down' grep -qF "layerfs_mount_up{mountpoint=\"$T/m\"} 0" dead.prom
check 'which is valid' python3 valid.py <dead.prom
is 'people see live mounts' "$(layerfs stats)" ''
layerfs umount m
is 'without a mount' "$(layerfs stats --prometheus | grep -vc '^#')" 0

if layerfs mount --data passthrough plain m 2>err; then
    cat m/large >/dev/null
    is 'files that the kernel reads are counted' \
        "$(stats m '.counters | [.passthrough_opens, .passthrough_bytes] | join(" ")')" "1 $((8 << 20))"
    is 'and timed' "$(stats m '.latency.OPEN.count == .requests.OPEN')" true
    layerfs umount m
else
    skip 'passthrough' "$(<err)"
fi
