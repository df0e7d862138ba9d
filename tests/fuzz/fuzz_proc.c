/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What /proc says of other processes: their names, links and descriptors are their own choice. */
#include "fuzz.h"
#include "proc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *s = fuzz_string(data, size);
    struct proc_call call;
    uint64_t ns;
    pid_t pid;
    int flags, cpu;
    unsigned int thread_flags;
    struct proc_mount mount;
    char state, comm[PROC_COMM_SIZE];

    proc_parse_fd_flags(s, &flags);
    proc_parse_thread_flags(s, &thread_flags);
    proc_parse_ns(s, "ipc", &ns);
    proc_parse_last_ran(s, &ns);
    if (proc_parse_processor(s, &cpu) == 0)
        MUST(cpu >= 0);
    if (proc_parse_call(s, &call) == 0)
        MUST(call.state == PROC_CALL_RUNNING || call.state == PROC_CALL_OUTSIDE ||
             call.state == PROC_CALL_BLOCKED);
    if (proc_parse_state(s, comm, &state) == 0)
        MUST(state && strlen(comm) < sizeof(comm));
    if (proc_parse_id(s, &pid) == 0)
        MUST(pid > 0);
    if (proc_parse_mount(s, &mount) == 0)
        MUST(strlen(mount.root) + strlen(mount.point) + strlen(mount.type) < size);
    free(s);
    return 0;
}
