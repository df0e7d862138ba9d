/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One request and its answers. A netlink socket belongs to the namespace in which it was opened. */
#include "diag.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "macros.h"
#include "netlink.h"

enum { DATA_SIZE = 64 * 1024 };

static void attribute(const struct nlattr *a, struct diag_socket *s)
{
    size_t len = a->nla_len - sizeof(*a);
    const void *data = a + 1;

    switch (a->nla_type & NLA_TYPE_MASK) {
    case UNIX_DIAG_NAME:
        s->name = data;
        s->name_len = len;
        break;
    case UNIX_DIAG_VFS:
        if (len >= sizeof(struct unix_diag_vfs)) {
            s->vfs_inode = ((const struct unix_diag_vfs *)data)->udiag_vfs_ino;
            s->vfs_dev = ((const struct unix_diag_vfs *)data)->udiag_vfs_dev;
        }
        break;
    case UNIX_DIAG_PEER:
        if (len >= sizeof(uint32_t))
            s->peer = *(const uint32_t *)data;
        break;
    case UNIX_DIAG_ICONS:
        s->clients = data;
        s->n_clients = len / sizeof(uint32_t);
        break;
    case UNIX_DIAG_RQLEN:
        if (len >= sizeof(struct unix_diag_rqlen))
            s->rqueue = ((const struct unix_diag_rqlen *)data)->udiag_rqueue;
        break;
    default:
        break;
    }
}

static int one(const struct nlmsghdr *h, diag_fn visit, void *ctx)
{
    size_t len;
    const struct unix_diag_msg *m = netlink_payload(h, &len);
    struct netlink_walk attributes = netlink_attributes(h, sizeof(*m));
    const struct nlattr *a;
    struct diag_socket s;

    if (len < sizeof(*m))
        return 0;
    s = (struct diag_socket){
        .type = m->udiag_type,
        .state = m->udiag_state,
        .inode = m->udiag_ino,
    };
    while ((a = netlink_attribute(&attributes)))
        attribute(a, &s);
    return visit(&s, ctx);
}

static int ask(int fd)
{
    struct {
        struct nlmsghdr h;
        struct unix_diag_req req;
    } m = {
        .h.nlmsg_len = sizeof(m),
        .h.nlmsg_type = SOCK_DIAG_BY_FAMILY,
        .h.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
        .req.sdiag_family = AF_UNIX,
        .req.udiag_states = UINT32_MAX,
        .req.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER | UDIAG_SHOW_ICONS |
                          UDIAG_SHOW_RQLEN,
    };

    return netlink_send(fd, &m.h);
}

/* How the kernel ended its answers: it says 0 or an error. */
static int last_word(const struct nlmsghdr *h)
{
    size_t len;
    const int32_t *error = netlink_payload(h, &len);

    return len >= sizeof(*error) && *error < 0 ? *error : 0;
}

/* Return: 0, what @visit ended with, or -errno, which goes into @failed, too. */
static int read_answers(int fd, diag_fn visit, void *ctx, int *failed)
{
    _cleanup_(freep) char *data = malloc(DATA_SIZE);
    const struct nlmsghdr *h;

    if (!data)
        return *failed = -ENOMEM;
    for (;;) {
        ssize_t n = netlink_receive(fd, data, DATA_SIZE, 0);
        struct netlink_walk messages = {data, n < 0 ? 0 : (size_t)n};

        if (n < 0)
            return *failed = (int)n;
        while ((h = netlink_message(&messages))) {
            int r;

            if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
                return *failed = last_word(h);
            r = h->nlmsg_type == SOCK_DIAG_BY_FAMILY ? one(h, visit, ctx) : 0;
            if (r)
                return r;
        }
    }
}

/* Return: a socket or -errno. The thread is back where it was. */
static int open_in(int ns)
{
    _cleanup_(closep) int own = -1;
    int fd;

    if (ns >= 0) {
        own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        if (own < 0 || setns(ns, CLONE_NEWNET) < 0)
            return -errno;
    }
    fd = netlink_open(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
    /* It was in there a moment ago, and still has the right: this cannot be refused. */
    if (ns >= 0 && setns(own, CLONE_NEWNET) < 0)
        abort();
    return fd;
}

int diag_visit(int ns, diag_fn visit, void *ctx, struct err *e)
{
    _cleanup_(closep) int fd = open_in(ns);
    int failed = fd < 0 ? fd : ask(fd);
    int r = failed < 0 ? failed : read_answers(fd, visit, ctx, &failed);

    if (failed == -ENOENT || failed == -EPROTONOSUPPORT)
        return err_set(e, -EOPNOTSUPP, "modprobe unix_diag",
                       "this kernel does not list its unix sockets (unix_diag)");
    return failed < 0
               ? err_set(e, failed, NULL, "cannot list unix sockets: %s", err_text(NULL, failed))
               : r;
}
