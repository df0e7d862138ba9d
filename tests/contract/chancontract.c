/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every provider of channels must do, whatever it is made of. The names of backends as
 * arguments: those must work on this machine. Without: the embedded engine, and the client of the
 * kernel's interface over a model of such a kernel.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "chantest.h"
#include "check.h"
#include "timefmt.h"
#include "uipc.h"
#include "uringmodel.h"

enum { ENTRIES = 4, MAX_MSG = 16 };

static char dir[64];
static const struct uipc_ops *ops;

struct made {
    struct uipc_keep *keep;
    uint32_t id;
};

static struct made make(enum chan_delivery delivery, uint32_t entries, uint32_t max_msg)
{
    struct chan_conf conf = {
        .delivery = delivery, .entries = entries, .max_msg = max_msg, .mode = 0600};
    struct err e = ERR_INIT;
    struct made m = {0};
    int r = uipc_create(ops, dir, &conf, &m.keep, &m.id, &e);

    if (r < 0) {
        fprintf(stderr, "%s: cannot create: %s\n", ops->name, err_text(&e, r));
        exit(1);
    }
    CHECK(m.id != 0);
    return m;
}

static void end(struct made m)
{
    uipc_keep_release(m.keep);
}

static struct uipc *open_id(uint32_t id, unsigned int access)
{
    struct err e = ERR_INIT;
    struct uipc *u = NULL;
    int r = uipc_open(ops, dir, &(struct uipc_ref){.id = id}, access, &u, &e);

    if (r < 0) {
        fprintf(stderr, "%s: cannot open %u: %s\n", ops->name, id, err_text(&e, r));
        exit(1);
    }
    CHECK_STR(e.why, "");
    return u;
}

static int send_text(struct uipc *u, const char *text)
{
    return uipc_send(u, text, strlen(text), 0, 0, 0, NULL);
}

/* What comes next, as a string; "-11" and the like for errors. */
static const char *recv_text(struct uipc *u)
{
    static char buf[64];
    struct chan_got got;
    int r = uipc_recv(u, buf, sizeof(buf) - 1, &got, 0, NULL);

    if (r < 0)
        snprintf(buf, sizeof(buf), "-%s", strerrorname_np(-r));
    else
        buf[got.msg.len] = '\0';
    return buf;
}

static void test_unicast(void)
{
    struct made m = make(CHAN_UNICAST, ENTRIES, MAX_MSG);
    struct uipc *s = open_id(m.id, CHAN_SEND), *r;
    struct chan_got got;
    char buf[MAX_MSG];

    CHECK_INT(send_text(s, "12345678901234567"), -EMSGSIZE);
    CHECK_INT(uipc_recv(s, buf, sizeof(buf), &got, 0, NULL), -EACCES);
    CHECK_INT(uipc_send(s, "first", 5, 77, 0, 0, NULL), 0);
    CHECK_INT(send_text(s, ""), 0);
    CHECK_INT(send_text(s, "1234567890123456"), 0);
    CHECK_INT(send_text(s, "4"), 0);
    CHECK_INT(send_text(s, "full"), -ENOBUFS);
    CHECK_INT(uipc_send(s, "f", 1, 0, 0, 2000000, NULL), -ETIMEDOUT);
    r = open_id(m.id, CHAN_RECV);
    CHECK_INT(send_text(r, "x"), -EACCES);
    CHECK_INT(uipc_recv(r, buf, sizeof(buf), &got, 0, NULL), 0);
    CHECK_INT(got.msg.len, 5);
    CHECK_INT(got.msg.user_data, 77);
    CHECK_INT(got.msg.msg_id, 2);
    CHECK_INT(got.position, 0);
    CHECK(memcmp(buf, "first", 5) == 0);
    CHECK_STR(recv_text(r), "");
    CHECK_STR(recv_text(r), "1234567890123456");
    for (int i = 0; i < 3 * ENTRIES; i++) {
        CHECK_INT(send_text(s, "round"), 0);
        CHECK_STR(recv_text(r), i ? "round" : "4");
    }
    CHECK_STR(recv_text(r), "round");
    CHECK_STR(recv_text(r), "-EAGAIN");
    CHECK_INT(uipc_recv(r, buf, sizeof(buf), &got, 2000000, NULL), -ETIMEDOUT);
    uipc_close(r);
    uipc_close(s);
    end(m);
}

/* What one receiver has received the next one does not get again. */
static void test_one_after_another(void)
{
    struct made m = make(CHAN_UNICAST, ENTRIES, MAX_MSG);
    struct uipc *s = open_id(m.id, CHAN_SEND);

    for (int i = 0; i < ENTRIES; i++) {
        char text[2] = {(char)('a' + i), '\0'};
        struct uipc *r;

        CHECK_INT(send_text(s, text), 0);
        r = open_id(m.id, CHAN_RECV);
        CHECK_STR(recv_text(r), text);
        CHECK_STR(recv_text(r), "-EAGAIN");
        uipc_close(r);
    }
    uipc_close(s);
    end(m);
}

