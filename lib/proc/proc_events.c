/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The process connector. The kernel ignores a subscription that it does not accept instead of
 * refusing it, so we wait for the acknowledgement. If a process outside of our pid namespace has
 * subscribed too, its events and acknowledgements arrive here as well, with process numbers of
 * another namespace.
 */
#include "proc_events.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "macros.h"
#include "proc.h"
#include "timefmt.h"

enum { ACK_TIMEOUT_MS = 1000, DATA_SIZE = 8192 };

/* Room for the events of many processes that end while nobody reads. */
enum { RECEIVE_BUFFER = 4 * 1024 * 1024 };

/* How many processes are remembered whose first thread has ended before the others. */
enum { PENDING = 64 };

struct proc_events {
    struct mnl_socket *nl;
    int proc;
    pid_t pending[PENDING];
    size_t n_pending; /* a running count; its index is modulo PENDING */
};

static int send_op(struct mnl_socket *nl, enum proc_cn_mcast_op op)
{
    char data[64] __attribute__((aligned(NLMSG_ALIGNTO))) = {0};
    struct nlmsghdr *h = mnl_nlmsg_put_header(data);
    struct cn_msg *cn = mnl_nlmsg_put_extra_header(h, sizeof(*cn) + sizeof(op));

    h->nlmsg_type = NLMSG_DONE;
    h->nlmsg_pid = mnl_socket_get_portid(nl);
    cn->id.idx = CN_IDX_PROC;
    cn->id.val = CN_VAL_PROC;
    cn->len = sizeof(op);
    memcpy(cn->data, &op, sizeof(op));
    return mnl_socket_sendto(nl, h, h->nlmsg_len) < 0 ? -errno : 0;
}

/* Returns the event in a netlink message, or NULL when it is another message. */
static const struct cn_msg *message_of(const struct nlmsghdr *h)
{
    const struct cn_msg *cn = mnl_nlmsg_get_payload(h);

    if (mnl_nlmsg_get_payload_len(h) < sizeof(*cn) || cn->id.idx != CN_IDX_PROC ||
        cn->id.val != CN_VAL_PROC || mnl_nlmsg_get_payload_len(h) < sizeof(*cn) + cn->len)
        return NULL;
    return cn;
}

/* Copies the event. Its length depends on the kernel, so only the bytes that exist are copied. */
static bool event_of(const struct nlmsghdr *h, struct proc_event *out)
{
    const struct cn_msg *cn = message_of(h);

    if (!cn || cn->len < offsetof(struct proc_event, event_data))
        return false;
    memset(out, 0, sizeof(*out));
    memcpy(out, cn->data, MIN(sizeof(*out), (size_t)cn->len));
    return true;
}

/*
 * Tells whether a message lies within the @left bytes at @h: libmnl takes a length above INT_MAX
 * for a negative one.
 */
static bool is_whole(const struct nlmsghdr *h, int left)
{
    return mnl_nlmsg_ok(h, left) && h->nlmsg_len <= (uint32_t)left;
}

/*
 * Receives one datagram of the kernel; others are dropped. Return: its length, 0 when there is
 * none, -errno.
 */
static ssize_t receive(struct mnl_socket *nl, char data[DATA_SIZE])
{
    struct sockaddr_nl from = {0};
    socklen_t len = sizeof(from);
    ssize_t n;

    do
        n = recvfrom(mnl_socket_get_fd(nl), data, DATA_SIZE, MSG_DONTWAIT, (struct sockaddr *)&from,
                     &len);
    while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid != 0));
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    return n;
}

