/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The embedded channel, one property at a time; what is left to chance is in the model and storm
 * tests. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chan_handle.h"
#include "chantest.h"
#include "check.h"
#include "timefmt.h"

static char dir[64];

static struct chan *open_id(uint32_t id, unsigned int access)
{
    struct err e = ERR_INIT;
    struct chan_ref ref = {.id = id};
    struct chan *c = NULL;
    int r = chan_open(dir, &ref, access, &c, &e);

    CHECK_INT(r, 0);
    if (r < 0) {
        fprintf(stderr, "cannot open channel %u: %s\n", id, err_text(&e, r));
        exit(1);
    }
    return c;
}

static uint32_t make(enum chan_delivery delivery, uint32_t entries, uint32_t max_msg)
{
    struct chan_conf conf = {
        .delivery = delivery, .entries = entries, .max_msg = max_msg, .mode = 0600};
    uint32_t id = 0;

    CHECK_INT(chan_create(dir, &conf, &id, NULL), 0);
    CHECK(id != 0);
    return id;
}

static void destroy(uint32_t id)
{
    CHECK_INT(chan_destroy(dir, &(struct chan_ref){.id = id}, NULL), 0);
}

static int send_text(struct chan *c, const char *text)
{
    return chan_send(c, text, strlen(text), 0, 0, 0);
}

/* What comes next, as a string: "-EAGAIN" and the like for errors. */
static const char *recv_text(struct chan *c)
{
    static char buf[256];
    struct chan_got got;
    int r = chan_recv(c, buf, sizeof(buf) - 1, &got, 0);

    if (r == -EAGAIN)
        return "-EAGAIN";
    if (r == -EIDRM)
        return "-EIDRM";
    CHECK_INT(r, 0);
    buf[r < 0 ? 0 : got.msg.len] = '\0';
    return buf;
}

static void test_conf(void)
{
    struct chan_conf conf = {.entries = 4, .max_msg = 8, .mode = 0600};
    struct err e = ERR_INIT;
    uint32_t id;

    conf.entries = 3;
    CHECK_INT(chan_create(dir, &conf, &id, &e), -EINVAL);
    CHECK(strstr(e.why, "power of two"));
    conf.entries = 32768;
    conf.max_msg = 65536;
    CHECK_INT(chan_create(dir, &conf, &id, &e), -EINVAL);
    CHECK_INT(chan_destroy(dir, &(struct chan_ref){.id = 1234567890}, &e), -ENOENT);
    CHECK_INT(chan_destroy(dir, &(struct chan_ref){0}, &e), -EINVAL);
}

static void test_unicast(void)
{
    uint32_t id = make(CHAN_UNICAST, 4, 16);
    struct chan *s = open_id(id, CHAN_SEND);
    struct chan_got got;
    struct chan *r;
    char buf[16];

    CHECK_INT(send_text(s, "12345678901234567"), -EMSGSIZE);
    CHECK_INT(chan_recv(s, buf, sizeof(buf), &got, 0), -EACCES);
    CHECK_INT(send_text(s, "a"), 0);
    CHECK_INT(chan_send(s, "b", 1, 77, 0, 0), 0);
    CHECK_INT(send_text(s, ""), 0);
    CHECK_INT(send_text(s, "1234567890123456"), 0);
    CHECK_INT(send_text(s, "full"), -ENOBUFS);
    CHECK_INT(chan_send(s, "f", 1, 0, 0, 1000000), -ETIMEDOUT);
    r = open_id(id, CHAN_RECV);
    CHECK_INT(chan_send(r, "x", 1, 0, 0, 0), -EACCES);
    CHECK_STR(recv_text(r), "a");
    CHECK_INT(chan_recv(r, buf, 0, &got, 0), -EMSGSIZE);
    CHECK_INT(chan_recv(r, buf, sizeof(buf), &got, 0), 0);
    CHECK_INT(got.msg.user_data, 77);
    CHECK_INT(got.msg.msg_id, 3);
    CHECK_INT(got.position, 1);
    CHECK_INT(got.lost, 0);
    /* What this receiver leaves is for the next one. */
    chan_close(r);
    CHECK_INT(send_text(s, "five"), 0);
    CHECK_INT(send_text(s, "six"), 0);
    CHECK_INT(send_text(s, "seven"), -ENOBUFS);
    r = open_id(id, CHAN_RECV);
    CHECK_STR(recv_text(r), "");
    CHECK_STR(recv_text(r), "1234567890123456");
    CHECK_STR(recv_text(r), "five");
    CHECK_STR(recv_text(r), "six");
    CHECK_STR(recv_text(r), "-EAGAIN");
    CHECK_INT(chan_recv(r, buf, sizeof(buf), &got, 1000000), -ETIMEDOUT);
    chan_close(r);
    chan_close(s);
    destroy(id);
}

