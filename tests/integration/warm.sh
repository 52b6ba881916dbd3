# SPDX-License-Identifier: Apache-2.0
# needs: corpus
# In cached mode, whoever did it once asks nothing more: after one pass over all names and one over
# all contents, both again cost no request at all.
. "$LAYERFS_TESTS/lib.sh"
"$GEN/images" oci plain features
layerfs pull --quiet "oci:$LAYERFS_CORPUS:python" >/dev/null
layerfs pull --quiet "oci:$T/oci:plain" >/dev/null
layerfs pull --quiet "oci:$T/oci:features" >/dev/null
transports=dev
if can io_uring; then
    transports='dev uring'
else
    skip 'uring' "no FUSE over io_uring in $(layerfs --version) or the kernel"
fi

names() { find m -printf '%p %s %m %U %G %T@ %l\n'; }
xattrs_of() { getfattr -d m/bin/f1 2>/dev/null || true; }

for transport in $transports; do
    for image in python plain; do
        what="$image, $transport"
        mount_image $image m --data=cached --transport=$transport
        is "$what: the transport" "$(stats m .transport)" $transport
        names | sort >first.names
        walk read m >first.read
        check "$what: cold took requests" test "$(cacheable_requests m)" -gt 0
        names | sort >second.names
        walk read m >second.read
        same "$what: both passes saw the same" first.names second.names
        is "$what: and the same bytes" "$(cut -d' ' -f2- second.read)" "$(cut -d' ' -f2- first.read)"
        free m "$what: warm find -printf adds no request" names
        free m "$what: warm stat adds no request" walk stat m
        free m "$what: warm read adds no request" walk read m
        free m "$what: warm mmap adds no request" walk mmap m
        test ! -e m/nothing
        free m "$what: a name that is not there is remembered" test ! -e m/nothing
        if [ $image = plain ]; then
            xattrs_of >/dev/null
            free m "$what: no xattr in the image, none is asked for" xattrs_of
        else
            chroot m /usr/bin/python3 -c 'import ssl, json, sqlite3'
            free m "$what: starting python again adds no request" \
                chroot m /usr/bin/python3 -c 'import ssl, json, sqlite3'
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
