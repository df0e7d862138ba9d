/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads small files completely; writes files completely or not at all. */
#pragma once

#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

#include "buf.h"
#include "errinfo.h"

/**
 * file_read() - read a whole small file, even one of /proc that does not report its size
 * @dirfd: directory that @path is relative to, or AT_FDCWD
 * @path: the file
 * @max: maximum size
 * @out: the content is appended
 *
 * Return: 0; -EFBIG when it is longer than @max; -ENOMEM; or the error of open() or read().
 */
int file_read(int dirfd, const char *path, size_t max, struct buf *out);

/*
 * Returns the next name in a directory, without . and ..; NULL at the end, or with @r set on an
 * error.
 */
const char *dir_next(DIR *d, int *r);

/* Writes all bytes, repeating after short writes and EINTR. Return: 0 or -errno. */
int file_write_all(int fd, const void *data, size_t n);

/* Makes an eventfd readable. */
void event_raise(int fd);

/* The directory of temporary files: $TMPDIR, or /var/tmp, which may have more room than /tmp. */
const char *file_spool_dir(void);

/* Opens a temporary file without a name. Return: a descriptor (O_RDWR) or -errno with a reason. */
int file_spool_open(struct err *e);

/**
 * struct file_out - a file that appears completely or not at all
 *
 * file_out_open() makes a file without a name in the target's directory; file_out_commit() syncs it
 * and puts it into place; file_out_close() without a commit removes it. A kill leaves the old file,
 * if any, as it was. On a file system that has no nameless files (O_TMPFILE) it also leaves what
 * was written, as ".NAME.RANDOM".
 */
struct file_out;

/**
 * file_out_open() - start writing a file
 * @path: the final name. A name that exists and is not a regular file (a device, a pipe) is written
 *   directly, because it cannot be replaced; so is an open descriptor of this process: /dev/stdout,
 *   /dev/fd/N, and "-" for standard output
 * @mode: permission bits of the new file; those of an existing file are kept
 * @ret: the handle
 */
int file_out_open(const char *path, mode_t mode, struct file_out **ret);

/*
 * file_out_open_long() is file_out_open() for output that takes long: it is written to PATH.partial
 * until the commit, so that it survives if the process is killed.
 */
int file_out_open_long(const char *path, mode_t mode, struct file_out **ret);

/*
 * From now on the written data is kept even without a commit. Return: the name of its file, owned
 * by the handle; NULL if the target is written directly.
 */
const char *file_out_keep(struct file_out *o);

/* The stream to write to, owned by the handle. */
FILE *file_out_stream(struct file_out *o);

/* Flushes, syncs and renames. Return: 0 or -errno; after an error the target is unchanged. */
int file_out_commit(struct file_out *o);

/* Releases the handle; a file that was not committed is removed. NULL is allowed. */
void file_out_close(struct file_out *o);
void file_out_closep(struct file_out **o);