/* What was not committed is for the next receiver. */
static void test_hold(void)
{
    uint32_t id = make(CHAN_UNICAST, 4, 16);
    struct chan *s = open_id(id, CHAN_SEND), *r = open_id(id, CHAN_RECV);

    chan_hold(r);
    for (int i = 0; i < 4; i++)
        CHECK_INT(send_text(s, i % 2 ? "odd" : "even"), 0);
    CHECK_STR(recv_text(r), "even");
    chan_commit(r);
    CHECK_STR(recv_text(r), "odd");
    CHECK_STR(recv_text(r), "even");
    CHECK_INT(send_text(s, "fifth"), 0);
    CHECK_INT(send_text(s, "sixth"), -ENOBUFS);
    chan_close(r);
    r = open_id(id, CHAN_RECV);
    CHECK_STR(recv_text(r), "odd");
    chan_close(r);
    chan_close(s);
    destroy(id);
}

static void test_broadcast(void)
{
    uint32_t id = make(CHAN_BROADCAST, 4, 8);
    struct chan *s = open_id(id, CHAN_SEND);
    struct chan *a, *b;
    char text[8];

    for (int i = 0; i < 10; i++) {
        snprintf(text, sizeof(text), "%d", i);
        CHECK_INT(send_text(s, text), 0); /* nobody there: overwritten */
    }
    a = open_id(id, CHAN_RECV);
    CHECK_STR(recv_text(a), "6");
    b = open_id(id, CHAN_RECV);
    CHECK_STR(recv_text(b), "6");
    CHECK_STR(recv_text(b), "7");
    CHECK_INT(send_text(s, "10"), 0);
    CHECK_INT(send_text(s, "11"), -ENOBUFS); /* a is at 7 */
    CHECK_STR(recv_text(a), "7");
    CHECK_INT(send_text(s, "11"), 0);
    chan_close(a);
    CHECK_STR(recv_text(b), "8");
    CHECK_STR(recv_text(b), "9");
    CHECK_INT(send_text(s, "12"), 0);
    CHECK_INT(send_text(s, "13"), 0);
    CHECK_INT(send_text(s, "14"), -ENOBUFS);
    CHECK_STR(recv_text(b), "10");
    chan_close(b);
    CHECK_INT(send_text(s, "14"), 0);
    CHECK_INT(send_text(s, "15"), 0);
    chan_close(s);
    destroy(id);
}

static void test_multicast(void)
{
    uint32_t id = make(CHAN_MULTICAST, 4, 8);
    struct chan *s = open_id(id, CHAN_SEND);
    struct chan *a = open_id(id, CHAN_RECV), *b = open_id(id, CHAN_RECV);

    CHECK_INT(send_text(s, "1"), 0);
    CHECK_INT(send_text(s, "2"), 0);
    CHECK_INT(send_text(s, "3"), 0);
    CHECK_STR(recv_text(a), "1");
    CHECK_STR(recv_text(b), "2");
    CHECK_STR(recv_text(b), "3");
    CHECK_STR(recv_text(a), "-EAGAIN");
    for (int i = 0; i < 4; i++)
        CHECK_INT(send_text(s, "x"), 0);
    CHECK_INT(send_text(s, "y"), -ENOBUFS);
    /* Addressed: nobody else takes it, order is kept. */
    for (int i = 0; i < 4; i++)
        CHECK_STR(recv_text(a), "x");
    CHECK_INT(chan_send(s, "b", 1, 0, chan_sub_id(b), 0), 0);
    CHECK_INT(send_text(s, "all"), 0);
    CHECK_STR(recv_text(a), "-EAGAIN");
    CHECK_STR(recv_text(b), "b");
    CHECK_STR(recv_text(a), "all");
    /* Its addressee goes: it holds up nobody. */
    CHECK_INT(chan_send(s, "b", 1, 0, chan_sub_id(b), 0), 0);
    CHECK_INT(send_text(s, "next"), 0);
    chan_close(b);
    CHECK_STR(recv_text(a), "next");
    chan_close(a);
    chan_close(s);
    destroy(id);
}

