/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process tree to be checkpointed.
 *
 *     criutree A B DIR     makes queue A (five messages of mixed priorities), B (empty) and a queue
 *                          without a name, and three processes in a session of their own: the first
 *                          holds all of them; a child shares its descriptor of A; another one is
 *                          blocked in mq_receive() on B. Writes its pid to DIR/ready. When DIR/go
 * appears the child receives all of A into DIR/drained; what comes through B goes to DIR/received;
 * then the first receives the nameless queue's message into DIR/nameless. criutree -r CMD…     runs
 * CMD and reaps whatever it leaves behind, as init would
 */
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 32 };

static void must(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static int reap(char **argv)
{
    int status = 0, other;
    pid_t pid;

    must(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0, "subreaper");
    pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    while (wait(&other) > 0)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static mqd_t make(const char *name)
{
    struct mq_attr attr = {.mq_maxmsg = 6, .mq_msgsize = SIZE};
    mqd_t q = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &attr);

    must(q >= 0, name);
    return q;
}

/* Receives @n messages into a file that appears whole. */
static void drain(mqd_t q, int n, const char *path)
{
    char tmp[4096], data[SIZE + 1];
    unsigned int priority;
    FILE *f;

    snprintf(tmp, sizeof(tmp), "%s.tmp", path);
    f = fopen(tmp, "w");
    must(f != NULL, tmp);
    while (n-- > 0) {
        ssize_t len = mq_receive(q, data, SIZE, &priority);

        must(len >= 0, "mq_receive");
        fprintf(f, "%u:%.*s\n", priority, (int)len, data);
    }
    fclose(f);
    must(rename(tmp, path) == 0, path);
}

int main(int argc, char **argv)
{
    static const struct {
        unsigned int priority;
        const char *text;
    } messages[] = {{1, "low"}, {9, "high"}, {9, "high too"}, {0, ""}, {5, "middle"}};
    char nameless[64];
    mqd_t a, b, c;
    FILE *ready;
    int null;

    if (argc > 2 && strcmp(argv[1], "-r") == 0)
        return reap(argv + 2);
    if (argc != 4 || chdir(argv[3]) < 0)
        return 2;
    /* What whoever runs the tests has open, a log that grows for one, cannot be restored. */
    close_range(3, ~0U, 0);
    a = make(argv[1]);
    b = make(argv[2]);
    snprintf(nameless, sizeof(nameless), "/criutree-%d", getpid());
    c = make(nameless);
    mq_unlink(nameless);
    must(mq_send(c, "nobody knows", 12, 3) == 0, "mq_send");
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
        must(mq_send(a, messages[i].text, strlen(messages[i].text), messages[i].priority) == 0,
             "mq_send");
    null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(null, fd);
    close(null);
    setsid();
    if (fork() == 0) {
        while (access("go", F_OK) < 0)
            usleep(20000);
        drain(a, 5, "drained");
        _exit(0);
    }
    if (fork() == 0) {
        drain(b, 1, "received");
        _exit(0);
    }
    ready = fopen("ready.tmp", "w");
    must(ready != NULL, "ready");
    fprintf(ready, "%d\n", getpid());
    fclose(ready);
    must(rename("ready.tmp", "ready") == 0, "ready");
    while (wait(NULL) > 0)
        ;
    drain(c, 1, "nameless");
    return 0;
}
