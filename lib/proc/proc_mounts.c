/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses /proc/PID/mountinfo (proc(5)): the only parser of that file in this repository. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "buf.h"
#include "cleanup.h"
#include "fileio.h"
#include "proc.h"
#include "proc_numbers.h"

/* A mount namespace has at most fs.mount-max mounts (100,000), each a line of some 100 bytes. */
enum { MOUNTS_MAX = 64 * 1024 * 1024 };

/*
 * Replaces, in place, each \ooo that the kernel writes for a blank, a tab, a newline or a
 * backslash.
 */
static void unescape(char *s)
{
    char *to = s;

    for (; *s; s++) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
            s[3] >= '0' && s[3] <= '7') {
            *to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
            s += 3;
        } else {
            *to++ = *s;
        }
    }
    *to = '\0';
}

/* Cuts off the next word. Return: NULL when there is none. */
static char *word(char **line)
{
    char *w = strsep(line, " ");

    return w && *w ? w : NULL;
}

int proc_parse_mount(char *line, struct proc_mount *out)
{
    struct proc_mount m = {0};
    unsigned int major, minor;
    char *root, *point, *w;

    if (!word(&line) || !word(&line) || !(w = word(&line)) ||
        sscanf(w, "%u:%u", &major, &minor) != 2 || !(root = word(&line)) ||
        !(point = word(&line)) || !word(&line))
        return -EBADMSG;
    while ((w = word(&line)) && strcmp(w, "-") != 0)
        ; /* optional fields */
    if (!w || !(m.type = word(&line)))
        return -EBADMSG;
    (void)strsep(&line, " "); /* the source, which may be empty */
    unescape(root);
    unescape(point);
    m.dev = makedev(major, minor);
    m.root = root;
    m.point = point;
    m.options = line ?: "";
    *out = m;
    return 0;
}

int proc_visit_mounts(int proc, pid_t pid, proc_mount_fn visit, void *ctx)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    char path[32] = "self/mountinfo", *line, *rest = NULL;
    struct proc_mount m;
    int r;

    if (pid)
        snprintf(path, sizeof(path), "%d/mountinfo", (int)pid);
    r = file_read(proc, path, MOUNTS_MAX, &text);
    if (r == 0)
        r = buf_error(&text);
    if (r < 0 || !text.len)
        return r == -ENOENT ? -ESRCH : r;
    for (line = strtok_r(text.data, "\n", &rest); line && r == 0;
         line = strtok_r(NULL, "\n", &rest))
        if (proc_parse_mount(line, &m) == 0)
            r = visit(&m, ctx);
    return r;
}

/* ---- which processes a /proc hides ---- */

struct view {
    dev_t dev;
    bool found;
    bool hides;
};

/* Since Linux 5.8 each mount of /proc has its own hidepid=, by number or by word. */
static bool hides_others(const char *options)
{
    static const char *const hiding[] = {"hidepid=2", "hidepid=4", "hidepid=invisible",
                                         "hidepid=ptraceable"};

    for (size_t i = 0; i < ARRAY_SIZE(hiding); i++)
        if (strstr(options, hiding[i]))
            return true;
    return false;
}

static int see_proc_mount(const struct proc_mount *m, void *ctx)
{
    struct view *v = ctx;

    if (m->dev != v->dev || strcmp(m->type, "proc") != 0)
        return 0;
    v->found = true;
    v->hides = v->hides || hides_others(m->options);
    return 0;
}

/* In a /proc of another namespace, the caller has several numbers, one for each level. */
bool proc_numbers_are_own(int proc)
{
    _cleanup_(buf_done) struct buf text = BUF_INIT;
    const char *at;
    int first, more;

    if (file_read(proc, "self/status", 64 * 1024, &text) < 0)
        return false;
    at = strstr(buf_str(&text), "\nNSpid:");
    return at && sscanf(at, " NSpid: %d %d", &first, &more) == 1;
}

/*
 * Tells whether this /proc belongs to the first pid namespace, in which every process has a number.
 */
static bool is_first_namespace(int proc)
{
    const uint64_t first = UINT64_C(0xEFFFFFFC); /* PROC_PID_INIT_INO of the kernel */
    uint64_t ns;

    if (proc_ns(proc, 1, "pid", &ns) == 0)
        return ns == first;
    return proc_numbers_are_own(proc) && proc_ns(proc, PROC_SELF, "pid", &ns) == 0 && ns == first;
}

int proc_view(int proc, struct proc_view *out)
{
    struct view v = {0};
    struct stat st;
    int r;

    if (fstat(proc, &st) < 0)
        return -errno;
    v.dev = st.st_dev;
    r = proc_visit_mounts(proc, PROC_SELF, see_proc_mount, &v);
    if (r < 0)
        return r;
    *out = (struct proc_view){
        .users = v.found && !v.hides && faccessat(proc, "1", F_OK, 0) == 0,
        .namespaces = is_first_namespace(proc),
        .own_numbers = proc_numbers_are_own(proc),
    };
    return 0;
}
