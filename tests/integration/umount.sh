# SPDX-License-Identifier: Apache-2.0
# layerfs umount: busy mounts, lazy, dead daemons, several, foreign mounts.
. "$LAYERFS_TESTS/lib.sh"
"$GEN/images" oci plain
layerfs pull --quiet "oci:$T/oci:plain" >/dev/null
mkdir m n
records() { find "$LAYERFS_STORE/mounts" -name '*.json' | wc -l; }

layerfs mount plain m
exec 9<m/large
fails 'a busy mount is refused' '[1-5]' "$T/m.*(busy|Busy|in use)" layerfs umount m
check 'and stays' stat m/large
check '--lazy detaches it' layerfs umount --lazy m
check 'it is not mounted' not_mounted m
is 'the open file still reads' "$(wc -c <&9)" $((8 << 20))
exec 9<&-
check 'the daemon ends with the last user' wait_until 20 no_daemons
is 'no record is left' "$(records)" 0

layerfs mount plain m
pid=$(jq -r .pid "$LAYERFS_STORE"/mounts/*.json)
is 'the record has the pid of the daemon' "$pid" "$(daemons)"
kill -KILL "$pid"
wait_until 20 gone "$pid"
refute 'a mount without its daemon does not answer' ls m/bin
check 'umount cleans it up all the same' layerfs umount m
check 'it is not mounted' not_mounted m
is 'its record is gone' "$(records)" 0

layerfs mount plain m
kill -KILL "$(daemon_of m)"
wait_until 20 no_daemons
umount m
check 'a record of a dead mount does not hinder' layerfs mount plain m
check 'stats do not count it' test "$(layerfs stats --json | jq length)" = 1
layerfs umount m
is 'and is swept' "$(records)" 0

mkdir up
layerfs mount --upper up plain m
kill -KILL "$(daemon_of m)"
check 'an overlay above a dead daemon is taken down' layerfs umount m
is 'with all of it' "$(fuse_mounts) $(grep -c ' - overlay plain ' /proc/self/mountinfo || true) $(records)" '0 0 0'

layerfs mount plain m
layerfs mount plain n
check 'several at once' layerfs umount m n
is 'both are gone' "$(fuse_mounts) $(daemons)" '0 '
layerfs mount plain m
ln -s m link
check 'by a symlink to it' layerfs umount link
check 'it is gone' not_mounted m
layerfs mount plain m
check 'by a relative name with dots' layerfs umount ./n/../m/
check 'it is gone' not_mounted m
mount -t tmpfs tmpfs n
fails "a mount that is not ours is refused" '[1-5]' "$T/n" layerfs umount n
check 'and stays' mounted n
umount n
fails 'a directory that is no mount' '[1-5]' "$T/n" layerfs umount n
layerfs mount plain m
rc=0
layerfs umount n m 2>err || rc=$?
check 'one bad name does not keep the others' sh -c "test $rc != 0 && ! mountpoint -q m"
# The same image twice on top of one another.
layerfs mount plain m
layerfs mount plain m
layerfs umount m
check 'one umount takes one mount' mounted m
layerfs umount m
check 'the second takes the other' not_mounted m
# Under load: readers get an error or their bytes, and it ends.
layerfs mount plain m
walk read --threads 4 --seconds 3 m >/dev/null 2>&1 &
reader=$!
wait_until 10 sh -c "test \"\$(ls /proc/$reader/task | wc -l)\" -ge 4"
layerfs umount m 2>/dev/null || layerfs umount --lazy m
check 'a mount under load can be taken away' not_mounted m
wait $reader || true
check 'its daemon ends' wait_until 20 no_daemons
is 'and its record' "$(records)" 0
