/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every way of looking into a socket or pipe must do, over real ones.
 *
 *     fdcontract [BACKEND…]     those named, which must work here; without names: all that do
 *
 * IPCBOX_TEST_LONG: a million snapshots of each kind under storm (with bpf, else a tenth), else
 * some hundred.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "check.h"
#include "cleanup.h"
#include "fdq_peek.h"
#include "macros.h"

#ifndef SO_PEEK_OFF
#define SO_PEEK_OFF 42
#endif

static const char *backend;
static struct fdq_peeker *peeker;
static bool whole; /* IPCBOX_TEST_LONG */

static bool is(const char *name)
{
    return !strcmp(backend, name);
}

/* ---- looking ---- */

/* The queue behind a descriptor of this process, as a scan would tell it. */
struct object {
    struct fdq_queue q;
    struct fdq_holder holder;
};

static struct fdq_queue *queue_at(struct object *o, int fd, enum fdq_kind kind)
{
    struct stat st;

    CHECK(fstat(fd, &st) == 0);
    *o = (struct object){.holder = {.pid = getpid(), .fd = fd}};
    o->q = (struct fdq_queue){
        .kind = kind,
        .dev = fdq_is_socket(kind) ? 0 : st.st_dev,
        .inode = st.st_ino,
        .bytes = FDQ_UNKNOWN,
        .capacity = FDQ_UNKNOWN,
        .readers = {.v = &o->holder, .n = 1},
    };
    return &o->q;
}

struct seen {
    size_t n;
    uint64_t length[64];
    size_t n_fds[64];
    bool oob[64];
    char names[64][32];
    struct buf all;
};

static int on_message(const struct fdq_message *m, void *ctx)
{
    struct seen *s = ctx;

    CHECK(m->index == s->n);
    if (s->n < ARRAY_SIZE(s->length)) {
        s->length[s->n] = m->length;
        s->n_fds[s->n] = m->n_fds;
        s->oob[s->n] = m->oob;
        if (m->n_fds)
            memcpy(s->names[s->n], m->fds[0].name, sizeof(m->fds[0].name));
    }
    s->n++;
    buf_add(&s->all, m->data, m->length);
    return 0;
}

static void seen_done(struct seen *s)
{
    buf_done(&s->all);
}

/* Looks, and checks that nothing became different by it. Return: fdq_peek()'s. */
static int look(int fd, enum fdq_kind kind, struct seen *s, struct fdq_peek_info *info)
{
    struct object o;
    struct err e = ERR_INIT;
    int before = -1, after = -1, r;

    *s = (struct seen){0};
    CHECK(ioctl(fd, FIONREAD, &before) == 0);
    r = fdq_peek(peeker, queue_at(&o, fd, kind), info, &e);
    if (r == 0) {
        CHECK_INT(fdq_peek_visit(peeker, on_message, s), 0);
        CHECK_STR(info->backend, backend);
        CHECK_INT(info->bytes, s->all.len);
    } else if (r != -EOPNOTSUPP) {
        fprintf(stderr, "%s: %s\n", backend, err_text(&e, r));
    }
    CHECK(ioctl(fd, FIONREAD, &after) == 0);
    CHECK_INT(after, before);
    return r;
}

static void put(int fd, const void *data, size_t n)
{
    CHECK_INT(write(fd, data, n), n);
}

static size_t count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    size_t n = 0;

    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

/* ---- contents ---- */

static void test_stream(void)
{
    static unsigned char large[150000], got[sizeof(large) + 16];
    _cleanup_(seen_done) struct seen s = {0};
    struct fdq_peek_info info;
    int fd[2];
    char three[3];

    for (size_t i = 0; i < sizeof(large); i++)
        large[i] = (unsigned char)(i * 7 + i / 256);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    put(fd[0], "hello ", 6);
    put(fd[0], "world", 5);
    CHECK(read(fd[1], three, 3) == 3);
    put(fd[0], large, sizeof(large));
    CHECK_INT(look(fd[1], FDQ_STREAM, &s, &info), 0);
    CHECK(info.complete && info.consistent);
    CHECK_INT(s.all.len, 8 + sizeof(large));
    if (is("bpf")) {
        CHECK(s.n >= 3);
        CHECK_INT(s.length[0], 3);
        CHECK_INT(s.length[1], 5);
        CHECK_INT(info.depth, s.n);
    }
    for (size_t n = 0; n < s.all.len;) {
        ssize_t k = read(fd[1], got + n, sizeof(got) - n);

        CHECK(k > 0);
        if (k <= 0)
            break;
        n += (size_t)k;
    }
    CHECK(s.all.len <= sizeof(got) && memcmp(s.all.data, got, s.all.len) == 0);
    seen_done(&s);
    CHECK_INT(look(fd[1], FDQ_STREAM, &s, &info), 0);
    CHECK_INT(s.n, 0);
    close(fd[0]);
    close(fd[1]);
}

