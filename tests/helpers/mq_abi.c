/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program written for the three proposed ways to peek at a message queue, with raw system calls:
 * it checks every rule and every error that they promise, in order.
 *
 *     mq_abi [NUMBER]    the number of mq_timedreceive2, 548 by default
 *
 * Prints what failed; exit status 0 when everything is as promised.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct receive2_args {
    size_t msg_len;
    unsigned int *msg_prio;
    char *msg_ptr;
};

struct peek_attr {
    int32_t offset;
    uint32_t msg_prio;
    size_t buf_len;
    char *buf;
};

struct bulk_args {
    uint32_t start_idx, start_offset, max_count, reserved_in;
    uint64_t buf_ptr, buf_size;
    uint32_t out_count, next_idx, next_offset, reserved_out;
};

struct bulk_hdr {
    uint32_t total_msg_len, chunk_len, msg_prio, flags;
};

#define PEEK      2
#define F_PEEK    1041
#define BULK_PEEK _IOWR('M', 1, struct bulk_args)

/* The kernel does not look at the upper half of a register that holds an int. */
#define JUNK 0xdeadbeef00000000

enum { SIZE = 128, MAX = 8 };

static long number = 548;
static int failures, checks;
static char *bad; /* an address that is not there */

static void expect(int line, const char *what, long got, long want)
{
    checks++;
    if (got == want)
        return;
    failures++;
    printf("line %d: %s: %ld, not %ld\n", line, what, got, want);
}

#define EXPECT(call, want) expect(__LINE__, #call, (call), (want))

static long receive2(mqd_t q, void *args, unsigned int flags, unsigned long index, void *timeout)
{
    long n = syscall(number, JUNK | (uint32_t)q, args, JUNK | flags, index, timeout);

    return n < 0 ? -errno : n;
}

static long peek(mqd_t q, unsigned long index, char *buf, unsigned int *prio)
{
    struct receive2_args args = {SIZE, prio, buf};

    return receive2(q, &args, PEEK, index, NULL);
}

static void check_receive2(mqd_t q, mqd_t empty, mqd_t wo)
{
    static const struct {
        unsigned int prio;
        const char *text;
    } want[] = {{9, "nine a"}, {9, "nine b"}, {1, "one"}, {0, ""}};
    struct timespec late = {0, 0}, wrong = {0, 1000000000};
    unsigned int prio = 77;
    char buf[SIZE];
    struct receive2_args small = {SIZE - 1, &prio, buf}, good = {SIZE, &prio, buf};
    struct receive2_args no_buf = {SIZE, &prio, bad}, no_prio = {SIZE, NULL, buf};
    int devnull = open("/dev/null", O_RDONLY);

    for (unsigned long i = 0; i < 4; i++) {
        EXPECT(peek(q, i, buf, &prio), (long)strlen(want[i].text));
        EXPECT(prio, want[i].prio);
        EXPECT(memcmp(buf, want[i].text, strlen(want[i].text)), 0);
    }
    prio = 77;
    /* Each call below has the next error of the order as well. */
    EXPECT(receive2(-1, bad, PEEK, 0, &wrong), -EFAULT);
    EXPECT(receive2(-1, &small, PEEK, 0, &wrong), -EINVAL);
    EXPECT(receive2(-1, &small, PEEK, 0, bad), -EFAULT);
    EXPECT(receive2(-1, &small, PEEK, 0, &late), -EBADF);
    EXPECT(receive2(devnull, &small, PEEK, 0, NULL), -EBADF);
    EXPECT(receive2(wo, &small, PEEK, MAX, NULL), -EBADF);
    EXPECT(receive2(empty, &small, PEEK, MAX, NULL), -EMSGSIZE);
    EXPECT(receive2(empty, &good, PEEK, MAX, NULL), -ENOENT);
    EXPECT(receive2(empty, &good, PEEK, 0, NULL), -EAGAIN);
    EXPECT(receive2(q, &good, PEEK, 4, NULL), -ENOENT);
    EXPECT(prio, 77);
    EXPECT(receive2(q, &no_buf, PEEK, 0, NULL), -EFAULT);
    EXPECT(prio, 9);
    EXPECT(receive2(q, &no_prio, PEEK, 2, NULL), 3);
    EXPECT(receive2(q, &good, PEEK, 0, &late), 6);
    close(devnull);
}

