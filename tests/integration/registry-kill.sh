# SPDX-License-Identifier: Apache-2.0
# limit: 3000
# kill -9 at random moments of a pull: the store is sound each time, and the next pull fetches only
# what is missing.
. "$LAYERFS_TESTS/lib.sh"
. "$LAYERFS_TESTS/lib-registry.sh"
"$GEN/images" oci plain features >/dev/null
skopeo copy -q "oci:$T/oci:plain" "oci:$T/two:base"
umoci unpack --image two:base b 2>/dev/null
head -c 9000000 /dev/urandom >b/rootfs/second
umoci repack --image two:image b 2>/dev/null
start_registry upstream
push "$T/two:image" "$REGISTRY/r/image"
start_proxy "$REGISTRY"
want=$(skopeo inspect --raw "oci:$T/two:image" | sha256sum | sed 's/^/sha256:/; s/ .*//')
layers=$(jq '[.layers[].size] | add' "two/blobs/${want/://}")
SEED=${SEED:-$RANDOM} RANDOM=$SEED
echo "# SEED=$SEED"

# Undisturbed: how long it takes.
fault none
pull() { layerfs pull --quiet --tls-verify=false "$PROXY/r/image"; }
start=${EPOCHREALTIME/./}
is 'undisturbed' "$(pull)" "$want"
took=$((${EPOCHREALTIME/./} - start))
rm -rf "$LAYERFS_STORE"

# sent: bytes of layers that the proxy has sent. kept: bytes of blobs that the store has.
sent() { awk '$3 ~ "/blobs/" && $7 > 4096 {n += $7} END {print n + 0}' proxy/log; }
kept() { { cat "$LAYERFS_STORE"/partial/* "$LAYERFS_STORE"/blobs/sha256/* 2>/dev/null || true; } | wc -c; }

rounds=20
[ -z "$LONG" ] || rounds=200
killed=0 completed=0 unsound='' wrong='' more=''
for ((i = 0; i < rounds; i++)); do
    pull >out 2>&1 &
    pid=$!
    us=$((RANDOM * 32768 + RANDOM))
    sleep "$(printf '0.%06d' $((us % (took < 990000 ? took : 990000))))"
    kill -9 $pid 2>/dev/null || true
    if wait $pid 2>/dev/null; then completed=$((completed + 1)); else killed=$((killed + 1)); fi
    blobs_sound "$LAYERFS_STORE" >/dev/null || unsound+="$i "
    have=$(kept)
    if ((i % 4 == 3)); then
        fault none
        [ "$(pull 2>&1)" = "$want" ] || wrong+="$i "
        missing=$((layers - ${have:-0} + 65536))
        ((missing > 65536)) || missing=65536
        [ "$(sent)" -le $missing ] || more+="$i:$(sent)>$missing "
        blobs_sound "$LAYERFS_STORE" >/dev/null || unsound+="$i "
        rm -rf "$LAYERFS_STORE"
    fi
done
echo "# killed $killed, completed $completed"
check 'some were killed' test $killed -gt 0
is 'the store is sound each time' "$unsound" ''
is 'the next pull completes' "$wrong" ''
is 'and fetches only what is missing' "$more" ''
pull >/dev/null
mount_image "$PROXY/r/image" m
is 'the image is right' "$(sha256sum <m/second)" "$(sha256sum <b/rootfs/second)"
layerfs umount m
