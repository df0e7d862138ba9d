/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Journals of restores. Lines: "WORD NAME NUMBER…", the name in base 64 because it may hold
 * anything; a last line without its newline was never finished, and says nothing.
 */
#include "pmq_restoring.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base64.h"
#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "journal.h"
#include "statedir.h"

enum { JOURNAL_MAX = 64 << 20 };

static const char prefix[] = "restore-";

struct pmq_restoring {
    int dir;
    int fd;
    off_t size;  /* of the whole lines */
    bool filled; /* it says so */
    char file[64];
};

uint64_t pmq_own_ipc_ns(void)
{
    struct stat st;

    return stat("/proc/self/ns/ipc", &st) == 0 ? st.st_ino : 0;
}

/* ---- writing ---- */

/* A line of which only a part could be written goes again: the next would become its end. */
static int add_line(struct pmq_restoring *j, const char *line, size_t n)
{
    int r = file_write_all(j->fd, line, n);

    if (r < 0)
        return ftruncate(j->fd, j->size) < 0 ? -EIO : r;
    j->size += (off_t)n;
    return 0;
}

static int write_line(struct pmq_restoring *j, struct buf *b)
{
    buf_add_char(b, '\n');
    return buf_error(b) ? buf_error(b) : add_line(j, b->data, b->len);
}

static void add_text(struct buf *b, const char *text)
{
    char *at;

    buf_add_char(b, ' ');
    at = buf_extend(b, b64_encoded_size(strlen(text)));
    if (at)
        b64_encode(at, text, strlen(text));
}

static int write_name(struct pmq_restoring *j, const char *word, const char *name, const char *rest)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;

    buf_add_str(&b, word);
    add_text(&b, name);
    buf_printf(&b, " %s", rest);
    return write_line(j, &b);
}

/*
 * Makes the file under a name that no other restore has, and locks it. Between the two a reader may
 * take it for an empty leftover and remove it: then there is a next one.
 */
static int make_file(struct pmq_restoring *j)
{
    struct stat st;

    for (unsigned int i = 0; i < 10000; i++) {
        snprintf(j->file, sizeof(j->file), "%s%d-%u", prefix, (int)getpid(), i);
        j->fd = openat(j->dir, j->file, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0644);
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

static void release(struct pmq_restoring *j)
{
    if (j->fd >= 0)
        close(j->fd);
    if (j->dir >= 0)
        close(j->dir);
    free(j);
}

static int explain(int r, struct err *e)
{
    char path[4096];

    if (pmq_own_ipc_ns() == 0)
        return err_set(e, r, "mount /proc", "cannot tell which IPC namespace this is: %s",
                       err_text(NULL, r));
    if (statedir_path(path, sizeof(path), e) < 0)
        return r;
    return err_set(e, r, "set IPCBOX_STATE_DIR to another directory",
                   "cannot keep a journal in %s: %s", path, err_text(NULL, r));
}

int pmq_restoring_new(struct pmq_restoring **ret, struct err *e)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    struct pmq_restoring *j = calloc(1, sizeof(*j));
    uint64_t ipc_ns = pmq_own_ipc_ns();
    char boot[40] = "";
    int r;

    if (!j)
        return -ENOMEM;
    j->fd = -1;
    j->dir = statedir_open(e);
    r = j->dir < 0 ? j->dir : journal_boot_id(boot);
    if (r == 0 && ipc_ns == 0) /* nobody could tell whose queues these are */
        r = -EIO;
    if (r == 0)
        r = make_file(j);
    if (r == 0) {
        buf_printf(&b, "restore 1 %s %" PRIu64, boot, ipc_ns);
        r = write_line(j, &b);
        if (r < 0)
            unlinkat(j->dir, j->file, 0);
    }
    if (r < 0) {
        release(j);
        return e && e->why[0] ? r : explain(r, e);
    }
    *ret = j;
    return 0;
}

int pmq_restoring_make(struct pmq_restoring *j, const char *name, uint32_t mode)
{
    char rest[16];

    snprintf(rest, sizeof(rest), "%u", mode);
    return write_name(j, "make", name, rest);
}

int pmq_restoring_made(struct pmq_restoring *j, const char *name, uint64_t dev, uint64_t ino)
{
    char rest[48];

    snprintf(rest, sizeof(rest), "%" PRIu64 " %" PRIu64, dev, ino);
    return write_name(j, "made", name, rest);
}

int pmq_restoring_from(struct pmq_restoring *j, const char *name, const char *path)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;

    buf_add_str(&b, "from");
    add_text(&b, name);
    add_text(&b, path);
    return write_line(j, &b);
}

