/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A model of the proposed peek calls. */
#include "peekmodel.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "macros.h"
#include "mqpeek_abi.h"
#include "peekcalls.h"

struct message {
    struct message *next;
    unsigned int priority;
    size_t n;
    char data[];
};

struct queue {
    struct queue *next;
    dev_t dev;
    ino_t ino;
    size_t depth;
    struct message *head;
    struct message *tail;
};

struct model_quirks model;
static struct queue *queues;

static struct queue *find(int fd)
{
    struct queue *q;
    struct stat st;

    if (fstat(fd, &st) < 0)
        return NULL;
    for (q = queues; q; q = q->next)
        if (q->dev == st.st_dev && q->ino == st.st_ino)
            return q;
    q = calloc(1, sizeof(*q));
    if (!q)
        abort();
    *q = (struct queue){.next = queues, .dev = st.st_dev, .ino = st.st_ino};
    queues = q;
    return q;
}

int model_send(int fd, const void *data, size_t n, unsigned int priority)
{
    struct queue *q = find(fd);
    struct message **at, *m;

    if (mq_send(fd, data, n, priority) < 0)
        return -1;
    m = malloc(sizeof(*m) + n);
    if (!m)
        abort();
    m->priority = priority;
    m->n = n;
    memcpy(m->data, data, n);
    /* Most go to the end; a long queue would else be walked for each. */
    at = q->tail && q->tail->priority >= priority ? &q->tail->next : &q->head;
    for (; *at && (*at)->priority >= priority; at = &(*at)->next)
        ;
    m->next = *at;
    *at = m;
    if (!m->next)
        q->tail = m;
    q->depth++;
    return 0;
}

long model_receive(int fd, void *data, size_t n, unsigned int *priority)
{
    struct queue *q = find(fd);
    struct message *m = q->head;
    long got = mq_receive(fd, data, n, priority);

    if (got < 0)
        return got;
    if (!m || m->n != (size_t)got || memcmp(m->data, data, m->n)) {
        fprintf(stderr, "the kernel and the model disagree about a queue\n");
        abort();
    }
    q->head = m->next;
    if (!q->head)
        q->tail = NULL;
    q->depth--;
    free(m);
    return got;
}

void model_reset(void)
{
    while (queues) {
        struct queue *q = queues;

        while (q->head) {
            struct message *m = q->head;

            q->head = m->next;
            free(m);
        }
        queues = q->next;
        free(q);
    }
}

static const struct message *at_index(const struct queue *q, size_t index)
{
    const struct message *m = q->head;

    while (m && index--)
        m = m->next;
    return m;
}

size_t model_depth(int fd)
{
    return find(fd)->depth;
}

int model_compare(const struct msgq_message *m, void *ctx)
{
    struct model_check *check = ctx;
    const struct message *want = check->n ? check->next : find(check->fd)->head;
    bool right = want && m->index == check->n && m->length == want->n &&
                 m->priority == want->priority &&
                 (check->heads ? !m->data : m->data && !memcmp(m->data, want->data, want->n));

    if (!right && want)
        fprintf(stderr, "message %zu: %zu bytes of priority %u, there are %zu of %u\n", check->n,
                m->length, m->priority, want->n, want->priority);
    check->wrong += !right;
    check->next = want ? want->next : NULL;
    check->n++;
    return 0;
}

/* The queue behind a descriptor that may read it, or NULL and errno. */
static const struct queue *readable(int fd, struct mq_attr *attr)
{
    int flags = fcntl(fd, F_GETFL);
    const struct queue *q;

    if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY || mq_getattr(fd, attr) < 0) {
        errno = EBADF;
        return NULL;
    }
    q = find(fd);
    if ((size_t)attr->mq_curmsgs != q->depth) {
        fprintf(stderr, "a queue's traffic went past the model\n");
        abort();
    }
    return q;
}

static int fail(int code)
{
    errno = code;
    return -1;
}

static bool changed(void)
{
    model.calls++;
    if (model.between)
        model.between(model.calls);
    return model.changed_every && model.calls % model.changed_every == 0;
}

/* ---- mq_timedreceive2 ---- */

static long fake_timedreceive2(long number, int fd, struct xlat_mq_timedreceive2_args *args,
                               unsigned int flags, unsigned long index,
                               const struct timespec *timeout)
{
    const struct queue *q;
    const struct message *m;
    struct mq_attr attr;
    bool moved = changed();

    if (number != XLAT_NR_MQ_TIMEDRECEIVE2 || !model.syscall)
        return fail(model.syscall_answer ? model.syscall_answer : ENOSYS);
    if (!args)
        return fail(EFAULT);
    if (timeout && (timeout->tv_nsec < 0 || timeout->tv_nsec >= 1000000000))
        return fail(EINVAL);
    q = readable(fd, &attr);
    if (!q)
        return -1;
    if (args->msg_len < (size_t)attr.mq_msgsize)
        return fail(EMSGSIZE);
    /* Other flags are not looked at: 1 consumes. */
    if (!(flags & XLAT_MQ_PEEK))
        return model_receive(fd, args->msg_ptr, args->msg_len, args->msg_prio);
    if (index >= (unsigned long)attr.mq_maxmsg)
        return fail(ENOENT);
    if (q->depth == 0 || moved)
        return fail(EAGAIN);
    m = at_index(q, index);
    if (!m)
        return fail(ENOENT);
    if (args->msg_prio)
        *args->msg_prio = m->priority;
    memcpy(args->msg_ptr, m->data, m->n);
    return (long)m->n;
}