static void test_messages(int type, enum fdq_kind kind)
{
    static char large[70000];
    _cleanup_(seen_done) struct seen s = {0};
    struct fdq_peek_info info;
    int fd[2];

    memset(large, 'q', sizeof(large));
    CHECK(socketpair(AF_UNIX, type, 0, fd) == 0);
    put(fd[0], "one", 3);
    CHECK(send(fd[0], "", 0, 0) == 0);
    put(fd[0], large, sizeof(large));
    CHECK_INT(look(fd[1], kind, &s, &info), 0);
    CHECK_INT(s.length[0], 3);
    CHECK(memcmp(s.all.data, "one", 3) == 0);
    CHECK(info.complete == is("bpf"));
    if (is("bpf")) {
        CHECK_INT(s.n, 3);
        CHECK_INT(s.length[1], 0);
        CHECK_INT(s.length[2], sizeof(large));
        CHECK(memcmp(s.all.data + 3, large, sizeof(large)) == 0);
    }
    seen_done(&s);
    /* Only an empty one, and the other end gone: that is no end of file. */
    CHECK(read(fd[1], large, sizeof(large)) == 3);
    CHECK_INT(look(fd[1], kind, &s, &info), 0);
    CHECK_INT(s.length[0], 0);
    CHECK(s.n >= 1);
    close(fd[0]);
    close(fd[1]);
}

static void test_passed(void)
{
    union {
        char room[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    char text[] = "with fds";
    struct iovec iov = {.iov_base = text, .iov_len = 8};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    _cleanup_(seen_done) struct seen s = {0};
    struct fdq_peek_info info;
    size_t before;
    int fd[2], pass[2] = {open("/etc/passwd", O_RDONLY | O_CLOEXEC), 0};

    *c = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(pass))};
    memcpy(CMSG_DATA(c), pass, sizeof(pass));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    CHECK(sendmsg(fd[0], &m, 0) == 8);
    put(fd[0], "more", 4);
    before = count_fds();
    CHECK_INT(look(fd[1], FDQ_STREAM, &s, &info), 0);
    CHECK_INT(count_fds(), before);
    CHECK(s.all.len >= 8 && memcmp(s.all.data, "with fds", 8) == 0);
    CHECK(info.complete || s.all.len == 8);
    if (is("bpf")) {
        CHECK_INT(s.n, 2);
        CHECK_INT(s.n_fds[0], 2);
        CHECK_STR(s.names[0], "passwd");
        CHECK_INT(s.n_fds[1], 0);
    }
    close(fd[0]);
    close(fd[1]);
    close(pass[0]);
}

static void test_out_of_band(void)
{
    _cleanup_(seen_done) struct seen s = {0};
    struct fdq_peek_info info;
    int fd[2];
    char c;

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    put(fd[0], "before", 6);
    if (send(fd[0], "!", 1, MSG_OOB) == 1) {
        put(fd[0], "after", 5);
        CHECK_INT(look(fd[1], FDQ_STREAM, &s, &info), 0);
        CHECK(info.complete == is("bpf"));
        CHECK(memcmp(s.all.data, "before", 6) == 0);
        if (is("bpf")) {
            CHECK_INT(s.n, 3);
            CHECK(!s.oob[0] && s.oob[1] && !s.oob[2]);
        }
        CHECK(recv(fd[1], &c, 1, MSG_OOB) == 1 && c == '!');
    }
    close(fd[0]);
    close(fd[1]);
}

