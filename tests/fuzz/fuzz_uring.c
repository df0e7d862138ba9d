/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels that hostile processes have written to. The first byte chooses: the input is a mapping,
 * which is read as peek and monitor do; or it is a list of 32-bit words to be put into the files of
 * an embedded channel, which is then opened, looked into, received from and sent to.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chan_handle.h"
#include "fuzz.h"

enum { ENTRIES = 4, MAX_MSG = 32 };

static char dir[64];

static void fuzz_mapping(const uint8_t *data, size_t size)
{
    bool marked = size && data[0] & 1;
    unsigned char *copy = malloc(size ? size : 1); /* of its exact size, for the sanitizer */
    unsigned char buf[MAX_MSG];
    struct ringmap_msg msg;
    struct ringmap m;

    if (!copy)
        return;
    memcpy(copy, data, size);
    if (ringmap_init(&m, copy, size, marked, NULL) == 0) {
        uint32_t head = ringmap_head(&m), tail = ringmap_tail(&m);

        for (uint32_t i = 0; i < m.entries + 2 && i < 64; i++) {
            if (ringmap_read(&m, head + i, buf, sizeof(buf), &msg) == 0 && msg.len > m.max_msg)
                abort();
            (void)ringmap_read(&m, tail - i, NULL, 0, NULL);
        }
        if (tail - head > m.entries || tail - ringmap_oldest(&m) > m.entries)
            abort();
    }
    free(copy);
}

static void clean(void)
{
    (void)rmdir(dir);
}

/* Writes words into both files: 3 bytes say where, 4 what. */
static void patch(const struct chan *c, size_t data_size, const uint8_t *data, size_t size)
{
    for (; size >= 7; data += 7, size -= 7) {
        size_t at = ((size_t)data[1] << 8 | data[2]) * 4;
        unsigned char *base = data[0] & 1 ? (unsigned char *)c->ctl : c->data;
        size_t n = data[0] & 1 ? sizeof(struct chan_ctl) : data_size;

        /* The bulk of the data file is payload; what counts is at its ends. */
        if (data[0] & 2)
            at += chan_ext_offset(ENTRIES, MAX_MSG);
        if (at + 4 <= n)
            memcpy(base + at, data + 3, 4);
    }
}

static int peer(const struct chan_peer *p, void *ctx)
{
    (void)p;
    (void)ctx;
    return 0;
}

static void use(const struct chan_ref *ref, unsigned int access)
{
    unsigned char buf[MAX_MSG];
    struct chan_info info;
    struct chan_got got;
    struct chan *c;

    if (chan_open(dir, ref, access, &c, NULL) < 0)
        return;
    for (int i = 0; i < 2 * ENTRIES; i++) {
        if (access & CHAN_RECV && chan_recv(c, buf, sizeof(buf), &got, 0) == 0 &&
            got.msg.len > sizeof(buf))
            abort();
        if (access & CHAN_SEND)
            (void)chan_send(c, "12345", 5, 1, i == 3 ? 65 : 0, 0);
    }
    if (chan_get_info(c, &info) == 0 && info.waiting > ENTRIES)
        abort();
    (void)chan_visit_peers(c, peer, NULL);
    chan_close(c);
}

static void fuzz_engine(enum chan_delivery delivery, const uint8_t *data, size_t size)
{
    struct chan_conf conf = {
        .delivery = delivery, .entries = ENTRIES, .max_msg = MAX_MSG, .mode = 0600};
    struct chan *c, *reader = NULL;
    unsigned char buf[MAX_MSG];
    struct chan_ref ref = {0};
    struct chan_got got;

    if (!dir[0]) {
        snprintf(dir, sizeof(dir), "/dev/shm/ipcbox-fuzz.XXXXXX");
        if (!mkdtemp(dir))
            abort();
        atexit(clean);
    }
    if (chan_create(dir, &conf, &ref.id, NULL) < 0 || chan_open(dir, &ref, CHAN_SEND, &c, NULL) < 0)
        abort();
    for (int i = 0; i < ENTRIES - 1; i++)
        (void)chan_send(c, "hello", 5, 0, 0, 0);
    if (chan_open(dir, &ref, CHAN_RECV, &reader, NULL) < 0)
        abort();
    patch(c, chan_ext_offset(ENTRIES, MAX_MSG) + sizeof(struct chan_ext), data, size);
    use(&ref, CHAN_LOOK);
    use(&ref, CHAN_RECV);
    use(&ref, CHAN_SEND);
    for (int i = 0; i < 2 * ENTRIES; i++)
        (void)chan_recv(reader, buf, sizeof(buf), &got, 0);
    chan_close(reader);
    chan_close(c);
    if (chan_destroy(dir, &ref, NULL) < 0)
        abort();
    (void)chan_create(dir, &conf, &ref.id, NULL);
    (void)chan_destroy(dir, &ref, NULL);
    {
        char sub[96];

        snprintf(sub, sizeof(sub), geteuid() ? "%s/ipcbox-%u" : "%s/ipcbox", dir, geteuid());
        if (rmdir(sub) < 0)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    if (data[0] < 128)
        fuzz_mapping(data + 1, size - 1);
    else
        fuzz_engine(data[0] % 3, data + 1, size - 1);
    return 0;
}
