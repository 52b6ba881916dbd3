# SPDX-License-Identifier: Apache-2.0
# limit: 600
# layerfs pull from registries: names, authentication, TLS, mirrors, platforms; as skopeo has it.
. "$LAYERFS_TESTS/lib.sh"
. "$LAYERFS_TESTS/lib-registry.sh"
need umoci podman time
"$GEN/images" oci features plain platforms >/dev/null
digest() { skopeo inspect --raw "$@" | sha256sum | sed 's/^/sha256:/; s/ .*//'; }
tags() { layerfs images --json | jq -r '.[].name' | sort | tr '\n' ' '; }
fresh() { rm -rf "$LAYERFS_STORE"; }
pull() { layerfs pull --quiet --retries 0 --timeout 20 "$@"; }

start_registry plain
A=$REGISTRY
push "$T/oci:plain" "$A/a/plain:v1"
push "$T/oci:features" "$A/a/features:latest" --format v2s2 2>/dev/null ||
    skopeo copy -q --format v2s2 --dest-tls-verify=false "oci:$T/oci:features" "docker://$A/a/features:latest"
push "$T/oci:platforms" "$A/a/platforms" --all

# http
fails 'http needs --tls-verify=false' '1|4' "$A" layerfs pull --retries 0 "docker://$A/a/plain:v1"
layerfs pull --tls-verify=false --dest-digest-file "$T/digest" "docker://$A/a/plain:v1" >out 2>err
want=$(digest --tls-verify=false "docker://$A/a/plain:v1")
is 'the digest is that of skopeo' "$(<out)" "$want"
is '--dest-digest-file' "$(<digest)" "$want"
is 'the name is the full reference' "$(tags)" "$A/a/plain:v1 "
skopeo copy -q --preserve-digests --src-tls-verify=false "docker://$A/a/plain:v1" "oci:$T/sk:x"
is 'blobs are those that skopeo has' "$(ls "$LAYERFS_STORE/blobs/sha256")" "$(ls sk/blobs/sha256)"
check 'and sound' blobs_sound "$LAYERFS_STORE"
mount_image "$A/a/plain:v1" m
dump m got.dump
layerfs umount m
layerfs pull --quiet --tag local "oci:$T/oci:plain" >/dev/null
mount_image local m
dump m want.dump
layerfs umount m
same 'the tree is that of the layout' want.dump got.dump
check 'umoci reads the store' umoci unpack --image "$LAYERFS_STORE:$A/a/plain:v1" um
check 'skopeo reads the store' skopeo copy -q "oci:$LAYERFS_STORE:$A/a/plain:v1" "oci:$T/sk2:x"
lines=$(wc -l <plain/access)
layerfs pull --quiet --tls-verify=false "$A/a/plain:v1" >/dev/null
is 'pulling again fetches no layer' "$(tail -n "+$((lines + 1))" plain/access |
    grep -c '"GET /v2/a/plain/blobs/')" 1 # the config
skopeo copy -q "oci:$T/oci:plain" "oci:$T/two:base"
umoci unpack --image two:base two-b 2>/dev/null
echo more >two-b/rootfs/more
umoci repack --image two:image two-b 2>/dev/null
push "$T/two:image" "$A/a/second"
lines=$(wc -l <plain/access)
layerfs pull --quiet --tls-verify=false "$A/a/second" >/dev/null
is 'a second image on the same layers fetches the rest: a layer and the config' \
    "$(tail -n "+$((lines + 1))" plain/access | grep -c '"GET /v2/a/second/blobs/')" 2
layerfs rm second
fails 'a tag that is not there' 3 'a/plain.*404' layerfs pull --tls-verify=false "$A/a/plain:none"
fails 'nobody listens' 1 '127.0.0.1:1/' layerfs pull --tls-verify=false 127.0.0.1:1/x

# by digest, docker schema 2, indexes
pull --tls-verify=false "$A/a/plain@$want" >out
is 'by digest' "$(<out)" "$want"
pull --tls-verify=false "$A/a/features" >out
is 'docker schema 2 keeps its digest' "$(<out)" "$(digest --tls-verify=false "docker://$A/a/features")"
mount_image "$A/a/features" m
dump m got.dump
layerfs umount m
pull --tag f "oci:$T/oci:features" >/dev/null
mount_image f m
dump m want.dump
layerfs umount m
same 'and is the same tree' want.dump got.dump
pull --tls-verify=false --platform linux/arm64 --tag arm "$A/a/platforms" >/dev/null
mount_image arm m
is '--platform' "$(<m/platform)" arm64
layerfs umount m
fails 'a platform that is not there' 3 's390x' \
    layerfs pull --tls-verify=false --platform linux/s390x "$A/a/platforms"
