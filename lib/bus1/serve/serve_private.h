/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The insides of the server, shared by its files only. */
#pragma once

#define FUSE_USE_VERSION 314

#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "buf.h"
#include "bus.h"
#include "bus1_abi.h"
#include "bus_ioctl.h"
#include "bus_serve.h"
#include "pool.h"

enum {
    B1_FILE_BUCKETS = 4096,
    B1_INO_ROOT = FUSE_ROOT_ID,
    B1_INO_DEBUG = 2,
    B1_INO_TRAFFIC = 3,
    B1_INO_RECORD = 4,
    B1_INO_PEERS = 6,        /* behind it: of each peer two, its file and its messages */
    B1_STUCK_PER_USER = 128, /* ioctls of one user that may wait for client memory at once */
};

/* Looking this up wakes the leader when it is to stop. */
#define B1_STOP_NAME ".stop"

/*
 * Somebody polls a file. The kernel is told once; it then polls again, which makes a new waiter. A
 * poll is always answered at once: a program may wait for other files too, or not at all.
 */
struct b1_waiter {
    struct b1_waiter *next;
    struct fuse_pollhandle *ph;
};

/* One open file: a peer. */
struct b1_file {
    struct b1_file *next;
    uint64_t ino;
    size_t refs;
    struct b1_peer *peer;
    pid_t pid;
    _Atomic(struct b1_waiter *) waiter;
    unsigned int n_stuck; /* guarded by the server's lock */
};

enum b1_call_state { B1_CALL_RUNNING, B1_CALL_COMMITTED, B1_CALL_ABANDONED };

/* One ioctl under way. */
struct b1_call {
    struct b1_serve *s;
    struct b1_file *file;
    fuse_req_t req;
    pid_t pid;
    uid_t uid;
    unsigned int cmd;
    uint64_t arg[5];
    _Atomic enum b1_call_state state;
    bool answered;        /* by the keeper, since the client is being killed */
    bool stuck;           /* is on the list */
    struct b1_call *next; /* of the stuck, or of the parked */
};

struct b1_serve {
    struct b1_serve_config cfg;
    struct b1_bus *bus;
    struct fuse_session *se;
    char *path;
    char *dir;
    bool made_dir;
    bool made_link;
    bool mounted;
    int fd;     /* of the session */
    int end_fd; /* readable once nobody leads any more */
    dev_t dev;
    uid_t uid;

    struct pool *pool; /* NULL: it does not run */
    pthread_mutex_t lock;
    struct b1_file *files[B1_FILE_BUCKETS];
    uint64_t last_open;
    struct b1_call *stuck;
    struct b1_call *parked;
    pthread_mutex_t tap_lock; /* after the bus's */
    struct b1_tap *taps;
    atomic_uint n_taps;
    atomic_bool stop;      /* wanted */
    atomic_bool stop_seen; /* by the leader */
    _Atomic uint64_t note_after;
};

/* Says it through the configuration, at most once a second. */
void b1_serve_note(struct b1_serve *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Files. The lock is not held. */
struct b1_file *b1_file_find(struct b1_serve *s, uint64_t ino);
void b1_file_unref(struct b1_serve *s, struct b1_file *f);

/* Operations of the file system. */
extern const struct fuse_lowlevel_ops b1_serve_ops;
/* Tells those whom the thread's last call to the engine gave a message. */
void b1_wake_flush(struct b1_serve *s);
void b1_wake_collect(void *ctx, void *peer_data);

/* Calls. */
void b1_call_run(struct b1_call *c);
void b1_call_answer(struct b1_call *c, int r);
/* Tells whether the thread @tid is being killed. */
bool b1_client_dying(pid_t tid);
/* Takes over an ioctl: runs it, or lets it wait until its file and user have fewer stuck ones. */
void b1_loop_ioctl(struct b1_serve *s, struct b1_call *c);
/* Until @stop_fd is readable, or the mount is gone. */
int b1_loop_run(struct b1_serve *s, int stop_fd);

/* A reader of "traffic", or with @whole of "record", which begins with what was there before and
 * has data. */
struct b1_tap;
int b1_tap_open(struct b1_serve *s, bool whole, struct b1_tap **ret);
void b1_tap_close(struct b1_tap *t);
void b1_tap_read(struct b1_tap *t, fuse_req_t req, size_t size);
/* Keeps @ph. */
void b1_tap_poll(struct b1_tap *t, fuse_req_t req, struct fuse_pollhandle *ph);
/* For the engine. */
void b1_tap_event(void *ctx, const struct b1_event *ev);
/* Tells those who poll. No lock is held. */
void b1_taps_wake(struct b1_serve *s);

/* Root and the server's user see everything. */
bool b1_sees_all(const struct b1_serve *s, uid_t uid);
/* The text of "debug", as @uid may see it, or of "peer-INO". */
int b1_debug_bus(struct b1_serve *s, uid_t uid, struct buf *out);
int b1_debug_peer(struct b1_serve *s, uint64_t ino, uid_t uid, struct buf *out);
