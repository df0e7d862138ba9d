/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's type information, which may also be a file that a user names. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "fuzz.h"
#include "kbtf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"file", "inode", "mqueue_inode_info", "msg_msg"};
    _cleanup_(buf_done) struct buf out = BUF_INIT;
    _cleanup_(closep) int fd = memfd_create("btf", MFD_CLOEXEC);
    struct kbtf *b = NULL;
    char path[64];
    int r;

    MUST(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    r = kbtf_open(path, &b);
    MUST(r == 0 || r == -EBADMSG || r == -ENOMEM);
    if (r < 0)
        return 0;
    r = kbtf_extract(b, names, 4, 3, &out);
    MUST(r == 0 || r == -EBADMSG || r == -E2BIG);
    (void)kbtf_func_id(b, "pid_vnr");
    kbtf_close(b);
    return 0;
}