static void check_fcntl(mqd_t q, mqd_t empty)
{
    char buf[SIZE];
    struct peek_attr a = {.offset = 2, .buf_len = SIZE, .buf = buf};

    EXPECT(syscall(SYS_fcntl, q, JUNK | F_PEEK, &a), 3);
    a.msg_prio = 99;
    EXPECT(fcntl(q, F_PEEK, &a), 3);
    EXPECT(a.msg_prio, 1);
    EXPECT(memcmp(buf, "one", 3), 0);
    a = (struct peek_attr){.offset = 1, .buf_len = 4, .buf = buf};
    EXPECT(fcntl(q, F_PEEK, &a), 4);
    EXPECT(memcmp(buf, "nine", 4), 0);
    a.offset = 4;
    EXPECT(fcntl(q, F_PEEK, &a) < 0 ? errno : 0, ENOMSG);
    a.offset = 0;
    EXPECT(fcntl(empty, F_PEEK, &a) < 0 ? errno : 0, ENOMSG);
    a.offset = -1;
    EXPECT(fcntl(q, F_PEEK, &a) < 0, 1);
    a.offset = 0;
    a.buf = bad;
    EXPECT(fcntl(q, F_PEEK, &a) < 0 ? errno : 0, EFAULT);
    EXPECT(fcntl(q, F_PEEK, bad) < 0 ? errno : 0, EFAULT);
}

/* All of it in pieces of @size bytes of buffer, put together again. */
static void check_bulk_size(mqd_t q, size_t size)
{
    static const char *const want[] = {"nine a", "nine b", "one", ""};
    char buf[512], message[SIZE];
    struct bulk_args a = {.max_count = 100, .buf_ptr = (uintptr_t)buf, .buf_size = size};
    unsigned int done = 0;
    size_t have = 0;

    for (int rounds = 0; rounds < 100 && done < 4; rounds++) {
        char *p = buf;

        EXPECT(ioctl(q, BULK_PEEK, &a), 0);
        if (!a.out_count)
            break;
        for (uint32_t i = 0; i < a.out_count; i++) {
            struct bulk_hdr h;

            memcpy(&h, p, sizeof(h));
            memcpy(message + have, p + sizeof(h), h.chunk_len);
            have += h.chunk_len;
            p += (sizeof(h) + h.chunk_len + 7) & ~7ul;
            EXPECT(h.total_msg_len, (long)strlen(want[done]));
            EXPECT((h.flags & 1) != 0, have < h.total_msg_len);
            if (h.flags & 1)
                continue;
            EXPECT((long)have, (long)strlen(want[done]));
            EXPECT(memcmp(message, want[done], have), 0);
            done++;
            have = 0;
        }
        a.start_idx = a.next_idx;
        a.start_offset = a.next_offset;
    }
    EXPECT(done, 4);
}

