/*
 * guard [-r] COMMAND [ARG...]: run COMMAND, time its start, and never let it outlive the bench.
 *
 * fd 3 is a socket to the bench. The guard writes "pid N" once COMMAND has been forked and, with
 * -r, "ready NS" when COMMAND has written to its own fd 3: nanoseconds from just before fork().
 * The bench closes the socket, or dies in whatever way, and COMMAND gets SIGTERM, then SIGKILL.
 * The guard's exit status is COMMAND's (128 + n for a signal).
 *
 * A C program and not the bench itself, because fork() out of Node takes as long as slirp4netns
 * needs to get ready, and because only a process of its own survives a SIGKILL of the bench.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONTROL_FD = 3, READY_FD = 3, TERM_GRACE_MS = 1000 };

struct child {
    pid_t pid;
    int pidfd;
    int ready; /* read end of the ready pipe, -1 when there is none (any more) */
    uint64_t started_ns;
};

static void die(const char *what)
{
    perror(what);
    exit(125);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* 5,000 flows need more than the usual soft limit of 1,024; podman raises it for its helper too. */
static void raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) die("setrlimit");
}

static struct child start(char **argv, bool wants_ready)
{
    int ready[2] = {-1, -1};
    if (wants_ready && pipe(ready) != 0) die("pipe");

    struct child child = {.ready = ready[0], .started_ns = now_ns()};
    child.pid = fork();
    if (child.pid < 0) die("fork");
    if (child.pid == 0) {
        signal(SIGPIPE, SIG_DFL); /* ignored it would stay so over exec, and pasta refuses that */
        close(CONTROL_FD);
        if (wants_ready) {
            close(ready[0]);
            if (ready[1] != READY_FD) {
                dup2(ready[1], READY_FD);
                close(ready[1]);
            }
        }
        execvp(argv[0], argv);
        fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }

    if (wants_ready) close(ready[1]);
    child.pidfd = (int)syscall(SYS_pidfd_open, child.pid, 0);
    if (child.pidfd < 0) die("pidfd_open");
    return child;
}

/* Reports readiness, or forgets the pipe when it was closed unwritten. */
static void take_ready(struct child *child)
{
    char byte;
    uint64_t elapsed = now_ns() - child->started_ns;
    if (read(child->ready, &byte, 1) == 1)
        dprintf(CONTROL_FD, "ready %llu\n", (unsigned long long)elapsed);
    close(child->ready);
    child->ready = -1;
}

static void terminate(const struct child *child)
{
    struct pollfd exited = {.fd = child->pidfd, .events = POLLIN};
    kill(child->pid, SIGTERM);
    if (poll(&exited, 1, TERM_GRACE_MS) == 0) kill(child->pid, SIGKILL);
}

/* Returns when the child has ended, by itself or because the bench let go. */
static void watch(struct child *child)
{
    enum { READY, EXITED, CONTROL };
    for (;;) {
        struct pollfd fds[] = {
            [READY] = {.fd = child->ready, .events = POLLIN},
            [EXITED] = {.fd = child->pidfd, .events = POLLIN},
            [CONTROL] = {.fd = CONTROL_FD, .events = POLLIN},
        };
        if (poll(fds, sizeof fds / sizeof *fds, -1) < 0) {
            if (errno == EINTR) continue;
            die("poll");
        }
        if (fds[READY].revents != 0) take_ready(child);
        if (fds[EXITED].revents != 0) return;
        if (fds[CONTROL].revents != 0) {
            terminate(child);
            return;
        }
    }
}

static int exit_status(const struct child *child)
{
    int status;
    if (waitpid(child->pid, &status, 0) < 0) die("waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    bool wants_ready = argc > 1 && strcmp(argv[1], "-r") == 0;
    char **command = argv + (wants_ready ? 2 : 1);
    if (*command == NULL) {
        fprintf(stderr, "usage: guard [-r] COMMAND [ARG...]\n");
        return 2;
    }

    signal(SIGPIPE, SIG_IGN); /* the bench may be gone before a report is written */
    raise_fd_limit();
    struct child child = start(command, wants_ready);
    dprintf(CONTROL_FD, "pid %d\n", (int)child.pid);
    watch(&child);
    return exit_status(&child);
}
