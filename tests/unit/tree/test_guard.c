/* SPDX-License-Identifier: Apache-2.0 */
/* SIGBUS in and outside of trees. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

#include "layerfs/tree/tree.h"
#include "tests/unit/tree/trees.h"

TestSuite(guard);

/* A tree of several pages, written to fd. */
static void write_big_tree(int fd)
{
    _cleanup_(lfs_builder_freep) struct lfs_builder *b = NULL;
    struct oci_digest id = test_id(1);
    struct report r = REPORT_INIT;
    char line[64];

    cr_assert_eq(lfs_builder_new(LFS_TREE_LAYER, &b), 0);
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(line, sizeof(line), "f d%u/f%u %u", i % 10, i, i);
        cr_assert_eq(add_line(b, line, &r), 0);
    }
    cr_assert_eq(lfs_builder_write(b, &id, fd, &r), 0, "%s", r.text);
}

/* A mapped page behind the end of its file. */
static volatile char *missing_page(void)
{
    int fd = memory_file();
    char *page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

    cr_assert_neq(page, MAP_FAILED);
    (void)close(fd);
    return page;
}

Test(guard, a_tree_that_is_cut_off_gives_errors)
{
    _cleanup_(fd_closep) int fd = memory_file();
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    struct report r = REPORT_INIT;
    struct lfs_inode inode;

    cr_assert_eq(lfs_tree_guard_install(), 0);
    write_big_tree(fd);
    tree = open_fd(fd);
    cr_assert_eq(lfs_tree_verify(tree, &r), 0, "%s", r.text);
    cr_assert_eq(ftruncate(fd, 4096), 0);
    cr_assert_eq(lfs_tree_inode(tree, 1, &inode), 0, "the first page is still there");
    cr_expect_not(lfs_tree_is_damaged(tree));
    cr_expect_eq(lfs_tree_inode(tree, 1000, &inode), -EIO);
    cr_expect(lfs_tree_is_damaged(tree));
    cr_expect_eq(lfs_tree_inode(tree, 1, &inode), -EIO, "no part of a damaged tree is trusted");
    cr_expect_eq(lfs_tree_verify(tree, &r), -EIO);
}

/* Zeros could be taken for a name that is not there, which a kernel would then remember. */
Test(guard, a_lookup_in_missing_pages_is_no_enoent)
{
    _cleanup_(fd_closep) int fd = memory_file();
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    struct lfs_inode root;
    struct lfs_dirent entry;

    cr_assert_eq(lfs_tree_guard_install(), 0);
    write_big_tree(fd);
    tree = open_fd(fd);
    cr_assert_eq(lfs_tree_inode(tree, 1, &root), 0);
    cr_assert_eq(ftruncate(fd, 4096), 0);
    cr_expect_eq(lfs_tree_lookup(tree, &root, "d5", 2, &entry), -EIO);
    cr_expect(lfs_tree_is_damaged(tree));
}

Test(guard, verify_reports_missing_pages)
{
    _cleanup_(fd_closep) int fd = memory_file();
    _cleanup_(lfs_tree_closep) struct lfs_tree *tree = NULL;
    struct report r = REPORT_INIT;

    cr_assert_eq(lfs_tree_guard_install(), 0);
    write_big_tree(fd);
    tree = open_fd(fd);
    cr_assert_eq(ftruncate(fd, 8192), 0);
    cr_expect_eq(lfs_tree_verify(tree, &r), -EIO);
    cr_expect(report_is_set(&r));
}

Test(guard, other_trees_are_not_damaged_and_slots_are_used_again)
{
    _cleanup_(fd_closep) int bad_fd = memory_file();
    _cleanup_(fd_closep) int good_fd = memory_file();
    _cleanup_(lfs_tree_closep) struct lfs_tree *good = NULL;
    struct lfs_tree *bad;
    struct lfs_inode inode;

    cr_assert_eq(lfs_tree_guard_install(), 0);
    write_big_tree(bad_fd);
    write_big_tree(good_fd);
    bad = open_fd(bad_fd);
    good = open_fd(good_fd);
    cr_assert_eq(ftruncate(bad_fd, 4096), 0);
    cr_expect_eq(lfs_tree_inode(bad, 1000, &inode), -EIO);
    cr_expect_eq(lfs_tree_inode(good, 1000, &inode), 0);
    cr_expect_not(lfs_tree_is_damaged(good));
    lfs_tree_close(bad);
    cr_assert_eq(ftruncate(bad_fd, 0), 0);
    write_big_tree(bad_fd);
    bad = open_fd(bad_fd);
    cr_expect_not(lfs_tree_is_damaged(bad));
    cr_expect_eq(lfs_tree_inode(bad, 1000, &inode), 0);
    lfs_tree_close(bad);
}

Test(guard, a_fault_elsewhere_ends_the_process, .signal = SIGBUS)
{
    (void)signal(SIGBUS, SIG_DFL); /* not a sanitizer's */
    cr_assert_eq(lfs_tree_guard_install(), 0);
    (void)missing_page()[0];
}

Test(guard, a_signal_that_was_sent_ends_the_process, .signal = SIGBUS)
{
    (void)signal(SIGBUS, SIG_DFL);
    cr_assert_eq(lfs_tree_guard_install(), 0);
    (void)kill(getpid(), SIGBUS);
}

static sigjmp_buf back;

static void jump_back(int sig)
{
    siglongjmp(back, sig);
}

Test(guard, an_earlier_handler_gets_what_is_not_a_trees)
{
    volatile char *page = missing_page();

    (void)signal(SIGBUS, jump_back);
    cr_assert_eq(lfs_tree_guard_install(), 0);
    cr_assert_eq(lfs_tree_guard_install(), 0, "twice is once");
    if (sigsetjmp(back, 1) == 0) {
        (void)page[0];
        cr_assert_fail("no signal");
    }
}

/* Trees that come and go on one thread while another runs into a missing page again and again. */
static void *open_and_close(void *userdata)
{
    atomic_bool *stop = userdata;
    int fd = memory_file();

    write_big_tree(fd);
    while (!atomic_load(stop)) {
        struct lfs_tree *trees[3];

        for (size_t i = 0; i < ARRAY_SIZE(trees); i++)
            trees[i] = open_fd(fd);
        for (size_t i = 0; i < ARRAY_SIZE(trees); i++) {
            cr_assert_not(lfs_tree_is_damaged(trees[i]));
            lfs_tree_close(trees[i]);
        }
    }
    (void)close(fd);
    return NULL;
}

Test(guard, faults_while_trees_come_and_go)
{
    _cleanup_(fd_closep) int fd = memory_file();
    atomic_bool stop = false;
    pthread_t thread;

    cr_assert_eq(lfs_tree_guard_install(), 0);
    write_big_tree(fd);
    cr_assert_eq(pthread_create(&thread, NULL, open_and_close, &stop), 0);
    for (unsigned i = 0; i < 200; i++) {
        struct lfs_tree *tree = open_fd(fd);
        struct lfs_inode inode;

        cr_assert_eq(ftruncate(fd, 4096), 0);
        cr_expect_eq(lfs_tree_inode(tree, 1000, &inode), -EIO);
        lfs_tree_close(tree);
        cr_assert_eq(ftruncate(fd, 0), 0);
        write_big_tree(fd);
    }
    atomic_store(&stop, true);
    cr_assert_eq(pthread_join(thread, NULL), 0);
}
