/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making kernel channels, keeping them, and ending them.
 *
 * A channel ends with the ring that made it, so a process must keep that ring. The channel is ended
 * by closing the ring, never by DESTROY: a ring remembers the ids of its channels that were
 * destroyed, and when it is closed the kernel also destroys whichever channel has such an id then.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "kernel_channel.h"
#include "timefmt.h"

enum { TRIES = 4 };

struct kernel_keep {
    struct uipc_keep base;
    struct uringk *ring;
    char *dir;
    uint32_t id;
    int fd;
    int record_fd;
};

static int pause_ms(unsigned int ms)
{
    struct timespec ts = timefmt_to_timespec(ms * NSEC_PER_MSEC);

    return nanosleep(&ts, NULL) < 0 ? -errno : 0;
}

/* ---- creating -------------------------------------------------------------------------------- */

/* The channel ends in either case, with its ring. */
void kernel_release(struct uipc_keep *keep, bool destroy _unused_)
{
    struct kernel_keep *k = container_of(keep, struct kernel_keep, base);

    if (k->record_fd >= 0)
        kernel_record_remove(k->dir, k->id, k->record_fd);
    if (k->fd >= 0)
        close(k->fd);
    uringk_free(k->ring); /* ends the channel */
    free(k->dir);
    free(k);
}

static uint32_t delivery_flags(enum chan_delivery delivery)
{
    return delivery == CHAN_BROADCAST   ? (uint32_t)URING_IPC_F_BROADCAST
           : delivery == CHAN_MULTICAST ? (uint32_t)URING_IPC_F_MULTICAST
                                        : 0;
}

/*
 * Attaches as a sender, which holds up nobody, so that the channel can be found in /proc. Return:
 * 0, also when its mode does not let its owner send; -ENOENT when it has vanished.
 */
static int keep_descriptor(struct kernel_keep *k)
{
    struct uring_ipc_attach a;
    int r = kernel_attach(k->ring, &(struct uipc_ref){.id = k->id}, URING_IPC_SUB_SEND, &a);

    if (r >= 0)
        k->fd = a.channel_fd;
    return r == -EACCES ? 0 : MIN(r, 0);
}

/* One try, with a new ring: one that has failed may fail again for an id that it remembers. */
static int create_once(struct kernel_keep *k, const struct chan_conf *conf, struct err *e)
{
    struct uring_ipc_create c;
    int r;

    uringk_free(TAKE_PTR(k->ring));
    r = uringk_new(&k->ring, e);
    if (r < 0)
        return r;
    uringk_encode_create(&c, delivery_flags(conf->delivery), conf->entries, conf->max_msg,
                         conf->mode, conf->key);
    r = uringk_register(k->ring, URING_IPC_REGISTER_CREATE, &c, 1);
    if (r < 0)
        return uringk_explain(URINGK_CREATE, r, e);
    k->id = c.channel_id_out;
    r = keep_descriptor(k);
    return r < 0 ? uringk_explain(URINGK_CREATE, r, e) : 0;
}

static int leave_record(struct kernel_keep *k, const struct chan_conf *conf, struct err *e)
{
    struct kernel_record rec = {
        .magic = KERNEL_RECORD_MAGIC,
        .key = conf->key,
        .created_ns = timefmt_now(CLOCK_REALTIME),
        .pid = getpid(),
        .fd = k->fd,
        .id = k->id,
        .delivery = conf->delivery,
        .mode = conf->mode & URING_IPC_MODE_MASK,
        .uid = geteuid(),
        .gid = getegid(),
    };
    int r;

    snprintf(rec.name, sizeof(rec.name), "%s", conf->name ? conf->name : "");
    r = kernel_record_write(k->dir, &rec, e);
    k->record_fd = r < 0 ? -1 : r;
    return MIN(r, 0);
}

int kernel_create(const char *dir, const struct chan_conf *conf, struct uipc_keep **keep,
                  uint32_t *id, struct err *e)
{
    struct kernel_keep *k = NULL;
    int r = ringmap_check(conf->entries, conf->max_msg, e);

    if (r == 0)
        k = calloc(1, sizeof(*k));
    if (!k)
        return r < 0 ? r : -ENOMEM;
    *k = (struct kernel_keep){.base.ops = &uipc_kernel_ops, .fd = -1, .record_fd = -1};
    k->dir = dir ? strdup(dir) : NULL;
    r = dir && !k->dir ? -ENOMEM : -EBUSY;
    for (int i = 0; i < TRIES && (r == -EBUSY || r == -ENOENT); i++)
        r = create_once(k, conf, e);
    if (r == 0)
        r = leave_record(k, conf, e);
    if (r < 0) {
        kernel_release(&k->base, true);
        return r;
    }
    *id = k->id;
    *keep = &k->base;
    return 0;
}

