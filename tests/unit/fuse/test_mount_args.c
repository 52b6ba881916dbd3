/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a mount, and the names of modes and transports. */
#include <criterion/criterion.h>
#include <string.h>

#include "layerfs/fuse/mount_args.h"

TestSuite(mount_args);

/* In a static buffer. */
static const char *format(const struct lfs_mount_options *options, bool privileged)
{
    static char text[512];
    _cleanup_(buf_deinit) struct buf b = {.data = NULL};

    cr_assert_eq(lfs_mount_args_format(options, privileged, &b), 0);
    cr_assert_lt(b.size, sizeof(text));
    memcpy(text, b.data, b.size);
    text[b.size] = '\0';
    return text;
}

#define expect(privileged, wanted, ...)                                                            \
    cr_assert_str_eq(format(&(struct lfs_mount_options){__VA_ARGS__}, privileged), wanted)

Test(mount_args, a_user_gets_no_devices_and_no_other_users)
{
    expect(false, "default_permissions,subtype=layerfs,ro", .mountpoint = "/m");
    expect(false, "default_permissions,subtype=layerfs,allow_other,ro", .allow_other = true);
}

Test(mount_args, root_serves_a_root_file_system)
{
    expect(true, "default_permissions,subtype=layerfs,allow_other,ro", .mountpoint = "/m");
}

Test(mount_args, names_may_hold_what_separates_options)
{
    expect(
        false, "default_permissions,subtype=layerfs,fsname=a\\,b\\\\c=d,ro", .fsname = "a,b\\c=d");
}

Test(mount_args, the_users_options_come_before_what_must_be)
{
    expect(true, "default_permissions,subtype=layerfs,allow_other,nosuid,context=\\,x,ro",
        .fuse_options = "nosuid,context=\\,x");
}

Test(mount_args, writable_is_not_possible)
{
    expect(false, "default_permissions,subtype=layerfs,noexec,rwx,ro",
        .fuse_options = "rw,defaults,,noexec,rw,rwx,");
}

Test(mount_args, debug)
{
    expect(false, "default_permissions,subtype=layerfs,debug,ro", .debug = true);
}

Test(mount_args, every_name_is_parsed_back)
{
    for (int i = 0; i <= LFS_DATA_MODE_PASSTHROUGH; i++) {
        enum lfs_data_mode mode;

        cr_assert_eq(lfs_data_mode_parse(lfs_data_mode_name((enum lfs_data_mode)i), &mode), 0);
        cr_assert_eq((int)mode, i);
    }
    for (int i = 0; i <= LFS_TRANSPORT_DEV; i++) {
        enum lfs_transport transport;

        cr_assert_eq(lfs_transport_parse(lfs_transport_name((enum lfs_transport)i), &transport), 0);
        cr_assert_eq((int)transport, i);
    }
}

Test(mount_args, unknown_names_are_refused)
{
    enum lfs_data_mode mode = LFS_DATA_MODE_CACHED;
    enum lfs_transport transport;

    cr_assert_eq(lfs_data_mode_parse("", &mode), -EINVAL);
    cr_assert_eq(lfs_data_mode_parse("Cached", &mode), -EINVAL);
    cr_assert_eq(mode, LFS_DATA_MODE_CACHED, "untouched");
    cr_assert_eq(lfs_transport_parse("io_uring", &transport), -EINVAL);
    cr_assert_str_eq(lfs_transport_name((enum lfs_transport)77), "unknown");
}
