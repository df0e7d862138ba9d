/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of the ring buffer of `follow`, and the connector's datagrams of processes that end. The
 * input is a sequence of records, each after its length in two bytes.
 */
#include "fuzz.h"

#include "../../lib/msgq/follow.c"
#define send_op      proc_send_op
#define receive      proc_receive
#define explain      proc_explain
#define wait_for_ack proc_wait_for_ack
#include "../../lib/proc/proc_events.c"

static void name(const struct follow_announce *a, char out[static FOLLOW_LABEL])
{
    memcpy(out, a->name, sizeof(a->name));
    out[sizeof(a->name)] = '\0';
}

static const struct msgq_follow_ops ops = {.label = name}, sysv_ops = {.label = name, .sysv = true};

static int visit(const struct msgq_event *ev, void *ctx)
{
    unsigned int *sum = ctx;

    MUST(ev->kind <= MSGQ_EVENT_CHANGE);
    MUST(!ev->sysv || ev->priority == MSGQ_PRIO_UNKNOWN);
    MUST(memchr(ev->comm, '\0', sizeof(ev->comm)));
    MUST(ev->captured == 0 || ev->data);
    for (size_t i = 0; i < ev->captured; i++)
        *sum += ((const uint8_t *)ev->data)[i];
    for (const char *p = ev->label; p && *p; p++)
        *sum += (unsigned int)*p;
    return *sum % 64 == 63;
}

static void forget(struct msgq_follow *f)
{
    for (size_t i = 0; i < f->n_targets; i++)
        free(f->targets[i].label);
    free(f->targets);
}

static void follow(const uint8_t *data, size_t size)
{
    unsigned int sum = 0;
    struct msgq_follow sysv = {.ops = &sysv_ops, .visit = visit, .ctx = &sum};
    struct msgq_follow f = {.ops = &ops, .visit = visit, .ctx = &sum, .joined = &sysv};

    while (size >= 2) {
        size_t n = MIN((size_t)(data[0] | data[1] << 8), size - 2);
        void *record = malloc(n ? n : 1); /* of its exact size, for the sanitizer */

        MUST(record);
        memcpy(record, data + 2, n);
        on_record(&f, record, n);
        free(record);
        data += 2 + n;
        size -= 2 + n;
    }
    forget(&f);
    forget(&sysv);
}

static void ended(const uint8_t *data, size_t size)
{
    struct nlmsghdr *h = malloc(size);
    struct proc_event ev;
    int left = (int)size;

    MUST(h);
    memcpy(h, data, size);
    for (const struct nlmsghdr *at = h; is_whole(at, left); at = mnl_nlmsg_next(at, &left))
        (void)event_of(at, &ev);
    free(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    if (data[0] < 224)
        follow(data + 1, size - 1);
    else
        ended(data + 1, size - 1);
    return 0;
}
