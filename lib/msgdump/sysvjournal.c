/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal of a restore of System V queues. It begins with all queues that are to be created, in
 * one write. Their ids and keys were free at that time, so a queue with one of these ids and keys
 * that has no permission bits yet was created by the restore. A last line without a newline was not
 * written completely and is ignored.
 */
#include "sysvjournal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base64.h"
#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "journal.h"
#include "statedir.h"

enum { JOURNAL_MAX = 64 << 20 };

static const char prefix[] = "sysv-restore-";

struct sysvjournal {
    int dir;
    int fd;
    char file[64];
};

/* ---- writing ---- */

static void add_posix(struct buf *b, const struct msgdump_plan *posix)
{
    size_t n;
    const struct msgdump_item *items = msgdump_plan_items(posix, &n);

    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(items[i].name);
        char *at;

        if (items[i].action != MSGDUMP_CREATE)
            continue;
        buf_add_str(b, "posix ");
        at = buf_extend(b, b64_encoded_size(len));
        if (at)
            b64_encode(at, items[i].name, len);
        buf_add_char(b, '\n');
    }
}

static void add_plan(struct buf *b, const struct sysvdump_plan *p)
{
    for (size_t i = 0; i < p->n; i++) {
        const struct sysv_attr *a = &p->v[i].attr;

        if (p->v[i].wanted)
            buf_printf(b, "make %d %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu64 "\n",
                       a->id, a->key, a->mode, a->uid, a->gid, a->limit);
    }
}

/*
 * Creates the file and locks it. Between the two, a recovery may take it for a leftover and remove
 * it: then another is made.
 */
static int make_file(struct sysvjournal *j)
{
    struct stat st;

    for (unsigned int i = 0; i < 10000; i++) {
        snprintf(j->file, sizeof(j->file), "%s%d-%u", prefix, (int)getpid(), i);
        j->fd = openat(j->dir, j->file, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
        if (j->fd < 0 && errno != EEXIST)
            return -errno;
        if (j->fd < 0)
            continue;
        if (flock(j->fd, LOCK_EX) < 0 || fstat(j->fd, &st) < 0)
            return -errno;
        if (st.st_nlink > 0)
            return 0;
        close(j->fd);
        j->fd = -1;
    }
    return -EEXIST;
}

static int write_plan(struct sysvjournal *j, const struct sysvdump_plan *p,
                      const struct msgdump_plan *posix)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    uint64_t ipc_ns = sysv_own_ipc_ns();
    char boot[40] = "";
    int r = journal_boot_id(boot);

    if (r == 0 && ipc_ns == 0) /* a recovery could not tell which namespace the queues are in */
        r = -EIO;
    if (r < 0)
        return r;
    buf_printf(&b, "sysv-restore 1 %s %" PRIu64 "\n", boot, ipc_ns);
    add_plan(&b, p);
    add_posix(&b, posix);
    return buf_error(&b) ? buf_error(&b) : file_write_all(j->fd, b.data, b.len);
}

int sysvjournal_new(const struct sysvdump_plan *p, const struct msgdump_plan *posix,
                    struct sysvjournal **ret, struct err *e)
{
    struct sysvjournal *j = calloc(1, sizeof(*j));
    int r;

    if (!j)
        return -ENOMEM;
    j->fd = -1;
    r = j->dir = statedir_open(e);
    if (r >= 0)
        r = make_file(j);
    if (r == 0)
        r = write_plan(j, p, posix);
    if (r == 0) {
        *ret = j;
        return 0;
    }
    sysvjournal_end(j);
    return e && e->why[0] ? r
                          : err_set(e, r, "set IPCBOX_STATE_DIR to another directory",
                                    "cannot keep a journal of the restore: %s", err_text(NULL, r));
}

int sysvjournal_filled(struct sysvjournal *j)
{
    static const char line[] = "filled\n";

    return file_write_all(j->fd, line, sizeof(line) - 1);
}

void sysvjournal_end(struct sysvjournal *j)
{
    if (!j)
        return;
    if (j->fd >= 0) {
        (void)unlinkat(j->dir, j->file, 0);
        close(j->fd);
    }
    if (j->dir >= 0)
        close(j->dir);
    free(j);
}

/* ---- recovering ---- */

struct recovery {
    void (*tell)(void *ctx, const struct msgdump_recovered *what);
    void *ctx;
    bool elsewhere; /* it belongs to another IPC namespace */
    bool filled;
    bool posix; /* the POSIX queues exist */
    bool kept;  /* a queue has to be tried again later */
};

static void tell(const struct recovery *rc, int id, const char *what, const char *detail)
{
    char name[SYSV_REF_SIZE];
    const struct msgdump_recovered told = {
        .name = name, .what = what, .detail = detail, .elsewhere = rc->elsewhere};

    sysv_ref_format(&(struct sysv_ref){.id = id}, name);
    rc->tell(rc->ctx, &told);
}

/*
 * Removes the wish for an id in kernel.msg_next_id that a killed restore has left: otherwise the
 * next queue that any process creates would get it.
 */
