/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Creates a queue for its owner. Its mode keeps everybody out until it is complete. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plan_internal.h"

/* The kernel checks the caller's soft limit: raise it to the hard one. */
static void raise_limit(void)
{
    struct rlimit l;

    if (getrlimit(RLIMIT_MSGQUEUE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        (void)setrlimit(RLIMIT_MSGQUEUE, &l);
    }
}

static int create(const char *name, const struct msgdump_queue *q)
{
    struct mq_attr attr = {.mq_maxmsg = (long)q->maxmsg, .mq_msgsize = (long)q->msgsize};
    int fd = mq_open(name, O_CREAT | O_EXCL | O_RDWR | O_NONBLOCK | O_CLOEXEC, 0, &attr);

    return fd < 0 ? -errno : fd;
}

/* Keeps the capabilities that let root exceed msg_max and queues_max when it acts as the owner. */
static void keep_capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};

    if (syscall(SYS_capget, &header, data) < 0)
        return;
    data[0].effective = data[0].permitted;
    data[1].effective = data[1].permitted;
    (void)syscall(SYS_capset, &header, data);
}

/*
 * Runs in a child of @parent and ends with it, because its queue is in the journal of the parent.
 * Without a @name it only finds out whether it could create queues for the owner.
 */
static int create_as_owner(const char *name, const struct msgdump_queue *q, pid_t parent)
{
    if (setgroups(0, NULL) < 0 || prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ||
        setresgid(q->gid, q->gid, q->gid) < 0 || setresuid(q->uid, q->uid, q->uid) < 0)
        return -errno;
    keep_capabilities();
    /* Not earlier, because a change of ids clears it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
        return -ESRCH;
    return name ? create(name, q) : 0;
}

/*
 * The kernel charges the real uid of the process that creates a queue, so a child takes the owner's
 * ids. It shares the table of descriptors: a queue that it opens is open here too.
 */
static int create_by_child(const char *name, const struct msgdump_queue *q)
{
    int *result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                       -1, 0);
    pid_t parent = getpid(), child;
    int r;

    if (result == MAP_FAILED)
        return -errno;
    *result = -EIO;
    child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);
    if (child == 0) {
        *result = create_as_owner(name, q, parent);
        _exit(0);
    }
    r = child < 0 ? -errno : 0;
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    if (r == 0)
        r = *result;
    munmap(result, sizeof(*result));
    return r;
}

static int explain(int r, const char *name, const struct msgdump_queue *q, struct err *e)
{
    struct pmq_limits l = {0};

    switch (r) {
    case -EEXIST:
        return err_set(e, r, NULL, "%s has just been created by somebody else", name);
    case -EMFILE:
        return err_set(e, r, "raise ulimit -q", "%s: RLIMIT_MSGQUEUE of user %u is used up", name,
                       q->uid);
    case -ENOSPC:
        (void)pmq_limits_read(&l);
        return err_set(e, r, "raise /proc/sys/fs/mqueue/queues_max",
                       "%s: there are as many queues as queues_max allows: %" PRIu64, name,
                       l.queues_max);
    case -EINVAL:
        return err_set(e, r, NULL,
                       "%s: the kernel takes neither its sizes nor, maybe, its owner %u:%u", name,
                       q->uid, q->gid);
    default:
        return err_set(e, r, NULL, "%s cannot be created: %s", name, err_text(NULL, r));
    }
}

static bool needs_child(const struct msgdump_queue *q)
{
    return geteuid() == 0 && (q->uid != 0 || q->gid != getegid());
}

int msgdump_check_owners(const struct msgdump_plan *p, struct err *e)
{
    const struct msgdump_queue *last = NULL;

    for (size_t i = 0; i < p->n; i++) {
        const struct msgdump_item *item = &p->items[i];
        const struct msgdump_queue *q = &item->queue;
        int r;

        if ((item->action != MSGDUMP_CREATE && item->action != MSGDUMP_REPLACE) ||
            !needs_child(q) || (last && last->uid == q->uid && last->gid == q->gid))
            continue;
        last = q;
        r = create_by_child(NULL, q);
        if (r == -EINVAL)
            return err_set(e, -EPERM, "restore it outside of this user namespace",
                           "%s: its owner %u:%u does not exist in this user namespace", item->name,
                           q->uid, q->gid);
        if (r < 0)
            return err_set(e, r, NULL, "%s cannot be made for its owner %u:%u: %s", item->name,
                           q->uid, q->gid, err_text(NULL, r));
    }
    return 0;
}

int msgdump_make(const char *name, const struct msgdump_queue *q, bool *owned, struct err *e)
{
    struct stat st;
    int fd;

    raise_limit();
    if (needs_child(q))
        fd = create_by_child(name, q);
    else
        fd = create(name, q);
    if (fd < 0)
        return explain(fd, name, q, e);
    *owned = fstat(fd, &st) == 0 && st.st_uid == q->uid &&
             (st.st_gid == q->gid || fchown(fd, (uid_t)-1, q->gid) == 0);
    return fd;
}