static void test_target(void)
{
    uint32_t id = make(CHAN_BROADCAST, 4, 8);
    struct chan *s = open_id(id, CHAN_SEND);
    struct chan *a = open_id(id, CHAN_RECV), *b = open_id(id, CHAN_RECV);
    uint32_t gone = chan_sub_id(a);

    CHECK(chan_sub_id(a) != chan_sub_id(b));
    CHECK_INT(chan_send(s, "b", 1, 0, chan_sub_id(b), 0), 0);
    CHECK_INT(send_text(s, "all"), 0);
    CHECK_STR(recv_text(a), "all");
    CHECK_STR(recv_text(b), "b");
    CHECK_STR(recv_text(b), "all");
    CHECK_INT(chan_send(s, "?", 1, 0, 4711, 0), -ENOENT);
    chan_close(a);
    CHECK_INT(chan_send(s, "?", 1, 0, gone, 0), -ENOENT);
    a = open_id(id, CHAN_RECV);
    CHECK(chan_sub_id(a) != gone); /* the same entry, another id */
    CHECK_INT(chan_send(s, "?", 1, 0, gone, 0), -ENOENT);
    chan_close(a);
    CHECK_STR(recv_text(b), "-EAGAIN"); /* nothing was sent */
    chan_close(b);
    chan_close(s);
    destroy(id);
}

static void test_keys(void)
{
    struct chan_conf conf = {.entries = 1, .max_msg = 8, .mode = 0600, .name = "jobs"};
    struct chan_ref ref = {.key = chan_key_of_name("jobs")};
    uint32_t first, second;
    struct chan_info info;
    struct chan *c = NULL;

    CHECK(ref.key == UINT64_C(0xe59e69cfd1b1ba51) || ref.key != 0);
    conf.key = ref.key;
    CHECK_INT(chan_open(dir, &ref, CHAN_SEND, &c, NULL), -ENOENT);
    CHECK_INT(chan_create(dir, &conf, &first, NULL), 0);
    CHECK_INT(chan_create(dir, &conf, &second, NULL), 0);
    CHECK(first != second);
    CHECK_INT(chan_open(dir, &ref, CHAN_SEND, &c, NULL), 0);
    CHECK_INT(chan_get_info(c, &info), 0);
    CHECK_INT(info.id, second);
    CHECK_STR(info.name, "jobs");
    CHECK_INT(info.senders, 1);
    chan_close(c);
    destroy(second);
    CHECK_INT(chan_destroy(dir, &ref, NULL), 0);
    CHECK_INT(chan_open(dir, &(struct chan_ref){.id = first}, CHAN_SEND, &c, NULL), -ENOENT);
}

static void test_destroy(void)
{
    uint32_t id = make(CHAN_UNICAST, 4, 8);
    struct chan *s = open_id(id, CHAN_SEND), *r = open_id(id, CHAN_RECV);

    CHECK_INT(send_text(s, "last"), 0);
    destroy(id);
    CHECK_INT(send_text(s, "no"), -EIDRM);
    CHECK_STR(recv_text(r), "last");
    CHECK_STR(recv_text(r), "-EIDRM");
    chan_close(s);
    chan_close(r);
}

static void set_tail(struct chan *c, uint32_t tail)
{
    ((struct uring_ipc_ring *)(void *)c->data)->producer_tail = tail;
}

/* A sender that dies, as far as it got. It runs in a child, so that its locks go as they would. */
enum death { DEATH_BEFORE_CLAIM, DEATH_CLAIMED, DEATH_MARKED, DEATH_WRITTEN };

/* Return: its pid. */
static pid_t die_sending(uint32_t id, enum death how)
{
    pid_t pid = fork();

    if (pid == 0) {
        struct chan *c = open_id(id, CHAN_SEND);
        uint64_t p = ringmap_tail(&c->map);
        struct uring_ipc_desc *d = (void *)(c->data +
                                            ringmap_desc_offset(c->map.entries, (uint32_t)p));

        c->ext->senders[c->sender].intent = p + 1;
        if (how >= DEATH_CLAIMED)
            set_tail(c, (uint32_t)p + 1);
        if (how >= DEATH_MARKED)
            d->seq = (uint32_t)p + 1 - CHAN_MARK;
        if (how >= DEATH_WRITTEN)
            memset(c->data + c->map.data, '!', c->map.max_msg);
        _exit(0);
    }
    CHECK(pid > 0);
    CHECK_INT(waitpid(pid, NULL, 0), pid);
    return pid;
}

