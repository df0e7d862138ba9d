/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files: read a small one whole, write one whole or not at all. */
#pragma once

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "buf.h"
#include "errinfo.h"

/**
 * file_read() - read a whole small file, also one of /proc that tells no size
 * @dirfd: directory that @path is relative to, or AT_FDCWD
 * @path: the file
 * @max: most bytes to take
 * @out: the content is appended
 *
 * Return: 0; -EFBIG when there is more than @max; -ENOMEM; or what open() or read() said.
 */
int file_read(int dirfd, const char *path, size_t max, struct buf *out);

/* The next name in a directory, without . and ..; NULL at the end, and on an error, then in @r. */
const char *dir_next(DIR *d, int *r);

/* Writes all of it, over short writes and EINTR. Return: 0 or -errno. */
int file_write_all(int fd, const void *data, size_t n);

/* Lets whoever polls an eventfd see it. */
void event_raise(int fd);

/* Where temporary files go: $TMPDIR, or /var/tmp, which may hold more than /tmp. */
const char *file_spool_dir(void);

/* A temporary file without a name. Return: a descriptor (O_RDWR) or -errno with a reason. */
int file_spool_open(struct err *e);

/**
 * struct file_out - a file that appears whole or not at all
 *
 * file_out_open() makes a file without a name in the target's directory; file_out_commit() syncs it
 * and puts it into place; file_out_close() without a commit removes it. A kill leaves the old file,
 * if any, as it was. On a file system that has no nameless files (O_TMPFILE) it also leaves what
 * was written, as ".NAME.RANDOM".
 */
struct file_out;

/**
 * file_out_open() - begin
 * @path: the final name. A name that exists and is not a regular file (a device, a pipe) is written
 *   directly, since it cannot be replaced; so is a descriptor that the process has already:
 *   /dev/stdout, /dev/fd/N, and "-" for standard output
 * @mode: permission bits of the new file; an existing file's are kept
 * @ret: the handle
 */
int file_out_open(const char *path, mode_t mode, struct file_out **ret);

/*
 * The same for what takes long: until the commit it lies beside the target as PATH.partial, so that
 * it is there after a kill, too.
 */
int file_out_open_long(const char *path, mode_t mode, struct file_out **ret);

/*
 * From now on what was written stays when it is not committed. Return: where it lies, owned by the
 * handle; NULL for what is written directly.
 */
const char *file_out_keep(struct file_out *o);

/* The stream to write to, owned by the handle. */
FILE *file_out_stream(struct file_out *o);

/* Flush, sync, rename. Return: 0 or -errno; after an error the target is as it was. */
int file_out_commit(struct file_out *o);

/* Releases the handle; what was not committed is removed. NULL is fine. */
void file_out_close(struct file_out *o);
void file_out_closep(struct file_out **o);
