# SPDX-License-Identifier: Apache-2.0
# limit: 900
# Pulls through a proxy that makes faults: each ends well or with a clear error in time, and leaves
# the store sound.
. "$LAYERFS_TESTS/lib.sh"
. "$LAYERFS_TESTS/lib-registry.sh"
"$GEN/images" oci plain features >/dev/null
start_registry upstream htpasswd
push "$T/oci:plain" "$REGISTRY/r/plain:v1" --dest-creds "$USER_NAME:$PASSWORD"
export OTHER_AUTH="$USER_NAME:$PASSWORD" # the other host needs nothing from its clients
start_proxy "$REGISTRY"
write_auth auth.json "$PROXY"
want=$(jq -r '.manifests[] | select(.annotations."org.opencontainers.image.ref.name" == "plain").digest' \
    oci/index.json)
pull() { layerfs pull --quiet --tls-verify=false --authfile auth.json "$@" "$PROXY/r/plain:v1"; }

# sound NAME: nothing is visible that is not whole.
sound() {
    local left
    left=$(ls -A "$LAYERFS_STORE/tmp")
    check "$1: blobs are sound" blobs_sound "$LAYERFS_STORE"
    is "$1: nothing is left in tmp/" "$left" ''
}

# survives NAME FAULT…: the pull ends well all the same.
survives() {
    local name=$1
    shift
    rm -rf "$LAYERFS_STORE"
    fault "$@"
    is "$name: ends well" "$(pull --timeout 2 2>&1)" "$want"
    sound "$name"
}

# gives_up NAME CODES REGEX SECONDS FAULT…: a clear error in time; the next pull, without faults,
# ends well.
gives_up() {
    local name=$1 codes=$2 regex=$3 seconds=$4 start
    shift 4
    rm -rf "$LAYERFS_STORE"
    fault "$@"
    start=$SECONDS
    fails "$name: a clear error" "$codes" "$regex" pull --timeout 2 --retries 1
    at_most "$name: in time" $((SECONDS - start)) $((seconds * ${SANITIZE:+4} + seconds))
    is "$name: no image" "$(layerfs images --json | jq length)" 0
    sound "$name"
    fault none
    is "$name: the next pull ends well" "$(pull)" "$want"
    sound "$name, then pulled"
}

survives 'three 503' status 3 503
survives '429 with Retry-After' status 1 429
survives '408' status 1 408
survives 'a reset at every 64 KiB' reset
is 'a reset at every 64 KiB: the layer is begun once' \
    "$(awk '$3 ~ "/blobs/" && $7 > 4096 && $5 == "-"' proxy/log | wc -l)" 1
is 'and each request goes on' "$(awk '$3 ~ "/blobs/" && $5 != "-" {print $5}' proxy/log)" \
    "$(awk '$3 ~ "/blobs/" && $5 != "-" {print $5}' proxy/log | sort -n)"
survives 'truncated once' truncate 1
survives 'one stall' stall 1
survives 'one silence' silent 1
survives 'one slow loris' loris 1
survives 'a slow loris in the header' loris-head 1
survives 'Range is ignored' ignore-range 2 300000
survives 'a wrong Content-Range' bad-range 2
survives 'no Content-Range' no-range 2
survives 'redirected' redirect
is 'no credentials go to another host' "$(awk -v p="${PROXY_OTHER#*:}" '$1 == p {print $6}' \
    proxy/log | sort -u)" '-'
is 'which serves the layer' "$(awk -v p="${PROXY_OTHER#*:}" '$1 == p {print $4}' proxy/log |
    sort -u)" 200

gives_up 'always 500' 4 'HTTP status 500.*made by the test' 10 status 999 500
gives_up 'a 404' 3 'HTTP status 404' 5 status 999 404
gives_up 'always truncated' 1 'early|reset' 60 truncate
gives_up 'a stall each time' 1 'stalled|timed out' 60 stall
gives_up 'always silence' 1 'no answer|timed out' 20 silent
gives_up 'a slow loris' 1 'stalled|timed out' 20 loris
gives_up 'wrong bytes' 4 'digest mismatch|checksum|corrupt|invalid' 10 corrupt
gives_up 'a shorter blob' 4 'size' 10 short
gives_up 'a redirect to itself' 4 'redirects' 10 loop

# What stopped halfway goes on.
rm -rf "$LAYERFS_STORE"
fault truncate 1
refute 'stopped halfway' pull --retries 0
half=$(awk '$3 ~ "/blobs/" && $7 > 4096 {print $7}' proxy/log)
fault none
is 'and pulled again' "$(pull)" "$want"
is 'only the rest is fetched' "$(awk '$3 ~ "/blobs/" && $7 > 4096 {print $5}' proxy/log)" "$half"
is 'partial/ is empty' "$(ls -A "$LAYERFS_STORE/partial")" ''

# What lies in partial/ may be wrong.
rm -rf "$LAYERFS_STORE"
fault truncate 1
refute 'stopped halfway again' pull --retries 0
printf 'damaged' | dd of="$(ls "$LAYERFS_STORE"/partial/*)" bs=1 seek=5000 conv=notrunc status=none
fault none
is 'a damaged partial blob is fetched anew' "$(pull)" "$want"
sound 'a damaged partial blob'

# Several at once.
rm -rf "$LAYERFS_STORE"
fault none
pids=()
for i in 1 2 3; do
    pull >"out$i" 2>&1 &
    pids+=($!)
done
for p in "${pids[@]}"; do wait "$p" || true; done
is 'three at once end well' "$(cat out1 out2 out3 | sort -u)" "$want"
is 'and fetch a layer once' "$(awk '$3 ~ "/blobs/" && $7 > 4096' proxy/log | wc -l)" 1

# The rate limit: 14 MB at 7 MB/s take about two seconds, with one second's worth for free.
rm -rf "$LAYERFS_STORE"
start=${EPOCHREALTIME/./}
is '--limit-rate' "$(pull --limit-rate 7M)" "$want"
check 'is kept' test $((${EPOCHREALTIME/./} - start)) -ge 900000
