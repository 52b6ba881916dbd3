# SPDX-License-Identifier: Apache-2.0
# needs: corpus
# layerfs bundle, and the mount as the root of crun, runc, podman, chroot and bubblewrap.
. "$LAYERFS_TESTS/lib.sh"
need crun runc podman bwrap jq
layerfs pull --quiet "oci:$LAYERFS_CORPUS:python" >/dev/null
# crun does not take cgroup v1 and v2 at once; this namespace is the test's own.
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
program='import ssl, json, sqlite3; print(json.dumps([sqlite3.connect(":memory:").execute("select 6*7").fetchone()[0], ssl.OPENSSL_VERSION[:7]]))'
wanted='[42, "OpenSSL"]'

check 'bundle' layerfs bundle python "$T/b" -- python3 -c "$program"
check 'config.json is an OCI runtime configuration' jq -e '.ociVersion and .process.args and .root.path' b/config.json
is 'its arguments are those given' "$(jq -r '.process.args[0]' b/config.json)" python3
check 'its environment has the PATH of the image' \
    sh -c "jq -r '.process.env[]' b/config.json | grep -qx 'PATH=$(layerfs inspect --config python |
        jq -r '.config.Env[] | select(startswith("PATH=")) | .[5:]')'"
check 'rootfs is mounted' mounted b/rootfs
rc=0
out=$(crun --root "$T/crun" run --bundle b layerfs-test-$$ 2>err) || rc=$?
is 'crun runs python of the bundle' "$rc ${out%$'\r'} $(<err)" "0 $wanted "
rc=0
out=$(runc --root "$T/runc" run --bundle b layerfs-test-$$ 2>err </dev/null) || rc=$?
is 'runc runs python of the bundle' "$rc ${out%$'\r'} $(<err)" "0 $wanted "
check 'umount of the rootfs' layerfs umount b/rootfs
is 'no daemon is left' "$(daemons)" ''

# Without arguments: those of the image. With an upper: writable.
mkdir up
check 'bundle --upper' layerfs bundle --upper "$T/up" python "$T/w" -- \
    sh -c 'echo written >/file && cat /file'
is 'crun writes' "$(crun --root "$T/crun" run --bundle w layerfs-test-w$$ | tr -d '\r')" written
check 'into the upper' sh -c 'find up -name file | grep -q .'
layerfs umount w/rootfs
layerfs bundle python "$T/i"
is 'the command of the image is the default' "$(jq -c .process.args i/config.json)" \
    "$(layerfs inspect --config python | jq -c '(.config.Entrypoint // []) + (.config.Cmd // [])')"
layerfs umount i/rootfs
layerfs create --tag u --from python --user 1000:1001 --workdir /usr --env X=y --tar <(tar -cf - -T /dev/null) >/dev/null 2>&1 ||
    { tar -cf empty.tar -T /dev/null; layerfs create --tag u --from python --user 1000:1001 --workdir /usr --env X=y --tar empty.tar >/dev/null; }
layerfs bundle u "$T/u" -- sh -c 'echo $(id -u):$(id -g) $PWD $X'
is 'user, directory and environment of the image' \
    "$(crun --root "$T/crun" run --bundle u layerfs-test-u$$ | tr -d '\r')" '1000:1001 /usr y'
layerfs umount u/rootfs
remember
mkdir full && touch full/file
fails 'a bundle directory that is not empty' '[1-5]' full layerfs bundle python "$T/full"
fails 'a bundle of an image that is not there' 3 nobody layerfs bundle nobody "$T/n"
unchanged 'after refused bundles'

# The mount itself as a root.
pod_run() {
    pod --runtime runc run --rm --network=host --ulimit nofile=1024:20000 \
        --ulimit nproc=10000:10000 "$@"
}
mkdir m up2
layerfs mount --upper up2 python m
is 'podman --rootfs on a writable mount' \
    "$(pod_run --rootfs "$T/m" python3 -c "$program" 2>err || cat err)" "$wanted"
check 'umount right after' layerfs umount m
for mode in $(data_modes); do
    layerfs mount --data=$mode python m
    # podman makes /etc/mtab where an image has none, so it gets a place to write: its own overlay.
    is "$mode: podman --rootfs" "$(pod_run --rootfs "$T/m:O" python3 -c "$program" 2>err || cat err)" \
        "$wanted"
    is "$mode: chroot" "$(chroot m python3 -c "$program")" "$wanted"
    is "$mode: bubblewrap" "$(bwrap --ro-bind m / --proc /proc --dev /dev python3 -c "$program")" "$wanted"
    check "$mode: umount right after" layerfs umount m
done
is 'no daemon is left' "$(daemons)" ''
