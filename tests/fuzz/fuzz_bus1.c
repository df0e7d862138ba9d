/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ioctl codec and the engine behind it. The input is the memory of a client of two pages, then
 * calls: which, on which of four peers, and five small numbers for the argument structure.
 * Addresses are small numbers too, so that pointers into the memory come about by themselves.
 */
#include <errno.h>

#include "bus1_abi.h"
#include "bus_defects.h"
#include "bus_ioctl.h"
#include "fuzz.h"

enum { BASE = 0x100, MEMORY = 1024, PEERS = 4, CALL = 2 + 5 * 2 };

struct client {
    uint8_t memory[MEMORY];
    struct b1_peer *peer[PEERS];
    unsigned int commits;
};

static uint8_t *at(struct client *c, const struct vm_range *v)
{
    if (v->remote < BASE || v->remote - BASE > MEMORY || v->n > MEMORY - (v->remote - BASE))
        return NULL;
    return c->memory + (v->remote - BASE);
}

static int fuzz_read(void *ctx, const struct vm_range *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint8_t *p = at(ctx, &v[i]);

        if (!p)
            return -EFAULT;
        memcpy(v[i].local, p, v[i].n);
    }
    return 0;
}

static int fuzz_write(void *ctx, const struct vm_range *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t *p = at(ctx, &v[i]);

        if (!p)
            return -EFAULT;
        memcpy(p, v[i].local, v[i].n);
    }
    return 0;
}

static int fuzz_peer(void *ctx, uint64_t fd, struct b1_peer **ret)
{
    struct client *c = ctx;

    if (fd >= PEERS)
        return fd % 2 ? -EBADF : -EOPNOTSUPP;
    *ret = b1_peer_ref(c->peer[fd]);
    return 0;
}

static int fuzz_commit(void *ctx)
{
    struct client *c = ctx;

    return ++c->commits % 7 ? 0 : -EINTR;
}

static const struct b1_client_ops ops = {
    .read = fuzz_read, .write = fuzz_write, .peer = fuzz_peer, .commit = fuzz_commit};

/* What the interface knows, what an interrupted caller gets, and what stands for a crash. */
static int known(int r, int oops)
{
    return r == 0 || r == 1 || r == -EINVAL || r == -EFAULT || r == -EBADF || r == -EOPNOTSUPP ||
           r == -EBADRQC || r == -EMSGSIZE || r == -EAGAIN || r == -EDQUOT || r == -ENOTTY ||
           r == -EINTR || (r == -EIO && oops);
}

static void call(struct client *c, const uint8_t *in)
{
    static const unsigned int cmds[] = {BUS1_CMD_TRANSFER, BUS1_CMD_RELEASE, BUS1_CMD_SEND,
                                        BUS1_CMD_RECV, 0};
    uint64_t arg[5];

    for (int i = 0; i < 5; i++) {
        arg[i] = (uint64_t)in[2 + 2 * i] | (uint64_t)in[3 + 2 * i] << 8;
        if (arg[i] == UINT16_MAX)
            arg[i] = UINT64_MAX;
    }
    MUST(known(b1_ioctl(c->peer[in[1] % PEERS], cmds[in[0] % 5], arg, &ops, c),
               b1_bus_has(b1_peer_bus(c->peer[0]), B1_DEFECT_SEND_OOPS)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct b1_config cfg = {
        .limits = {.peers = 8,
                   .nodes = 40,
                   .handles = 60,
                   .messages = 50,
                   .bytes = 65536,
                   .message_bytes = 2048,
                   .batch = 16},
    };
    struct b1_bus *bus;
    struct b1_usage use;
    struct client c = {0};

    if (size < 2 + MEMORY)
        return 0;
    cfg.defects = (unsigned int)data[0] | (unsigned int)data[1] << 8;
    /* Half of all inputs go to a bus without defects. */
    cfg.defects = cfg.defects & 1 ? cfg.defects & B1_DEFECT_ALL : 0;
    memcpy(c.memory, data + 2, MEMORY);
    MUST(b1_bus_new(&cfg, &bus) == 0);
    for (int i = 0; i < PEERS; i++)
        MUST(b1_peer_new(bus, (uint32_t)i / 2, NULL, &c.peer[i]) == 0);
    for (size_t i = 2 + MEMORY; i + CALL <= size; i += CALL)
        call(&c, data + i);
    for (int i = 0; i < PEERS; i++)
        b1_peer_close(c.peer[i]);
    b1_bus_usage(bus, &use);
    MUST(use.peers + use.nodes + use.handles + use.messages + use.bytes == 0);
    b1_bus_free(bus);
    return 0;
}
