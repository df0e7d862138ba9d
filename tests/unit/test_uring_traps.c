/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The traps of the kernel's channels, one by one, over a model of that kernel: what is submitted,
 * what the mapping says, and what the user is told.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "chantest.h"
#include "check.h"
#include "cleanup.h"
#include "kernel_record.h"
#include "timefmt.h"
#include "uipc.h"
#include "uringmodel.h"

enum { ENTRIES = 4, MAX_MSG = 16 };

static const struct uipc_ops *const ops = &uipc_kernel_ops;
static char dir[64];

static void says(const struct err *e, const char *what)
{
    if (!strstr(e->why, what))
        CHECK_STR(e->why, what);
}

struct made {
    struct uipc_keep *keep;
    uint32_t id;
};

static struct made make_key(enum chan_delivery delivery, uint64_t key)
{
    struct chan_conf conf = {
        .delivery = delivery, .entries = ENTRIES, .max_msg = MAX_MSG, .mode = 0644, .key = key};
    struct made m = {0};

    CHECK_INT(uipc_create(ops, dir, &conf, &m.keep, &m.id, NULL), 0);
    return m;
}

static struct made make(enum chan_delivery delivery)
{
    return make_key(delivery, 0);
}

static void end(struct made m)
{
    uipc_keep_release(m.keep);
}

/* A channel that ipcbox does not keep. Return: its ring. */
static struct uringk *strange(uint32_t flags, uint64_t key, uint32_t *id)
{
    struct uring_ipc_create c;
    struct uringk *k = NULL;

    CHECK_INT(uringk_new(&k, NULL), 0);
    uringk_encode_create(&c, flags, ENTRIES, MAX_MSG, 0666, key);
    CHECK_INT(uringk_register(k, URING_IPC_REGISTER_CREATE, &c, 1), 0);
    *id = c.channel_id_out;
    return k;
}

static struct uipc *open_id(uint32_t id, unsigned int access)
{
    struct uipc *u = NULL;
    struct err e = ERR_INIT;
    int r = uipc_open(ops, dir, &(struct uipc_ref){.id = id}, access, &u, &e);

    if (r < 0) {
        fprintf(stderr, "cannot open %u: %s\n", id, err_text(&e, r));
        exit(1);
    }
    return u;
}

static int refused(uint32_t id, unsigned int access, struct err *e)
{
    struct uipc *u = NULL;
    int r = uipc_open(ops, dir, &(struct uipc_ref){.id = id}, access, &u, e);

    uipc_close(u);
    return r;
}

static int send_n(struct uipc *u, int n)
{
    int r = 0;

    for (int i = 0; i < n && r == 0; i++)
        r = uipc_send(u, "hello", 5, 42, 0, 0, NULL);
    return r;
}

static int recv_one(struct uipc *u, struct chan_got *got, uint64_t timeout, struct err *e)
{
    char buf[MAX_MSG];

    return uipc_recv(u, buf, sizeof(buf), got, timeout, e);
}

/* ---- receivers that come late or are overtaken ----------------------------------------------- */

static void test_late(enum chan_delivery delivery)
{
    struct made m = make(delivery);
    struct uipc *s = open_id(m.id, CHAN_SEND), *r = NULL;
    uint64_t before = umodel_receivers();
    struct err e = ERR_INIT;
    struct chan_got got;

    if (delivery == CHAN_UNICAST)
        r = open_id(m.id, CHAN_RECV);
    for (int i = 0; i <= ENTRIES; i++) {
        CHECK_INT(send_n(s, 1), 0);
        if (r)
            CHECK_INT(recv_one(r, &got, 0, NULL), 0);
    }
    before = umodel_receivers();
    CHECK_INT(refused(m.id, CHAN_RECV, &e), -ESTALE);
    says(&e, "more messages have passed than the ring holds");
    CHECK(strstr(e.remedy, "peek"));
    CHECK_INT(umodel_receivers(), before); /* it has looked before it went in */
    if (!r)
        CHECK_INT(send_n(s, 3 * ENTRIES), 0); /* and nobody is held up */
    uipc_close(r);
    uipc_close(s);
    end(m);
}

