# SPDX-License-Identifier: Apache-2.0
# layerfs mount: returns when the mount answers, detached; options; mount(8) and fstab.
. "$LAYERFS_TESTS/lib.sh"
need mount jq
"$GEN/images" oci plain features many:100
for t in plain features many; do layerfs pull --quiet "oci:$T/oci:$t" >/dev/null; done
mkdir m
digest=$(layerfs images --json | jq -r '.[] | select((.tag // .name // .tags[0]) == "plain") | .digest')

layerfs mount plain m && stat -c %s m/large >size
is 'the mount answers when mount returns' "$(<size)" $((8 << 20))
is 'a second mount on it is possible and undone first' \
    "$(layerfs mount features m && test -e m/etc/passwd && layerfs umount m && stat -c %s m/large)" $((8 << 20))
layerfs umount m
bad=0
for _ in $(seq 30); do
    layerfs mount plain m && stat m/bin/f1 >/dev/null && layerfs umount m && not_mounted m || bad=$((bad + 1))
done
is '30 times mount, stat, umount' $bad 0
is 'no daemon is left' "$(daemons)" ''

# Detached: a reader of its output sees the end while the mount lives.
out=$(timeout 20 layerfs mount plain m 2>&1) && is 'stdout and stderr are let go' "$out" ''
pid=$(daemon_of m)
is 'the daemon has left its session and directory' "$(readlink "/proc/$pid/cwd")" /
check 'and has no terminal and no pipe of ours' sh -c \
    "! ls -l /proc/$pid/fd | grep -E ' [012] -> (pipe|/dev/(tty|pts))'"
is 'it is mounted read-only' "$(findmnt -no OPTIONS m | grep -owE 'ro|rw' | head -1)" ro
is 'type and source' "$(findmnt -no FSTYPE,SOURCE m | tr -s ' ')" "fuse.layerfs $(findmnt -no SOURCE m)"
like 'the source names the image' "$(findmnt -no SOURCE m)" plain
refute 'writing is refused' sh -c 'echo x >m/new'
refute 'removing is refused' rm m/large
refute 'chmod is refused' chmod 600 m/large
refute 'touching is refused' touch m/large
rec=$(ls "$LAYERFS_STORE"/mounts/*.json)
is 'the record names mountpoint and daemon' "$(jq -r '[.mountpoint, .pid] | join(" ")' "$rec")" "$T/m $pid"
layerfs umount m
check 'the record is gone with the mount' test ! -e "$rec"
is 'and so is the daemon' "$(daemons)" ''

# Names of images.
for name in "$digest" "${digest#sha256:}" "${digest:0:19}" "${digest:7:8}"; do
    if layerfs mount "$name" m 2>err && test -e m/large; then
        ok "mount by ${name:0:24}"
        layerfs umount m
    else
        not_ok "mount by ${name:0:24}" "$(<err)"
    fi
done

# In the foreground.
layerfs mount --foreground plain m 2>err &
pid=$!
wait_until 20 mounted m
is '--foreground stays' "$(gone $pid && echo gone || echo there)" there
check 'and serves' stat m/large
layerfs umount m
rc=0
wait $pid || rc=$?
is '--foreground ends with 0 after an unmount' $rc 0
layerfs mount --foreground plain m 2>err &
pid=$!
wait_until 20 mounted m
kill -TERM $pid
wait $pid || true
check '--foreground unmounts at SIGTERM' not_mounted m
layerfs mount plain m
kill -TERM "$(daemon_of m)"
check 'the daemon unmounts at SIGTERM' wait_until 20 not_mounted m
wait_until 20 no_daemons

# Options.
layerfs mount -o nosuid,nodev,noexec plain m
like '-o reaches the kernel' "$(findmnt -no OPTIONS m)" 'nosuid.*nodev.*noexec|nodev.*nosuid.*noexec'
layerfs umount m
layerfs mount -o rw,suid,dev plain m
like '-o rw does not make it writable' "$(findmnt -no OPTIONS m)" '(^|,)ro(,|$)'
layerfs umount m
layerfs mount plain m
check 'root lets others in' as_user stat m/large
layerfs umount m
is 'mount --json can be parsed' "$(layerfs mount --json plain m | jq -r .mountpoint)" "$T/m"
layerfs umount m

# As a type of mount(8): /sbin/mount.fuse calls layerfs by its name, found in the standard PATH.
mount -t tmpfs tmpfs /usr/local/sbin
ln -s "$BUILD/tools/layerfs" /usr/local/sbin/layerfs
check 'mount -t fuse.layerfs' mount -t fuse.layerfs plain "$T/m"
check 'it answers' stat m/large
is 'its type' "$(findmnt -no FSTYPE m)" fuse.layerfs
check 'umount(8) ends it' umount m
check 'and the daemon' wait_until 20 no_daemons
mkdir "$T/etc"
cat /etc/fstab >fstab 2>/dev/null || true
echo "plain $T/m fuse.layerfs ro,data=cached 0 0" >>fstab
[ -e /etc/fstab ] || { touch /etc/fstab; defer 'umount /etc/fstab; rm /etc/fstab'; }
mount --bind fstab /etc/fstab
check 'a line of fstab' mount "$T/m"
check 'it answers' stat m/large
is 'and its options count' "$(stats m .data)" cached
umount m

# Where it cannot be mounted, nothing is left.
remember
fails 'an option that the kernel refuses' '[1-5]' . layerfs mount -o no-such-option=1 plain m
check 'nothing is mounted' not_mounted m
unchanged 'after a refused option'
layerfs mount many m
is '100 layers' "$(cat m/last)" 99
layerfs umount m
