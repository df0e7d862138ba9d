/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How much memory there is for one more queue: in the machine, and in the caller's control group.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "limits_memory.h"
#include "out.h"
#include "parse.h"

/* The file names of the two versions of control groups. */
struct version {
    const char *root;
    const char *used;
    const char *max;
};

static uint64_t read_u64(const char *path)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    uint64_t v;

    if (file_read(AT_FDCWD, path, 64, &text) < 0 || !text.len)
        return OUT_UNKNOWN_U64;
    text.data[strcspn(text.data, "\n")] = '\0';
    return parse_u64(text.data, &v) < 0 ? OUT_UNKNOWN_U64 : v;
}

static uint64_t mem_available(void)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    unsigned long long kib;
    const char *line;

    if (file_read(AT_FDCWD, "/proc/meminfo", 64 << 10, &text) < 0)
        return OUT_UNKNOWN_U64;
    line = strstr(buf_str(&text), "MemAvailable:");
    return line && sscanf(line, "MemAvailable: %llu kB", &kib) == 1 ? kib * 1024 : OUT_UNKNOWN_U64;
}

/*
 * Reads the limits of the group and of its ancestors; the group with the least memory left counts.
 */
static void read_groups(const struct version *v, char *group, struct limits_memory *m)
{
    uint64_t least = UINT64_MAX;
    char *end;

    do {
        char path[512];
        uint64_t used, max;

        snprintf(path, sizeof(path), "%s%s/%s", v->root, group, v->used);
        used = read_u64(path);
        snprintf(path, sizeof(path), "%s%s/%s", v->root, group, v->max);
        max = read_u64(path); /* without a limit it is "max", or half the address space */
        if (used != OUT_UNKNOWN_U64 && max < INT64_MAX / 2 && max - MIN(used, max) < least) {
            least = max - MIN(used, max);
            m->group_used = used;
            m->group_max = max;
        }
        end = strrchr(group, '/');
        if (end)
            *end = '\0';
    } while (end);
}

void limits_memory_read(struct limits_memory *out)
{
    static const struct version v1 = {"/sys/fs/cgroup/memory", "memory.usage_in_bytes",
                                      "memory.limit_in_bytes"};
    static const struct version v2 = {"/sys/fs/cgroup", "memory.current", "memory.max"};
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    char *rest = NULL;

    *out = (struct limits_memory){mem_available(), OUT_UNKNOWN_U64, OUT_UNKNOWN_U64};
    if (file_read(AT_FDCWD, "/proc/self/cgroup", 64 << 10, &text) < 0 || !text.len)
        return;
    for (char *line = strtok_r(text.data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *group = strstr(line, ":/");

        if (!group)
            continue;
        *group++ = '\0';
        if (!strcmp(line, "0:"))
            read_groups(&v2, group, out);
        else if (strstr(line, ":memory"))
            read_groups(&v1, group, out);
    }
}
