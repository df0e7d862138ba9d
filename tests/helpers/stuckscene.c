/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes that are stuck, and processes that only rest. Each scene is a set of real processes;
 * for each a line tells what a correct tool must report of it:
 *
 *   stuckscene DIR        "SCENE KIND PID…", KIND deadlock, stopped, orphan, or quiet; the PIDs are
 * those that wait, or rest. Everything ends when standard input does
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *dir;
static char big[1 << 20];

/* What the processes of a scene share: shared[] counts their steps. */
static volatile int *step;
static pid_t pids[8];
static size_t n_pids;

static void die(const char *what)
{
    fprintf(stderr, "stuckscene: %s: %s\n", what, strerror(errno));
    _exit(1);
}

/* A process of the scene; it is told as one that waits if @waits. */
static pid_t process(void (*run)(void), int waits)
{
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run();
        for (;;)
            pause();
    }
    if (waits)
        pids[n_pids++] = pid;
    return pid;
}

static void wait_step(int n)
{
    while (*step < n)
        usleep(1000);
}

static void next_step(void)
{
    __atomic_add_fetch(step, 1, __ATOMIC_SEQ_CST);
}

static const char *path(const char *name)
{
    static char text[512];

    snprintf(text, sizeof(text), "%s/%s", dir, name);
    return text;
}

static const char *queue_name(const char *what)
{
    static char text[64];

    snprintf(text, sizeof(text), "/stuckscene-%d-%s", (int)getpid(), what);
    return text;
}

static int fds[6][2];

static void make_pipe(int i)
{
    if (pipe(fds[i]) < 0)
        die("pipe");
}

static void make_pair(int i, int type)
{
    if (socketpair(AF_UNIX, type, 0, fds[i]) < 0)
        die("socketpair");
}

static void close_pair(int i)
{
    close(fds[i][0]);
    close(fds[i][1]);
}

static void read_from(int fd)
{
    ssize_t n;
    char c;

    do
        n = read(fd, &c, 1);
    while (n > 0 || (n < 0 && errno == EINTR));
}

static void write_to(int fd)
{
    while (write(fd, big, sizeof(big)) >= 0 || errno == EINTR)
        ;
}

static void rest(void)
{
    for (;;)
        sleep(1000);
}

static void stop_self(void)
{
    next_step();
    raise(SIGSTOP);
    rest();
}

/* ---- what is stuck ---- */

static void both_full_child(void)
{
    close(fds[0][1]);
    close(fds[1][0]);
    write_to(fds[1][1]); /* and never reads what it is sent */
}

static void both_full_parent(void)
{
    close(fds[0][0]);
    close(fds[1][1]);
    write_to(fds[0][1]);
}

static void pipes_filled_both_ways(void)
{
    make_pipe(0);
    make_pipe(1);
    process(both_full_child, 1);
    process(both_full_parent, 1);
}

static void unread_child(void)
{
    int p[2];
    pid_t pid;

    if (pipe(p) < 0)
        die("pipe");
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(p[0]);
        step[1] = getpid();
        next_step();
        write_to(p[1]);
    }
    close(p[1]);
    waitpid(pid, NULL, 0);
}

static void waits_for_unread_child(void)
{
    process(unread_child, 1);
    wait_step(1);
    pids[n_pids++] = step[1];
}

static int ring_place;

static void ring_member(void)
{
    for (int i = 0; i < 3; i++) {
        if (i != ring_place)
            close(fds[i][0]);
        if (i != (ring_place + 2) % 3)
            close(fds[i][1]);
    }
    write_to(fds[ring_place][0]);
}

static void ring_of_sockets(void)
{
    for (int i = 0; i < 3; i++)
        make_pair(i, SOCK_STREAM);
    for (ring_place = 0; ring_place < 3; ring_place++)
        process(ring_member, 1);
}

static void own_writer_run(void)
{
    read_from(fds[0][0]);
}

static void own_writer(void)
{
    make_pipe(0);
    process(own_writer_run, 1);
}

static void own_socket(void)
{
    make_pair(0, SOCK_STREAM);
    process(own_writer_run, 1);
}

static int lock_kind; /* 0: flock first */

