/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * System V queues: peeking against a drain with msgrcv(), `mqpeek list` of 1,000 queues against
 * `ipcs -q`, and mqctl against a bare loop.
 *
 *     bench_sysv PATH-OF-IPCBOX      as root, in an IPC namespace of its own
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/wait.h>
#include <unistd.h>

#include "figure.h"
#include "sysv.h"
#include "timefmt.h"

enum { ROUNDS = 21, MESSAGES = 1000, BYTES = 64, QUEUES = 1000 };

static struct {
    long type;
    char text[BYTES + 1];
} message;

static int id;
static const char *self;

static double now_us(void)
{
    return (double)timefmt_now(CLOCK_MONOTONIC) / 1e3;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, ROUNDS, sizeof(*v), ascending);
    return v[ROUNDS / 2];
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int make(void)
{
    FILE *f = fopen("/proc/sys/kernel/msgmnb", "w");
    int q;

    if (!f || fprintf(f, "%d", 1 << 20) < 0 || fclose(f) != 0)
        die("msgmnb");
    q = msgget(IPC_PRIVATE, 0600);
    if (q < 0)
        die("msgget");
    return q;
}

static void fill(void)
{
    for (int i = 0; i < MESSAGES; i++) {
        message.type = i % 5 + 1;
        if (msgsnd(id, &message, BYTES, IPC_NOWAIT) < 0)
            die("msgsnd");
    }
}

static void drain(void)
{
    for (int i = 0; i < MESSAGES; i++)
        if (msgrcv(id, &message, BYTES, 0, IPC_NOWAIT) < 0)
            die("msgrcv");
}

/* ---- peeking ---- */

static int count(const struct msgq_message *m, void *ctx)
{
    *(uint64_t *)ctx += m->length;
    return 0;
}

static double peek_once(struct msgq_peeker *p)
{
    struct sysv_queue q = {.id = id};
    struct msgq_snapshot *s;
    uint64_t total = 0;
    double begun = now_us();

    if (sysv_peek(p, &q, &s, NULL) < 0)
        die("peek");
    msgq_snapshot_visit(s, count, &total, NULL);
    begun = now_us() - begun;
    msgq_snapshot_free(s);
    if (total != MESSAGES * BYTES)
        die("wrong total");
    return begun;
}

/* What the kernel's walk costs: each message by its index, once. */
static double copy_once(void)
{
    double begun = now_us();

    for (int i = 0; i < MESSAGES; i++)
        if (msgrcv(id, &message, BYTES, i, MSG_COPY | IPC_NOWAIT) < 0)
            die("MSG_COPY");
    return now_us() - begun;
}

static void peeking(const char *backend)
{
    const struct msgq_peek_opts opts = {.backend = backend};
    double peek[ROUNDS], other[ROUNDS], a, b;
    bool bpf = !strcmp(backend, "bpf");
    struct msgq_peeker *p;
    struct err e = ERR_INIT;
    char what[64];

    if (sysv_peeker_new(&opts, &p, &e) < 0) {
        fprintf(stderr, "%s: %s\n", backend, e.why);
        return;
    }
    for (int i = 0; i < ROUNDS; i++) {
        fill();
        peek_once(p); /* the first loads the program */
        peek[i] = peek_once(p);
        other[i] = bpf ? 0 : copy_once();
        a = now_us();
        drain();
        other[i] = bpf ? now_us() - a : other[i];
    }
    a = median(peek);
    b = median(other);
    snprintf(what, sizeof(what), "sysv peek of 1000 x 64 B by %s, of %s", backend,
             bpf ? "a drain" : "MSG_COPY twice");
    figure(what, a / (bpf ? b : 2 * b), bpf ? "<= 0.25" : "<= 1.1", "%.1f us of %.1f us", a,
           bpf ? b : 2 * b);
    msgq_peeker_free(p);
}

/* ---- whole processes ---- */

static double process(const char *const *argv)
{
    double begun = now_us();
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);

        dup2(null, 1);
        dup2(null, 2);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        die(argv[0]);
    return now_us() - begun;
}

static void listing(void)
{
    const char *const list[] = {self, "mqpeek", "list", NULL}, *const ipcs[] = {"ipcs", "-q", NULL};
    double ours[ROUNDS], theirs[ROUNDS], a, b;
    int made[QUEUES];

    for (int i = 0; i < QUEUES; i++)
        made[i] = msgget(IPC_PRIVATE, 0600);
    for (int i = 0; i < ROUNDS; i++) {
        ours[i] = process(list);
        theirs[i] = process(ipcs);
    }
    for (int i = 0; i < QUEUES; i++)
        (void)msgctl(made[i], IPC_RMID, NULL);
    a = median(ours);
    b = median(theirs);
    figure("mqpeek list of 1000 sysv queues, of ipcs -q", a / b, "<= 1.5", "%.1f ms of %.1f ms",
           a / 1e3, b / 1e3);
}

/* A bare loop that does the same: a line in, a message out, and the other way. */
static int bare(bool send)
{
    char line[BYTES + 2];

    if (!send) {
        for (int i = 0; i < MESSAGES; i++) {
            ssize_t n = msgrcv(id, &message, BYTES, 0, 0);

            message.text[n] = '\n';
            if (n < 0 || write(STDOUT_FILENO, message.text, (size_t)n + 1) != n + 1)
                return 1;
        }
        return 0;
    }
    while (fgets(line, sizeof(line), stdin)) {
        size_t n = strcspn(line, "\n");

        message.type = 1;
        memcpy(message.text, line, n);
        if (msgsnd(id, &message, n, 0) < 0)
            return 1;
    }
    return 0;
}

static void using(void)
{
    char queue[32], number[16], program[64], file[] = "/tmp/bench-sysv.XXXXXX";
    const char *const send[] = {self, "mqctl", "send", queue, "--lines", "-f", file, NULL};
    const char *const recv[] = {self, "mqctl", "recv", queue, "-N", "1000", "--lines", NULL};
    const char *const bare_send[] = {"sh", "-c", program, NULL};
    const char *const bare_recv[] = {"/proc/self/exe", "bare-recv", number, NULL};
    double v[4][ROUNDS];
    FILE *f = fdopen(mkstemp(file), "w");

    snprintf(queue, sizeof(queue), "sysv:%d", id);
    snprintf(number, sizeof(number), "%d", id);
    snprintf(program, sizeof(program), "exec /proc/%d/exe bare-send %d <%s", (int)getpid(), id,
             file);
    for (int i = 0; f && i < MESSAGES; i++)
        fprintf(f, "line number %d of the benchmark\n", i);
    if (!f || fclose(f) != 0)
        die(file);
    for (int i = 0; i < ROUNDS; i++) {
        v[0][i] = process(send);
        v[1][i] = process(recv);
        v[2][i] = process(bare_send);
        v[3][i] = process(bare_recv);
    }
    unlink(file);
    for (int i = 0; i < 2; i++) {
        double ours = median(v[i]), theirs = median(v[i + 2]);

        figure(i ? "bare loop, of mqctl recv of 1000 lines"
                 : "bare loop, of mqctl send of 1000 lines",
               theirs / ours, ">= 0.8", "%.1f ms of %.1f ms", theirs / 1e3, ours / 1e3);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3) {
        id = atoi(argv[2]);
        return bare(!strcmp(argv[1], "bare-send"));
    }
    if (argc != 2)
        return 2;
    self = argv[1];
    id = make();
    peeking("bpf");
    peeking("copy");
    listing();
    using();
    msgctl(id, IPC_RMID, NULL);
    return 0;
}