int pmq_restoring_replaces(struct pmq_restoring *j, const char *name, const char *path,
                           uint64_t dev, uint64_t ino)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;

    buf_add_str(&b, "replaces");
    add_text(&b, name);
    add_text(&b, path);
    buf_printf(&b, " %" PRIu64 " %" PRIu64, dev, ino);
    return write_line(j, &b);
}

static int write_count(struct pmq_restoring *j, const char *word, const char *name, uint64_t n)
{
    char rest[24];

    snprintf(rest, sizeof(rest), "%" PRIu64, n);
    return write_name(j, word, name, rest);
}

int pmq_restoring_append(struct pmq_restoring *j, const char *name, uint64_t count)
{
    return write_count(j, "append", name, count);
}

int pmq_restoring_appended(struct pmq_restoring *j, const char *name, uint64_t n)
{
    return write_count(j, "appended", name, n);
}

int pmq_restoring_filled(struct pmq_restoring *j)
{
    int r = add_line(j, "filled\n", 7);

    j->filled = r == 0;
    return r;
}

int pmq_restoring_undo(struct pmq_restoring *j)
{
    return j->filled ? add_line(j, "undo\n", 5) : 0;
}

void pmq_restoring_end(struct pmq_restoring *j)
{
    if (!j)
        return;
    unlinkat(j->dir, j->file, 0);
    release(j);
}

void pmq_restoring_leave(struct pmq_restoring *j)
{
    if (j)
        release(j);
}

/* ---- reading ---- */

struct pmq_unfinished_journal {
    int fd; /* holds the lock, or -1 */
    char file[64];
};

/* The next word of a line, decoded into a string. */
static char *take_text(char **line)
{
    char *word = strsep(line, " ");
    char *text;
    ssize_t n;

    if (!word)
        return NULL;
    text = malloc(strlen(word) + 1);
    if (!text)
        return NULL;
    n = b64_decode(text, word, strlen(word));
    if (n < 0 || memchr(text, '\0', (size_t)n)) {
        free(text);
        return NULL;
    }
    text[n] = '\0';
    return text;
}

static uint64_t take_number(char **line)
{
    const char *word = strsep(line, " ");

    return word ? strtoull(word, NULL, 10) : 0;
}

/* The journal's entry for the queue; a new one when it has none. NULL: no memory. */
static struct pmq_unfinished *entry(struct pmq_unfinished_set *s, char *name, uint64_t ipc_ns)
{
    struct pmq_unfinished *v;

    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].journal == s->n_journals && strcmp(s->v[i].name, name) == 0) {
            free(name);
            return &s->v[i];
        }
    }
    v = reallocarray(s->v, s->n + 1, sizeof(*v));
    if (!v) {
        free(name);
        return NULL;
    }
    s->v = v;
    s->v[s->n] = (struct pmq_unfinished){
        .name = name,
        .ipc_ns = ipc_ns,
        .journal = s->n_journals,
    };
    return &s->v[s->n++];
}

static int read_line(struct pmq_unfinished_set *s, char *line, uint64_t ipc_ns)
{
    char *word = strsep(&line, " ");
    struct pmq_unfinished *u;
    char *name;

    if (strcmp(word, "filled") == 0 || strcmp(word, "undo") == 0) {
        for (size_t i = 0; i < s->n; i++)
            if (s->v[i].journal == s->n_journals)
                s->v[i].filled = word[0] == 'f';
        return 0;
    }
    name = take_text(&line);
    if (!name)
        return -EBADMSG;
    u = entry(s, name, ipc_ns);
    if (!u)
        return -ENOMEM;
    if (strcmp(word, "make") == 0) {
        u->planned = true;
        u->mode = (uint32_t)take_number(&line) & 07777;
    } else if (strcmp(word, "made") == 0) {
        u->dev = take_number(&line);
        u->ino = take_number(&line);
    } else if (strcmp(word, "replaces") == 0) {
        free(u->replaces);
        u->replaces = take_text(&line);
        u->old_dev = take_number(&line);
        u->old_ino = take_number(&line);
        if (!u->replaces) /* without it nothing would be put back */
            return -EBADMSG;
    } else if (strcmp(word, "from") == 0) {
        free(u->from);
        u->from = take_text(&line);
        if (!u->from)
            return -EBADMSG;
    } else if (strcmp(word, "append") == 0) {
        u->append = take_number(&line);
    } else if (strcmp(word, "appended") == 0) {
        u->appended = take_number(&line);
    }
    return 0;
}