static void test_pipe(int flags)
{
    static char large[5000], got[8192];
    _cleanup_(seen_done) struct seen s = {0};
    struct fdq_peek_info info;
    struct stat before, after;
    int fd[2];

    memset(large, 'd', sizeof(large));
    CHECK(pipe2(fd, O_CLOEXEC | flags) == 0);
    put(fd[1], "abc", 3);
    put(fd[1], flags ? "packet" : large, flags ? 6 : sizeof(large));
    if (!flags)
        CHECK(read(fd[0], got, 1) == 1);
    CHECK(fstat(fd[0], &before) == 0);
    CHECK_INT(look(fd[0], FDQ_PIPE, &s, &info), 0);
    CHECK(fstat(fd[0], &after) == 0);
    CHECK(memcmp(&before.st_atim, &after.st_atim, sizeof(before.st_atim)) == 0);
    CHECK_INT(info.capacity, 65536);
    CHECK(info.complete && info.consistent);
    if (flags) {
        CHECK_INT(s.n, 2);
        CHECK_INT(s.length[0], 3);
    }
    CHECK_INT(s.all.len, flags ? 9 : 2 + sizeof(large));
    for (size_t n = 0; n < s.all.len;) {
        ssize_t k = read(fd[0], got + n, sizeof(got) - n);

        CHECK(k > 0);
        if (k <= 0)
            break;
        n += (size_t)k;
    }
    CHECK(memcmp(s.all.data, got, s.all.len) == 0);
    seen_done(&s);
    CHECK_INT(look(fd[0], FDQ_PIPE, &s, &info), 0);
    CHECK_INT(s.n, 0);
    close(fd[0]);
    close(fd[1]);
}

static void test_spliced(void)
{
    char want[100];
    _cleanup_(seen_done) struct seen s = {0};
    struct fdq_peek_info info;
    int fd[2], file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

    CHECK(pipe2(fd, O_CLOEXEC) == 0);
    CHECK(splice(file, NULL, fd[1], NULL, sizeof(want), 0) == sizeof(want));
    CHECK(pread(file, want, sizeof(want), 0) == sizeof(want));
    CHECK_INT(look(fd[0], FDQ_PIPE, &s, &info), 0);
    CHECK(s.all.len == sizeof(want) && memcmp(s.all.data, want, sizeof(want)) == 0);
    close(fd[0]);
    close(fd[1]);
    close(file);
}

/* ---- what must not be disturbed ---- */

static void test_peek_offset(void)
{
    _cleanup_(seen_done) struct seen s = {0};
    struct fdq_peek_info info;
    int fd[2], offset = 2, r;
    socklen_t len = sizeof(offset);

    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    put(fd[0], "abcdef", 6);
    CHECK(setsockopt(fd[1], SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) == 0);
    r = look(fd[1], FDQ_STREAM, &s, &info);
    CHECK_INT(r, is("recv") ? -EOPNOTSUPP : 0);
    if (r == 0)
        CHECK(s.all.len == 6);
    offset = -1;
    CHECK(getsockopt(fd[1], SOL_SOCKET, SO_PEEK_OFF, &offset, &len) == 0);
    CHECK_INT(offset, 2);
    close(fd[0]);
    close(fd[1]);
}

/* An error that waits in a datagram socket is its owner's to receive. */
static void test_pending_error(void)
{
    _cleanup_(seen_done) struct seen s = {0};
    struct fdq_peek_info info;
    int fd[2], error = 0;
    socklen_t len = sizeof(error);

    CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd) == 0);
    put(fd[1], "unread", 6);
    put(fd[0], "kept", 4);
    close(fd[0]); /* with something unread: the other end gets ECONNRESET */
    (void)look(fd[1], FDQ_SEQPACKET, &s, &info);
    CHECK(getsockopt(fd[1], SOL_SOCKET, SO_ERROR, &error, &len) == 0);
    CHECK_INT(error, ECONNRESET);
    close(fd[1]);
}

static void no_more(int sig _unused_)
{
}

