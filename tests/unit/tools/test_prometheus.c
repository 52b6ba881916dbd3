/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus' text format. */
#include <string.h>

#include <criterion/criterion.h>

#include "layerfs/fuse/health.h"
#include "tools/prometheus.h"

TestSuite(prometheus);

static char mountpoint[64] = "/mnt", image[] = "debian:12", mode[] = "cached", transport[] = "dev";
static struct lfs_mount_record record = {.mountpoint = mountpoint,
    .image = image,
    .data_mode = mode,
    .transport = transport,
    .started = 17};
static struct lfs_stats stats;

static char *format(const struct prometheus_mount *mounts, size_t count, uint64_t now)
{
    struct buf text = {0};

    cr_assert_eq(prometheus_format(mounts, count, now, &text), 0);
    return buf_steal_str(&text);
}

static char *format_one(uint64_t now)
{
    return format(&(struct prometheus_mount){&record, &stats, true}, 1, now);
}

static void assert_line(const char *text, const char *line)
{
    const char *at = strstr(text, line);

    cr_assert(at && (at == text || at[-1] == '\n') && at[strlen(line)] == '\n',
        "no line %s in:\n%s", line, text);
}

Test(prometheus, every_metric_has_help_and_type_once_even_without_mounts)
{
    _cleanup_(freep) char *text = format(NULL, 0, 0);

    assert_line(text, "# HELP layerfs_requests_total Requests of the kernel.");
    assert_line(text, "# TYPE layerfs_requests_total counter");
    assert_line(text, "# TYPE layerfs_request_duration_seconds histogram");
    cr_assert_null(strchr(text, '{'));
}

Test(prometheus, counters)
{
    _cleanup_(freep) char *text = NULL;

    stats.requests[1] = 7;
    stats.requests[63] = 2;
    lfs_stats_add(&stats, LFS_COUNT_READ_PACK_BYTES, UINT64_MAX);
    stats.confined = LFS_CONFINED_SECCOMP;
    text = format_one(0);
    assert_line(text, "layerfs_mount_up{mountpoint=\"/mnt\"} 1");
    assert_line(text, "layerfs_requests_total{mountpoint=\"/mnt\",opcode=\"LOOKUP\"} 7");
    assert_line(text, "layerfs_requests_total{mountpoint=\"/mnt\",opcode=\"OPCODE_63\"} 2");
    assert_line(
        text, "layerfs_read_bytes_total{mountpoint=\"/mnt\",place=\"pack\"} 18446744073709551615");
    assert_line(text, "layerfs_errors_total{mountpoint=\"/mnt\"} 0");
    assert_line(text, "layerfs_mount_confined{mountpoint=\"/mnt\",by=\"seccomp\"} 1");
    assert_line(text, "layerfs_mount_confined{mountpoint=\"/mnt\",by=\"landlock\"} 0");
    cr_assert_null(strstr(text, "opcode=\"READ\""), "no request, no time series");
}

Test(prometheus, histograms_are_cumulative_and_end_with_all)
{
    _cleanup_(freep) char *text = NULL;

    stats.latency[1].sum = 1500000000;
    stats.latency[1].buckets[0] = 2;
    stats.latency[1].buckets[1] = 3;
    stats.latency[1].buckets[LFS_STATS_BUCKETS - 1] = 1;
    text = format_one(0);
#define SERIES(suffix)                                                                             \
    "layerfs_request_duration_seconds" suffix "{mountpoint=\"/mnt\",opcode=\"LOOKUP\""
    assert_line(text, SERIES("_bucket") ",le=\"0.000001024\"} 2");
    assert_line(text, SERIES("_bucket") ",le=\"0.000002048\"} 5");
    assert_line(text, SERIES("_bucket") ",le=\"17.179869184\"} 5");
    assert_line(text, SERIES("_bucket") ",le=\"+Inf\"} 6");
    assert_line(text, SERIES("_sum") "} 1.500000000");
    assert_line(text, SERIES("_count") "} 6");
}

Test(prometheus, hung_requests)
{
    _cleanup_(freep) char *text = NULL;

    stats.slots[5].started = 1000 * (uint64_t)LFS_STATS_OPCODES + 15;
    text = format_one(1000 + LFS_HUNG_NS + 500000000);
    assert_line(text, "layerfs_requests_in_flight{mountpoint=\"/mnt\"} 1");
    assert_line(text, "layerfs_requests_hung{mountpoint=\"/mnt\"} 1");
    assert_line(text, "layerfs_oldest_request_seconds{mountpoint=\"/mnt\"} 10.500000000");
}

Test(prometheus, a_mount_without_counters_is_down)
{
    _cleanup_(freep) char *text = format(&(struct prometheus_mount){&record, NULL, false}, 1, 0);

    assert_line(text, "layerfs_mount_up{mountpoint=\"/mnt\"} 0");
    cr_assert_null(strstr(text, "layerfs_errors_total{"));
}

Test(prometheus, samples_of_a_metric_stand_together)
{
    const struct prometheus_mount two[] = {{&record, &stats, true}, {&record, &stats, false}};
    _cleanup_(freep) char *text = format(two, 2, 0);

    assert_line(text, "layerfs_errors_total{mountpoint=\"/mnt\"} 0\n"
                      "layerfs_errors_total{mountpoint=\"/mnt\"} 0");
}

/* Label values of any bytes stay one value of UTF-8. */
static void assert_label(const char *value, const char *escaped)
{
    _cleanup_(freep) char *text = NULL, *line = NULL;

    (void)snprintf(mountpoint, sizeof(mountpoint), "%s", value);
    text = format_one(0);
    cr_assert_gt(asprintf(&line, "layerfs_mount_up{mountpoint=\"%s\"} 1", escaped), 0);
    assert_line(text, line);
}

Test(prometheus, labels_are_escaped)
{
    assert_label("/a\"b\\c\nd", "/a\\\"b\\\\c\\nd");
    assert_label("/ä€𝄞", "/ä€𝄞");
    assert_label("/\xff|\xc3|\xc0\xaf|\xed\xa0\x80|\xf4\x90\x80\x80",
        "/\xef\xbf\xbd|\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd|"
        "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}
