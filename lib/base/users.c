/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of users and groups, from the system's databases or from the files alone. */
#include "users.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"

#ifdef IPCBOX_STATIC

/* Finds the entry of @name, or of @uid if @name is NULL. */
static const struct passwd *find_user(const char *name, uint32_t uid)
{
    _cleanup_(fclosep) FILE *f = fopen("/etc/passwd", "re");
    const struct passwd *pw;

    while (f && (pw = fgetpwent(f)))
        if (name ? !strcmp(pw->pw_name, name) : pw->pw_uid == uid)
            return pw;
    return NULL;
}

static const struct group *find_group(const char *name)
{
    _cleanup_(fclosep) FILE *f = fopen("/etc/group", "re");
    const struct group *gr;

    while (f && (gr = fgetgrent(f)))
        if (!strcmp(gr->gr_name, name))
            return gr;
    return NULL;
}

#else

static const struct passwd *find_user(const char *name, uint32_t uid)
{
    return name ? getpwnam(name) : getpwuid(uid);
}

static const struct group *find_group(const char *name)
{
    return getgrnam(name);
}

#endif

void user_name(uint32_t uid, char *out, size_t size)
{
    const struct passwd *pw = find_user(NULL, uid);

    if (pw)
        snprintf(out, size, "%s", pw->pw_name);
    else
        snprintf(out, size, "%" PRIu32, uid);
}

int user_by_name(const char *name, uint32_t *ret)
{
    const struct passwd *pw = find_user(name, 0);

    if (!pw)
        return -ENOENT;
    *ret = pw->pw_uid;
    return 0;
}

int group_by_name(const char *name, uint32_t *ret)
{
    const struct group *gr = find_group(name);

    if (!gr)
        return -ENOENT;
    *ret = gr->gr_gid;
    return 0;
}