static void test_dead_sender(enum chan_delivery delivery, uint32_t entries)
{
    for (enum death how = DEATH_BEFORE_CLAIM; how <= DEATH_WRITTEN; how++) {
        uint32_t id = make(delivery, entries, 8);
        struct chan *r = open_id(id, CHAN_RECV), *s = open_id(id, CHAN_SEND);
        uint64_t want = how == DEATH_BEFORE_CLAIM ? 0 : 1;
        struct chan_info info;
        struct chan_got got;
        char buf[8];
        pid_t dead;

        CHECK_INT(send_text(s, "1"), 0);
        CHECK_STR(recv_text(r), "1");
        dead = die_sending(id, how);
        CHECK_INT(chan_recv(r, buf, sizeof(buf), &got, 0), -EAGAIN);
        CHECK_INT(got.lost, want);
        CHECK_INT(got.lost_pid, want ? dead : 0);
        die_sending(id, how);
        if (entries > 1)
            CHECK_INT(send_text(s, "2"), 0);
        CHECK_INT(chan_recv(r, buf, sizeof(buf), &got, 0), entries > 1 ? 0 : -EAGAIN);
        CHECK_INT(got.lost, want);
        for (uint32_t i = 0; i < 3 * entries; i++) {
            CHECK_INT(send_text(s, "round"), 0);
            CHECK_STR(recv_text(r), "round");
        }
        CHECK_INT(chan_get_info(s, &info), 0);
        CHECK_INT(info.lost, entries > 1 ? 2 * want : want); /* one slot: the second death hid it */
        CHECK_INT(info.waiting, 0);
        chan_close(r);
        chan_close(s);
        destroy(id);
    }
}

/* While the sender lives its slot is waited for, however long it takes. */
static void test_slow_sender(void)
{
    uint32_t id = make(CHAN_BROADCAST, 4, 8);
    struct chan *slow = open_id(id, CHAN_SEND), *s = open_id(id, CHAN_SEND);
    struct chan *r = open_id(id, CHAN_RECV);
    struct uring_ipc_desc *d = (void *)(slow->data + 192);
    struct chan_got got;
    char buf[8];

    slow->ext->senders[slow->sender].intent = 1;
    set_tail(slow, 1);
    CHECK_INT(send_text(s, "2"), 0);
    CHECK_INT(chan_recv(r, buf, sizeof(buf), &got, 0), -EAGAIN);
    CHECK_INT(chan_recv(r, buf, sizeof(buf), &got, 3000000), -ETIMEDOUT);
    CHECK_INT(got.lost, 0);
    chan_close(r);
    /* Nobody is subscribed, but the slot must not be written by two. */
    CHECK_INT(send_text(s, "3"), 0);
    CHECK_INT(send_text(s, "4"), 0);
    CHECK_INT(send_text(s, "5"), -ENOBUFS);
    CHECK_INT(chan_send(s, "5", 1, 0, 0, 2000000), -ETIMEDOUT);
    d->len = 0;
    __atomic_store_n(&d->seq, 1, __ATOMIC_RELEASE);
    CHECK_INT(send_text(s, "5"), 0);
    chan_close(s);
    chan_close(slow);
    destroy(id);
}

static void test_dead_receiver(enum chan_delivery delivery)
{
    uint32_t id = make(delivery, 4, 8);
    struct chan *s = open_id(id, CHAN_SEND), *r;
    struct chan_info info;
    pid_t pid = fork();

    if (pid == 0) {
        chan_close(s);
        open_id(id, CHAN_RECV);
        _exit(0);
    }
    CHECK_INT(waitpid(pid, NULL, 0), pid);
    for (int i = 0; i < 4; i++)
        CHECK_INT(send_text(s, "x"), 0);
    CHECK_INT(send_text(s, "y"), delivery == CHAN_BROADCAST ? 0 : -ENOBUFS);
    CHECK_INT(chan_get_info(s, &info), 0);
    CHECK_INT(info.receivers, 0);
    CHECK_INT(info.waiting, 4);
    r = open_id(id, CHAN_RECV);
    CHECK_STR(recv_text(r), "x");
    chan_close(r);
    chan_close(s);
    destroy(id);
}

