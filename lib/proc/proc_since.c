/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long a thread has slept, without privilege. /proc/PID/task/TID/sched says when it last ran,
 * by the clock of the processor that it ran on. Our own file, read while we run on the same
 * processor, gives the present time of that clock.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "proc.h"

enum { TEXT_MAX = 1 << 16 };

int proc_parse_last_ran(const char *text, uint64_t *ns)
{
    const char *at = strstr(text, "\nse.exec_start");
    unsigned long long ms, fraction;

    if (!at || !(at = strchr(at, ':')) || sscanf(at + 1, "%llu.%6llu", &ms, &fraction) != 2 ||
        ms > UINT64_MAX / 1000000 - 1)
        return -EBADMSG;
    *ns = ms * 1000000 + fraction;
    return *ns ? 0 : -ENODATA;
}

int proc_parse_processor(const char *text, int *cpu)
{
    const char *at = strrchr(text, ')');

    /* The 39th field; the first one after the name is the 3rd. */
    for (int field = 2; at && field < 39; field++) {
        at = strchr(at, ' ');
        at += at != NULL;
    }
    return at && sscanf(at, "%d", cpu) == 1 && *cpu >= 0 && *cpu < CPU_SETSIZE ? 0 : -EBADMSG;
}

static int last_ran(int proc, const char *path, uint64_t *ns)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    int r = file_read(proc, path, TEXT_MAX, &text);

    return r < 0 ? r : proc_parse_last_ran(buf_str(&text), ns);
}

/* Runs on that processor for a moment, to read its clock. */
static int time_on(int proc, int cpu, uint64_t *now)
{
    cpu_set_t all, one;
    int r;

    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    if (sched_getaffinity(0, sizeof(all), &all) < 0 || sched_setaffinity(0, sizeof(one), &one) < 0)
        return -errno;
    r = last_ran(proc, "thread-self/sched", now);
    (void)sched_setaffinity(0, sizeof(all), &all);
    return r;
}

int proc_thread_since(int proc, pid_t pid, pid_t tid, uint64_t *ns)
{
    _cleanup_(buf_done) struct buf stat = BUF_INIT;
    char path[64];
    uint64_t then, now;
    int cpu, r;

    snprintf(path, sizeof(path), "%d/task/%d/sched", (int)pid, (int)tid);
    r = last_ran(proc, path, &then);
    if (r < 0)
        return r;
    snprintf(path, sizeof(path), "%d/task/%d/stat", (int)pid, (int)tid);
    r = file_read(proc, path, TEXT_MAX, &stat);
    if (r == 0)
        r = proc_parse_processor(buf_str(&stat), &cpu);
    if (r == 0)
        r = time_on(proc, cpu, &now);
    if (r < 0)
        return r;
    *ns = now > then ? now - then : 0;
    return 0;
}
