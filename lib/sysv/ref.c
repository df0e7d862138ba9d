/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How a user names a System V queue: sysv:ID, key:0xKEY, and both in a process's IPC namespace. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "macros.h"
#include "parse.h"
#include "sysv.h"

static const char form[] = "a System V queue is sysv:ID or key:0xKEY, as ipcs -q shows them, or "
                           "pid:PID:sysv:ID";

/* What stands behind "pid:PID:", or the whole text. */
static const char *behind_pid(const char *text)
{
    const char *colon = strncmp(text, "pid:", 4) ? NULL : strchr(text + 4, ':');

    return colon ? colon + 1 : text;
}

static bool has_prefix(const char *text)
{
    return !strncmp(text, "sysv:", 5) || !strncmp(text, "key:", 4);
}

bool sysv_ref_is(const char *text)
{
    return has_prefix(behind_pid(text));
}

static int take_pid(const char *text, const char *end, pid_t *out, struct err *e)
{
    char number[24];
    uint64_t v;

    snprintf(number, sizeof(number), "%.*s", (int)MIN(end - text, (ptrdiff_t)sizeof(number)), text);
    if (parse_u64_max(number, INT_MAX, &v) < 0 || v == 0)
        return err_set(e, -EINVAL, form, "the process is no number from 1 to %d", INT_MAX);
    *out = (pid_t)v;
    return 0;
}

int sysv_ref_parse(const char *text, struct sysv_ref *out, struct err *e)
{
    const char *name = behind_pid(text);
    struct sysv_ref ref = {.by_key = !strncmp(name, "key:", 4), .id = -1};
    uint64_t v;
    int r = name == text ? 0 : take_pid(text + 4, name - 1, &ref.pid, e);

    if (r < 0)
        return r;
    if (!has_prefix(name))
        return err_set(e, -EINVAL, form, "it is none of System V");
    if (!ref.by_key) {
        if (parse_u64_max(name + 5, INT_MAX, &v) < 0)
            return err_set(e, -EINVAL, form, "the id is no number from 0 to %d", INT_MAX);
        ref.id = (int)v;
    } else {
        if (parse_u64_max(name + 4, UINT32_MAX, &v) < 0)
            return err_set(e, -EINVAL, form, "the key is no number from 0x1 to 0xffffffff");
        if (v == 0)
            return err_set(e, -EINVAL, "name it by its id: sysv:ID",
                           "key 0 (IPC_PRIVATE) is that of every queue without a key");
        ref.key = (uint32_t)v;
    }
    *out = ref;
    return 0;
}

void sysv_ref_format(const struct sysv_ref *ref, char out[SYSV_REF_SIZE])
{
    int n = ref->pid ? snprintf(out, SYSV_REF_SIZE, "pid:%d:", (int)ref->pid) : 0;

    if (ref->by_key)
        snprintf(out + n, (size_t)(SYSV_REF_SIZE - n), "key:0x%" PRIx32, ref->key);
    else
        snprintf(out + n, (size_t)(SYSV_REF_SIZE - n), "sysv:%d", ref->id);
}

void sysv_key_format(uint32_t key, char out[SYSV_KEY_SIZE])
{
    out[0] = '\0';
    if (key)
        snprintf(out, SYSV_KEY_SIZE, "0x%" PRIx32, key);
}
