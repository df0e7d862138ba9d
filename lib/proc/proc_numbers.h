/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Private to lib/proc: the directories of /proc whose entries are numbers, and small files. */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct buf;

/*
 * A directory of numbers, read with getdents64() directly: a listing opens one or more for each
 * process, and the other work of opendir() costs as much as the reading.
 */
struct proc_numbers {
    int fd;
    size_t at;
    size_t n;
    char buf[32 * 1024] __attribute__((aligned(__alignof__(struct dirent64))));
};

int proc_numbers_open(struct proc_numbers *d, int proc, const char *path);
void proc_numbers_close(const struct proc_numbers *d);

/*
 * Return: the next entry that is a number (0 only with @zero); NULL at the end, or with -errno in
 * @r on an error.
 */
const char *proc_numbers_next(struct proc_numbers *d, bool zero, pid_t *id, int *r);

/* Tells whether this /proc belongs to the caller's own pid namespace. */
bool proc_numbers_are_own(int proc);

/* Reads a small file of /proc completely. */
int proc_read_text(int proc, const char *path, struct buf *out);

/* Reads /proc/PID/task/TID/stat. */
int proc_read_stat(int proc, pid_t pid, pid_t tid, struct buf *out);

/* A missing file or directory means that the process has ended: -ENOENT becomes -ESRCH. */
static inline int proc_gone(int r)
{
    return r == -ENOENT ? -ESRCH : r;
}
