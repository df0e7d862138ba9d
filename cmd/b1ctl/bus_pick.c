/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chooses the bus that a verb works on. */
#include "bus_pick.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bus1_abi.h"
#include "proc.h"

void bus_pick_done(struct bus_pick *b)
{
    b1_embedded_free(b->embedded);
}

int bus_pick_open(struct cli_ctx *ctx, const char *path, struct bus_pick *b, struct err *e)
{
    const struct b1_config cfg = {.limits = B1_LIMITS_DEFAULT};
    int r;

    *b = (struct bus_pick){0};
    if (!path && access(BUS1_DEVICE_PATH, F_OK) == 0)
        path = BUS1_DEVICE_PATH;
    if (path) {
        b1_device_file(&b->dev, path);
    } else {
        r = b1_embedded_new(&cfg, &b->dev, &b->embedded);
        if (r < 0)
            return r;
        cli_note(ctx, "no %s: using a bus of this process alone", BUS1_DEVICE_PATH);
    }
    r = b1_probe(&b->dev, &b->single);
    if (r == -ENOTTY)
        return err_set(e, r, "b1ctl serve makes a bus", "%s is not a bus1", path);
    return r;
}

/* The device of a descriptor is opened once more, to probe it, by the name that it was opened by.
 */
static int probe_fd(int fd, bool *single)
{
    char link[64], name[PATH_MAX];
    struct b1_device dev;
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, name, sizeof(name) - 1);
    if (n < 0)
        return -errno;
    name[n] = '\0';
    b1_device_file(&dev, name);
    return b1_probe(&dev, single);
}

int bus_pick_adopt(pid_t pid, uint32_t fd, struct bus_pick *b, struct b1_client **ret,
                   struct err *e)
{
    int own = (int)fd, r;

    *b = (struct bus_pick){0};
    if (fd > INT_MAX)
        return err_set(e, -EBADF, NULL, "no such descriptor");
    if (pid)
        own = proc_fd_take(pid, (int)fd, e);
    else if (fcntl(own, F_GETFD) < 0)
        own = err_set(e, -EBADF, "the caller must pass it on: 3<>/dev/bus1", "it is not open here");
    if (own < 0)
        return own;
    b1_device_file(&b->dev, BUS1_DEVICE_PATH);
    /* Where the device cannot be found from here, only what every bus understands is used. */
    r = probe_fd(own, &b->single);
    if (r == -ENOTTY)
        r = err_set(e, -ENOTTY, NULL, "it is not a bus1 peer");
    else if (r < 0) {
        b->single = true;
        r = 0;
    }
    if (r == 0)
        r = b1_client_adopt(&b->dev, b->single, own, ret);
    if (r < 0)
        close(own);
    return r;
}
