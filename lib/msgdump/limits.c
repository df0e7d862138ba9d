/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Checks whether the kernel will allow the queues, and gives the figures when it will not. */
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "plan_internal.h"

/* A process with CAP_SYS_RESOURCE may exceed these limits, but not RLIMIT_MSGQUEUE. */
static bool may_exceed(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {0};

    return syscall(SYS_capget, &header, data) == 0 && data[0].effective & 1u << CAP_SYS_RESOURCE;
}

static int check_one(const struct msgdump_item *item, const struct pmq_limits *l, struct err *e)
{
    if (item->queue.maxmsg > l->msg_max)
        return err_set(e, -ENOSPC, "raise /proc/sys/fs/mqueue/msg_max",
                       "%s holds up to %" PRIu64 " messages, msg_max is %" PRIu64, item->name,
                       item->queue.maxmsg, l->msg_max);
    if (item->queue.msgsize > l->msgsize_max)
        return err_set(e, -ENOSPC, "raise /proc/sys/fs/mqueue/msgsize_max",
                       "%s takes messages of %" PRIu64 " bytes, msgsize_max is %" PRIu64,
                       item->name, item->queue.msgsize, l->msgsize_max);
    return 0;
}

/* The charge of one owner for all queues, new and existing ones. */
static uint64_t charge_of(const struct msgdump_plan *p, const struct pmq_set *set, uint32_t uid,
                          uint64_t *new)
{
    uint64_t old = 0;

    *new = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct msgdump_item *item = &p->items[i];
        uint32_t owner = geteuid() == 0 ? item->queue.uid : geteuid();

        if (owner == uid && (item->action == MSGDUMP_CREATE || item->action == MSGDUMP_REPLACE))
            *new += pmq_charge(item->queue.maxmsg, item->queue.msgsize);
    }
    for (size_t i = 0; i < set->n; i++) {
        const struct pmq_info *info = &set->v[i];
        bool freed = false;

        if (!info->known || info->attr.uid != uid)
            continue;
        /* A replaced queue stays charged while a process has it open. */
        for (size_t k = 0; k < p->n && !freed; k++)
            freed = p->items[k].action == MSGDUMP_REPLACE && info->n_holders == 0 &&
                    info->ns_pid == 0 && strcmp(p->items[k].name, info->attr.name) == 0;
        if (!freed)
            old += pmq_charge(info->attr.maxmsg, info->attr.msgsize);
    }
    return old;
}

static int check_charges(const struct msgdump_plan *p, const struct pmq_set *set,
                         const struct pmq_limits *l, struct err *e)
{
    uint64_t limit = l->rlimit_hard;
    uint32_t last = UINT32_MAX;

    if (limit == PMQ_UNKNOWN || limit == PMQ_UNLIMITED)
        return 0;
    for (size_t i = 0; i < p->n; i++) {
        uint32_t uid = geteuid() == 0 ? p->items[i].queue.uid : geteuid();
        uint64_t old, new;

        if (uid == last || p->items[i].action == MSGDUMP_SKIP)
            continue;
        last = uid;
        old = charge_of(p, set, uid, &new);
        if (new > 0 && old + new > limit)
            return err_set(e, -EMFILE, "raise ulimit -q, or unlink queues that nobody needs",
                           "the queues of user %u would cost %" PRIu64 " bytes, %" PRIu64
                           " are in use, RLIMIT_MSGQUEUE is %" PRIu64,
                           uid, new, old, limit);
    }
    return 0;
}

static int check_count(const struct msgdump_plan *p, const struct pmq_set *set,
                       const struct pmq_limits *l, struct err *e)
{
    uint64_t have = 0, more = 0;

    for (size_t i = 0; i < set->n; i++)
        have += set->v[i].ns_pid == 0 && !set->v[i].attr.unlinked;
    for (size_t i = 0; i < p->n; i++)
        more += p->items[i].action == MSGDUMP_CREATE;
    if (more > 0 && have + more > l->queues_max)
        return err_set(e, -ENOSPC, "raise /proc/sys/fs/mqueue/queues_max",
                       "%" PRIu64 " queues exist, %" PRIu64
                       " more are to be made, queues_max is %" PRIu64,
                       have, more, l->queues_max);
    return 0;
}

int msgdump_check_limits(const struct msgdump_plan *p, struct err *e)
{
    _cleanup_(pmq_set_freep) struct pmq_set *set = NULL;
    bool exempt = may_exceed();
    struct pmq_limits l;
    int r = pmq_limits_read(&l);

    for (size_t i = 0; i < p->n && r == 0 && !exempt; i++)
        if (p->items[i].action == MSGDUMP_CREATE || p->items[i].action == MSGDUMP_REPLACE)
            r = check_one(&p->items[i], &l, e);
    if (r < 0)
        return r;
    r = pmq_scan(PMQ_SCAN_HOLDERS | PMQ_SCAN_ALL_NAMESPACES | PMQ_SCAN_UNLINKED, 0, &set, e);
    if (r == 0 && !exempt)
        r = check_count(p, set, &l, e);
    return r == 0 ? check_charges(p, set, &l, e) : r;
}