static void take(const char *name, int posix)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path(name), O_RDWR | O_CREAT, 0600);

    if (fd < 0 || (posix ? fcntl(fd, F_SETLKW, &l) : flock(fd, LOCK_EX)) < 0)
        die("lock");
}

static void lock_one(void)
{
    take(lock_kind ? "posix-a" : "flock-a", lock_kind);
    next_step();
    wait_step(2);
    take(lock_kind ? "flock-c" : "flock-b", 0);
}

static void lock_two(void)
{
    take(lock_kind ? "flock-c" : "flock-b", 0);
    next_step();
    wait_step(2);
    take(lock_kind ? "posix-a" : "flock-a", lock_kind);
}

static void two_flocks(void)
{
    lock_kind = 0;
    process(lock_one, 1);
    process(lock_two, 1);
}

static void flock_and_posix_lock(void)
{
    lock_kind = 1;
    process(lock_one, 1);
    process(lock_two, 1);
}

static pthread_mutex_t mutex[2];

static void *second_thread(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&mutex[1]);
    next_step();
    wait_step(2);
    pthread_mutex_lock(&mutex[0]);
    return NULL;
}

static void mutexes_run(void)
{
    pthread_t t;

    pthread_mutex_init(&mutex[0], NULL);
    pthread_mutex_init(&mutex[1], NULL);
    pthread_create(&t, NULL, second_thread, NULL);
    pthread_mutex_lock(&mutex[0]);
    next_step();
    wait_step(2);
    pthread_mutex_lock(&mutex[1]);
}

static void two_mutexes(void)
{
    process(mutexes_run, 1);
}

static void *pi_second(void *arg)
{
    (void)arg;
    wait_step(1);
    pthread_mutex_lock(&mutex[0]);
    (void)!write(fds[0][1], "x", 1);
    return NULL;
}

static void pi_run(void)
{
    pthread_mutexattr_t a;
    pthread_t t;

    pthread_mutexattr_init(&a);
    pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
    pthread_mutex_init(&mutex[0], &a);
    pthread_mutex_lock(&mutex[0]);
    pthread_create(&t, NULL, pi_second, NULL);
    next_step();
    read_from(fds[0][0]);
}

static void pi_mutex_and_pipe(void)
{
    make_pipe(0);
    process(pi_run, 1);
}

static pthread_mutex_t *shared_mutex;

static void robust_holder(void)
{
    close(fds[0][1]);
    pthread_mutex_lock(shared_mutex);
    next_step();
    read_from(fds[0][0]);
}

static void robust_waiter(void)
{
    close(fds[0][0]);
    wait_step(1);
    pthread_mutex_lock(shared_mutex);
}

static void shared_robust_mutex(void)
{
    pthread_mutexattr_t a;

    shared_mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(shared_mutex, &a);
    make_pipe(0);
    process(robust_holder, 1);
    process(robust_waiter, 1);
}

static mqd_t open_queue(const char *what, int flags)
{
    struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 8};
    const char *name = queue_name(what);
    mqd_t q = mq_open(name, flags | O_CREAT, 0600, &attr);

    if (q < 0)
        die("mq_open");
    return q;
}

static mqd_t queue[2];

static void queue_consumer(void)
{
    char message[8];

    close(queue[1]);
    mq_receive(queue[0], message, sizeof(message), NULL);
    stop_self();
}

static void queue_sender(void)
{
    close(queue[0]);
    for (;;)
        mq_send(queue[1], "x", 1, 0);
}

static void queue_of_stopped_consumer(void)
{
    queue[0] = open_queue("stopped", O_RDONLY);
    queue[1] = open_queue("stopped", O_WRONLY);
    process(queue_consumer, 0);
    for (int i = 0; i < 3; i++)
        process(queue_sender, 1);
    wait_step(1);
    mq_unlink(queue_name("stopped"));
}

static void receive_alone(void)
{
    char message[8];

    mq_receive(queue[0], message, sizeof(message), NULL);
}

static void queue_without_sender(void)
{
    queue[0] = open_queue("alone", O_RDONLY);
    process(receive_alone, 1);
    mq_unlink(queue_name("alone"));
}

static void send_alone(void)
{
    for (;;)
        mq_send(queue[0], "x", 1, 0);
}

