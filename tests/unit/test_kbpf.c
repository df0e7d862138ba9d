/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Loading BPF: what is missing is said in words; a broken BTF is refused; and a BTF with wrong
 * offsets, whichever they are, never makes a wrong snapshot.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/btf.h>
#include <linux/capability.h>
#include <mqueue.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "cleanup.h"
#include "fileio.h"
#include "kbpf.h"
#include "kbtf.h"
#include "pmq.h"
#include "pmq_follow.h"

enum { CAP_PERFMON_BIT = 38, CAP_BPF_BIT = 39 };

/* ---- privilege ---- */

static void keep_only(uint64_t caps)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2] = {0};

    prctl(PR_SET_KEEPCAPS, 1);
    CHECK_INT(setresgid(4321, 4321, 4321), 0);
    CHECK_INT(setresuid(4321, 4321, 4321), 0);
    d[0].permitted = (uint32_t)caps;
    d[1].permitted = (uint32_t)(caps >> 32);
    CHECK_INT(syscall(SYS_capset, &h, d), 0);
}

/* A child that is left with some capabilities: what probing tells it. */
static void probe_with(uint64_t caps, int r, const char *word)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        struct err e = ERR_INIT;

        check_failed = 0;
        keep_only(caps);
        CHECK_INT(kbpf_probe(KBPF_SYSCALL, &e), r);
        CHECK(strstr(e.why, word) != NULL);
        CHECK(r == 0 || strstr(e.remedy, "setcap cap_bpf,cap_perfmon+ep /"));
        CHECK(!kbpf_is_root());
        _exit(check_failed != 0);
    }
    waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
}

static void privilege(void)
{
    uint64_t bpf = UINT64_C(1) << CAP_BPF_BIT, perfmon = UINT64_C(1) << CAP_PERFMON_BIT;
    int status = -1;
    pid_t pid;

    probe_with(0, -EPERM, "CAP_BPF and CAP_PERFMON");
    probe_with(bpf, -EPERM, "CAP_PERFMON");
    probe_with(perfmon, -EPERM, "needs CAP_BPF");
    probe_with(bpf | perfmon, 0, "");
    probe_with(UINT64_C(1) << CAP_SYS_ADMIN, 0, "");
    pid = fork();
    if (pid == 0) {
        struct err e = ERR_INIT;

        check_failed = 0;
        CHECK_INT(unshare(CLONE_NEWUSER), 0);
        CHECK_INT(kbpf_probe(KBPF_SYSCALL, &e), -EPERM);
        CHECK(strstr(e.why, "user namespace") != NULL);
        _exit(check_failed != 0);
    }
    waitpid(pid, &status, 0);
    CHECK_INT(status, 0);
    CHECK(kbpf_is_root());
}

/* ---- BTF files ---- */

static void write_file(const char *path, const void *data, size_t n)
{
    _cleanup_(closep) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    CHECK(fd >= 0 && file_write_all(fd, data, n) == 0);
}

static void broken_files(const char *path)
{
    static const char *const names[] = {"task_struct", "no_such_struct"};
    struct btf_header h = {.magic = BTF_MAGIC, .version = 1, .hdr_len = sizeof(h), .str_len = 1};
    _cleanup_(buf_done) struct buf small = BUF_INIT, early = BUF_INIT;
    struct kbtf *b = NULL;
    struct err e = ERR_INIT;
    char buf[256] = "";

    CHECK_INT(kbtf_open("/nonexistent", &b), -ENOENT);
    write_file(path, "", 0);
    CHECK_INT(kbtf_open(path, &b), -EBADMSG);
    write_file(path, buf, sizeof(buf));
    CHECK_INT(kbtf_open(path, &b), -EBADMSG);
    h.type_len = 1 << 30;
    memcpy(buf, &h, sizeof(h));
    write_file(path, buf, sizeof(buf));
    CHECK_INT(kbtf_open(path, &b), -EBADMSG);
    /* A type that reaches past the end. */
    h.type_len = 16;
    h.str_off = 16;
    memcpy(buf, &h, sizeof(h));
    memcpy(buf + sizeof(h), &(struct btf_type){.info = BTF_KIND_STRUCT << 24 | 0xffff},
           sizeof(struct btf_type));
    write_file(path, buf, sizeof(buf));
    CHECK_INT(kbtf_open(path, &b), 0);
    if (b)
        CHECK_INT(kbtf_extract(b, names, 2, 2, &small), -EBADMSG);
    kbtf_close(b);
    CHECK_INT(kbtf_open(KBTF_PATH, &b), 0);
    CHECK(kbtf_func_id(b, "bpf_fentry_test1") > 0);
    CHECK(kbtf_func_id(b, "no_such_function") == 0);
    CHECK_INT(kbtf_extract(b, names, 2, 2, &small), 0);
    CHECK(small.len > 1000 && small.len < 200000);
    kbtf_close(b);
    /* The same where the search ends with the last one that is sought. */
    CHECK_INT(kbtf_open(KBTF_PATH, &b), 0);
    CHECK_INT(kbtf_extract(b, names, 2, 1, &early), 0);
    CHECK(early.len == small.len && !memcmp(early.data, small.data, small.len));
    CHECK(kbtf_func_id(b, "bpf_fentry_test1") > 0);
    kbtf_close(b);
    /* No BTF at all: said so. */
    setenv("IPCBOX_BTF", "/nonexistent", 1);
    CHECK_INT(kbpf_probe(KBPF_SYSCALL, &e), -EOPNOTSUPP);
    CHECK(strstr(e.why, "/nonexistent") && strstr(e.remedy, "ipcbox btf"));
    unsetenv("IPCBOX_BTF");
}

