/* SPDX-License-Identifier: Apache-2.0 */
/* The text format of Prometheus, version 0.0.4.
 *
 * Samples of one metric must stand together, below its HELP and TYPE, so each metric is a function
 * that is called for every mount. A time series that has begun goes on: what is a counter is
 * written also when it is 0, but for opcodes that never came. */
#include "tools/prometheus.h"

#include <inttypes.h>

#include "layerfs/fuse/health.h"
#include "layerfs/fuse/mount.h"

struct scrape {
    struct buf *text;
    const char *metric; /* being written */
    uint64_t now;
    int error; /* the first one; then nothing more is written */
};

/* The value of a label, which may hold any bytes: those that are no UTF-8 text become U+FFFD. */
static size_t character_size(const char *s)
{
    const unsigned char c = (unsigned char)s[0];
    const size_t size = c < 0x80   ? 1
                        : c < 0xc2 ? 0
                        : c < 0xe0 ? 2
                        : c < 0xf0 ? 3
                        : c < 0xf5 ? 4
                                   : 0;

    for (size_t i = 1; i < size; i++)
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return 0;
    if ((c == 0xe0 && (unsigned char)s[1] < 0xa0) || (c == 0xed && (unsigned char)s[1] > 0x9f) ||
        (c == 0xf0 && (unsigned char)s[1] < 0x90) || (c == 0xf4 && (unsigned char)s[1] > 0x8f))
        return 0;
    return size;
}

static int append_escaped(struct buf *text, const char *value)
{
    int r = 0;

    while (*value && r == 0) {
        size_t size = character_size(value);

        if (size == 0)
            r = buf_append_str(text, "\xef\xbf\xbd");
        else if (*value == '\\' || *value == '"')
            r = buf_printf(text, "\\%c", *value);
        else if (*value == '\n')
            r = buf_append_str(text, "\\n");
        else
            r = buf_append(text, value, size);
        value += size ? size : 1;
    }
    return r;
}

static void begin(struct scrape *s, const char *metric, const char *type, const char *help)
{
    s->metric = metric;
    if (s->error == 0)
        s->error = buf_printf(s->text, "# HELP %s %s\n# TYPE %s %s\n", metric, help, metric, type);
}

static void label(struct scrape *s, const char *separator, const char *name, const char *value)
{
    if (s->error == 0)
        s->error = buf_printf(s->text, "%s%s=\"", separator, name);
    if (s->error == 0)
        s->error = append_escaped(s->text, value);
    if (s->error == 0)
        s->error = buf_append_str(s->text, "\"");
}

/* The start of a sample, up to its labels; further ones may follow, then number() or seconds(). */
static void sample(struct scrape *s, const struct prometheus_mount *m, const char *suffix)
{
    if (s->error == 0)
        s->error = buf_printf(s->text, "%s%s", s->metric, suffix);
    label(s, "{", "mountpoint", m->record->mountpoint);
}

static void number(struct scrape *s, uint64_t value)
{
    if (s->error == 0)
        s->error = buf_printf(s->text, "} %" PRIu64 "\n", value);
}

