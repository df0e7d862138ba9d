// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * BTF is a header, a run of type records of varying size, numbered from 1 in the order in which
 * they stand, and a run of strings. A record is found by its number through marks, the offset of
 * every 16th. Each record is checked once against the end of the run, when it is passed for the
 * first time; what is reached through a mark has been checked. Two thirds of the kernel's records
 * are functions, and most of these stand at the end: nothing is passed before it is asked for.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "kbtf.h"

enum {
    MARK_STEP = 16,
    MAX_TYPES = 1 << 22,   /* kernels have some 150,000 */
    MAX_BYTES = 256 << 20, /* of a BTF; a kernel with debug options has some 10 MiB */
    MAX_CLOSURE = 16384,   /* types in an extract */
    HUGE_PAGE = 2 << 20,
    NAME_BITS = 256,
};

struct kbtf {
    char *map;
    size_t map_len;
    const char *types;
    size_t types_len;
    const char *strs;
    size_t strs_len;
    uint32_t n;      /* records that have been passed, numbered 1 to n */
    size_t end;      /* where the next one stands */
    uint32_t *marks; /* of those passed */
};

typedef uint32_t kind_set;
#define KIND(k) (UINT32_C(1) << BTF_KIND_##k)

static const struct btf_type *type_at(const struct kbtf *b, size_t off)
{
    return (const struct btf_type *)(const void *)(b->types + off);
}

/* Bytes of a record: without its parts, and of each part. Zero for a kind that is not known. */
static const struct {
    uint8_t fixed;
    uint8_t part;
} kind_sizes[32] = {
    [BTF_KIND_INT] = {sizeof(struct btf_type) + sizeof(uint32_t), 0},
    [BTF_KIND_PTR] = {sizeof(struct btf_type), 0},
    [BTF_KIND_ARRAY] = {sizeof(struct btf_type) + sizeof(struct btf_array), 0},
    [BTF_KIND_STRUCT] = {sizeof(struct btf_type), sizeof(struct btf_member)},
    [BTF_KIND_UNION] = {sizeof(struct btf_type), sizeof(struct btf_member)},
    [BTF_KIND_ENUM] = {sizeof(struct btf_type), sizeof(struct btf_enum)},
    [BTF_KIND_FWD] = {sizeof(struct btf_type), 0},
    [BTF_KIND_TYPEDEF] = {sizeof(struct btf_type), 0},
    [BTF_KIND_VOLATILE] = {sizeof(struct btf_type), 0},
    [BTF_KIND_CONST] = {sizeof(struct btf_type), 0},
    [BTF_KIND_RESTRICT] = {sizeof(struct btf_type), 0},
    [BTF_KIND_FUNC] = {sizeof(struct btf_type), 0},
    [BTF_KIND_FUNC_PROTO] = {sizeof(struct btf_type), sizeof(struct btf_param)},
    [BTF_KIND_VAR] = {sizeof(struct btf_type) + sizeof(struct btf_var), 0},
    [BTF_KIND_DATASEC] = {sizeof(struct btf_type), sizeof(struct btf_var_secinfo)},
    [BTF_KIND_FLOAT] = {sizeof(struct btf_type), 0},
    [BTF_KIND_DECL_TAG] = {sizeof(struct btf_type) + sizeof(struct btf_decl_tag), 0},
    [BTF_KIND_TYPE_TAG] = {sizeof(struct btf_type), 0},
    [BTF_KIND_ENUM64] = {sizeof(struct btf_type), sizeof(struct btf_enum64)},
};

static size_t type_size(const struct btf_type *t)
{
    uint32_t kind = BTF_INFO_KIND(t->info);

    return kind_sizes[kind].fixed + (size_t)kind_sizes[kind].part * BTF_INFO_VLEN(t->info);
}

static const char *str_at(const struct kbtf *b, uint32_t off)
{
    return off < b->strs_len ? b->strs + off : "";
}

/*
 * sysfs lets BTF be mapped since 6.16. Before, it is read, 4 KiB a call: into huge pages, since
 * faulting in small ones takes as long again.
 */
