/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a user names a queue: /name, pid:PID:FD, pid:PID:/name, ns:PATH:/name. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "parse.h"
#include "pmq.h"

/* Where the kernel's file system of queues is usually mounted: its files are no names of queues. */
static int file_of_queue(const char *name, struct err *e)
{
    static const char mount[] = "dev/mqueue/";
    char remedy[PMQ_NAME_MAX + 16] = "";

    if (!strncmp(name, mount, sizeof(mount) - 1) && name[sizeof(mount) - 1] &&
        !strchr(name + sizeof(mount) - 1, '/'))
        snprintf(remedy, sizeof(remedy), "write /%s", name + sizeof(mount) - 1);
    return err_set(e, -EINVAL, remedy, "a queue's name has one slash, at its beginning");
}

/* @name begins behind the slash. */
static int take_name(const char *name, char out[PMQ_NAME_MAX + 2], struct err *e)
{
    size_t n = strlen(name);

    if (n == 0)
        return err_set(e, -EINVAL, "a queue is /name, pid:PID:FD, pid:PID:/name or ns:PATH:/name",
                       "the name is empty");
    if (strchr(name, '/'))
        return file_of_queue(name, e);
    if (!strcmp(name, ".") || !strcmp(name, ".."))
        return err_set(e, -EINVAL, NULL, "no queue can have this name");
    if (n > PMQ_NAME_MAX)
        return err_set(e, -ENAMETOOLONG, NULL,
                       "a queue's name has at most %d bytes after the slash, this one has %zu",
                       PMQ_NAME_MAX, n);
    out[0] = '/';
    memcpy(out + 1, name, n + 1);
    return 0;
}

static int take_pid(const char *text, struct pmq_ref *ref, struct err *e)
{
    static const char form[] = "write pid:PID:FD or pid:PID:/name";
    const char *colon = strchr(text, ':');
    char number[24];
    uint64_t v;

    if (!colon)
        return err_set(e, -EINVAL, form, "the descriptor or name is missing");
    snprintf(number, sizeof(number), "%.*s", (int)MIN(colon - text, (ptrdiff_t)sizeof(number)),
             text);
    if (parse_u64_max(number, INT_MAX, &v) < 0 || v == 0)
        return err_set(e, -EINVAL, form, "the process is no number from 1 to %d", INT_MAX);
    ref->pid = (pid_t)v;
    if (colon[1] == '/') {
        ref->kind = PMQ_REF_PID_NAME;
        return take_name(colon + 2, ref->name, e);
    }
    if (parse_u64_max(colon + 1, INT_MAX, &v) < 0)
        return err_set(e, -EINVAL, form, "the descriptor is no number from 0 to %d", INT_MAX);
    ref->kind = PMQ_REF_PID_FD;
    ref->fd = (int)v;
    return 0;
}

/* The path may hold colons and slashes, the name has one slash. */
static int take_ns(const char *text, struct pmq_ref *ref, struct err *e)
{
    static const char form[] = "write ns:PATH:/name, where PATH is an IPC namespace's file";
    const char *name = strrchr(text, '/');
    size_t n;

    if (!name || name < text + 2 || name[-1] != ':')
        return err_set(e, -EINVAL, form, "the namespace or the name is missing");
    n = (size_t)(name - text) - 1;
    if (n > PMQ_NS_PATH_MAX)
        return err_set(e, -ENAMETOOLONG, "bind the namespace to a file with a shorter path",
                       "the path has at most %d bytes, this one has %zu", PMQ_NS_PATH_MAX, n);
    ref->kind = PMQ_REF_NS_NAME;
    memcpy(ref->path, text, n);
    ref->path[n] = '\0';
    return take_name(name + 1, ref->name, e);
}

int pmq_ref_parse(const char *text, struct pmq_ref *out, struct err *e)
{
    struct pmq_ref ref = {.kind = PMQ_REF_NAME, .fd = -1};
    int r;

    if (!strncmp(text, "pid:", 4))
        r = take_pid(text + 4, &ref, e);
    else if (!strncmp(text, "ns:", 3))
        r = take_ns(text + 3, &ref, e);
    else
        r = take_name(text + (text[0] == '/'), ref.name, e);
    if (r == 0)
        *out = ref;
    return r;
}

void pmq_ref_format(const struct pmq_ref *ref, char out[PMQ_REF_SIZE])
{
    switch (ref->kind) {
    case PMQ_REF_NAME:
        snprintf(out, PMQ_REF_SIZE, "%s", ref->name);
        break;
    case PMQ_REF_PID_FD:
        snprintf(out, PMQ_REF_SIZE, "pid:%d:%d", (int)ref->pid, ref->fd);
        break;
    case PMQ_REF_PID_NAME:
        snprintf(out, PMQ_REF_SIZE, "pid:%d:%s", (int)ref->pid, ref->name);
        break;
    case PMQ_REF_NS_NAME:
        snprintf(out, PMQ_REF_SIZE, "ns:%s:%s", ref->path, ref->name);
        break;
    }
}
