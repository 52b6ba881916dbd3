/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of documents for tests. */
#ifndef TESTS_UNIT_OCI_DOCUMENTS_H
#define TESTS_UNIT_OCI_DOCUMENTS_H

#define HEX_A "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define HEX_B "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HEX_C "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ae"
#define DIGEST_A "sha256:" HEX_A
#define DIGEST_B "sha256:" HEX_B
#define DIGEST_C "sha256:" HEX_C

/* A descriptor; `more` is "" or ",\"key\":…". */
#define DESCRIPTOR(type, digest, more)                                                             \
    "{\"mediaType\":\"" type "\",\"digest\":\"" digest "\",\"size\":7" more "}"
#define PLATFORM(os, arch) ",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\"}"
#define VARIANT(os, arch, variant)                                                                 \
    ",\"platform\":{\"os\":\"" os "\",\"architecture\":\"" arch "\",\"variant\":\"" variant "\"}"
#define TAG(tag) ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"" tag "\"}"
#define INDEX(entries) "{\"schemaVersion\":2,\"manifests\":[" entries "]}"
#define MANIFEST(layers)                                                                           \
    "{\"schemaVersion\":2,\"config\":" DESCRIPTOR(                                                 \
        OCI_TYPE_CONFIG, DIGEST_A, "") ",\"layers\":[" layers "]}"
#define CONFIG(diff_ids, more)                                                                     \
    "{\"os\":\"linux\",\"architecture\":\"amd64\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":"   \
    "[" diff_ids "]}" more "}"

#endif
