/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls on a System V queue as programs of several kinds make them:
 *
 *     sysvcalls ID 64            this program's own
 *     sysvcalls ID 32 | ipc      those of 32-bit programs, through int 0x80: numbers of their own,
 * or ipc(2), in both its forms sysvcalls ID storm COUNT   so many numbered messages through the
 * queue, from a sender to a receiver, which tells "wrong N"
 *
 * The calls are: send type 7 "first", look at it (MSG_COPY), fail to receive, receive it, send type
 * 8 "second", receive two bytes of it (MSG_NOERROR), set the limit to 5000, and a receive that
 * waits for type 9 "late". Exit status 77 where the kernel has no such entry.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

static struct {
    long type;
    char text[64];
} m;

static int id;

static int storm(unsigned long count)
{
    unsigned long wrong = 0, number;
    pid_t sender = fork();

    if (sender == 0) {
        for (unsigned long i = 0; i < count; i++) {
            m.type = (long)(i % 5 + 1);
            memcpy(m.text, &i, sizeof(i));
            if (msgsnd(id, &m, sizeof(i), 0) < 0)
                _exit(1);
        }
        _exit(0);
    }
    for (unsigned long i = 0; i < count; i++) {
        if (msgrcv(id, &m, sizeof(m.text), 0, 0) != sizeof(i))
            return 1;
        memcpy(&number, m.text, sizeof(number));
        wrong += number != i || m.type != (long)(i % 5 + 1);
    }
    printf("wrong %lu\n", wrong);
    return waitpid(sender, NULL, 0) != sender;
}

static int send_64(long type, const char *text)
{
    m.type = type;
    memcpy(m.text, text, strlen(text));
    return msgsnd(id, &m, strlen(text), 0);
}

static int set_64(unsigned long limit)
{
    struct msqid_ds ds;

    if (msgctl(id, IPC_STAT, &ds) < 0)
        return -1;
    ds.msg_qbytes = limit;
    return msgctl(id, IPC_SET, &ds);
}

/* In another process: it waits until the message is there. */
static pid_t late(int (*receive)(long type, size_t room, int flags))
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(receive(9, 64, 0) != 4);
    return pid;
}

static int receive_64(long type, size_t room, int flags)
{
    return (int)msgrcv(id, &m, room, type, flags);
}

/* Until the process sleeps: then only the message is missing. */
static void wait_for_sleep(pid_t pid)
{
    char path[64], state = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    while (state != 'S') {
        FILE *f = fopen(path, "r");

        if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
            state = 'S';
        if (f)
            fclose(f);
        usleep(1000);
    }
}

static void must(const char *what, int ok)
{
    if (ok)
        return;
    fprintf(stderr, "%s: failed\n", what);
    exit(1);
}

static int calls(int (*send)(long, const char *), int (*receive)(long, size_t, int),
                 int (*set)(unsigned long))
{
    int status = 1;
    pid_t pid;

    must("send 7", send(7, "first") >= 0);
    must("look", receive(0, 64, MSG_COPY | IPC_NOWAIT) == 5);
    must("receive 6", receive(6, 64, IPC_NOWAIT) == -1);
    must("receive 7", receive(7, 64, 0) == 5);
    must("send 8", send(8, "second") >= 0);
    must("receive 8", receive(-20, 2, MSG_NOERROR) == 2);
    must("set", set(5000) >= 0);
    pid = late(receive);
    wait_for_sleep(pid);
    must("send 9", send(9, "late") >= 0);
    must("receive 9", waitpid(pid, &status, 0) == pid && status == 0);
    return 0;
}

#if defined(__x86_64__)
static char *low; /* memory below 4 GiB */
static int through_ipc;
static int form; /* of ipc()'s msgrcv(): each is used in turn */

enum { MSGSND_32 = 400, MSGRCV_32, MSGCTL_32, IPC_32 = 117 };
enum { IPC_MSGSND = 11, IPC_MSGRCV, IPC_MSGCTL = 14, IPC_64 = 0x100 };

static int call_32(long nr, long a, long b, long c, long d, long e, long f)
{
    register long sixth __asm__("r8") = f;
    long ret;

    /* What the compiler keeps below the stack's end stays as it is. */
    __asm__ volatile(
        "lea -128(%%rsp), %%rsp; push %%rbp; mov %[sixth], %%rbp; int $0x80; pop %%rbp; "
        "lea 128(%%rsp), %%rsp"
        : "=a"(ret), [sixth] "+r"(sixth)
        : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
        : "memory", "r9", "r10", "r11");
    return (int)ret < 0 ? -1 : (int)ret;
}

static int send_32(long type, const char *text)
{
    long n = (long)strlen(text);

    *(int *)(void *)low = (int)type;
    memcpy(low + 4, text, (size_t)n);
    if (through_ipc)
        return call_32(IPC_32, IPC_MSGSND, id, n, 0, (long)low, 0);
    return call_32(MSGSND_32, id, (long)low, n, 0, 0, 0);
}

static int receive_32(long type, size_t room, int flags)
{
    int *old = (int *)(void *)(low + 1024);

    if (!through_ipc)
        return call_32(MSGRCV_32, id, (long)low, (long)room, type, flags, 0);
    form = !form;
    if (form)
        return call_32(IPC_32, IPC_MSGRCV | 1 << 16, id, (long)room, flags, (long)low, type);
    old[0] = (int)(long)low;
    old[1] = (int)type;
    return call_32(IPC_32, IPC_MSGRCV, id, (long)room, flags, (long)old, 0);
}

/* struct msqid64_ds of 32 bits: the permissions are 36 bytes, msg_qbytes is the eleventh word
 * behind them. */
static int set_32(unsigned long limit)
{
    int *ds = (int *)(void *)(low + 2048);
    int command = through_ipc ? IPC_STAT | IPC_64 : IPC_STAT;

    for (int i = 0; i < 2; i++, command = through_ipc ? IPC_SET | IPC_64 : IPC_SET) {
        int r = through_ipc ? call_32(IPC_32, IPC_MSGCTL, id, command, 0, (long)ds, 0)
                            : call_32(MSGCTL_32, id, command, (long)ds, 0, 0, 0);

        if (r < 0)
            return -1;
        ds[17] = (int)limit;
    }
    return 0;
}

static void absent(int sig)
{
    (void)sig;
    _exit(77);
}

static int calls_32(void)
{
    low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (low == MAP_FAILED)
        return 2;
    signal(SIGSEGV, absent);
    return calls(send_32, receive_32, set_32);
}
#endif

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[2] : "";

    if (argc < 3)
        return 2;
    id = atoi(argv[1]);
    if (!strcmp(what, "storm"))
        return storm(argc > 3 ? strtoul(argv[3], NULL, 10) : 1000);
    if (!strcmp(what, "64"))
        return calls(send_64, receive_64, set_64);
#if defined(__x86_64__)
    through_ipc = !strcmp(what, "ipc");
    return calls_32();
#else
    return 77;
#endif
}
