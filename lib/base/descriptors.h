/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors: as many as there may be, and from one process to another. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Raises RLIMIT_NOFILE to what it may be; where that fails there are fewer. */
void descriptors_raise_limit(void);

/* Sends a packet, with a descriptor beside it unless @fd is negative. Return: 0 or -errno. */
int descriptor_send(int sock, const void *data, size_t len, int fd);

/**
 * descriptor_receive() - receive a packet of descriptor_send()
 * @sock: the socket
 * @data, @len: where the packet goes
 * @fd: the descriptor that came with it, close-on-exec; -1 when there was none
 *
 * Return: the packet's length, at most @len; 0 at the end; or -errno.
 */
ssize_t descriptor_receive(int sock, void *data, size_t len, int *fd);
