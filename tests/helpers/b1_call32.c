/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The four ioctls as a 32-bit program makes them, through int 0x80, from a process that is none:
 *
 *     b1_call32 BUS     prints the result of each
 *
 * Exit status 77 where the kernel has no such entry.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bus1_abi.h"

#if defined(__x86_64__)
/* All that a 32-bit program could pass: below 4 GiB. */
struct low {
    struct bus1_cmd_transfer transfer;
    struct bus1_cmd_send send;
    struct bus1_cmd_recv recv;
    struct bus1_cmd_release release;
    struct bus1_transfer src, dst;
    struct bus1_message message, room;
    struct bus1_metadata meta;
    uint32_t vec[2], room_vec[2]; /* iovecs of such a program */
    int32_t error;
    uint64_t id;
    char data[16], back[16];
};

static void absent(int sig)
{
    (void)sig;
    _exit(77);
}

static void call(const char *name, int fd, uint32_t cmd, void *arg)
{
    long ret;

    __asm__ volatile("int $0x80"
                     : "=a"(ret)
                     : "a"(54L), "b"((long)fd), "c"((long)cmd), "d"(arg)
                     : "memory", "r8", "r9", "r10", "r11");
    printf("%s %s\n", name, ret < 0 ? strerrorname_np((int)-ret) : "0");
}

static uint64_t ptr(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

int main(int argc, char **argv)
{
    struct low *l = mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    int fd = argc == 2 ? open(argv[1], O_RDWR) : -1;

    if (fd < 0 || l == MAP_FAILED)
        return 2;
    signal(SIGSEGV, absent);
    l->src = (struct bus1_transfer){BUS1_TRANSFER_FLAG_CREATE, BUS1_INVALID};
    l->transfer = (struct bus1_cmd_transfer){0, BUS1_INVALID, 1, ptr(&l->src), ptr(&l->dst)};
    l->id = 5;
    strcpy(l->data, "of 32 bits");
    l->vec[0] = (uint32_t)ptr(l->data);
    l->vec[1] = (uint32_t)strlen(l->data);
    l->message = (struct bus1_message){
        .n_data = strlen(l->data), .n_data_vecs = 1, .ptr_data_vecs = ptr(l->vec)};
    l->send = (struct bus1_cmd_send){0, 1, ptr(&l->id), ptr(&l->error), ptr(&l->message)};
    l->room_vec[0] = (uint32_t)ptr(l->back);
    l->room_vec[1] = sizeof(l->back);
    l->room = (struct bus1_message){.type = BUS1_INVALID,
                                    .n_data = sizeof(l->back),
                                    .n_data_vecs = 1,
                                    .ptr_data_vecs = ptr(l->room_vec)};
    l->recv = (struct bus1_cmd_recv){0, ptr(&l->meta), ptr(&l->room)};
    l->release = (struct bus1_cmd_release){0, 1, ptr(&l->id)};
    call("transfer", fd, BUS1_CMD_TRANSFER, &l->transfer);
    call("send", fd, BUS1_CMD_SEND, &l->send);
    call("recv", fd, BUS1_CMD_RECV, &l->recv);
    call("release", fd, BUS1_CMD_RELEASE, &l->release);
    return 0;
}
#else
int main(void)
{
    return 77;
}
#endif
