# SPDX-License-Identifier: Apache-2.0
# Registries for integration scripts: `. "$LAYERFS_TESTS/lib-registry.sh"` after lib.sh.
#
# All listen on free ports of 127.0.0.1 and keep their files in $T/NAME; they end with the script's
# namespace. Clients see no configuration of the machine: HOME is empty, registries.conf too.
# shellcheck shell=bash disable=SC2034  # what is set is for scripts
need docker-registry skopeo htpasswd openssl python3 jq
export HOME=$T/home XDG_CONFIG_HOME=$T/home/.config
unset REGISTRY_AUTH_FILE DOCKER_CONFIG http_proxy https_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY
export no_proxy='*'
mkdir -p "$HOME"
: >"$T/registries.conf"
export CONTAINERS_REGISTRIES_CONF=$T/registries.conf
USER_NAME=someone PASSWORD=pass:word-7Ht

# certificate DIR: a private CA (ca.crt) and a server's cert.pem and key.pem for 127.0.0.1.
certificate() {
    (
        cd "$1" || exit
        openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -days 2 \
            -subj '/CN=test CA' -addext 'basicConstraints=critical,CA:TRUE'
        openssl req -newkey rsa:2048 -nodes -keyout key.pem -out cert.csr -subj '/CN=127.0.0.1'
        openssl x509 -req -in cert.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
            -out cert.pem -extfile <(echo 'subjectAltName=IP:127.0.0.1')
    ) 2>/dev/null
}

registry_listens() { grep -q 'listening on' "$1/log"; }

# start_registry NAME [tls] [htpasswd] [token]: sets REGISTRY (127.0.0.1:PORT), REGISTRY_PID. Its
# access log is $T/NAME/access.
start_registry() {
    local name=$1 dir=$T/$1 word
    shift
    mkdir -p "$dir/data"
    {
        printf 'version: 0.1\nlog: {level: info}\n'
        printf 'storage: {filesystem: {rootdirectory: %s/data}, delete: {enabled: true}}\n' "$dir"
        printf 'validation: {manifests: {urls: {allow: [".*"]}}}\n'
        printf 'http:\n  addr: 127.0.0.1:0\n  secret: none\n'
        for word; do
            case $word in
            tls)
                certificate "$dir"
                printf '  tls: {certificate: %s/cert.pem, key: %s/key.pem}\n' "$dir" "$dir"
                ;;
            htpasswd)
                htpasswd -Bbn "$USER_NAME" "$PASSWORD" >"$dir/htpasswd"
                printf 'auth: {htpasswd: {realm: test, path: %s/htpasswd}}\n' "$dir"
                ;;
            token)
                printf 'auth: {token: {realm: "http://127.0.0.1:%s/token", service: test, ' \
                    "$(<"$T/tokens/port")"
                printf 'issuer: test, rootcertbundle: %s/tokens/cert.pem}}\n' "$T"
                ;;
            esac
        done
    } >"$dir/config.yml"
    docker-registry serve "$dir/config.yml" >"$dir/access" 2>"$dir/log" &
    REGISTRY_PID=$!
    wait_until 20 registry_listens "$dir"
    REGISTRY=127.0.0.1:$(sed -nE 's/.*listening on [^ ]*:([0-9]+).*/\1/p' "$dir/log" | head -1)
}

# start_tokens [LIFETIME]: the token server, for registries started after it.
start_tokens() {
    mkdir -p "$T/tokens"
    python3 "$LAYERFS_TESTS/tools/token_server.py" "$T/tokens" "$USER_NAME" "$PASSWORD" "$@" &
    wait_until 20 test -s "$T/tokens/port"
}

# start_proxy UPSTREAM: the fault proxy; sets PROXY and PROXY_OTHER (127.0.0.1:PORT).
start_proxy() {
    mkdir -p "$T/proxy"
    : >"$T/proxy/log"
    python3 "$LAYERFS_TESTS/tools/fault_proxy.py" "$T/proxy" "$1" &
    wait_until 20 test -s "$T/proxy/port"
    PROXY=127.0.0.1:$(<"$T/proxy/port")
    PROXY_OTHER=127.0.0.1:$(<"$T/proxy/other")
}

# fault WORDS…: what the proxy does from now on; its log starts anew.
fault() {
    rm -f "$T/proxy/count"
    echo "$*" >"$T/proxy/fault"
    : >"$T/proxy/log"
}

# push LAYOUT:TAG REF [skopeo option…]: into a registry.
push() {
    local from=$1 to=$2
    shift 2
    skopeo copy -q --preserve-digests --dest-tls-verify=false "$@" "oci:$from" "docker://$to"
}

# write_auth FILE HOST [USER PASSWORD]
write_auth() {
    local user=${3:-$USER_NAME} password=${4:-$PASSWORD}
    jq -n --arg host "$2" --arg auth "$(printf %s "$user:$password" | base64 -w0)" \
        '{auths: {($host): {auth: $auth}}}' >"$1"
}

# blobs_sound LAYOUT: fails when a blob is not what its name says.
blobs_sound() {
    local d bad=''
    for d in "$1"/blobs/sha256/*; do
        [ -e "$d" ] || continue
        [ "$(sha256sum <"$d" | cut -d' ' -f1)" = "${d##*/}" ] || bad+="$d "
    done
    [ -z "$bad" ] || { echo "broken: $bad"; return 1; }
}
