# SPDX-License-Identifier: Apache-2.0
# The systemd units: what an installation has is what systemd accepts.
. "$LAYERFS_TESTS/lib.sh"
if ! command -v systemd-analyze >/dev/null; then
    skip 'systemd accepts the units' 'systemd is not installed'
    exit
fi
mkdir units
cp "$LAYERFS_ROOT/tools/systemd/layerfs-gc.timer" units/
for unit in layerfs-gc.service layerfs@.service; do
    sed "s|/[^ ]*/bin/layerfs |$BUILD/tools/layerfs |" "$BUILD/tools/$unit" >"units/$unit"
    refute "$unit names no unset variable" grep -q '@bindir@' "units/$unit"
done
# Beside problems of the system's own units, which are none of ours.
verify() { ! { systemd-analyze verify --man=no "$@" 2>&1 || true; } | grep layerfs; }
check 'gc.service' verify units/layerfs-gc.service
check 'gc.timer' verify units/layerfs-gc.timer
cp units/layerfs@.service 'units/layerfs@mnt-web.service'
check 'the mount template' verify 'units/layerfs@mnt-web.service'
"$GEN/images" oci plain
layerfs pull --quiet "oci:$T/oci:plain" >/dev/null
# What the units do, without systemd.
for command in $(sed -nE 's/^Exec[A-Za-z]*=-?[^ ]*layerfs ([a-z]+) .*/\1/p' units/*.service | sort -u); do
    check "the units' command $command is one" layerfs "$command" --help
done
