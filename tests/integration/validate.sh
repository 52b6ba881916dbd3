# SPDX-License-Identifier: Apache-2.0
# limit: 600
# layerfs validate: every rule, every kind of damage, repair.
. "$LAYERFS_TESTS/lib.sh"
"$GEN/images" oci plain features
S=$LAYERFS_STORE
layerfs pull --quiet "oci:$T/oci:plain" >/dev/null
layerfs pull --quiet "oci:$T/oci:features" >/dev/null
check 'a fresh store is sound' layerfs validate
check 'and so in depth' layerfs validate --deep
is 'without a finding' "$(layerfs validate --deep --json | jq '.findings | length')" 0
check 'one image' layerfs validate --deep plain
check 'a layout' layerfs validate --deep "oci:$T/oci"
check 'an image of a layout' layerfs validate --deep "oci:$T/oci:features"
tar -C oci -cf archive.tar .
check 'an image of an archive' layerfs validate --deep "oci-archive:$T/archive.tar:plain"
is 'which leaves no trace' "$(ls)" "$(printf 'archive.tar\noci\nstore')"
fails 'an image that is not there' 3 nobody layerfs validate nobody

# Single bits, in a sample of all kinds of files.
mkdir m up
layerfs mount --upper "$T/up" plain m
flips=0 missed=''
flip_all() { # SEED: one bit in each file below the store
    local f size bit o byte
    while read -r f; do
        size=$(stat -c %s "$f")
        [ "$size" -gt 0 ] || continue
        bit=$(awk -v seed="$1$flips" -v n=$((size * 8)) 'BEGIN { srand(seed); print int(rand() * n) }')
        o=$((bit / 8))
        byte=$(od -An -tu1 -j $o -N 1 "$f")
        cp -p "$f" saved
        printf "\\x$(printf %02x $((byte ^ (1 << (bit % 8)))))" | dd of="$f" bs=1 seek=$o conv=notrunc status=none
        flips=$((flips + 1))
        layerfs validate --deep --json >out 2>/dev/null || true
        if ! jq -e '.findings | length > 0' out >/dev/null 2>&1 && [ -s out ]; then missed+="$f bit $bit; "; fi
        cp -p saved "$f"
    done < <(find "$S" -type f ! -path '*/locks/*' ! -path '*/leases/*' | sort)
}
rounds=1
[ -z "$LONG" ] || rounds=40
for r in $(seq $rounds); do flip_all "$r"; done
is "each of $flips single bits is found" "$missed" ''
layerfs umount m
rm -rf up
layerfs gc --grace 0 >/dev/null
layerfs validate --repair >/dev/null # the notes: files were replaced
is 'and the store is sound again' "$(layerfs validate --deep --json | jq '.findings | length')" 0

