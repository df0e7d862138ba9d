/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random queues through save and restore, and kills at random moments of both. The queues are made
 * and looked at with system calls alone: what a stranger would see.
 *
 *     dumpstorm rounds IPCBOX DIR ROUNDS SEED     save, unlink, restore: nothing differs
 *     dumpstorm kill-save IPCBOX DIR KILLS SEED
 *     dumpstorm kill-restore IPCBOX DIR KILLS SEED
 *     dumpstorm kill-replace IPCBOX DIR KILLS SEED
 *     dumpstorm kill-append IPCBOX DIR KILLS SEED
 *     dumpstorm kill-seal IPCBOX DIR KILLS SEED
 *     dumpstorm kill-record IPCBOX DIR KILLS SEED
 *     dumpstorm kill-replay IPCBOX DIR KILLS SEED
 *     dumpstorm kill-criu IPCBOX DIR KILLS SEED   criu action, and criu restore
 *
 * The last line of a kill-… is how many were killed at work.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { QUEUES = 3, MESSAGES = 10, SIZE = 600 };

struct message {
    unsigned int priority;
    size_t length;
    char data[SIZE];
};

struct queue {
    char name[64];
    struct mq_attr attr;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    size_t n;
    struct message messages[MESSAGES]; /* in receive order */
};

static const char *ipcbox, *dir;
static uint64_t rng;
static char file[4096];

static _Noreturn void die(const char *what, const char *name)
{
    fprintf(stderr, "dumpstorm: %s: %s (%s)\n", name, what, strerror(errno));
    exit(1);
}

static unsigned int random_below(unsigned int n)
{
    rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned int)(rng >> 33) % n;
}

/* ---- queues ---- */

static void random_bytes(char *out, size_t n)
{
    static const char *const texts[] = {"plain text ", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
                                        "\"quoted\\\" \n\t\x01\x7f ", "\xff\xfe\x00\x80"};
    static const size_t sizes[] = {11, 9, 14, 4};
    unsigned int kind = random_below(5);

    for (size_t i = 0; i < n; i++)
        out[i] = kind == 4 ? (char)random_below(256) : texts[kind][i % sizes[kind]];
}

/* Where a message of this priority is received: behind all that are as urgent. */
static void insert(struct queue *q, const struct message *m)
{
    size_t at = 0;

    while (at < q->n && q->messages[at].priority >= m->priority)
        at++;
    memmove(&q->messages[at + 1], &q->messages[at], (q->n - at) * sizeof(*m));
    q->messages[at] = *m;
    q->n++;
}

static void random_queue(struct queue *q, unsigned int index)
{
    static const char *const odd[] = {"", "-\xff\xfe", "- \"x\\", "-\xc3\xa9=a", "-\n\x1b[31m"};

    memset(q, 0, sizeof(*q));
    snprintf(q->name, sizeof(q->name), "/dumpstorm-%d-%u%s", getpid(), index, odd[random_below(5)]);
    q->attr.mq_maxmsg = 1 + (long)random_below(MESSAGES);
    q->attr.mq_msgsize = 1 + (long)random_below(SIZE);
    q->mode = (mode_t)random_below(01000);
    if (geteuid() == 0 && random_below(2)) {
        q->uid = 20000 + random_below(5);
        q->gid = 20000 + random_below(5);
    }
    for (long n = (long)random_below((unsigned int)q->attr.mq_maxmsg + 1); n > 0; n--) {
        struct message m = {
            .priority = random_below(3) ? random_below(4) : random_below(32768),
            .length = random_below((unsigned int)q->attr.mq_msgsize + 1),
        };

        random_bytes(m.data, m.length);
        insert(q, &m);
    }
}

static void make_queue(const struct queue *q)
{
    struct mq_attr attr = q->attr;
    mqd_t fd = mq_open(q->name, O_CREAT | O_EXCL | O_RDWR | O_NONBLOCK, 0, &attr);

    if (fd < 0)
        die("cannot be made", q->name);
    for (size_t i = 0; i < q->n; i++)
        if (mq_send(fd, q->messages[i].data, q->messages[i].length, q->messages[i].priority) < 0)
            die("cannot be filled", q->name);
    if (geteuid() == 0 && fchown(fd, q->uid, q->gid) < 0)
        die("cannot be given away", q->name);
    if (fchmod(fd, q->mode) < 0)
        die("cannot get its mode", q->name);
    mq_close(fd);
}