static void queue_without_receiver(void)
{
    queue[0] = open_queue("full", O_WRONLY);
    process(send_alone, 1);
    mq_unlink(queue_name("full"));
}

static void receive_other(void)
{
    char message[8];

    mq_receive(queue[1], message, sizeof(message), NULL);
}

static void two_queues(void)
{
    queue[0] = open_queue("one", O_RDWR);
    queue[1] = open_queue("two", O_RDWR);
    process(receive_alone, 1);
    process(receive_other, 1);
    mq_unlink(queue_name("one"));
    mq_unlink(queue_name("two"));
}

struct text {
    long type;
    char data[4096];
};
static int sysv[2] = {-1, -1};

static void sysv_consumer(void)
{
    struct text t;

    while (msgrcv(sysv[0], &t, sizeof(t.data), 0, 0) < 0 && errno == EINTR)
        ;
    stop_self();
}

static void sysv_sender(void)
{
    struct text t = {.type = 1};

    for (;;)
        msgsnd(sysv[0], &t, sizeof(t.data), 0);
}

static void sysv_of_stopped_consumer(void)
{
    sysv[0] = msgget(IPC_PRIVATE, 0600);
    process(sysv_consumer, 0);
    process(sysv_sender, 1);
    wait_step(1);
}

static int sysv_place;

/* Each sends to the other once, receives that, and waits for more. */
static void sysv_peer(void)
{
    struct text t = {.type = 1};

    msgsnd(sysv[!sysv_place], &t, 1, 0);
    for (;;)
        msgrcv(sysv[sysv_place], &t, sizeof(t.data), 0, 0);
}

static void two_sysv_queues(void)
{
    sysv[0] = msgget(IPC_PRIVATE, 0600);
    sysv[1] = msgget(IPC_PRIVATE, 0600);
    for (sysv_place = 0; sysv_place < 2; sysv_place++)
        process(sysv_peer, 1);
}

static void open_fifo(void)
{
    (void)open(path("lonely"), O_RDONLY);
}

static void fifo_that_nobody_opens(void)
{
    mkfifo(path("lonely"), 0600);
    process(open_fifo, 1);
}

static void fifo_writer(void)
{
    (void)open(path("fifo"), O_WRONLY);
    stop_self();
}

static void fifo_reader(void)
{
    read_from(open(path("fifo"), O_RDONLY));
}

static void fifo_of_stopped_writer(void)
{
    mkfifo(path("fifo"), 0600);
    process(fifo_writer, 0);
    process(fifo_reader, 1);
    wait_step(1);
}

static void stopped_other_end(void)
{
    close(fds[0][0]);
    stop_self();
}

static void write_first(void)
{
    close(fds[0][1]);
    while (write(fds[0][0], "x", 1) >= 0 || errno == EINTR)
        ;
}

static void datagrams_to_stopped(void)
{
    make_pair(0, SOCK_DGRAM);
    process(stopped_other_end, 0);
    process(write_first, 1);
    wait_step(1);
}

static struct sockaddr_un address(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};

    snprintf(a.sun_path, sizeof(a.sun_path), "%.107s", path(name));
    return a;
}

static void bound_and_stopped(void)
{
    struct sockaddr_un a = address("dgram");
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        die("bind");
    stop_self();
}

static void send_by_address(void)
{
    struct sockaddr_un a = address("dgram");
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    wait_step(1);
    for (;;)
        sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a));
}

static void datagrams_by_address(void)
{
    process(bound_and_stopped, 0);
    process(send_by_address, 1);
    wait_step(1);
}

static void listen_and_stop(void)
{
    struct sockaddr_un a = address("listener");
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 0) < 0)
        die("listen");
    stop_self();
}

static void connect_to_listener(void)
{
    struct sockaddr_un a = address("listener");
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    wait_step(1);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
        read_from(fd);
}

/* One client fills the backlog and waits to be accepted, the other waits in connect(2). */
static void clients_of_stopped_listener(void)
{
    process(listen_and_stop, 0);
    process(connect_to_listener, 1);
    process(connect_to_listener, 1);
    wait_step(1);
}

static void read_second(void)
{
    close(fds[0][0]);
    read_from(fds[0][1]);
}

static void read_first(void)
{
    close(fds[0][1]);
    read_from(fds[0][0]);
}

