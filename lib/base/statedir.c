/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The directory in which journals and saved queues survive a killed process. */
#include "statedir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"

static const char *absolute(const char *variable)
{
    const char *value = secure_getenv(variable);

    return value && value[0] == '/' ? value : NULL;
}

int statedir_path(char *out, size_t size, struct err *e)
{
    const char *own = absolute("IPCBOX_STATE_DIR"), *state = absolute("XDG_STATE_HOME");
    const char *home = absolute("HOME");
    int n;

    if (own)
        n = snprintf(out, size, "%s", own);
    else if (geteuid() == 0)
        n = snprintf(out, size, "/var/lib/ipcbox");
    else if (state)
        n = snprintf(out, size, "%s/ipcbox", state);
    else if (home)
        n = snprintf(out, size, "%s/.local/state/ipcbox", home);
    else
        return err_set(e, -ENOTDIR, "set HOME, XDG_STATE_HOME or IPCBOX_STATE_DIR",
                       "no place to keep a journal");
    return n < (int)size ? 0 : -ENAMETOOLONG;
}

/* Makes the directories of @path one by one. Existing ones are not changed. */
static int make_path(char *path)
{
    for (char *p = path + 1;; p++) {
        bool last = !*p;

        if (*p && *p != '/')
            continue;
        *p = '\0';
        if (mkdir(path, last && geteuid() != 0 ? 0700 : 0755) < 0 && errno != EEXIST)
            return -errno;
        if (last)
            return 0;
        *p = '/';
    }
}

int statedir_open(struct err *e)
{
    _cleanup_(closep) int fd = -1;
    char path[PATH_MAX];
    struct stat st;
    int r = statedir_path(path, sizeof(path), e);

    if (r < 0)
        return r;
    r = make_path(path);
    if (r == 0) {
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
    }
    /* The result must not be -ENOENT, which callers would take for a missing queue. */
    if (r < 0)
        return err_set(e, r == -ENOENT ? -ENOTDIR : r, "set IPCBOX_STATE_DIR", "cannot use %s: %s",
                       path, strerrordesc_np(-r));
    if (st.st_uid != geteuid() || st.st_mode & 0022)
        return err_set(e, -EPERM, "set IPCBOX_STATE_DIR",
                       "%s belongs to somebody else, or others may write to it", path);
    return TAKE_FD(fd);
}
