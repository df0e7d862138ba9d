/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A small language for bus1. */
#include "bus_script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus1_abi.h"
#include "cleanup.h"
#include "macros.h"
#include "parse.h"
#include "script_words.h"

enum { NAME_SIZE = 64, LIST_MAX = 64 };

/* A named node or handle. A node that was made here has one name with the handle that its peer
 * keeps. */
struct entry {
    struct entry *next;
    char name[NAME_SIZE];
    uint64_t node;   /* BUS1_INVALID: none */
    uint64_t handle; /* likewise */
};

struct peer {
    struct peer *next;
    char name[NAME_SIZE];
    struct b1_client *client;
    struct entry *entries;
};

struct b1_script {
    struct b1_device dev;
    bool single;
    struct peer *peers;
    void (*message)(void *ctx, const struct b1_script_message *m);
    void (*name)(void *ctx, const struct b1_script_name *n);
    void *ctx;
};

int b1_script_new(const struct b1_device *dev, bool single,
                  void (*message)(void *ctx, const struct b1_script_message *m),
                  void (*name)(void *ctx, const struct b1_script_name *n), void *ctx,
                  struct b1_script **ret)
{
    struct b1_script *s = calloc(1, sizeof(*s));

    if (!s)
        return -ENOMEM;
    *s = (struct b1_script){
        .dev = *dev, .single = single, .message = message, .name = name, .ctx = ctx};
    *ret = s;
    return 0;
}

static void peer_free(struct peer *p)
{
    while (p->entries) {
        struct entry *t = p->entries;

        p->entries = t->next;
        free(t);
    }
    b1_client_close(p->client);
    free(p);
}

void b1_script_free(struct b1_script *s)
{
    while (s && s->peers) {
        struct peer *p = s->peers;

        s->peers = p->next;
        peer_free(p);
    }
    free(s);
}

static int name_check(const char *name, struct err *e)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";

    if (*name && strlen(name) < NAME_SIZE && strspn(name, good) == strlen(name))
        return 0;
    return err_set(e, -EINVAL, "letters, digits, _ and -, at most 63", "\"%s\" is not a name",
                   name);
}

static struct peer *peer_find(struct b1_script *s, const char *name, size_t n, struct err *e)
{
    struct peer *p;

    for (p = s->peers; p; p = p->next)
        if (strlen(p->name) == n && !memcmp(p->name, name, n))
            return p;
    err_set(e, -ENOENT, "peer NAME makes one", "there is no peer \"%.*s\"", (int)n, name);
    return NULL;
}

static struct entry *entry_find(struct peer *p, const char *name)
{
    struct entry *t = p->entries;

    while (t && strcmp(t->name, name))
        t = t->next;
    return t;
}

/* Splits PEER.NAME: finds the peer and returns the part after the dot. */
static const char *split(struct b1_script *s, const char *word, struct peer **peer, struct err *e)
{
    const char *dot = strchr(word, '.');

    if (!dot) {
        err_set(e, -EINVAL, "write PEER.NAME", "\"%s\" does not say of which peer", word);
        return NULL;
    }
    *peer = peer_find(s, word, (size_t)(dot - word), e);
    return *peer ? dot + 1 : NULL;
}

static struct entry *entry_get(struct b1_script *s, const char *word, struct peer **peer,
                               struct err *e)
{
    const char *name = split(s, word, peer, e);
    struct entry *t = name ? entry_find(*peer, name) : NULL;

    if (name && !t)
        err_set(e, -ENOENT, "names lists what there is", "%s has nothing called \"%s\"",
                (*peer)->name, name);
    return t;
}

static struct entry *handle_get(struct b1_script *s, const char *word, struct peer **peer,
                                struct err *e)
{
    struct entry *t = entry_get(s, word, peer, e);

    if (!t || t->handle != BUS1_INVALID)
        return t;
    err_set(e, -EINVAL, NULL, "%s is a node without a handle", word);
    return NULL;
}

/* Allocates an empty entry, which is not in the list yet. */
static struct entry *entry_new(struct peer *p, const char *name, struct err *e)
{
    struct entry *t;

    if (name_check(name, e) < 0)
        return NULL;
    if (entry_find(p, name)) {
        err_set(e, -EEXIST, NULL, "%s.%s exists", p->name, name);
        return NULL;
    }
    t = calloc(1, sizeof(*t));
    if (!t) {
        err_set(e, -ENOMEM, NULL, "out of memory");
        return NULL;
    }
    snprintf(t->name, sizeof(t->name), "%s", name);
    t->node = t->handle = BUS1_INVALID;
    return t;
}