static void test_broadcast(void)
{
    struct made m = make(CHAN_BROADCAST, ENTRIES, MAX_MSG);
    struct uipc *s = open_id(m.id, CHAN_SEND);
    struct uipc *r[3];

    for (int i = 0; i < 3; i++)
        r[i] = open_id(m.id, CHAN_RECV);
    CHECK_INT(send_text(s, "a"), 0);
    CHECK_INT(send_text(s, "b"), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_STR(recv_text(r[i]), "a");
        CHECK_STR(recv_text(r[i]), "b");
        CHECK_STR(recv_text(r[i]), "-EAGAIN");
    }
    /* One that does not read holds up all, until it goes. */
    for (int i = 0; i < ENTRIES; i++) {
        CHECK_INT(send_text(s, "x"), 0);
        CHECK_STR(recv_text(r[0]), "x");
        CHECK_STR(recv_text(r[1]), "x");
    }
    CHECK_INT(send_text(s, "y"), -ENOBUFS);
    uipc_close(r[2]);
    CHECK_INT(send_text(s, "y"), 0);
    CHECK_STR(recv_text(r[0]), "y");
    uipc_close(r[0]);
    uipc_close(r[1]);
    for (int i = 0; i < 3 * ENTRIES; i++)
        CHECK_INT(send_text(s, "nobody"), 0);
    uipc_close(s);
    end(m);
}

static void test_multicast(void)
{
    struct made m = make(CHAN_MULTICAST, ENTRIES, MAX_MSG);
    struct uipc *s = open_id(m.id, CHAN_SEND);
    struct uipc *a = open_id(m.id, CHAN_RECV), *b;

    for (int i = 0; i < 3 * ENTRIES; i++) {
        CHECK_INT(send_text(s, "x"), 0);
        CHECK_STR(recv_text(a), "x");
    }
    b = open_id(m.id, CHAN_RECV); /* late, which does not matter here */
    CHECK_INT(send_text(s, "1"), 0);
    CHECK_INT(send_text(s, "2"), 0);
    CHECK_STR(recv_text(b), "1");
    CHECK_STR(recv_text(a), "2");
    CHECK_STR(recv_text(a), "-EAGAIN");
    CHECK_STR(recv_text(b), "-EAGAIN");
    for (int i = 0; i < ENTRIES; i++)
        CHECK_INT(send_text(s, "x"), 0);
    CHECK_INT(send_text(s, "y"), -ENOBUFS);
    uipc_close(a);
    uipc_close(b);
    uipc_close(s);
    end(m);
}

/* Looking shows what is there, takes nothing, and is no subscription. */
static void test_look(enum chan_delivery delivery)
{
    struct made m = make(delivery, ENTRIES, MAX_MSG);
    struct uipc *s = open_id(m.id, CHAN_SEND), *l = open_id(m.id, CHAN_LOOK), *r;
    struct uipc_info info;
    struct ringmap map;
    uint64_t from, to;
    char buf[MAX_MSG];

    CHECK_INT(uipc_sub_id(l), 0);
    CHECK_INT(send_text(l, "x"), -EACCES);
    CHECK_STR(recv_text(l), "-EACCES");
    for (int i = 0; i < ENTRIES; i++)
        CHECK_INT(send_text(s, "hello"), 0);
    for (int again = 0; again < 2; again++) {
        struct ringmap_msg msg;

        CHECK_INT(uipc_look(l, &map, &from, &to), 0);
        CHECK_INT(from, 0);
        CHECK_INT(to, ENTRIES);
        CHECK_INT(ringmap_read(&map, 2, buf, sizeof(buf), &msg), 0);
        CHECK_INT(msg.len, 5);
        CHECK_INT(msg.msg_id, 4);
        CHECK(memcmp(buf, "hello", 5) == 0);
    }
    CHECK_INT(uipc_get_info(l, &info), 0);
    CHECK_INT(info.id, m.id);
    CHECK_INT(info.delivery, delivery);
    CHECK_INT(info.c.entries, ENTRIES);
    CHECK_INT(info.c.max_msg, MAX_MSG);
    CHECK_INT(info.c.waiting, ENTRIES);
    CHECK_INT(info.c.mode, 0600);
    r = open_id(m.id, CHAN_RECV);
    for (int i = 0; i < ENTRIES; i++)
        CHECK_STR(recv_text(r), "hello");
    CHECK_STR(recv_text(r), "-EAGAIN");
    uipc_close(r);
    uipc_close(l);
    uipc_close(s);
    end(m);
}

