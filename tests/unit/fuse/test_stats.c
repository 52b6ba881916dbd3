/* SPDX-License-Identifier: Apache-2.0 */
/* The counters' file. */
#include "layerfs/fuse/stats.h"
#include "tests/unit/tmpdir.h"

TestSuite(stats);

Test(stats, a_reader_sees_what_the_writer_counts)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    const struct lfs_stats *seen;
    struct lfs_stats *stats;

    cr_assert_eq(lfs_stats_create(tmpdir_path(&dir, "s"), &stats, NULL), 0);
    cr_assert_eq(lfs_stats_open(tmpdir_path(&dir, "s"), &seen, NULL), 0);
    cr_assert_eq(seen->counters[LFS_COUNT_ERRORS], 0);
    lfs_stats_add(stats, LFS_COUNT_ERRORS, 3);
    lfs_stats_add(stats, LFS_COUNT_ERRORS, 4);
    cr_assert_eq(seen->counters[LFS_COUNT_ERRORS], 7);
    lfs_stats_close(seen);
    lfs_stats_close(stats);
}

Test(stats, a_file_of_before_is_started_anew)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    struct lfs_stats *stats;

    cr_assert_eq(lfs_stats_create(tmpdir_path(&dir, "s"), &stats, NULL), 0);
    lfs_stats_add(stats, LFS_COUNT_ERRORS, 3);
    lfs_stats_close(stats);
    cr_assert_eq(lfs_stats_create(tmpdir_path(&dir, "s"), &stats, NULL), 0);
    cr_assert_eq(stats->counters[LFS_COUNT_ERRORS], 0);
    lfs_stats_close(stats);
}

Test(stats, what_is_no_counters_file_is_refused)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    static const uint8_t zeros[sizeof(struct lfs_stats)];
    const struct lfs_stats *stats;
    struct report r = REPORT_INIT;

    tmpdir_write(&dir, "zeros", zeros, sizeof(zeros));
    tmpdir_write_str(&dir, "short", LFS_STATS_MAGIC);
    cr_assert_eq(lfs_stats_open(tmpdir_path(&dir, "zeros"), &stats, &r), -EBADMSG);
    cr_assert(report_is_set(&r));
    cr_assert_eq(lfs_stats_open(tmpdir_path(&dir, "short"), &stats, NULL), -EBADMSG);
    cr_assert_eq(lfs_stats_open(tmpdir_path(&dir, "none"), &stats, NULL), -ENOENT);
    cr_assert_eq(lfs_stats_open(dir.path, &stats, NULL), -EBADMSG);
}

Test(stats, a_link_is_not_written_through)
{
    _cleanup_(tmpdir_remove) struct tmpdir dir = tmpdir_make();
    struct lfs_stats *stats;

    tmpdir_write_str(&dir, "victim", "text");
    cr_assert_eq(symlinkat("victim", dir.fd, "s"), 0);
    cr_assert_eq(lfs_stats_create(tmpdir_path(&dir, "s"), &stats, NULL), -ELOOP);
}

Test(stats, names)
{
    cr_assert_str_eq(lfs_stats_opcode_name(1), "LOOKUP");
    cr_assert_str_eq(lfs_stats_opcode_name(44), "READDIRPLUS");
    cr_assert_null(lfs_stats_opcode_name(7), "a hole in the numbers");
    cr_assert_null(lfs_stats_opcode_name(LFS_STATS_OPCODES));
    for (int i = 0; i < LFS_COUNTERS; i++)
        cr_assert_not_null(lfs_counter_name((enum lfs_counter)i));
    cr_assert_null(lfs_counter_name(LFS_COUNTERS));
}
