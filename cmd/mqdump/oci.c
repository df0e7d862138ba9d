/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* OCI runtimes: all have the command line of runc, so that one may stand in for another. */
#include "oci.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "dump_json.h"
#include "fileio.h"

enum {
    MEMBERS_MAX = 256,
    CONFIG_MAX = 16 * 1024 * 1024,
};

/* ---- the command line ---- */

/* Options before the command whose value may be the next word. */
static bool takes_value(const char *option)
{
    static const char *const names[] = {"log",      "log-format",     "root", "criu",
                                        "rootless", "cgroup-manager", NULL};

    option += strspn(option, "-");
    for (size_t i = 0; names[i]; i++)
        if (strcmp(option, names[i]) == 0)
            return true;
    return false;
}

/* Whether argv[i] is the option, in any of its spellings. */
static const char *option_value(char **argv, size_t i, const char *name)
{
    const char *word = argv[i] + strspn(argv[i], "-");
    size_t n = strlen(name);

    if (word == argv[i] || strncmp(word, name, n) != 0)
        return NULL;
    if (word[n] == '=')
        return word + n + 1;
    return word[n] == '\0' ? argv[i + 1] : NULL;
}

void oci_call_parse(struct oci_call *c, char **argv)
{
    size_t i = 1;

    *c = (struct oci_call){.argv = argv, .image = "checkpoint", .bundle = "."};
    for (; argv[i] && argv[i][0] == '-'; i++)
        if (takes_value(argv[i]) && argv[i + 1])
            i++;
    if (!argv[i])
        return;
    c->verb = i;
    for (i++; argv[i]; i++) {
        const char *value;

        if ((value = option_value(argv, i, "image-path")))
            c->image = value;
        else if ((value = option_value(argv, i, "bundle")) || (value = option_value(argv, i, "b")))
            c->bundle = value;
        else if (strcmp(argv[i] + strspn(argv[i], "-"), "pre-dump") == 0)
            c->pre_dump = true;
        c->id = argv[i][0] == '-' ? NULL : argv[i];
    }
}

/* ---- the program ---- */

static bool is_program(const char *path)
{
    struct stat st, self;

    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || access(path, X_OK) < 0)
        return false;
    return stat("/proc/self/exe", &self) < 0 || st.st_dev != self.st_dev ||
           st.st_ino != self.st_ino;
}

static int find_in(const char *dirs, const char *name, char out[4096])
{
    while (dirs && *dirs) {
        size_t n = strcspn(dirs, ":");

        if (n && snprintf(out, 4096, "%.*s/%s", (int)n, dirs, name) < 4096 && is_program(out))
            return 0;
        dirs += n + (dirs[n] == ':');
    }
    return -ENOENT;
}

int oci_find(const char *name, char out[4096])
{
    if (strchr(name, '/'))
        return snprintf(out, 4096, "%s", name) < 4096 ? 0 : -ENAMETOOLONG;
    if (find_in(getenv("PATH"), name, out) == 0)
        return 0;
    return find_in("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", name, out);
}

/* ---- its state ---- */

static _Noreturn void exec_state(const struct oci_call *c, const char *program, int out)
{
    char **argv = calloc(c->verb + 3, sizeof(*argv));

    if (!argv || dup2(out, STDOUT_FILENO) < 0)
        _exit(127);
    memcpy(argv, c->argv, c->verb * sizeof(*argv));
    argv[c->verb] = (char *)(uintptr_t) "state";
    argv[c->verb + 1] = (char *)(uintptr_t)c->id;
    signal(SIGPIPE, SIG_DFL);
    execv(program, argv);
    _exit(127);
}

static int read_pipe(int fd, struct buf *b)
{
    char chunk[4096];
    ssize_t n;

    while ((n = read(fd, chunk, sizeof(chunk))) != 0) {
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            buf_add(b, chunk, (size_t)n);
        if (b->len > CONFIG_MAX)
            return -EFBIG;
    }
    return buf_error(b);
}