/* What is different, or NULL. The messages are received: they are gone afterwards. */
static const char *differs(const struct queue *q)
{
    mqd_t fd = mq_open(q->name, O_RDONLY | O_NONBLOCK);
    const char *what = NULL;
    struct mq_attr attr;
    struct stat st;

    if (fd < 0)
        return "it cannot be opened";
    if (mq_getattr(fd, &attr) < 0 || fstat(fd, &st) < 0)
        what = "it cannot be looked at";
    else if (attr.mq_maxmsg != q->attr.mq_maxmsg || attr.mq_msgsize != q->attr.mq_msgsize)
        what = "other sizes";
    else if (attr.mq_curmsgs != (long)q->n)
        what = "another depth";
    else if ((st.st_mode & 07777) != q->mode)
        what = "another mode";
    else if (geteuid() == 0 && (st.st_uid != q->uid || st.st_gid != q->gid))
        what = "another owner";
    for (size_t i = 0; i < q->n && !what; i++) {
        char data[SIZE];
        unsigned int priority;
        ssize_t n = mq_receive(fd, data, sizeof(data), &priority);

        if (n != (ssize_t)q->messages[i].length || priority != q->messages[i].priority ||
            memcmp(data, q->messages[i].data, (size_t)n) != 0)
            what = "another message";
    }
    mq_close(fd);
    return what;
}

/* ---- the tool ---- */

static pid_t start(const char *const *argv)
{
    pid_t pid = fork();

    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);

        dup2(null, 1);
        if (!getenv("DUMPSTORM_VERBOSE"))
            dup2(null, 2);
        execv(ipcbox, (char *const *)(uintptr_t)argv);
        _exit(126);
    }
    if (pid < 0)
        die("fork", "ipcbox");
    return pid;
}