static void seconds(struct scrape *s, uint64_t ns)
{
    if (s->error == 0)
        s->error =
            buf_printf(s->text, "} %" PRIu64 ".%09" PRIu64 "\n", ns / 1000000000, ns % 1000000000);
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void write_up(struct scrape *s, const struct prometheus_mount *m)
{
    sample(s, m, "");
    number(s, m->alive);
}

static void write_info(struct scrape *s, const struct prometheus_mount *m)
{
    char digest[OCI_DIGEST_STR_MAX];

    sample(s, m, "");
    label(s, ",", "image", m->record->image);
    label(s, ",", "digest", oci_digest_format(&m->record->manifest, digest));
    label(s, ",", "data", m->record->data_mode);
    label(s, ",", "transport", m->record->transport);
    label(s, ",", "version", LAYERFS_VERSION);
    number(s, 1);
}

static void write_start(struct scrape *s, const struct prometheus_mount *m)
{
    sample(s, m, "");
    number(s, (uint64_t)m->record->started);
}

static void write_confined(struct scrape *s, const struct prometheus_mount *m)
{
    const uint32_t confined = atomic_load_explicit(&m->stats->confined, memory_order_relaxed);

    for (unsigned bit = 1; lfs_confined_name(bit); bit <<= 1) {
        sample(s, m, "");
        label(s, ",", "by", lfs_confined_name(bit));
        number(s, (confined & bit) != 0);
    }
}

static void opcode_label(struct scrape *s, unsigned opcode)
{
    const char *name = lfs_stats_opcode_name(opcode);
    char text[16];

    (void)snprintf(text, sizeof(text), "OPCODE_%u", opcode);
    label(s, ",", "opcode", name ? name : text);
}

static void write_requests(struct scrape *s, const struct prometheus_mount *m)
{
    for (unsigned i = 0; i < LFS_STATS_OPCODES; i++) {
        if (!load(&m->stats->requests[i]))
            continue;
        sample(s, m, "");
        opcode_label(s, i);
        number(s, load(&m->stats->requests[i]));
    }
}

static void write_histogram(struct scrape *s, const struct prometheus_mount *m, unsigned opcode)
{
    const struct lfs_latency *latency = &m->stats->latency[opcode];
    uint64_t sum = load(&latency->sum), count = 0;

    for (unsigned i = 0; i < LFS_STATS_BUCKETS; i++) {
        uint64_t bound = lfs_latency_bound(i);
        char le[32] = "+Inf";

        if (bound != UINT64_MAX)
            (void)snprintf(
                le, sizeof(le), "%" PRIu64 ".%09" PRIu64, bound / 1000000000, bound % 1000000000);
        count += load(&latency->buckets[i]);
        sample(s, m, "_bucket");
        opcode_label(s, opcode);
        label(s, ",", "le", le);
        number(s, count);
    }
    sample(s, m, "_sum");
    opcode_label(s, opcode);
    seconds(s, sum);
    sample(s, m, "_count");
    opcode_label(s, opcode);
    number(s, count); /* not read again: it must equal the last bucket */
}

static void write_latency(struct scrape *s, const struct prometheus_mount *m)
{
    for (unsigned i = 0; i < LFS_STATS_OPCODES; i++)
        if (lfs_latency_count(&m->stats->latency[i]))
            write_histogram(s, m, i);
}

static void write_counter(
    struct scrape *s, const struct prometheus_mount *m, enum lfs_counter counter)
{
    sample(s, m, "");
    number(s, load(&m->stats->counters[counter]));
}

static void write_labelled(struct scrape *s, const struct prometheus_mount *m, const char *name,
    const char *value, enum lfs_counter counter)
{
    sample(s, m, "");
    label(s, ",", name, value);
    number(s, load(&m->stats->counters[counter]));
}

static void write_read_bytes(struct scrape *s, const struct prometheus_mount *m)
{
    write_labelled(s, m, "place", "inline", LFS_COUNT_READ_INLINE_BYTES);
    write_labelled(s, m, "place", "pack", LFS_COUNT_READ_PACK_BYTES);
    write_labelled(s, m, "place", "object", LFS_COUNT_READ_OBJECT_BYTES);
}

static void write_reads(struct scrape *s, const struct prometheus_mount *m)
{
    write_labelled(s, m, "from", "cache", LFS_COUNT_READ_CACHED);
    write_labelled(s, m, "from", "disk", LFS_COUNT_READ_ASYNC);
}

static void write_lookups(struct scrape *s, const struct prometheus_mount *m)
{
    write_labelled(s, m, "result", "hit", LFS_COUNT_FD_HITS);
    write_labelled(s, m, "result", "miss", LFS_COUNT_FD_MISSES);
}

static void write_cached_bytes(struct scrape *s, const struct prometheus_mount *m)
{
    write_counter(s, m, LFS_COUNT_READ_CACHED_BYTES);
}

static void write_evictions(struct scrape *s, const struct prometheus_mount *m)
{
    write_counter(s, m, LFS_COUNT_FD_EVICTIONS);
}

static void write_passthrough_opens(struct scrape *s, const struct prometheus_mount *m)
{
    write_counter(s, m, LFS_COUNT_PASSTHROUGH_OPENS);
}

static void write_passthrough_bytes(struct scrape *s, const struct prometheus_mount *m)
{
    write_counter(s, m, LFS_COUNT_PASSTHROUGH_BYTES);
}

static void write_stored_bytes(struct scrape *s, const struct prometheus_mount *m)
{
    write_counter(s, m, LFS_COUNT_STORED_BYTES);
}

static void write_errors(struct scrape *s, const struct prometheus_mount *m)
{
    write_counter(s, m, LFS_COUNT_ERRORS);
}

static void write_pool_value(struct scrape *s, const struct prometheus_mount *m, unsigned pool,
    const char *state, const _Atomic uint32_t *value)
{
    sample(s, m, "");
    label(s, ",", "pool", lfs_pool_name((enum lfs_stats_pool)pool));
    if (state)
        label(s, ",", "state", state);
    number(s, atomic_load_explicit(value, memory_order_relaxed));
}

static void write_pools(struct scrape *s, const struct prometheus_mount *m)
{
    for (unsigned i = 0; i < LFS_POOLS; i++) {
        write_pool_value(s, m, i, "in_use", &m->stats->pools[i].in_use);
        write_pool_value(s, m, i, "free", &m->stats->pools[i].free);
    }
}

static void write_pool_peaks(struct scrape *s, const struct prometheus_mount *m)
{
    for (unsigned i = 0; i < LFS_POOLS; i++)
        write_pool_value(s, m, i, NULL, &m->stats->pools[i].peak);
}

static void write_pool_sizes(struct scrape *s, const struct prometheus_mount *m)
{
    for (unsigned i = 0; i < LFS_POOLS; i++)
        write_pool_value(s, m, i, NULL, &m->stats->pools[i].object_size);
}

static void write_in_flight(struct scrape *s, const struct prometheus_mount *m)
{
    struct lfs_health health;

    lfs_health_read(m->stats, s->now, &health);
    sample(s, m, "");
    number(s, health.in_flight);
}

static void write_hung(struct scrape *s, const struct prometheus_mount *m)
{
    struct lfs_health health;

    lfs_health_read(m->stats, s->now, &health);
    sample(s, m, "");
    number(s, health.hung);
}

static void write_oldest(struct scrape *s, const struct prometheus_mount *m)
{
    struct lfs_health health;

    lfs_health_read(m->stats, s->now, &health);
    sample(s, m, "");
    seconds(s, health.in_flight ? health.oldest[0].age : 0);
}

static void write_waiting(struct scrape *s, const struct prometheus_mount *m)
{
    int waiting = m->alive ? lfs_health_waiting(m->stats) : -ENODATA;

    if (waiting < 0)
        return;
    sample(s, m, "");
    number(s, (uint64_t)waiting);
}

static const struct metric {
    const char *name, *type, *help;
    void (*write)(struct scrape *s, const struct prometheus_mount *m);
    bool from_record; /* written also when there are no counters */
} metrics[] = {
    {"layerfs_mount_up", "gauge", "Whether the daemon of the mount lives.", write_up, true},
    {"layerfs_mount_info", "gauge", "What is mounted and how; always 1.", write_info, true},
    {"layerfs_mount_start_time_seconds", "gauge", "When it was mounted, since the epoch.",
        write_start, true},
    {"layerfs_mount_confined", "gauge", "What confines the daemon: 1 when it is in force.",
        write_confined, false},
    {"layerfs_requests_total", "counter", "Requests of the kernel.", write_requests, false},
    {"layerfs_request_duration_seconds", "histogram", "Time from taking a request to its reply.",
        write_latency, false},
    {"layerfs_requests_in_flight", "gauge", "Requests that were taken and not answered yet.",
        write_in_flight, false},
    {"layerfs_requests_hung", "gauge", "Of these, older than 10 seconds.", write_hung, false},
    {"layerfs_oldest_request_seconds", "gauge", "Age of the oldest of them; 0 without any.",
        write_oldest, false},
    {"layerfs_requests_waiting", "gauge",
        "Requests that wait in the kernel, taken or not; missing where the kernel does not say.",
        write_waiting, false},
    {"layerfs_errors_total", "counter",
        "Replies other than success, ENOENT, ENODATA, ENOSYS and ERANGE.", write_errors, false},
    {"layerfs_read_bytes_total", "counter", "Bytes read, by the place they lie in.",
        write_read_bytes, false},
    {"layerfs_reads_total", "counter",
        "Reads of packs and objects, from the page cache at once or waiting for the disk.",
        write_reads, false},
    {"layerfs_read_cached_bytes_total", "counter", "Bytes read from the page cache at once.",
        write_cached_bytes, false},
    {"layerfs_passthrough_opens_total", "counter", "Opens of files that the kernel reads itself.",
        write_passthrough_opens, false},
    {"layerfs_passthrough_opened_bytes_total", "counter",
        "Sizes of the files so opened; how much of them is read is not known.",
        write_passthrough_bytes, false},
    {"layerfs_stored_bytes_total", "counter",
        "Bytes put into the kernel's page cache ahead of reads.", write_stored_bytes, false},
    {"layerfs_object_cache_lookups_total", "counter", "Lookups in the cache of open objects.",
        write_lookups, false},
    {"layerfs_object_cache_evictions_total", "counter", "Open objects that made room for others.",
        write_evictions, false},
    {"layerfs_pool_objects", "gauge", "Objects of a pool.", write_pools, false},
    {"layerfs_pool_peak_objects", "gauge", "Most objects of a pool in use at once.",
        write_pool_peaks, false},
    {"layerfs_pool_object_bytes", "gauge", "Size of an object of a pool.", write_pool_sizes, false},
};

int prometheus_format(
    const struct prometheus_mount *mounts, size_t count, uint64_t now, struct buf *text)
{
    struct scrape s = {.text = text, .now = now};

    for (size_t i = 0; i < ARRAY_SIZE(metrics); i++) {
        begin(&s, metrics[i].name, metrics[i].type, metrics[i].help);
        for (size_t k = 0; k < count; k++)
            if (mounts[k].stats || metrics[i].from_record)
                metrics[i].write(&s, &mounts[k]);
    }
    return s.error;
}
