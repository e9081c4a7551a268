/*
 * What every forked child begins with. Node has many threads, so between fork and exec (or _exit)
 * a child may only use async-signal-safe calls: another thread may have held malloc's lock, or any
 * other, at the moment of the fork.
 */
#ifndef TUNTAP2_PROCESS_H
#define TUNTAP2_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Forks with all signals blocked; the child stays so. A signal that arrived in the child would run
 * libuv's handler there, which writes into the pipe that the child shares with its parent.
 */
pid_t process_fork(void);

/*
 * Forks a child of our parent instead, in our process group and session; it has no namespaces but ours, or those
 * that our children will be in. All signals must be blocked, or this process have none but the default handlers.
 */
pid_t process_fork_sibling(void);

/* process_fork, or another that forks with all signals blocked. */
typedef pid_t process_forker(void);

/* A pair that keeps message boundaries, so that there are no partial reads. -1 with errno. */
int process_socketpair(int pair[2]);

/* recv and send that go on after a signal. A message longer than `length` is none: -1 with EMSGSIZE. */
ssize_t process_recv(int socket, void *message, size_t length);
ssize_t process_send(int socket, const void *message, size_t length);

/*
 * The same with a descriptor along by SCM_RIGHTS; -1: there is none. `flags` are those of recvmsg(2)
 * and sendmsg(2). What is received is close-on-exec. Of a message that brought several, or lost some on
 * its way, none is kept.
 */
ssize_t process_recv_fd(int socket, void *message, size_t length, int flags, int *fd);
ssize_t process_send_fd(int socket, const void *message, size_t length, int flags, int fd);

/* Milliseconds of CLOCK_MONOTONIC, which nobody sets. */
int64_t process_now_ms(void);

/* Writes a text to a file that exists, by one write, as those of /proc want it. -1 with errno. */
int process_write_file(const char *path, const char *text);

/* Waits for the end of a child; returns its raw wait status, or -errno. */
int process_reap(pid_t pid);

#endif
