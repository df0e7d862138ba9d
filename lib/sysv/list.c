/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every queue of an IPC namespace, and who is blocked on them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/stat.h>

#include "array.h"
#include "cleanup.h"
#include "sysv.h"
#include "sysv_attr.h"
#include "sysv_waiters.h"

#ifndef MSG_STAT_ANY
#define MSG_STAT_ANY 13 /* Linux 4.17 */
#endif

void sysv_info_done(struct sysv_info *info)
{
    free(info->waiters);
    *info = (struct sysv_info){0};
}

void sysv_set_free(struct sysv_set *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        sysv_info_done(&s->v[i]);
    free(s->v);
    free(s);
}

void sysv_set_freep(struct sysv_set **s)
{
    sysv_set_free(*s);
}

int sysv_add_waiter(struct sysv_info *q, const struct sysv_waiter *w)
{
    struct sysv_waiter *v = realloc(q->waiters, (q->n_waiters + 1) * sizeof(*v));

    if (!v)
        return -ENOMEM;
    v[q->n_waiters++] = *w;
    q->waiters = v;
    return 0;
}

static int add(struct sysv_set *s, int id, const struct msqid_ds *ds)
{
    struct sysv_info *v = s->v;

    /* The array doubles whenever its number is a power of two. */
    if ((s->n & (s->n - 1)) == 0) {
        v = realloc(s->v, MAX(2 * s->n, 8U) * sizeof(*v));
        if (!v)
            return -ENOMEM;
        s->v = v;
    }
    v[s->n] = (struct sysv_info){.waiters_complete = false};
    sysv_attr_from(id, ds, &v[s->n++].attr);
    return 0;
}

/* By index; a slot that is empty, or that becomes so, is passed over. */
static int read_queues(struct sysv_set *s, struct err *e)
{
    struct msqid_ds ds = {0};
    struct msginfo info;
    int max = msgctl(0, MSG_INFO, (struct msqid_ds *)(void *)&info), r = 0;

    if (max < 0)
        return sysv_explain(-errno, e);
    for (int i = 0; i <= max && r == 0; i++) {
        int id = msgctl(i, MSG_STAT_ANY, &ds);

        if (id >= 0)
            r = add(s, id, &ds);
    }
    return r;
}

static int by_id(const void *a, const void *b)
{
    int x = ((const struct sysv_info *)a)->attr.id, y = ((const struct sysv_info *)b)->attr.id;

    return (x > y) - (x < y);
}

bool sysv_supported(void)
{
    struct msginfo info;

    return msgctl(0, IPC_INFO, (struct msqid_ds *)(void *)&info) >= 0 || errno != ENOSYS;
}

uint64_t sysv_own_ipc_ns(void)
{
    struct stat ns;

    return stat("/proc/thread-self/ns/ipc", &ns) == 0 ? ns.st_ino : 0;
}

int sysv_list(bool waiters, struct sysv_set **ret, struct err *e)
{
    _cleanup_(sysv_set_freep) struct sysv_set *s = calloc(1, sizeof(*s));
    int r = s ? read_queues(s, e) : -ENOMEM;

    if (r < 0)
        return r;
    array_sort(s->v, s->n, sizeof(*s->v), by_id);
    s->ipc_ns = sysv_own_ipc_ns();
    if (waiters && s->n)
        r = sysv_waiters_proc(s);
    if (r == -ENOMEM)
        return r;
    *ret = TAKE_PTR(s);
    return 0;
}

int sysv_info_get(const struct sysv_queue *q, struct sysv_info *out, struct err *e)
{
    struct sysv_set set = {.v = out, .n = 1};
    int r;

    *out = (struct sysv_info){.waiters_complete = false};
    r = sysv_stat(q->id, &out->attr, e);
    if (r == 0 && sysv_waiters_bpf(out) < 0)
        r = sysv_waiters_proc(&set);
    if (r < 0)
        sysv_info_done(out);
    return r;
}

void sysv_want_format(const struct sysv_waiter *w, char *out, size_t size)
{
    static const char *const forms[] = {
        [SYSV_WANT_EQUAL] = "equal",
        [SYSV_WANT_EXCEPT] = "not",
        [SYSV_WANT_UP_TO] = "up to",
    };

    if (w->want == SYSV_WANT_ANY)
        snprintf(out, size, "any");
    else
        snprintf(out, size, "%s %" PRId64, forms[w->want], w->type);
}
