/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads a pipe through tee(2): a pipe of our own gets references to the same pages and is read
 * instead. Bytes, packets and the access time do not change. A descriptor for reading is needed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backend.h"
#include "cleanup.h"

struct tee_state {
    struct buf records;
    bool heads;
};

static int tee_probe(struct err *e)
{
    (void)e;
    return 0;
}

static int tee_open(const struct fdq_peek_opts *opts, void **state)
{
    struct tee_state *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    s->heads = opts->heads;
    *state = s;
    return 0;
}

static void tee_close(void *state)
{
    struct tee_state *s = state;

    buf_done(&s->records);
    free(s);
}

static bool tee_serves(const struct fdq_queue *q)
{
    return !fdq_is_socket(q->kind);
}

/*
 * Reads the copy until it is empty, packet by packet if there are packets. Return: number of
 * messages.
 */
static int read_copy(struct tee_state *s, int fd, size_t size)
{
    _cleanup_(freep) char *data = malloc(size);
    int n = 0;

    if (!data)
        return -ENOMEM;
    for (;; n++) {
        ssize_t got = read(fd, data, size);

        if (got <= 0)
            return got == 0 || errno == EAGAIN ? n : -errno;
        fdq_add_record(&s->records, data, s->heads ? 0 : (size_t)got, 0);
        if (s->heads)
            ((struct fdpeek_record *)(void *)(s->records.data + s->records.len -
                                              sizeof(struct fdpeek_record)))
                ->length = (uint64_t)got;
    }
}

static int tee_look(void *state, const struct fdq_queue *q, struct fdq_catch *found,
                    struct fdq_peek_info *info, struct err *e)
{
    _cleanup_(closep) int fd = fdq_open_holder(q, &q->readers, true, e);
    _cleanup_(closep) int from = -1, to = -1;
    struct tee_state *s = state;
    int pair[2], size, n, waiting;

    if (fd == -ESRCH && q->writers.n)
        return err_set(e, -EOPNOTSUPP, "run as root, with BPF",
                       "tee(2) needs a descriptor for reading, and only one for writing is there");
    if (fd < 0)
        return fd;
    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    from = pair[0];
    to = pair[1];
    size = fcntl(fd, F_GETPIPE_SZ);
    if (size < 0 || fcntl(to, F_SETPIPE_SZ, size) < 0)
        return err_set(e, -errno, NULL, "cannot make a pipe as large as it: %s",
                       err_text(NULL, -errno));
    buf_clear(&s->records);
    if (tee(fd, to, (size_t)size, SPLICE_F_NONBLOCK) < 0 && errno != EAGAIN)
        return err_set(e, -errno, NULL, "cannot tee: %s", err_text(NULL, -errno));
    n = read_copy(s, from, (size_t)size);
    if (n < 0 || buf_error(&s->records))
        return n < 0 ? n : -ENOMEM;
    *found = (struct fdq_catch){s->records.data, s->records.len, (uint64_t)n};
    info->capacity = (uint64_t)size;
    info->consistent = true;
    info->complete = ioctl(fd, FIONREAD, &waiting) == 0;
    return 0;
}

const struct fdq_ops fdq_tee_ops = {
    .name = "tee",
    .probe = tee_probe,
    .open = tee_open,
    .serves = tee_serves,
    .look = tee_look,
    .close = tee_close,
};
