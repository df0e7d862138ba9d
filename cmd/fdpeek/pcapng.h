/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A capture file for Wireshark and tshark: pcapng, as draft-ietf-opsawg-pcapng describes it. D-Bus
 * messages are packets of LINKTYPE_DBUS; other bytes of LINKTYPE_USER0.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The header, and the two interfaces. Errors stay in @f. */
void pcapng_begin(FILE *f);

/**
 * pcapng_packet() - one packet
 * @f: the file
 * @dbus: a D-Bus message; else bytes of any kind
 * @time: ns since 1970
 * @data, @n: the bytes that were recorded
 * @length: how many there were
 */
void pcapng_packet(FILE *f, bool dbus, uint64_t time, const void *data, size_t n, uint64_t length);