static void test_target(void)
{
    struct made m = make(CHAN_BROADCAST, ENTRIES, MAX_MSG);
    struct uipc *s = open_id(m.id, CHAN_SEND), *r = open_id(m.id, CHAN_RECV);
    struct err e = ERR_INIT;

    CHECK_INT(uipc_send(s, "you", 3, 0, uipc_sub_id(r), 0, &e), 0);
    CHECK_STR(recv_text(r), "you");
    CHECK_INT(uipc_send(s, "?", 1, 0, 54321, 0, &e), -ENOENT);
    /* The kernels differ: what counts is that it is said. */
    CHECK_INT(strstr(e.why, "published all the same") != NULL, s->published);
    if (s->published)
        CHECK_STR(recv_text(r), "?");
    CHECK_STR(recv_text(r), "-EAGAIN");
    uipc_close(r);
    uipc_close(s);
    end(m);
}

static int find_listed(const struct uipc_info *info, void *ctx)
{
    struct uipc_info *want = ctx;

    if (info->id == want->id)
        *want = *info;
    return 0;
}

static void test_names(void)
{
    struct chan_conf conf = {.entries = 1, .max_msg = 8, .mode = 0640, .name = "jobs"};
    struct uipc_ref ref = {.key = chan_key_of_name("jobs")};
    struct uipc_info found = {.backend = "none"};
    struct made m[2];
    struct uipc *u = NULL;
    uint64_t hidden;

    conf.key = ref.key;
    CHECK_INT(uipc_open(ops, dir, &ref, CHAN_SEND, &u, NULL), -ENOENT);
    for (int i = 0; i < 2; i++)
        CHECK_INT(uipc_create(ops, dir, &conf, &m[i].keep, &m[i].id, NULL), 0);
    CHECK(m[0].id != m[1].id);
    CHECK_INT(uipc_open(ops, dir, &ref, CHAN_SEND, &u, NULL), 0); /* the newer */
    CHECK_INT(uipc_get_info(u, &found), 0);
    CHECK_INT(found.id, m[1].id);
    uipc_close(u);
    for (int i = 0; i < 2; i++) {
        found = (struct uipc_info){.id = m[i].id};
        CHECK_INT(ops->list(dir, find_listed, &found, &hidden, NULL), 0);
        CHECK_STR(found.backend, ops->name);
        CHECK_STR(found.c.name, "jobs");
        CHECK(found.c.key == ref.key && found.known && found.error == 0);
        CHECK_INT(found.c.mode, 0640);
        CHECK_INT(found.c.uid, geteuid());
        CHECK_INT(uipc_keep_check(m[i].keep, NULL), 0);
        end(m[i]);
        CHECK_INT(uipc_open(ops, dir, &(struct uipc_ref){.id = m[i].id}, CHAN_SEND, &u, NULL),
                  -ENOENT);
        CHECK_INT(uipc_open(ops, dir, &(struct uipc_ref){.id = m[i].id}, CHAN_LOOK, &u, NULL),
                  -ENOENT);
    }
    CHECK_INT(ops->destroy(dir, &ref, false, NULL), -ENOENT);
}

/* Who receives gets what is there, and then the end. Who looks sees the end too. */
static void test_end(void)
{
    struct made m = make(CHAN_UNICAST, ENTRIES, MAX_MSG);
    struct uipc *s = open_id(m.id, CHAN_SEND), *r = open_id(m.id, CHAN_RECV);
    struct chan_got got;
    char buf[MAX_MSG];

    CHECK_INT(send_text(s, "last"), 0);
    end(m);
    CHECK_STR(recv_text(r), "last");
    CHECK_INT(uipc_recv(r, buf, sizeof(buf), &got, 60 * NSEC_PER_SEC, NULL), -EIDRM);
    for (int i = 0; i < ENTRIES && send_text(s, "fill") == 0; i++)
        ;
    CHECK_INT(uipc_send(s, "no", 2, 0, 0, 60 * NSEC_PER_SEC, NULL), -EIDRM);
    uipc_close(s);
    uipc_close(r);
}

