/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Records of the ring buffer of `fdpeek follow`, and the records that a look into a queue finds.
 * The input is a sequence of records, each after its length in two bytes.
 */
#include "fuzz.h"

#include "../../lib/fdq/follow.c"
#define look  fdq_look
#define visit fdq_visit
#include "../../lib/fdq/peek.c"
#undef visit

static int on_event_seen(const struct fdq_event *ev, void *ctx)
{
    unsigned int *sum = ctx;

    MUST(ev->kind <= FDQ_EVENT_LOST);
    MUST(memchr(ev->comm, '\0', sizeof(ev->comm)));
    MUST(ev->path_len <= FDFOLLOW_PATH);
    for (size_t i = 0; i < ev->captured; i++)
        *sum += ((const uint8_t *)ev->data)[i];
    for (size_t i = 0; i < ev->path_len; i++)
        *sum += (unsigned int)ev->path[i];
    return *sum % 64 == 63;
}

static void follow(const uint8_t *data, size_t size)
{
    unsigned int sum = 0;
    struct fdq_follow f = {.visit = on_event_seen, .ctx = &sum};

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
}

static int on_message_seen(const struct fdq_message *m, void *ctx)
{
    unsigned int *sum = ctx;

    for (size_t i = 0; m->data && i < m->length; i++)
        *sum += ((const uint8_t *)m->data)[i];
    for (size_t i = 0; i < m->n_fds; i++) {
        MUST(memchr(m->fds[i].name, '\0', sizeof(m->fds[i].name)));
        *sum += (unsigned int)m->fds[i].inode;
    }
    return *sum % 64 == 63;
}

static void caught(const uint8_t *data, size_t size, bool heads)
{
    struct fdq_peeker p = {.opts = {.heads = heads}};
    char *exact = malloc(size);
    unsigned int sum = 0;
    uint64_t bytes;

    MUST(exact);
    memcpy(exact, data, size);
    for (uint64_t n = 0; n < 4; n++) {
        p.found = (struct fdq_catch){exact, size, n};
        if (adds_up(&p.found, heads, &bytes))
            MUST(fdq_peek_visit(&p, on_message_seen, &sum) >= 0);
        else
            (void)fdq_peek_visit(&p, on_message_seen, &sum);
    }
    free(exact);
    free(p.fds);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    if (data[0] < 128)
        follow(data + 1, size - 1);
    else
        caught(data + 1, size - 1, data[0] & 1);
    return 0;
}