static void *wait_one(void *arg)
{
    struct chan *c = arg;
    struct chan_got got;
    char buf[8];

    return (void *)(intptr_t)chan_recv(c, buf, sizeof(buf), &got, CHAN_FOREVER);
}

/* Sleepers are woken by a message, and by the end. */
static void test_wake(enum chan_delivery delivery)
{
    uint32_t id = make(delivery, 4, 8);
    struct chan *s = open_id(id, CHAN_SEND);
    struct chan *r[3];
    pthread_t t[3];
    void *result;
    int ended = 0;

    for (int i = 0; i < 3; i++) {
        r[i] = open_id(id, CHAN_RECV);
        CHECK_INT(pthread_create(&t[i], NULL, wait_one, r[i]), 0);
    }
    CHECK_INT(send_text(s, "x"), 0);
    if (delivery == CHAN_MULTICAST)
        destroy(id);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(pthread_join(t[i], &result), 0);
        ended += (intptr_t)result == -EIDRM;
        CHECK((intptr_t)result == 0 || (intptr_t)result == -EIDRM);
        chan_close(r[i]);
    }
    CHECK_INT(ended, delivery == CHAN_MULTICAST ? 2 : 0);
    chan_close(s);
    if (delivery != CHAN_MULTICAST)
        destroy(id);
}

/* Whoever may write a file may cut it short: an error, never a signal. */
static void test_truncated(bool control)
{
    uint32_t id = make(CHAN_UNICAST, 4, 8192);
    struct chan *s = open_id(id, CHAN_SEND), *r = open_id(id, CHAN_RECV);
    struct chan_got got;
    struct ringmap map;
    uint64_t from, to;
    char buf[8192] = "";
    int result;

    CHECK_INT(chan_send(s, buf, sizeof(buf), 0, 0, 0), 0);
    CHECK_INT(ftruncate(control ? s->ctl_fd : s->data_fd, 0), 0);
    CHECK_INT(chan_recv(r, buf, sizeof(buf), &got, CHAN_FOREVER), -EIO);
    result = chan_send(s, buf, sizeof(buf), 0, 0, CHAN_FOREVER);
    CHECK(result == -EIO);
    CHECK_INT(chan_look(r, &map, &from, &to), -EIO);
    chan_close(s);
    chan_close(r);
    s = NULL;
    CHECK_INT(chan_open(dir, &(struct chan_ref){.id = id}, CHAN_SEND, &s, NULL), -EBADMSG);
    destroy(id);
}

/* What only a receiver can write may stall, but must not tear or hang. */
static void test_hostile_control(enum chan_delivery delivery)
{
    static const uint64_t heads[] = {0, 1, 5, 100, UINT32_MAX, UINT64_MAX, UINT64_MAX - 3};
    uint32_t id = make(delivery, 4, 8);
    struct chan *s = open_id(id, CHAN_SEND), *r = open_id(id, CHAN_RECV);
    struct chan_info info;

    for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
        r->ctl->head = heads[i];
        r->ctl->subs[r->sub].head = heads[i];
        r->ctl->sub_limit = (uint32_t)heads[i];
        r->ctl->epoch++;
        for (int k = 0; k < 9; k++) {
            char text[8];

            snprintf(text, sizeof(text), "%d", k);
            (void)send_text(s, text);
            recv_text(r);
        }
        CHECK_INT(chan_get_info(r, &info), 0);
        CHECK(info.waiting <= 4);
    }
    chan_close(s);
    chan_close(r);
    destroy(id);
}

/* Senders' words that go back: nothing comes twice, and nobody goes back for ever. */
static void test_hostile_tail(enum chan_delivery delivery)
{
    uint32_t id = make(delivery, 4, 8);
    struct chan *s = open_id(id, CHAN_SEND);
    struct chan *a = open_id(id, CHAN_RECV), *r;

    CHECK_INT(send_text(s, "one"), 0);
    CHECK_STR(recv_text(a), "one");
    if (delivery != CHAN_UNICAST)
        CHECK_INT(chan_send(s, "two", 3, 0, chan_sub_id(a), 0), 0);
    chan_close(a);
    r = open_id(id, CHAN_RECV);
    set_tail(s, 0);
    recv_text(r); /* of a broadcast, a new one gets what is there */
    CHECK_STR(recv_text(r), "-EAGAIN");
    CHECK_STR(recv_text(r), "-EAGAIN");
    chan_close(s);
    chan_close(r);
    destroy(id);
}