static void check_bulk(mqd_t q, mqd_t empty)
{
    struct bulk_args a = {.max_count = 1, .buf_ptr = (uintptr_t)bad, .buf_size = 512};
    char buf[512];
    int devnull = open("/dev/null", O_RDONLY);

    for (size_t size = 17; size < 140; size += 3)
        check_bulk_size(q, size);
    EXPECT(ioctl(q, BULK_PEEK, bad) < 0 ? errno : 0, EFAULT);
    EXPECT(ioctl(q, BULK_PEEK, &a) < 0 ? errno : 0, EFAULT);
    a.buf_ptr = (uintptr_t)buf;
    EXPECT(ioctl(q, BULK_PEEK, &a), 0);
    EXPECT(a.out_count, 1);
    EXPECT(a.next_idx, 1);
    EXPECT(a.next_offset, 0);
    /* A request that was kept in an int, as musl keeps it, arrives with its sign. */
    EXPECT(syscall(SYS_ioctl, q, (long)(int)BULK_PEEK, &a), 0);
    EXPECT(a.out_count, 1);
    a.start_idx = 4;
    EXPECT(ioctl(q, BULK_PEEK, &a), 0);
    EXPECT(a.out_count, 0);
    a.start_idx = 0;
    EXPECT(ioctl(empty, BULK_PEEK, &a), 0);
    EXPECT(a.out_count, 0);
    EXPECT(ioctl(devnull, BULK_PEEK, &a) < 0 ? errno : 0, ENOTTY);
    close(devnull);
}

static void *send_later(void *argp)
{
    mqd_t q = *(mqd_t *)argp;
    struct timespec wait = {0, 200000000};

    nanosleep(&wait, NULL);
    mq_send(q, "late", 4, 3);
    return NULL;
}

static void on_alarm(int sig)
{
    (void)sig;
}

/* Without MQ_PEEK: it takes, it waits, it gives up in time. */
static void check_consume(mqd_t q, mqd_t empty)
{
    struct sigaction sa = {.sa_handler = on_alarm};
    char buf[SIZE];
    unsigned int prio;
    struct receive2_args args = {SIZE, &prio, buf};
    struct timespec soon;
    struct mq_attr attr;
    pthread_t t;

    EXPECT(receive2(q, &args, 0, 99, NULL), 6);
    EXPECT(prio, 9);
    mq_getattr(q, &attr);
    EXPECT(attr.mq_curmsgs, 3);
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 50000000;
    soon.tv_sec += soon.tv_nsec / 1000000000;
    soon.tv_nsec %= 1000000000;
    EXPECT(receive2(empty, &args, 0, 0, &soon), -ETIMEDOUT);
    pthread_create(&t, NULL, send_later, &empty);
    EXPECT(receive2(empty, &args, 0, 0, NULL), 4);
    EXPECT(prio, 3);
    pthread_join(t, NULL);
    sigaction(SIGALRM, &sa, NULL);
    alarm(1);
    EXPECT(receive2(empty, &args, 0, 0, NULL), -EINTR);
    mq_getattr(empty, &attr);
    attr.mq_flags = O_NONBLOCK;
    mq_setattr(empty, &attr, NULL);
    EXPECT(receive2(empty, &args, 0, 0, NULL), -EAGAIN);
}

int main(int argc, char **argv)
{
    struct mq_attr attr = {.mq_maxmsg = MAX, .mq_msgsize = SIZE};
    char name[2][32];
    mqd_t q[2], wo;
    struct mq_attr now;

    if (argc > 1)
        number = strtol(argv[1], NULL, 10);
    bad = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 2; i++) {
        snprintf(name[i], sizeof(name[i]), "/mq_abi-%d-%d", getpid(), i);
        q[i] = mq_open(name[i], O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
        if (q[i] < 0) {
            perror("mq_open");
            return 1;
        }
    }
    wo = mq_open(name[0], O_WRONLY);
    mq_send(q[0], "one", 3, 1);
    mq_send(q[0], "nine a", 6, 9);
    mq_send(q[0], "", 0, 0);
    mq_send(q[0], "nine b", 6, 9);
    check_receive2(q[0], q[1], wo);
    check_fcntl(q[0], q[1]);
    check_bulk(q[0], q[1]);
    mq_getattr(q[0], &now);
    EXPECT(now.mq_curmsgs, 4); /* nobody took anything so far */
    check_consume(q[0], q[1]);
    mq_unlink(name[0]);
    mq_unlink(name[1]);
    printf("%d checks, %d failed\n", checks, failures);
    return failures != 0;
}