/* Who may only receive cannot look first: it goes in, and out again. */
static void test_late_without_write(void)
{
    struct made m = make(CHAN_BROADCAST);
    struct uipc *s = open_id(m.id, CHAN_SEND);
    int status = -1;
    pid_t pid;

    CHECK_INT(send_n(s, ENTRIES + 1), 0);
    pid = fork();
    if (pid == 0) {
        struct err e = ERR_INIT;
        int r;

        if (setegid(65534) < 0 || seteuid(65534) < 0) /* the model needs our real user */
            _exit(1);
        r = refused(m.id, CHAN_RECV, &e);
        _exit(r == -ESTALE && strstr(e.why, "more messages have passed") ? 0 : 1);
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    CHECK_INT(send_n(s, 3 * ENTRIES), 0);
    uipc_close(s);
    end(m);
}

/* In a unicast channel each receiver has its own head, and a slow one is overtaken. */
static void test_overtaken(void)
{
    struct made m = make(CHAN_UNICAST);
    struct uipc *s = open_id(m.id, CHAN_SEND);
    struct uipc *fast = open_id(m.id, CHAN_RECV), *slow = open_id(m.id, CHAN_RECV);
    struct err e = ERR_INIT;
    struct chan_got got;

    for (int i = 0; i <= ENTRIES; i++) {
        CHECK_INT(send_n(s, 1), 0);
        CHECK_INT(recv_one(fast, &got, 0, &e), 0);
    }
    CHECK_INT(recv_one(slow, &got, CHAN_FOREVER, &e), -ESTALE);
    says(&e, "gives this receiver nothing any more");
    uipc_close(fast);
    uipc_close(slow);
    uipc_close(s);
    end(m);
}

/* ---- channels of strangers, of which one does not know the delivery -------------------------- */

static void test_strange_multicast(void)
{
    uint32_t id;
    struct uringk *k = strange(URING_IPC_F_MULTICAST, 0, &id);
    struct uipc *s = open_id(id, CHAN_SEND), *a = open_id(id, CHAN_RECV), *b = NULL;
    struct err e = ERR_INIT;
    struct chan_got got;

    for (int i = 0; i < 3 * ENTRIES; i++) {
        CHECK_INT(send_n(s, 1), 0);
        CHECK_INT(recv_one(a, &got, 0, &e), 0);
        CHECK_INT(got.position, i);
        CHECK_INT(got.msg.user_data, 42);
    }
    /* One that comes late may be in a channel of another kind: it is told, and goes in. */
    CHECK_INT(uipc_open(ops, dir, &(struct uipc_ref){.id = id}, CHAN_RECV, &b, &e), 0);
    says(&e, "unless this channel");
    CHECK_INT(recv_one(b, &got, 0, &e), -EAGAIN);
    CHECK_INT(send_n(s, 2), 0);
    CHECK_INT(recv_one(b, &got, 0, &e), 0);
    CHECK_INT(got.msg.len, 5);
    CHECK(got.position == UINT64_MAX || got.position == 3 * ENTRIES);
    CHECK_INT(recv_one(a, &got, 0, &e), 0);
    CHECK_INT(recv_one(b, &got, 300 * NSEC_PER_MSEC, &e), -ETIMEDOUT);
    uipc_close(a);
    uipc_close(b);
    uipc_close(s);
    uringk_free(k);
}

static void test_strange_broadcast(void)
{
    uint32_t id;
    struct uringk *k = strange(URING_IPC_F_BROADCAST, 0, &id);
    struct uipc *s = open_id(id, CHAN_SEND), *a, *b;
    uint64_t before = umodel_receivers();
    struct err e = ERR_INIT;
    struct chan_got got;

    /* Nobody receives: no multicast channel could have let so much pass. */
    CHECK_INT(send_n(s, ENTRIES + 1), 0);
    CHECK_INT(refused(id, CHAN_RECV, &e), -ESTALE);
    CHECK_INT(umodel_receivers(), before);
    uipc_close(s);
    uringk_free(k);

    /* Somebody receives: it shows when a message that is there cannot be had. */
    k = strange(URING_IPC_F_BROADCAST, 0, &id);
    s = open_id(id, CHAN_SEND);
    a = open_id(id, CHAN_RECV);
    for (int i = 0; i < 16; i++) {
        CHECK_INT(send_n(s, 1), 0);
        CHECK_INT(recv_one(a, &got, 0, &e), 0);
        CHECK_INT(got.position, i); /* its own count, as soon as it shows not to be multicast */
    }
    b = open_id(id, CHAN_RECV);
    CHECK_INT(recv_one(b, &got, 1, &e), -ETIMEDOUT);
    CHECK_INT(send_n(s, 1), -ENOBUFS); /* which tells */
    CHECK_INT(recv_one(b, &got, CHAN_FOREVER, &e), -ESTALE);
    uipc_close(b);
    for (int i = 0; i < 3 * ENTRIES; i++) {
        CHECK_INT(send_n(s, 1), 0);
        CHECK_INT(recv_one(a, &got, 0, &e), 0);
    }
    uipc_close(a);
    uipc_close(s);
    uringk_free(k);
}

/* Its end shows when nobody can attach any more, which a lingering kernel allows for a while. */
static void test_strange_end(void)
{
    uint32_t id;
    struct uringk *k = strange(0, 0x1234, &id);
    struct uipc *r = NULL;
    struct err e = ERR_INIT;
    struct chan_got got;

    CHECK_INT(uipc_open(ops, dir, &(struct uipc_ref){.key = 0x1234}, CHAN_RECV, &r, &e), 0);
    umodel_quirks()->linger = 2;
    uringk_free(k);
    umodel_quirks()->linger = 0;
    CHECK_INT(recv_one(r, &got, 60 * NSEC_PER_SEC, &e), -EIDRM);
    says(&e, "has been destroyed");
    uipc_close(r);
}

/* The newest channel with a key may be a stranger's: our record is not of that one. */
static void test_same_key(void)
{
    struct made m = make_key(CHAN_MULTICAST, 0x77);
    uint32_t id;
    struct uringk *k = strange(URING_IPC_F_BROADCAST, 0x77, &id);
    struct uipc *s = NULL;
    struct uipc_info info;

    CHECK(id != m.id);
    CHECK_INT(uipc_open(ops, dir, &(struct uipc_ref){.key = 0x77}, CHAN_SEND, &s, NULL), 0);
    CHECK_INT(uipc_get_info(s, &info), 0);
    CHECK(!info.known);
    CHECK_INT(info.id, 0);
    uipc_close(s);
    uringk_free(k);
    CHECK_INT(uipc_open(ops, dir, &(struct uipc_ref){.key = 0x77}, CHAN_SEND, &s, NULL), 0);
    CHECK_INT(uipc_get_info(s, &info), 0);
    CHECK_INT(info.id, m.id);
    uipc_close(s);
    end(m);
}

/* ---- sending and receiving ------------------------------------------------------------------- */

/* After -ENOENT for its target a message is out, and goes out once. */
static void test_target(void)
{
    struct made m = make(CHAN_UNICAST);
    struct uipc *s = open_id(m.id, CHAN_SEND), *r = open_id(m.id, CHAN_RECV);
    uint64_t submitted = umodel_submitted();
    struct err e = ERR_INIT;
    struct chan_got got;

    CHECK_INT(uipc_send(s, "x", 1, 7, 4711, CHAN_FOREVER, &e), -ENOENT);
    says(&e, "published all the same");
    CHECK(strstr(e.remedy, "do not send it again"));
    CHECK(s->published);
    CHECK_INT(umodel_submitted(), submitted + 1);
    CHECK_INT(umodel_last()->file_index, 4711);
    CHECK_INT(uipc_send(s, "12345678901234567", 17, 7, 4711, CHAN_FOREVER, &e), -EMSGSIZE);
    CHECK(!s->published);
    CHECK_INT(recv_one(r, &got, 0, &e), 0);
    CHECK_INT(got.msg.user_data, 7);
    CHECK_INT(recv_one(r, &got, 0, &e), -EAGAIN);
    uipc_close(r);
    uipc_close(s);
    end(m);
}

/* A kernel would cut a message to the buffer and drop the rest: it is not asked to. */
static void test_truncated(void)
{
    struct made m = make(CHAN_UNICAST);
    struct uipc *s = open_id(m.id, CHAN_SEND), *r = open_id(m.id, CHAN_RECV);
    struct err e = ERR_INIT;
    struct chan_got got;
    uint64_t submitted;
    char buf[MAX_MSG];

    CHECK_INT(send_n(s, 1), 0);
    submitted = umodel_submitted();
    CHECK_INT(uipc_recv(r, buf, MAX_MSG - 1, &got, 0, &e), -EMSGSIZE);
    says(&e, "cut them and drop the rest");
    CHECK_INT(umodel_submitted(), submitted);
    CHECK_INT(recv_one(r, &got, 0, &e), 0);
    CHECK_INT(umodel_last()->len, MAX_MSG);
    CHECK_INT(got.msg.len, 5);
    uipc_close(r);
    uipc_close(s);
    end(m);
}

/* Ids of channels and subscribers are one kind of number: a send names its own subscription. */
static void test_colliding_ids(void)
{
    struct made a = make(CHAN_UNICAST), b = make(CHAN_UNICAST);
    struct uipc *s, *look_a = open_id(a.id, CHAN_LOOK), *look_b = open_id(b.id, CHAN_LOOK);
    struct io_uring_sqe want;
    struct uipc_info info;

    umodel_quirks()->next_sub = b.id;
    s = open_id(a.id, CHAN_SEND);
    CHECK_INT(uipc_sub_id(s), b.id);
    CHECK_INT(uipc_send(s, "hello", 5, 42, 0, 0, NULL), 0);
    memset(&want, 0, sizeof(want));
    want.opcode = 65;
    want.fd = (int32_t)b.id;
    want.addr = umodel_last()->addr;
    want.len = 5;
    want.user_data = 42;
    CHECK(memcmp(&want, umodel_last(), sizeof(want)) == 0);
    CHECK_INT(uipc_get_info(look_a, &info), 0);
    CHECK_INT(info.c.tail, 1);
    CHECK_INT(uipc_get_info(look_b, &info), 0);
    CHECK_INT(info.c.tail, 0);
    uipc_close(s);
    uipc_close(look_a);
    uipc_close(look_b);
    end(a);
    end(b);
    umodel_quirks()->next_sub = 1000;
}

static void test_full(void)
{
    struct made m = make(CHAN_BROADCAST);
    struct uipc *s = open_id(m.id, CHAN_SEND), *r = open_id(m.id, CHAN_RECV);
    struct err e = ERR_INIT;

    CHECK_INT(send_n(s, ENTRIES), 0);
    CHECK_INT(uipc_send(s, "x", 1, 0, 0, 0, &e), -ENOBUFS);
    says(&e, "one receiver that does not read is enough");
    uipc_close(r);
    CHECK_INT(send_n(s, ENTRIES), 0);
    uipc_close(s);
    end(m);
}

/* Waiting is looking at memory: the kernel is not asked over and over, nor a processor kept busy.
 */
static void test_waiting(void)
{
    struct made m = make(CHAN_UNICAST);
    struct uipc *r = open_id(m.id, CHAN_RECV);
    struct rusage before, after;
    struct chan_got got;
    uint64_t submitted = umodel_submitted();
    long us;

    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < 10; i++) /* in pieces, as recv waits */
        CHECK_INT(recv_one(r, &got, 200 * NSEC_PER_MSEC, NULL), -ETIMEDOUT);
    getrusage(RUSAGE_SELF, &after);
    us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec -
          before.ru_stime.tv_sec) *
             1000000 +
         after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec -
         before.ru_stime.tv_usec;
    printf("waiting 2 s: %llu submissions, %ld us of a processor\n",
           (unsigned long long)(umodel_submitted() - submitted), us);
    CHECK(umodel_submitted() - submitted <= 40);
    CHECK(us < 500000);
    uipc_close(r);
    end(m);
}

