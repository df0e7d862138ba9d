/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is sent to a kernel with channels, to the byte, and what its answers are said to mean. */
#include <errno.h>
#include <stdlib.h>

#include "check.h"
#include "cleanup.h"
#include "uipc.h"
#include "uringk.h"

static void test_send(void)
{
    static const unsigned char want[64] = {
        65,          0,    0,    0,    0x44, 0x33, 0x22, 0x11, [24] = 5,
        [32] = 0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01, [44] = 7,
    };
    struct io_uring_sqe sqe;
    uint64_t addr;
    char data[5] = "";

    memset(&sqe, 0xff, sizeof(sqe));
    uringk_encode_send(&sqe, 0x11223344, data, 5, 7, UINT64_C(0x0123456789abcdef));
    memcpy(&addr, (char *)&sqe + 16, sizeof(addr));
    CHECK(addr == (uintptr_t)data);
    sqe.addr = 0;
    CHECK(memcmp(&sqe, want, sizeof(want)) == 0);
}

static void test_recv(void)
{
    static const unsigned char want[64] = {66, 0, 0, 0, 3, 0, 0, 0, [24] = 0, 0x10};
    struct io_uring_sqe sqe;
    char data[1] = "";

    memset(&sqe, 0xff, sizeof(sqe));
    uringk_encode_recv(&sqe, 3, data, 4096);
    CHECK(sqe.addr == (uintptr_t)data);
    sqe.addr = 0;
    CHECK(memcmp(&sqe, want, sizeof(want)) == 0);
}

static void test_registering(void)
{
    static const unsigned char want_create[40] = {
        1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 16, 0, 0xb6, 1, 0, 0, 0xbe, 0xba, 0xfe, 0xca,
    };
    static const unsigned char want_attach[48] = {9, 0, 0, 0, 2, 0, 0, 0, 4};
    struct uring_ipc_create c;
    struct uring_ipc_attach a;

    memset(&c, 0xff, sizeof(c));
    uringk_encode_create(&c, URING_IPC_F_BROADCAST, 256, 1 << 20, 0777, 0xcafebabe);
    CHECK(memcmp(&c, want_create, sizeof(want_create)) == 0);
    memset(&a, 0xff, sizeof(a));
    uringk_encode_attach(&a, 9, 4, URING_IPC_SUB_RECV);
    CHECK(memcmp(&a, want_attach, sizeof(want_attach)) == 0);
}

static void explains(enum uringk_op op, int res, const char *why, const char *remedy)
{
    struct err e = ERR_INIT;

    CHECK_INT(uringk_explain(op, res, &e), res);
    CHECK_INT(e.code, res);
    CHECK(strstr(e.why, why));
    CHECK(strstr(e.remedy, remedy));
}

/* Each trap of the interface has its words. */
static void test_traps(void)
{
    struct err e = ERR_INIT;

    explains(URINGK_SEND_TARGET, -ENOENT, "published all the same", "do not send it again");
    explains(URINGK_SEND, -ENOENT, "share one number space", "");
    explains(URINGK_RECV, -EMSGSIZE, "drop the rest", "");
    explains(URINGK_RECV, -ESTALE, "more messages have passed", "peek");
    explains(URINGK_RECV, -ENOENT, "channel ids do not count", "");
    explains(URINGK_CREATE, -EBUSY, "destroyed before", "again");
    explains(URINGK_ATTACH, -EACCES, "root is no exception", "");
    explains(URINGK_ATTACH, -EINVAL, "going away", "again");
    explains(URINGK_SEND, -ENOBUFS, "one receiver that does not read", "--timeout");
    CHECK_INT(uringk_explain(URINGK_SEND, -EIO, &e), -EIO);
    CHECK_STR(e.why, ""); /* the number says it */
}

static void test_overtaken(void)
{
    CHECK(!uringk_overtaken(0, 0, 4));
    CHECK(!uringk_overtaken(4, 0, 4));
    CHECK(uringk_overtaken(5, 0, 4));
    CHECK(!uringk_overtaken(2, UINT32_MAX - 1, 4));
    CHECK(uringk_overtaken(3, UINT32_MAX - 1, 4));
}

static void test_refs(void)
{
    struct uipc_ref ref;
    struct err e = ERR_INIT;

    CHECK_INT(uipc_ref_parse("17", &ref, &e), 0);
    CHECK_INT(ref.id, 17);
    CHECK_INT(uipc_ref_parse("0x1f", &ref, &e), 0);
    CHECK(ref.id == 0 && ref.key == 0x1f);
    CHECK_INT(uipc_ref_parse("a", &ref, &e), 0);
    CHECK(ref.key == UINT64_C(0xaf63dc4c8601ec8c)); /* a published value of FNV-1a */
    CHECK_STR(ref.name, "a");
    CHECK_INT(uipc_ref_parse("pid:12:3", &ref, &e), 0);
    CHECK(ref.pid == 12 && ref.fd == 3);
    CHECK_INT(uipc_ref_parse("pid:12:3x", &ref, &e), -EINVAL);
    CHECK_INT(uipc_ref_parse("pid:0:3", &ref, &e), -EINVAL);
    CHECK_INT(uipc_ref_parse("pid:12", &ref, &e), -EINVAL);
    CHECK_INT(uipc_ref_parse("0", &ref, &e), -EINVAL);
    CHECK_INT(uipc_ref_parse("4294967296", &ref, &e), -EINVAL);
    CHECK_INT(uipc_ref_parse("0x", &ref, &e), -EINVAL);
    CHECK_INT(uipc_ref_parse("", &ref, &e), -EINVAL);
    CHECK_INT(uipc_ref_parse("0123456789012345678901234567890123456789012345678901234567890123x",
                             &ref, &e),
              -EINVAL);
}

/* On any kernel: a ring of one entry runs a NOP; the probe says yes or why not. */
static void test_ring(void)
{
    _cleanup_(uringk_freep) struct uringk *k = NULL;
    struct io_uring_sqe sqe = {.opcode = IORING_OP_NOP};
    struct err e = ERR_INIT;
    int r = uringk_new(&k, &e);

    if (r == 0) {
        for (int i = 0; i < 5; i++)
            CHECK_INT(uringk_run(k, &sqe), 0);
    } else {
        CHECK(r == -ENOSYS || r == -EPERM);
        CHECK(e.why[0]);
    }
    r = uipc_kernel_ops.probe(&e);
    CHECK(r == 0 || (r < 0 && e.why[0]));
}

int main(void)
{
    test_send();
    test_recv();
    test_registering();
    test_traps();
    test_overtaken();
    test_refs();
    test_ring();
    return check_done();
}
