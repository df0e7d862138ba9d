/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waits in embedded channels: futexes in the shared memory of a channel's two files, whose tables
 * name the processes that may send and receive. Everything is read from the waiting process's
 * memory.
 *
 * Each wait of a channel has a timeout, because the waiter checks several times a second whether
 * the channel still exists. The waiter's entry says whether it goes on waiting, and counts the
 * messages that it has sent or received.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "chan_layout.h"
#include "cleanup.h"
#include "fileio.h"
#include "look.h"
#include "macros.h"

enum { MAPS_MAX = 16 << 20, PATH_SIZE = 4096 };

/* Where the two files are mapped in the process. */
struct place {
    uint64_t ctl;
    uint64_t inode;       /* of the control file */
    char path[PATH_SIZE]; /* of the data file */
    struct chan_ctl control;
    struct chan_ext ext;
};

/* A line of /proc/PID/maps: "START-END PERMS OFFSET DEV INODE   PATH". */
struct map_line {
    unsigned long start, end, offset, inode;
    const char *path;
};

static bool parse_line(const char *line, struct map_line *m)
{
    int at = 0;

    if (sscanf(line, "%lx-%lx %*s %lx %*s %lu %n", &m->start, &m->end, &m->offset, &m->inode,
               &at) != 4 ||
        !at)
        return false;
    m->path = line + at;
    return true;
}

/* Finds the mapping of the control file that contains the futex. */
static bool find_control(const struct look *l, char *maps, struct place *p)
{
    uint64_t word = l->t->call.args[0];
    char *line, *rest = maps;

    while ((line = strsep(&rest, "\n"))) {
        struct map_line m;
        size_t n;

        if (!parse_line(line, &m) || word < m.start || word >= m.end)
            continue;
        n = strlen(m.path);
        if (n < 5 || n >= PATH_SIZE || strcmp(m.path + n - 4, ".ctl"))
            return false;
        p->ctl = m.start - m.offset;
        p->inode = m.inode;
        memcpy(p->path, m.path, n - 4);
        p->path[n - 4] = '\0';
        return look_memory(l, p->ctl, &p->control, sizeof(p->control)) &&
               p->control.magic == CHAN_CTL_MAGIC && p->control.version == CHAN_VERSION;
    }
    return false;
}

/* Finds the table of senders, which begins at a page of its own at the end of the data file. */
static bool find_senders(const struct look *l, char *maps, struct place *p)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    char *line, *rest = maps;

    while ((line = strsep(&rest, "\n"))) {
        struct map_line m;

        if (!parse_line(line, &m) || strcmp(m.path, p->path))
            continue;
        for (uint64_t at = m.end - page; at > m.start && m.end - at <= 4 * page; at -= page)
            if (look_memory(l, at, &p->ext, sizeof(p->ext)) && p->ext.magic == CHAN_EXT_MAGIC &&
                p->ext.version == CHAN_VERSION)
                return true;
    }
    return false;
}

static bool find_place(const struct look *l, struct place *p)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT, again = BUF_INIT;
    char path[64];

    snprintf(path, sizeof(path), "%d/maps", (int)l->p->pid);
    if (file_read(l->g->proc, path, MAPS_MAX, &text) < 0 || !text.data)
        return false;
    buf_add(&again, text.data, text.len);
    buf_add_char(&again, '\0');
    return !buf_error(&again) && find_control(l, text.data, p) && find_senders(l, again.data, p);
}

static bool is_sender(const struct place *p, pid_t pid)
{
    for (size_t i = 0; i < CHAN_SENDERS; i++)
        if (p->ext.senders[i].pid == (uint32_t)pid)
            return true;
    return false;
}

static bool is_receiver(const struct place *p, pid_t pid)
{
    for (size_t i = 0; i < CHAN_SUBS; i++)
        if (p->control.subs[i].id && p->control.subs[i].pid == (uint32_t)pid)
            return true;
    return false;
}

/*
 * Finds the entry that the thread sleeps for, by its bit. Several entries of its process may match;
 * each of them must wait without a time limit. Return: the sum of what these have sent or received
 * so far, or UINT64_MAX when one of them has a time limit, or when they cannot be found.
 */
static uint64_t progress_of(const struct look *l, const struct place *p, bool receives)
{
    uint32_t bits = (uint32_t)l->t->call.args[5];
    uint64_t sum = UINT64_MAX;

    for (uint32_t i = 0; i < (receives ? CHAN_SUBS : CHAN_SENDERS); i++) {
        const struct chan_sub *sub = &p->control.subs[i];
        const struct chan_sender *sender = &p->ext.senders[i];
        bool forever = receives ? sub->forever : sender->forever;

        if ((receives ? sub->pid : sender->pid) != (uint32_t)l->p->pid || !(bits >> (i % 32) & 1) ||
            (receives && !sub->id))
            continue;
        if (!forever)
            return UINT64_MAX;
        sum = (sum == UINT64_MAX ? 0 : sum) +
              (receives ? sub->received + sub->lost + sub->head : sender->sent);
    }
    return sum;
}

/*
 * Adds all processes that have the channel open as wakers, except those that only do the same as
 * the thread.
 */
static void add_others(const struct look *l, const struct place *p, bool receives)
{
    const struct graph *g = l->g;

    for (size_t i = 0; i < g->n_fds; i++) {
        const struct descriptor *d = &g->fds[i];
        pid_t pid = g->processes[d->process].pid;
        bool sends = is_sender(p, pid), gets = is_receiver(p, pid);

        if (d->kind == FD_FILE && d->inode == p->inode &&
            (receives ? sends || !gets : gets || !sends))
            look_add_waker(l, d->process);
    }
}

static char *name_of(const struct place *p)
{
    _cleanup_(buf_done) struct buf name = BUF_INIT;

    buf_printf(&name, "channel %u", p->control.id);
    if (p->ext.name[0])
        buf_printf(&name, " %.*s", (int)sizeof(p->ext.name), p->ext.name);
    return buf_steal(&name);
}

static void explain(const struct look *l, const struct place *p, bool receives)
{
    uint64_t progress = progress_of(l, p, receives);

    l->t->name = receives ? "futex (receive)" : "futex (send)";
    l->t->direction = receives ? WAIT_RECV : WAIT_SEND;
    if (!look_add(l, WAIT_CHANNEL, 0, 0, -1))
        return;
    look_latest(l)->name = name_of(p);
    if (!look_latest(l)->name)
        l->g->error = -ENOMEM;
    if (!look_same_numbers(l) || progress == UINT64_MAX)
        look_live(l, "a timeout, or a channel of which little is known");
    l->t->switches = progress;
    l->t->switches_known = true;
    add_others(l, p, receives);
}

bool look_channel(const struct look *l)
{
    _cleanup_(freep) struct place *p = calloc(1, sizeof(*p));
    uint64_t offset;

    if (!p) {
        l->g->error = -ENOMEM;
        return false;
    }
    if (!find_place(l, p))
        return false;
    offset = l->t->call.args[0] - p->ctl;
    if (offset != offsetof(struct chan_ctl, rgen) && offset != offsetof(struct chan_ctl, wgen))
        return false;
    explain(l, p, offset == offsetof(struct chan_ctl, rgen));
    return true;
}