/* ---- coming and going ------------------------------------------------------------------------ */

static void test_create(void)
{
    struct chan_conf conf = {.entries = 1, .max_msg = 1, .mode = 0600};
    struct umodel_quirks *q = umodel_quirks();
    struct uipc_keep *keep = NULL;
    struct err e = ERR_INIT;
    uint32_t id;

    q->busy = 1;
    CHECK_INT(uipc_create(ops, dir, &conf, &keep, &id, &e), 0);
    uipc_keep_release(keep);
    q->vanish = 2;
    CHECK_INT(uipc_create(ops, dir, &conf, &keep, &id, &e), 0);
    CHECK_INT(uipc_keep_check(keep, &e), 0);
    uipc_keep_release(keep);
    q->busy = 100;
    CHECK_INT(uipc_create(ops, dir, &conf, &keep, &id, &e), -EBUSY);
    says(&e, "had destroyed before");
    q->busy = 0;
    q->vanish = 100;
    CHECK_INT(uipc_create(ops, dir, &conf, &keep, &id, &e), -ENOENT);
    says(&e, "vanished as soon as it was made");
    q->vanish = 0;
    conf.entries = 3;
    CHECK_INT(uipc_create(ops, dir, &conf, &keep, &id, &e), -EINVAL);
    says(&e, "power of two");
    conf = (struct chan_conf){.entries = 32768, .max_msg = 65535, .mode = 0600};
    CHECK_INT(uipc_create(ops, dir, &conf, &keep, &id, &e), -EINVAL);
    says(&e, "with 32768 entries a message has at most 65503 bytes");
}