static int read_whole(int fd, size_t len, char **map, size_t *map_len)
{
    size_t room = len + 2 * HUGE_PAGE, have = 0;
    char *p = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return -ENOMEM;
    madvise(p, room, MADV_HUGEPAGE);
    while (have < len) {
        ssize_t r = read(fd, p + have, len - have);

        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0) {
            int err = r < 0 ? -errno : -EBADMSG;

            munmap(p, room);
            return err;
        }
        have += (size_t)r;
    }
    *map = p;
    *map_len = room;
    return 0;
}

static int parse_header(struct kbtf *b, size_t len)
{
    const struct btf_header *h = (const struct btf_header *)(const void *)b->map;
    uint64_t types, strs;

    if (len < sizeof(*h) || h->magic != BTF_MAGIC || h->version != BTF_VERSION ||
        h->hdr_len < sizeof(*h))
        return -EBADMSG;
    types = (uint64_t)h->hdr_len + h->type_off;
    strs = (uint64_t)h->hdr_len + h->str_off;
    if (types % 4 || types + h->type_len > len || strs + h->str_len > len || !h->str_len)
        return -EBADMSG;
    b->types = b->map + types;
    b->types_len = h->type_len;
    b->strs = b->map + strs;
    b->strs_len = h->str_len;
    if (b->strs[b->strs_len - 1])
        return -EBADMSG;
    b->marks = calloc(b->types_len / sizeof(struct btf_type) / MARK_STEP + 2, sizeof(uint32_t));
    return b->marks ? 0 : -ENOMEM;
}

int kbtf_open(const char *path, struct kbtf **ret)
{
    _cleanup_(kbtf_closep) struct kbtf *b = calloc(1, sizeof(*b));
    _cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    int r;

    if (!b)
        return -ENOMEM;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size < (off_t)sizeof(struct btf_header) || st.st_size > MAX_BYTES)
        return -EBADMSG;
    b->map_len = (size_t)st.st_size;
    b->map = mmap(NULL, b->map_len, PROT_READ, MAP_PRIVATE, fd, 0);
    if (b->map == MAP_FAILED) {
        b->map = NULL;
        r = read_whole(fd, (size_t)st.st_size, &b->map, &b->map_len);
        if (r < 0)
            return r;
    }
    r = parse_header(b, (size_t)st.st_size);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(b);
    return 0;
}

void kbtf_close(struct kbtf *b)
{
    if (!b)
        return;
    if (b->map)
        munmap(b->map, b->map_len);
    free(b->marks);
    free(b);
}

void kbtf_closep(struct kbtf **b)
{
    kbtf_close(*b);
}

/* ---- searching ---- */

/* A set of names that says no quickly: three characters choose one of 256 bits. */
struct names {
    const char *const *v;
    size_t n;
    size_t sought; /* the first of them */
    uint64_t bits[NAME_BITS / 64];
};

static unsigned int name_bit(const char *s)
{
    unsigned int c = (unsigned char)s[0] * 5U;

    if (s[0] && s[1])
        c += (unsigned char)s[1] * 3U + (unsigned char)s[2] * 7U;
    return c % NAME_BITS;
}

static void names_init(struct names *w, const char *const *v, size_t n, size_t sought)
{
    *w = (struct names){.v = v, .n = n, .sought = sought};
    for (size_t i = 0; i < n; i++) {
        unsigned int bit = name_bit(v[i]);

        w->bits[bit / 64] |= UINT64_C(1) << bit % 64;
    }
}

/* Index of the name, or n. */
static size_t names_find(const struct names *w, const char *s)
{
    unsigned int bit = name_bit(s);
    size_t i = w->n;

    if (w->bits[bit / 64] >> bit % 64 & 1)
        for (i = 0; i < w->n && strcmp(w->v[i], s) != 0; i++)
            ;
    return i;
}

/* Goes past one more record. Return: 1; 0 when there is none; -EBADMSG. */
static int pass(struct kbtf *b)
{
    const struct btf_type *t = type_at(b, b->end);
    size_t left = b->types_len - b->end, size;

    if (left < sizeof(*t))
        return 0;
    size = type_size(t);
    if (!size || size > left || b->n + 1 >= MAX_TYPES)
        return -EBADMSG;
    b->n++;
    if (b->n % MARK_STEP == 0)
        b->marks[b->n / MARK_STEP] = (uint32_t)b->end;
    b->end += size;
    return 1;
}

