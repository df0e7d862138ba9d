/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists the unix sockets of one network namespace by sock_diag(7). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "errinfo.h"

/**
 * struct diag_socket - one socket, borrowed for the time of a visit
 * @type: SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET
 * @state: TCP_ESTABLISHED, TCP_LISTEN, …
 * @inode: its number; 0 while it is not accepted
 * @peer: the socket that it is connected to; 0 for none
 * @rqueue: unread bytes; for a datagram socket those of the first datagram; for a listener the
 *   number of connections
 * @vfs_dev, @vfs_inode: the file that it was bound to, numbered as in the kernel
 * @name, @name_len: its address; an abstract name begins with a zero byte; hostile bytes
 * @clients: for a listener: inode numbers of the sockets that wait for accept(2)
 * @n_clients: number of them
 */
struct diag_socket {
    int type;
    int state;
    uint64_t inode;
    uint64_t peer;
    uint64_t rqueue;
    uint64_t vfs_dev;
    uint64_t vfs_inode;
    const char *name;
    size_t name_len;
    const uint32_t *clients;
    size_t n_clients;
};

typedef int (*diag_fn)(const struct diag_socket *s, void *ctx);

/**
 * diag_visit() - visit every unix socket of a network namespace
 * @ns: a descriptor of the namespace; -1: the caller's
 * @visit: a value other than 0 ends the visit and is returned
 *
 * The calling thread enters that namespace for the moment in which a netlink socket is opened.
 *
 * Return: 0 or -errno.
 */
int diag_visit(int ns, diag_fn visit, void *ctx, struct err *e);
