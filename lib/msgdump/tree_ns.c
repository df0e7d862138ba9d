/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The namespaces of a process tree that is to be checkpointed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "proc.h"
#include "tree_internal.h"

bool msgdump_other_namespace(int proc, pid_t pid, const char *kind)
{
    uint64_t own, its;

    return proc_ns(proc, PROC_SELF, kind, &own) == 0 && proc_ns(proc, pid, kind, &its) == 0 &&
           own != its;
}

struct collect {
    struct msgdump_tree *tree;
    struct err *e;
};

/*
 * A configuration file of criu separates words by blanks, and a key ends at a bracket: such a mount
 * point cannot be written there.
 */
static bool has_no_key(const char *point)
{
    for (const char *p = point; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return true;
    return strpbrk(point, "[]\"'\\#") != NULL;
}

static int add_mount(const struct proc_mount *m, void *ctx)
{
    const struct collect *c = ctx;
    struct msgdump_tree *t = c->tree;
    char **v;

    if (strcmp(m->type, "mqueue") != 0)
        return 0;
    if (has_no_key(m->point))
        return err_set(c->e, -EINVAL, "mount it elsewhere",
                       "the queues are mounted at %s, which criu cannot be told", m->point);
    v = reallocarray(t->mounts, t->n_mounts + 1, sizeof(*v));
    if (!v)
        return -ENOMEM;
    t->mounts = v;
    v[t->n_mounts] = strdup(m->point);
    return v[t->n_mounts] ? (t->n_mounts++, 0) : -ENOMEM;
}

int msgdump_tree_mounts(int proc, struct msgdump_tree *t, struct err *e)
{
    struct collect c = {.tree = t, .e = e};

    if (!msgdump_other_namespace(proc, t->root, "mnt"))
        return 0;
    return proc_visit_mounts(proc, t->root, add_mount, &c);
}

int msgdump_tree_check(const struct msgdump_tree *t, struct err *e)
{
    struct msgdump_tree_sysv sysv;

    if (t->user_ns)
        return err_set(e, -EOPNOTSUPP, NULL,
                       "it has a user namespace of its own, in which its queues could not be made "
                       "again: they and its processes are left as they are");
    return msgdump_tree_sysv(t, &sysv, e);
}

int msgdump_tree_has_queues(const struct msgdump_tree *t, struct err *e)
{
    _cleanup_(pmq_set_freep) struct pmq_set *set = NULL;
    struct msgdump_tree_sysv sysv;
    int r;

    if (t->n || !t->ipc_ns)
        return t->n > 0;
    r = msgdump_tree_sysv(t, &sysv, e);
    if (sysv.n)
        return 1;
    if (r < 0)
        return r;
    r = pmq_scan(PMQ_SCAN_ALL_NAMESPACES, 0, &set, e);
    for (size_t i = 0; r == 0 && i < set->n; i++)
        if (set->v[i].ipc_ns == t->ipc_ns)
            return 1;
    return r;
}