/*
 * Over the records from the first on: sets in @ids the number of the first type of each name whose
 * kind is in @kinds. Forward declarations and empty enums define nothing and are passed over. Ends
 * when all that are sought have been found, or with the last record.
 */
static int walk(struct kbtf *b, kind_set kinds, const struct names *w, uint32_t *ids)
{
    size_t off = 0, sought = w->sought;

    for (uint32_t id = 1; sought; id++) {
        int r = id > b->n ? pass(b) : 1;
        const struct btf_type *t = type_at(b, off);

        if (r <= 0)
            return r;
        if (kinds >> BTF_INFO_KIND(t->info) & 1 && t->name_off) {
            size_t i = names_find(w, str_at(b, t->name_off));

            if (i < w->n && !ids[i] &&
                (BTF_INFO_VLEN(t->info) || BTF_INFO_KIND(t->info) == BTF_KIND_FUNC)) {
                ids[i] = id;
                sought -= i < w->sought;
            }
        }
        off += type_size(t);
    }
    return 0;
}

/* The record of a type; NULL for void and for numbers that do not exist. */
static const struct btf_type *type_by_id(struct kbtf *b, uint32_t id)
{
    size_t off;
    uint32_t steps;

    while (id > b->n)
        if (pass(b) <= 0)
            return NULL;
    if (!id)
        return NULL;
    off = b->marks[id / MARK_STEP];
    /* mark 0 is type 1: void has no record */
    steps = id < MARK_STEP ? id - 1 : id % MARK_STEP;
    while (steps--)
        off += type_size(type_at(b, off));
    return type_at(b, off);
}

static uint32_t find(struct kbtf *b, kind_set kinds, const char *name)
{
    struct names w;
    uint32_t id = 0;

    names_init(&w, &name, 1, 1);
    return walk(b, kinds, &w, &id) < 0 ? 0 : id;
}

uint32_t kbtf_func_id(struct kbtf *b, const char *name)
{
    return find(b, KIND(FUNC), name);
}

uint32_t kbtf_struct_id(struct kbtf *b, const char *name)
{
    return find(b, KIND(STRUCT), name);
}

/* ---- extracting ---- */

/* Types in the order in which they are written: @from their number in the source, 0 for "void *".
 */
struct extract {
    struct kbtf *b;
    uint32_t from[MAX_CLOSURE];
    uint32_t n;
    struct {
        uint32_t from;
        uint32_t to;
    } map[2 * MAX_CLOSURE];
    struct buf types;
    struct buf strs;
};

enum { VOID_POINTER = 1 };

/* The number that a type will have in the extract. Names and qualifiers of types are dropped. */
static int64_t extract_want(struct extract *x, uint32_t id)
{
    const struct btf_type *t;
    uint32_t slot;

    for (unsigned int depth = 0;; depth++) {
        t = type_by_id(x->b, id);
        if (!t)
            return id ? -EBADMSG : 0;
        if (depth > 64)
            return -EBADMSG;
        kind_set k = UINT32_C(1) << BTF_INFO_KIND(t->info);
        if (k & KIND(PTR))
            return VOID_POINTER;
        if (!(k & (KIND(TYPEDEF) | KIND(CONST) | KIND(VOLATILE) | KIND(RESTRICT) | KIND(TYPE_TAG))))
            break;
        id = t->type;
    }
    switch (BTF_INFO_KIND(t->info)) {
    case BTF_KIND_INT:
    case BTF_KIND_FLOAT:
    case BTF_KIND_ARRAY:
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
    case BTF_KIND_ENUM:
    case BTF_KIND_ENUM64:
        break;
    default:
        return 0; /* nothing that a structure holds by value */
    }
    slot = id * 2654435761U % ARRAY_SIZE(x->map);
    while (x->map[slot].from && x->map[slot].from != id)
        slot = (slot + 1) % (uint32_t)ARRAY_SIZE(x->map);
    if (x->map[slot].from)
        return x->map[slot].to;
    if (x->n + 1 >= MAX_CLOSURE)
        return -E2BIG;
    x->map[slot].from = id;
    x->map[slot].to = ++x->n;
    x->from[x->n] = id;
    return x->n;
}