static void take_wish(int id)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    int q, wish;

    if (file_read(AT_FDCWD, "/proc/sys/kernel/msg_next_id", 32, &b) < 0 ||
        sscanf(buf_str(&b), "%d", &wish) != 1 || wish != id)
        return;
    q = msgget(IPC_PRIVATE, IPC_CREAT);
    if (q >= 0)
        (void)msgctl(q, IPC_RMID, NULL);
}

/* Recovers one queue of the journal; @a are its attributes as planned. */
static void recover_queue(struct recovery *rc, const struct sysv_attr *a)
{
    struct msqid_ds ds;
    int r = 0;

    take_wish(a->id);
    /* A queue that is gone, or that already has its mode, needs nothing. */
    if (msgctl(a->id, IPC_STAT, &ds) < 0 || (uint32_t)ds.msg_perm.__key != a->key ||
        (ds.msg_perm.mode & 0777) != 0)
        return;
    if (rc->filled && rc->posix) {
        ds.msg_perm.uid = a->uid;
        ds.msg_perm.gid = a->gid;
        ds.msg_perm.mode = (__typeof__(ds.msg_perm.mode))a->mode;
        ds.msg_qbytes = a->limit;
        r = msgctl(a->id, IPC_SET, &ds) < 0 ? -errno : 0;
    } else {
        r = msgctl(a->id, IPC_RMID, NULL) < 0 ? -errno : 0;
    }
    rc->kept |= r < 0;
    if (r < 0)
        tell(rc, a->id, rc->filled && rc->posix ? "not finished" : "not removed",
             strerrordesc_np(-r));
    else
        tell(rc, a->id, rc->filled && rc->posix ? "finished" : "removed", "");
}

static bool posix_is_there(const char *text)
{
    char name[PMQ_NAME_MAX + 2];
    size_t n = strlen(text);
    ssize_t len = n < b64_encoded_size(sizeof(name) - 1) ? b64_decode(name, text, n) : -1;
    int fd;

    if (len < 0)
        return false;
    name[len] = '\0';
    fd = mq_open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0 || errno == EACCES;
}

/* Reads all lines for what applies to the whole restore. */
static void read_state(struct recovery *rc, char *text)
{
    char *line, *save;

    rc->filled = false;
    rc->posix = true;
    for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        rc->filled |= strcmp(line, "filled") == 0;
        if (strncmp(line, "posix ", 6) == 0)
            rc->posix &= posix_is_there(line + 6);
    }
}

static void recover_queues(struct recovery *rc, char *text)
{
    char *line, *save;

    for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        struct sysv_attr a = {.id = -1};

        if (sscanf(line, "make %d %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNu64, &a.id,
                   &a.key, &a.mode, &a.uid, &a.gid, &a.limit) != 6 ||
            a.id < 0 || a.mode > 0777)
            continue;
        if (rc->elsewhere)
            tell(rc, a.id, "left alone", "it belongs to another IPC namespace");
        else
            recover_queue(rc, &a);
    }
}

/* Recovers a journal that no process has locked. Return: whether it is finished. */
static bool recover_text(struct recovery *rc, struct buf *b)
{
    _cleanup_(freep) char *copy = NULL;
    char boot[40], now[40], *end = memrchr(b->data, '\n', b->len);
    uint64_t ipc_ns;

    if (!end || sscanf(b->data, "sysv-restore 1 %36s %" SCNu64, boot, &ipc_ns) != 2 ||
        journal_boot_id(now) < 0 || strcmp(boot, now) != 0)
        return true; /* from before a reboot, or nothing was begun */
    *end = '\0';
    copy = strdup(b->data);
    if (!copy)
        return false;
    rc->kept = false;
    rc->elsewhere = ipc_ns != sysv_own_ipc_ns();
    if (!rc->elsewhere)
        read_state(rc, copy);
    recover_queues(rc, b->data);
    return !rc->elsewhere && !rc->kept;
}

static int recover_file(struct recovery *rc, int dir, const char *name)
{
    _cleanup_(closep) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    int r;

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return 0; /* that restore is still running */
    r = file_read(dir, name, JOURNAL_MAX, &b);
    if (r == 0 && recover_text(rc, &b))
        (void)unlinkat(dir, name, 0);
    return r == -ENOENT ? 0 : r;
}

int sysvjournal_recover(void (*tell_fn)(void *ctx, const struct msgdump_recovered *what), void *ctx,
                        struct err *e)
{
    struct recovery rc = {.tell = tell_fn, .ctx = ctx};
    char path[4096];
    const struct dirent *entry;
    int r = 0;
    DIR *d;

    if (statedir_path(path, sizeof(path), NULL) < 0)
        return 0;
    d = opendir(path);
    if (!d)
        return errno == ENOENT || errno == EACCES ? 0 : -errno;
    while (r == 0 && (entry = readdir(d)))
        if (strncmp(entry->d_name, prefix, sizeof(prefix) - 1) == 0)
            r = recover_file(&rc, dirfd(d), entry->d_name);
    closedir(d);
    return r < 0
               ? err_set(e, r, NULL, "a journal in %s cannot be read: %s", path, err_text(NULL, r))
               : 0;
}
