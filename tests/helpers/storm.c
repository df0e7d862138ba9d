// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Keeps a queue busy with messages that can be checked (storm.h):
 *
 *     storm /queue SENDERS RECEIVERS DEPTH BYTES [COUNT [apart]]    so many processes of each
 *     storm /queue bounce 0 DEPTH BYTES [COUNT]    one that receives and sends again
 *
 * Apart: each on the next processor, so that not chance says who shares one.
 *
 * Makes the queue, prints "ready" when it runs, and ends when COUNT messages were sent by each
 * sender, or at SIGTERM. Then it empties the queue, removes it, and prints
 * "sent N received N wrong N".
 */
#include <errno.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "storm.h"

struct counts {
    _Atomic uint64_t sent;
    _Atomic uint64_t received;
    _Atomic uint64_t wrong;
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
    (void)sig;
    stop = 1;
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* A tenth of a second at most, so that a stop is seen. */
static struct timespec soon(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    ts.tv_nsec += 100000000;
    if (ts.tv_nsec >= 1000000000) {
        ts.tv_nsec -= 1000000000;
        ts.tv_sec++;
    }
    return ts;
}

static bool send_one(mqd_t q, const struct storm_message *m)
{
    struct timespec ts = soon();

    while (mq_timedsend(q, (const char *)m, m->length, m->priority, &ts) < 0) {
        if (stop || (errno != ETIMEDOUT && errno != EINTR))
            return false;
        ts = soon();
    }
    return true;
}

static void run_sender(mqd_t q, unsigned int sender, size_t bytes, uint64_t count,
                       struct counts *counts)
{
    static uint64_t buf[STORM_MAX / 8];
    struct storm_message *m = (void *)buf;
    uint64_t numbers[STORM_PRIORITIES] = {0};
    uint32_t random = sender + 1;
    size_t words = (bytes - sizeof(*m)) / 8;

    for (uint64_t i = 0; !stop && (!count || i < count); i++) {
        unsigned int priority = next_random(&random) % STORM_PRIORITIES;
        size_t length = sizeof(*m) + 8 * (next_random(&random) % (words + 1));

        storm_make(m, sender, priority, ++numbers[priority], length);
        if (!send_one(q, m))
            break;
        atomic_fetch_add(&counts->sent, 1);
    }
}

/* Until @stop, and then, if @drain, until nothing is left. */
static void run_receiver(mqd_t q, bool drain, struct counts *counts)
{
    static char buf[STORM_MAX];

    for (;;) {
        struct timespec ts = soon();
        ssize_t n;

        if (drain)
            ts.tv_sec = 0;
        if (stop && !drain)
            break;
        n = mq_timedreceive(q, buf, sizeof(buf), NULL, &ts);
        if (n < 0 && drain)
            break;
        if (n < 0)
            continue;
        atomic_fetch_add(&counts->received, 1);
        if (!storm_right(buf, (size_t)n))
            atomic_fetch_add(&counts->wrong, 1);
    }
}

static void run_bounce(mqd_t q, long depth, size_t bytes, uint64_t count, struct counts *counts)
{
    static uint64_t buf[STORM_MAX / 8], in[STORM_MAX / 8];
    struct storm_message *m = (void *)buf;

    for (uint64_t i = 1; !stop && (!count || i <= count); i++) {
        if (i > (uint64_t)depth) {
            ssize_t n = mq_receive(q, (char *)in, sizeof(in), NULL);

            atomic_fetch_add(&counts->received, 1);
            if (n < 0 || !storm_right(in, (size_t)n))
                atomic_fetch_add(&counts->wrong, 1);
        }
        storm_make(m, 0, 0, i, bytes);
        if (!send_one(q, m))
            break;
        atomic_fetch_add(&counts->sent, 1);
    }
}

static void run_on(unsigned int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu % (unsigned int)sysconf(_SC_NPROCESSORS_ONLN), &set);
    if (sched_setaffinity(0, sizeof(set), &set) < 0) {
        perror("sched_setaffinity");
        _exit(1);
    }
}

/* The process of that number, which has a processor to itself if @apart. */
static pid_t start(int number, bool apart)
{
    pid_t parent = getpid(), pid = fork();

    if (pid == 0) {
        if (apart)
            run_on((unsigned int)number);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
    }
    return pid;
}

int main(int argc, char **argv)
{
    const struct sigaction on_term = {.sa_handler = on_signal}; /* interrupts what waits */
    struct mq_attr attr;
    struct counts *counts;
    pid_t pids[2 * STORM_SENDERS];
    int n_pids = 0, senders, receivers;
    size_t bytes;
    uint64_t count;
    bool apart;
    mqd_t q;

    if (argc < 6)
        return 2;
    sigaction(SIGTERM, &on_term, NULL);
    sigaction(SIGINT, &on_term, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    senders = strcmp(argv[2], "bounce") ? atoi(argv[2]) : 0;
    receivers = atoi(argv[3]);
    bytes = strtoul(argv[5], NULL, 0);
    count = argc > 6 ? strtoull(argv[6], NULL, 0) : 0;
    apart = argc > 7 && !strcmp(argv[7], "apart");
    attr = (struct mq_attr){.mq_maxmsg = atol(argv[4]), .mq_msgsize = (long)bytes};
    if (senders > STORM_SENDERS || receivers > STORM_SENDERS || bytes % 8 || bytes > STORM_MAX ||
        bytes < sizeof(struct storm_message))
        return 2;
    counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    mq_unlink(argv[1]);
    q = mq_open(argv[1], O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
    if (q < 0 || counts == MAP_FAILED) {
        perror(argv[1]);
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (int i = 0; i < senders; i++)
        if ((pids[n_pids++] = start(i, apart)) == 0) {
            run_sender(q, (unsigned int)i, bytes, count, counts);
            _exit(0);
        }
    for (int i = 0; i < receivers; i++)
        if ((pids[n_pids++] = start(senders + i, apart)) == 0) {
            /* Else the queue is empty nearly always: then there is nothing to get wrong. */
            (void)!nice(5);
            run_receiver(q, false, counts);
            _exit(0);
        }
    if (!senders)
        run_bounce(q, attr.mq_maxmsg, bytes, count, counts);
    for (int i = 0; i < senders && !stop; i++)
        while (waitpid(pids[i], NULL, 0) < 0 && errno == EINTR && !stop)
            ;
    for (int i = 0; i < n_pids; i++)
        kill(pids[i], SIGTERM);
    while (wait(NULL) > 0 || errno == EINTR)
        ;
    run_receiver(q, true, counts);
    mq_unlink(argv[1]);
    printf("sent %lu received %lu wrong %lu\n", counts->sent, counts->received, counts->wrong);
    return counts->wrong != 0 || counts->sent != counts->received;
}
