/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One binary, many names: the name it is called by is the applet. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "applets.h"

#define RUNTIME "mq-"

static const struct cli_applet *find(const char *name)
{
    for (size_t i = 0; applets[i]; i++)
        if (!strcmp(applets[i]->name, name))
            return applets[i];
    return NULL;
}

static int list(void)
{
    signal(SIGPIPE, SIG_IGN); /* a write then says EPIPE */
    for (size_t i = 0; applets[i]; i++)
        if (strcmp(applets[i]->name, "ipcbox"))
            puts(applets[i]->name);
    if (fflush(stdout) == 0)
        return CLI_OK;
    if (errno != EPIPE)
        perror("ipcbox: cannot write the output");
    return CLI_FAILED;
}

/* Beyond a limit on the size of files a write then says EFBIG; what we run has its own default. */
static void on_file_size(int signal_number)
{
    (void)signal_number;
}

/*
 * Two names and ways to be called for those that take a path without arguments: "mq-runc" stands in
 * for the OCI runtime "runc", and criu's action script is this program alone.
 */
static int run_mqdump(const char *word, const char *runtime, int argc, char **argv)
{
    const struct cli_applet *mqdump = find("mqdump");
    const char **v = calloc((size_t)argc + 5, sizeof(*v));
    int n = 0, status;

    if (!v || !mqdump) {
        free(v);
        return CLI_FAILED;
    }
    v[n++] = mqdump->name;
    v[n++] = "criu";
    v[n++] = word;
    if (runtime) {
        v[n++] = "--";
        v[n++] = runtime;
    }
    for (int i = 1; i < argc; i++)
        v[n++] = argv[i];
    status = cli_main(mqdump, applets, n, (char **)(uintptr_t)v);
    free(v);
    return status;
}

int main(int argc, char **argv)
{
    const struct cli_applet *applet;
    const char *base;

    if (argc < 1)
        return CLI_USAGE;
    signal(SIGXFSZ, on_file_size);
    base = strrchr(argv[0], '/');
    base = base ? base + 1 : argv[0];
    applet = find(base);
    if (applet && strcmp(applet->name, "ipcbox"))
        return cli_main(applet, applets, argc, argv);
    if (strncmp(base, RUNTIME, strlen(RUNTIME)) == 0 && base[strlen(RUNTIME)])
        return run_mqdump("runtime", base + strlen(RUNTIME), argc, argv);
    if (argc == 1 && getenv("CRTOOLS_SCRIPT_ACTION") && getenv("CRTOOLS_IMAGE_DIR"))
        return run_mqdump("action", NULL, argc, argv);
    /* Any other name is ipcbox itself: the first word names the applet. */
    if (argc > 1) {
        applet = find(argv[1]);
        if (applet)
            return cli_main(applet, applets, argc - 1, argv + 1);
        if (!strcmp(argv[1], "--list"))
            return list();
    }
    return cli_main(find("ipcbox"), applets, argc, argv);
}