static int read_state(const struct oci_call *c, const char *program, struct buf *b)
{
    int ends[2], status = 0, r;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    pid = fork();
    if (pid == 0)
        exec_state(c, program, ends[1]);
    r = pid < 0 ? -errno : 0;
    close(ends[1]);
    if (r == 0)
        r = read_pipe(ends[0], b);
    close(ends[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return r < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0) ? r : -ENOENT;
}

/* ---- JSON ---- */

static ssize_t members(char *text, size_t n, struct json_member *m)
{
    const char *why;

    return json_scan_object(text, n, m, MEMBERS_MAX, &why);
}

static struct json_member *member(struct json_member *m, ssize_t n, const char *key,
                                  enum json_type type)
{
    for (ssize_t i = 0; i < n; i++)
        if (m[i].type == type && m[i].key_len == strlen(key) &&
            memcmp(m[i].key, key, m[i].key_len) == 0)
            return &m[i];
    return NULL;
}

/* A string that fits. Return: whether it is one. */
static bool get_string(const struct json_member *m, char out[4096])
{
    ssize_t n = m->len < 4096 ? json_unescape(out, m->text, m->len) : -1;

    out[MAX(n, 0)] = '\0';
    return n >= 0;
}

int oci_pid(const struct oci_call *c, const char *program, pid_t *out, char bundle[4096],
            struct err *e)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    struct json_member m[MEMBERS_MAX], *pid, *dir;
    ssize_t n;
    int r = c->id ? read_state(c, program, &b) : -EINVAL;

    if (r < 0)
        return err_set(e, r, NULL, "%s does not tell its state", program);
    n = members((char *)(uintptr_t)buf_str(&b), b.len, m);
    pid = member(m, n, "pid", JSON_NUMBER);
    dir = member(m, n, "bundle", JSON_STRING);
    if (!dir || !get_string(dir, bundle))
        bundle[0] = '\0';
    *out = pid ? (pid_t)strtol(pid->text, NULL, 10) : 0;
    return *out > 0 ? 0 : err_set(e, -ESRCH, NULL, "%s tells no process of it", program);
}

/* The path of the IPC namespace among those of "namespaces", as it stands there. */
static struct json_member *ipc_path(struct json_member *list, struct json_member *m)
{
    const char *pos = list->text, *end = list->text + list->len, *text;
    size_t len;

    while (json_array_next(&pos, end, &text, &len)) {
        ssize_t n = members((char *)(uintptr_t)text, len, m);
        struct json_member *type = member(m, n, "type", JSON_STRING);

        if (type && json_string_equals(type->text, type->len, type->escaped, "ipc", 3))
            return member(m, n, "path", JSON_STRING);
    }
    return NULL;
}

int oci_ipc_path(const char *bundle, char out[4096], struct err *e)
{
    _cleanup_(buf_done) struct buf b = BUF_INIT;
    struct json_member m[MEMBERS_MAX], *at;
    char path[4096];
    ssize_t n = snprintf(path, sizeof(path), "%s/config.json", bundle);
    int r = n < (ssize_t)sizeof(path) ? file_read(AT_FDCWD, path, CONFIG_MAX, &b) : -ENAMETOOLONG;

    out[0] = '\0';
    if (r < 0)
        return err_set(e, r, NULL, "%s: %s", path, strerrordesc_np(-r));
    n = members((char *)(uintptr_t)buf_str(&b), b.len, m);
    if (n < 0)
        return err_set(e, (int)n, NULL, "%s is no JSON object", path);
    at = member(m, n, "linux", JSON_OBJECT);
    if (at)
        at = member(m, members(at->text, at->len, m), "namespaces", JSON_ARRAY);
    if (at)
        at = ipc_path(at, m);
    if (!at)
        return 0;
    return get_string(at, out)
               ? 0
               : err_set(e, -EBADMSG, NULL, "%s: the path of the IPC namespace is wrong", path);
}