fresh
pull --tls-verify=false --all-platforms "$A/a/platforms" >out
is '--all-platforms keeps the index' "$(<out)" "$(digest --tls-verify=false "docker://$A/a/platforms")"
is 'under one name' "$(jq -r '.manifests | length' "$LAYERFS_STORE/index.json")" 1
check 'and skopeo copies all of it' skopeo copy -q --all --preserve-digests \
    "oci:$LAYERFS_STORE:$A/a/platforms:latest" "oci:$T/all:x"
layerfs mount --platform linux/arm/v7 "$A/a/platforms" m
is 'and any platform mounts' "$(<m/platform)" armv7
layerfs umount m

# output
fresh
layerfs pull --json --tls-verify=false "$A/a/plain:v1" >out 2>err
is '--json: the result' "$(jq -r .digest out)" "$want"
is '--json: events' "$(jq -r 'select(.event == "done") | .event' err | sort -u)" 'done'
like 'inspect needs no pull' "$(layerfs inspect --tls-verify=false "docker://$A/a/platforms")" \
    'Platform'
is 'inspect --manifest' "$(layerfs inspect --manifest --tls-verify=false "docker://$A/a/plain:v1" |
    sha256sum | cut -d' ' -f1)" "${want#sha256:}"

# registries.conf
fresh
cat >r.conf <<END
unqualified-search-registries = ["127.0.0.1:1", "$A"]
[aliases]
"nick" = "$A/a/plain"
[[registry]]
location = "$A"
insecure = true
[[registry]]
location = "127.0.0.1:1"
insecure = true
[[registry]]
prefix = "example.test/team"
location = "$A/a"
insecure = true
[[registry.mirror]]
location = "127.0.0.1:1/mirror"
[[registry]]
prefix = "example.test/mirrored"
location = "127.0.0.1:1/none"
[[registry.mirror]]
location = "$A/a"
insecure = true
[[registry]]
location = "example.test/bad"
blocked = true
END
export CONTAINERS_REGISTRIES_CONF=$T/r.conf
is 'an alias' "$(pull nick:v1)" "$want"
is 'a search registry' "$(pull a/plain:v1)" "$want"
is 'both have the name of where they were' "$(tags)" "$A/a/plain:v1 "
check 'a short name finds it' layerfs inspect plain:v1
check 'and mounts' mount_image a/plain:v1 m
layerfs umount m
is 'a dead mirror is passed over' "$(pull example.test/team/plain:v1)" "$want"
is 'a mirror serves for a dead registry' "$(pull example.test/mirrored/plain:v1)" "$want"
fails 'a blocked registry' 5 'blocked' layerfs pull example.test/bad/x
check 'rm by the short name' layerfs rm team/plain:v1
fails 'a registries.conf that is not there' 3 'none.conf' \
    layerfs pull --registries-conf none.conf nick
echo 'x = [' >bad.conf
fails 'a broken registries.conf' 4 'line' layerfs pull --registries-conf bad.conf nick
export CONTAINERS_REGISTRIES_CONF=$T/registries.conf

# TLS with a private CA
start_registry tls tls
B=$REGISTRY
push "$T/oci:plain" "$B/plain:v1"
fails 'an unknown CA' 1 'certificate' layerfs pull --retries 0 "$B/plain:v1"
is '--cert-dir' "$(pull --cert-dir "$T/tls" "$B/plain:v1" 2>&1)" "$want"
mkdir -p "$HOME/.config/containers/certs.d/$B"
cp tls/ca.crt "$HOME/.config/containers/certs.d/$B/"
is 'certs.d' "$(pull "$B/plain:v1")" "$want"
like 'over HTTP/2' "$(grep plain/manifests tls/access | grep layerfs | tail -1)" 'HTTP/2'
rm -r "$HOME/.config"
is '--tls-verify=false' "$(pull --tls-verify=false "$B/plain:v1")" "$want"

# Basic
start_registry basic htpasswd
C=$REGISTRY
push "$T/oci:plain" "$C/team/plain:v1" --dest-creds "$USER_NAME:$PASSWORD"
fails 'no credentials' 5 'credentials' layerfs pull --tls-verify=false "$C/team/plain:v1"
write_auth wrong.json "$C" "$USER_NAME" wrong-secret
fails 'wrong credentials' 5 'refused' \
    layerfs pull --tls-verify=false --authfile wrong.json "$C/team/plain:v1"
is 'no secret in the text' "$(grep -c wrong-secret .err)" 0
write_auth auth.json "$C"
is '--authfile' "$(pull --tls-verify=false --authfile auth.json "$C/team/plain:v1")" "$want"
is '$REGISTRY_AUTH_FILE' \
    "$(REGISTRY_AUTH_FILE=$T/auth.json pull --tls-verify=false "$C/team/plain:v1")" "$want"
mkdir -p run/containers "$HOME/.docker" bin
cp auth.json run/containers/
is '$XDG_RUNTIME_DIR' "$(XDG_RUNTIME_DIR=$T/run pull --tls-verify=false "$C/team/plain:v1")" "$want"
cp auth.json "$HOME/.docker/config.json"
is '~/.docker/config.json' "$(pull --tls-verify=false "$C/team/plain:v1")" "$want"
cat >bin/docker-credential-test <<END
#!/bin/sh
[ "\$1" = get ] && [ "\$(cat)" = "$C" ] || { echo 'credentials not found in native keychain'; exit 1; }
echo '{"ServerURL":"$C","Username":"$USER_NAME","Secret":"$PASSWORD"}'
END
chmod +x bin/docker-credential-test
echo "{\"credHelpers\":{\"$C\":\"test\"}}" >"$HOME/.docker/config.json"
is 'credHelpers' "$(PATH=$T/bin:$PATH pull --tls-verify=false "$C/team/plain:v1")" "$want"
echo '{"credsStore":"test"}' >"$HOME/.docker/config.json"
is 'credsStore' "$(PATH=$T/bin:$PATH pull --tls-verify=false "$C/team/plain:v1")" "$want"
rm -r "$HOME/.docker"
out=$(LAYERFS_DEBUG=all layerfs pull --tls-verify=false --authfile auth.json "$C/team/plain:v1" 2>&1)
is 'no secret in debug lines' "$(grep -cE "$PASSWORD|$(printf %s "$USER_NAME:$PASSWORD" | base64 -w0)" <<<"$out")" 0

# Bearer
start_tokens
start_registry bearer token
D=$REGISTRY
push "$T/oci:plain" "$D/team/plain:v1" --dest-creds "$USER_NAME:$PASSWORD"
fails 'a token server that refuses' 5 'token server' layerfs pull --tls-verify=false "$D/team/plain:v1"
write_auth auth.json "$D/team"
: >tokens/log
fresh
is 'a token' "$(pull --tls-verify=false --authfile auth.json "$D/team/plain:v1")" "$want"
is 'is asked for once' "$(grep -c ' 200 ok' tokens/log)" 1
jq -n --arg host "$D" --arg token "refresh-$PASSWORD" \
    '{auths: {($host): {auth: "eDp4", identitytoken: $token}}}' >identity.json
is 'an identity token' "$(pull --tls-verify=false --authfile identity.json "$D/team/plain:v1")" "$want"
like 'by POST' "$(tail -1 tokens/log)" '^POST /token 200'

start_proxy "$D"
write_auth auth.json "$PROXY"
fresh
: >tokens/log
fault forget 1
is 'a token that has run out is renewed' \
    "$(pull --tls-verify=false --authfile auth.json "$PROXY/team/plain:v1")" "$want"
is 'by a second one' "$(grep -c ' 200 ok' tokens/log)" 2
fresh
fault forget
fails 'one that is never taken ends' 5 'refused' \
    layerfs pull --tls-verify=false --authfile auth.json "$PROXY/team/plain:v1"

# Foreign layers: from their URLs.
mkdir -p foreign/www
layer=$(jq -r '.layers[0].digest' "oci/blobs/${want/://}")
cp "oci/blobs/${layer/://}" foreign/www/layer
python3 -u -m http.server --bind 127.0.0.1 --directory foreign/www 0 >foreign/log 2>foreign/err &
wait_until 20 grep -q 'port ' foreign/log
url=http://127.0.0.1:$(sed -nE 's/.*port ([0-9]+).*/\1/p' foreign/log)/layer
cp -r oci foreign/oci
jq -c --arg url "$url" '.layers[0].mediaType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" |
    .layers[0].urls = ["http://127.0.0.1:1/gone", $url]' "oci/blobs/${want/://}" >foreign/manifest
python3 - "$A" foreign/manifest "oci/blobs/$(jq -r .config.digest foreign/manifest | tr : /)" <<'END'
import hashlib, sys, urllib.request
host, manifest, config = sys.argv[1:]
def send(method, url, data, kind):
    request = urllib.request.Request(url, data=data, method=method, headers={'Content-Type': kind})
    return urllib.request.urlopen(request)
data = open(config, 'rb').read()
where = send('POST', f'http://{host}/v2/a/foreign/blobs/uploads/', b'', 'text/plain').headers['Location']
send('PUT', f'{where}&digest=sha256:{hashlib.sha256(data).hexdigest()}', data, 'application/octet-stream')
send('PUT', f'http://{host}/v2/a/foreign/manifests/latest', open(manifest, 'rb').read(),
     'application/vnd.oci.image.manifest.v1+json')
END
fresh
is 'a foreign layer' "$(pull --tls-verify=false "$A/a/foreign")" \
    "sha256:$(sha256sum <foreign/manifest | cut -d' ' -f1)"
is 'comes from its URL' "$(grep -c 'GET /layer' foreign/err)" 1

# Memory does not depend on the size.
if [ -z "$SANITIZE" ]; then
    "$GEN/images" big big:200 >/dev/null
    push "$T/big:big" "$A/a/big"
    /usr/bin/time -f %M -o rss layerfs pull --quiet --tls-verify=false "$A/a/big" >/dev/null
    at_most 'KiB of memory for a layer of 200 MiB' "$(<rss)" 131072
fi
