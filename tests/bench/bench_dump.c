/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What dumps cost, each beside the bare thing it is made of:
 *
 *     bench_dump verify IPCBOX FILE    mqdump verify, and a cJSON_Parse loop over the same lines
 *                                      (a FILE comes from the test helper dumpmake)
 *     bench_dump replay IPCBOX DIR     mqdump replay --speed max, and a loop of mq_send()
 *     bench_dump save IPCBOX           mqdump save and mqpeek --raw of the largest queue there can
 * be
 */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "dump.h"
#include "figure.h"
#include "timefmt.h"

enum { ROUNDS = 5, REPLAYED = 200000, REPLAYS = 11, SIZE = 64 };

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

/* Wall time of a command with its output thrown away, ns; best of some rounds. */
static uint64_t run(const char *const *argv, int rounds)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < rounds; i++) {
        uint64_t start = timefmt_now(CLOCK_MONOTONIC), t;
        pid_t pid = fork();
        int status;

        if (pid == 0) {
            int null = open("/dev/null", O_WRONLY);

            dup2(null, 1);
            execv(argv[0], (char *const *)(uintptr_t)argv);
            _exit(127);
        }
        if (waitpid(pid, &status, 0) != pid || status != 0) {
            fprintf(stderr, "%s %s %s failed\n", argv[0], argv[1], argv[2]);
            exit(1);
        }
        t = timefmt_now(CLOCK_MONOTONIC) - start;
        best = t < best ? t : best;
    }
    return best;
}

/* ---- verify ---- */

static uint64_t parse_all(const char *path)
{
    uint64_t start = timefmt_now(CLOCK_MONOTONIC);
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;

    if (!f)
        die(path);
    while ((n = getline(&line, &cap, f)) > 0) {
        cJSON *tree = cJSON_ParseWithLength(line, (size_t)n);

        if (!tree)
            die("cJSON_Parse");
        cJSON_Delete(tree);
    }
    free(line);
    fclose(f);
    return timefmt_now(CLOCK_MONOTONIC) - start;
}

static int bench_verify(const char *ipcbox, const char *file)
{
    const char *argv[] = {ipcbox, "mqdump", "verify", file, NULL};
    uint64_t bare = UINT64_MAX, ours;

    for (int i = 0; i < ROUNDS; i++) {
        uint64_t t = parse_all(file);

        bare = t < bare ? t : bare;
    }
    ours = run(argv, ROUNDS);
    figure("mqdump verify, of a cJSON_Parse loop", (double)ours / (double)bare, "<= 1.5",
           "%.1f ms of %.1f ms", (double)ours / 1e6, (double)bare / 1e6);
    return 0;
}

/* ---- replay ---- */

static mqd_t make_queue(const char *name, long maxmsg, long msgsize)
{
    struct mq_attr attr = {.mq_maxmsg = maxmsg, .mq_msgsize = msgsize};
    mqd_t q;

    mq_unlink(name);
    q = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &attr);
    if (q < 0)
        die(name);
    return q;
}

/* Where there is only one, both run there. */
static void run_on(size_t cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    (void)sched_setaffinity(0, sizeof(set), &set);
}

/* A child that receives for ever. */
static pid_t start_receiver(mqd_t q)
{
    pid_t pid = fork();
    char data[SIZE];

    if (pid == 0)
        run_on(0);
    while (pid == 0)
        if (mq_receive(q, data, sizeof(data), NULL) < 0)
            _exit(1);
    return pid;
}

/* Seconds that a process which does nothing else takes to send all. */
static double send_bare(mqd_t q, const char *payload)
{
    double span = 0;
    int ends[2];
    pid_t pid;

    if (pipe(ends) < 0 || (pid = fork()) < 0)
        die("a sender");
    if (pid == 0) {
        uint64_t start = timefmt_now(CLOCK_MONOTONIC);

        for (unsigned int i = 0; i < REPLAYED; i++)
            if (mq_send(q, payload, SIZE, 1) < 0)
                die("mq_send");
        span = (double)(timefmt_now(CLOCK_MONOTONIC) - start) / 1e9;
        _exit(write(ends[1], &span, sizeof(span)) != sizeof(span));
    }
    close(ends[1]);
    if (read(ends[0], &span, sizeof(span)) != sizeof(span))
        die("a sender");
    close(ends[0]);
    waitpid(pid, NULL, 0);
    return span;
}