/* The end of file comes at once although somebody looks all the time. */
static void test_end_of_file(void)
{
    struct object o;
    struct fdq_peek_info info;
    int fd[2], status;
    pid_t pid;

    if (!is("bpf")) /* the others hold a duplicate for a moment */
        return;
    CHECK(pipe2(fd, O_CLOEXEC) == 0);
    put(fd[1], "x", 1);
    pid = fork();
    if (pid == 0) {
        close(fd[0]);
        signal(SIGTERM, no_more);
        pause();
        _exit(0);
    }
    close(fd[1]);
    queue_at(&o, fd[0], FDQ_PIPE);
    o.holder.pid = pid;
    o.holder.fd = fd[1];
    for (int i = 0; i < 100; i++)
        CHECK_INT(fdq_peek(peeker, &o.q, &info, NULL), 0);
    kill(pid, SIGKILL);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(read(fd[0], &status, 1) == 1);
    CHECK_INT(read(fd[0], &status, 1), 0);
    close(fd[0]);
}

/* A descriptor that is another queue's by now is not looked at. */
static void test_used_again(void)
{
    struct object o;
    struct fdq_peek_info info;
    int fd[2], other[2];

    CHECK(pipe2(fd, O_CLOEXEC) == 0);
    CHECK(pipe2(other, O_CLOEXEC) == 0);
    queue_at(&o, fd[0], FDQ_PIPE);
    CHECK(dup2(other[0], fd[0]) == fd[0]);
    CHECK_INT(is("recv") ? -ESRCH : fdq_peek(peeker, &o.q, &info, NULL), -ESRCH);
    close(fd[0]);
    CHECK_INT(is("recv") ? -ESRCH : fdq_peek(peeker, &o.q, &info, NULL), -ESRCH);
    close(fd[1]);
    close(other[0]);
    close(other[1]);
}

/* ---- storms ---- */

enum { STORM_MESSAGE = 3000 };

struct storm {
    int fd[2];
    bool stream; /* borders are not kept */
    volatile bool end;
};

/* The bytes of a storm: each is known from its message and its place, and looks like no other. */
static unsigned char byte_at(uint64_t serial, size_t i)
{
    uint64_t x = (serial << 16 | i) * UINT64_C(0x9e3779b97f4a7c15);

    return (unsigned char)((x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9) >> 56);
}

static size_t length_of(uint64_t serial)
{
    return 64 + (size_t)(serial * 977 % (STORM_MESSAGE - 64));
}

/* A message: its number, then bytes that follow from it. */
static void fill(unsigned char *m, uint64_t serial)
{
    size_t n = length_of(serial);

    memcpy(m, &serial, sizeof(serial));
    for (size_t i = 8; i < n; i++)
        m[i] = byte_at(serial, i);
}

static void *send_all(void *arg)
{
    struct storm *t = arg;
    unsigned char m[STORM_MESSAGE];

    for (uint64_t serial = 1; !t->end; serial++) {
        fill(m, serial);
        if (write(t->fd[1], m, length_of(serial)) < 0)
            break;
    }
    return NULL;
}

static void *take_all(void *arg)
{
    struct storm *t = arg;
    char m[16384];

    /* Slower than the sender at times: there shall be something to see. */
    for (unsigned int i = 0; read(t->fd[0], m, sizeof(m)) > 0; i++)
        if (i % 16 == 0)
            nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    return NULL;
}

static bool right(const unsigned char *m, size_t n, uint64_t serial)
{
    unsigned char want[STORM_MESSAGE];

    fill(want, serial);
    return n <= length_of(serial) && memcmp(m, want, n) == 0;
}

static uint64_t serial_at(const unsigned char *m)
{
    uint64_t serial;

    memcpy(&serial, m, sizeof(serial));
    return serial;
}

/* Whether messages of one snapshot follow each other, each whole and right. */
static bool storm_right(const struct seen *s)
{
    const unsigned char *p = (const void *)s->all.data;
    uint64_t serial = 0;

    for (size_t i = 0; i < MIN(s->n, ARRAY_SIZE(s->length)); p += s->length[i++]) {
        if (s->length[i] < 8 || (i && serial_at(p) != serial + 1))
            return false;
        serial = serial_at(p);
        if (s->length[i] != length_of(serial) || !right(p, s->length[i], serial))
            return false;
    }
    return true;
}

