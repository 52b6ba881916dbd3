# SPDX-License-Identifier: Apache-2.0
# What confines the daemon, as the kernel says it, and that it still does its work.
. "$LAYERFS_TESTS/lib.sh"
need jq capsh setpriv
"$GEN/images" oci plain features
for t in plain features; do layerfs pull --quiet "oci:$T/oci:$t" >/dev/null; done
mkdir m up
confined() { stats m '.confined | join(" ")'; }

# of PID FIELD…: for each thread but the main one, what /proc says; equal lines once.
of_threads() {
    local pid=$1 field=$2 t
    for t in /proc/"$pid"/task/*; do
        [ "${t##*/}" = "$pid" ] || sed -n "s/^$field:\t//p" "$t/status"
    done | sort -u
}
of_main() { sed -n "s/^$2:\t//p" "/proc/$1/status"; }

layerfs mount --no-sandbox plain m
is '--no-sandbox confines nothing' "$(confined)" ''
is 'as the kernel says' "$(of_main "$(daemon_of m)" Seccomp) $(of_threads "$(daemon_of m)" Seccomp)" '0 0'
layerfs umount m

layerfs mount plain m
pid=$(daemon_of m)
if [ -n "$SANITIZE" ] && [ -z "$(confined)" ]; then
    skip 'the sandbox' "a sanitizer's runtime needs what it forbids"
    exit 0
fi
features=$(confined)
like 'the daemon is confined' "$features" '^no_new_privs capabilities'
is 'serving threads can gain no privileges' "$(of_threads "$pid" NoNewPrivs)" 1
is 'and have no capability' "$(of_threads "$pid" CapEff) $(of_threads "$pid" CapPrm) $(of_threads "$pid" CapInh)" \
    '0000000000000000 0000000000000000 0000000000000000'
is 'the main thread keeps what unmounting takes' \
    "$(capsh --decode="$(of_main "$pid" CapPrm)" | cut -d= -f2)" cap_dac_override,cap_sys_admin
is 'and can gain none' "$(of_main "$pid" NoNewPrivs)" 1
if [[ $features == *seccomp* ]]; then
    is 'all threads have a filter' "$(of_main "$pid" Seccomp) $(of_threads "$pid" Seccomp)" '2 2'
else
    skip 'seccomp' 'built without libseccomp'
fi
check 'the text tells' sh -c "layerfs stats m | grep -q 'confined by no_new_privs'"

# Everything still works: names, attributes, contents of all places, from a cold cache too.
drop_caches
layerfs inspect --tree plain >/dev/null
is 'large files' "$(stat -c %s m/large) $(wc -c <m/large)" "$((8 << 20)) $((8 << 20))"
check 'all names and contents' sh -c 'find m -type f -exec cat {} + | wc -c'
check 'many threads at once' walk read --threads 8 --seconds 1 m
is 'no error was met' "$(stats m .counters.errors)" 0
layerfs umount m
check 'umount ends the daemon' wait_until 10 gone "$pid"
is 'its traces are gone' "$(ls /run/layerfs 2>/dev/null) $(ls "$LAYERFS_STORE/mounts")" ' '

# SIGTERM: the confined daemon unmounts by itself.
layerfs mount plain m
pid=$(daemon_of m)
kill -TERM "$pid"
check 'SIGTERM unmounts' wait_until 10 not_mounted m
check 'and ends the daemon' wait_until 10 gone "$pid"
is 'with its traces' "$(ls /run/layerfs) $(ls "$LAYERFS_STORE/mounts")" ' '

# The overlay above is not confined: its work is done with the rights of who mounted it.
layerfs mount --upper up features m
is 'an overlay is mounted' "$(findmnt -no FSTYPE m)" overlay
echo new >m/new
mkdir m/dir
chown 1000:1000 m/new
mknod m/device c 1 3
setcap cap_net_raw+ep m/new 2>/dev/null || true
ln -s x m/link
first=$(find m -maxdepth 1 -type f ! -name new | head -n 1)
rm -f "$first"
echo more >>m/etc/passwd
is 'changes of all kinds' "$(stat -c '%u %F' m/new m/device m/dir | tr '\n' ' ')$(tail -n 1 m/etc/passwd)" \
    '1000 regular file 0 character special file 0 directory more'
pid=$(daemon_of m)
is 'below it all is confined' "$(of_threads "$pid" CapEff)" 0000000000000000
umount m
check 'umount(8) of it ends the daemon' wait_until 10 gone "$pid"
is 'and leaves no mount' "$(fuse_mounts)" 0

# Passthrough keeps the one capability that registering files takes.
if layerfs mount --data passthrough plain m 2>err; then
    pid=$(daemon_of m)
    is 'passthrough' "$(capsh --decode="$(of_threads "$pid" CapEff)" | cut -d= -f2)" cap_sys_admin
    is 'works' "$(wc -c <m/large)" $((8 << 20))
    is 'truly' "$(stats m .counters.passthrough_opens)" 1
    layerfs umount m
else
    skip 'passthrough' "$(<err)"
fi
if layerfs mount --transport uring plain m 2>err; then
    is 'io_uring' "$(wc -c <m/large; of_threads "$(daemon_of m)" CapEff)" "$((8 << 20))"$'\n0000000000000000'
    layerfs umount m
else
    skip 'io_uring' "$(<err)"
fi

# Another user's store, below directories that are closed to others, and a mountpoint there.
mkdir -m 700 home
mv "$LAYERFS_STORE" home/store
mkdir home/m
chown -R $USER_ID:$USER_ID home
check "a store and a mountpoint of another user's" layerfs --store "$T/home/store" mount plain home/m
is 'are served' "$(wc -c <home/m/large)" $((8 << 20))
pid=$(jq -r .pid home/store/mounts/*.json)
is 'with the right to read' "$(capsh --decode="$(of_threads "$pid" CapEff)" | cut -d= -f2)" cap_dac_read_search
check 'umount' layerfs --store "$T/home/store" umount home/m
is 'leaves nothing' "$(ls home/store/mounts)" ''
layerfs --store "$T/home/store" mount plain home/m
pid=$(jq -r .pid home/store/mounts/*.json)
kill -TERM "$pid"
check 'so does SIGTERM' wait_until 10 gone "$pid"
is 'all of it' "$(ls home/store/mounts) $(fuse_mounts)" ' 0'

# The runtime directory is the user's alone.
mv home/store "$LAYERFS_STORE"
chown -R 0:0 "$LAYERFS_STORE"
is 'the runtime directory is made 0700' "$(stat -c '%a %U' /run/layerfs)" '700 root'
chmod 755 /run/layerfs
fails 'one that others may enter is refused' '[1-5]' 'runtime directory.*0700' layerfs mount plain m
chmod 700 /run/layerfs
chown $USER_ID /run/layerfs
fails "another's is refused" '[1-5]' 'runtime directory' layerfs mount plain m
rmdir /run/layerfs
mkdir -m 700 /run/elsewhere
ln -s elsewhere /run/layerfs
fails 'a link is refused' '[1-5]' 'runtime directory' layerfs mount plain m
rm /run/layerfs
check 'without one it is made' mount_image plain m
layerfs umount m
is 'nothing of layerfs is setuid' "$(find "$BUILD/tools" -type f -perm /6000)" ''
