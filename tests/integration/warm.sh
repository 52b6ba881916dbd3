# SPDX-License-Identifier: Apache-2.0
# needs: corpus
# In cached mode, whoever did it once asks nothing more: after one pass over all names and one over
# all contents, both again cost no request at all.
. "$LAYERFS_TESTS/lib.sh"
"$GEN/images" oci plain features
layerfs pull --quiet "oci:$LAYERFS_CORPUS:python" >/dev/null
layerfs pull --quiet "oci:$T/oci:plain" >/dev/null
layerfs pull --quiet "oci:$T/oci:features" >/dev/null
uring=/sys/module/fuse/parameters/enable_uring
transports=dev
if [ -e $uring ] && layerfs --version | grep -q io_uring; then
    transports='dev uring'
else
    skip 'uring' "no FUSE over io_uring in $(layerfs --version) or the kernel"
fi

for transport in $transports; do
    for image in python plain; do
        mount_image $image m --data=cached --transport=$transport
        is "$image, $transport: the transport" "$(stats m .transport)" $transport
        find m -printf '%p %s %m %U %G %T@ %l\n' | sort >first.names
        walk read m >first.read
        cold=$(requests m)
        check "$image, $transport: cold took requests" test "$cold" -gt 0
        find m -printf '%p %s %m %U %G %T@ %l\n' | sort >second.names
        is "$image, $transport: warm find -printf adds no request" $(($(requests m) - cold)) 0
        cold=$(requests m)
        walk stat m >stat
        is "$image, $transport: warm stat adds no request" $(($(requests m) - cold)) 0
        walk read m >second.read
        is "$image, $transport: warm read adds no request" $(($(requests m) - cold)) 0
        walk mmap m >mmap
        is "$image, $transport: warm mmap adds no request" $(($(requests m) - cold)) 0
        same "$image, $transport: both passes saw the same" first.names second.names
        is "$image, $transport: and the same bytes" "$(cut -d' ' -f2- second.read)" "$(cut -d' ' -f2- first.read)"
        for _ in 1 2 3; do test ! -e m/no/such/name; test ! -e m/nothing; done
        cold=$(requests m)
        test ! -e m/nothing
        is "$image, $transport: a name that is not there is remembered" $(($(requests m) - cold)) 0
        if [ $image = plain ]; then
            getfattr -d m/large 2>/dev/null || true
            cold=$(requests m)
            getfattr -d m/bin/f1 2>/dev/null || true
            is "$image, $transport: no xattr in the image, none is asked for" $(($(requests m) - cold)) 0
        else
            chroot m /usr/bin/python3 -c 'import ssl, json, sqlite3' >/dev/null
            cold=$(requests m)
            chroot m /usr/bin/python3 -c 'import ssl, json, sqlite3' >/dev/null
            is "$image, $transport: starting python again adds no request" $(($(requests m) - cold)) 0
        fi
        layerfs umount m
    done
done

# Few when cold: two a directory for the names, by READDIRPLUS.
mount_image python m --data=cached
walk stat m >stat
dirs=$(find m -type d | wc -l)
at_most 'cold stat of everything takes about two requests a directory' "$(requests m)" $((3 * dirs + 50))
is 'no LOOKUP of each file' "$(($(stats m '.requests.LOOKUP // 0') < dirs + 50))" 1
layerfs umount m
