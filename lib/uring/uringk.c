/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An io_uring of one entry, by raw system calls. */
#include "uringk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "macros.h"

struct uringk {
    int fd;
    unsigned char *sq;
    unsigned char *cq;
    size_t sq_size;
    size_t cq_size;
    struct io_uring_sqe *sqes;
    size_t sqes_size;
    struct io_uring_params p;
};

static int call_setup(struct io_uring_params *p)
{
    int fd = (int)syscall(SYS_io_uring_setup, 1, p);

    return fd < 0 ? -errno : fd;
}

static int call_register(int ring, unsigned int opcode, void *arg, unsigned int nr)
{
    long r = syscall(SYS_io_uring_register, ring, opcode, arg, nr);

    return r < 0 ? -errno : (int)r;
}

struct uringk_calls uringk_calls = {
    .setup = call_setup,
    .registers = call_register,
    .fd_link = URING_IPC_FD_LINK,
};

static uint32_t *word(unsigned char *ring, uint32_t offset)
{
    return (uint32_t *)(void *)(ring + offset);
}

void uringk_free(struct uringk *k)
{
    if (!k)
        return;
    if (k->sqes)
        munmap(k->sqes, k->sqes_size);
    if (k->cq)
        munmap(k->cq, k->cq_size);
    if (k->sq)
        munmap(k->sq, k->sq_size);
    if (k->fd >= 0 && uringk_calls.gone)
        uringk_calls.gone(k->fd);
    if (k->fd >= 0)
        close(k->fd);
    free(k);
}

void uringk_freep(struct uringk **k)
{
    uringk_free(*k);
}

static void *map_ring(const struct uringk *k, size_t size, off_t offset)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, k->fd, offset);

    return p == MAP_FAILED ? NULL : p;
}

int uringk_new(struct uringk **ret, struct err *e)
{
    _cleanup_(uringk_freep) struct uringk *k = calloc(1, sizeof(*k));

    if (!k)
        return -ENOMEM;
    k->fd = uringk_calls.setup(&k->p);
    if (k->fd == -ENOSYS)
        return err_set(e, k->fd, NULL, "this kernel has no io_uring");
    if (k->fd == -EPERM)
        return err_set(e, k->fd, "see sysctl kernel.io_uring_disabled, or the container's seccomp",
                       "io_uring is not allowed here");
    if (k->fd < 0)
        return err_set(e, k->fd, NULL, "io_uring_setup: %s", strerrordesc_np(-k->fd));
    if (uringk_calls.run) {
        *ret = TAKE_PTR(k);
        return 0;
    }
    k->sq_size = k->p.sq_off.array + k->p.sq_entries * sizeof(uint32_t);
    k->cq_size = k->p.cq_off.cqes + k->p.cq_entries * sizeof(struct io_uring_cqe);
    k->sqes_size = k->p.sq_entries * sizeof(struct io_uring_sqe);
    k->sq = map_ring(k, k->sq_size, IORING_OFF_SQ_RING);
    k->cq = map_ring(k, k->cq_size, IORING_OFF_CQ_RING);
    k->sqes = map_ring(k, k->sqes_size, IORING_OFF_SQES);
    if (!k->sq || !k->cq || !k->sqes)
        return err_set(e, -ENOMEM, NULL, "cannot map the rings of io_uring");
    *ret = TAKE_PTR(k);
    return 0;
}

int uringk_register(struct uringk *k, unsigned int opcode, void *arg, unsigned int nr)
{
    return uringk_calls.registers(k->fd, opcode, arg, nr);
}

/* Takes the one completion. Return: whether there was one. */
static bool take_cqe(struct uringk *k, int *res)
{
    uint32_t *head_word = word(k->cq, k->p.cq_off.head);
    uint32_t head = *head_word;
    struct io_uring_cqe *cqes = (void *)(k->cq + k->p.cq_off.cqes);

    if (head == __atomic_load_n(word(k->cq, k->p.cq_off.tail), __ATOMIC_ACQUIRE))
        return false;
    *res = cqes[head & *word(k->cq, k->p.cq_off.ring_mask)].res;
    __atomic_store_n(head_word, head + 1, __ATOMIC_RELEASE);
    return true;
}

