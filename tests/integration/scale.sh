# SPDX-License-Identifier: Apache-2.0
# limit: 900
# long
# gc of a million objects: time, memory, and that the cost grows with the number and not faster.
. "$LAYERFS_TESTS/lib.sh"
need gen_store
# cost STORE: processor milliseconds and KiB of a dry run, the least of three.
cost() {
    local i best=''
    for i in 1 2 3; do
        command time -o t -f '%U %S %e %M' layerfs --store "$1" gc --dry-run --grace 0 --json >out
        read -r user sys elapsed memory <t
        best+="$(awk -v u="$user" -v s="$sys" -v e="$elapsed" -v m="$memory" 'BEGIN { print int((u + s) * 1000), int(e * 1000), m }')"$'\n'
    done
    sort -n <<<"$best" | sed -n 2p
}
for n in 10000 100000 1000000; do
    gen_store "$T/s$n" $n $((n / 10))
    read -r "cpu$n" "wall$n" "memory$n" < <(cost "$T/s$n")
    is "$n objects: the garbage is counted" "$(jq .kinds.objects.freed out)" $((n / 10))
    is "$n objects: all others are kept" "$(jq .kinds.objects.kept out)" $n
    echo "# $n objects: $(cat t) (user, system, elapsed seconds, KiB)"
done
at_most 'a million objects: milliseconds' "$wall1000000" 10000
at_most 'a million objects: KiB' "$memory1000000" $((256 * 1024))
# Ten times as many cost at most 15 times as much: linear, with room for caches.
at_most 'from 10^5 to 10^6: processor time' "$cpu1000000" $((cpu100000 * 15))
at_most 'from 10^4 to 10^6: processor time' "$cpu1000000" $(((cpu10000 + 10) * 200))