# finds NAME KIND REGEX: exactly this kind of error is found, and its text matches.
finds() {
    local rc=0
    layerfs validate --deep --json >out 2>err || rc=$?
    if [ $rc = 4 ] && jq -e --arg k "$2" --arg r "$3" \
        '.findings[] | select(.severity == "error" and .kind == $k and ((.object + ": " + .text) | test($r)))' out >/dev/null; then
        ok "$1"
    else
        not_ok "$1" "exit status $rc: $(cat out err)"
    fi
}
# repairs NAME STATE: --repair says so; then the image mounts and is sound.
repairs() {
    layerfs validate --deep --repair --json >out 2>err || true
    is "$1: repair says $2" "$(jq -r '[.findings[] | select(.severity == "error") | .repair] | unique | join(",")' out)" "$2"
}
sound() {
    check "$1: it is sound again" layerfs validate --deep
    layerfs mount plain m
    dump m again
    layerfs umount m
    same "$1: and shows the same" good again
}
damage() { printf 'XXXX' | dd of="$1" bs=1 seek="${2:-100}" conv=notrunc status=none; }
layerfs mount plain m
dump m good
layerfs umount m
object=$(find "$S/objects" -type f | sort | head -1)
[ -n "$(layerfs inspect --tree plain | head -1)" ]
pack=$(find "$S/packs" -type f -size +1k | head -1)
diff_id=$(layerfs inspect --config plain | jq -r '.rootfs.diff_ids[0]')
tree=$S/trees/${diff_id#sha256:}
blob=$S/blobs/$(layerfs inspect --manifest plain 2>/dev/null | jq -r '.layers[0].digest' 2>/dev/null | tr : /)
[ -f "$blob" ] || blob=$(find "$S/blobs" -type f -size +1M | head -1)

damage "$object"
finds 'an object with other bytes' object "${object##*/}.*digest mismatch"
repairs 'an object' repaired
sound 'an object'
truncate -s 70000 "$object"
finds 'an object of another size' object "${object##*/}.*(size is|digest)"
repairs 'its size' repaired
sound 'its size'
rm "$object"
finds 'an object that is missing' object "${object##*/}.*missing"
check 'whose images are named' jq -e '.findings[] | select(.dependents != null)' out
repairs 'a missing object' repaired
sound 'a missing object'
damage "$pack"
finds 'a pack with other bytes' pack "${pack##*/}.*digest mismatch"
repairs 'a pack' repaired
truncate -s 100 "$pack"
finds 'a pack that is cut' pack "${pack##*/}.*shorter"
repairs 'a cut pack' repaired
rm "$pack"
finds 'a pack that is missing' pack "${pack##*/}.*missing"
repairs 'a missing pack' repaired
sound 'packs'
for t in "$tree" "$tree.layer"; do
    damage "$t" 700
    finds "a damaged tree ${t: -6}" tree "trees/.*(checksum|fields|damaged)"
    repairs "a tree ${t: -6}" repaired
done
cp "$tree.layer" "$tree"
finds 'the tree of something else' tree 'something else'
repairs 'it' repaired
sound 'trees'
chmod o+w "$object"
finds 'a file that others may write' permissions 'lets others write'
repairs 'permissions' repaired
chmod g+w "$S/objects"
finds 'a directory that others may write' permissions 'objects.*lets others write'
repairs 'permissions of a directory' repaired
check 'after repairs all is sound' layerfs validate --deep
cp -p "$blob" keep
damage "$blob" 5000
finds 'a blob with other bytes' blob 'digest mismatch'
repairs 'a blob' refetch
refute 'the bad blob is removed' test -e "$blob"
layerfs validate --json >out
like 'a layer with a tree whose blob is missing is a warning' "$(jq -c .findings out)" '"warning".*"blob".*dropped, or is lost'
check 'the next pull brings it' layerfs pull --quiet "oci:$T/oci:plain"
check 'and all is sound' layerfs validate --deep
truncate -s -1 "$blob"
finds 'a blob of another size' blob 'size is [0-9]+, expected'
cp -p keep "$blob"
touch "$S/objects/stray"
layerfs validate --json >out
is 'a stray file is a warning' "$(jq -r '[.findings[] | .severity + " " + .kind] | join(",")' out)" 'warning stray'
rm "$S/objects/stray"
jq . "$S/index.json" >i && cp i "$S/index.json"
layerfs validate --json >out
like 'an index that others wrote is a warning' "$(jq -c .findings out)" '"warning".*another tool'
layerfs validate --repair >/dev/null
is 'which repair accepts' "$(layerfs validate --json | jq '.findings | length')" 0
check 'the low priority' layerfs validate --deep --idle --jobs 1

# Rules of the image-spec, one broken at a time, in a layout that is otherwise sound.
cat >edit.py <<'PY'
"""edit.py LAYOUT PROGRAM: runs PROGRAM with index, manifest, config, layer (the image 'plain'), then
writes all of it again with the right digests."""
import hashlib, json, os, sys
root, program = sys.argv[1:]
def path(d): return os.path.join(root, 'blobs', *d.split(':'))
def load(d): return json.load(open(path(d)))
def put(obj):
    data = obj if isinstance(obj, bytes) else json.dumps(obj).encode()
    d = 'sha256:' + hashlib.sha256(data).hexdigest()
    open(path(d), 'wb').write(data)
    return d, len(data)
index = json.load(open(root + '/index.json'))
index['manifests'] = [m for m in index['manifests'] if m['annotations']['org.opencontainers.image.ref.name'] == 'plain']
entry = index['manifests'][0]
manifest = load(entry['digest'])
config = load(manifest['config']['digest'])
layer = manifest['layers'][0]
fix_config = fix_manifest = True
exec(program)
if fix_config:
    manifest['config']['digest'], manifest['config']['size'] = put(config)
if fix_manifest:
    entry['digest'], entry['size'] = put(manifest)
json.dump(index, open(root + '/index.json', 'w'))
PY
# breaks NAME PROGRAM REGEX: an error (or, REGEX starting with "warning", a warning) with this text.
breaks() {
    local severity=error regex=$3
    if [[ $3 == 'warning '* ]]; then severity=warning regex=${3#warning }; fi
    rm -rf l
    cp -r oci l
    python3 edit.py l "$2"
    layerfs validate --deep --json "oci:$T/l" >out 2>err || true
    if jq -e --arg s $severity --arg r "$regex" \
        '.findings[] | select(.severity == $s and ((.object + ": " + .text) | test($r)))' out >/dev/null; then
        ok "$1"
    else
        not_ok "$1" "$(cat out err)"
    fi
}
rm -rf l && cp -r oci l && python3 edit.py l pass
check 'the layout that is edited is sound' layerfs validate --deep "oci:$T/l"
breaks 'index: schemaVersion' 'index["schemaVersion"] = 3' 'schemaVersion'
breaks 'index: mediaType' 'index["mediaType"] = "application/vnd.oci.image.manifest.v1+json"' 'mediaType'
breaks 'index: manifests is missing' 'del index["manifests"]; index["x"] = 1' 'manifests is missing'
breaks 'index: annotations are strings' 'index["annotations"] = {"a": 1}' 'annotations'
breaks 'index: artifactType' 'index["artifactType"] = "x"' 'artifactType'
breaks 'index: subject' 'index["subject"] = {"mediaType": "a/b"}' 'subject'
breaks 'platform: os' 'entry["platform"] = {"architecture": "amd64"}' 'platform has no os'
breaks 'platform: architecture' 'entry["platform"] = {"os": "linux"}' 'platform has no architecture'
breaks 'platform: that of the config' 'entry["platform"] = {"os": "linux", "architecture": "s390x"}' 'warning entry in an index'
breaks 'descriptor: mediaType is missing' 'del layer["mediaType"]' 'mediaType'
breaks 'descriptor: mediaType by its grammar' 'layer["mediaType"] = "x y"' 'mediaType'
breaks 'descriptor: digest is missing' 'del layer["digest"]' 'digest'
breaks 'descriptor: digest by its grammar' 'layer["digest"] = "sha256:xyz"' 'digest'
breaks 'descriptor: digest in capitals' 'layer["digest"] = layer["digest"].replace("a", "A").replace("b", "B").replace("c", "C")' 'digest'
breaks 'descriptor: size is missing' 'del layer["size"]' 'size'
breaks 'descriptor: size is negative' 'layer["size"] = -1' 'size'
breaks 'descriptor: size is wrong' 'layer["size"] += 1' 'size is [0-9]+, expected'
breaks 'descriptor: urls are URIs' 'layer["urls"] = ["not a uri"]' 'urls'
breaks 'descriptor: urls are strings' 'layer["urls"] = [1]' 'urls'
breaks 'descriptor: annotations are strings' 'layer["annotations"] = {"a": []}' 'annotations'
breaks 'descriptor: data is base64' 'layer["data"] = "?"' 'base64'
breaks 'descriptor: data has the size' 'layer["data"] = "AAAA"' 'data has 3 bytes'
breaks 'descriptor: data has the digest' 'import base64; d = json.dumps(config).encode(); layer = manifest["config"]; layer["data"] = base64.b64encode(b"x" * len(d)).decode()' 'data do not have the digest'
breaks 'manifest: schemaVersion' 'manifest["schemaVersion"] = 1' 'schema'
breaks 'manifest: mediaType' 'manifest["mediaType"] = "application/vnd.oci.image.index.v1+json"' 'mediaType'
breaks 'manifest: both kinds at once' 'manifest["manifests"] = []' 'manifests'
breaks 'manifest: config is missing' 'del manifest["config"]; fix_config = False' 'config'
breaks 'manifest: layers is missing' 'del manifest["layers"]' 'layers is missing'
breaks 'manifest: layers is null' 'manifest["layers"] = None' 'layers is null'
breaks 'manifest: an empty config needs an artifactType' 'manifest["config"]["mediaType"] = "application/vnd.oci.empty.v1+json"' 'artifactType'
breaks 'manifest: more layers than diffIDs' 'manifest["layers"].append(layer)' 'diff_ids'
breaks 'manifest: a blob is missing' 'os.remove(path(layer["digest"]))' 'missing'
breaks 'manifest: media type of another compression' 'layer["mediaType"] = "application/vnd.oci.image.layer.v1.tar+zstd"' 'warning media type says zstd'
breaks 'config: architecture is missing' 'del config["architecture"]' 'architecture'
breaks 'config: os is missing' 'del config["os"]' 'os'
breaks 'config: rootfs is missing' 'del config["rootfs"]' 'rootfs'
breaks 'config: rootfs.type' 'config["rootfs"]["type"] = "x"' 'layers'
breaks 'config: diff_ids is missing' 'del config["rootfs"]["diff_ids"]' 'diff_ids'
breaks 'config: diff_ids is null' 'config["rootfs"]["diff_ids"] = None' 'null'
breaks 'config: the wrong diffID' 'config["rootfs"]["diff_ids"][0] = "sha256:" + "0" * 64' 'diffID mismatch'
breaks 'config: created' 'config["created"] = "yesterday"' 'RFC 3339'
breaks 'config: Env' 'config["config"] = {"Env": ["X"]}' 'Env'
breaks 'config: Env is strings' 'config["config"] = {"Env": [1]}' 'Env'
breaks 'config: ExposedPorts' 'config["config"] = {"ExposedPorts": {"http": {}}}' 'ExposedPorts'
breaks 'config: Volumes' 'config["config"] = {"Volumes": {"/x": 1}}' 'Volumes'
breaks 'config: StopSignal' 'config["config"] = {"StopSignal": "KILL ME"}' 'StopSignal'
breaks 'config: Labels' 'config["config"] = {"Labels": {"a": 1}}' 'Labels'
breaks 'config: history' 'config["history"] = [1]' 'history'
breaks 'config: history.created' 'config["history"] = [{"created": "x"}]' 'RFC 3339'
breaks 'config: history.empty_layer' 'config["history"] = [{"empty_layer": 1}]' 'empty_layer'
breaks 'config: history of another number of layers' 'config["history"] = [{}, {}, {}, {}, {}, {}]' 'warning history tells'
breaks 'config: a damaged one' 'open(path(manifest["config"]["digest"]), "ab").write(b" "); fix_config = False' 'size'
breaks 'layer: no tar' 'import gzip; d = b"x" * 4096; layer["digest"], layer["size"] = put(gzip.compress(d)); config["rootfs"]["diff_ids"][0] = "sha256:" + hashlib.sha256(d).hexdigest()' 'layer|tar'
breaks 'layer: a cut gzip' 'd = open(path(layer["digest"]), "rb").read()[:-100]; layer["digest"], layer["size"] = put(d)' 'blobs?.*'
rm -rf l && cp -r oci l
echo '{"imageLayoutVersion": "1.0.7"}' >l/oci-layout
refute 'oci-layout: version' layerfs validate "oci:$T/l"
echo '{' >l/index.json
refute 'index.json: no JSON' layerfs validate "oci:$T/l"
