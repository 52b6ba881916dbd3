# SPDX-License-Identifier: Apache-2.0
# A user without privilege, with a store of its own: pull, mount by fusermount3, read, unmount.
. "$LAYERFS_TESTS/lib.sh"
need fusermount3 setpriv
# The account and the mode of /dev/fuse that real systems have, in this namespace only.
cp /etc/passwd passwd
echo "layerfs-test:x:$USER_ID:$USER_ID::$T/home:/bin/sh" >>passwd
mount --bind passwd /etc/passwd
mkdir run
mount -t tmpfs -o mode=755,dev tmpfs run
mknod -m 666 run/fuse c 10 229
chmod 666 run/fuse
mount --bind run/fuse /dev/fuse
mkdir -m 700 home run/user
chown $USER_ID:$USER_ID home run/user
"$GEN/images" oci plain features
chmod -R a+rX oci
user() { as_user env -u LAYERFS_STORE HOME="$T/home" XDG_RUNTIME_DIR="$T/run/user" "$@"; }

check 'pull into the store below the home' user layerfs pull --quiet "oci:$T/oci:plain"
check 'the store is where XDG says' test -f home/.local/share/layerfs/index.json
user mkdir home/m
check 'mount' user layerfs mount plain "$T/home/m"
is 'the user reads' "$(user sha256sum "$T/home/m/large" | cut -d' ' -f1)" \
    "$(as_user sh -c "layerfs --store $T/home/.local/share/layerfs inspect --tree --digests plain" |
        grep -oE '^.*large.*$' | grep -oE '[0-9a-f]{64}' | head -1)"
is 'and sees all names' "$(user find home/m | wc -l)" "$(user find home/m | sort -u | wc -l)"
refute 'root, whom nobody asked, is kept out' ls home/m
is 'the data mode is cached: passthrough needs privilege' \
    "$(user layerfs stats --json "$T/home/m" | jq -r '(if type == "array" then .[0] else . end) | .data')" cached
check 'umount' user layerfs umount "$T/home/m"
check 'it is gone' not_mounted home/m
is 'no daemon is left' "$(daemons)" ''
fails 'passthrough is refused with a reason' '[1-5]' 'passthrough' \
    user layerfs mount --data=passthrough plain "$T/home/m"
check 'nothing is mounted' not_mounted home/m
if mounted home/m; then user layerfs umount "$T/home/m"; fi
check 'devices and owners do not hinder' user layerfs pull --quiet "oci:$T/oci:features"
user layerfs mount features "$T/home/m"
is 'files keep their owners' "$(user stat -c %u:%g home/m/big-owner)" 2097157:4294967294
refute 'a file of mode 0 is not readable' user cat home/m/none
user layerfs umount "$T/home/m"
user mkdir home/x
fails "another's mountpoint is refused" '[1-5]' . user layerfs mount plain "$T/oci"
export XDG_DATA_HOME=$T/home/data
check 'XDG_DATA_HOME is honoured' user layerfs pull --quiet "oci:$T/oci:plain"
check 'there' test -f home/data/layerfs/index.json