/* In a stream the first message may be partly read: look for where one begins that is right. */
static bool storm_stream_right(const struct seen *s)
{
    const unsigned char *p = (const void *)s->all.data;

    for (size_t from = 0; from < MIN(s->all.len, (size_t)STORM_MESSAGE); from++) {
        uint64_t serial;
        size_t at = from;

        if (s->all.len - from < 64)
            return true; /* too little to know */
        serial = serial_at(p + from);
        if (!right(p + at, MIN(length_of(serial), s->all.len - at), serial))
            continue;
        while (at < s->all.len && right(p + at, MIN(length_of(serial), s->all.len - at), serial))
            at += MIN(length_of(serial++), s->all.len - at);
        return at == s->all.len;
    }
    return s->all.len < STORM_MESSAGE;
}

static void test_storm(const char *name, enum fdq_kind kind, struct storm *t)
{
    size_t want = !whole ? 300 : is("bpf") ? 1000000 : 100000, wrong = 0, accepted = 0;
    pthread_t sender, taker;
    struct object o;

    queue_at(&o, t->fd[0], kind);
    CHECK(pthread_create(&sender, NULL, send_all, t) == 0);
    CHECK(pthread_create(&taker, NULL, take_all, t) == 0);
    for (size_t i = 0; accepted < want && i < 200 * want; i++) {
        _cleanup_(seen_done) struct seen s = {0};
        struct fdq_peek_info info;

        if (fdq_peek(peeker, &o.q, &info, NULL) != 0 || !info.consistent)
            continue;
        fdq_peek_visit(peeker, on_message, &s);
        accepted += s.all.len > 0; /* an empty one shows nothing */
        wrong += !(t->stream ? storm_stream_right(&s) : storm_right(&s));
    }
    t->end = true;
    pthread_cancel(taker);
    pthread_join(taker, NULL);
    pthread_cancel(sender);
    pthread_join(sender, NULL);
    printf("%s, storm on a %s: %zu snapshots, %zu wrong\n", backend, name, accepted, wrong);
    CHECK_INT(wrong, 0);
    CHECK_INT(accepted, want);
    close(t->fd[0]);
    close(t->fd[1]);
}

static void storm_sockets(const char *name, int type, enum fdq_kind kind)
{
    struct storm t = {.stream = type == SOCK_STREAM};

    CHECK(socketpair(AF_UNIX, type, 0, t.fd) == 0);
    test_storm(name, kind, &t);
}

static void storm_pipe(const char *name, int flags)
{
    struct storm t = {.stream = !flags};

    CHECK(pipe2(t.fd, O_CLOEXEC | flags) == 0);
    test_storm(name, FDQ_PIPE, &t);
}

/* ---- all ---- */

static void test_sockets(void)
{
    test_stream();
    test_messages(SOCK_DGRAM, FDQ_DGRAM);
    test_messages(SOCK_SEQPACKET, FDQ_SEQPACKET);
    test_passed();
    test_out_of_band();
    test_peek_offset();
    test_pending_error();
    storm_sockets("stream", SOCK_STREAM, FDQ_STREAM);
    storm_sockets("dgram", SOCK_DGRAM, FDQ_DGRAM);
    storm_sockets("seqpacket", SOCK_SEQPACKET, FDQ_SEQPACKET);
}

static void test_pipes(void)
{
    test_pipe(0);
    test_pipe(O_DIRECT);
    test_spliced();
    test_end_of_file();
    test_used_again();
    storm_pipe("pipe", 0);
    storm_pipe("pipe of packets", O_DIRECT);
}

static void test_backend(const char *name, bool must)
{
    const struct fdq_peek_opts opts = {.backend = name};
    struct err e = ERR_INIT;
    int r = fdq_backend_probe(name, &e);

    if (r < 0 && !must) {
        printf("%s: skipped: %s\n", name, err_text(&e, r));
        return;
    }
    if (r < 0)
        fprintf(stderr, "%s: %s\n", name, err_text(&e, r));
    CHECK_INT(r, 0);
    if (r < 0 || fdq_peeker_new(&opts, &peeker, &e) < 0)
        return;
    backend = name;
    if (!is("tee"))
        test_sockets();
    if (!is("recv"))
        test_pipes();
    fdq_peeker_free(peeker);
    printf("%s: done\n", name);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    whole = getenv("IPCBOX_TEST_LONG") != NULL;
    for (int i = 1; i < argc; i++)
        test_backend(argv[i], true);
    for (const char *const *b = fdq_backends; argc < 2 && *b; b++)
        test_backend(*b, false);
    return check_done();
}
