# SPDX-License-Identifier: Apache-2.0
# images, tag, rm, inspect.
. "$LAYERFS_TESTS/lib.sh"
need jq skopeo umoci
"$GEN/images" oci plain features
fails 'no store, no images' 3 "$LAYERFS_STORE" layerfs images
for t in plain features; do layerfs pull --quiet "oci:$T/oci:$t" >/dev/null; done
layerfs images --json >images.json
name='(.tag // .name // .tags[0])'
is 'images --json' "$(jq -r "[.[] | $name] | sort | join(\" \")" images.json)" 'features plain'
is 'with digests as skopeo has them' "$(jq -r ".[] | select($name == \"plain\") | .digest" images.json)" \
    "$(skopeo inspect oci:oci:plain | jq -r .Digest)"
check 'and sizes' jq -e 'all(.[]; .size > 0)' images.json
like 'images for people' "$(layerfs images)" 'plain'
check 'tag' layerfs tag plain second:v2
is 'both tags have one digest' "$(layerfs images --json |
    jq -r "[.[] | select($name == \"plain\" or $name == \"second:v2\") | .digest] | unique | length")" 1
check 'umoci sees the tag' sh -c "umoci ls --layout '$LAYERFS_STORE' | grep -qx second:v2"
check 'tag moves' layerfs tag features second:v2
is 'to the other image' "$(layerfs images --json | jq -r ".[] | select($name == \"second:v2\") | .digest")" \
    "$(skopeo inspect oci:oci:features | jq -r .Digest)"
check 'rm' layerfs rm second:v2
is 'the tag is gone' "$(layerfs images --json | jq -r "[.[] | $name] | sort | join(\" \")")" 'features plain'
fails 'rm again' 3 'second:v2' layerfs rm second:v2
check 'rm of several' sh -c 'layerfs tag plain a && layerfs tag plain b && layerfs rm a b'
is 'they are gone' "$(layerfs images --json | jq -r "[.[] | $name] | sort | join(\" \")")" 'features plain'
fails 'a digest prefix that is none' '2|3' 'sha256:zz' layerfs inspect sha256:zz

digest=$(jq -r ".[] | select($name == \"features\") | .digest" images.json)
is 'inspect --manifest is the manifest' "$(layerfs inspect --manifest features | jq -cS .)" \
    "$(jq -cS . "oci/blobs/${digest/:/\/}")"
is 'inspect --config is the config' "$(layerfs inspect --config features | jq -cS .)" \
    "$(jq -cS . "oci/blobs/$(layerfs inspect --manifest features | jq -r .config.digest | tr : /)")"
is 'inspect --json' "$(layerfs inspect --json features | jq -r .digest)" "$digest"
like 'inspect for people' "$(layerfs inspect features)" "${digest:0:19}"
layerfs inspect --tree features >tree
is 'inspect --tree has each name once' "$(wc -l <tree)" "$(mount_image features m; find m | tr -c '\n' x | wc -l >n; \
    find m -printf x | wc -c; layerfs umount m)"
like 'with modes and targets' "$(grep -E 'dangling' tree)" 'no/where'
check '--digests adds content digests' \
    sh -c "layerfs inspect --tree --digests features | grep -q $(printf 'second' | sha256sum | cut -c1-64)"
is 'the dump is the same each time' "$(layerfs inspect --tree --digests features | sha256sum)" \
    "$(layerfs inspect --tree --digests features | sha256sum)"
tree=$(sha256sum "$LAYERFS_STORE"/trees/* | sort)
rm -rf "$LAYERFS_STORE/trees"/* "$LAYERFS_STORE/packs"/* "$LAYERFS_STORE/objects"/*
mount_image features m
layerfs umount m
mount_image plain m
layerfs umount m
is 'trees are made anew with the same bytes' "$(sha256sum "$LAYERFS_STORE"/trees/* | grep -v verified | sort)" \
    "$(grep -v verified <<<"$tree")"
layerfs mount plain m
check 'an image in use can lose its tag' layerfs rm plain
check 'and serves on' walk read m
layerfs umount m
layerfs tag "$(skopeo inspect oci:oci:plain | jq -r .Digest)" again 2>err && ok 'tag by digest after rm' ||
    like 'tag by digest after rm is refused with a reason' "$(<err)" 'sha256:'
