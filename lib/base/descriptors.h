/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Raises the limit of descriptors, and sends descriptors to other processes. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Raises RLIMIT_NOFILE as far as possible. A failure is ignored: the old limit remains. */
void descriptors_raise_limit(void);

/* Sends a packet, and a descriptor unless @fd is negative. Return: 0 or -errno. */
int descriptor_send(int sock, const void *data, size_t len, int fd);

/**
 * descriptor_receive() - receive a packet of descriptor_send()
 * @sock: the socket
 * @data, @len: buffer for the packet
 * @fd: set to the received descriptor (close-on-exec), or -1 when there was none
 *
 * Return: the packet's length, at most @len; 0 when the sender has closed; or -errno.
 */
ssize_t descriptor_receive(int sock, void *data, size_t len, int *fd);
