# SPDX-License-Identifier: Apache-2.0
# What every command has in common: help, versions, exit codes, one-line errors.
. "$LAYERFS_TESTS/lib.sh"

like '--version names version and libfuse' "$(layerfs --version)" '[0-9]+\.[0-9]+.*libfuse 3\.[0-9]+'
layerfs --help >help
for c in create pull mount umount images tag rm inspect bundle stats gc df validate; do
    check "--help lists $c" grep -qE "^ *$c( |$)" help
    rc=0
    layerfs $c --help >out 2>err || rc=$?
    is "$c --help ends with 0" $rc 0
    check "$c --help prints its usage to stdout" grep -qi "usage: layerfs.* $c" out
    is "$c --help is quiet on stderr" "$(<err)" ''
    fails "$c refuses an unknown option" 2 "." layerfs $c --no-such-option
done
fails 'an unknown command is a usage error' 2 'no-such' layerfs no-such
fails 'no command is a usage error' 2 . layerfs
fails 'mount without a mountpoint is a usage error' 2 . layerfs mount x
fails 'an unknown data mode is a usage error' 2 nonsense layerfs mount --data=nonsense x "$T"
fails 'an unknown transport is a usage error' 2 nonsense layerfs mount --transport=nonsense x "$T"

"$GEN/images" oci plain
layerfs pull --quiet "oci:$T/oci:plain"
fails 'mount of an image that is not there' 3 'nobody' layerfs mount nobody "$T"
fails 'inspect of an image that is not there' 3 'nobody' layerfs inspect nobody
fails 'tag of an image that is not there' 3 'nobody' layerfs tag nobody other
fails 'rm of an image that is not there' 3 'nobody' layerfs rm nobody
fails 'pull from a layout that is not there' 3 "$T/none" layerfs pull "oci:$T/none"
fails 'pull of a tag that is not there' 3 'none' layerfs pull "oci:$T/oci:none"
fails 'umount of what is not mounted' '1|3' "$T" layerfs umount "$T"
fails 'a mountpoint that is not there' '1|3' "$T/none" layerfs mount plain "$T/none"
touch file
fails 'a mountpoint that is no directory' '1|2|3' "$T/file" layerfs mount plain "$T/file"
fails 'an invalid tag' '1|2' 'bad tag' layerfs tag plain 'bad tag'

layerfs --store "$T/other" pull --quiet "oci:$T/oci:plain"
check '--store wins over LAYERFS_STORE' test -f "$T/other/index.json"
is 'the other store knows its image' \
    "$(layerfs --store "$T/other" images --json | jq -r '.[0].tag // .[0].name // .[0].tags[0]')" plain
check 'the debug switch logs to stderr' \
    sh -c 'LAYERFS_DEBUG=all layerfs images 2>&1 >/dev/null | grep -q "^layerfs\["'
