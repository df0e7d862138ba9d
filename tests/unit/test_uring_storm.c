/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The embedded channel under kill -9: senders and receivers are killed at random moments and
 * replaced; every message that a sender was told is sent is received exactly once, in order, by
 * each receiver that lives on (unicast, broadcast), or by one of those that compete (multicast);
 * one that its sender was killed over is received or counted as lost.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "chantest.h"
#include "check.h"
#include "engine.h"
#include "macros.h"
#include "timefmt.h"

enum {
    SENDERS = 3,
    RECEIVERS = 2,
    ENTRIES = 32,
    MAX_MSG = 8192,
    MAX_LIVES = 12000, /* processes that ever send */
    MAX_SEEN = 4096,   /* messages of one life; a life ends by itself then */
};

/* What all processes of the test share. */
struct board {
    uint32_t errors;
    uint64_t received; /* by the survivor */
    uint64_t lost;
    uint32_t ready;
    struct life {
        uint32_t begun; /* messages it began to send */
        uint32_t acked; /* messages it was told are sent */
        uint32_t next;  /* the survivor: how many came; multicast: unused */
    } lives[MAX_LIVES];
    uint64_t seen[MAX_LIVES][MAX_SEEN / 64]; /* multicast: which came */
};

struct message {
    uint32_t life;
    uint32_t number;
    uint32_t len;
    uint32_t fill;
};

static char dir[64];
static struct board *board;
static uint32_t id;

static void complain(const char *what, const struct message *m)
{
    __atomic_fetch_add(&board->errors, 1, __ATOMIC_RELAXED);
    fprintf(stderr, "%s: life %u number %u length %u\n", what, m->life, m->number, m->len);
}

static struct chan *open_or_exit(unsigned int access)
{
    struct err e = ERR_INIT;
    struct chan *c = NULL;
    int r = chan_open(dir, &(struct chan_ref){.id = id}, access, &c, &e);

    if (r < 0) {
        fprintf(stderr, "open: %s\n", err_text(&e, r));
        __atomic_fetch_add(&board->errors, 1, __ATOMIC_RELAXED);
        _exit(1);
    }
    return c;
}

static void sender(uint32_t life)
{
    unsigned char buf[MAX_MSG];
    struct message *m = (void *)buf;
    struct chan *c = open_or_exit(CHAN_SEND);
    unsigned int seed = life;

    for (uint32_t i = 0; i < MAX_SEEN; i++) {
        int r;

        m->life = life;
        m->number = i;
        m->len = (uint32_t)sizeof(*m) + (uint32_t)rand_r(&seed) % (MAX_MSG - (uint32_t)sizeof(*m));
        m->fill = (life * 31 + i) & 0xff;
        memset(buf + sizeof(*m), (int)m->fill, m->len - sizeof(*m));
        __atomic_store_n(&board->lives[life].begun, i + 1, __ATOMIC_SEQ_CST);
        r = chan_send(c, buf, m->len, life, 0, CHAN_FOREVER);
        if (r < 0)
            complain(strerrordesc_np(-r), m);
        __atomic_store_n(&board->lives[life].acked, i + 1, __ATOMIC_SEQ_CST);
    }
    for (;;)
        pause(); /* and be killed */
}

/* Whether a message is as it was sent; false also for the end mark. */
static bool check_message(const unsigned char *buf, const struct chan_got *got)
{
    const struct message *m = (const void *)buf;

    if (got->msg.len == 0)
        return false;
    if (got->msg.len < sizeof(*m) || m->life >= MAX_LIVES || m->number >= MAX_SEEN ||
        m->len != got->msg.len) {
        complain("torn", m);
        return false;
    }
    for (size_t i = sizeof(*m); i < m->len; i++)
        if (buf[i] != m->fill) {
            complain("torn payload", m);
            return false;
        }
    return true;
}

static void note_in_order(const struct message *m)
{
    struct life *l = &board->lives[m->life];

    if (m->number != l->next)
        complain(m->number < l->next ? "twice" : "gap", m);
    l->next = m->number + 1;
}

