// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Loading with little BTF and many words. The kernel answers a missing capability with EINVAL and a
 * missing BTF with ENOENT or ESRCH, so what can be looked up is looked up before.
 */
#include "kbpf.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "caps.h"
#include "cleanup.h"
#include "fileio.h"
#include "kbtf.h"
#include "privileges.h"

enum { MAX_NAMES = 256, MAX_LOG = 64 << 10 /* bytes of libbpf's messages */ };

/* Where libbpf's messages go; one load at a time in a thread. */
static _Thread_local struct buf *log_to;

static int log_line(enum libbpf_print_level level, const char *fmt, va_list ap) _printf_(2, 0);
static int log_line(enum libbpf_print_level level, const char *fmt, va_list ap)
{
    _cleanup_(freep) char *text = NULL;
    int n;

    if (level != LIBBPF_WARN || !log_to || log_to->len > MAX_LOG)
        return 0;
    n = vasprintf(&text, fmt, ap);
    if (n < 0)
        return 0;
    /* Of what the verifier says the end matters. */
    buf_add_str(log_to, n > MAX_LOG ? text + n - MAX_LOG : text);
    return 0;
}

/* Whether nobody but root can have written it. */
static bool is_roots(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

/* Where the administrator puts the BTF of a kernel that carries none; NULL when there is no such
 * file. */
static const char *installed_btf(void)
{
    static _Thread_local char path[sizeof(KBTF_DIR) + sizeof(((struct utsname *)0)->release) + 8];
    struct utsname u;

    if (uname(&u) < 0 || strchr(u.release, '/'))
        return NULL;
    snprintf(path, sizeof(path), "%s/%s.btf", KBTF_DIR, u.release);
    return is_roots(KBTF_DIR) && is_roots(path) ? path : NULL;
}

/*
 * The BTF to relocate against. A file may be named for kernels that carry none, but not to a
 * program that has privileges of its own: wrong offsets read wrong memory.
 */
static const char *btf_source(void)
{
    const char *path = secure_getenv("IPCBOX_BTF");

    if (!path && !kbpf_has_btf())
        path = installed_btf();
    return path ? path : KBTF_PATH;
}

bool kbpf_is_root(void)
{
    return getuid() == 0 && geteuid() == 0 && caps_check_bpf(NULL) == 0;
}

/* ---- probing ---- */

static bool locked_down(void)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;

    return file_read(AT_FDCWD, "/sys/kernel/security/lockdown", 4096, &b) == 0 &&
           strstr(buf_str(&b), "[confidentiality]");
}

/* The words for a kernel that has the interface but would not take the program. */
static int refused(int r, const char *doing, struct err *e)
{
    if (r == -ENOSYS)
        return err_set(e, -EOPNOTSUPP, NULL, "this kernel is built without BPF");
    if (locked_down())
        return err_set(e, -EPERM, "boot without lockdown=confidentiality",
                       "%s: lockdown forbids BPF to read kernel memory", doing);
    if (r == -EPERM || r == -EACCES)
        return err_set(e, -EPERM, "run it where seccomp and security modules allow bpf(2)",
                       "%s: the kernel does not permit it in spite of the capabilities", doing);
    return err_set(e, -EOPNOTSUPP, NULL, "%s: the kernel refuses it (%s)", doing,
                   err_text(NULL, r));
}

static int probe_load(enum bpf_prog_type type, enum bpf_attach_type attach, uint32_t btf_id)
{
    /* r0 = 0; exit */
    const struct bpf_insn nothing[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
        {.code = BPF_JMP | BPF_EXIT},
    };
    LIBBPF_OPTS(bpf_prog_load_opts, o, .expected_attach_type = attach, .attach_btf_id = btf_id,
                .prog_flags = type == BPF_PROG_TYPE_SYSCALL ? BPF_F_SLEEPABLE : 0);

    return bpf_prog_load(type, "ipcbox_probe", "GPL", nothing, ARRAY_SIZE(nothing), &o);
}

static int probe_run(enum bpf_prog_type type)
{
    _cleanup_(closep) int fd = probe_load(type, 0, 0);
    LIBBPF_OPTS(bpf_test_run_opts, o);

    return fd < 0 ? fd : bpf_prog_test_run_opts(fd, &o);
}

/*
 * Programs that run on demand: Linux 5.14 has a type for them; before that a raw tracepoint's
 * program can be run by hand (5.10). IPCBOX_BPF_OLD, for tests, has the second also where there is
 * the first.
 */