static void both_receive(void)
{
    make_pair(0, SOCK_SEQPACKET);
    process(read_first, 1);
    process(read_second, 1);
}

static void poll_first(void)
{
    struct pollfd p = {.fd = fds[0][0], .events = POLLIN};

    close(fds[0][1]);
    for (;;)
        poll(&p, 1, -1);
}

static void select_first(void)
{
    fd_set set;

    close(fds[0][1]);
    for (;;) {
        FD_ZERO(&set);
        FD_SET(fds[0][0], &set);
        select(fds[0][0] + 1, &set, NULL, NULL, NULL);
    }
}

static void epoll_first(void)
{
    struct epoll_event e = {.events = EPOLLIN};
    int fd = epoll_create1(0);

    close(fds[0][1]);
    epoll_ctl(fd, EPOLL_CTL_ADD, fds[0][0], &e);
    for (;;)
        epoll_wait(fd, &e, 1, -1);
}

static void splice_first(void)
{
    int to[2];

    close(fds[0][1]);
    if (pipe(to) < 0)
        die("pipe");
    for (;;)
        splice(fds[0][0], NULL, to[1], NULL, 1, 0);
}

static void of_stopped_writer(void (*waiter)(void), int pair)
{
    if (pair)
        make_pair(0, SOCK_STREAM);
    else
        make_pipe(0);
    process(stopped_other_end, 0);
    process(waiter, 1);
    wait_step(1);
}

static void polled_pipe(void)
{
    of_stopped_writer(poll_first, 0);
}

static void selected_pipe(void)
{
    of_stopped_writer(select_first, 0);
}

static void epolled_socket(void)
{
    of_stopped_writer(epoll_first, 1);
}

static void spliced_pipe(void)
{
    of_stopped_writer(splice_first, 0);
}

static void wait_for_stopped_child(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        stop_self();
    }
    waitpid(pid, NULL, 0);
}

static void child_that_is_stopped(void)
{
    process(wait_for_stopped_child, 1);
    wait_step(1);
}

static void chain_middle(void)
{
    close(fds[0][1]);
    close(fds[1][0]);
    read_from(fds[0][0]);
}

static void chain_end(void)
{
    close_pair(0);
    close(fds[1][1]);
    read_from(fds[1][0]);
}

static void chain_begin(void)
{
    close(fds[0][0]);
    close_pair(1);
    stop_self();
}

static void chain_of_three(void)
{
    make_pipe(0);
    make_pipe(1);
    process(chain_begin, 0);
    process(chain_middle, 1);
    process(chain_end, 1);
    wait_step(1);
}

static void traced_child(void)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(fds[0][0]);
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    raise(SIGSTOP);
    rest();
}

static void tracer(void)
{
    pid_t pid = fork();

    if (pid == 0)
        traced_child();
    close_pair(0);
    waitpid(pid, NULL, 0);
    next_step();
    rest();
}

static void pipe_of_traced_writer(void)
{
    make_pipe(0);
    process(tracer, 0);
    process(read_first, 1);
    wait_step(1);
}

/* ---- what only rests ---- */

static void sleep_with_writer(void)
{
    close(fds[0][0]);
    rest();
}

static void pipeline_at_rest(void)
{
    make_pipe(0);
    process(sleep_with_writer, 1);
    process(read_first, 1);
}

static void serve(void)
{
    struct sockaddr_un a = address("server");
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 5) < 0)
        die("listen");
    for (;;)
        accept(fd, NULL, NULL);
}

static void server_at_rest(void)
{
    process(serve, 1);
}

static void poll_again(void)
{
    struct pollfd p = {.fd = fds[0][0], .events = POLLIN};

    for (;;)
        poll(&p, 1, 100000);
}

static void poll_with_timeout(void)
{
    make_pipe(0);
    process(poll_again, 1);
}