/* The same with replay, as it tells itself. */
static double send_replayed(const char *ipcbox, const char *path)
{
    char command[8192], text[1024];
    const char *at;
    FILE *p;
    size_t n;

    snprintf(command, sizeof(command), "exec '%s' mqdump -J replay '%s' --speed max", ipcbox, path);
    p = popen(command, "r");
    n = p ? fread(text, 1, sizeof(text) - 1, p) : 0;
    text[n] = '\0';
    if (!p || pclose(p) != 0 || !(at = strstr(text, "\"span\":")))
        die("replay");
    return strtod(at + 7, NULL);
}

static int by_value(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;

    return (d > 0) - (d < 0);
}

static double median(double v[REPLAYS])
{
    qsort(v, REPLAYS, sizeof(*v), by_value);
    return v[REPLAYS / 2];
}

/*
 * Whether sender and receiver share a processor makes a factor of two, and is chance: here they do
 * not. Who sends begins each time as a process of its own, in turns.
 */
static int bench_replay(const char *ipcbox, const char *dir)
{
    double bare[REPLAYS], ours[REPLAYS], b, o;
    char name[64], path[4096];
    char payload[SIZE];
    struct dump_writer *w;
    pid_t receiver;
    mqd_t q;
    FILE *f;

    snprintf(name, sizeof(name), "/bench-dump-%d", getpid());
    snprintf(path, sizeof(path), "%s/bench.traffic", dir);
    memset(payload, 'x', sizeof(payload));
    f = fopen(path, "w");
    if (!f || dump_writer_new(f, "traffic", "bench", NULL, &w) < 0)
        die(path);
    for (unsigned int i = 0; i < REPLAYED; i++) {
        dump_begin(w, "event");
        dump_put_str(w, "event", "send");
        dump_put_time(w, "time", UINT64_C(1700000000000000000) + i * 1000);
        dump_put_str(w, "queue", name);
        dump_put_u64(w, "priority", 1);
        dump_put_payload(w, payload, SIZE, SIZE);
        dump_end(w);
    }
    if (dump_writer_finish(w) < 0)
        die(path);
    dump_writer_free(w);
    fclose(f);
    q = make_queue(name, 10, SIZE);
    receiver = start_receiver(q);
    run_on(1);
    for (int i = 0; i < REPLAYS; i++) {
        bare[i] = send_bare(q, payload);
        ours[i] = send_replayed(ipcbox, path);
    }
    kill(receiver, SIGKILL);
    waitpid(receiver, NULL, 0);
    mq_unlink(name);
    unlink(path);
    b = median(bare);
    o = median(ours);
    figure("mqdump replay --speed max, of an mq_send loop", b / o, ">= 0.8",
           "%.0f/s of %.0f/s, medians of %d", REPLAYED / o, REPLAYED / b, REPLAYS);
    return 0;
}

/* ---- save ---- */

static long msg_max(void)
{
    FILE *f = fopen("/proc/sys/fs/mqueue/msg_max", "r");
    long v = 10;

    if (!f || fscanf(f, "%ld", &v) != 1)
        die("msg_max");
    fclose(f);
    return v;
}

/* The queue that holds most bytes within RLIMIT_MSGQUEUE and msg_max, full. */
static int bench_save(const char *ipcbox)
{
    char name[64], payload[8192];
    const char *save[] = {ipcbox, "mqdump", "save", name, NULL};
    const char *raw[] = {ipcbox, "mqpeek", name, "--raw", NULL};
    struct rlimit l;
    uint64_t ours, bare;
    long maxmsg;
    mqd_t q;

    snprintf(name, sizeof(name), "/bench-dump-%d", getpid());
    memset(payload, '\xa5', sizeof(payload));
    if (getrlimit(RLIMIT_MSGQUEUE, &l) < 0)
        die("getrlimit");
    maxmsg = (long)(l.rlim_cur / (sizeof(payload) + 128));
    maxmsg = MIN(maxmsg, msg_max());
    q = make_queue(name, maxmsg, sizeof(payload));
    for (long i = 0; i < maxmsg; i++)
        if (mq_send(q, payload, sizeof(payload), 1) < 0)
            die("mq_send");
    ours = run(save, 4 * ROUNDS);
    bare = run(raw, 4 * ROUNDS);
    mq_unlink(name);
    figure("mqdump save, of mqpeek --raw", (double)ours / (double)bare, "<= 1.3",
           "%ld x %zu B: %.1f ms of %.1f ms", maxmsg, sizeof(payload), (double)ours / 1e6,
           (double)bare / 1e6);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && !strcmp(argv[1], "verify"))
        return bench_verify(argv[2], argv[3]);
    if (argc == 4 && !strcmp(argv[1], "replay"))
        return bench_replay(argv[2], argv[3]);
    if (argc == 3 && !strcmp(argv[1], "save"))
        return bench_save(argv[2]);
    return 2;
}
