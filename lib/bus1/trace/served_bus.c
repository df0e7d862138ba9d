/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "served_bus.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base64.h"
#include "fileio.h"
#include "macros.h"
#include "parse.h"

/* Name of the file system in /proc/self/mountinfo; serve/mount.c chooses it. */
#define FSTYPE "fuse.b1ctl"

enum { MOUNTS_MAX = 16 << 20 };
/* A debug file may hold 64 MiB of data in base 64, and many other records. */
#define DEBUG_MAX ((size_t)256 << 20)

/* Replaces each \ooo, which mountinfo writes for a blank, by its byte, in place. */
static void unescape(char *s)
{
    char *to = s;

    while (*s) {
        if (*s == '\\' && strspn(s + 1, "01234567") >= 3) {
            *to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
            s += 4;
        } else {
            *to++ = *s++;
        }
    }
    *to = '\0';
}

/* "36 35 0:31 / /mount/point options … - type source options" */
static bool mount_parse(char *line, struct b1_mount *m)
{
    char *save = NULL, *dev = NULL, *dir = NULL, *type = strstr(line, " - ");
    unsigned int major, minor;

    if (!type || strncmp(type + 3, FSTYPE " ", sizeof(FSTYPE)))
        return false;
    *type = '\0';
    for (int i = 0; i < 5; i++) {
        char *word = strtok_r(i ? NULL : line, " ", &save);

        if (!word)
            return false;
        dev = i == 2 ? word : dev;
        dir = i == 4 ? word : dir;
    }
    if (sscanf(dev, "%u:%u", &major, &minor) != 2)
        return false;
    unescape(dir);
    *m = (struct b1_mount){dir, makedev(major, minor)};
    return true;
}

int b1_mounts_visit(int (*visit)(void *ctx, const struct b1_mount *m), void *ctx)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    char *save = NULL, *line;
    int r = file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTS_MAX, &b);

    if (r < 0)
        return r;
    buf_add_char(&b, '\n');
    if (buf_error(&b) < 0)
        return -ENOMEM;
    for (line = strtok_r(b.data, "\n", &save); line && r == 0; line = strtok_r(NULL, "\n", &save)) {
        struct b1_mount m;

        if (mount_parse(line, &m))
            r = visit(ctx, &m);
    }
    return r;
}

int b1_fd_identity(pid_t pid, int fd, dev_t *dev, uint64_t *ino)
{
    struct statx st;
    char name[64];

    if (pid)
        snprintf(name, sizeof(name), "/proc/%d/fd/%d", (int)pid, fd);
    else
        snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    if (statx(AT_FDCWD, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &st) < 0)
        return errno == ENOENT ? -EBADF : -errno;
    *dev = makedev(st.stx_dev_major, st.stx_dev_minor);
    *ino = st.stx_ino;
    return 0;
}

/*
 * Parses one "key=value". @held is set to the number of decoded bytes when it is the data. Fields
 * come in any order, so the length is checked when the line ends.
 */
static int record_field(struct b1_record *r, const char *key, char *value, ssize_t *held)
{
    const struct {
        const char *key;
        uint64_t *to;
    } fields[] = {
        {"serial", &r->serial},   {"ino", &r->ino},           {"pid", &r->pid},
        {"uid", &r->uid},         {"messages", &r->messages}, {"bytes", &r->bytes},
        {"id", &r->id},           {"handles", &r->handles},   {"owner", &r->owner},
        {"node", &r->node},       {"waiting", &r->waiting},   {"type", &r->type},
        {"account", &r->account}, {"from", &r->from},         {"length", &r->length},
    };

    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (!strcmp(fields[i].key, key))
            return parse_u64(value, fields[i].to);
    if (!strcmp(key, "transfers"))
        r->transfers = value;
    if (!strcmp(key, "data")) {
        *held = b64_decode(value, value, strlen(value));
        r->data = value;
        return *held < 0 ? -EBADMSG : 0;
    }
    return 0;
}

static enum b1_record_kind record_kind(const char *word)
{
    static const char *const names[] = {"", "peer", "node", "handle", "message", "usage"};

    for (size_t i = 1; i < ARRAY_SIZE(names); i++)
        if (!strcmp(names[i], word))
            return (enum b1_record_kind)i;
    return B1_RECORD_OTHER;
}

static int record_parse(char *line, struct b1_record *r)
{
    char *save = NULL, *word = strtok_r(line, " ", &save);
    ssize_t held = 0;

    *r = (struct b1_record){0};
    if (!word)
        return -EBADMSG;
    r->kind = record_kind(word);
    while ((word = strtok_r(NULL, " ", &save))) {
        char *value = strchr(word, '=');

        if (!value)
            return -EBADMSG;
        *value++ = '\0';
        if (record_field(r, word, value, &held) < 0)
            return -EBADMSG;
    }
    return r->data && (uint64_t)held != r->length ? -EBADMSG : 0;
}

int b1_debug_parse(char *text, int (*visit)(void *ctx, const struct b1_record *r), void *ctx)
{
    static const char head[] = "bus1-debug version=1\n";
    char *save = NULL;
    int r = 0;

    if (strncmp(text, head, sizeof(head) - 1))
        return -EBADMSG;
    for (char *line = strtok_r(text, "\n", &save); line && r == 0;
         line = strtok_r(NULL, "\n", &save)) {
        struct b1_record record;

        r = record_parse(line, &record);
        if (r == 0 && record.kind != B1_RECORD_OTHER)
            r = visit(ctx, &record);
    }
    return r;
}

int b1_debug_read(const char *dir, uint64_t ino, struct buf *out)
{
    _cleanup_(buf_done) struct buf path = BUF_INIT;
    int r;

    buf_add_str(&path, dir);
    if (ino)
        buf_printf(&path, "/peer-%llu", (unsigned long long)ino);
    else
        buf_add_str(&path, "/debug");
    r = buf_error(&path);
    return r < 0 ? r : file_read(AT_FDCWD, buf_str(&path), DEBUG_MAX, out);
}