static void receive_with_timeout_run(void)
{
    struct timeval limit = {.tv_sec = 1000};
    char c;

    setsockopt(fds[0][0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    for (;;)
        recv(fds[0][0], &c, 1, 0);
}

static void receive_with_timeout(void)
{
    make_pair(0, SOCK_STREAM);
    process(receive_with_timeout_run, 1);
}

static void timed_queue_run(void)
{
    struct timespec until;
    char message[8];

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1000;
    for (;;)
        mq_timedreceive(queue[0], message, sizeof(message), NULL, &until);
}

static void timed_queue(void)
{
    queue[0] = open_queue("timed", O_RDONLY);
    process(timed_queue_run, 1);
    mq_unlink(queue_name("timed"));
}

static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

static void *wait_for_condition(void *arg)
{
    pthread_mutex_lock(&mutex[0]);
    for (;;)
        pthread_cond_wait(&condition, &mutex[0]);
    return arg;
}

static void conditions_run(void)
{
    pthread_t t;

    pthread_mutex_init(&mutex[0], NULL);
    pthread_create(&t, NULL, wait_for_condition, NULL);
    wait_for_condition(NULL);
}

static void condition_variables(void)
{
    process(conditions_run, 1);
}

static void on_child(int signal)
{
    (void)signal;
}

/* As GNU make with a job server: waits for a token, and its children hold them all. */
static void job_server_run(void)
{
    struct sigaction a = {.sa_handler = on_child};

    sigaction(SIGCHLD, &a, NULL);
    for (int i = 0; i < 2; i++)
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close_pair(0);
            rest();
        }
    read_from(fds[0][0]);
}

static void job_server(void)
{
    make_pipe(0);
    process(job_server_run, 1);
}

static void ping(void)
{
    char c = 0;

    close(fds[0][1]);
    for (;;) {
        (void)!write(fds[0][0], &c, 1);
        (void)!read(fds[0][0], &c, 1);
        usleep(200);
    }
}

static void pong(void)
{
    char c;

    close(fds[0][0]);
    for (;;) {
        (void)!read(fds[0][1], &c, 1);
        (void)!write(fds[0][1], &c, 1);
    }
}

static void busy_pair(void)
{
    make_pair(0, SOCK_STREAM);
    process(ping, 1);
    process(pong, 1);
}

static void datagram_server_run(void)
{
    struct sockaddr_un a = address("datagrams");
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        die("bind");
    read_from(fd);
}

static void datagram_server(void)
{
    process(datagram_server_run, 1);
}

static void *hold_mutex(void *arg)
{
    pthread_mutex_lock(&mutex[0]);
    next_step();
    rest();
    return arg;
}

static void held_mutex_run(void)
{
    pthread_t t;

    pthread_mutex_init(&mutex[0], NULL);
    pthread_create(&t, NULL, hold_mutex, NULL);
    wait_step(1);
    pthread_mutex_lock(&mutex[0]);
}

static void mutex_of_sleeper(void)
{
    process(held_mutex_run, 1);
}

static void wait_for_sleeper_run(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        rest();
    }
    waitpid(pid, NULL, 0);
}

static void child_that_sleeps(void)
{
    process(wait_for_sleeper_run, 1);
}

static void timer_run(void)
{
    struct itimerspec at = {.it_value.tv_sec = 1000};
    struct epoll_event e = {.events = EPOLLIN};
    int fd = epoll_create1(0), timer = timerfd_create(CLOCK_MONOTONIC, 0);

    timerfd_settime(timer, 0, &at, NULL);
    epoll_ctl(fd, EPOLL_CTL_ADD, timer, &e);
    epoll_ctl(fd, EPOLL_CTL_ADD, fds[0][0], &e);
    for (;;)
        epoll_wait(fd, &e, 1, -1);
}

static void epoll_with_timer(void)
{
    make_pipe(0);
    process(timer_run, 1);
}

static void hold_queue(void)
{
    rest();
}

static void queue_with_idle_sender(void)
{
    queue[0] = open_queue("idle", O_RDWR);
    process(hold_queue, 1);
    process(receive_alone, 1);
    mq_unlink(queue_name("idle"));
}

static void hold_lock(void)
{
    take("sleeper", 0);
    next_step();
    rest();
}

static void want_lock(void)
{
    wait_step(1);
    take("sleeper", 0);
}

static void lock_of_sleeper(void)
{
    process(hold_lock, 1);
    process(want_lock, 1);
}