static enum bpf_prog_type on_demand_type(int *why)
{
    static enum bpf_prog_type type;
    int r = secure_getenv("IPCBOX_BPF_OLD") ? -EINVAL : 0;

    if (!type && r == 0) {
        r = probe_run(BPF_PROG_TYPE_SYSCALL);
        type = r == 0 ? BPF_PROG_TYPE_SYSCALL : 0;
    }
    if (!type && r == -EINVAL) {
        r = probe_run(BPF_PROG_TYPE_RAW_TRACEPOINT);
        type = r == 0 ? BPF_PROG_TYPE_RAW_TRACEPOINT : 0;
    }
    *why = r;
    return type;
}

bool kbpf_is_old(void)
{
    int why;

    return on_demand_type(&why) == BPF_PROG_TYPE_RAW_TRACEPOINT;
}

bool kbpf_has_btf(void)
{
    return access(KBTF_PATH, R_OK) == 0;
}

/* Where programs of the section "syscall" have no type of their own libbpf loads them as the other.
 */
static void set_on_demand(void)
{
    static bool registered;

    if (!registered && kbpf_is_old())
        registered = libbpf_register_prog_handler("syscall", BPF_PROG_TYPE_RAW_TRACEPOINT, 0,
                                                  NULL) >= 0;
}

static int probe_on_demand(struct err *e)
{
    int r;

    if (on_demand_type(&r))
        return 0;
    if (r == -EINVAL && !locked_down())
        return err_set(e, -EOPNOTSUPP, "use Linux 5.10 or later",
                       "this kernel has no BPF programs that run on demand");
    return refused(r, "loading a BPF program", e);
}

/* Of a trampoline the kernel may refuse the attachment, too: try it on a function made for that. */
static int probe_trampoline(struct err *e)
{
    _cleanup_(kbtf_closep) struct kbtf *btf = NULL;
    _cleanup_(closep) int prog = -1, link = -1;
    uint32_t id;
    int r = kbtf_open(KBTF_PATH, &btf);

    if (r < 0)
        return refused(r, "reading the kernel's BTF", e);
    id = kbtf_func_id(btf, "bpf_fentry_test1");
    if (!id)
        return err_set(e, -EOPNOTSUPP, NULL, "this kernel has no function to try a trampoline on");
    prog = probe_load(BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY, id);
    if (prog < 0)
        return refused(prog, "loading a BPF trampoline (fentry)", e);
    link = bpf_raw_tracepoint_open(NULL, prog);
    return link < 0 ? refused(link, "attaching a BPF trampoline (fentry)", e) : 0;
}

static int check_btf(enum kbpf_kind kind, struct err *e)
{
    const char *path = kind == KBPF_TRAMPOLINE ? KBTF_PATH : btf_source();

    if (access(path, R_OK) == 0)
        return 0;
    return err_set(
        e, -EOPNOTSUPP,
        "use a kernel built with CONFIG_DEBUG_INFO_BTF, or put the BTF of this very kernel "
        "into " KBTF_DIR " (ipcbox btf --help)",
        "no BTF of the kernel: %s: %s", path, err_text(NULL, -errno));
}

static int probe(enum kbpf_kind kind, struct err *e)
{
    int r = check_btf(kind, e);

    if (r < 0)
        return r;
    return kind == KBPF_TRAMPOLINE ? probe_trampoline(e) : probe_on_demand(e);
}

int kbpf_probe(enum kbpf_kind kind, struct err *e)
{
    uint64_t raised;
    int r = caps_check_bpf(e);

    if (r < 0)
        return r;
    raised = caps_raise_bpf();
    libbpf_set_print(log_line);
    r = probe(kind, e);
    caps_lower_bpf(raised);
    return r;
}

uint64_t kbpf_privileges(void)
{
    return caps_bpf();
}

uint64_t kbpf_privileges_loaded(void)
{
    union bpf_attr attr = {.info.bpf_fd = UINT32_MAX};
    uint64_t bpf = caps_bpf();
    struct privileges p, less;
    bool refused_without;

    if (privileges_get(&p) < 0)
        return bpf;
    less = p;
    less.effective &= ~bpf;
    if (privileges_set(&less) < 0)
        return bpf;
    /* Before Linux 5.19 every call took them where kernel.unprivileged_bpf_disabled is set. */
    refused_without = syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) < 0 &&
                      errno == EPERM;
    privileges_set(&p);
    return refused_without ? bpf : 0;
}

/* ---- loading ---- */