static int count_channel(const struct chan_info *info, int r, void *ctx)
{
    CHECK_INT(r, 0);
    CHECK(info->id);
    ++*(int *)ctx;
    return 0;
}

/* A creator killed between its links leaves a file that the next one removes. */
static void test_orphan(void)
{
    uint32_t id = make(CHAN_UNICAST, 1, 1);
    char sub[96], name[128], own[16];
    struct stat st;
    int n = 0;

    CHECK_INT(chan_visit(dir, count_channel, &n), 0);
    CHECK_INT(n, 1);
    snprintf(own, sizeof(own), "-%u", geteuid());
    snprintf(sub, sizeof(sub), "%s/ipcbox%s", dir, geteuid() ? own : "");
    snprintf(name, sizeof(name), "%s/%u", sub, id);
    CHECK_INT(unlink(name), 0);
    snprintf(name, sizeof(name), "%s/%u.ctl", sub, id);
    CHECK_INT(stat(name, &st), 0);
    destroy(make(CHAN_UNICAST, 1, 1));
    CHECK_INT(stat(name, &st), -1);
    CHECK_INT(rmdir(sub), 0); /* nothing is left */
}

static void test_unsafe_dir(void)
{
    struct chan_conf conf = {.entries = 1, .max_msg = 8, .mode = 0600};
    struct err e = ERR_INIT;
    char sub[96], own[16];
    uint32_t id;

    snprintf(own, sizeof(own), "-%u", geteuid());
    snprintf(sub, sizeof(sub), "%s/ipcbox%s", dir, geteuid() ? own : "");
    CHECK_INT(mkdir(sub, 0777), 0);
    CHECK_INT(chmod(sub, 0777), 0);
    CHECK_INT(chan_create(dir, &conf, &id, &e), -EACCES);
    CHECK_INT(rmdir(sub), 0);
    CHECK_INT(symlink("/tmp", sub), 0);
    CHECK(chan_create(dir, &conf, &id, &e) < 0);
    CHECK_INT(unlink(sub), 0);
}

/* The tail has 32 bits, positions have 64; the hint at the upper ones may be late. */
static void test_round_the_tail(enum chan_delivery delivery, uint64_t late)
{
    const uint64_t start = UINT64_C(0x2fffffffd);
    uint32_t id = make(delivery, 4, 16);
    struct chan *s = open_id(id, CHAN_SEND), *r;

    set_tail(s, (uint32_t)start);
    s->ext->tail_near = start - late;
    s->ctl->head = start;
    r = open_id(id, CHAN_RECV);
    if (delivery == CHAN_BROADCAST) /* has nothing of what was never written */
        r->ctl->subs[r->sub].head = r->head = start;
    for (uint64_t i = 0; i < 12; i++) {
        struct chan_info info;
        struct chan_got got;
        char buf[16];

        CHECK_INT(send_text(s, "x"), 0);
        CHECK_INT(chan_get_info(s, &info), 0);
        CHECK_INT(info.tail, start + i + 1);
        CHECK_INT(info.waiting, 1);
        CHECK_INT(ringmap_tail(&s->map), (uint32_t)(start + i + 1));
        CHECK_INT(chan_recv(r, buf, sizeof(buf), &got, 0), 0);
        CHECK_INT(got.position, start + i);
        CHECK_INT(got.lost, 0);
    }
    CHECK_STR(recv_text(r), "-EAGAIN");
    chan_close(s);
    chan_close(r);
    destroy(id);
}

int main(void)
{
    chantest_dir(dir);
    test_unsafe_dir();
    test_conf();
    test_unicast();
    test_hold();
    test_broadcast();
    test_multicast();
    test_target();
    test_keys();
    test_destroy();
    for (enum chan_delivery d = CHAN_UNICAST; d <= CHAN_MULTICAST; d++) {
        test_dead_sender(d, 4);
        test_dead_sender(d, 1);
        test_dead_receiver(d);
        test_wake(d);
        test_hostile_control(d);
        test_hostile_tail(d);
        test_round_the_tail(d, 0);
        test_round_the_tail(d, 1);
    }
    test_slow_sender();
    test_truncated(false);
    test_truncated(true);
    test_orphan();
    chantest_dir_done(dir);
    return check_done();
}
