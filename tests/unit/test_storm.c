/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Peeking at queues that never rest: of what a snapshot calls exact, every byte, the order and the
 * numbers must be right. IPCBOX_TEST_LONG=1 takes a million snapshots of each storm, 20,000 of one
 * whose queue is mostly empty; else some 9,000 in all.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "pmq.h"
#include "pmq_follow.h"
#include "storm.h"
#include "timefmt.h"

struct storm {
    const char *what;
    const char *args[4]; /* of the helper, after the queue */
    uint64_t snapshots;  /* that are not empty */
    uint64_t many;       /* with IPCBOX_TEST_LONG */
    uint64_t give_ups;   /* per cent that may fail; 100 for any number */
    bool atomic;         /* with the queue locked */
};

struct tally {
    uint64_t snapshots, empty, give_ups, tries, messages, wrong;
    unsigned int most_tries;
    uint64_t atomic; /* taken with the queue locked */
};

/* One snapshot: the first and the last number of each sender and priority. */
struct seen {
    uint64_t first[STORM_SENDERS][STORM_PRIORITIES];
    uint64_t last[STORM_SENDERS][STORM_PRIORITIES];
    uint64_t n;
    uint32_t priority;
    const char *wrong;
};

static int look(const struct msgq_message *m, void *ctx)
{
    struct seen *seen = ctx;
    struct storm_message head;
    uint64_t *first, *last;

    if (!storm_right(m->data, m->length)) {
        seen->wrong = "a payload that nobody sent";
        return 0;
    }
    memcpy(&head, m->data, sizeof(head));
    first = &seen->first[head.sender][head.priority];
    last = &seen->last[head.sender][head.priority];
    if (m->index != seen->n++)
        seen->wrong = "an index out of order";
    if (head.priority != m->priority || m->priority > seen->priority)
        seen->wrong = "a priority out of order";
    if (*last && head.number != *last + 1)
        seen->wrong = "a gap in the numbers";
    seen->priority = m->priority;
    *last = head.number;
    if (!*first)
        *first = head.number;
    return 0;
}

/* The queue only moves forward: nothing comes back that an earlier snapshot had no more. */
static void compare(const struct seen *before, struct seen *now)
{
    for (size_t s = 0; s < STORM_SENDERS; s++)
        for (size_t p = 0; p < STORM_PRIORITIES; p++)
            if (now->first[s][p] && now->first[s][p] < before->first[s][p])
                now->wrong = "a message that had left the queue";
}

static void take_one(struct msgq_peeker *p, const struct pmq_queue *q, struct seen *before,
                     struct tally *t)
{
    struct msgq_snapshot *s = NULL;
    struct seen seen = {.priority = UINT32_MAX};
    struct err e = ERR_INIT;
    const struct msgq_snapshot_info *info;
    int r = pmq_peek(p, q, &s, &e);

    if (r == -EAGAIN) {
        t->give_ups++;
        return;
    }
    if (r < 0) {
        fprintf(stderr, "peek: %s\n", err_text(&e, r));
        t->wrong++;
        return;
    }
    info = msgq_snapshot_info(s);
    t->tries += info->tries;
    t->most_tries = MAX(t->most_tries, info->tries);
    t->atomic += info->consistency == MSGQ_ATOMIC;
    if (info->consistency == MSGQ_TORN) {
        t->give_ups++;
    } else if (info->messages == 0) {
        t->empty++;
    } else {
        t->snapshots++;
        t->messages += info->messages;
        msgq_snapshot_visit(s, look, &seen, NULL);
        compare(before, &seen);
        if (seen.n != info->messages)
            seen.wrong = "another number of messages than announced";
        if (seen.wrong) {
            fprintf(stderr, "snapshot %lu: %s\n", t->snapshots, seen.wrong);
            t->wrong++;
        }
        *before = seen;
    }
    msgq_snapshot_free(s);
}

