/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sends one request and reads its answers, through libmnl. A netlink socket belongs to the
 * namespace in which it was opened.
 */
#include "diag.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "macros.h"

enum { DATA_SIZE = 64 * 1024 };

struct dump {
    diag_fn visit;
    void *ctx;
    int result; /* the result of the visit */
};

static int attribute(const struct nlattr *a, void *arg)
{
    struct diag_socket *s = arg;
    size_t len = mnl_attr_get_payload_len(a);
    const void *data = mnl_attr_get_payload(a);

    switch (mnl_attr_get_type(a)) {
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
    return MNL_CB_OK;
}

static int one(const struct nlmsghdr *h, void *arg)
{
    const struct unix_diag_msg *m = mnl_nlmsg_get_payload(h);
    struct dump *d = arg;
    struct diag_socket s;

    if (mnl_nlmsg_get_payload_len(h) < sizeof(*m))
        return MNL_CB_OK;
    s = (struct diag_socket){
        .type = m->udiag_type,
        .state = m->udiag_state,
        .inode = m->udiag_ino,
    };
    mnl_attr_parse(h, sizeof(*m), attribute, &s);
    d->result = d->visit(&s, d->ctx);
    return d->result ? MNL_CB_STOP : MNL_CB_OK;
}

static int ask(struct mnl_socket *nl)
{
    char data[256] __attribute__((aligned(NLMSG_ALIGNTO))) = {0};
    struct nlmsghdr *h = mnl_nlmsg_put_header(data);
    struct unix_diag_req *req = mnl_nlmsg_put_extra_header(h, sizeof(*req));

    h->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    h->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    req->sdiag_family = AF_UNIX;
    req->udiag_states = UINT32_MAX;
    req->udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_VFS | UDIAG_SHOW_PEER | UDIAG_SHOW_ICONS |
                      UDIAG_SHOW_RQLEN;
    return mnl_socket_sendto(nl, h, h->nlmsg_len) < 0 ? -errno : 0;
}

static int read_answers(struct mnl_socket *nl, struct dump *d)
{
    _cleanup_(freep) char *data = malloc(DATA_SIZE);
    ssize_t n;
    int r;

    if (!data)
        return -ENOMEM;
    do {
        do
            n = mnl_socket_recvfrom(nl, data, DATA_SIZE);
        while (n < 0 && errno == EINTR);
        if (n < 0)
            return -errno;
        r = mnl_cb_run(data, (size_t)n, 0, mnl_socket_get_portid(nl), one, d);
    } while (r > MNL_CB_STOP);
    return r < 0 ? -errno : d->result;
}

static struct mnl_socket *open_here(void)
{
    struct mnl_socket *nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);

    if (nl && mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
        mnl_socket_close(nl);
        nl = NULL;
    }
    return nl;
}

/* Opens a socket in a namespace; the thread then returns to its own. Return: 0 or -errno. */
static int open_in(int ns, struct mnl_socket **ret)
{
    _cleanup_(closep) int own = -1;
    int r;

    if (ns >= 0) {
        own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
        if (own < 0 || setns(ns, CLONE_NEWNET) < 0)
            return -errno;
    }
    *ret = open_here();
    r = *ret ? 0 : -errno;
    /*
     * The thread was in its own namespace a moment ago and still has the right: this cannot be
     * refused.
     */
    if (ns >= 0 && setns(own, CLONE_NEWNET) < 0)
        abort();
    return r;
}

int diag_visit(int ns, diag_fn visit, void *ctx, struct err *e)
{
    struct dump d = {.visit = visit, .ctx = ctx};
    struct mnl_socket *nl = NULL;
    int r = open_in(ns, &nl);

    if (r == 0)
        r = ask(nl);
    if (r == 0)
        r = read_answers(nl, &d);
    if (nl)
        mnl_socket_close(nl);
    if (r == -ENOENT || r == -EPROTONOSUPPORT)
        return err_set(e, -EOPNOTSUPP, "modprobe unix_diag",
                       "this kernel does not list its unix sockets (unix_diag)");
    return r < 0 && !d.result
               ? err_set(e, r, NULL, "cannot list unix sockets: %s", err_text(NULL, r))
               : r;
}
