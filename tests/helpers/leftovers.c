/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a test so that no process of it outlives it.
 *
 *     leftovers COMMAND [ARGUMENT...]
 *
 * Whatever loses its parent below COMMAND becomes a child of this program. What is still there some
 * seconds after COMMAND has ended is named and killed. The exit status is COMMAND's, or 1 when it
 * was 0 and something was left.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What was told to end as the last thing of a test may take so long on a busy machine. */
enum { PATIENCE_MS = 20000, STEP_MS = 20 };

static pid_t parent_of(pid_t pid)
{
    char path[32], text[256];
    int parent = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    f = fopen(path, "re");
    if (!f)
        return 0;
    if (fgets(text, sizeof(text), f)) {
        const char *end = strrchr(text, ')');

        if (!end || sscanf(end, ") %*c %d", &parent) != 1)
            parent = 0;
    }
    fclose(f);
    return parent;
}

static void each_child(void (*what)(pid_t pid))
{
    DIR *proc = opendir("/proc");
    const struct dirent *e;

    while (proc && (e = readdir(proc))) {
        pid_t pid = (pid_t)atoi(e->d_name);

        if (pid > 0 && parent_of(pid) == getpid())
            what(pid);
    }
    if (proc)
        closedir(proc);
}

static void name_and_kill(pid_t pid)
{
    char path[32], text[256];
    size_t n = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    f = fopen(path, "re");
    if (f) {
        n = fread(text, 1, sizeof(text) - 1, f);
        fclose(f);
    }
    for (size_t i = 0; i < n; i++)
        if (text[i] < ' ' || text[i] > '~')
            text[i] = ' ';
    text[n] = '\0';
    if (n) /* else it has ended already */
        printf("# left behind by the test: %d %s\n", pid, text);
    kill(pid, SIGKILL);
}

/* Waits until all children have ended. Return: whether they did within @ms. */
static int all_ended(int ms)
{
    const struct timespec step = {0, STEP_MS * 1000000L};

    for (int waited = 0; waited <= ms; waited += STEP_MS) {
        pid_t pid;

        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
            ;
        if (pid < 0 && errno == ECHILD)
            return 1;
        nanosleep(&step, NULL);
    }
    return 0;
}

int main(int argc, char **argv)
{
    int status = 0, left;
    pid_t child, pid;

    if (argc < 2) {
        fprintf(stderr, "usage: leftovers COMMAND [ARGUMENT...]\n");
        return 2;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
        execvp(argv[1], argv + 1);
        perror(argv[1]);
        _exit(127);
    }
    while ((pid = waitpid(-1, &status, 0)) != child)
        if (pid < 0 && errno != EINTR)
            return 125;
    left = !all_ended(PATIENCE_MS);
    if (left)
        do
            each_child(name_and_kill);
        while (!all_ended(STEP_MS)); /* those that lost their parents just now come next */
    fflush(stdout);
    if (WIFSIGNALED(status)) {
        signal(WTERMSIG(status), SIG_DFL);
        raise(WTERMSIG(status));
    }
    return WEXITSTATUS(status) ? WEXITSTATUS(status) : left;
}
