/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <sys/mount.h>

#include "tools/mount_options.h"

static struct mount_options o;
static struct report r;

static void set_up(void)
{
    mount_options_init(&o);
    r = REPORT_INIT;
}

static void tear_down(void)
{
    mount_options_deinit(&o);
}

TestSuite(mount_options, .init = set_up, .fini = tear_down);

Test(mount_options, mount_8_words_are_dropped)
{
    cr_expect_eq(mount_options_add(&o,
                     "rw,defaults,noauto,user,_netdev,nofail,x-systemd.requires=a.mount,"
                     "X-mount.mkdir,comment=hello,relatime",
                     &r),
        0, "%s", r.text);
    cr_expect_str_eq(mount_options_fuse(&o), "");
    cr_expect_eq(o.flags, MS_NOSUID | MS_NODEV);
}

Test(mount_options, what_mount_passes_by_default)
{
    cr_expect_eq(mount_options_add(&o, "rw,suid,dev", &r), 0);
    cr_expect_str_eq(mount_options_fuse(&o), "suid,dev");
    cr_expect_eq(o.flags, 0);
}

Test(mount_options, flags_go_both_ways)
{
    cr_expect_eq(mount_options_add(&o, "suid,noexec,ro", &r), 0);
    cr_expect_eq(mount_options_add(&o, "nosuid,noatime", &r), 0);
    cr_expect_str_eq(mount_options_fuse(&o), "suid,noexec,ro,nosuid,noatime");
    cr_expect_eq(o.flags, MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY | MS_NOATIME);
}

Test(mount_options, own_ones)
{
    cr_expect_eq(mount_options_add(&o,
                     "data=cached,transport=dev,store=/s,upperdir=/u,workdir=/w,fsname=n,"
                     "allow_other",
                     &r),
        0, "%s", r.text);
    cr_expect_eq(o.data_mode, LFS_DATA_MODE_CACHED);
    cr_expect_eq(o.transport, LFS_TRANSPORT_DEV);
    cr_expect_str_eq(o.store, "/s");
    cr_expect_str_eq(o.upper, "/u");
    cr_expect_str_eq(o.work, "/w");
    cr_expect_str_eq(o.fsname, "n");
    cr_expect(o.allow_other);
    cr_expect_str_eq(mount_options_fuse(&o), "");
    cr_expect_eq(mount_options_add(&o, "upper=/later", &r), 0);
    cr_expect_str_eq(o.upper, "/later");
}

Test(mount_options, empty_ones_and_escapes)
{
    cr_expect_eq(mount_options_add(&o, ",,upper=/a\\,b\\\\c,,", &r), 0);
    cr_expect_str_eq(o.upper, "/a,b\\c");
    cr_expect_eq(mount_options_add(&o, "", &r), 0);
    cr_expect_eq(mount_options_add(&o, "context=a\\,b", &r), 0);
    cr_expect_str_eq(mount_options_fuse(&o), "context=a\\,b");
}

Test(mount_options, unknown_ones_are_named)
{
    cr_expect_eq(mount_options_add(&o, "ro,lowerdir=/x", &r), -EINVAL);
    cr_expect_str_eq(r.text, "unknown mount option 'lowerdir=/x'");
    cr_expect_eq(mount_options_add(&o, "rooo", &r), -EINVAL);
    cr_expect_str_eq(r.text, "unknown mount option 'rooo'");
    cr_expect_eq(mount_options_add(&o, "data", &r), -EINVAL);
    cr_expect_eq(mount_options_add(&o, "fd=3", &r), -EINVAL);
    cr_expect_eq(mount_options_add(&o, "data=fast", &r), -EINVAL);
    cr_expect(strstr(r.text, "data=fast"));
}