/* Return: 1 when the journal counts, 0 when it is of an earlier boot, or -errno. */
static int read_journal(struct pmq_unfinished_set *s, int dir, const char *file, bool running)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    char boot[40], journal_boot[40];
    uint64_t ipc_ns;
    char *rest, *line, *end;
    size_t first = s->n;
    int r = file_read(dir, file, JOURNAL_MAX, &b);

    if (r == 0)
        r = journal_boot_id(boot);
    if (r < 0)
        return r;
    rest = b.data;
    end = rest ? strchr(rest, '\n') : NULL;
    if (!end)
        return running ? 1 : 0;
    if (sscanf(rest, "restore 1 %36s %" SCNu64, journal_boot, &ipc_ns) != 2 ||
        strcmp(boot, journal_boot) != 0)
        return 0;
    for (rest = end + 1; (end = strchr(rest, '\n')); rest = end + 1) {
        *end = '\0';
        line = rest;
        r = read_line(s, line, ipc_ns);
        if (r < 0)
            return r;
    }
    for (size_t i = first; i < s->n; i++)
        s->v[i].running = running;
    return 1;
}

/*
 * Whether somebody else holds the lock. Of a restore that was killed a child may be at its last
 * breath, which is waited for.
 */
static bool is_locked(int fd, const char *file, bool claim)
{
    const struct timespec tick = {.tv_nsec = 1000000};
    int pid = atoi(file + strlen(prefix));

    for (int i = 0; flock(fd, (claim ? LOCK_EX : LOCK_SH) | LOCK_NB) < 0; i++) {
        if (!claim || i == 1000 || kill(pid, 0) == 0 || errno != ESRCH)
            return true;
        nanosleep(&tick, NULL);
    }
    return false;
}

static int take_journal(struct pmq_unfinished_set *s, int dir, const char *file, bool claim)
{
    struct pmq_unfinished_journal *v;
    _cleanup_(closep) int fd = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    size_t had = s->n;
    bool running;
    int r;

    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    running = is_locked(fd, file, claim);
    r = read_journal(s, dir, file, running);
    if (r < 0)
        return r;
    if (r == 0 || (claim && !running && s->n == had)) {
        unlinkat(dir, file, 0);
        return 0;
    }
    v = reallocarray(s->journals, s->n_journals + 1, sizeof(*v));
    if (!v)
        return -ENOMEM;
    s->journals = v;
    v += s->n_journals++;
    v->fd = claim && !running ? TAKE_FD(fd) : -1;
    snprintf(v->file, sizeof(v->file), "%s", file);
    return 0;
}

int pmq_unfinished_read(bool claim, struct pmq_unfinished_set *out, struct err *e)
{
    struct pmq_unfinished_set s = {0};
    _cleanup_(closedirp) DIR *d = NULL;
    char path[4096];
    const char *name;
    int r = statedir_path(path, sizeof(path), NULL);

    *out = s;
    if (r < 0)
        return 0;
    d = opendir(path);
    if (!d)
        return errno == ENOENT || errno == EACCES ? 0 : -errno;
    while (r == 0 && (name = dir_next(d, &r)))
        if (strncmp(name, prefix, strlen(prefix)) == 0 && strlen(name) < 64)
            r = take_journal(&s, dirfd(d), name, claim);
    if (r < 0) {
        pmq_unfinished_done(&s);
        return err_set(e, r, NULL, "cannot read the journals in %s: %s", path, err_text(NULL, r));
    }
    *out = s;
    return 0;
}

const struct pmq_unfinished *pmq_unfinished_find(const struct pmq_unfinished_set *s,
                                                 const struct pmq_attr *a, uint64_t ipc_ns)
{
    if (a->mode != 0)
        return NULL;
    for (size_t i = 0; i < s->n; i++) {
        const struct pmq_unfinished *u = &s->v[i];

        if (!u->planned || u->ipc_ns != ipc_ns)
            continue;
        if (u->ino ? u->ino == a->ino && u->dev == a->dev : strcmp(u->name, a->name) == 0)
            return u;
    }
    return NULL;
}

void pmq_unfinished_forget(struct pmq_unfinished_set *s, size_t journal)
{
    struct pmq_unfinished_journal *j = &s->journals[journal];
    _cleanup_(closep) int dir = statedir_open(NULL);

    if (j->fd >= 0 && dir >= 0)
        unlinkat(dir, j->file, 0);
}

void pmq_unfinished_done(struct pmq_unfinished_set *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->v[i].name);
        free(s->v[i].replaces);
        free(s->v[i].from);
    }
    for (size_t i = 0; i < s->n_journals; i++)
        if (s->journals[i].fd >= 0)
            close(s->journals[i].fd);
    free(s->v);
    free(s->journals);
    *s = (struct pmq_unfinished_set){0};
}