static int finish(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            die("waitpid", "ipcbox");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Runs "ipcbox mqdump VERB … NULL". */
static int run(const char *const *argv)
{
    return finish(start(argv));
}

#define RUN(...) run((const char *const[]){"ipcbox", "mqdump", __VA_ARGS__, NULL})

static void must(int status, const char *what)
{
    if (status != 0) {
        fprintf(stderr, "dumpstorm: %s ended with %d\n", what, status);
        exit(1);
    }
}

static uint64_t now(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/*
 * Kills it after a random part of @span; meanwhile, when there is one, @work is done over and over.
 * Return: whether it was still at work.
 */
static bool work_and_kill(const char *const *argv, uint64_t span, void (*work)(void))
{
    pid_t pid = start(argv);
    uint64_t end = now() + span * random_below(1100) / 1000;

    while (now() < end)
        if (work)
            work();
    kill(pid, SIGKILL);
    return finish(pid) == 128 + SIGKILL;
}

static bool run_and_kill(const char *const *argv, uint64_t span)
{
    return work_and_kill(argv, span, NULL);
}

/* What a kill may leave beside the file: nothing, or something whole. */
static void check_no_half_file(void)
{
    DIR *d = opendir(dir);
    const struct dirent *de;

    if (!d)
        die("cannot be read", dir);
    while ((de = readdir(d))) {
        char path[8192];

        if (de->d_name[0] != '.' || !strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
        if (RUN("verify", path) != 0)
            die("half a file", path);
        unlink(path);
    }
    closedir(d);
}

static uint64_t measure(const char *const *argv)
{
    uint64_t t = now();

    must(run(argv), argv[2]);
    return now() - t;
}

/* ---- rounds ---- */

static void save_all(const struct queue *q, size_t n)
{
    const char *argv[QUEUES + 8] = {"ipcbox", "mqdump", "save", "-O", file, "--"};

    for (size_t i = 0; i < n; i++)
        argv[6 + i] = q[i].name;
    must(run(argv), "save");
}

static void do_rounds(unsigned int rounds)
{
    static struct queue q[QUEUES];

    for (unsigned int round = 0; round < rounds; round++) {
        size_t n = 1 + random_below(QUEUES);

        for (size_t i = 0; i < n; i++) {
            random_queue(&q[i], (unsigned int)i);
            if (geteuid() != 0)
                q[i].mode |= 0400;
            make_queue(&q[i]);
        }
        save_all(q, n);
        for (size_t i = 0; i < n; i++) {
            const char *what = differs(&q[i]);

            if (what)
                die(what, "after save");
            mq_unlink(q[i].name);
        }
        must(RUN("restore", file), "restore");
        for (size_t i = 0; i < n; i++) {
            const char *what = differs(&q[i]);

            if (what)
                die(what, q[i].name);
            mq_unlink(q[i].name);
        }
    }
    printf("%u rounds\n", rounds);
}

/* ---- kills ---- */

static void fixed_queues(struct queue *q, unsigned int salt)
{
    for (unsigned int i = 0; i < QUEUES; i++) {
        random_queue(&q[i], i);
        snprintf(q[i].name, sizeof(q[i].name), "/dumpstorm-%d-%u", getpid(), i);
        q[i].mode = 0640;
        q[i].attr.mq_maxmsg = MESSAGES;
        q[i].attr.mq_msgsize = SIZE;
        while (q[i].n < MESSAGES) {
            struct message m = {.priority = random_below(4), .length = SIZE};

            memset(m.data, (int)('a' + salt), SIZE);
            insert(&q[i], &m);
        }
    }
}

static void unlink_all(const struct queue *q)
{
    for (unsigned int i = 0; i < QUEUES; i++)
        mq_unlink(q[i].name);
}

static void kill_save(unsigned int kills)
{
    static struct queue q[QUEUES];
    const char *argv[] = {"ipcbox",  "mqdump",  "save",    "-O", file,
                          q[0].name, q[1].name, q[2].name, NULL};
    uint64_t span;

    fixed_queues(q, 0);
    for (unsigned int i = 0; i < QUEUES; i++)
        make_queue(&q[i]);
    span = measure(argv);
    for (unsigned int k = 0; k < kills;) {
        bool had;

        if (random_below(2))
            unlink(file);
        had = access(file, F_OK) == 0;
        k += run_and_kill(argv, span);
        if (access(file, F_OK) == 0 ? RUN("verify", file) != 0 : had)
            die("half a file", file);
        check_no_half_file();
    }
    for (unsigned int i = 0; i < QUEUES; i++)
        if (differs(&q[i]))
            die(differs(&q[i]), "after killed saves");
    unlink_all(q);
}

/* Absent, without permissions, or whole: nothing else may be seen after a kill. */
static void check_no_half(const struct queue *q)
{
    for (unsigned int i = 0; i < QUEUES; i++) {
        mqd_t fd = mq_open(q[i].name, O_RDONLY | O_NONBLOCK);
        struct mq_attr attr;
        struct stat st;

        if (fd < 0 && (errno == ENOENT || errno == EACCES))
            continue;
        if (fd < 0 || fstat(fd, &st) < 0 || mq_getattr(fd, &attr) < 0)
            die("cannot be looked at", q[i].name);
        if ((st.st_mode & 07777) != 0 && attr.mq_curmsgs != (long)q[i].n)
            die("half a queue that looks whole", q[i].name);
        mq_close(fd);
    }
}

static void kill_restore(unsigned int kills)
{
    static struct queue q[QUEUES];
    const char *argv[] = {"ipcbox", "mqdump", "restore", file, NULL};
    unsigned int gone = 0;
    uint64_t span;

    fixed_queues(q, 0);
    for (unsigned int i = 0; i < QUEUES; i++)
        make_queue(&q[i]);
    save_all(q, QUEUES);
    unlink_all(q);
    span = measure(argv);
    unlink_all(q);
    for (unsigned int k = 0; k < kills;) {
        k += run_and_kill(argv, span);
        check_no_half(q);
        must(RUN("restore", "--recover"), "restore --recover");
        gone = 0;
        for (unsigned int i = 0; i < QUEUES; i++) {
            mqd_t fd = mq_open(q[i].name, O_RDONLY);

            gone += fd < 0 && errno == ENOENT;
            if (fd >= 0)
                mq_close(fd);
        }
        if (gone != 0 && gone != QUEUES)
            die("some queues are there and some are not", "after recovery");
        if (gone)
            must(RUN("restore", file), "restore after recovery");
        for (unsigned int i = 0; i < QUEUES; i++)
            if (differs(&q[i]))
                die("differs", "after restore");
        unlink_all(q);
    }
}

/* Whether some saved dump in the state directory holds the queue; all of them are removed. */
static bool take_saved(const struct queue *q)
{
    const char *state = getenv("IPCBOX_STATE_DIR");
    DIR *d = state ? opendir(state) : NULL;
    const struct dirent *de;
    bool found = false;

    if (!d)
        die("cannot be read", "IPCBOX_STATE_DIR");
    while ((de = readdir(d))) {
        char path[8192];

        if (strncmp(de->d_name, "replaced-", 9) != 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", state, de->d_name);
        if (RUN("verify", path) == 0 && RUN("restore", path) == 0) {
            found = found || !differs(q);
            mq_unlink(q->name);
        }
        unlink(path);
    }
    closedir(d);
    return found;
}

static void kill_replace(unsigned int kills)
{
    static struct queue old[QUEUES], new[QUEUES];
    const char *argv[] = {"ipcbox", "mqdump", "restore", file, "--replace", NULL};
    uint64_t span = 0;

    fixed_queues(old, 0);
    fixed_queues(new, 1);
    make_queue(&new[0]);
    save_all(new, 1);
    mq_unlink(new[0].name);
    for (unsigned int k = 0; k < kills;) {
        make_queue(&old[0]);
        if (!span)
            span = measure(argv);
        else
            k += run_and_kill(argv, span);
        must(RUN("restore", "--recover"), "restore --recover");
        if (differs(&old[0])) {
            if (mq_unlink(old[0].name) < 0)
                die("neither the old nor the new one is there", old[0].name);
            if (!take_saved(&old[0]))
                die("the old one is lost", old[0].name);
        } else {
            mq_unlink(old[0].name);
            (void)take_saved(&old[0]);
        }
    }
}

static void kill_seal(unsigned int kills)
{
    static struct queue q[QUEUES];
    const char *argv[] = {"ipcbox", "mqdump", "seal", file, "-O", file, NULL};
    uint64_t span;

    fixed_queues(q, 0);
    for (unsigned int i = 0; i < QUEUES; i++)
        make_queue(&q[i]);
    save_all(q, QUEUES);
    unlink_all(q);
    span = measure(argv);
    for (unsigned int k = 0; k < kills;) {
        k += run_and_kill(argv, span);
        must(RUN("verify", file), "verify");
        check_no_half_file();
    }
}

/* The messages of @more, the first @n of them, behind those of @q. */
static void append(struct queue *q, const struct queue *more, size_t n)
{
    for (size_t i = 0; i < n; i++)
        insert(q, &more->messages[i]);
}

static size_t depth(const char *name)
{
    mqd_t fd = mq_open(name, O_RDONLY);
    struct mq_attr attr;

    if (fd < 0 || mq_getattr(fd, &attr) < 0)
        die("cannot be looked at", name);
    mq_close(fd);
    return (size_t)attr.mq_curmsgs;
}

/* Half of the queue is there; the dump has the other half. What is there afterwards is the old, and
 * of the new so many from the first on. */
static void kill_append(unsigned int kills)
{
    static struct queue q[QUEUES], old, want;
    const char *argv[] = {"ipcbox", "mqdump", "restore", "--append", file, NULL};
    uint64_t span = 0;

    fixed_queues(q, 0);
    q[0].n = MESSAGES / 2;
    make_queue(&q[0]);
    save_all(q, 1);
    mq_unlink(q[0].name);
    old = q[0];
    for (size_t i = 0; i < old.n; i++)
        memset(old.messages[i].data, 'o', SIZE);
    for (unsigned int k = 0; k < kills;) {
        size_t came;

        make_queue(&old);
        if (!span)
            span = measure(argv);
        else
            k += run_and_kill(argv, span);
        must(RUN("restore", "--recover"), "restore --recover");
        came = depth(old.name);
        if (came < old.n || came > old.n + q[0].n)
            die("lost or doubled messages", old.name);
        want = old;
        append(&want, &q[0], came - old.n);
        if (differs(&want))
            die(differs(&want), "after a killed append");
        mq_unlink(old.name);
    }
}

/* ---- traffic ---- */

static struct queue busy;

/* Something to record, that leaves the queue as it was. */
static void send_and_receive(void)
{
    mqd_t fd = mq_open(busy.name, O_RDWR | O_NONBLOCK);
    char data[SIZE];

    if (fd < 0 || mq_send(fd, "urgent", 6, 32767) < 0 ||
        mq_receive(fd, data, sizeof(data), NULL) != 6 || memcmp(data, "urgent", 6) != 0)
        die("somebody else uses it", busy.name);
    mq_close(fd);
}

static void kill_record(unsigned int kills)
{
    static struct queue q[QUEUES];
    const char *argv[] = {"ipcbox", "mqdump",     "record", q[0].name, "-O",
                          file,     "--duration", "0.02",   NULL};
    uint64_t span;

    fixed_queues(q, 0);
    q[0].n--;
    make_queue(&q[0]);
    busy = q[0];
    span = measure(argv);
    for (unsigned int k = 0; k < kills;) {
        bool had;

        if (random_below(2))
            unlink(file);
        had = access(file, F_OK) == 0;
        k += work_and_kill(argv, span, send_and_receive);
        if (access(file, F_OK) == 0 ? RUN("verify", file) != 0 : had)
            die("half a file", file);
        check_no_half_file();
    }
    if (differs(&q[0]))
        die("not as it was", "after killed recordings");
    mq_unlink(q[0].name);
}

/* A recording of sends of all messages of the queue, in that order. */
static void write_traffic(const struct queue *q)
{
    static char command[8192];
    FILE *f;

    snprintf(command, sizeof(command), "'%s' mqdump seal -O '%s'", ipcbox, file);
    f = popen(command, "w");
    if (!f)
        die("popen", ipcbox);
    fprintf(f, "{\"type\":\"header\",\"format\":\"ipcbox-dump\",\"version\":1,"
               "\"kind\":\"traffic\"}\n");
    for (size_t i = 0; i < q->n; i++)
        fprintf(f,
                "{\"type\":\"event\",\"event\":\"send\",\"time\":\"2026-01-01T00:00:00.%03zuZ\","
                "\"queue\":\"%s\",\"priority\":%u,\"text\":\"%.*s\"}\n",
                i, q->name, q->messages[i].priority, (int)q->messages[i].length,
                q->messages[i].data);
    must(pclose(f), "seal");
}

static void kill_replay(unsigned int kills)
{
    static struct queue q[QUEUES], none, want;
    const char *argv[] = {"ipcbox", "mqdump", "replay", file, NULL};
    uint64_t span = 0;

    fixed_queues(q, 0);
    none = q[0];
    none.n = 0;
    for (size_t i = 0; i < q[0].n; i++)
        memset(q[0].messages[i].data, (int)('a' + i), q[0].messages[i].length);
    write_traffic(&q[0]);
    for (unsigned int k = 0; k < kills;) {
        make_queue(&none);
        if (!span)
            span = measure(argv);
        else
            k += run_and_kill(argv, span);
        want = none;
        append(&want, &q[0], depth(none.name));
        if (differs(&want))
            die(differs(&want), "after a killed replay");
        mq_unlink(none.name);
        must(RUN("verify", file), "verify");
    }
}

/* ---- checkpoints ---- */

/* This process plays the frozen tree; in the place of criu stands true(1). */
static void kill_criu(unsigned int kills)
{
    static struct queue q[QUEUES];
    const char *action[] = {"ipcbox", "mqdump", "criu", "action", NULL};
    const char *restore[] = {"ipcbox", "mqdump", "criu", "restore", "-D",
                             dir,      "--criu", "true", NULL};
    char pid[24];
    uint64_t span;
    mqd_t fd[QUEUES];

    fixed_queues(q, 0);
    for (unsigned int i = 0; i < QUEUES; i++) {
        make_queue(&q[i]);
        fd[i] = mq_open(q[i].name, O_RDWR);
    }
    snprintf(pid, sizeof(pid), "%d", getpid());
    snprintf(file, sizeof(file), "%s/mqueues.dump", dir);
    setenv("CRTOOLS_SCRIPT_ACTION", "post-dump", 1);
    setenv("CRTOOLS_IMAGE_DIR", dir, 1);
    setenv("CRTOOLS_INIT_PID", pid, 1);
    span = measure(action);
    for (unsigned int k = 0; k < kills / 2;) {
        unlink(file);
        k += run_and_kill(action, span);
        if (access(file, F_OK) == 0 && RUN("verify", file) != 0)
            die("half a file", file);
        check_no_half_file();
    }
    must(run(action), "criu action");
    for (unsigned int i = 0; i < QUEUES; i++)
        mq_close(fd[i]);
    unlink_all(q);
    span = measure(restore);
    unlink_all(q);
    for (unsigned int k = 0; k < kills - kills / 2;) {
        k += run_and_kill(restore, span);
        check_no_half(q);
        must(RUN("restore", "--recover"), "restore --recover");
        /* What was whole is kept as it is, the rest is made. */
        must(run(restore), "criu restore");
        for (unsigned int i = 0; i < QUEUES; i++)
            if (differs(&q[i]))
                die("differs", "after criu restore");
        unlink_all(q);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(unsigned int n);
    } modes[] = {{"rounds", do_rounds},          {"kill-save", kill_save},
                 {"kill-restore", kill_restore}, {"kill-replace", kill_replace},
                 {"kill-append", kill_append},   {"kill-seal", kill_seal},
                 {"kill-record", kill_record},   {"kill-replay", kill_replay},
                 {"kill-criu", kill_criu}};

    if (argc != 6)
        return 2;
    ipcbox = argv[2];
    dir = argv[3];
    rng = strtoull(argv[5], NULL, 0);
    snprintf(file, sizeof(file), "%s/storm.dump", dir);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(argv[1], modes[i].name) == 0) {
            modes[i].run((unsigned int)atoi(argv[4]));
            if (!strncmp(argv[1], "kill", 4))
                printf("%s killed\n", argv[4]);
            return 0;
        }
    }
    return 2;
}
