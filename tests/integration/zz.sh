# needs: corpus
. "$LAYERFS_TESTS/lib.sh"
layerfs pull --quiet "oci:$LAYERFS_CORPUS:python" >/dev/null
mkdir m
layerfs mount --data=passthrough python m
chroot m python3 -c 'print(1)' || true
cat m/usr/bin/python3 | wc -c || true
chroot m python3 -c 'print(1)' || true
layerfs stats m
layerfs umount m
ok x
