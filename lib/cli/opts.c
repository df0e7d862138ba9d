/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The options that all verbs share, and how options are spelt. */
#include "cli_internal.h"

static const char *const color_words[] = {"auto", "always", "never", NULL};

static const struct cli_opt global_opts[] = {
    CLI_FLAG(struct cli_globals, quiet, 'q', "quiet", "no notes and no progress on stderr"),
    CLI_FLAG(struct cli_globals, help, 'h', "help", "show this"),
    CLI_FLAG(struct cli_globals, version, 0, "version", "show the version"),
    CLI_END,
};

static const struct cli_opt output_opts[] = {
    CLI_FLAG(struct cli_globals, json, 'J', "json", "one JSON document"),
    CLI_FLAG(struct cli_globals, jsonl, 0, "jsonl", "one JSON object a line"),
    CLI_STR(struct cli_globals, columns, 'o', "output", "COLS",
            "columns to show; +COLS adds to the default", .complete = CLI_COMPLETE_COLUMNS),
    CLI_FLAG(struct cli_globals, noheadings, 0, "noheadings", "rows only"),
    CLI_ENUM(struct cli_globals, color, 0, "color", "WHEN", "colours", color_words),
    CLI_END,
};

static const struct cli_opt backend_opts[] = {
    CLI_STR(struct cli_globals, backend, 0, "backend", "NAME", "use this backend and no other",
            .complete = CLI_COMPLETE_BACKEND),
    CLI_END,
};

static const struct cli_opt no_opts[] = {CLI_END};

const struct cli_opt *cli_group(const struct cli_applet *applet, const struct cli_verb *verb,
                                enum cli_group group)
{
    const struct cli_opt *opts = NULL;

    switch (group) {
    case GROUP_GLOBAL:
        opts = global_opts;
        break;
    case GROUP_OUTPUT:
        opts = verb && verb->flags & CLI_OWN_OUTPUT ? NULL : output_opts;
        break;
    case GROUP_BACKEND:
        opts = applet->backends ? backend_opts : NULL;
        break;
    case GROUP_COMMON:
        opts = applet->common_opts;
        break;
    case GROUP_VERB:
        opts = verb ? verb->opts : NULL;
        break;
    case GROUP_MAX:
        break;
    }
    return opts ? opts : no_opts;
}

const char *cli_metavar(const struct cli_opt *opt)
{
    if (opt->metavar)
        return opt->metavar;
    switch (opt->type) {
    case CLI_TYPE_FLAG:
    case CLI_TYPE_END:
        return NULL;
    case CLI_TYPE_SIZE:
        return "BYTES";
    case CLI_TYPE_SPAN:
        return "SECONDS";
    case CLI_TYPE_MODE:
        return "MODE";
    case CLI_TYPE_RANGE:
        return "N[:M]";
    case CLI_TYPE_PID:
        return "PID";
    default:
        return "N";
    }
}

void cli_opt_spelling(struct buf *b, const struct cli_opt *opt)
{
    const char *metavar = cli_metavar(opt);

    if (opt->short_name)
        buf_printf(b, "-%c, ", opt->short_name);
    buf_printf(b, "--%s", opt->name);
    if (metavar)
        buf_printf(b, " %s", metavar);
}
