# SPDX-License-Identifier: Apache-2.0
# limit: 600
# Broken blobs, documents and tars: each pull ends with its exit code and one line that names the
# object, the store is as it was, and the good image in it goes on working.
. "$LAYERFS_TESTS/lib.sh"
"$GEN/bad" bad
mkdir m
fresh() {
    rm -rf "$LAYERFS_STORE"
    layerfs pull --quiet --tag good "oci:$T/bad/good:x" >/dev/null
    mount_image good m
    dump m "$1"
    layerfs umount m
    remember
}
fresh before.dump

# why: what is wrong with the outcome in rc, out, err; nothing when it is right.
why() {
    if ! [[ $rc =~ ^($codes)$ ]]; then
        echo "exit status $rc, wanted $codes: $(head -c 1000 err)"
    elif [ "$(wc -l <err)" != 1 ] || ! [[ $(<err) =~ ^layerfs:\ .*($regex) ]]; then
        echo "wanted one line like /$regex/, got: $(head -c 1000 err)"
    fi
}

while IFS=$'\t' read -r name codes regex; do
    rc=0
    timeout 60 layerfs pull --quiet "oci:$T/bad/$name:x" >out 2>err </dev/null || rc=$?
    fault=$(why)
    listing "$LAYERFS_STORE" >after
    if [ -n "$fault" ]; then
        not_ok "$name" "$fault"
    elif [ "$name" = tar-link-to-nothing ]; then
        # Only the image shows it: a layer may link to what a lower one has. The layer is complete
        # and may stay for another image.
        is "$name: no image is left" "$(layerfs images --json | jq -r '[.[].name] | join(" ")')" good
        fault=changed
    elif ! cmp -s "$T/.before" after || [ -n "$(ls -A "$LAYERFS_STORE/tmp")" ]; then
        fault=changed
        not_ok "$name: the store is as it was" \
            "$(diff "$T/.before" after | head; ls -A "$LAYERFS_STORE/tmp")"
    else
        ok "$name: $(sed -E "s,^layerfs: pull oci:$T/bad/$name:x: ,," err | cut -c1-160)"
    fi
    if [ -n "$fault" ]; then fresh again.dump; fi

    # The same put into a store by another tool, then mounted.
    case $name in layout-*) continue ;; esac
    rm -rf other
    cp -r "bad/$name" other
    rc=0
    timeout 60 layerfs --store "$T/other" mount x m >out 2>err </dev/null || rc=$?
    grep -v '^prepare layer' err >e || true
    mv e err
    if [ $rc = 0 ] || mountpoint -q m; then
        not_ok "$name: mount from a store" "it mounts: $rc $(<err)"
        layerfs --store "$T/other" umount m || umount -l m
        continue
    fi
    fault=$(why)
    left=$(find other/trees other/packs other/objects other/tmp -type f)
    if [ "$name" = tar-link-to-nothing ]; then left=''; fi
    if [ -n "$fault" ] || [ -n "$left" ]; then
        not_ok "$name: mount from a store" "$fault $left"
    else
        ok "$name: mount from a store"
    fi
done <bad/cases
is 'no daemon is left' "$(daemons)" ''
mount_image good m
dump m after.dump
layerfs umount m
same 'the good image is as it was' before.dump after.dump

# Bombs.
remember
start=$SECONDS
fails 'a zip bomb over --max-layer-size' 4 'limit|large|size' \
    layerfs pull --max-layer-size 64M "oci:$T/bad/bomb-gzip:x"
at_most 'is stopped early (s)' $((SECONDS - start)) 20
unchanged 'after the bomb'
fails 'a limit that is none' 2 . layerfs pull --max-layer-size lots "oci:$T/bad/good:x"
check 'what fits the limit passes' layerfs pull --quiet --max-layer-size 1M "oci:$T/bad/good:x"

# What is odd and yet no error: the later of two entries counts, as for umoci.
python3 - "$GEN" odd <<'END'
import sys
sys.path.insert(0, sys.argv[1])
from ocigen import *
t = Tar().dir('./').file('twice', '1').file('twice', '2').file('d', 'x').dir('d').file('d/in', 'x')
t.dir('f').file('f/in', 'x').file('f', 'file').symlink('s', '/etc').symlink('up', '../../..')
t.file('/absolute', 'x').file('./dot', 'x').file('a//double', 'x').dir('e/').dir('e/.')
t.dir('e/..').file('e/../back', 'x').link('hard', '/twice').dir('dd').dir('dd').file('dd/x', 'x').dir('dd', mode=0o700)
Layout(sys.argv[2]).image('x', [t])
Layout(sys.argv[2]).image('empty', [b'', Tar(), Tar().file('x', 'x')])
Layout(sys.argv[2]).image('none', [])
END
layerfs pull --quiet --tag odd "oci:$T/odd:x" >/dev/null
umoci unpack --image odd:x bundle 2>err
mount_image odd m
# umoci makes a/ in it, which nothing describes.
times() { sed -E 's,^(\.|\./a) (.*) mtime=[-0-9.]+,\1 \2 mtime=*,'; }
dump bundle/rootfs umoci.dump
dump m mount.dump
layerfs umount m
times <umoci.dump >u
times <mount.dump >l
same 'odd entries: as umoci has them' u l
for tag in empty none; do
    layerfs pull --quiet --tag $tag "oci:$T/odd:$tag" >/dev/null
    check "an image of $tag layers mounts" mount_image $tag m
    is "and holds what it must ($tag)" "$(ls m)" "$([ $tag = empty ] && echo x)"
    layerfs umount m
done