static const struct scene {
    const char *name;
    const char *kind;
    void (*make)(void);
} scenes[] = {
    {"pipes-filled-both-ways", "deadlock", pipes_filled_both_ways},
    {"waits-for-unread-child", "deadlock", waits_for_unread_child},
    {"ring-of-sockets", "deadlock", ring_of_sockets},
    {"own-writer", "orphan", own_writer},
    {"own-socket", "orphan", own_socket},
    {"two-flocks", "deadlock", two_flocks},
    {"flock-and-posix-lock", "deadlock", flock_and_posix_lock},
    {"two-mutexes", "deadlock", two_mutexes},
    {"pi-mutex-and-pipe", "deadlock", pi_mutex_and_pipe},
    {"shared-robust-mutex", "deadlock", shared_robust_mutex},
    {"queue-of-stopped-consumer", "stopped", queue_of_stopped_consumer},
    {"queue-without-sender", "orphan", queue_without_sender},
    {"queue-without-receiver", "orphan", queue_without_receiver},
    {"two-queues", "deadlock", two_queues},
    {"sysv-of-stopped-consumer", "stopped", sysv_of_stopped_consumer},
    {"two-sysv-queues", "deadlock", two_sysv_queues},
    {"fifo-that-nobody-opens", "orphan", fifo_that_nobody_opens},
    {"fifo-of-stopped-writer", "stopped", fifo_of_stopped_writer},
    {"datagrams-to-stopped", "stopped", datagrams_to_stopped},
    {"datagrams-by-address", "stopped", datagrams_by_address},
    {"clients-of-stopped-listener", "stopped", clients_of_stopped_listener},
    {"both-receive", "deadlock", both_receive},
    {"polled-pipe", "stopped", polled_pipe},
    {"selected-pipe", "stopped", selected_pipe},
    {"epolled-socket", "stopped", epolled_socket},
    {"spliced-pipe", "stopped", spliced_pipe},
    {"child-that-is-stopped", "stopped", child_that_is_stopped},
    {"chain-of-three", "stopped", chain_of_three},
    {"pipe-of-traced-writer", "stopped", pipe_of_traced_writer},
    {"pipeline-at-rest", "quiet", pipeline_at_rest},
    {"server-at-rest", "quiet", server_at_rest},
    {"poll-with-timeout", "quiet", poll_with_timeout},
    {"receive-with-timeout", "quiet", receive_with_timeout},
    {"timed-queue", "quiet", timed_queue},
    {"condition-variables", "quiet", condition_variables},
    {"job-server", "quiet", job_server},
    {"busy-pair", "quiet", busy_pair},
    {"datagram-server", "quiet", datagram_server},
    {"mutex-of-sleeper", "quiet", mutex_of_sleeper},
    {"child-that-sleeps", "quiet", child_that_sleeps},
    {"epoll-with-timer", "quiet", epoll_with_timer},
    {"queue-with-idle-sender", "quiet", queue_with_idle_sender},
    {"lock-of-sleeper", "quiet", lock_of_sleeper},
};

/* Each scene is made by a process of its own, so that nobody else holds what it made. */
static void make_scene(const struct scene *s)
{
    sigset_t set;
    int got;

    step = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (step == MAP_FAILED)
        die("mmap");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    s->make();
    printf("%s %s", s->name, s->kind);
    for (size_t i = 0; i < n_pids; i++)
        printf(" %d", (int)pids[i]);
    puts("");
    fflush(stdout);
    for (int fd = 3; fd < 256; fd++)
        close(fd);
    close(0);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    sigwait(&set, &got);
    /* System V queues go with the scene. */
    for (int i = 0; i < 2; i++)
        if (sysv[i] >= 0)
            msgctl(sysv[i], IPC_RMID, NULL);
    for (size_t i = 0; i < n_pids; i++)
        kill(pids[i], SIGKILL);
    _exit(0);
}

int main(int argc, char **argv)
{
    pid_t makers[sizeof(scenes) / sizeof(scenes[0])];
    size_t n = sizeof(scenes) / sizeof(scenes[0]);

    if (argc < 2)
        return 2;
    dir = argv[1];
    for (size_t i = 0; i < n; i++) {
        fflush(stdout);
        makers[i] = fork();
        if (makers[i] == 0)
            make_scene(&scenes[i]);
    }
    read_from(0);
    for (size_t i = 0; i < n; i++)
        kill(makers[i], SIGTERM);
    while (wait(NULL) > 0)
        ;
    return 0;
}
