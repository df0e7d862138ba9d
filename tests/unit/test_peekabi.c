/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backends for the proposed system calls, against a model of those kernels: probing, the
 * quirks, a queue that moves, and a kernel that answers nonsense.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "peekmodel.h"
#include "pmq_backends.h"

enum { MSGSIZE = 8192, MAXMSG = 8 };

static const char *const names[] = {"syscall", "fcntl", "ioctl"};
static char queue_name[64];
static mqd_t queue;
static struct pmq_queue *opened;

static void whole_kernel(void)
{
    model = (struct model_quirks){.syscall = true, .fcntl = true, .ioctl = true, .bulk_cap = 8192};
}

/* The payload of number @i: its length and every byte follow from it. */
static size_t payload(char *out, unsigned int i)
{
    static const size_t lengths[] = {0, 1, 7, 8, 9, 4000, 8175, 8176, 8177, MSGSIZE};
    size_t n = lengths[i % ARRAY_SIZE(lengths)];

    for (size_t k = 0; k < n; k++)
        out[k] = (char)(k * 31 + i * 7);
    return n;
}

static void send_one(unsigned int i)
{
    char data[MSGSIZE];
    size_t n = payload(data, i);

    CHECK_INT(model_send(queue, data, n, i % 3 ? 5 : 32767), 0);
}

static void receive_one(void)
{
    char data[MSGSIZE];
    unsigned int priority;

    CHECK(model_receive(queue, data, sizeof(data), &priority) >= 0);
}

static void empty_queue(void)
{
    while (model_depth(queue))
        receive_one();
}

/* Peeks and compares with the model. Return: what pmq_peek() or the visit said. */
static int peek(const char *backend, uint64_t max, bool heads, struct msgq_snapshot_info *info)
{
    const struct msgq_peek_opts opts = {
        .backend = backend,
        .sample = opened,
        .max_snapshot = max,
        .heads = heads,
    };
    struct msgq_snapshot *s = NULL;
    struct msgq_peeker *p = NULL;
    struct model_check seen = {.fd = queue, .heads = heads};
    struct err e = ERR_INIT;
    int r = pmq_peeker_new(&opts, &p, &e);

    if (r == 0)
        r = pmq_peek(p, opened, &s, &e);
    if (r == 0) {
        *info = *msgq_snapshot_info(s);
        r = msgq_snapshot_visit(s, model_compare, &seen, &e);
        CHECK_INT(seen.wrong, 0);
        CHECK_INT(seen.n, model_depth(queue));
        if (info->consistency != MSGQ_TORN)
            CHECK_INT(info->messages, seen.n);
    }
    msgq_snapshot_free(s);
    msgq_peeker_free(p);
    return r;
}

static int probe(const char *backend, struct err *e)
{
    const struct msgq_peek_opts opts = {.backend = backend, .sample = opened};
    struct msgq_peeker *p = NULL;
    int r = pmq_peeker_new(&opts, &p, e);

    msgq_peeker_free(p);
    return r;
}

static void probing(void)
{
    struct msgq_peek_opts opts = {.sample = NULL};
    struct msgq_peeker *p = NULL;
    struct err e = ERR_INIT;

    /* A kernel that has nothing of it. */
    model = (struct model_quirks){.bulk_cap = 8192};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CHECK_INT(probe(names[i], &e), -EOPNOTSUPP);
        CHECK(e.remedy[0]);
    }
    /* The number belongs to something else, which likes or dislikes the arguments. */
    model.syscall_answer = EPERM;
    CHECK_INT(probe("syscall", &e), -EOPNOTSUPP);
    CHECK(strstr(e.why, "something else"));
    CHECK_INT(probe("no-such", &e), -EINVAL);
    CHECK(strstr(e.why, "syscall, fcntl, ioctl"));

    whole_kernel();
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        CHECK_INT(probe(names[i], &e), 0);
    model.ioctl_denied = true;
    CHECK_INT(probe("ioctl", &e), -EPERM);
    /* BPF is taken before them, where it may be used. */
    if (probe("bpf", &e) == 0) {
        CHECK_INT(pmq_peeker_new(&opts, &p, &e), 0);
        CHECK_STR(msgq_peeker_backend(p), "bpf");
        CHECK_STR(msgq_peeker_reason(p), "");
        msgq_peeker_free(p);
    }
    setenv("IPCBOX_BTF", "/nonexistent", 1);
    /* Without a sample one is made and gone again. */
    CHECK_INT(pmq_peeker_new(&opts, &p, &e), 0);
    CHECK_STR(msgq_peeker_backend(p), "syscall");
    CHECK(strstr(msgq_peeker_reason(p), "bpf: "));
    msgq_peeker_free(p);
    model.syscall = false;
    CHECK_INT(pmq_peeker_new(&opts, &p, &e), 0);
    CHECK_STR(msgq_peeker_backend(p), "fcntl");
    CHECK(strstr(msgq_peeker_reason(p), "syscall: "));
    msgq_peeker_free(p);
}

static void call_numbers(void)
{
    /* read(-1) answers EBADF as well; mq_timedreceive would take a message. */
    static const char *const never[] = {"many", "0", "-1", "1.5", "243", "450"};
    struct err e = ERR_INIT;

    whole_kernel();
    setenv("IPCBOX_MQ_SYSCALL", "473", 1);
    CHECK_INT(probe("syscall", &e), -EOPNOTSUPP);
    setenv("IPCBOX_MQ_SYSCALL", "548", 1);
    CHECK_INT(probe("syscall", &e), 0);
    /* What cannot be meant is not passed over: not even where another backend was named. */
    for (size_t i = 0; i < ARRAY_SIZE(never); i++) {
        setenv("IPCBOX_MQ_SYSCALL", never[i], 1);
        CHECK_INT(probe("syscall", &e), -EINVAL);
        CHECK_INT(probe(NULL, &e), -EINVAL);
        CHECK_INT(probe("fcntl", &e), -EINVAL);
    }
    setenv("IPCBOX_MQ_SYSCALL", "451", 1);
    CHECK_INT(probe("syscall", &e), -EOPNOTSUPP);
    unsetenv("IPCBOX_MQ_SYSCALL");
}