static void entry_add(struct peer *p, struct entry *t)
{
    t->next = p->entries;
    p->entries = t;
}

/* Removes the entries that have neither a node nor a handle left. */
static void entries_sweep(struct peer *p)
{
    for (struct entry **at = &p->entries; *at;) {
        struct entry *t = *at;

        if (t->node != BUS1_INVALID || t->handle != BUS1_INVALID) {
            at = &t->next;
            continue;
        }
        *at = t->next;
        free(t);
    }
}

static int fail(struct err *e, int r, const char *what)
{
    if (e->code == 0)
        err_set(e, r, NULL, "%s: %s", what, b1_client_error(r));
    return r;
}

static int cmd_peer(struct b1_script *s, const struct b1_words *w, struct err *e)
{
    for (size_t i = 1; i < w->n; i++) {
        const char *name = w->v[i].s;
        struct peer *p;
        int r = name_check(name, e);

        if (r < 0)
            return r;
        for (p = s->peers; p; p = p->next)
            if (!strcmp(p->name, name))
                return err_set(e, -EEXIST, NULL, "peer \"%s\" exists", name);
        p = calloc(1, sizeof(*p));
        if (!p)
            return -ENOMEM;
        r = b1_client_open(&s->dev, s->single, &p->client);
        if (r < 0) {
            free(p);
            return fail(e, r, "cannot open a peer");
        }
        snprintf(p->name, sizeof(p->name), "%s", name);
        p->next = s->peers;
        s->peers = p;
    }
    return 0;
}

static int cmd_node(struct b1_script *s, const struct b1_words *w, struct err *e)
{
    for (size_t i = 1; i < w->n; i++) {
        struct peer *p;
        const char *name = split(s, w->v[i].s, &p, e);
        struct entry *t = name ? entry_new(p, name, e) : NULL;
        int r;

        if (!t)
            return e->code;
        r = b1_client_node(p->client, p->client, &t->node, &t->handle);
        if (r < 0) {
            free(t);
            return fail(e, r, "cannot make a node");
        }
        entry_add(p, t);
    }
    return 0;
}

/* give PEER.NAME PEER2 [as NAME2] */
static int cmd_give(struct b1_script *s, const struct b1_words *w, struct err *e)
{
    struct peer *from, *to;
    struct entry *h = handle_get(s, w->v[1].s, &from, e), *t;
    int r;

    if (w->n != 3 && (w->n != 5 || strcmp(w->v[3].s, "as")))
        return err_set(e, -EINVAL, NULL, "give PEER.NAME PEER [as NAME]");
    to = h ? peer_find(s, w->v[2].s, w->v[2].len, e) : NULL;
    t = to ? entry_new(to, w->n == 5 ? w->v[4].s : h->name, e) : NULL;
    if (!t)
        return e->code;
    r = b1_client_give(from->client, to->client, h->handle, &t->handle);
    if (r < 0) {
        free(t);
        return fail(e, r, "cannot give");
    }
    entry_add(to, t);
    return 0;
}

/* Parses a list of handles of one peer, joined by commas. */
static int handles_get(struct b1_script *s, char *word, struct peer **peer, uint64_t *ids,
                       size_t *n, struct err *e)
{
    char *save = NULL;

    for (char *one = strtok_r(word, ",", &save); one; one = strtok_r(NULL, ",", &save)) {
        struct peer *p;
        struct entry *t = handle_get(s, one, &p, e);

        if (!t)
            return e->code;
        if (*peer && *peer != p)
            return err_set(e, -EINVAL, NULL, "handles of two peers: %s and %s", (*peer)->name,
                           p->name);
        if (*n == LIST_MAX)
            return err_set(e, -EINVAL, NULL, "more than %d handles", LIST_MAX);
        *peer = p;
        ids[(*n)++] = t->handle;
    }
    return *n ? 0 : err_set(e, -EINVAL, NULL, "no handle is named");
}

/* send PEER.HANDLE[,…] DATA [with PEER.HANDLE,…] */
static int cmd_send(struct b1_script *s, const struct b1_words *w, struct err *e)
{
    uint64_t to[LIST_MAX], carry[LIST_MAX];
    size_t n = 0, n_carry = 0;
    struct peer *p = NULL;
    int r;

    if (w->n != 3 && (w->n != 5 || strcmp(w->v[3].s, "with")))
        return err_set(e, -EINVAL, "quote data that has blanks",
                       "send PEER.HANDLE[,…] DATA [with PEER.HANDLE[,…]]");
    r = handles_get(s, w->v[1].s, &p, to, &n, e);
    if (r == 0 && w->n == 5)
        r = handles_get(s, w->v[4].s, &p, carry, &n_carry, e);
    if (r < 0)
        return r;
    r = b1_client_send(p->client, to, n, w->v[2].s, w->v[2].len, carry, n_carry, e);
    return r < 0 ? fail(e, r, "cannot send") : 0;
}

