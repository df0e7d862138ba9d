/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Blocks of a capture file, in the byte order of this machine, which the first block tells. */
#include "pcapng.h"

#include <string.h>

#include "buf.h"
#include "cleanup.h"

enum {
    SECTION = 0x0a0d0d0a,
    INTERFACE = 1,
    PACKET = 6,
    LINKTYPE_DBUS = 231,
    LINKTYPE_USER0 = 147,
    OPT_NAME = 2,
    OPT_RESOLUTION = 9, /* of times, as a power of ten */
};

static void put32(struct buf *b, uint32_t v)
{
    buf_add(b, &v, sizeof(v));
}

static void put16(struct buf *b, uint16_t v)
{
    buf_add(b, &v, sizeof(v));
}

static void pad(struct buf *b)
{
    buf_add_repeat(b, '\0', -b->len & 3);
}

static void option(struct buf *b, uint16_t code, const void *data, uint16_t n)
{
    put16(b, code);
    put16(b, n);
    buf_add(b, data, n);
    pad(b);
}

/* Type, length, body, length again. */
static void block(FILE *f, uint32_t type, const struct buf *body)
{
    uint32_t length = (uint32_t)body->len + 12;

    fwrite(&type, sizeof(type), 1, f);
    fwrite(&length, sizeof(length), 1, f);
    fwrite(body->data, 1, body->len, f);
    fwrite(&length, sizeof(length), 1, f);
}

static void interface(FILE *f, uint16_t link, const char *name)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    const uint8_t nanoseconds = 9;

    put16(&b, link);
    put16(&b, 0);
    put32(&b, 0); /* no limit to a packet's length */
    option(&b, OPT_NAME, name, (uint16_t)strlen(name));
    option(&b, OPT_RESOLUTION, &nanoseconds, 1);
    put32(&b, 0);
    block(f, INTERFACE, &b);
}

void pcapng_begin(FILE *f)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;

    put32(&b, 0x1a2b3c4d);
    put16(&b, 1);
    put16(&b, 0);
    put32(&b, UINT32_MAX); /* the section's length is not known */
    put32(&b, UINT32_MAX);
    block(f, SECTION, &b);
    interface(f, LINKTYPE_DBUS, "dbus");
    interface(f, LINKTYPE_USER0, "unix");
}

void pcapng_packet(FILE *f, bool dbus, uint64_t time, const void *data, size_t n, uint64_t length)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;

    put32(&b, dbus ? 0 : 1);
    put32(&b, (uint32_t)(time >> 32));
    put32(&b, (uint32_t)time);
    put32(&b, (uint32_t)n);
    put32(&b, (uint32_t)length);
    buf_add(&b, data, n);
    pad(&b);
    block(f, PACKET, &b);
}
