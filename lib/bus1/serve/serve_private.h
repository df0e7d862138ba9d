/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Declarations that only the files of the server share. */
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
    B1_INO_PEERS = 6,        /* from here on each peer has two numbers: its file and its messages */
    B1_STUCK_PER_USER = 128, /* how many ioctls of one user may wait for client memory at once */
};

/* A look-up of this name wakes the leader when it is to stop. */
#define B1_STOP_NAME ".stop"

/*
 * A poll of a file that waits for a message. The kernel is notified once; it then polls again,
 * which makes a new waiter. A poll request is answered at once in any case: the program may poll
 * other files too, or not wait at all.
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
    bool answered;        /* it was answered early, because the client is being killed */
    bool stuck;           /* is on the list of stuck calls */
    struct b1_call *next; /* in the list of stuck or of parked calls */
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
    int fd;     /* of the FUSE session */
    int end_fd; /* readable once no thread is the leader any more */
    dev_t dev;
    uid_t uid;

    struct pool *pool; /* NULL: the server is not running */
    pthread_mutex_t lock;
    struct b1_file *files[B1_FILE_BUCKETS];
    uint64_t last_open;
    struct b1_call *stuck;
    struct b1_call *parked;
    pthread_mutex_t tap_lock; /* taken after the lock of the bus */
    struct b1_tap *taps;
    atomic_uint n_taps;
    atomic_bool stop;      /* the server is to stop */
    atomic_bool stop_seen; /* the leader has noticed it */
    _Atomic uint64_t note_after;
};

/* Reports a problem through the note callback of the configuration, at most once a second. */
void b1_serve_note(struct b1_serve *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Files. The lock is not held. */
struct b1_file *b1_file_find(struct b1_serve *s, uint64_t ino);
void b1_file_unref(struct b1_serve *s, struct b1_file *f);

/* Operations of the file system. */
extern const struct fuse_lowlevel_ops b1_serve_ops;
/* Notifies the pollers of the peers that got a message in the thread's last call of the engine. */
void b1_wake_flush(struct b1_serve *s);
void b1_wake_collect(void *ctx, void *peer_data);

/* Calls. */
void b1_call_run(struct b1_call *c);
void b1_call_answer(struct b1_call *c, int r);
/* Tells whether the thread @tid is being killed. */
bool b1_client_dying(pid_t tid);
/* Takes over an ioctl: runs it, or parks it until its file and user have fewer stuck ones. */
void b1_loop_ioctl(struct b1_serve *s, struct b1_call *c);
/* Answers requests until @stop_fd is readable, or the mount is gone. */
int b1_loop_run(struct b1_serve *s, int stop_fd);

/*
 * An open file "traffic", or with @whole "record", which begins with what existed before and has
 * data.
 */
struct b1_tap;
int b1_tap_open(struct b1_serve *s, bool whole, struct b1_tap **ret);
void b1_tap_close(struct b1_tap *t);
void b1_tap_read(struct b1_tap *t, fuse_req_t req, size_t size);
/* Takes ownership of @ph. */
void b1_tap_poll(struct b1_tap *t, fuse_req_t req, struct fuse_pollhandle *ph);
/* The on_event callback of the engine. */
void b1_tap_event(void *ctx, const struct b1_event *ev);
/* Notifies those who poll event files. No lock is held. */
void b1_taps_wake(struct b1_serve *s);

/* Tells whether the user sees everything: root and the server's user do. */
bool b1_sees_all(const struct b1_serve *s, uid_t uid);
/* Writes the text of "debug", as @uid may see it, or of "peer-INO". */
int b1_debug_bus(struct b1_serve *s, uid_t uid, struct buf *out);
int b1_debug_peer(struct b1_serve *s, uint64_t ino, uid_t uid, struct buf *out);
