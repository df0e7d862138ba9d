/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Netlink sockets. Lengths in messages are checked here, once, whoever sent them. */
#include "netlink.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "macros.h"

int netlink_open(int protocol, int type)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | type, protocol);

    return fd < 0 ? -errno : fd;
}

int netlink_bind(int fd, uint32_t groups, uint32_t *port)
{
    struct sockaddr_nl own = {.nl_family = AF_NETLINK, .nl_groups = groups};
    socklen_t len = sizeof(own);

    if (bind(fd, (const struct sockaddr *)&own, len) < 0 ||
        getsockname(fd, (struct sockaddr *)&own, &len) < 0)
        return -errno;
    *port = own.nl_pid;
    return 0;
}

int netlink_send(int fd, const struct nlmsghdr *h)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

    if (sendto(fd, h, h->nlmsg_len, 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
        return -errno;
    return 0;
}

ssize_t netlink_receive(int fd, void *data, size_t size, int flags)
{
    struct sockaddr_nl from;
    socklen_t len;
    ssize_t n;

    do {
        from = (struct sockaddr_nl){0};
        len = sizeof(from);
        n = recvfrom(fd, data, size, flags | MSG_TRUNC, (struct sockaddr *)&from, &len);
    } while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid != 0));
    if (n < 0)
        return errno == EAGAIN && flags & MSG_DONTWAIT ? 0 : -errno;
    return (size_t)n > size ? -ENOSPC : n;
}

/* Goes on by @len bytes and the padding behind them, which the last of all may lack. */
static void step(struct netlink_walk *w, size_t len)
{
    size_t n = MIN(NLMSG_ALIGN(len), w->left);

    w->at = (const char *)w->at + n;
    w->left -= n;
}

const struct nlmsghdr *netlink_message(struct netlink_walk *w)
{
    const struct nlmsghdr *h = w->at;

    if (w->left < sizeof(*h) || h->nlmsg_len < sizeof(*h) || h->nlmsg_len > w->left)
        return NULL;
    step(w, h->nlmsg_len);
    return h;
}

const struct nlattr *netlink_attribute(struct netlink_walk *w)
{
    const struct nlattr *a = w->at;

    if (w->left < sizeof(*a) || a->nla_len < sizeof(*a) || a->nla_len > w->left)
        return NULL;
    step(w, a->nla_len);
    return a;
}
