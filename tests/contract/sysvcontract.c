/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every way of peeking at System V queues must do, over real ones.
 *
 *     sysvcontract [BACKEND…]     those named, which must work here; without names: all that do
 *
 * A storm: one thread sends messages with rising numbers, others receive them in order. At any
 * moment the queue holds numbers without a gap; a snapshot that says it is of one moment must, too.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "sysv_backends.h"

enum { LONGEST = 8000, MODEL_MAX = 64 };

static const char *backend;
static struct msgq_peek_opts opts;
static struct msgq_peeker *peeker;

static struct {
    long type;
    char text[LONGEST];
} buf;

/* ---- what the queue should hold ---- */

struct model_message {
    long type;
    size_t length;
    unsigned char fill;
};

static struct model_message model[MODEL_MAX];
static size_t depth;

static struct sysv_queue make(void)
{
    struct sysv_queue q = {.id = msgget(IPC_PRIVATE, 0600)};

    CHECK(q.id >= 0);
    snprintf(q.label, sizeof(q.label), "sysv:%d", q.id);
    depth = 0;
    return q;
}

static bool send_one(const struct sysv_queue *q, long type, size_t length, unsigned char fill)
{
    buf.type = type;
    memset(buf.text, fill, length);
    if (depth == MODEL_MAX || msgsnd(q->id, &buf, length, IPC_NOWAIT) < 0)
        return false;
    model[depth++] = (struct model_message){type, length, fill};
    return true;
}

/* The first that the model has of that type; 0: of any. */
static void receive_one(const struct sysv_queue *q, long type)
{
    size_t at = 0;

    while (at < depth && type && model[at].type != type)
        at++;
    CHECK_INT(msgrcv(q->id, &buf, LONGEST, type, IPC_NOWAIT) >= 0, at < depth);
    if (at == depth)
        return;
    CHECK_INT(buf.type, model[at].type);
    memmove(&model[at], &model[at + 1], (depth - at - 1) * sizeof(*model));
    depth--;
}

/* ---- comparing ---- */

struct seen {
    uint64_t n;
    int wrong;
};

static int compare(const struct msgq_message *m, void *ctx)
{
    struct seen *s = ctx;
    const struct model_message *want = &model[m->index];
    const unsigned char *p = m->data;

    s->n++;
    if (m->index >= depth || m->type != want->type || m->length != want->length ||
        (m->data == NULL) != opts.heads) {
        s->wrong++;
        return 0;
    }
    for (size_t i = 0; p && i < m->length; i++)
        s->wrong += p[i] != want->fill;
    return 0;
}

static void peek(const struct sysv_queue *q, uint64_t first, uint64_t count)
{
    struct msqid_ds before = {0}, after = {0};
    struct msgq_snapshot *s = NULL;
    struct seen seen = {0};
    struct err e = ERR_INIT;
    uint64_t behind = depth - MIN(first, depth);
    int r;

    opts.first = first;
    opts.count = count;
    CHECK_INT(msgctl(q->id, IPC_STAT, &before), 0);
    r = sysv_peek(peeker, q, &s, &e);
    CHECK_INT(msgctl(q->id, IPC_STAT, &after), 0);
    if (r < 0)
        fprintf(stderr, "%s: %s\n", backend, err_text(&e, r));
    CHECK_INT(r, 0);
    /* Nothing has changed, times and last processes included. */
    CHECK(!memcmp(&before, &after, sizeof(before)));
    if (r < 0)
        return;
    CHECK_INT(msgq_snapshot_info(s)->consistency, MSGQ_VERIFIED);
    CHECK_INT(msgq_snapshot_info(s)->messages, depth);
    CHECK_STR(msgq_snapshot_info(s)->backend, backend);
    CHECK_INT(msgq_snapshot_visit(s, compare, &seen, &e), 0);
    CHECK_INT(seen.wrong, 0);
    CHECK_INT(seen.n, count ? MIN(count, behind) : behind);
    msgq_snapshot_free(s);
}

/* ---- the cases ---- */

static void quiet(void)
{
    struct sysv_queue q = make();

    peek(&q, 0, 0);
    CHECK(send_one(&q, 7, 0, 0));
    peek(&q, 0, 0);
    CHECK(send_one(&q, INT64_MAX, 1, 'a'));
    CHECK(send_one(&q, 1, LONGEST, 'b')); /* of several pages */
    CHECK(send_one(&q, 7, 4048, 'c'));    /* what fits behind the head of a page, and one more */
    CHECK(send_one(&q, 7, 4049, 'd'));
    peek(&q, 0, 0);
    peek(&q, 1, 2);
    peek(&q, 4, 5);
    peek(&q, 5, 1);
    peek(&q, 1000, 0);
    if (!strcmp(backend, "bpf")) {
        opts.heads = true;
        peek(&q, 0, 0);
        opts.heads = false;
    }
    receive_one(&q, 7);
    receive_one(&q, 7);
    peek(&q, 0, 0);
    msgctl(q.id, IPC_RMID, NULL);
}

static void removed(void)
{
    struct sysv_queue q = make();
    struct msgq_snapshot *s = NULL;
    struct err e = ERR_INIT;

    msgctl(q.id, IPC_RMID, NULL);
    CHECK_INT(sysv_peek(peeker, &q, &s, &e), -ENOENT);
    CHECK(s == NULL);
}

