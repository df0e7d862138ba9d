/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* As much of netlink(7) as is needed to ask the kernel something and to walk over what it answers.
 */
#pragma once

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * netlink_open() - a socket of the network namespace that the thread is in
 * @protocol: NETLINK_SOCK_DIAG, …
 * @type: SOCK_CLOEXEC, SOCK_NONBLOCK
 *
 * Return: a descriptor without an address (netlink_bind()), or -errno.
 */
int netlink_open(int protocol, int type);

/**
 * netlink_bind() - give a socket an address that no other has
 * @fd: from netlink_open()
 * @groups: what to listen to, a bit each; 0 for nothing
 * @port: receives the address, which stands in messages as nlmsg_pid
 *
 * Return: 0 or -errno.
 */
int netlink_bind(int fd, uint32_t groups, uint32_t *port);

/* Sends one message to the kernel. Return: 0 or -errno. */
int netlink_send(int fd, const struct nlmsghdr *h);

/**
 * netlink_receive() - one datagram from the kernel
 * @data: room for it, aligned as struct nlmsghdr
 * @flags: MSG_DONTWAIT or 0
 *
 * What other programs send is thrown away.
 *
 * Return: its length; 0 where there is none and MSG_DONTWAIT is given; -ENOSPC where it does not
 * fit; -errno.
 */
ssize_t netlink_receive(int fd, void *data, size_t size, int flags);

/**
 * struct netlink_walk - messages of a datagram, or attributes of a message
 * @at: the next one, aligned to 4 bytes
 * @left: bytes from there on
 */
struct netlink_walk {
    const void *at;
    size_t left;
};

/* The next message, whole, or NULL. */
const struct nlmsghdr *netlink_message(struct netlink_walk *w);

/* The next attribute, whole, or NULL. */
const struct nlattr *netlink_attribute(struct netlink_walk *w);

/* What follows the header of a message. */
static inline const void *netlink_payload(const struct nlmsghdr *h, size_t *len)
{
    *len = h->nlmsg_len - NLMSG_HDRLEN;
    return (const char *)h + NLMSG_HDRLEN;
}

/* The attributes that follow the first @fixed bytes of a message's payload. */
static inline struct netlink_walk netlink_attributes(const struct nlmsghdr *h, size_t fixed)
{
    size_t len, skip = NLMSG_ALIGN(fixed);
    const char *payload = netlink_payload(h, &len);

    return skip < len ? (struct netlink_walk){payload + skip, len - skip}
                      : (struct netlink_walk){0};
}
