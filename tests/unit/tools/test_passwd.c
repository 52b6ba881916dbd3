/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "tools/passwd.h"

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "broken\n"
                             "also:x:many:0::/:\n"
                             "www:x:33:34:web:/var/www:/bin/false\n"
                             "1000:x:77:78::/seven:\n"
                             "nohome:x:50:50";
static const char group[] = "root:x:0:\n"
                            "www:x:34:\n"
                            "video:x:44:other,www\n"
                            "audio:x:29:www\n"
                            "wwwx:x:45:wwwx,xwww\n"
                            "again:x:34:www\n"
                            "mem:x:8:root";

static struct process_user user;
static struct report r;

static int resolve(const char *spec)
{
    process_user_deinit(&user);
    r = REPORT_INIT;
    return process_user_resolve(spec, passwd, group, &user, &r);
}

static void tear_down(void)
{
    process_user_deinit(&user);
}

TestSuite(passwd, .fini = tear_down);

Test(passwd, silence_is_root)
{
    cr_assert_eq(resolve(NULL), 0);
    cr_expect_eq(user.uid, 0);
    cr_expect_str_eq(user.home, "/root");
    cr_assert_eq(user.group_count, 1);
    cr_expect_eq(user.groups[0], 8);
    cr_assert_eq(resolve(""), 0);
    cr_expect_eq(user.uid, 0);
}

Test(passwd, a_name_has_its_groups)
{
    cr_assert_eq(resolve("www"), 0);
    cr_expect_eq(user.uid, 33);
    cr_expect_eq(user.gid, 34);
    cr_expect_str_eq(user.home, "/var/www");
    cr_assert_eq(user.group_count, 2);
    cr_expect_eq(user.groups[0], 29);
    cr_expect_eq(user.groups[1], 44);
}

Test(passwd, a_number_may_have_a_line)
{
    cr_assert_eq(resolve("33"), 0);
    cr_expect_eq(user.gid, 34);
    cr_expect_eq(user.group_count, 2);
    cr_assert_eq(resolve("4000000000"), 0);
    cr_expect_eq(user.uid, 4000000000);
    cr_expect_eq(user.gid, 0);
    cr_expect_null(user.home);
    cr_expect_eq(user.group_count, 0);
}

Test(passwd, a_name_of_digits_wins_over_the_number)
{
    cr_assert_eq(resolve("1000"), 0);
    cr_expect_eq(user.uid, 77);
    cr_expect_eq(user.gid, 78);
}

Test(passwd, a_named_group_is_the_only_one)
{
    cr_assert_eq(resolve("www:video"), 0);
    cr_expect_eq(user.gid, 44);
    cr_expect_eq(user.group_count, 0);
    cr_assert_eq(resolve("0:12345"), 0);
    cr_expect_eq(user.gid, 12345);
    cr_assert_eq(resolve(":audio"), 0);
    cr_expect_eq(user.uid, 0);
    cr_expect_eq(user.gid, 29);
    cr_assert_eq(resolve("www:"), 0);
    cr_expect_eq(user.gid, 34);
}

Test(passwd, lines_may_be_short)
{
    cr_assert_eq(resolve("nohome"), 0);
    cr_expect_eq(user.uid, 50);
    cr_expect_null(user.home);
}

Test(passwd, unknown_names_are_told)
{
    cr_expect_eq(resolve("nobody"), -ENOENT);
    cr_expect_str_eq(r.text, "user 'nobody' is not in the image's /etc/passwd");
    cr_expect_eq(resolve("www:none"), -ENOENT);
    cr_expect_str_eq(r.text, "group 'none' is not in the image's /etc/group");
    cr_expect_eq(resolve("broken"), -ENOENT);
    cr_expect_eq(resolve("also"), -ENOENT);
    cr_expect_eq(process_user_resolve("x", "", "", &user, &r), -ENOENT);
    cr_expect_eq(resolve("4294967295"), -ENOENT); /* (uid_t)-1 is nobody's */
}