int kernel_check(struct uipc_keep *keep, struct err *e)
{
    struct kernel_keep *k = container_of(keep, struct kernel_keep, base);
    int r = kernel_exists(k->ring, &(struct uipc_ref){.id = k->id}, k->fd);

    /* If another channel has the id by now, our end would destroy it: we go on until that has
     * ended. */
    return r == 0 ? err_set(e, -EIDRM, NULL,
                            "it has vanished: the kernel lets anybody destroy any channel")
                  : 0;
}

/* ---- destroying ------------------------------------------------------------------------------ */

/* Waits until the kernel has done away with a channel whose ring has been closed. */
static void await_end(uint32_t id, int fd)
{
    _cleanup_(uringk_freep) struct uringk *ring = NULL;

    if (fd < 0 || uringk_new(&ring, NULL) < 0)
        return;
    /* It has been seen to take ten seconds. The channel does end, so that this is no failure. */
    for (int i = 0; i < 1200 && kernel_exists(ring, &(struct uipc_ref){.id = id}, fd) == 1; i++)
        if (pause_ms(10) < 0)
            return;
}

/* Whether a process belongs to a user. A record's writer could have named any process. */
static bool is_of_user(pid_t pid, uid_t uid)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    char path[32];
    const char *line;
    unsigned int real;

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    if (file_read(AT_FDCWD, path, 65536, &text) < 0)
        return false;
    line = strstr(buf_str(&text), "\nUid:");
    return line && sscanf(line, "\nUid: %u", &real) == 1 && real == uid;
}

/* Tells the process that keeps a channel to end. Return: a pidfd of it, or -errno. */
static int signal_keeper(const struct kernel_record *rec, struct err *e)
{
    _cleanup_(closep) int pidfd = (int)syscall(SYS_pidfd_open, rec->pid, 0);

    if (pidfd >= 0 && !is_of_user(rec->pid, rec->uid))
        return err_set(e, -EPERM, NULL,
                       "the record of user %u says that process %d keeps the channel, but that is "
                       "not theirs",
                       rec->uid, rec->pid);
    if (pidfd < 0 || syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0) < 0)
        return err_set(e, -errno, NULL, "process %d, which keeps the channel: %s", rec->pid,
                       strerrordesc_np(errno));
    return TAKE_FD(pidfd);
}

/* Has the process that keeps a channel end it, and waits until the process and the channel end. */
static int stop_keeper(const struct kernel_record *rec, struct err *e)
{
    _cleanup_(closep) int fd = kernel_take_fd(rec->pid, rec->fd, NULL);
    _cleanup_(closep) int pidfd = signal_keeper(rec, e);
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    int r;

    if (pidfd < 0)
        return pidfd;
    do
        r = poll(&p, 1, 5000);
    while (r < 0 && errno == EINTR);
    if (r <= 0)
        return err_set(e, -ETIMEDOUT, NULL, "process %d, which keeps the channel, does not end",
                       rec->pid);
    await_end(rec->id, fd);
    return 0;
}

static bool find_keeper(const char *dir, const struct uipc_ref *ref, struct kernel_record *rec,
                        struct err *e, int *r)
{
    _cleanup_(closep) int fd = -1;

    *r = 0;
    if (!ref->pid)
        return kernel_find_record(dir, ref, rec);
    fd = kernel_take_fd(ref->pid, ref->fd, e);
    *r = MIN(fd, 0);
    return fd >= 0 && kernel_record_of(dir, fd, rec);
}

int kernel_destroy(const char *dir, const struct uipc_ref *ref, bool force, struct err *e)
{
    _cleanup_(uringk_freep) struct uringk *ring = NULL;
    struct kernel_record rec;
    int r;

    if (find_keeper(dir, ref, &rec, e, &r))
        return stop_keeper(&rec, e);
    if (r < 0)
        return r;
    if (!ref->id)
        return err_set(e, -ENOENT, "uringipc list shows what there is",
                       "ipcbox keeps no such channel");
    r = uringk_new(&ring, e);
    if (r < 0)
        return r;
    if (kernel_exists(ring, ref, -1) == 0)
        return uringk_explain(URINGK_DESTROY, -ENOENT, e);
    if (!force)
        return err_set(e, -EPERM,
                       "end the process that made it, or use --force: the kernel asks for no "
                       "permission",
                       "ipcbox does not keep this channel: it may be anybody's");
    r = uringk_register(ring, URING_IPC_REGISTER_DESTROY, NULL, ref->id);
    return r < 0 ? uringk_explain(URINGK_DESTROY, r, e) : 0;
}
