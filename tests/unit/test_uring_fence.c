/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Channels where membarrier() is not to be had: senders do their own fences. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chan_handle.h"
#include "chantest.h"
#include "check.h"
#include "timefmt.h"

static char dir[64];
static struct chan_ref ref;

static struct chan *open_it(unsigned int access)
{
    struct err e = ERR_INIT;
    struct chan *c = NULL;
    int r = chan_open(dir, &ref, access, &c, &e);

    if (r < 0) {
        fprintf(stderr, "cannot open the channel: %s\n", err_text(&e, r));
        exit(1);
    }
    return c;
}

/* From now on membarrier() fails in this process. */
static int forbid_membarrier(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0 ? -errno : 0;
}

/* Sends and receives without it; ends the process. */
static void without(void)
{
    struct chan_got got;
    struct chan *c;
    char buf[16];

    CHECK_INT(forbid_membarrier(), 0);
    c = open_it(CHAN_SEND);
    CHECK(c->fence);
    c = open_it(CHAN_RECV);
    CHECK_INT(c->ctl->fences, 1);
    CHECK_INT(chan_recv(c, buf, sizeof(buf), &got, 10 * NSEC_PER_SEC), 0);
    _exit(check_failed);
}

int main(void)
{
    struct chan_conf conf = {.delivery = CHAN_UNICAST, .entries = 4, .max_msg = 16, .mode = 0600};
    int status = -1;
    struct chan *s;
    pid_t pid;

    chantest_dir(dir);
    CHECK_INT(chan_create(dir, &conf, &ref.id, NULL), 0);
    s = open_it(CHAN_SEND);
    CHECK_INT(s->ctl->fences, 0);
    pid = fork();
    if (pid == 0)
        without();
    for (int i = 0; i < 5000 && !__atomic_load_n(&s->ctl->rbits, __ATOMIC_ACQUIRE); i++)
        usleep(1000);
    CHECK_INT(s->ctl->fences, 1);
    CHECK_INT(chan_send(s, "wake up", 7, 0, 0, 0), 0);
    CHECK_INT(waitpid(pid, &status, 0), pid);
    CHECK_INT(status, 0);
    chan_close(s);
    CHECK_INT(chan_destroy(dir, &ref, NULL), 0);
    chantest_dir_done(dir);
    return check_done();
}