int kbpf_begin(struct kbpf *k, enum kbpf_kind kind, struct err *e)
{
    int r = caps_check_bpf(e);

    if (r < 0)
        return r;
    r = check_btf(kind, e);
    if (r < 0)
        return r;
    k->btf_fd = memfd_create("ipcbox-btf", MFD_CLOEXEC);
    if (k->btf_fd < 0)
        return err_set(e, -errno, NULL, "cannot make a file in memory: %s", err_text(NULL, -errno));
    snprintf(k->btf_path, sizeof(k->btf_path), "/proc/self/fd/%d", k->btf_fd);
    k->raised = caps_raise_bpf();
    libbpf_set_print(log_line);
    log_to = &k->log;
    set_on_demand();
    return 0;
}

const char *kbpf_btf_path(const struct kbpf *k)
{
    return k->btf_path;
}

/* "inode___old" names a flavour of "inode": what follows the three underscores is ours. */
static char *plain_name(const char *name)
{
    const char *flavour = strstr(name, "___");

    return flavour && flavour != name ? strndup(name, (size_t)(flavour - name)) : strdup(name);
}

static void names_free(char ***names)
{
    for (char **n = *names; n && *n; n++)
        free(*n);
    free(*names);
}

/* Marks what a type of the object is or holds by value. */
static void mark_held(const struct btf *btf, uint32_t id, bool *held)
{
    const struct btf_type *t = btf__type_by_id(btf, id);

    if (!id || held[id])
        return;
    held[id] = true;
    if (btf_is_array(t))
        mark_held(btf, btf_array(t)->type, held);
    else if (btf_is_mod(t) || btf_is_typedef(t) || btf_is_var(t))
        mark_held(btf, t->type, held);
    else if (btf_is_composite(t))
        for (uint32_t i = 0; i < btf_vlen(t); i++)
            mark_held(btf, btf_members(t)[i].type, held);
}

static bool has_name(char *const *names, size_t n, const char *name)
{
    while (n > 0)
        if (!strcmp(names[--n], name))
            return true;
    return false;
}

/* Adds the names of the types that are held by variables, or of those that are not. */
static int add_names(const struct btf *btf, const bool *held, bool want_held, char **names,
                     size_t *n)
{
    for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
        const struct btf_type *t = btf__type_by_id(btf, id);
        const char *name = btf__name_by_offset(btf, t->name_off);
        _cleanup_(freep) char *plain = NULL;

        if (!(btf_is_composite(t) || btf_is_any_enum(t)) || !name || !*name ||
            held[id] != want_held)
            continue;
        plain = plain_name(name);
        if (!plain)
            return -ENOMEM;
        if (has_name(names, *n, plain))
            continue;
        if (*n == MAX_NAMES)
            return -E2BIG;
        names[(*n)++] = TAKE_PTR(plain);
    }
    return 0;
}

/*
 * Every type that the object could relocate against, ended by NULL; in front the @sought that are
 * the kernel's. What variables hold is the object's own, and would be looked for to the end in
 * vain.
 */
static int object_names(const struct bpf_object *obj, char ***ret, size_t *n, size_t *sought)
{
    const struct btf *btf = bpf_object__btf(obj);
    _cleanup_(names_free) char **names = calloc(MAX_NAMES + 1, sizeof(*names));
    _cleanup_(freep) bool *held = calloc(btf ? btf__type_cnt(btf) : 1, sizeof(*held));
    size_t have = 0;
    int r;

    if (!names || !held)
        return -ENOMEM;
    if (!btf)
        return -EBADMSG;
    for (uint32_t id = 1; id < btf__type_cnt(btf); id++)
        if (btf_is_var(btf__type_by_id(btf, id)))
            mark_held(btf, id, held);
    r = add_names(btf, held, false, names, &have);
    *sought = have;
    if (r == 0)
        r = add_names(btf, held, true, names, &have);
    if (r < 0)
        return r;
    *n = have;
    *ret = TAKE_PTR(names);
    return 0;
}

static int write_small_btf(const struct kbpf *k, const struct bpf_object *obj)
{
    _cleanup_(names_free) char **names = NULL;
    _cleanup_(kbtf_closep) struct kbtf *btf = NULL;
    _cleanup_(buf_done) struct buf small = BUF_INIT;
    size_t n = 0, sought = 0;
    int r = object_names(obj, &names, &n, &sought);

    if (r < 0)
        return r;
    r = kbtf_open(btf_source(), &btf);
    if (r < 0)
        return r;
    r = kbtf_extract(btf, (const char *const *)names, n, sought, &small);
    return r < 0 ? r : file_write_all(k->btf_fd, small.data, small.len);
}