/* ---- F_MQ_PEEK ---- */

static int fake_fcntl(int fd, int command, struct xlat_mq_peek_attr *attr)
{
    const struct queue *q;
    const struct message *m;
    struct mq_attr a;
    size_t n;

    (void)changed();
    if (command != XLAT_F_MQ_PEEK || !model.fcntl)
        return fail(EINVAL);
    q = readable(fd, &a);
    if (!q)
        return -1;
    if (attr->offset < 0)
        return fail(EINVAL);
    m = at_index(q, (size_t)attr->offset);
    if (!m)
        return fail(ENOMSG);
    n = MIN(m->n, attr->buf_len); /* cut, without a word */
    memcpy(attr->buf, m->data, n);
    attr->msg_prio = m->priority;
    return (int)n;
}

/* ---- MQ_IOC_BULK_PEEK ---- */

/* Ways in which a kernel could answer nonsense; the caller must notice each. */
static void lie(struct xlat_mq_bulk_peek_args *args, struct xlat_mq_peek_msg_hdr *first)
{
    switch (model.corrupt) {
    case 1:
        args->out_count = UINT32_MAX;
        break;
    case 2:
        first->chunk_len = UINT32_MAX - 7;
        break;
    case 3:
        first->total_msg_len = UINT32_MAX;
        break;
    case 4:
        first->msg_prio = 32768;
        break;
    case 5:
        args->next_idx = args->start_idx;
        break;
    case 6:
        first->flags ^= XLAT_MQ_PEEK_FLAG_HAS_MORE;
        break;
    case 7:
        args->next_offset = 1;
        break;
    case 8:
        first->total_msg_len++;
        break;
    case 9:
        first->chunk_len = 0;
        first->flags |= XLAT_MQ_PEEK_FLAG_HAS_MORE;
        args->out_count = 1;
        args->next_idx = args->start_idx;
        args->next_offset = args->start_offset;
        break;
    default:
        break;
    }
}

static void fill(const struct queue *q, struct xlat_mq_bulk_peek_args *args, char *buf, size_t room)
{
    const struct message *m = at_index(q, args->start_idx);
    uint32_t offset = args->start_offset;
    size_t at = 0;

    args->out_count = 0;
    args->next_idx = args->start_idx;
    args->next_offset = 0;
    for (; m && args->out_count < args->max_count; m = m->next, offset = 0) {
        struct xlat_mq_peek_msg_hdr h = {.total_msg_len = (uint32_t)m->n, .msg_prio = m->priority};
        size_t left = offset < m->n ? m->n - offset : 0;

        if (at + sizeof(h) > room || (left && at + sizeof(h) == room && !model.bulk_bare))
            break;
        h.chunk_len = (uint32_t)MIN(left, room - at - sizeof(h));
        h.flags = h.chunk_len < left ? XLAT_MQ_PEEK_FLAG_HAS_MORE : 0;
        memcpy(buf + at, &h, sizeof(h));
        memcpy(buf + at + sizeof(h), m->data + offset, h.chunk_len);
        at += sizeof(h) + h.chunk_len + (-(size_t)h.chunk_len & 7);
        args->out_count++;
        if (h.flags) {
            args->next_offset = offset + h.chunk_len;
            break;
        }
        args->next_idx++;
    }
}

static int fake_ioctl(int fd, unsigned long request, struct xlat_mq_bulk_peek_args *args)
{
    char *buf = (char *)(uintptr_t)args->buf_ptr;
    const struct queue *q;
    struct mq_attr a;

    (void)changed();
    if (request != XLAT_MQ_IOC_BULK_PEEK || !model.ioctl)
        return fail(ENOTTY);
    if (model.ioctl_denied)
        return fail(EPERM);
    q = readable(fd, &a);
    if (!q)
        return -1;
    fill(q, args, buf, MIN((size_t)args->buf_size, model.bulk_cap));
    if (args->out_count) {
        struct xlat_mq_peek_msg_hdr h;

        memcpy(&h, buf, sizeof(h));
        lie(args, &h);
        memcpy(buf, &h, sizeof(h));
    }
    return 0;
}

static struct pmq_peek_calls real;

void model_install(void)
{
    if (!real.fcntl)
        real = pmq_peek_calls;
    pmq_peek_calls = (struct pmq_peek_calls){fake_timedreceive2, fake_fcntl, fake_ioctl};
}

void model_remove(void)
{
    if (real.fcntl)
        pmq_peek_calls = real;
}