static uint32_t extract_str(struct extract *x, uint32_t off)
{
    const char *s = str_at(x->b, off);
    size_t at = x->strs.len;

    if (!*s)
        return 0;
    buf_add(&x->strs, s, strlen(s) + 1);
    return (uint32_t)at;
}

/* Replaces a type number in a record that is being copied. */
static int extract_ref(struct extract *x, uint32_t *ref)
{
    int64_t to = extract_want(x, *ref);

    if (to < 0)
        return (int)to;
    *ref = (uint32_t)to;
    return 0;
}

static int extract_parts(struct extract *x, struct btf_type *d)
{
    uint32_t v = BTF_INFO_VLEN(d->info);
    void *parts = d + 1;
    int r = 0;

    switch (BTF_INFO_KIND(d->info)) {
    case BTF_KIND_ARRAY: {
        struct btf_array *a = parts;

        r = extract_ref(x, &a->type);
        if (r == 0)
            r = extract_ref(x, &a->index_type);
        break;
    }
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
        for (struct btf_member *m = parts; v-- && r == 0; m++) {
            m->name_off = extract_str(x, m->name_off);
            r = extract_ref(x, &m->type);
        }
        break;
    case BTF_KIND_ENUM:
        for (struct btf_enum *c = parts; v--; c++)
            c->name_off = extract_str(x, c->name_off);
        break;
    case BTF_KIND_ENUM64:
        for (struct btf_enum64 *c = parts; v--; c++)
            c->name_off = extract_str(x, c->name_off);
        break;
    default:
        break;
    }
    return r;
}

static int extract_run(struct extract *x, const uint32_t *ids, size_t n)
{
    struct btf_type pointer = {.info = BTF_KIND_PTR << 24};

    x->n = VOID_POINTER;
    buf_add(&x->types, &pointer, sizeof(pointer));
    buf_add_char(&x->strs, '\0');
    for (size_t i = 0; i < n; i++) {
        int64_t r = ids[i] ? extract_want(x, ids[i]) : 0;

        if (r < 0)
            return (int)r;
    }
    for (uint32_t i = VOID_POINTER + 1; i <= x->n; i++) {
        const struct btf_type *t = type_by_id(x->b, x->from[i]);
        size_t size = t ? type_size(t) : 0;
        struct btf_type *d = (struct btf_type *)(void *)buf_extend(&x->types, size);
        int r;

        if (!t || !d)
            return -ENOMEM;
        memcpy(d, t, size);
        d->name_off = extract_str(x, t->name_off);
        r = extract_parts(x, d);
        if (r < 0)
            return r;
    }
    return buf_error(&x->strs);
}

int kbtf_extract(struct kbtf *b, const char *const *names, size_t n, size_t sought, struct buf *out)
{
    _cleanup_(freep) uint32_t *ids = calloc(n + 1, sizeof(*ids));
    _cleanup_(freep) struct extract *x = calloc(1, sizeof(*x));
    struct btf_header h = {.magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(h)};
    struct names w;
    int r;

    if (!ids || !x)
        return -ENOMEM;
    names_init(&w, names, n, sought);
    r = walk(b, KIND(STRUCT) | KIND(UNION) | KIND(ENUM) | KIND(ENUM64), &w, ids);
    if (r < 0)
        return r;
    x->b = b;
    r = extract_run(x, ids, n);
    if (r == 0) {
        h.type_len = h.str_off = (uint32_t)x->types.len;
        h.str_len = (uint32_t)x->strs.len;
        buf_add(out, &h, sizeof(h));
        buf_add(out, x->types.data, x->types.len);
        buf_add(out, x->strs.data, x->strs.len);
        r = buf_error(out);
    }
    buf_done(&x->types);
    buf_done(&x->strs);
    return r;
}