/* Names the received handles: as the user's list says, else after their ids. */
static int name_received(struct peer *p, const struct b1_received *m, char **names,
                         struct buf *joined, struct err *e)
{
    for (size_t i = 0; i < m->n_transfers; i++) {
        char own[NAME_SIZE], *given = *names ? strsep(names, ",") : NULL;
        struct entry *t;

        snprintf(own, sizeof(own), "h%llu", (unsigned long long)m->transfers[i]);
        t = entry_new(p, given && *given ? given : own, e);
        if (!t)
            return e->code;
        t->handle = m->transfers[i];
        entry_add(p, t);
        buf_printf(joined, "%s%s.%s", i ? "," : "", p->name, t->name);
    }
    return buf_error(joined);
}

static const char *target_name(const struct peer *p, const struct b1_received *m)
{
    for (const struct entry *t = p->entries; t; t = t->next)
        if ((m->type == BUS1_MESSAGE_TYPE_NODE_RELEASE ? t->handle : t->node) == m->id)
            return t->name;
    return NULL;
}

static int recv_one(struct b1_script *s, struct peer *p, char **names, struct err *e)
{
    _cleanup_(buf_done) struct buf joined = BUF_INIT;
    struct b1_script_message out = {.peer = p->name};
    struct b1_received m;
    int r = b1_client_recv(p->client, &m, e), named;

    if (r < 0)
        return r;
    named = name_received(p, &m, names, &joined, e);
    out.type = m.type;
    out.target = target_name(p, &m);
    out.handles = joined.len ? buf_str(&joined) : NULL;
    out.m = &m;
    /* The message is off the queue: it is shown even if its handles could not be named. */
    s->message(s->ctx, &out);
    return named;
}

/* recv PEER [COUNT|all] [as NAME,…] */
static int cmd_recv(struct b1_script *s, const struct b1_words *w, struct err *e)
{
    struct peer *p = peer_find(s, w->v[1].s, w->v[1].len, e);
    bool as = w->n >= 4 && !strcmp(w->v[w->n - 2].s, "as");
    size_t n_words = as ? w->n - 2 : w->n;
    bool all = n_words == 3 && !strcmp(w->v[2].s, "all");
    char *names = as ? w->v[w->n - 1].s : NULL;
    uint64_t count = 1;
    int r;

    if (!p)
        return e->code;
    if (n_words > 3 || (n_words == 3 && !all && parse_u64(w->v[2].s, &count) < 0))
        return err_set(e, -EINVAL, NULL, "recv PEER [COUNT|all] [as NAME,…]");
    for (uint64_t i = 0; all || i < count; i++) {
        r = recv_one(s, p, &names, e);
        if (r == -EAGAIN && all)
            return 0;
        if (r == -EAGAIN)
            return err_set(e, r, NULL, "nothing waits for %s", p->name);
        if (r < 0)
            return fail(e, r, "cannot receive");
    }
    return 0;
}

/*
 * Releases @ids in one transaction. The RFC's code accepts one id at a time: there the node and the
 * handle that share one name are released one after the other, and several names are refused.
 */
static int release_ids(struct b1_script *s, struct peer *p, const uint64_t *ids, size_t n,
                       size_t n_names, struct err *e)
{
    int r;

    if (!s->single || n_names > 1)
        return b1_client_release(p->client, ids, n, e);
    for (size_t i = 0; i < n; i++) {
        r = b1_client_release(p->client, &ids[i], 1, e);
        if (r < 0)
            return r;
    }
    return 0;
}

/* release PEER.NAME… (all of one peer), or with @handles_only drop PEER.NAME… */
static int release(struct b1_script *s, const struct b1_words *w, bool handles_only, struct err *e)
{
    uint64_t ids[2 * B1_WORDS_MAX];
    struct entry *entries[B1_WORDS_MAX];
    struct peer *p = NULL;
    size_t n = 0;
    int r;

    for (size_t i = 1; i < w->n; i++) {
        struct peer *q;
        struct entry *t = entries[i] = entry_get(s, w->v[i].s, &q, e);

        if (!t)
            return e->code;
        if (p && p != q)
            return err_set(e, -EINVAL, NULL, "one transaction is about one peer");
        p = q;
        if (t->handle != BUS1_INVALID)
            ids[n++] = t->handle;
        if (t->node != BUS1_INVALID && !handles_only)
            ids[n++] = t->node;
    }
    if (!p)
        return -EINVAL;
    r = release_ids(s, p, ids, n, w->n - 1, e);
    if (r < 0)
        return fail(e, r, "cannot release");
    for (size_t i = 1; i < w->n; i++) {
        entries[i]->handle = BUS1_INVALID;
        if (!handles_only)
            entries[i]->node = BUS1_INVALID;
    }
    entries_sweep(p);
    return 0;
}