static FILE *start_storm(const struct storm *storm, const char *name, pid_t *pid)
{
    int out[2];
    char line[16];
    FILE *f;

    if (pipe(out) < 0)
        return NULL;
    *pid = fork();
    if (*pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        close(out[0]);
        execl(TEST_STORM, "storm", name, storm->args[0], storm->args[1], storm->args[2],
              storm->args[3], (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    f = fdopen(out[0], "r");
    return f && fgets(line, sizeof(line), f) ? f : NULL;
}

static bool trampolines;

static void run_storm(const struct storm *storm, uint64_t snapshots)
{
    const struct msgq_peek_opts opts = {.backend = "bpf", .atomic = storm->atomic};
    struct pmq_ref ref = {.kind = PMQ_REF_NAME};
    struct msgq_peeker *p = NULL;
    struct pmq_queue *q = NULL;
    struct err e = ERR_INIT;
    struct tally t = {0};
    struct seen before = {.n = 0};
    uint64_t sent = 0, received = 0, wrong = 1, begun;
    int status = -1;
    pid_t pid = -1;
    FILE *f;

    snprintf(ref.name, sizeof(ref.name), "/test-storm-%d", getpid());
    f = start_storm(storm, ref.name, &pid);
    CHECK(f != NULL);
    CHECK_INT(pmq_queue_open(&ref, PMQ_OPEN_READ, &q, &e), 0);
    CHECK_INT(pmq_peeker_new(&opts, &p, &e), 0);
    if (e.why[0])
        fprintf(stderr, "%s\n", e.why);
    begun = timefmt_now(CLOCK_MONOTONIC);
    while (p && q && t.snapshots < snapshots && t.wrong < 10 && waitpid(pid, &status, WNOHANG) == 0)
        take_one(p, q, &before, &t);
    begun = timefmt_now(CLOCK_MONOTONIC) - begun;
    kill(pid, SIGTERM);
    if (f && fscanf(f, "sent %lu received %lu wrong %lu", &sent, &received, &wrong) != 3)
        wrong = 1;
    if (f)
        fclose(f);
    waitpid(pid, NULL, 0);
    printf("%s: %lu snapshots of %lu messages, %lu wrong, %lu empty, %lu given up (%.2f %%), "
           "%lu atomic, %.2f tries each, at most %u, %.1f s; storm: %lu sent, %lu received\n",
           storm->what, t.snapshots, t.messages, t.wrong, t.empty, t.give_ups,
           100.0 * (double)t.give_ups / (double)(t.snapshots + t.empty + t.give_ups + 1), t.atomic,
           (double)t.tries / (double)(t.snapshots + t.empty + 1), t.most_tries, (double)begun / 1e9,
           sent, received);
    fflush(stdout);
    CHECK_INT(t.wrong, 0);
    /* Without a trampoline somebody must happen to wait for the lock. */
    if (storm->atomic && trampolines)
        CHECK_INT(t.atomic, t.snapshots + t.empty);
    CHECK(t.snapshots >= snapshots);
    CHECK(t.give_ups * 100 <= storm->give_ups * (t.snapshots + t.empty + t.give_ups));
    /* Looking took nothing away and changed nothing. */
    CHECK_INT(wrong, 0);
    CHECK_INT(sent, received);
    CHECK(sent > 0);
    msgq_peeker_free(p);
    pmq_queue_close(q);
}

/* A namespace of our own, where a queue may be deep. */
static void deep_queues(void)
{
    FILE *f = NULL;

    CHECK_INT(unshare(CLONE_NEWIPC), 0);
    f = fopen("/proc/sys/fs/mqueue/msg_max", "w");
    CHECK(f && fputs("1000", f) >= 0 && fclose(f) == 0);
}

/* Since Linux 5.19. */
static bool has_contention_end(void)
{
    unsigned int major = 0, minor = 0;
    struct utsname u;

    return uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
           (major > 5 || (major == 5 && minor >= 19));
}

/* IPCBOX_STORM_PERCENT: of the usual number of snapshots, where each step is emulated or checked.
 */
int main(void)
{
    const char *all = getenv("IPCBOX_TEST_LONG"), *part = getenv("IPCBOX_STORM_PERCENT");
    unsigned long percent = part ? strtoul(part, NULL, 10) : 100;
    bool full = !part && all && *all && strcmp(all, "0") != 0;
    static const struct storm storms[] = {
        {"four senders, four receivers", {"4", "4", "64", "1024"}, 4000, 1000000, 100, false},
        {"bounced, depth 1, 8 KiB", {"bounce", "0", "1", "8192"}, 200, 20000, 100, false},
        {"bounced, depth 8, 8 KiB", {"bounce", "0", "8", "8192"}, 1500, 1000000, 5, false},
        {"bounced, depth 8, 128 B", {"bounce", "0", "8", "128"}, 3000, 1000000, 100, false},
        {"four senders, four receivers, locked", {"4", "4", "64", "1024"}, 2000, 1000000, 0, true},
        {"bounced, locked", {"bounce", "0", "1", "8192"}, 2000, 1000000, 0, true},
    };
    bool lockable = has_contention_end();

    trampolines = pmq_follow_probe("fexit", NULL) == 0;
    printf("locked snapshots: %s\n", trampolines ? "trampoline"
                                     : lockable  ? "at the end of a wait for the lock"
                                                 : "not on this kernel");
    deep_queues();
    for (size_t i = 0; i < ARRAY_SIZE(storms); i++)
        if (!storms[i].atomic || trampolines)
            run_storm(&storms[i], full ? storms[i].many : storms[i].snapshots * percent / 100);
        else if (lockable)
            run_storm(&storms[i], full ? 20000 : MAX(storms[i].snapshots * percent / 10000, 5UL));
    return check_done();
}
