/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sockets and pipes: what needs no real ones. */
#include <errno.h>

#include "check.h"
#include "fdq.h"
#include "macros.h"

static void test_targets(void)
{
    static const struct {
        const char *text;
        int r;
        enum fdq_target_kind kind;
        pid_t pid;
        int fd;
        uint64_t inode;
    } cases[] = {
        {"12:0", 0, FDQ_TARGET_FD, 12, 0, 0},
        {"12:345", 0, FDQ_TARGET_FD, 12, 345, 0},
        {"12", 0, FDQ_TARGET_PID, 12, 0, 0},
        {"/run/x", 0, FDQ_TARGET_PATH, 0, 0, 0},
        {"@x", 0, FDQ_TARGET_NAME, 0, 0, 0},
        {"socket:[7]", 0, FDQ_TARGET_SOCKET, 0, 0, 7},
        {"pipe:[18446744073709551615]", 0, FDQ_TARGET_PIPE, 0, 0, UINT64_MAX},
        {"", -EINVAL, 0, 0, 0, 0},
        {"@", -EINVAL, 0, 0, 0, 0},
        {"0:1", -EINVAL, 0, 0, 0, 0},
        {"12:", -EINVAL, 0, 0, 0, 0},
        {"12:01", -EINVAL, 0, 0, 0, 0},
        {"12:-1", -EINVAL, 0, 0, 0, 0},
        {"12:2147483648", -EINVAL, 0, 0, 0, 0},
        {"99999999999:1", -EINVAL, 0, 0, 0, 0},
        {"pipe:[18446744073709551616]", -EINVAL, 0, 0, 0, 0},
        {"pipe:[7", -EINVAL, 0, 0, 0, 0},
        {"name", -EINVAL, 0, 0, 0, 0},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fdq_target t = {0};

        CHECK_INT(fdq_target_parse(cases[i].text, &t, NULL), cases[i].r);
        if (cases[i].r)
            continue;
        CHECK_INT(t.kind, cases[i].kind);
        CHECK_INT(t.pid, cases[i].pid);
        CHECK_INT(t.fd, cases[i].fd);
        CHECK(t.inode == cases[i].inode);
    }
}

static void test_names(void)
{
    struct fdq_holder h = {.pid = 12, .fd = 3};
    struct fdq_queue q = {.kind = FDQ_PIPE, .inode = 99};
    char text[FDQ_TARGET_SIZE];

    fdq_target_of(&q, text);
    CHECK_STR(text, "pipe:[99]");
    q.writers = (struct fdq_holders){&h, 1};
    fdq_target_of(&q, text);
    CHECK_STR(text, "12:3");
    /* The other end's descriptor names another queue. */
    q.kind = FDQ_STREAM;
    fdq_target_of(&q, text);
    CHECK_STR(text, "socket:[99]");
    CHECK_STR(fdq_kind_name(FDQ_SEQPACKET), "seqpacket");
}

static void test_find(void)
{
    struct fdq_queue v[] = {{.inode = 5}, {.inode = 9}, {.dev = 1, .inode = 5}, {.dev = 2}};
    struct fdq_set s = {.v = v, .n = ARRAY_SIZE(v)};

    for (size_t i = 0; i < s.n; i++)
        CHECK(fdq_set_find(&s, v[i].dev, v[i].inode) == &v[i]);
    CHECK(!fdq_set_find(&s, 0, 6));
    CHECK(!fdq_set_find(&s, 3, 0));
    s.n = 0;
    CHECK(!fdq_set_find(&s, 0, 5));
}

int main(void)
{
    test_targets();
    test_names();
    test_find();
    return check_done();
}