/* Submits it through the rings. Return: its CQE's res, or -errno of io_uring_enter(). */
static int run_sqe(struct uringk *k, const struct io_uring_sqe *sqe)
{
    uint32_t tail = *word(k->sq, k->p.sq_off.tail);
    uint32_t index = tail & *word(k->sq, k->p.sq_off.ring_mask);
    unsigned int submit = 1;
    int res = 0;

    k->sqes[index] = *sqe;
    word(k->sq, k->p.sq_off.array)[index] = index;
    __atomic_store_n(word(k->sq, k->p.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
    while (!take_cqe(k, &res)) {
        long r = syscall(SYS_io_uring_enter, k->fd, submit, 1, IORING_ENTER_GETEVENTS, NULL, 0);

        /* Once submitted it must be waited for: it may be sending or receiving a message. */
        if (r < 0 && errno != EINTR && errno != EAGAIN) {
            int failed = -errno;

            if (submit) /* the next call must not submit this SQE, too */
                __atomic_store_n(word(k->sq, k->p.sq_off.tail), tail, __ATOMIC_RELEASE);
            return failed;
        }
        if (r > 0)
            submit = 0;
    }
    return res;
}

int uringk_run(struct uringk *k, const struct io_uring_sqe *sqe)
{
    return uringk_calls.run ? uringk_calls.run(k->fd, sqe) : run_sqe(k, sqe);
}

void uringk_encode_send(struct io_uring_sqe *sqe, uint32_t sub, const void *data, uint32_t len,
                        uint32_t target, uint64_t user_data)
{
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = URING_IPC_OP_SEND;
    sqe->fd = (int32_t)sub;
    sqe->addr = (uintptr_t)data;
    sqe->len = len;
    sqe->file_index = target;
    sqe->user_data = user_data;
}

void uringk_encode_recv(struct io_uring_sqe *sqe, uint32_t sub, void *buf, uint32_t cap)
{
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = URING_IPC_OP_RECV;
    sqe->fd = (int32_t)sub;
    sqe->addr = (uintptr_t)buf;
    sqe->len = cap;
}

void uringk_encode_create(struct uring_ipc_create *c, uint32_t flags, uint32_t entries,
                          uint32_t max_msg, uint32_t mode, uint64_t key)
{
    *c = (struct uring_ipc_create){
        .flags = flags,
        .ring_entries = entries,
        .max_msg_size = max_msg,
        .mode = mode & URING_IPC_MODE_MASK,
        .key = key,
    };
}

void uringk_encode_attach(struct uring_ipc_attach *a, uint32_t channel, uint64_t key,
                          uint32_t flags)
{
    *a = (struct uring_ipc_attach){.channel_id = channel, .key = key, .flags = flags};
}

bool uringk_overtaken(uint32_t tail, uint32_t position, uint32_t entries)
{
    return tail - position > entries;
}

/* What results mean; the interface's documentation does not say. */
static const struct {
    enum uringk_op op;
    int res;
    const char *why;
    const char *remedy;
} meanings[] = {
    {URINGK_CREATE, -EBUSY, "the kernel gave this ring an id that the ring had destroyed before",
     "try again"},
    {URINGK_CREATE, -EINVAL, "the kernel refuses this size or this way of delivery", NULL},
    {URINGK_ATTACH, -ENOENT, "no such channel: it ends with the ring that created it",
     "uringipc list shows what there is"},
    {URINGK_ATTACH, -EACCES,
     "the channel's mode forbids it (sending needs write, receiving needs read permission; root is "
     "no exception)",
     "ask its owner"},
    {URINGK_ATTACH, -EINVAL, "the channel is going away with its creator", "try again"},
    {URINGK_CREATE, -ENOENT,
     "the channel vanished as soon as it was made: its id had been used before, and the close of "
     "the ring that had it takes along whichever channel has the id now",
     "try again"},
    {URINGK_DESTROY, -ENOENT, "no such channel", "uringipc list shows what there is"},
    {URINGK_SEND, -ENOENT,
     "the channel or this subscription is gone (ids of both share one number space; the "
     "subscription wins)",
     NULL},
    {URINGK_SEND, -EACCES, "this subscription may only receive", NULL},
    {URINGK_SEND, -EMSGSIZE, "the message is longer than the channel takes", NULL},
    {URINGK_SEND, -ENOBUFS,
     "the channel is full: in a broadcast channel one receiver that does not read is enough",
     "wait with --timeout"},
    {URINGK_SEND_TARGET, -ENOENT,
     "the target is not a receiver, but the message has been published all the same",
     "do not send it again"},
    {URINGK_SEND, -EFAULT,
     "the kernel could not read the message; it has published an empty one in its place",
     "do not send it again"},
    {URINGK_SEND_TARGET, -EACCES, "this subscription may only receive", NULL},
    {URINGK_SEND_TARGET, -EMSGSIZE, "the message is longer than the channel takes", NULL},
    {URINGK_SEND_TARGET, -ENOBUFS, "the channel is full", "wait with --timeout"},
    {URINGK_RECV, -ENOENT, "this ring has no such subscription (channel ids do not count here)",
     NULL},
    {URINGK_RECV, -EACCES, "this subscription may only send", NULL},
    {URINGK_RECV, -EMSGSIZE,
     "the buffer is smaller than the channel's messages: the kernel would cut them and drop the "
     "rest without an error",
     NULL},
    {URINGK_RECV, -ESTALE,
     "more messages have passed than the ring holds: the kernel gives this receiver nothing any "
     "more, and in a broadcast channel it would block all senders",
     "uringipc peek --all shows what is still there"},
};

int uringk_explain(enum uringk_op op, int res, struct err *e)
{
    for (size_t i = 0; i < ARRAY_SIZE(meanings); i++)
        if (meanings[i].op == op && meanings[i].res == res)
            return err_set(e, res, meanings[i].remedy, "%s", meanings[i].why);
    return res;
}