static int cmd_release(struct b1_script *s, const struct b1_words *w, struct err *e)
{
    return release(s, w, false, e);
}

static int cmd_drop(struct b1_script *s, const struct b1_words *w, struct err *e)
{
    return release(s, w, true, e);
}

static int cmd_close(struct b1_script *s, const struct b1_words *w, struct err *e)
{
    for (size_t i = 1; i < w->n; i++) {
        struct peer *p = peer_find(s, w->v[i].s, w->v[i].len, e), **at = &s->peers;

        if (!p)
            return e->code;
        while (*at != p)
            at = &(*at)->next;
        *at = p->next;
        peer_free(p);
    }
    return 0;
}

void b1_script_names(const struct b1_script *s,
                     void (*visit)(void *ctx, const struct b1_script_name *n), void *ctx)
{
    for (const struct peer *p = s->peers; p; p = p->next) {
        visit(ctx, &(struct b1_script_name){.peer = p->name});
        for (const struct entry *t = p->entries; t; t = t->next) {
            bool is_node = t->node != BUS1_INVALID;

            visit(ctx, &(struct b1_script_name){p->name, t->name, is_node,
                                                is_node ? t->node : t->handle});
        }
    }
}

static int cmd_names(struct b1_script *s, const struct b1_words *w _unused_, struct err *e _unused_)
{
    b1_script_names(s, s->name, s->ctx);
    return 0;
}

const struct b1_script_command b1_script_commands[] = {
    {"peer", "NAME…", "open peers"},
    {"node", "PEER.NAME…", "make nodes; the peer keeps a handle of the same name"},
    {"give", "PEER.NAME PEER [as NAME]", "pass a copy of a handle to another peer"},
    {"send", "PEER.HANDLE[,…] DATA [with PEER.HANDLE[,…]]",
     "send to one handle, or to several at once"},
    {"recv", "PEER [COUNT|all] [as NAME,…]", "receive; names for the handles that come along"},
    {"release", "PEER.NAME…", "release nodes and handles in one transaction"},
    {"drop", "PEER.NAME…", "release handles only: a node stays"},
    {"close", "PEER…", "close peers"},
    {"names", NULL, "what has a name"},
    {NULL, NULL, NULL},
};

/* In the order of b1_script_commands. */
static const struct {
    size_t min_words;
    int (*run)(struct b1_script *s, const struct b1_words *w, struct err *e);
} runners[] = {
    {2, cmd_peer},    {2, cmd_node}, {3, cmd_give},  {3, cmd_send},  {2, cmd_recv},
    {2, cmd_release}, {2, cmd_drop}, {2, cmd_close}, {1, cmd_names},
};

_Static_assert(ARRAY_SIZE(runners) + 1 == ARRAY_SIZE(b1_script_commands), "one for each command");

static int command(struct b1_script *s, const struct b1_words *w, struct err *e)
{
    for (size_t i = 0; i < ARRAY_SIZE(runners); i++) {
        if (strcmp(b1_script_commands[i].name, w->v[0].s))
            continue;
        if (w->n < runners[i].min_words)
            return err_set(e, -EINVAL, NULL, "%s %s", b1_script_commands[i].name,
                           b1_script_commands[i].args);
        return runners[i].run(s, w, e);
    }
    return err_set(e, -EINVAL, "peer, node, give, send, recv, release, drop, close, names",
                   "no command \"%s\"", w->v[0].s);
}

int b1_script_run(struct b1_script *s, const char *text, unsigned int *line, struct err *e)
{
    const char *p = text;

    while (*p) {
        _cleanup_(b1_words_done) struct b1_words w = {0};
        const char *start = p;
        int r = b1_words_next(&p, &w, e);

        if (r == 0 && w.n)
            r = command(s, &w, e);
        if (r < 0)
            return r;
        for (; start < p; start++)
            *line += *start == '\n';
        if (*p == '\n')
            ++*line;
        p += *p != '\0';
    }
    return 0;
}
