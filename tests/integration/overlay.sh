# SPDX-License-Identifier: Apache-2.0
# layerfs mount --upper: the kernel's overlayfs above the image mount; umount takes both down.
. "$LAYERFS_TESTS/lib.sh"
busybox_dir d
head -c 200000 /dev/urandom >d/large
layerfs create --tag img --dir d >/dev/null
mkdir m up
before=$(wc -l </proc/self/mountinfo)
check 'mount --upper' layerfs mount --upper "$T/up" img "$T/m"
is 'what is mounted is an overlay' "$(findmnt -no FSTYPE m)" overlay
is 'the image shows' "$(cat m/etc/hostname)" layerfs
is 'a program runs' "$(chroot m /bin/sh -c 'echo $((6*7))')" 42
echo changed >m/etc/hostname
echo new >m/new
rm m/large
mkdir m/dir && mv m/new m/dir/
chmod 700 m/etc
is 'writes are seen' "$(cat m/etc/hostname m/dir/new | tr '\n' ' ')" 'changed new '
refute 'what was removed is gone' test -e m/large
is 'they lie in the upper directory' "$(cat up/etc/hostname 2>/dev/null || find up -name hostname -exec cat {} +)" changed
pid=$(daemon_of m)
check 'stats of the mountpoint tell of the image mount' test -n "$pid"
check 'umount takes both down' layerfs umount m
is 'no mount is left' "$(wc -l </proc/self/mountinfo)" "$before"
is 'no process is left' "$(daemons)" ''
is 'no record is left' "$(find "$LAYERFS_STORE/mounts" -name '*.json')" ''
layerfs mount --upper up img m
is 'a second mount shows what was written' "$(cat m/etc/hostname m/dir/new | tr '\n' ' ')" 'changed new '
refute 'and what was removed is gone' test -e m/large
is 'and the image is untouched' "$(layerfs umount m; layerfs mount img m; cat m/etc/hostname; stat -c %s m/large)" \
    $'layerfs\n200000'
layerfs umount m

# A work directory of one's own, relative names.
mkdir u2 w2
check '--work' layerfs mount --upper u2 --work w2 img m
echo x >m/x
is 'the upper holds the file' "$(<u2/x)" x
layerfs umount m
is 'umount(8) of the overlay and layerfs umount after it leave nothing' "$(
    layerfs mount --upper u2 --work w2 img m
    umount m
    layerfs umount m 2>/dev/null
    wait_until 20 no_daemons && echo clean
    wc -l </proc/self/mountinfo)" $'clean\n'"$before"

# Warm, the overlay needs nothing from the daemon.
layerfs mount --upper up --data=cached img m
walk stat m >/dev/null; walk read m >/dev/null
free m 'warm stat through the overlay adds no request' walk stat m
free m 'warm read through the overlay adds no request' walk read m
layerfs umount m
# Two containers of one image.
mkdir m1 m2 ua ub
layerfs mount --upper ua img m1
layerfs mount --upper ub img m2
echo one >m1/f
refute 'uppers are apart' test -e m2/f
check 'umount takes several' layerfs umount m1 m2
is 'nothing is left' "$(wc -l </proc/self/mountinfo) $(daemons)" "$before "
remember
fails 'an upper that is no directory' '[1-5]' hostname layerfs mount --upper d/etc/hostname img m
unchanged 'a refused upper'
is 'no mount is left then' "$(wc -l </proc/self/mountinfo)" "$before"
