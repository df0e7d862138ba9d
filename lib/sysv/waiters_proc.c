/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who is blocked, from the system call in which each thread sleeps (/proc/PID/task/TID/syscall).
 * The numbers in it are of the table that the thread's program uses: 32-bit programs have another
 * one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "proc.h"
#include "sysv_waiters.h"

/* Of 32-bit programs on x86. The first has the other calls' numbers in its first argument. */
enum {
    I386_IPC = 117,
    I386_MSGSND = 400,
    I386_MSGRCV = 401,
    IPC_CALL_MSGSND = 11,
    IPC_CALL_MSGRCV
};

struct scan {
    struct sysv_set *set;
    int proc;
    uint64_t own_ns;
    pid_t pid;
    bool complete;
    bool is_32;  /* it is a 32-bit program */
    bool looked; /* at that */
};

static bool is_32_bit(int proc, pid_t pid)
{
    unsigned char head[5] = {0};
    char path[32];
    _cleanup_(closep) int fd = -1;

    snprintf(path, sizeof(path), "%d/exe", (int)pid);
    fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, head, sizeof(head)) == sizeof(head) && !memcmp(head, "\177ELF", 4) &&
           head[4] == 1;
}

static void take_want(struct sysv_waiter *w, int64_t type, uint64_t flags)
{
    w->want = type == 0              ? SYSV_WANT_ANY
              : type < 0             ? SYSV_WANT_UP_TO
              : (flags & MSG_EXCEPT) ? SYSV_WANT_EXCEPT
                                     : SYSV_WANT_EQUAL;
    w->type = type < 0 ? -type : type;
}

/* Return: the queue's id, or -1 for another call. */
static int decode_native(const struct proc_call *call, struct sysv_waiter *w)
{
    if (call->nr != SYS_msgsnd && call->nr != SYS_msgrcv)
        return -1;
    w->sends = call->nr == SYS_msgsnd;
    w->size = call->args[2];
    if (!w->sends)
        take_want(w, (int64_t)call->args[3], call->args[4]);
    return (int)call->args[0];
}

#ifdef __x86_64__
static int decode_32(const struct proc_call *call, struct sysv_waiter *w)
{
    uint64_t which = call->args[0] & 0xffff;

    if (call->nr == I386_MSGSND || call->nr == I386_MSGRCV) {
        w->sends = call->nr == I386_MSGSND;
        w->size = (uint32_t)call->args[2];
        if (!w->sends)
            take_want(w, (int32_t)call->args[3], call->args[4]);
        return (int)call->args[0];
    }
    if (call->nr != I386_IPC || (which != IPC_CALL_MSGSND && which != IPC_CALL_MSGRCV))
        return -1;
    w->sends = which == IPC_CALL_MSGSND;
    w->size = (uint32_t)call->args[2];
    /* The older form has the type in the caller's memory, which is not looked at. */
    if (!w->sends && call->args[0] >> 16)
        take_want(w, (int32_t)call->args[5], call->args[3]);
    return (int)call->args[1];
}
#endif

static int decode(struct scan *s, const struct proc_call *call, struct sysv_waiter *w)
{
#ifdef __x86_64__
    bool either = call->nr == SYS_msgsnd || call->nr == SYS_msgrcv || call->nr == I386_IPC ||
                  call->nr == I386_MSGSND || call->nr == I386_MSGRCV;

    if (!either)
        return -1;
    if (!s->looked)
        s->is_32 = is_32_bit(s->proc, s->pid);
    s->looked = true;
    if (s->is_32)
        return decode_32(call, w);
#endif
    return decode_native(call, w);
}

static int visit_thread(pid_t tid, void *ctx)
{
    struct scan *s = ctx;
    struct sysv_waiter w = {.pid = s->pid, .tid = tid, .since = MSGQ_UNKNOWN};
    struct proc_call call;
    int id, r = proc_thread_call(s->proc, s->pid, tid, &call);

    if (r == -EPERM || r == -EACCES)
        s->complete = false;
    if (r < 0 || call.state != PROC_CALL_BLOCKED)
        return 0;
    id = decode(s, &call, &w);
    for (size_t i = 0; id >= 0 && i < s->set->n; i++) {
        if (s->set->v[i].attr.id != id)
            continue;
        (void)proc_comm(s->proc, s->pid, tid, w.comm);
        return sysv_add_waiter(&s->set->v[i], &w);
    }
    return 0;
}

static int visit_process(pid_t pid, void *ctx)
{
    struct scan *s = ctx;
    uint64_t ns;
    int r = proc_ns(s->proc, pid, "ipc", &ns);

    if (r == -EACCES || r == -EPERM)
        s->complete = false;
    if (r < 0 || ns != s->own_ns)
        return 0;
    s->pid = pid;
    s->looked = false;
    r = proc_visit_tids(s->proc, pid, visit_thread, s);
    if (r == -EACCES || r == -EPERM)
        s->complete = false;
    return r == -ENOMEM ? r : 0;
}

int sysv_waiters_proc(struct sysv_set *set)
{
    _cleanup_(closep) int proc = proc_open(NULL);
    struct scan s = {.set = set, .proc = proc, .complete = true};
    int r = proc < 0 ? proc : 0;

    s.own_ns = sysv_own_ipc_ns();
    if (r == 0)
        r = proc_visit_pids(proc, visit_process, &s);
    for (size_t i = 0; i < set->n; i++)
        set->v[i].waiters_complete = r == 0 && s.complete;
    return r;
}
