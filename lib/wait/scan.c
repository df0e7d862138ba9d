/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the machine: processes with their threads and descriptors, then the unix sockets of each
 * network namespace that was found. Processes that end meanwhile are left out; those that may not
 * be inspected are marked as hidden.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "array.h"
#include "buf.h"
#include "cleanup.h"
#include "diag.h"
#include "fileio.h"
#include "look.h"
#include "macros.h"
#include "scan.h"

enum {
    TEXT_MAX = 1 << 20,
    LISTENING = 10, /* TCP_LISTEN of net/tcp_states.h, which unix sockets share */
};

/* ---- control groups ---- */

static bool is_frozen(const struct graph *g, const char *cgroup)
{
    _cleanup_(buf_done) struct buf path = BUF_INIT, text = BUF_INIT;

    if (!g->cgroup_mount)
        return false;
    buf_printf(&path, "%s%s/cgroup.events", g->cgroup_mount, cgroup);
    if (buf_error(&path) || file_read(AT_FDCWD, buf_str(&path), TEXT_MAX, &text) < 0)
        return false;
    return strstr(buf_str(&text), "frozen 1") != NULL;
}

/* The path in the unified hierarchy ("0::/…"), else in the first line; "" where there is none. */
static char *cgroup_of(const struct graph *g, pid_t pid)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    const char *line, *at;
    char path[32];

    snprintf(path, sizeof(path), "%d/cgroup", (int)pid);
    if (file_read(g->proc, path, TEXT_MAX, &text) < 0)
        return strdup("");
    line = strstr(buf_str(&text), "0::/");
    if (!line)
        line = buf_str(&text);
    at = strchr(line, '/');
    return at ? strndup(at, strcspn(at, "\n")) : strdup("");
}

/* Consecutive processes are often in the same control group. */
int scan_add_cgroup(struct graph *g, pid_t pid, uint64_t key, uint32_t *out)
{
    char *path;
    struct cgroup *c;

    for (size_t i = g->n_cgroups; key && i-- > 0;)
        if (g->cgroups[i].key == key) {
            *out = (uint32_t)i;
            return 0;
        }
    path = cgroup_of(g, pid);
    if (!path)
        return -ENOMEM;
    for (size_t i = g->n_cgroups; !key && i-- > 0;)
        if (!strcmp(g->cgroups[i].path, path)) {
            free(path);
            *out = (uint32_t)i;
            return 0;
        }
    c = ARRAY_MORE(g->cgroups, g->n_cgroups, g->cgroups_room);
    if (!c) {
        free(path);
        return -ENOMEM;
    }
    *c = (struct cgroup){.key = key, .path = path, .frozen = is_frozen(g, path)};
    *out = (uint32_t)g->n_cgroups - 1;
    return 0;
}

int scan_add_system(struct scan *s, uint64_t dev, bool queues)
{
    struct file_system *at = ARRAY_MORE(s->systems, s->n_systems, s->systems_room);

    if (!at)
        return -ENOMEM;
    *at = (struct file_system){dev, queues};
    return 0;
}

static int on_mount(const struct proc_mount *m, void *ctx)
{
    struct scan *s = ctx;

    if (!major(m->dev) && scan_add_system(s, m->dev, !strcmp(m->type, "mqueue")) < 0)
        return -ENOMEM;
    if (s->g->cgroup_mount || strcmp(m->type, "cgroup2") || strcmp(m->root, "/"))
        return 0;
    s->g->cgroup_mount = strdup(m->point);
    return s->g->cgroup_mount ? 0 : -ENOMEM;
}

/* Notes the network namespace of a process, whose sockets are listed later. */
int scan_add_net(struct scan *s, pid_t pid, uint64_t inode)
{
    uint64_t *seen;
    int fd, *at;

    if (!inode && proc_ns(s->g->proc, pid, "net", &inode) < 0)
        return 0;
    for (size_t i = 0; i < s->n_net; i++)
        if (s->net_seen[i] == inode)
            return 0;
    seen = ARRAY_MORE(s->net_seen, s->n_net, s->net_room);
    if (!seen)
        return -ENOMEM;
    *seen = inode;
    fd = proc_ns_open(s->g->proc, pid, "net");
    if (fd < 0)
        return 0;
    at = ARRAY_MORE(s->net_fds, s->n_fds, s->fds_room);
    if (!at) {
        close(fd);
        return -ENOMEM;
    }
    *at = fd;
    return 0;
}

/* ---- sockets ---- */