static void note_once(const struct message *m)
{
    uint64_t bit = UINT64_C(1) << (m->number % 64);

    if (__atomic_fetch_or(&board->seen[m->life][m->number / 64], bit, __ATOMIC_SEQ_CST) & bit)
        complain("twice", m);
}

enum role { DOOMED, COMPETING, SURVIVOR };

/* Receives until the end mark, an empty message. */
static void receiver(enum role role)
{
    unsigned char buf[MAX_MSG];
    struct chan *c = open_or_exit(CHAN_RECV);
    struct chan_got got;

    __atomic_store_n(&board->ready, 1, __ATOMIC_SEQ_CST);
    for (;;) {
        int r = chan_recv(c, buf, sizeof(buf), &got, CHAN_FOREVER);
        bool good = r == 0 && check_message(buf, &got);

        if (r < 0) {
            complain(strerrordesc_np(-r), (struct message *)(void *)buf);
            _exit(1);
        }
        if (role == SURVIVOR) {
            board->received++;
            board->lost += got.lost;
        }
        if (got.msg.len == 0)
            break;
        if (good && role == SURVIVOR)
            note_in_order((struct message *)(void *)buf);
        if (good && role == COMPETING)
            note_once((struct message *)(void *)buf);
    }
    chan_close(c);
    _exit(0);
}

static pid_t spawn(bool sends, uint32_t life, enum role role)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (sends)
            sender(life);
        else
            receiver(role);
    }
    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    return pid;
}

