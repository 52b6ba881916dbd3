/* SPDX-License-Identifier: Apache-2.0 */
/* The sandbox: no new privileges, capabilities, and the order of things. */
#include "layerfs/fuse/sandbox.h"

#include <dlfcn.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "layerfs/fuse/sandbox_parts.h"
#include "layerfs/fuse/stats.h"
#include "oci/util/log.h"

/* The sanitizers' runtimes open /proc, start programs and map memory as they like. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define CAPABILITY(name) (UINT64_C(1) << (name))

/* Only the calling thread's: there is no call for all of them. */
static int keep_capabilities(uint64_t kept)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    if (syscall(SYS_capget, &header, data) < 0)
        return neg_errno();
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
        data[i].permitted &= (uint32_t)(kept >> (32 * i));
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &header, data) < 0 ? neg_errno() : 0;
}

static unsigned note(int err, unsigned bit)
{
    if (err == 0)
        return bit;
    log_debug(LOG_MOUNT, "not confined by %s: %s", lfs_confined_name(bit), strerror(-err));
    return 0;
}

/* pthread_cancel() loads this library when it is first called, and there must not die of that. */
static void load_what_comes_late(void)
{
    (void)dlopen("libgcc_s.so.1", RTLD_NOW);
}

static int no_new_privileges(void)
{
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? neg_errno() : 0;
}

unsigned lfs_sandbox_serve(const struct lfs_sandbox *sandbox)
{
    const uint64_t kept = (sandbox->foreign_store ? CAPABILITY(CAP_DAC_READ_SEARCH) : 0) |
                          (sandbox->backing_files ? CAPABILITY(CAP_SYS_ADMIN) : 0);
    unsigned done;

    if (SANITIZED)
        return 0;
    load_what_comes_late();
    done = note(no_new_privileges(), LFS_CONFINED_NO_NEW_PRIVS);
    done |= note(keep_capabilities(kept), LFS_CONFINED_CAPABILITIES);
    done |= note(lfs_landlock_apply(sandbox->objects_fd), LFS_CONFINED_LANDLOCK);
    done |= note(lfs_seccomp_apply(false), LFS_CONFINED_SECCOMP);
    return done;
}

unsigned lfs_sandbox_control(void)
{
    unsigned done;

    if (SANITIZED || geteuid() != 0)
        return 0;
    done = note(no_new_privileges(), LFS_CONFINED_NO_NEW_PRIVS);
    /* To unmount, and to reach a mountpoint and a store in another user's directories. */
    done |= note(keep_capabilities(CAPABILITY(CAP_SYS_ADMIN) | CAPABILITY(CAP_DAC_OVERRIDE)),
        LFS_CONFINED_CAPABILITIES);
    done |= note(lfs_seccomp_apply(true), LFS_CONFINED_SECCOMP);
    return done;
}