/* Anybody can destroy a channel under its keeper; another may get its id. */
static void test_vanished(void)
{
    struct made m = make(CHAN_UNICAST);
    struct err e = ERR_INIT;
    struct uringk *k;
    uint32_t id;

    CHECK_INT(uringk_new(&k, NULL), 0);
    CHECK_INT(uringk_register(k, URING_IPC_REGISTER_DESTROY, NULL, m.id), 0);
    uringk_free(k);
    k = strange(0, 0, &id);
    CHECK_INT(id, m.id);
    CHECK_INT(uipc_keep_check(m.keep, &e), 0); /* not now: it would take the other along */
    uringk_free(k);
    CHECK_INT(uipc_keep_check(m.keep, &e), -EIDRM);
    says(&e, "vanished");
    end(m);
    umodel_quirks()->going = 1;
    CHECK_INT(refused(1, CHAN_SEND, &e), -EINVAL);
    says(&e, "going away with its creator");
    CHECK_INT(refused(1, CHAN_SEND, &e), -ENOENT);
    says(&e, "ends with the ring that created it");
}

static void test_destroy(void)
{
    uint32_t id;
    struct uringk *k = strange(0, 0, &id);
    struct err e = ERR_INIT;

    CHECK_INT(ops->destroy(dir, &(struct uipc_ref){.id = id + 1}, false, &e), -ENOENT);
    CHECK_INT(ops->destroy(dir, &(struct uipc_ref){.id = id}, false, &e), -EPERM);
    says(&e, "may be anybody's");
    CHECK_INT(refused(id, CHAN_SEND, &e), 0);
    CHECK_INT(ops->destroy(dir, &(struct uipc_ref){.id = id}, true, &e), 0);
    CHECK_INT(refused(id, CHAN_SEND, &e), -ENOENT);
    uringk_free(k);
}

