/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Dumps of queues, as restore reads them, and of traffic, as replay does: what passes has names,
 * sizes and priorities that a queue can have.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "fuzz.h"
#include "msgdump.h"
#include "sysvdump_walk.h"

struct walked {
    struct sysvdump_state sysv;
    uint64_t messages, bytes;
};

static int on_queue(void *ctx, const struct msgdump_queue *q, struct err *e)
{
    (void)e;
    *(struct walked *)ctx = (struct walked){0};
    MUST(q->name[0] == '/' && q->name[1] && !strchr(q->name + 1, '/'));
    MUST(q->maxmsg && q->maxmsg <= PMQ_HARD_MSGMAX && q->msgsize <= PMQ_HARD_MSGSIZEMAX);
    MUST(q->mode <= 07777);
    return 0;
}

static int on_message(void *ctx, const struct msgdump_queue *q, const struct msgq_message *m,
                      struct err *e)
{
    struct walked *w = ctx;

    (void)e;
    MUST(m->length <= q->msgsize && m->priority < PMQ_PRIO_MAX);
    MUST(w->messages < q->maxmsg);
    for (uint64_t i = 0; i < m->length; i++)
        w->bytes += ((const uint8_t *)m->data)[i] * UINT64_C(0);
    w->messages++;
    w->bytes += m->length;
    return 0;
}

static int on_end(void *ctx, const struct msgdump_queue *q, uint64_t messages, uint64_t bytes,
                  struct err *e)
{
    const struct walked *w = ctx;

    (void)q;
    (void)e;
    MUST(messages == w->messages && bytes == w->bytes);
    return 0;
}

static int on_sysv_message(void *ctx, const struct msgq_message *m, struct err *e)
{
    (void)ctx;
    (void)e;
    MUST(m->type >= 1);
    MUST(m->length == 0 || m->data);
    return 0;
}

/* System V queues, in the same pass. */
static int on_other(void *ctx, struct dump_record *rec, struct err *e)
{
    static const struct sysvdump_visitor visitor = {.message = on_sysv_message};
    struct walked *w = ctx;

    return sysvdump_take(&w->sysv, rec, &visitor, w, e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct msgdump_visitor visitor = {on_queue, on_message, on_end, on_other};
    _cleanup_(dump_reader_freep) struct dump_reader *r = NULL;
    struct walked w = {0};
    struct err e = ERR_INIT;
    int fd = memfd_create("dump", MFD_CLOEXEC);

    MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
    /* Without an end record, so that the checksum is in nobody's way. */
    if (dump_reader_open_fd(fd, DUMP_PARTIAL, &r, &e) == 0 && msgdump_walk(r, &visitor, &w, &e) < 0)
        MUST(e.why[0]);
    return 0;
}