/* Returns the name as a string: zero bytes of an abstract name become '@'. */
static char *name_of(const struct diag_socket *d)
{
    bool abstract = d->name_len && !d->name[0];
    size_t n = abstract ? d->name_len : strnlen(d->name ? d->name : "", d->name_len);
    char *name = malloc(n + 1);

    for (size_t i = 0; name && i < n; i++)
        name[i] = abstract && !d->name[i] ? '@' : d->name[i];
    if (name)
        name[n] = '\0';
    return name;
}

static int on_socket(const struct diag_socket *d, void *ctx)
{
    struct graph *g = ctx;
    struct socket *at;

    if (!d->inode)
        return 0;
    at = ARRAY_MORE(g->sockets, g->n_sockets, g->sockets_room);
    if (!at)
        return -ENOMEM;
    *at = (struct socket){
        .inode = d->inode,
        .peer = d->peer,
        .file = d->vfs_inode,
        .type = d->type,
        .listens = d->state == LISTENING,
        .name = d->name_len ? name_of(d) : NULL,
    };
    if (d->name_len && !at->name)
        return -ENOMEM;
    for (size_t i = 0; i < d->n_clients; i++) {
        struct unaccepted *u = ARRAY_MORE(g->unaccepted, g->n_unaccepted, g->unaccepted_room);

        if (!u)
            return -ENOMEM;
        *u = (struct unaccepted){.client = d->clients[i], .listener = d->inode};
    }
    return 0;
}

static int scan_sockets(struct scan *s, struct err *e)
{
    int r = diag_visit(-1, on_socket, s->g, e);
    uint64_t own = 0;

    (void)proc_ns(s->g->proc, PROC_SELF, "net", &own);
    /*
     * Sockets of a namespace that may not be entered are not found; those who wait for them count
     * as live.
     */
    for (size_t i = 0; r == 0 && i < s->n_fds; i++) {
        struct stat st;

        if (fstat(s->net_fds[i], &st) == 0 && st.st_ino != own &&
            diag_visit(s->net_fds[i], on_socket, s->g, NULL) == -ENOMEM)
            r = -ENOMEM;
    }
    return r;
}

/* ---- indexes ---- */

static int by_pid(const void *a, const void *b)
{
    const struct process *x = a, *y = b;

    return (x->pid > y->pid) - (x->pid < y->pid);
}

static int by_inode(const void *a, const void *b)
{
    const struct socket *x = a, *y = b;

    return (x->inode > y->inode) - (x->inode < y->inode);
}

static int by_client(const void *a, const void *b)
{
    const struct unaccepted *x = a, *y = b;

    return (x->client > y->client) - (x->client < y->client);
}

static int compare_objects(const struct descriptor *x, const struct descriptor *y)
{
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    return (x->inode > y->inode) - (x->inode < y->inode);
}

static int by_object(const void *a, const void *b, void *ctx)
{
    const struct graph *g = ctx;

    return compare_objects(&g->fds[*(const uint32_t *)a], &g->fds[*(const uint32_t *)b]);
}

static int sort_descriptors(struct graph *g)
{
    free(g->by_object);
    g->by_object = calloc(g->n_fds + 1, sizeof(*g->by_object));
    if (!g->by_object)
        return -ENOMEM;
    for (size_t i = 0; i < g->n_fds; i++)
        g->by_object[i] = (uint32_t)i;
    qsort_r(g->by_object, g->n_fds, sizeof(*g->by_object), by_object, g);
    return 0;
}

static void sort_some(void *v, size_t n, size_t size, int (*compare)(const void *, const void *))
{
    if (n)
        array_sort(v, n, size, compare);
}

