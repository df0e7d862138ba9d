/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One binary, many names: the name it is called by is the applet. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "applets.h"

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

int main(int argc, char **argv)
{
    const struct cli_applet *applet;
    const char *base;

    if (argc < 1)
        return CLI_USAGE;
    signal(SIGXFSZ, on_file_size);
    base = strrchr(argv[0], '/');
    applet = find(base ? base + 1 : argv[0]);
    if (applet && strcmp(applet->name, "ipcbox"))
        return cli_main(applet, applets, argc, argv);
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