static void test_denied(void)
{
    struct chan_conf conf = {.entries = 1, .max_msg = 8, .mode = 0400};
    struct uipc_keep *keep = NULL;
    struct err e = ERR_INIT;
    uint32_t id = 0;

    CHECK_INT(uipc_create(ops, dir, &conf, &keep, &id, &e), 0); /* none may send, not even we */
    CHECK_INT(refused(id, CHAN_SEND, &e), -EACCES);
    says(&e, "root is no exception");
    CHECK_INT(refused(id, CHAN_RECV, &e), 0);
    CHECK_INT(refused(id, CHAN_LOOK, &e), -EACCES);
    says(&e, "does not let you send to it");
    uipc_keep_release(keep);
}

/* Of the channels listed those that @pid or we have: other tests may be at work. */
struct listed {
    pid_t pid;
    int n;
    struct uipc_info last;
};

static int count_id(const struct uipc_info *info, void *ctx)
{
    struct listed *l = ctx;

    if (info->id == l->last.id) {
        l->n++;
        l->last = *info;
    }
    return 0;
}

/* A channel that its keeper has no descriptor of is one channel, also for those who may not look.
 */
static void test_listed_once(void)
{
    struct chan_conf conf = {.entries = 1, .max_msg = 8, .mode = 0444};
    struct uipc_keep *keep = NULL;
    struct listed l = {0};
    uint64_t hidden = 0;
    int status = -1;
    pid_t pid;

    CHECK_INT(uipc_create(ops, dir, &conf, &keep, &l.last.id, NULL), 0);
    pid = fork();
    if (pid == 0) {
        if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
            _exit(1);
        CHECK_INT(ops->list(dir, count_id, &l, &hidden, NULL), 0);
        CHECK_INT(l.n, 1);
        CHECK_INT(l.last.error, -EACCES);
        CHECK(l.last.known);
        CHECK(hidden > 0); /* our own process is one */
        _exit(check_failed != 0);
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    uipc_keep_release(keep);
}

/* A channel that ipcbox does not keep, and that no process has open, is found and looked at. */
static void test_strange_look(void)
{
    struct listed list = {0};
    struct uringk *k = strange(URING_IPC_F_BROADCAST, 0x4711, &list.last.id);
    uint64_t before = umodel_receivers(), from, to, hidden;
    struct uipc *s = open_id(list.last.id, CHAN_SEND), *l = open_id(list.last.id, CHAN_LOOK);
    struct uipc_info info;
    struct ringmap map;
    uint32_t sent = 0;

    CHECK_INT(send_n(s, 3), 0);
    CHECK_INT(uipc_look(l, &map, &from, &to), 0);
    CHECK_INT(to - from, 3);
    CHECK_INT(uipc_get_info(l, &info), 0);
    CHECK_INT(info.id, list.last.id);
    uipc_close(l);
    CHECK_INT(uipc_open(ops, dir, &(struct uipc_ref){.key = 0x4711}, CHAN_LOOK, &l, NULL), 0);
    CHECK_INT(uipc_get_info(l, &info), 0);
    CHECK_INT(info.c.waiting, 3);
    CHECK(info.c.key == 0x4711);
    CHECK_INT(ops->list(dir, count_id, &list, &hidden, NULL), 0);
    CHECK_INT(list.n, 1);
    CHECK_INT(list.last.c.waiting, 3);
    /* Nobody was held up by that: without receivers the oldest are overwritten. */
    CHECK_INT(umodel_receivers(), before);
    while (sent < 3 * ENTRIES && send_n(s, 1) == 0)
        sent++;
    CHECK_INT(sent, 3 * ENTRIES);
    uipc_close(l);
    uipc_close(s);
    uringk_free(k);
}

/* A channel made by a probe would outlive it, and take a message that is sent to its id. */
static void test_probe(void)
{
    uint64_t created = umodel_created();

    umodel_quirks()->linger = 100;
    CHECK_INT(ops->probe(NULL), 0);
    CHECK_INT(umodel_created(), created);
    umodel_quirks()->linger = 0;
}

static void test_absent(void)
{
    struct uipc_providers p = {0};
    struct err e = ERR_INIT;

    CHECK_INT(uipc_select(NULL, &p, &e), 0);
    CHECK(p.first == ops && p.second == &uipc_embedded_ops && !p.why.why[0]);
    umodel_quirks()->absent = true;
    CHECK_INT(uipc_select("kernel", &p, &e), -EOPNOTSUPP);
    says(&e, "no io_uring IPC channels");
    CHECK_INT(uipc_select(NULL, &p, &e), 0);
    CHECK(p.first == &uipc_embedded_ops && !p.second);
    says(&p.why, "no io_uring IPC channels");
    CHECK_INT(uipc_select("kernle", &p, &e), -EINVAL);
    umodel_quirks()->absent = false;
    CHECK_INT(uipc_select("embedded", &p, &e), 0);
    CHECK(p.first == &uipc_embedded_ops && !p.second && !p.why.why[0]);
}

/* ---- other processes ------------------------------------------------------------------------- */

struct other {
    pid_t pid;
    int fds[2]; /* its descriptors of the channel */
};

/* A process that attaches to a channel twice, as a sender, by raw calls. */
static struct other start_other(uint32_t id)
{
    struct other o;
    int p[2];

    CHECK_INT(pipe(p), 0);
    o.pid = fork();
    if (o.pid == 0) {
        struct uring_ipc_attach a;
        struct uringk *k;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        /* What it has inherited are descriptors of channels too. */
        if (dup2(p[1], 3) < 0 || close_range(4, ~0U, 0) < 0 || uringk_new(&k, NULL) < 0)
            _exit(1);
        for (int i = 0; i < 2; i++) {
            uringk_encode_attach(&a, id, 0, URING_IPC_SUB_SEND);
            if (uringk_register(k, URING_IPC_REGISTER_ATTACH, &a, 1) < 0)
                _exit(1);
            o.fds[i] = a.channel_fd;
        }
        if (write(3, o.fds, sizeof(o.fds)) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    CHECK_INT(read(p[0], o.fds, sizeof(o.fds)), sizeof(o.fds));
    close(p[0]);
    close(p[1]);
    return o;
}

static void stop_other(struct other o)
{
    kill(o.pid, SIGKILL);
    CHECK_INT(waitpid(o.pid, NULL, 0), o.pid);
}

static int count_listed(const struct uipc_info *info, void *ctx)
{
    struct listed *l = ctx;

    if (info->pid != l->pid && info->pid != getpid())
        return 0;
    l->n++;
    l->last = *info;
    return 0;
}

struct peers {
    int n;
    bool other;
    pid_t pid;
    int fd;
};

static int count_peer(const struct chan_peer *peer, void *ctx)
{
    struct peers *p = ctx;

    p->n++;
    p->other = p->other || (peer->pid == (uint32_t)p->pid && peer->fd == p->fd);
    return 0;
}

/* A stranger's channel is found through its process, looked into, and known no further. */
static void test_by_descriptor(void)
{
    uint32_t id;
    struct uringk *k = strange(URING_IPC_F_BROADCAST, 0, &id);
    struct other o = start_other(id);
    struct uipc_ref ref = {.pid = o.pid, .fd = o.fds[0]};
    uint64_t before = umodel_receivers(), from, to, hidden;
    struct uipc *s = open_id(id, CHAN_SEND), *l = NULL;
    struct peers peers = {.pid = o.pid, .fd = o.fds[1]};
    struct listed list = {.pid = o.pid};
    struct err e = ERR_INIT;
    struct ringmap map;
    struct uipc_info info;

    CHECK_INT(send_n(s, 2), 0);
    CHECK_INT(uipc_open(ops, dir, &ref, CHAN_LOOK, &l, &e), 0);
    CHECK_INT(uipc_look(l, &map, &from, &to), 0);
    CHECK_INT(to - from, 2);
    CHECK_INT(umodel_receivers(), before);
    CHECK_INT(uipc_visit_peers(l, count_peer, &peers, &hidden), 0);
    CHECK_INT(peers.n, 2);
    CHECK(peers.other);
    CHECK_INT(ops->list(dir, count_listed, &list, &hidden, &e), 0);
    CHECK_INT(list.n, 1); /* two descriptors are one channel */
    CHECK_INT(list.last.pid, o.pid);
    CHECK_INT(list.last.id, id); /* found by trying them */
    CHECK_INT(list.last.c.processes, 1);
    CHECK_INT(list.last.c.waiting, 2);
    CHECK(!list.last.known);
    CHECK_INT(uipc_open(ops, dir, &ref, CHAN_RECV, &s, &e), -EINVAL);
    says(&e, "cannot be told from a descriptor");
    ref.fd = 0;
    CHECK_INT(uipc_open(ops, dir, &ref, CHAN_LOOK, &s, &e), -EBADF);
    ref.fd = 999;
    CHECK_INT(uipc_open(ops, dir, &ref, CHAN_LOOK, &s, &e), -EBADF);
    says(&e, "has no descriptor 999");
    stop_other(o);
    /* Who looks through a process sees the end of that. */
    for (int i = 0; i < 600; i++) {
        CHECK_INT(uipc_get_info(l, &info), 0);
        if (info.c.destroyed)
            break;
        usleep(10000);
    }
    CHECK(info.c.destroyed);
    CHECK_INT(ops->destroy(dir, &ref, false, &e), -ESRCH);
    uipc_close(l);
    uipc_close(s);
    uringk_free(k);
}

/* One that ipcbox keeps is known by whichever descriptor. */
static void test_kept_by_descriptor(void)
{
    struct made m = make_key(CHAN_MULTICAST, 0x99);
    struct other o = start_other(m.id);
    struct uipc_ref ref = {.pid = o.pid, .fd = o.fds[1]};
    struct uipc *r = NULL, *s = open_id(m.id, CHAN_SEND);
    struct listed list = {.pid = o.pid};
    struct uipc_info info;
    struct chan_got got;
    uint64_t hidden;

    CHECK_INT(uipc_open(ops, dir, &ref, CHAN_RECV, &r, NULL), 0);
    CHECK_INT(send_n(s, 1), 0);
    CHECK_INT(recv_one(r, &got, 0, NULL), 0);
    CHECK_INT(uipc_get_info(r, &info), 0);
    CHECK_INT(info.id, m.id);
    CHECK_INT(info.delivery, CHAN_MULTICAST);
    CHECK_INT(ops->list(dir, count_listed, &list, &hidden, NULL), 0);
    CHECK_INT(list.n, 1);
    CHECK_INT(list.last.id, m.id);
    CHECK(list.last.c.key == 0x99);
    uipc_close(r);
    uipc_close(s);
    stop_other(o);
    end(m);
}

/* A record names another user's process: that one is not told to end. */
static void test_lying_record(void)
{
    struct kernel_record rec = {
        .magic = KERNEL_RECORD_MAGIC, .pid = (int32_t)getpid(), .fd = -1, .id = 4242};
    struct err e = ERR_INIT;
    int fd, status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        struct err why = ERR_INIT;

        if (seteuid(65534) < 0 || kernel_record_write(dir, &rec, &why) < 0)
            _exit(1);
        for (;;)
            pause();
    }
    for (int i = 0;
         i < 3000 && !kernel_record_alive(
                         dir, &(struct kernel_record){.id = 4242, .pid = rec.pid, .uid = 65534});
         i++)
        usleep(10000);
    CHECK_INT(ops->destroy(dir, &(struct uipc_ref){.id = 4242}, true, &e), -EPERM);
    says(&e, "not theirs");
    kill(pid, SIGKILL);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(seteuid(65534), 0);
    fd = kernel_record_write(dir, &rec, &e);
    CHECK(fd >= 0);
    kernel_record_remove(dir, 4242, fd);
    CHECK_INT(seteuid(0), 0);
}

int main(void)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    chantest_dir(dir);
    umodel_install();
    test_probe();
    test_absent();
    test_create();
    test_late(CHAN_UNICAST);
    test_late(CHAN_BROADCAST);
    if (geteuid() == 0)
        test_late_without_write();
    test_overtaken();
    test_strange_multicast();
    test_strange_broadcast();
    test_strange_end();
    test_same_key();
    test_target();
    test_truncated();
    test_colliding_ids();
    test_full();
    test_waiting();
    test_vanished();
    test_destroy();
    if (geteuid() == 0)
        test_lying_record();
    test_denied();
    if (geteuid() == 0)
        test_listed_once();
    test_strange_look();
    test_by_descriptor();
    test_kept_by_descriptor();
    {
        char sub[96], own[16];

        snprintf(own, sizeof(own), "-%u", geteuid());
        snprintf(sub, sizeof(sub), "%s/ipcbox%s", dir, geteuid() ? own : "");
        CHECK(rmdir(sub) == 0); /* no record is left */
        snprintf(sub, sizeof(sub), "%s/ipcbox-65534", dir);
        CHECK(rmdir(sub) == 0 || geteuid() != 0);
    }
    chantest_dir_done(dir);
    return check_done();
}