/* Of all that libbpf says, the line that tells why the verifier refused the program. */
static void explained(void)
{
    static const char refused[] = "libbpf: prog 'peek': BPF program load failed: Invalid argument\n"
                                  "libbpf: prog 'peek': -- BEGIN PROG LOAD LOG --\n"
                                  "0: R1=ctx(off=0,imm=0) R10=fp0\n"
                                  "unknown func bpf_loop#181\n"
                                  "processed 40 insns (limit 1000000) max_states_per_insn 0\n"
                                  "-- END PROG LOAD LOG --\n"
                                  "libbpf: failed to load object 'peek_bpf'\n";
    static const char missing[] = "libbpf: failed to find BTF for extern\nlibbpf: second\n";
    struct kbpf k = KBPF_INIT;
    struct err e = ERR_INIT;

    buf_add_str(&k.log, refused);
    CHECK_INT(kbpf_explain(&k, -EINVAL, "cannot load", &e), -EOPNOTSUPP);
    CHECK_STR(e.why, "cannot load: this kernel lacks what they need: unknown func bpf_loop#181");
    CHECK_STR(e.remedy, "use a newer kernel");
    CHECK_INT(kbpf_explain(&k, -E2BIG, "cannot load", &e), -E2BIG);
    CHECK_STR(e.why, "cannot load: Argument list too long: unknown func bpf_loop#181");
    buf_clear(&k.log);
    buf_add_str(&k.log, missing);
    CHECK_INT(kbpf_explain(&k, -ENOENT, "cannot load", &e), -ENOENT);
    CHECK(strstr(e.why, "failed to find BTF for extern") && !strstr(e.why, "second"));
    buf_done(&k.log);
}

/* ---- wrong offsets ---- */

/* What a peek at the queue of three messages gave. */
enum outcome { RIGHT, REFUSED, WRONG };

static int expect(const struct msgq_message *m, void *ctx)
{
    static const char *const texts[] = {"third", "second message", "first"};
    static const uint32_t priorities[] = {9, 3, 3};
    static const size_t order[] = {0, 2, 1};
    bool *right = ctx;
    const char *text;

    if (m->index >= 3) {
        *right = false;
        return 0;
    }
    text = texts[order[m->index]];
    if (m->length != strlen(text) || memcmp(m->data, text, m->length) != 0 ||
        m->priority != priorities[m->index])
        *right = false;
    return 0;
}

static enum outcome peek(const struct pmq_queue *q)
{
    const struct msgq_peek_opts opts = {.backend = "bpf"};
    struct msgq_peeker *p = NULL;
    struct msgq_snapshot *s = NULL;
    struct err e = ERR_INIT;
    enum outcome out = REFUSED;
    bool right = true;

    if (pmq_peeker_new(&opts, &p, &e) == 0 && pmq_peek(p, q, &s, &e) == 0) {
        if (msgq_snapshot_visit(s, expect, &right, &e) < 0)
            right = false;
        if (msgq_snapshot_info(s)->messages != 3)
            right = false;
        out = right ? RIGHT : WRONG;
        /* What is not called exact may be wrong. */
        if (msgq_snapshot_info(s)->consistency == MSGQ_TORN)
            out = REFUSED;
    }
    CHECK(out != REFUSED || s || e.why[0]);
    msgq_snapshot_free(s);
    msgq_peeker_free(p);
    return out;
}

static int count_event(const struct msgq_event *ev, void *ctx)
{
    unsigned int *n = ctx;

    *n += ev->kind == MSGQ_EVENT_SEND || ev->kind == MSGQ_EVENT_RECEIVE;
    return 0;
}

/* Following the queue while a message comes and goes: seen, or refused, but never silence. */
static enum outcome follow(const struct pmq_queue *q, mqd_t fd)
{
    const struct msgq_follow_opts opts = {.backend = "tracepoint"};
    _cleanup_(msgq_follow_freep) struct msgq_follow *f = NULL;
    struct err e = ERR_INIT;
    unsigned int n = 0;
    char buf[64];

    if (pmq_follow_new(&opts, &f, &e) < 0) {
        CHECK(e.why[0]);
        return REFUSED;
    }
    CHECK_INT(pmq_follow_add(f, q, NULL, &e), 0);
    CHECK_INT(msgq_follow_start(f, &e), 0);
    CHECK_INT(mq_send(fd, "fourth", 6, 20), 0);
    CHECK_INT(mq_receive(fd, buf, sizeof(buf), NULL), 6);
    msgq_follow_stop(f);
    CHECK_INT(msgq_follow_read(f, count_event, &n, &e), 0);
    return n == 2 ? RIGHT : WRONG;
}