const uint32_t *graph_holders(const struct graph *g, enum descriptor_kind kind, uint64_t dev,
                              uint64_t inode, size_t *n)
{
    const struct descriptor key = {.kind = kind, .dev = dev, .inode = inode};
    size_t low = 0, high = g->n_fds;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare_objects(&g->fds[g->by_object[middle]], &key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (high = low; high < g->n_fds && !compare_objects(&g->fds[g->by_object[high]], &key);)
        high++;
    *n = high - low;
    return g->by_object + low;
}

struct process *graph_process(const struct graph *g, pid_t pid)
{
    const struct process key = {.pid = pid};

    return g->n_processes ? bsearch(&key, g->processes, g->n_processes, sizeof(key), by_pid) : NULL;
}

struct socket *graph_socket(const struct graph *g, uint64_t inode)
{
    const struct socket key = {.inode = inode};

    return g->n_sockets ? bsearch(&key, g->sockets, g->n_sockets, sizeof(key), by_inode) : NULL;
}

uint64_t graph_listener_of(const struct graph *g, uint64_t client)
{
    const struct unaccepted key = {.client = client};
    const struct unaccepted *u = g->n_unaccepted ? bsearch(&key, g->unaccepted, g->n_unaccepted,
                                                           sizeof(key), by_client)
                                                 : NULL;

    return u ? u->listener : 0;
}

size_t graph_thread(const struct graph *g, pid_t tid)
{
    for (size_t i = 0; i < g->n_threads; i++)
        if (g->threads[i].tid == tid)
            return i;
    return NO_THREAD;
}

struct descriptor *graph_fd(const struct graph *g, const struct thread *t, uint64_t fd)
{
    const struct process *p = &g->processes[t->process];
    struct descriptor *found = NULL;

    for (size_t i = p->first_fd; i < p->first_fd + p->n_fds; i++) {
        struct descriptor *d = &g->fds[i];

        if ((uint64_t)d->fd != fd)
            continue;
        if (d->table == t->tid)
            return d;
        if (!found || d->table == p->pid)
            found = d;
    }
    return found;
}

/* ---- the whole scan ---- */

/*
 * /proc lists processes nearly in the order of their numbers; a reused number may break the order.
 */
static void sort_processes(struct graph *g)
{
    bool sorted = true;

    for (size_t i = 1; i < g->n_processes; i++)
        sorted = sorted && g->processes[i - 1].pid < g->processes[i].pid;
    if (sorted)
        return;
    array_sort(g->processes, g->n_processes, sizeof(*g->processes), by_pid);
    for (size_t i = 0; i < g->n_processes; i++) {
        const struct process *p = &g->processes[i];

        for (size_t k = 0; k < p->n_fds; k++)
            g->fds[p->first_fd + k].process = (uint32_t)i;
        for (size_t k = 0; k < p->n_threads; k++)
            g->threads[p->first_thread + k].process = (uint32_t)i;
    }
}

static int scan_all(struct scan *s, const struct graph_bpf *bpf, struct err *e)
{
    struct graph *g = s->g;
    int r = proc_visit_mounts(g->proc, PROC_SELF, on_mount, s);

    (void)proc_ns(g->proc, PROC_SELF, "ipc", &g->own_ipc);
    g->own_cgroup = cgroup_of(g, getpid());
    if (r == -ENOMEM || !g->own_cgroup)
        return -ENOMEM;
    r = bpf ? scan_bpf(bpf, s, e) : scan_proc(s);
    if (r < 0)
        return r;
    sort_processes(g);
    for (size_t i = 0; i < g->n_processes; i++) {
        struct process *parent = graph_process(g, g->processes[i].parent);

        if (parent)
            parent->is_parent = true;
    }
    r = scan_sockets(s, e);
    sort_some(g->sockets, g->n_sockets, sizeof(*g->sockets), by_inode);
    sort_some(g->unaccepted, g->n_unaccepted, sizeof(*g->unaccepted), by_client);
    return r < 0 ? r : sort_descriptors(g);
}

int graph_scan(struct graph *g, const struct graph_bpf *bpf, struct err *e)
{
    struct scan s = {.g = g};
    int r;

    *g = (struct graph){.proc = proc_open(NULL)};
    if (g->proc < 0)
        return err_set(e, g->proc, "mount -t proc proc /proc", "cannot open /proc: %s",
                       err_text(NULL, g->proc));
    r = scan_all(&s, bpf, e);
    for (size_t i = 0; i < s.n_fds; i++)
        close(s.net_fds[i]);
    free(s.net_fds);
    free(s.net_seen);
    free(s.systems);
    return r;
}

void graph_done(struct graph *g)
{
    for (size_t i = 0; i < g->n_sockets; i++)
        free(g->sockets[i].name);
    for (size_t i = 0; i < g->n_cgroups; i++)
        free(g->cgroups[i].path);
    for (size_t i = 0; i < g->n_alternatives; i++)
        free(g->alternatives[i].name);
    graph_buses_done(g);
    free(g->own_cgroup);
    free(g->cgroup_mount);
    free(g->processes);
    free(g->threads);
    free(g->fds);
    free(g->by_object);
    free(g->sockets);
    free(g->unaccepted);
    free(g->cgroups);
    free(g->alternatives);
    free(g->wakers);
    free(g->locks);
    free(g->queues);
    if (g->proc > 0)
        close(g->proc);
}