static void kill_and_wait(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static uint64_t tail(struct chan *c)
{
    struct chan_info info;

    CHECK_INT(chan_get_info(c, &info), 0);
    return info.tail;
}

static void judge_in_order(uint32_t lives)
{
    uint64_t acked = 0, lost = 0;

    for (uint32_t i = 0; i < lives; i++) {
        const struct life *l = &board->lives[i];

        acked += l->acked;
        lost += l->begun - l->acked;
        if (l->next < l->acked || l->next > l->begun) {
            CHECK(l->next >= l->acked && l->next <= l->begun);
            fprintf(stderr, "life %u: begun %u, acked %u, received %u\n", i, l->begun, l->acked,
                    l->next);
        }
    }
    printf("  %llu acknowledged, all received once and in order; %llu unfinished, %llu of them "
           "lost in the ring\n",
           (unsigned long long)acked, (unsigned long long)lost, (unsigned long long)board->lost);
}

static void judge_once(uint32_t lives, unsigned long receiver_kills)
{
    uint64_t acked = 0, missing = 0;

    for (uint32_t i = 0; i < lives; i++)
        for (uint32_t k = 0; k < board->lives[i].acked; k++) {
            acked++;
            missing += !(board->seen[i][k / 64] >> (k % 64) & 1);
        }
    /* A receiver that is killed after it has won a message takes it along. */
    CHECK(missing <= receiver_kills);
    printf("  %llu acknowledged, none received twice; %llu went down with one of %lu receivers\n",
           (unsigned long long)acked, (unsigned long long)missing, receiver_kills);
}

static void storm(enum chan_delivery delivery, unsigned long kills)
{
    struct chan_conf conf = {
        .delivery = delivery, .entries = ENTRIES, .max_msg = MAX_MSG, .mode = 0600};
    enum role role = delivery == CHAN_MULTICAST ? COMPETING : DOOMED;
    unsigned long receiver_kills = 0;
    pid_t s[SENDERS], r[RECEIVERS];
    pid_t survivor = 0;
    uint32_t lives = 0;
    unsigned int seed = 1;
    struct chan *c;

    memset(board, 0, sizeof(*board));
    CHECK_INT(chan_create(dir, &conf, &id, NULL), 0);
    if (role == DOOMED) {
        survivor = spawn(false, 0, SURVIVOR);
        while (!__atomic_load_n(&board->ready, __ATOMIC_SEQ_CST))
            usleep(1000);
    }
    for (int i = 0; i < RECEIVERS; i++)
        r[i] = spawn(false, 0, role);
    for (int i = 0; i < SENDERS; i++)
        s[i] = spawn(true, lives++, DOOMED);
    for (unsigned long k = 0; k < kills; k++) {
        int n = rand_r(&seed) % (SENDERS + RECEIVERS);
        struct timespec ts = {.tv_nsec = rand_r(&seed) % 2000000};

        nanosleep(&ts, NULL);
        if (n < SENDERS) {
            kill_and_wait(s[n]);
            s[n] = spawn(true, lives++, DOOMED);
        } else {
            kill_and_wait(r[n - SENDERS]);
            r[n - SENDERS] = spawn(false, 0, role);
            receiver_kills++;
        }
    }
    for (int i = 0; i < SENDERS; i++)
        kill_and_wait(s[i]);
    c = open_or_exit(CHAN_SEND);
    /* The end, for each who competes; they all end, which is the proof that nothing is stalled. */
    for (int i = 0; i < (role == COMPETING ? RECEIVERS : 1); i++)
        CHECK_INT(chan_send(c, "", 0, 0, 0, 60 * NSEC_PER_SEC), 0);
    for (int i = 0; role == COMPETING && i < RECEIVERS; i++)
        waitpid(r[i], NULL, 0);
    printf("%s, %lu kills:\n",
           delivery == CHAN_UNICAST     ? "unicast"
           : delivery == CHAN_BROADCAST ? "broadcast"
                                        : "multicast",
           kills);
    if (survivor) {
        int status = -1;

        waitpid(survivor, &status, 0);
        /* One that has only just come may have missed the end. */
        for (int i = 0; i < RECEIVERS; i++)
            kill_and_wait(r[i]);
        CHECK_INT(status, 0);
        judge_in_order(lives);
        CHECK_INT(board->received + board->lost, tail(c));
    } else {
        judge_once(lives, receiver_kills + RECEIVERS);
    }
    CHECK_INT(board->errors, 0);
    chan_close(c);
    CHECK_INT(chan_destroy(dir, &(struct chan_ref){.id = id}, NULL), 0);
}

static int destroy_one(const struct chan_info *info, int r, void *ctx _unused_)
{
    /* One whose destroyer was killed in between has lost its file already or is marked. */
    CHECK(r == 0 || r == -ENOENT);
    (void)chan_destroy(dir, &(struct chan_ref){.id = info->id}, NULL);
    return 0;
}

static _noreturn_ void create_and_destroy(const struct chan_conf *conf)
{
    uint32_t mine;

    for (;;)
        if (chan_create(dir, conf, &mine, NULL) < 0 ||
            chan_destroy(dir, &(struct chan_ref){.id = mine}, NULL) < 0)
            abort();
}

/* Those who make and destroy channels are killed: what is left can be listed and destroyed. */
static void storm_of_creators(unsigned long kills)
{
    struct chan_conf conf = {.entries = 4, .max_msg = 64, .mode = 0600};
    unsigned int seed = 2;

    for (unsigned long k = 0; k < kills; k++) {
        struct timespec ts = {.tv_nsec = rand_r(&seed) % 1000000};
        pid_t pid = fork();

        if (pid == 0)
            create_and_destroy(&conf);
        nanosleep(&ts, NULL);
        kill(pid, SIGKILL);
        CHECK_INT(waitpid(pid, &(int){0}, 0), pid);
    }
    CHECK_INT(chan_visit(dir, destroy_one, NULL), 0);
    CHECK_INT(chan_create(dir, &conf, &id, NULL), 0); /* which sweeps */
    CHECK_INT(chan_destroy(dir, &(struct chan_ref){.id = id}, NULL), 0);
}

int main(void)
{
    unsigned long kills = chantest_rounds(150, 3400);

    setvbuf(stdout, NULL, _IONBF, 0);
    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return 1;
    chantest_dir(dir);
    storm(CHAN_UNICAST, kills);
    storm(CHAN_BROADCAST, kills);
    storm(CHAN_MULTICAST, kills);
    storm_of_creators(kills);
    chantest_dir_done(dir);
    return check_done();
}