/* Moves the n-th member of a structure; false when there is no such member. */
static bool move_member(struct buf *btf, const char *type, unsigned int n, uint32_t bits)
{
    const struct btf_header *h = (const struct btf_header *)(void *)btf->data;
    char *p = btf->data + h->hdr_len, *end = p + h->type_len;
    const char *strs = btf->data + h->hdr_len + h->str_off;

    while (p < end) {
        struct btf_type *t = (struct btf_type *)(void *)p;
        uint32_t kind = BTF_INFO_KIND(t->info), v = BTF_INFO_VLEN(t->info);
        struct btf_member *m = (struct btf_member *)(void *)(t + 1);

        if (kind == BTF_KIND_STRUCT && !strcmp(strs + t->name_off, type)) {
            if (n >= v)
                return false;
            m[n].offset += bits;
            return true;
        }
        p += sizeof(*t);
        if (kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION || kind == BTF_KIND_ENUM64)
            p += v * 12;
        else if (kind == BTF_KIND_ENUM)
            p += v * 8;
        else if (kind == BTF_KIND_ARRAY)
            p += 12;
        else if (kind == BTF_KIND_INT)
            p += 4;
    }
    return false;
}

static void wrong_offsets(const char *path)
{
    static const char *const types[] = {
        "mqueue_inode_info", "posix_msg_tree_node", "msg_msg", "mq_attr",     "rb_node",
        "rb_root",           "list_head",           "fdtable", "super_block",
    };
    /* With these libbpf has what the whole object refers to. */
    static const char *const all[] = {
        "mqueue_inode_info",
        "posix_msg_tree_node",
        "msg_msg",
        "fdtable",
        "super_block",
        "file",
        "files_struct",
        "task_struct",
        "inode",
        "list_head",
        "mq_attr",
        "rb_node",
        "rb_root",
        "nsproxy",
        "ipc_namespace",
        "vfsmount",
        "pid",
        "upid",
        "pid_namespace",
        "ns_common",
        "pt_regs",
        "thread_info",
        "path",
        "dentry",
        "qstr",
    };
    struct pmq_ref ref = {.kind = PMQ_REF_NAME};
    struct mq_attr attr = {.mq_maxmsg = 8, .mq_msgsize = 64};
    unsigned int count[3] = {0}, followed[3] = {0};
    struct pmq_queue *q = NULL;
    struct kbtf *kernel = NULL;
    struct err e = ERR_INIT;
    mqd_t fd;

    snprintf(ref.name, sizeof(ref.name), "/test-kbpf-%d", getpid());
    fd = mq_open(ref.name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
    CHECK(fd >= 0);
    mq_send(fd, "first", 5, 3);
    mq_send(fd, "second message", 14, 3);
    mq_send(fd, "third", 5, 9);
    CHECK_INT(pmq_queue_open(&ref, PMQ_OPEN_READ, &q, &e), 0);
    mq_unlink(ref.name);
    CHECK_INT(peek(q), RIGHT);
    CHECK_INT(follow(q, fd), RIGHT);
    CHECK_INT(kbtf_open(KBTF_PATH, &kernel), 0);
    setenv("IPCBOX_BTF", path, 1);
    for (size_t t = 0; q && kernel && t < ARRAY_SIZE(types); t++)
        for (unsigned int n = 0;; n++) {
            _cleanup_(buf_done) struct buf btf = BUF_INIT;
            enum outcome out;

            CHECK_INT(kbtf_extract(kernel, all, ARRAY_SIZE(all), ARRAY_SIZE(all), &btf), 0);
            if (n >= 64 || !move_member(&btf, types[t], n, 64))
                break;
            write_file(path, btf.data, btf.len);
            out = peek(q);
            count[out]++;
            if (!strcmp(types[t], "fdtable") || (!strcmp(types[t], "super_block") && n < 16))
                followed[follow(q, fd)]++;
            if (out == WRONG)
                fprintf(stderr, "member %u of %s at a wrong offset: a wrong snapshot\n", n,
                        types[t]);
        }
    unsetenv("IPCBOX_BTF");
    printf("offsets moved one by one: %u snapshots right (the field is not read), %u refused, %u "
           "wrong\n",
           count[RIGHT], count[REFUSED], count[WRONG]);
    CHECK_INT(count[WRONG], 0);
    printf("followed with them: %u right, %u refused, %u in vain\n", followed[RIGHT],
           followed[REFUSED], followed[WRONG]);
    CHECK_INT(followed[WRONG], 0);
    CHECK(followed[REFUSED] > 1);
    CHECK(count[REFUSED] > 10);
    kbtf_close(kernel);
    pmq_queue_close(q);
    mq_close(fd);
}

int main(void)
{
    char path[64];

    snprintf(path, sizeof(path), "/tmp/test-kbpf-%d", getpid());
    privilege();
    broken_files(path);
    explained();
    wrong_offsets(path);
    unlink(path);
    return check_done();
}