/* The slow way: the whole BTF, under the name that libbpf has already been given. */
static int use_whole_btf(const struct kbpf *k)
{
    _cleanup_(closep) int fd = open(btf_source(), O_RDONLY | O_CLOEXEC);

    return fd < 0 || dup3(fd, k->btf_fd, O_CLOEXEC) < 0 ? -errno : 0;
}

/*
 * The line that tells most. What the verifier says stands between two marks; its last line but for
 * the statistics is why it refused. Without that, libbpf's first complaint is the cause, from which
 * the others follow.
 */
static const char *telling_line(const char *log, size_t *n)
{
    const char *begin = strstr(log, "BEGIN PROG LOAD LOG"), *end, *line, *best = NULL;

    end = begin ? strstr(begin, "END PROG LOAD LOG") : NULL;
    for (line = begin ? strchr(begin, '\n') : NULL; line && end && ++line < end;
         line = strchr(line, '\n'))
        if (*line != '\n' && *line != '-' && strncmp(line, "processed ", 10) != 0 &&
            strncmp(line, "verification time ", 18) != 0 && strncmp(line, "stack depth ", 12) != 0)
            best = line;
    if (!best) {
        best = strstr(log, "libbpf: ");
        best = best ? best + strlen("libbpf: ") : "";
    }
    *n = MIN(strcspn(best, "\n"), (size_t)200);
    return best;
}

/* Whether a kernel says there that it has no such BPF function or kind of map. */
static bool is_too_old(int r, const char *line, size_t n)
{
    static const char *const marks[] = {"invalid func ", "unknown func ", "bpf_create_map",
                                        "failed to create"};

    for (size_t i = 0; r == -EINVAL && i < ARRAY_SIZE(marks); i++)
        if (memmem(line, n, marks[i], strlen(marks[i])))
            return true;
    return false;
}

int kbpf_explain(const struct kbpf *k, int r, const char *doing, struct err *e)
{
    const char *line;
    size_t n;

    if (locked_down() || r == -EPERM || r == -EACCES || r == -ENOSYS) {
        refused(r, doing, e);
        return r;
    }
    if (r == -ENOMEM)
        return err_set(e, r, NULL, "%s: out of memory", doing);
    line = telling_line(buf_str(&k->log), &n);
    if (is_too_old(r, line, n))
        return err_set(e, -EOPNOTSUPP, "use a newer kernel",
                       "%s: this kernel lacks what they need: %.*s", doing, (int)n, line);
    return err_set(e, r, NULL, "%s: %s%s%.*s", doing, err_text(NULL, r), n ? ": " : "", (int)n,
                   line);
}

/* libbpf maps the variables of a program only where its own test for that succeeds. */
static bool has_memory(const struct bpf_object_skeleton *s)
{
    for (int i = 0; i < s->map_cnt; i++) {
        const struct bpf_map_skeleton *m = (const void *)((const char *)s->maps +
                                                          (size_t)i * (size_t)s->map_skel_sz);

        if (m->mmaped && !*m->mmaped)
            return false;
    }
    return true;
}

int kbpf_load(struct kbpf *k, struct bpf_object_skeleton *s, struct err *e)
{
    int r = s ? write_small_btf(k, *s->obj) : -errno;

    if (!s)
        return kbpf_explain(k, r, "cannot open the BPF object", e);
    if (r < 0)
        r = use_whole_btf(k);
    if (r < 0)
        return err_set(e, r, NULL, "cannot read the kernel's BTF: %s", err_text(NULL, r));
    r = bpf_object__load_skeleton(s);
    if (r == 0 && !has_memory(s))
        return err_set(e, -ENOMEM, NULL, "the memory of the BPF programs cannot be mapped");
    return r < 0 ? kbpf_explain(k, r, "cannot load the BPF programs", e) : 0;
}

uint64_t kbpf_misses(const struct bpf_program *prog)
{
    struct bpf_prog_info info = {0};
    uint32_t size = sizeof(info);
    uint64_t raised = caps_raise_bpf();
    int r = bpf_obj_get_info_by_fd(bpf_program__fd(prog), &info, &size);

    caps_lower_bpf(raised);
    return r < 0 ? 0 : info.recursion_misses;
}

void kbpf_done(struct kbpf *k)
{
    if (k->btf_fd >= 0) {
        close(k->btf_fd);
        log_to = NULL;
        caps_lower_bpf(kbpf_is_root() ? k->raised : UINT64_MAX);
    }
    buf_done(&k->log);
    *k = (struct kbpf)KBPF_INIT;
}