static void contents(const char *backend)
{
    static const size_t caps[] = {8192, 65536, 64, 24};
    struct msgq_snapshot_info info;

    whole_kernel();
    CHECK_INT(peek(backend, 0, false, &info), 0);
    CHECK_INT(info.messages, 0);
    CHECK_INT(info.consistency, MSGQ_VERIFIED);
    for (unsigned int i = 0; i < 10; i++) {
        if (model_depth(queue) == MAXMSG)
            receive_one();
        send_one(i);
        for (size_t c = 0; c < ARRAY_SIZE(caps); c++) {
            model.bulk_cap = caps[c];
            for (int bare = 0; bare < 2; bare++) {
                model.bulk_bare = bare;
                CHECK_INT(peek(backend, 0, false, &info), 0);
                CHECK_INT(info.consistency, MSGQ_VERIFIED);
                CHECK_STR(info.backend, backend);
            }
        }
    }
    CHECK_INT(peek(backend, 0, true, &info), 0);
    /* Too large to hold: windows of one message, of a few. */
    CHECK_INT(peek(backend, 1, false, &info), 0);
    CHECK_INT(info.consistency, MSGQ_TORN);
    CHECK_INT(info.messages, PMQ_UNKNOWN);
    CHECK_INT(peek(backend, 10000, false, &info), 0);
    CHECK_INT(info.consistency, MSGQ_TORN);
    empty_queue();
}

static void rotate(unsigned int call)
{
    if (call % 2 == 0) {
        receive_one();
        send_one(1000 + call);
    }
}

static void rotate_a_while(unsigned int call)
{
    if (call < 40)
        rotate(call);
}

static void moving(const char *backend)
{
    struct msgq_snapshot_info info;

    for (unsigned int i = 0; i < 4; i++)
        send_one(i);
    /* It settles: the snapshot is of what is there then. */
    whole_kernel();
    model.between = rotate_a_while;
    CHECK_INT(peek(backend, 0, false, &info), 0);
    CHECK_INT(info.consistency, MSGQ_VERIFIED);
    CHECK(info.tries > 2);
    empty_queue();
}

static int count(const struct msgq_message *m, void *ctx)
{
    (void)m;
    (*(unsigned int *)ctx)++;
    return 0;
}

/* It never settles: what comes is called torn, or nothing comes. */
static void restless(const char *backend)
{
    const struct msgq_peek_opts opts = {.backend = backend, .sample = opened};
    struct msgq_snapshot *s = NULL;
    struct msgq_peeker *p = NULL;
    struct err e = ERR_INIT;
    unsigned int n = 0;
    int r;

    for (unsigned int i = 0; i < MAXMSG; i++)
        send_one(i + 5);
    whole_kernel();
    CHECK_INT(pmq_peeker_new(&opts, &p, &e), 0);
    model.between = rotate;
    r = pmq_peek(p, opened, &s, &e);
    CHECK(r == 0 || r == -EAGAIN);
    if (r == 0) {
        CHECK_INT(msgq_snapshot_info(s)->consistency, MSGQ_TORN);
        CHECK_INT(msgq_snapshot_visit(s, count, &n, &e), 0);
        CHECK(n > 0);
    }
    model.between = NULL;
    msgq_snapshot_free(s);
    msgq_peeker_free(p);
    empty_queue();
}

static void changed_under_the_walk(void)
{
    struct msgq_snapshot_info info;

    for (unsigned int i = 0; i < 4; i++)
        send_one(i);
    whole_kernel();
    model.changed_every = 2;
    CHECK_INT(peek("syscall", 0, false, &info), 0);
    CHECK_INT(info.consistency, MSGQ_VERIFIED);
    model.changed_every = 1;
    CHECK_INT(peek("syscall", 0, false, &info), -EAGAIN);
    empty_queue();
}

static void nonsense(void)
{
    struct msgq_snapshot_info info;
    struct err e = ERR_INIT;

    for (unsigned int i = 0; i < 4; i++)
        send_one(i + 1);
    for (int lie = 1; lie <= MODEL_LIES; lie++) {
        whole_kernel();
        CHECK_INT(probe("ioctl", &e), 0);
        model.corrupt = lie;
        CHECK_INT(peek("ioctl", 0, false, &info), -EPROTO);
    }
    empty_queue();
}

int main(void)
{
    struct mq_attr attr = {.mq_maxmsg = MAXMSG, .mq_msgsize = MSGSIZE};
    struct pmq_ref ref;

    snprintf(queue_name, sizeof(queue_name), "/unit-peekabi-%d", (int)getpid());
    queue = mq_open(queue_name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600, &attr);
    CHECK(queue >= 0);
    CHECK_INT(pmq_ref_parse(queue_name, &ref, NULL), 0);
    CHECK_INT(pmq_queue_open(&ref, PMQ_OPEN_READ, &opened, NULL), 0);
    mq_unlink(queue_name);
    unsetenv("IPCBOX_MQ_SYSCALL");
    if (opened) {
        model_install();
        probing();
        call_numbers();
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
            contents(names[i]);
            moving(names[i]);
            restless(names[i]);
        }
        changed_under_the_walk();
        nonsense();
    }
    pmq_queue_close(opened);
    mq_close(queue);
    model_reset();
    return check_done();
}
