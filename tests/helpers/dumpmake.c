/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Large dumps, and what reading them takes.
 *
 *     dumpmake FILE MIB      a dump of queues of about so many MiB, made from nothing
 *     dumpmake -m CMD…       runs CMD and prints its peak of resident memory, KiB, on stderr
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dump.h"

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static int make_file(const char *path, uint64_t mib)
{
    FILE *f = fopen(path, "w");
    struct dump_writer *w;
    char payload[4096];
    uint64_t written = 0;
    unsigned int rng = 1;

    if (!f || dump_writer_new(f, "queues", "bench", NULL, &w) < 0)
        die(path);
    for (unsigned int q = 0; written < mib << 20; q++) {
        char name[32];

        snprintf(name, sizeof(name), "/bench-dump-%u", q);
        dump_begin(w, "queue");
        dump_put_str(w, "name", name);
        dump_put_u64(w, "maxmsg", 65536);
        dump_put_u64(w, "msgsize", sizeof(payload));
        dump_put_mode(w, "mode", 0600);
        dump_put_u64(w, "uid", geteuid());
        dump_put_u64(w, "gid", getegid());
        dump_end(w);
        for (unsigned int m = 0; m < 65536 && written < mib << 20; m++) {
            size_t n;

            rng = rng * 1103515245 + 12345;
            n = rng >> 8 & (m & 1 ? 127 : sizeof(payload) - 1);
            for (size_t i = 0; i < n; i++)
                payload[i] = (char)(m & 1 ? 'a' + (int)((i + m) % 26) : (int)(i * rng >> 7));
            dump_begin(w, "message");
            dump_put_str(w, "queue", name);
            dump_put_u64(w, "priority", m & 7);
            dump_put_payload(w, payload, n, n);
            dump_end(w);
            written += n * 3 / 2 + 100;
        }
    }
    if (dump_writer_finish(w) < 0 || fclose(f) != 0)
        die(path);
    dump_writer_free(w);
    return 0;
}

static int measure(char **argv)
{
    struct rusage usage;
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    if (wait4(pid, &status, 0, &usage) != pid)
        die("wait4");
    fprintf(stderr, "%ld\n", usage.ru_maxrss);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    if (argc > 2 && !strcmp(argv[1], "-m"))
        return measure(argv + 2);
    if (argc == 3)
        return make_file(argv[1], strtoull(argv[2], NULL, 10));
    return 2;
}
