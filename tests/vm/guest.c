/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the guests are there for and the machine around them may refuse: BTF, fentry programs,
 * messages of 16 MiB, queues of 65536 messages. Fails when a guest does not offer one of them, so
 * that no test that relies on it passes by testing nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "cleanup.h"

enum {
    MESSAGE_MAX = 16 * 1024 * 1024,
    MESSAGES_MAX = 65536,
};

static int failed(const char *what)
{
    printf("not ok: %s: %s\n", what, strerror(errno));
    return 1;
}

/* A function that mqueue's read calls with the queue locked: where an atomic snapshot is taken. */
static int check_fentry(void)
{
    static const struct bpf_insn insns[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
        {.code = BPF_JMP | BPF_EXIT},
    };
    LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_TRACE_FENTRY);
    _cleanup_(closep) int prog = -1;
    _cleanup_(closep) int attached = -1;
    int id = libbpf_find_vmlinux_btf_id("pid_vnr", BPF_TRACE_FENTRY);

    if (id < 0) {
        errno = -id;
        return failed("pid_vnr in the kernel's BTF");
    }
    opts.attach_btf_id = (uint32_t)id;
    prog = bpf_prog_load(BPF_PROG_TYPE_TRACING, "guest", "GPL", insns, 2, &opts);
    if (prog < 0)
        return failed("loading a fentry program");
    attached = bpf_raw_tracepoint_open(NULL, prog);
    if (attached < 0)
        return failed("attaching a fentry program");
    printf("ok: fentry\n");
    return 0;
}

static mqd_t make_queue(long maxmsg, long msgsize)
{
    struct mq_attr attr = {.mq_maxmsg = maxmsg, .mq_msgsize = msgsize};
    mqd_t q = mq_open("/vm-guest", O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attr);

    mq_unlink("/vm-guest");
    return q;
}

static int check_large_message(void)
{
    _cleanup_(freep) unsigned char *sent = malloc(MESSAGE_MAX);
    _cleanup_(freep) unsigned char *got = malloc(MESSAGE_MAX);
    _cleanup_(closep) mqd_t q = make_queue(2, MESSAGE_MAX);

    if (q < 0 || !sent || !got)
        return failed("a queue for messages of 16 MiB");
    for (size_t i = 0; i < MESSAGE_MAX; i++)
        sent[i] = (unsigned char)(i * 2654435761u >> 13);
    if (mq_send(q, (char *)sent, MESSAGE_MAX, 1) < 0)
        return failed("sending a message of 16 MiB");
    errno = EBADMSG;
    if (mq_receive(q, (char *)got, MESSAGE_MAX, NULL) != MESSAGE_MAX ||
        memcmp(sent, got, MESSAGE_MAX) != 0)
        return failed("receiving a message of 16 MiB");
    printf("ok: a message of 16 MiB\n");
    return 0;
}

static int check_many_messages(void)
{
    _cleanup_(closep) mqd_t q = make_queue(MESSAGES_MAX, 16);

    if (q < 0)
        return failed("a queue of 65536 messages");
    for (unsigned int i = 0; i < MESSAGES_MAX; i++)
        if (mq_send(q, "message", 7, i % 100) < 0)
            return failed("filling a queue of 65536 messages");
    printf("ok: 65536 messages\n");
    return 0;
}

int main(void)
{
    int bad = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (access("/sys/kernel/btf/vmlinux", R_OK) < 0)
        bad += failed("/sys/kernel/btf/vmlinux");
    bad += check_fentry();
    bad += check_large_message();
    bad += check_many_messages();
    return bad != 0;
}
