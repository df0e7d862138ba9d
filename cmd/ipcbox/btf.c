/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ipcbox btf: extracts from the BTF of a kernel's build the part that a kernel without BTF needs.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "buf.h"
#include "kbtf.h"
#include "macros.h"
#include "verbs.h"

struct btf_args {
    const char *file;
};

static const struct cli_opt btf_opts[] = {
    CLI_STR(struct btf_args, file, 'O', "output-file", "FILE",
            "where to (default: standard output)", .complete = CLI_COMPLETE_FILE),
    CLI_END,
};

/* The types that the BPF programs of this build read. */
static const char *const names[] = {
#include "bpf_names.h"
};

static int write_btf(FILE *f, void *arg, bool *whole)
{
    const struct buf *b = arg;

    *whole = fwrite(b->data, 1, b->len, f) == b->len;
    return CLI_OK;
}

static int btf_run(struct cli_ctx *ctx, const void *argp)
{
    const struct btf_args *args = argp;
    _cleanup_(buf_done) struct buf small = BUF_INIT;
    _cleanup_(kbtf_closep) struct kbtf *btf = NULL;
    struct err e = ERR_INIT;
    int r;

    if (!args->file && isatty(STDOUT_FILENO))
        return cli_usage(ctx, "BTF is no text: use -O FILE, or send it to a pipe or a file");
    r = kbtf_open(ctx->operands[0], &btf);
    if (r == 0 && !kbtf_struct_id(btf, "task_struct"))
        r = err_set(&e, -EBADMSG, NULL, "it is not the BTF of a kernel: it has no task_struct");
    if (r == -EBADMSG && !e.why[0])
        err_set(&e, r, "pahole --btf_encode_detached=FILE vmlinux", "it is not a raw BTF file");
    if (r == 0)
        r = kbtf_extract(btf, names, ARRAY_SIZE(names), ARRAY_SIZE(names), &small);
    if (r < 0)
        return cli_fail(ctx, r, &e, "%s", ctx->operands[0]);
    return cli_write_file(ctx, args->file, 0644, write_btf, &small);
}

static const struct cli_example btf_examples[] = {
    {"pahole --btf_encode_detached=kernel.btf vmlinux",
     "the whole BTF of a build with debug information"},
    {"ipcbox btf kernel.btf -O /usr/lib/ipcbox/btf/$(uname -r).btf",
     "the part that is needed, where it is looked for"},
    {NULL, NULL},
};

const struct cli_verb ipcbox_btf_verb = {
    .name = "btf",
    .operands = "VMLINUX.btf",
    .min_operands = 1,
    .max_operands = 1,
    .complete = CLI_COMPLETE_FILE,
    .summary = "the types of a kernel that was built without BTF",
    .description =
        "BPF programs find the fields of the kernel's structures by its BTF, which a kernel has "
        "when it was "
        "built with CONFIG_DEBUG_INFO_BTF. For one that has none, this writes the few kilobytes of "
        "BTF that "
        "are needed, from the BTF of the same build: pahole makes that of a vmlinux with debug "
        "information.\n"
        "\n"
        "The file is looked for as /usr/lib/ipcbox/btf/RELEASE.btf, where RELEASE is what uname -r "
        "prints. "
        "It must belong to root, and nobody else may be able to write to it. A file of another "
        "kernel is "
        "refused when it is used: what is read with it is compared with what system calls tell.",
    .examples = btf_examples,
    .opts = btf_opts,
    .args_size = sizeof(struct btf_args),
    .run = btf_run,
};
