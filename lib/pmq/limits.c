/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What queues cost and what they may cost: the figures behind the errors of mq_open(). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "array.h"
#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "parse.h"
#include "pmq.h"

enum {
    MSG_MSG_SIZE = 48,   /* sizeof(struct msg_msg), 64 bit */
    TREE_NODE_SIZE = 48, /* sizeof(struct posix_msg_tree_node) */
};

uint64_t pmq_charge(uint64_t maxmsg, uint64_t msgsize)
{
    uint64_t each, sum;
    uint64_t nodes = MIN(maxmsg, (uint64_t)PMQ_PRIO_MAX) * TREE_NODE_SIZE;

    if (__builtin_add_overflow(msgsize, (uint64_t)MSG_MSG_SIZE, &each) ||
        __builtin_mul_overflow(maxmsg, each, &sum) || __builtin_add_overflow(sum, nodes, &sum))
        return PMQ_UNKNOWN;
    return sum;
}

static uint64_t read_sysctl(const char *name)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    char path[64];
    uint64_t v;

    snprintf(path, sizeof(path), "/proc/sys/fs/mqueue/%s", name);
    if (file_read(AT_FDCWD, path, 64, &text) < 0 || !text.len)
        return PMQ_UNKNOWN;
    text.data[strcspn(text.data, "\n")] = '\0';
    return parse_u64(text.data, &v) < 0 ? PMQ_UNKNOWN : v;
}

static uint64_t from_rlim(rlim_t v)
{
    return v == RLIM_INFINITY ? PMQ_UNLIMITED : (uint64_t)v;
}

int pmq_limits_read(struct pmq_limits *out)
{
    struct rlimit rl;

    if (getrlimit(RLIMIT_MSGQUEUE, &rl) < 0)
        return -errno;
    *out = (struct pmq_limits){
        .queues_max = read_sysctl("queues_max"),
        .msg_max = read_sysctl("msg_max"),
        .msgsize_max = read_sysctl("msgsize_max"),
        .msg_default = read_sysctl("msg_default"),
        .msgsize_default = read_sysctl("msgsize_default"),
        .rlimit_soft = from_rlim(rl.rlim_cur),
        .rlimit_hard = from_rlim(rl.rlim_max),
    };
    return 0;
}

static int by_owner(const void *a, const void *b)
{
    uint32_t x = ((const struct pmq_usage *)a)->uid, y = ((const struct pmq_usage *)b)->uid;

    return (x > y) - (x < y);
}

int pmq_usage_estimate(const struct pmq_set *set, struct pmq_usage **ret, size_t *n)
{
    struct pmq_usage *v = calloc(set->n + 1, sizeof(*v));
    size_t k = 0;

    if (!v)
        return -ENOMEM;
    for (size_t i = 0; i < set->n; i++) {
        const struct pmq_info *q = &set->v[i];

        v[i] = (struct pmq_usage){
            .uid = q->attr.uid,
            .queues = 1,
            .charged = q->known ? pmq_charge(q->attr.maxmsg, q->attr.msgsize) : 0,
            .unread = !q->known,
        };
    }
    array_sort(v, set->n, sizeof(*v), by_owner);
    for (size_t i = 0; i < set->n; i++) {
        if (i && v[k].uid != v[i].uid)
            v[++k] = v[i];
        else if (i) {
            v[k].queues += v[i].queues;
            v[k].charged += v[i].charged;
            v[k].unread += v[i].unread;
        }
    }
    *n = set->n ? k + 1 : 0;
    *ret = v;
    return 0;
}
