/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes the manual pages and completions from the tables: docgen DIR makes DIR/man,
 * DIR/completions. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "applets.h"
#include "cleanup.h"
#include "fileio.h"

static int fail(const char *what, int r)
{
    fprintf(stderr, "docgen: %s: %s\n", what, strerror(-r));
    return 1;
}

typedef int (*write_all_fn)(FILE *f, const struct cli_applet *const *all);

static int write_file(const char *dir, const char *name, write_all_fn all,
                      const struct cli_applet *applet)
{
    _cleanup_(file_out_closep) struct file_out *o = NULL;
    _cleanup_(freep) char *path = NULL;
    int r;

    if (asprintf(&path, "%s/%s", dir, name) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    r = file_out_open(path, 0644, &o);
    if (r == 0)
        r = all ? all(file_out_stream(o), applets) : cli_write_man(file_out_stream(o), applet);
    if (r == 0)
        r = file_out_commit(o);
    return r < 0 ? -fail(path, r) : 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        write_all_fn write;
    } files[] = {
        {"completions/ipcbox.bash", cli_write_bash},
        {"completions/_ipcbox", cli_write_zsh},
        {"completions/ipcbox.fish", cli_write_fish},
        {"man/ipcbox-json.7", cli_write_json_man},
    };
    char path[256];

    if (argc != 2) {
        fputs("usage: docgen DIR\n", stderr);
        return 2;
    }
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/%s", argv[1], i ? "completions" : "man");
        if (mkdir(path, 0777) < 0 && errno != EEXIST)
            return fail(path, -errno);
    }
    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        if (write_file(argv[1], files[i].name, files[i].write, NULL) < 0)
            return 1;
    for (size_t i = 0; applets[i]; i++) {
        snprintf(path, sizeof(path), "man/%s.1", applets[i]->name);
        if (write_file(argv[1], path, NULL, applets[i]) < 0)
            return 1;
    }
    return 0;
}