static void test_large(void)
{
    struct made m = make(CHAN_UNICAST, 2, 1 << 20);
    struct uipc *s = open_id(m.id, CHAN_SEND), *r = open_id(m.id, CHAN_RECV);
    unsigned char *in = malloc(1 << 20), *out = calloc(1, 1 << 20);
    struct chan_got got;

    if (!in || !out)
        abort();
    for (size_t i = 0; i < 1 << 20; i++)
        in[i] = (unsigned char)(i * 131 >> 3);
    CHECK_INT(uipc_send(s, in, 1 << 20, 0, 0, 0, NULL), 0);
    CHECK_INT(uipc_send(s, in, (1 << 20) - 1, 0, 0, 0, NULL), 0);
    /* A buffer that could cut a message is refused, or the message stays. */
    CHECK_INT(uipc_recv(r, out, 100, &got, 0, NULL), -EMSGSIZE);
    CHECK_INT(uipc_recv(r, out, 1 << 20, &got, 0, NULL), 0);
    CHECK_INT(got.msg.len, 1 << 20);
    CHECK(memcmp(in, out, 1 << 20) == 0);
    CHECK_INT(uipc_recv(r, out, 1 << 20, &got, 0, NULL), 0);
    CHECK_INT(got.msg.len, (1 << 20) - 1);
    uipc_close(r);
    uipc_close(s);
    end(m);
    free(in);
    free(out);
}

/* Another process receives what this one sends, sleeping in between, and answers by its status. */
static void test_processes(enum chan_delivery delivery)
{
    struct made m = make(delivery, ENTRIES, MAX_MSG);
    struct uipc *s = open_id(m.id, CHAN_SEND);
    int ready[2], status = -1;
    pid_t pid;
    char c;

    CHECK_INT(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        struct uipc *r = open_id(m.id, CHAN_RECV);
        struct chan_got got;
        uint32_t n = 0;

        if (write(ready[1], "", 1) != 1)
            _exit(1);
        for (uint32_t i = 0; i < 500 && n == i; i++)
            if (uipc_recv(r, &n, MAX(sizeof(n), (size_t)MAX_MSG), &got, 60 * NSEC_PER_SEC, NULL) <
                0)
                break;
            else
                n += got.msg.len == sizeof(n);
        uipc_close(r);
        _exit(n == 500 ? 0 : 1);
    }
    CHECK_INT(read(ready[0], &c, 1), 1);
    for (uint32_t i = 0; i < 500; i++) {
        if (i % 100 == 0)
            usleep(3000);
        CHECK_INT(uipc_send(s, &i, sizeof(i), 0, 0, 60 * NSEC_PER_SEC, NULL), 0);
    }
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    close(ready[0]);
    close(ready[1]);
    uipc_close(s);
    end(m);
}

/* A channel is destroyed from another process than the one that keeps it. */
static void test_destroy(void)
{
    struct uipc_keep *keep = NULL;
    struct chan_conf conf = {.entries = 1, .max_msg = 8, .mode = 0600};
    int ready[2], status = -1;
    uint32_t id = 0;
    pid_t pid;

    CHECK_INT(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        sigset_t set;
        int sig, r;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, NULL);
        if (uipc_create(ops, dir, &conf, &keep, &id, NULL) < 0 ||
            write(ready[1], &id, sizeof(id)) != sizeof(id))
            _exit(2);
        do {
            struct timespec ts = {.tv_nsec = 10000000};

            sig = sigtimedwait(&set, NULL, &ts);
            r = uipc_keep_check(keep, NULL);
        } while (sig < 0 && r == 0);
        uipc_keep_release(keep);
        _exit(0);
    }
    CHECK_INT(read(ready[0], &id, sizeof(id)), sizeof(id));
    CHECK_INT(ops->destroy(dir, &(struct uipc_ref){.id = id}, false, NULL), 0);
    CHECK_INT(ops->destroy(dir, &(struct uipc_ref){.id = id}, false, NULL), -ENOENT);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    close(ready[0]);
    close(ready[1]);
}

static void run(const struct uipc_ops *which)
{
    struct err e = ERR_INIT;

    ops = which;

    printf("%s\n", ops->name);
    CHECK_INT(ops->probe(&e), 0);
    if (check_failed) {
        fprintf(stderr, "%s: %s\n", ops->name, e.why);
        return;
    }
    test_unicast();
    test_one_after_another();
    test_broadcast();
    test_multicast();
    for (enum chan_delivery d = CHAN_UNICAST; d <= CHAN_MULTICAST; d++) {
        test_look(d);
        test_processes(d);
    }
    test_target();
    test_names();
    test_end();
    test_large();
    test_destroy();
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IONBF, 0);
    chantest_dir(dir);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "kernel") && strcmp(argv[i], "embedded"))
            return 2;
        run(strcmp(argv[i], "kernel") ? &uipc_embedded_ops : &uipc_kernel_ops);
    }
    if (argc == 1) {
        run(&uipc_embedded_ops);
        umodel_install();
        run(&uipc_kernel_ops);
        umodel_remove();
    }
    {
        char sub[96], own[16];

        snprintf(own, sizeof(own), "-%u", geteuid());
        snprintf(sub, sizeof(sub), "%s/ipcbox%s", dir, geteuid() ? own : "");
        CHECK(rmdir(sub) == 0); /* nothing is left */
    }
    chantest_dir_done(dir);
    return check_done();
}
