/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Peeking with BPF: through the library against a drain with mq_receive(), and as a whole process
 * against one that loads the same object through a plain skeleton.
 *
 *     bench_peek PATH-OF-IPCBOX
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "figure.h"
#include "pmq.h"
#include "timefmt.h"

#include "peek_abi.h"

#include "peek.skel.h"

enum { ROUNDS = 21, STARTS = 20 };

static char name[64];
static const char *self;

static double median(double *v, size_t n)
{
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && v[j - 1] > v[j]; j--) {
            double t = v[j];

            v[j] = v[j - 1];
            v[j - 1] = t;
        }
    return v[n / 2];
}

static double now_us(void)
{
    return (double)timefmt_now(CLOCK_MONOTONIC) / 1e3;
}

static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "%s: %s\n", what, e ? e->why : "");
    exit(1);
}

static void fill(mqd_t q, long messages, long bytes)
{
    static char buf[8192] = "benchmark";

    for (long i = 0; i < messages; i++)
        if (mq_send(q, buf, (size_t)bytes, (unsigned int)i % 4) < 0)
            die("mq_send", NULL);
}

static int count(const struct msgq_message *m, void *ctx)
{
    *(uint64_t *)ctx += m->length;
    return 0;
}

static void library(long messages, long bytes)
{
    struct mq_attr attr = {.mq_maxmsg = messages, .mq_msgsize = bytes};
    const struct msgq_peek_opts opts = {.backend = "bpf"};
    struct pmq_ref ref = {.kind = PMQ_REF_NAME};
    double peek[ROUNDS], drain[ROUNDS], a, b;
    struct msgq_peeker *p;
    struct pmq_queue *q;
    struct err e = ERR_INIT;
    char buf[8192], what[64];
    mqd_t fd;

    mq_unlink(name);
    fd = mq_open(name, O_RDWR | O_CREAT, 0600, &attr);
    snprintf(ref.name, sizeof(ref.name), "%s", name);
    if (fd < 0 || pmq_queue_open(&ref, PMQ_OPEN_READ, &q, &e) < 0 ||
        pmq_peeker_new(&opts, &p, &e) < 0)
        die("open", &e);
    for (size_t i = 0; i < ROUNDS; i++) {
        struct msgq_snapshot *s;
        uint64_t total = 0;

        fill(fd, messages, bytes);
        if (pmq_peek(p, q, &s, &e) < 0) /* the first loads the program */
            die("peek", &e);
        msgq_snapshot_free(s);
        a = now_us();
        if (pmq_peek(p, q, &s, &e) < 0)
            die("peek", &e);
        msgq_snapshot_visit(s, count, &total, &e);
        peek[i] = now_us() - a;
        msgq_snapshot_free(s);
        b = now_us();
        for (long n = 0; n < messages; n++)
            if (mq_receive(fd, buf, sizeof(buf), NULL) < 0)
                die("mq_receive", NULL);
        drain[i] = now_us() - b;
        if (total != (uint64_t)(messages * bytes))
            die("wrong total", NULL);
    }
    a = median(peek, ROUNDS);
    b = median(drain, ROUNDS);
    snprintf(what, sizeof(what), "peek at %ld x %ld B, of a drain", messages, bytes);
    figure(what, a / b, messages == 1000 ? "<= 0.1" : "-", "%.1f us of %.1f us", a, b);
    msgq_peeker_free(p);
    pmq_queue_close(q);
    mq_close(fd);
    mq_unlink(name);
}

/* ---- whole processes ---- */

/* What the library does, without its way of loading. */
static int plain_main(const char *queue)
{
    mqd_t fd = mq_open(queue, O_RDONLY);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct peek_bpf *s = peek_bpf__open();
    LIBBPF_OPTS(bpf_test_run_opts, once);

    if (fd < 0 || !s)
        return 1;
    s->rodata->walk_config.map_mask = (1 << 19) - 1;
    s->rodata->walk_config.page_mask = (uint32_t)page - 1;
    bpf_map__set_value_size(s->maps.records, (uint32_t)((1 << 19) + page));
    bpf_program__set_autoload(s->progs.peek_arm, false);
    if (peek_bpf__load(s) < 0)
        return 1;
    s->bss->req.fd = (uint32_t)fd;
    s->bss->req.walk.room = 1 << 18;
    s->bss->req.walk.count = UINT64_MAX;
    if (bpf_prog_test_run_opts(bpf_program__fd(s->progs.peek), &once) < 0 ||
        s->bss->req.walk.got[0].messages != 10)
        return 1;
    _exit(0);
}

static double start(const char *path, const char *arg1, const char *arg2, long *rss)
{
    double begun = now_us();
    struct rusage usage;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        dup2(null, STDOUT_FILENO);
        execl(path, path, arg1, arg2, (char *)NULL);
        _exit(127);
    }
    if (wait4(pid, &status, 0, &usage) < 0 || status)
        die(path, NULL);
    *rss = usage.ru_maxrss;
    return (now_us() - begun) / 1e3;
}

static void processes(const char *ipcbox)
{
    struct mq_attr attr = {.mq_maxmsg = 10, .mq_msgsize = 1024};
    double tool[STARTS], plain[STARTS], nothing[STARTS], a, b;
    long rss = 0, other;
    mqd_t fd;

    mq_unlink(name);
    fd = mq_open(name, O_RDWR | O_CREAT, 0600, &attr);
    fill(fd, 10, 64);
    for (size_t i = 0; i < STARTS; i++) {
        tool[i] = start(ipcbox, "mqpeek", name, &rss);
        plain[i] = start(self, "--plain", name, &other);
        nothing[i] = start(ipcbox, "--version", NULL, &other);
    }
    a = median(tool, STARTS);
    b = median(plain, STARTS);
    figure("mqpeek QUEUE, of a plain skeleton's start", a / b, "<= 0.25", "%.1f ms of %.1f ms", a,
           b);
    figure("mqpeek QUEUE, ms", a, "<= 15", "%ld KiB at most; ipcbox --version %.1f ms", rss,
           median(nothing, STARTS));
    mq_close(fd);
    mq_unlink(name);
}

int main(int argc, char **argv)
{
    FILE *f;

    self = "/proc/self/exe";
    if (argc == 3 && !strcmp(argv[1], "--plain"))
        return plain_main(argv[2]);
    if (unshare(CLONE_NEWIPC) < 0 || !(f = fopen("/proc/sys/fs/mqueue/msg_max", "w")) ||
        fputs("5000", f) < 0 || fclose(f) != 0)
        die("cannot make an IPC namespace: run as root", NULL);
    snprintf(name, sizeof(name), "/bench-peek-%d", getpid());
    library(10, 64);
    library(1000, 64);
    library(40, 8192);
    if (argc > 1)
        processes(argv[1]);
    return 0;
}