/* Return: 1 the kernel has acknowledged, 0 nothing yet, -errno. */
static int look_for_ack(struct mnl_socket *nl)
{
    char data[DATA_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct proc_event ev;
    ssize_t n;

    while ((n = receive(nl, data)) > 0) {
        int left = (int)n;

        for (const struct nlmsghdr *h = (void *)data; is_whole(h, left);
             h = mnl_nlmsg_next(h, &left)) {
            if (!event_of(h, &ev))
                continue;
            /* Any other event shows that we are subscribed. */
            if (ev.what != (__typeof__(ev.what))0)
                return 1;
            return ev.event_data.ack.err ? -(int)ev.event_data.ack.err : 1;
        }
    }
    return (int)n;
}

static int wait_for_ack(struct mnl_socket *nl)
{
    uint64_t end = timefmt_now(CLOCK_MONOTONIC) + ACK_TIMEOUT_MS * NSEC_PER_MSEC;
    struct pollfd p = {.fd = mnl_socket_get_fd(nl), .events = POLLIN};

    for (;;) {
        uint64_t now = timefmt_now(CLOCK_MONOTONIC);
        int r = look_for_ack(nl);

        if (r)
            return r < 0 ? r : 0;
        if (now >= end)
            return -EOPNOTSUPP;
        if (poll(&p, 1, (int)((end - now) / NSEC_PER_MSEC) + 1) < 0 && errno != EINTR)
            return -errno;
    }
}

static int explain(int r, struct err *e)
{
    static const char who[] = "run as root, outside of containers (in the machine's first pid, "
                              "user and network namespaces)";

    switch (r) {
    case -EPERM:
    case -EACCES:
        return err_set(e, -EPERM, who,
                       "not permitted to watch processes end (it needs CAP_NET_ADMIN)");
    case -EOPNOTSUPP:
    case -ECONNREFUSED:
    case -EPROTONOSUPPORT:
        return err_set(e, -EOPNOTSUPP, who,
                       "the kernel does not tell of processes that end: it has no process "
                       "connector, or does not serve this pid, user or network namespace");
    default:
        return err_set(e, r, NULL, "cannot watch processes end: %s", err_text(NULL, r));
    }
}

/* The numbers in events are those of the first pid namespace: this /proc must belong to it. */
static int check_namespace(int proc)
{
    struct proc_view view;
    int r = proc_view(proc, &view);

    if (r < 0)
        return r;
    return view.namespaces && view.own_numbers ? 0 : -EOPNOTSUPP;
}

int proc_events_open(struct proc_events **ret, struct err *e)
{
    int size = RECEIVE_BUFFER;
    struct proc_events *ev = calloc(1, sizeof(*ev));
    int r;

    if (!ev)
        return -ENOMEM;
    ev->nl = mnl_socket_open2(NETLINK_CONNECTOR, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (!ev->nl) {
        r = -errno;
        free(ev);
        return explain(r, e);
    }
    ev->proc = proc_open(NULL);
    /* The system's limit may reduce it; then more events may be lost, which is reported. */
    (void)setsockopt(mnl_socket_get_fd(ev->nl), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    r = ev->proc < 0 ? ev->proc : check_namespace(ev->proc);
    if (r == 0)
        r = mnl_socket_bind(ev->nl, CN_IDX_PROC, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
    if (r == 0)
        r = send_op(ev->nl, PROC_CN_MCAST_LISTEN);
    if (r == 0)
        r = wait_for_ack(ev->nl);
    if (r < 0) {
        mnl_socket_close(ev->nl);
        closep(&ev->proc);
        free(ev);
        return explain(r, e);
    }
    *ret = ev;
    return 0;
}

void proc_events_close(struct proc_events *ev)
{
    if (!ev)
        return;
    /* Before 6.6 the kernel counts listeners and does not notice a closed socket. */
    (void)send_op(ev->nl, PROC_CN_MCAST_IGNORE);
    mnl_socket_close(ev->nl);
    closep(&ev->proc);
    free(ev);
}

void proc_events_closep(struct proc_events **ev)
{
    proc_events_close(*ev);
}

int proc_events_fd(const struct proc_events *ev)
{
    return mnl_socket_get_fd(ev->nl);
}

static pid_t *find_pending(struct proc_events *ev, pid_t pid)
{
    for (size_t i = 0; i < PENDING; i++)
        if (ev->pending[i] == pid)
            return &ev->pending[i];
    return NULL;
}

/* Tells whether the end of a thread is also the end of its process, which must be reported once. */
static bool is_last(struct proc_events *ev, const struct proc_event *got)
{
    pid_t pid = got->event_data.exit.process_tgid;
    bool first = got->event_data.exit.process_pid == pid;
    pid_t *pending = find_pending(ev, pid);

    if (!first && !pending)
        return false;
    if (!proc_is_ending(ev->proc, pid)) {
        if (!pending)
            ev->pending[ev->n_pending++ % PENDING] = pid;
        return false;
    }
    if (pending)
        *pending = 0;
    return true;
}

int proc_events_read(struct proc_events *ev, int (*visit)(const struct proc_exit *x, void *ctx),
                     void *ctx)
{
    char data[DATA_SIZE] __attribute__((aligned(NLMSG_ALIGNTO)));
    struct proc_event got;
    ssize_t n;

    while ((n = receive(ev->nl, data)) > 0) {
        int left = (int)n;

        for (const struct nlmsghdr *h = (void *)data; is_whole(h, left);
             h = mnl_nlmsg_next(h, &left)) {
            struct proc_exit x = {.time = timefmt_now(CLOCK_REALTIME)};
            int r;

            if (!event_of(h, &got) || (unsigned int)got.what != PROC_EVENT_EXIT)
                continue;
            if (!is_last(ev, &got))
                continue;
            x.pid = got.event_data.exit.process_tgid;
            x.status = (int)got.event_data.exit.exit_code;
            r = visit(&x, ctx);
            if (r)
                return r;
        }
    }
    return (int)n;
}
