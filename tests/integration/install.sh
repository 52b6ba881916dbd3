# SPDX-License-Identifier: Apache-2.0
# meson install, and what mount(8) then does with the types fuse.layerfs and layerfs and with fstab.
# /usr and /etc are this test's own by an overlay each.
. "$LAYERFS_TESTS/lib.sh"
need meson mount man
# The build is not touched: what it would install is copied by a second, unbuilt view of it.
prefix=$(meson introspect --buildoptions "$BUILD" | jq -r '.[] | select(.name == "prefix") | .value')
DESTDIR=$T/inst meson install -C "$BUILD" --no-rebuild --quiet --skip-subprojects >/dev/null
inst=$T/inst$prefix
check 'the binary is installed' test -x "$inst/bin/layerfs"
is 'mount.layerfs is a link to it' "$(readlink "$inst/sbin/mount.layerfs")" "$prefix/bin/layerfs"
check 'bash completion' bash -c "source '$inst/share/bash-completion/completions/layerfs' &&
    COMP_WORDS=(layerfs mo) COMP_CWORD=1 && _layerfs layerfs && test \"\${COMPREPLY[*]}\" = mount"
for c in '' create pull prepare mount umount images tag rm inspect bundle stats; do
    page=$inst/share/man/man1/layerfs${c:+-$c}.1
    check "layerfs $c has a man page" test -f "$page"
    MANWIDTH=200 MAN_KEEP_FORMATTING='' man -l "$page" 2>/dev/null | col -b >page.txt
    missing=''
    for o in $(layerfs $c --help | grep -oE '^ +(-[a-z], )?--[a-z-]+' | grep -oE -- '--[a-z-]+'); do
        case $c,$o in
        ,*) ;;
        *,--store | *,--debug | *,--help | *,--version) continue ;;
        esac
        grep -qE -- "(^|[ ,])$o([ =[]|\$)" page.txt || missing="$missing $o"
    done
    is "layerfs $c: the man page has the options of --help" "$missing" ''
done

mkdir -p over/{usr,usrw,etc,etcw,usr/bin,usr/sbin}
cp "$inst/bin/layerfs" over/usr/bin/
ln -s ../bin/layerfs over/usr/sbin/mount.layerfs
mount -t tmpfs tmpfs /mnt
mkdir -p /mnt/{uu,uw,eu,ew}
cp -a over/usr/. /mnt/uu
mount -t overlay -o lowerdir=/usr,upperdir=/mnt/uu,workdir=/mnt/uw overlay /usr
mount -t overlay -o lowerdir=/etc,upperdir=/mnt/eu,workdir=/mnt/ew overlay /etc

"$GEN/images" oci plain
layerfs pull --quiet "oci:$T/oci:plain" >/dev/null
mkdir m up
for type in fuse.layerfs layerfs; do
    check "mount -t $type" mount -t $type -o "store=$LAYERFS_STORE" plain "$T/m"
    is "$type: it answers" "$(stat -c %s m/large)" $((8 << 20))
    is "$type: type and source" "$(findmnt -no FSTYPE,SOURCE m | tr -s ' ')" 'fuse.layerfs plain'
    like "$type: suid and dev as mount(8) says" " $(findmnt -no OPTIONS m)" '^ ro,relatime'
    check "$type: umount(8)" umount m
    check "$type: the daemon ends" wait_until 20 no_daemons
    refute "$type: an unknown option" mount -t $type -o "store=$LAYERFS_STORE,nonsense" plain "$T/m"
    refute "$type: an unknown image" mount -t $type -o "store=$LAYERFS_STORE" nobody "$T/m"
    check "$type: nothing is mounted" not_mounted m

    echo "plain $T/m $type ro,nosuid,_netdev,nofail,x-systemd.automount,data=cached,store=$LAYERFS_STORE 0 0" \
        >/etc/fstab
    check "$type: a line of fstab" mount "$T/m"
    is "$type: its options count" "$(stats m .data)" cached
    like "$type: nosuid too" "$(findmnt -no OPTIONS m)" nosuid
    check "$type: mount -a finds it mounted" mount -a
    is "$type: once" "$(fuse_mounts)" 1
    umount m
    wait_until 20 no_daemons

    echo "plain $T/m $type upper=$T/up,store=$LAYERFS_STORE 0 0" >/etc/fstab
    check "$type: a writable line of fstab" mount "$T/m"
    is "$type: it is an overlay" "$(findmnt -no FSTYPE m)" overlay
    echo written >m/file
    check "$type: umount(8) of the overlay" umount m
    check "$type: takes all of it down" wait_until 20 no_daemons
    is "$type: no mount is left" "$(fuse_mounts)" 0
    is "$type: the upper has the file" "$(<up/file)" written
    rm -rf up up.work && mkdir up
done
check 'mount.layerfs -f mounts nothing' mount.layerfs plain "$T/m" -f -o rw
check 'nothing is mounted' not_mounted m
