/*
 * Ends what COMMAND leaves behind where it has no PID namespace of its own: the part of the reaper's that a process of
 * the host's PID namespace can do. It is a child of our parent, and waits for SIGTERM, which the parent sends when
 * COMMAND has ended, and the kernel when the parent has (PR_SET_PDEATHSIG). Then it kills all processes in its user
 * namespace and in those below, which are COMMAND's descendants and whoever joined them, until there is none, and ends.
 */
#ifndef TUNTAP2_SWEEPER_H
#define TUNTAP2_SWEEPER_H

#include <sys/types.h>

struct sweeper {
  pid_t pid;  /* our parent reaps it; 0: none */
  int socket; /* -1: there is no sweeper. Closing it before sweeper_confirm() ends the sweeper */
};

/*
 * Starts it in the caller's user namespace, below which COMMAND's will be. -1 with errno. Async-signal-safe, for a caller
 * with default handlers.
 */
int sweeper_start(struct sweeper *sweeper);

/* Ties it to our parent's life. Call it when the parent is known to live. */
void sweeper_confirm(const struct sweeper *sweeper);

#endif