/* Someone without permission; with the capabilities of the program, which must not help. */
static void forbidden(void)
{
    struct sysv_queue q = make();
    int status = 0;

    CHECK(send_one(&q, 1, 3, 'x'));
    fflush(NULL);
    if (geteuid() == 0 && fork() == 0) {
        struct msgq_snapshot *s = NULL;
        int r = setresuid(54341, 0, 0);

        _exit(r == 0 && sysv_peek(peeker, &q, &s, NULL) == -EACCES ? 0 : 1);
    }
    if (geteuid() == 0) {
        wait(&status);
        CHECK_INT(status, 0);
    }
    msgctl(q.id, IPC_RMID, NULL);
}

static void random_rounds(unsigned int rounds)
{
    struct sysv_queue q = make();

    for (unsigned int i = 0; i < rounds; i++) {
        if (random() % 5 < 3)
            (void)send_one(&q, 1 + random() % 4, (size_t)(random() % 300), (unsigned char)random());
        else if (depth)
            receive_one(&q, random() % 5);
        peek(&q, 0, 0);
    }
    msgctl(q.id, IPC_RMID, NULL);
}

/* ---- the storm ---- */

static atomic_bool over;

struct numbered {
    long type;
    uint64_t number;
    unsigned char fill[192];
};

static size_t length_of(uint64_t number)
{
    return sizeof(number) + number * 37 % sizeof(((struct numbered *)0)->fill);
}

static void *send_numbers(void *qp)
{
    const struct sysv_queue *q = qp;
    struct numbered m = {.number = 0};

    while (!over) {
        m.type = 1 + (long)(m.number % 3);
        memset(m.fill, (int)(m.number % 251), sizeof(m.fill));
        if (msgsnd(q->id, &m, length_of(m.number), IPC_NOWAIT) == 0)
            m.number++;
        else
            sched_yield();
    }
    return NULL;
}

/* In turns with rests, so that the queue fills and empties. */
static void *receive_numbers(void *qp)
{
    const struct sysv_queue *q = qp;
    struct numbered m;

    for (unsigned int i = 0; !over; i++)
        if (i % 256 >= 64 || msgrcv(q->id, &m, sizeof(m) - sizeof(long), 0, IPC_NOWAIT) < 0)
            sched_yield();
    return NULL;
}

static int in_a_row(const struct msgq_message *m, void *ctx)
{
    uint64_t *next = ctx, number;
    const unsigned char *p = m->data;
    int wrong = m->length < sizeof(number);

    if (wrong)
        return 1;
    memcpy(&number, p, sizeof(number));
    wrong = (*next != UINT64_MAX && number != *next) || m->length != length_of(number) ||
            m->type != 1 + (int64_t)(number % 3);
    for (size_t i = sizeof(number); i < m->length; i++)
        wrong |= p[i] != number % 251;
    *next = number + 1;
    return wrong;
}

static void storm(unsigned int rounds)
{
    struct sysv_queue q = make();
    pthread_t threads[4];
    unsigned int agreed = 0, filled = 0, wrong = 0;

    over = false;
    opts.first = opts.count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        CHECK_INT(pthread_create(&threads[i], NULL, i ? receive_numbers : send_numbers, &q), 0);
    for (unsigned int i = 0; i < rounds; i++) {
        struct msgq_snapshot *s = NULL;
        uint64_t next = UINT64_MAX;

        if (sysv_peek(peeker, &q, &s, NULL) < 0)
            continue; /* it never rested: nothing is shown */
        if (msgq_snapshot_info(s)->consistency != MSGQ_TORN) {
            agreed++;
            wrong += msgq_snapshot_visit(s, in_a_row, &next, NULL) != 0;
            filled += next != UINT64_MAX;
        }
        msgq_snapshot_free(s);
    }
    over = true;
    for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
        pthread_join(threads[i], NULL);
    printf("%s: %u of %u snapshots under storm were of one moment, %u with messages, %u wrong\n",
           backend, agreed, rounds, filled, wrong);
    CHECK(filled > 0);
    CHECK_INT(wrong, 0);
    msgctl(q.id, IPC_RMID, NULL);
}

/* Return: whether the backend works here. */
static bool run(const char *name, bool must)
{
    bool whole = getenv("IPCBOX_TEST_LONG") != NULL, bpf = !strcmp(name, "bpf");
    struct err e = ERR_INIT;
    int r;

    backend = name;
    opts = (struct msgq_peek_opts){.backend = name};
    r = sysv_peeker_new(&opts, &peeker, &e);
    if (r < 0 && !must) {
        printf("%s: %s\n", name, err_text(&e, r));
        return false;
    }
    CHECK_INT(r, 0);
    if (r < 0)
        return false;
    quiet();
    removed();
    forbidden();
    random_rounds(whole ? 20000 : 500);
    storm(whole ? (bpf ? 1000000 : 200000) : (bpf ? 3000 : 500));
    msgq_peeker_free(peeker);
    return true;
}

int main(int argc, char **argv)
{
    unsigned int seed = (unsigned int)getpid();
    int ran = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    /* The queues of the machine are shared; where that cannot be left ours are among them. */
    if (unshare(CLONE_NEWIPC) < 0)
        printf("in the IPC namespace of the machine\n");
    srandom(seed);
    printf("seed %u\n", seed);
    for (int i = 1; i < argc; i++)
        run(argv[i], true);
    for (const struct msgq_ops *const *o = sysv_backends; argc == 1 && *o; o++)
        ran += run((*o)->name, false);
    CHECK(argc > 1 || ran > 0);
    return check_done();
}
