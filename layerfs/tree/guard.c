/* SPDX-License-Identifier: Apache-2.0 */
/* Surviving pages of a tree that cannot be read.
 *
 * Reading a mapped page that lies past the end of a file that was cut off, or on a disk that fails,
 * is a SIGBUS. The handler looks for the address in a list of slots, one a mapped tree. Found, it
 * puts a page of zeros there and marks the tree damaged; the load that faulted then reads zeros,
 * and the accessor it is part of sees the mark and returns -EIO. Anything else goes to the handler
 * that was there before, or to the default action.
 *
 * The handler may run at any moment on any thread, so it takes no lock. That is safe because slots
 * are only ever added to the front of the list and never freed, and because the slot of the
 * mapping that faulted does not change while its tree is open. Other slots may change while they
 * are read: start is 0 while end is being written, so a start that reads the same before and after
 * end belongs to that end. */
#include "layerfs/tree/guard.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "layerfs/tree/tree.h"

static struct lfs_guard_slot *_Atomic slots;
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER; /* protects changes of the list */

static pthread_mutex_t install_lock = PTHREAD_MUTEX_INITIALIZER; /* protects installed */
static bool installed;
static struct sigaction previous; /* written before the handler is in place */
static uintptr_t page_size;       /* the same */

/* A free slot, or a new one at the front of the list. */
static struct lfs_guard_slot *slot_take(void)
{
    struct lfs_guard_slot *slot;

    for (slot = atomic_load(&slots); slot; slot = slot->next)
        if (atomic_load(&slot->start) == 0)
            return slot;
    slot = calloc(1, sizeof(*slot));
    if (!slot)
        return NULL;
    slot->next = atomic_load(&slots);
    atomic_store(&slots, slot);
    return slot;
}

int lfs_guard_add(const void *start, size_t size, struct lfs_guard_slot **ret_slot)
{
    struct lfs_guard_slot *slot;

    pthread_mutex_lock(&slots_lock);
    slot = slot_take();
    if (slot) {
        atomic_store(&slot->damaged, false);
        atomic_store(&slot->end, (uintptr_t)start + size);
        atomic_store(&slot->start, (uintptr_t)start);
    }
    pthread_mutex_unlock(&slots_lock);
    if (!slot)
        return -ENOMEM;
    *ret_slot = slot;
    return 0;
}

void lfs_guard_remove(struct lfs_guard_slot *slot)
{
    if (!slot)
        return;
    pthread_mutex_lock(&slots_lock);
    atomic_store(&slot->start, 0);
    pthread_mutex_unlock(&slots_lock);
}

static struct lfs_guard_slot *slot_of(uintptr_t address)
{
    for (struct lfs_guard_slot *slot = atomic_load(&slots); slot; slot = slot->next) {
        uintptr_t start = atomic_load(&slot->start);
        uintptr_t end = atomic_load(&slot->end);

        /* The last page of a mapping is the tree's as a whole. */
        end = (end + page_size - 1) & ~(page_size - 1);
        if (start && address >= start && address < end && start == atomic_load(&slot->start))
            return slot;
    }
    return NULL;
}

/* The fault is not ours. With the default action back in place, returning runs into the same fault
 * again, which then ends the process where it happened; a signal that was sent is sent again. */
static void pass_on(int sig, siginfo_t *info, void *context)
{
    if (previous.sa_flags & SA_SIGINFO) {
        previous.sa_sigaction(sig, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(sig);
    } else if (previous.sa_handler == SIG_DFL || info->si_code > 0) {
        (void)signal(sig, SIG_DFL);
        if (info->si_code <= 0)
            (void)raise(sig);
    }
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
    int saved = errno;
    uintptr_t address = (uintptr_t)info->si_addr;
    struct lfs_guard_slot *slot = info->si_code > 0 ? slot_of(address) : NULL;
    void *page;

    if (!slot) {
        errno = saved;
        pass_on(sig, info, context);
        return;
    }
    atomic_store(&slot->damaged, true);
    page = (char *)info->si_addr - address % page_size;
    if (mmap(page, page_size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != page)
        (void)signal(sig, SIG_DFL); /* no memory for a page: there is no way on */
    errno = saved;
}

int lfs_tree_guard_install(void)
{
    struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    int r = 0;

    pthread_mutex_lock(&install_lock);
    if (!installed) {
        page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
        (void)sigemptyset(&action.sa_mask);
        if (sigaction(SIGBUS, NULL, &previous) < 0 || sigaction(SIGBUS, &action, NULL) < 0)
            r = neg_errno();
        installed = r == 0;
    }
    pthread_mutex_unlock(&install_lock);
    return r;
}
