/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What one look at the machine found, shared by the files of lib/wait. */
#pragma once

#include "array.h"
#include "wait.h"

enum descriptor_kind {
    FD_PIPE,
    FD_FIFO,
    FD_SOCKET,
    FD_QUEUE, /* a POSIX message queue */
    FD_FILE,
    FD_EPOLL,
    FD_EVENTFD,
    FD_OTHER, /* timers, signals, devices, … */
};

/* A descriptor. @dev and @inode name what it leads to; of a socket @dev is 0. */
struct descriptor {
    uint64_t dev;
    uint64_t inode;
    uint32_t process;
    pid_t table; /* the thread in whose table it is; see struct proc_fd */
    int fd;
    enum descriptor_kind kind;
    bool reads, writes;
};

struct socket {
    uint64_t inode;
    uint64_t peer;
    char *name;    /* NULL for none; zero bytes of an abstract one are '@' */
    uint64_t file; /* inode number of the file that it was bound to */
    int type;
    bool listens;
};

/* A client and the listener that has not accepted it yet. */
struct unaccepted {
    uint64_t client;
    uint64_t listener;
};

struct process {
    pid_t pid;
    pid_t parent;
    char comm[PROC_COMM_SIZE];
    uint32_t cgroup; /* index into graph.cgroups */
    bool hidden;     /* may not be looked into: taken as running */
    bool is_parent;
    size_t first_fd, n_fds;
    size_t first_thread, n_threads;
};

/* One way in which a thread's wait can end. */
struct alternative {
    enum wait_object_kind kind;
    uint64_t dev, inode; /* of what it waits for; a futex's address, a child's pid, a queue's id */
    int fd;              /* or -1 */
    size_t first_waker, n_wakers; /* in graph.wakers */
    char *name;   /* of what has none of its own; or NULL */
    size_t owner; /* the only thread that can end it; NO_THREAD: any of the wakers' */
};
#define NO_THREAD SIZE_MAX

struct thread {
    uint32_t process;
    pid_t tid;
    char state;
    bool stopped;
    bool live;
    struct proc_call call;
    const char *name;    /* of the call */
    const char *outside; /* why it is live whatever others do, or NULL */
    enum wait_direction direction;
    size_t first_alternative, n_alternatives;
    uint64_t switches; /* how often it has slept; UINT64_MAX: it has gone */
    bool switches_known;
    uint64_t ran; /* when it last got a processor, on the clock of graph.now; 0: not known */
};

struct cgroup {
    uint64_t key; /* what processes of the same groups share; 0: not known */
    char *path;
    bool frozen;
};

struct file_lock {
    bool flock, waits;
    pid_t pid; /* -1: an open file description's */
    uint64_t dev, inode;
};

struct sysv_queue {
    int id;
    pid_t sender, receiver; /* the last ones */
    uint64_t bytes, messages;
};

struct bus;

struct graph {
    int proc;
    uint64_t own_ipc;
    char *own_cgroup;
    char *cgroup_mount;        /* of version 2; NULL when there is none */
    struct process *processes; /* sorted by pid */
    size_t n_processes, processes_room;
    struct thread *threads; /* in the order of the processes */
    size_t n_threads, threads_room;
    struct descriptor *fds;
    size_t n_fds, fds_room;
    uint32_t *by_object;    /* of fds, sorted by what they lead to */
    struct socket *sockets; /* sorted by inode */
    size_t n_sockets, sockets_room;
    struct unaccepted *unaccepted; /* sorted by client */
    size_t n_unaccepted, unaccepted_room;
    struct cgroup *cgroups;
    size_t n_cgroups, cgroups_room;
    struct alternative *alternatives;
    size_t n_alternatives, alternatives_room;
    uint32_t *wakers; /* processes */
    size_t n_wakers, wakers_room;
    struct file_lock *locks;
    size_t n_locks, locks_room;
    bool locks_read;
    struct sysv_queue *queues;
    size_t n_queues, queues_room;
    bool queues_read;
    struct bus *buses; /* bus_waits.c */
    size_t n_buses, buses_room;
    bool buses_read;
    bool events_read; /* eventfds have their numbers */
    uint64_t hidden;
    uint64_t now; /* when we ourselves last got a processor, where BPF tells that */
    int error; /* the first -ENOMEM */
};

/*
 * scan_bpf.c: programs that tell threads and descriptors of all processes, loaded once for several
 * scans. For root alone, who may see all of that.
 */
struct graph_bpf;
int graph_bpf_open(struct graph_bpf **ret, struct err *e);
void graph_bpf_close(struct graph_bpf *b);
void graph_bpf_closep(struct graph_bpf **b);

/* scan.c: processes, threads, descriptors, sockets. @bpf: NULL for /proc. Return: 0 or -errno. */
int graph_scan(struct graph *g, const struct graph_bpf *bpf, struct err *e);
void graph_done(struct graph *g);
struct process *graph_process(const struct graph *g, pid_t pid);
struct socket *graph_socket(const struct graph *g, uint64_t inode);
/* Threads and processes are numbered as in their arrays. */
size_t graph_thread(const struct graph *g, pid_t tid);
/* Descriptor @fd as the thread has it, or NULL. */
struct descriptor *graph_fd(const struct graph *g, const struct thread *t, uint64_t fd);
/* The first of by_object that leads there; *@n of them in a row. */
const uint32_t *graph_holders(const struct graph *g, enum descriptor_kind kind, uint64_t dev,
                              uint64_t inode, size_t *n);
/* The listener that a client waits to be accepted by; 0 for none. */
uint64_t graph_listener_of(const struct graph *g, uint64_t client);

/* kernel_tables.c: /proc/locks and /proc/sysvipc/msg, read when first asked for. */
void graph_read_locks(struct graph *g);
void graph_read_queues(struct graph *g);

/* calls.c: fills in what each thread waits for. */
void graph_explain(struct graph *g);

/* The path that the thread's open(2) names, to be freed; NULL when it is in none. */
char *graph_opened_path(const struct graph *g, const struct thread *t);

/* solve.c: who is live. */
void graph_solve(struct graph *g);
/* The number of times a thread has slept; UINT64_MAX when it has gone. */
uint64_t graph_switches(const struct graph *g, const struct thread *t);
/* Threads that moved since @before was solved become live, and whom they can wake. */
int graph_confirm(struct graph *g, const struct graph *before);

/* describe.c: in words. Return: 0 or -ENOMEM. */
int graph_describe(const struct graph *g, const struct thread *t, struct wait_thread *out);
void wait_thread_done(struct wait_thread *t);
/* Who traces a process, 0 for nobody. */
pid_t graph_tracer(const struct graph *g, pid_t pid);

/* findings.c: sets of threads that cannot go on. Return: 0 or -ENOMEM. */
int graph_findings(const struct graph *g, const struct wait_opts *opts, struct wait_report *out);
