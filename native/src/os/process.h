/*
 * What forked children need. Node has many threads, so between fork and exec (or _exit) a child may make only
 * async-signal-safe calls: another thread may have held a lock, such as malloc's, at the fork.
 */
#ifndef TUNTAP2_PROCESS_H
#define TUNTAP2_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Forks with all signals blocked, and leaves them blocked in the child: a signal there would run libuv's handler,
 * which writes into a pipe that the child shares with its parent.
 */
pid_t process_fork(void);

/*
 * Forks a child of our parent, in our process group and session. Its PID namespace is that of our children. Call
 * it with signals blocked or with default handlers.
 */
pid_t process_fork_sibling(void);

/* process_fork, or another that forks with all signals blocked. */
typedef pid_t process_forker(void);

/* A pair that keeps message boundaries, so that there are no partial reads. -1 with errno. */
int process_socketpair(int pair[2]);

/*
 * Forks a child with a socket to it, as above. Returns its PID, or 0 in the child, and *end is the end of who it returns
 * in; or -1 with errno.
 */
pid_t process_fork_connected(process_forker *forker, int *end);

/* recv and send that continue after a signal. A message longer than `length` is an error, EMSGSIZE. */
ssize_t process_recv(int socket, void *message, size_t length);
ssize_t process_send(int socket, const void *message, size_t length);

/*
 * The same with one descriptor by SCM_RIGHTS, or -1. `flags` are those of recvmsg(2) and sendmsg(2). A received
 * descriptor is close-on-exec. If several came, or some were lost, none is kept.
 */
ssize_t process_recv_fd(int socket, void *message, size_t length, int flags, int *fd);
ssize_t process_send_fd(int socket, const void *message, size_t length, int flags, int fd);

/* Milliseconds of CLOCK_MONOTONIC, which cannot be set. */
int64_t process_now_ms(void);

/* Writes a text to an existing file by one write(2), as /proc requires. -1 with errno. */
int process_write_file(const char *path, const char *text);

enum { PROCESS_DIGITS_CAPACITY = 12 };

/* A PID in decimal, ended by a NUL. Returns where it begins in the buffer. */
char *process_digits(pid_t pid, char buffer[PROCESS_DIGITS_CAPACITY]);

/* A pidfd, or -1 with errno. */
int process_open(pid_t pid);

/* Waits for the end of a child; returns its raw wait status, or -errno. */
int process_reap(pid_t pid);

#endif
