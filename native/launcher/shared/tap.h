/* Opens and configures the TAP in its namespace, by an agent. */
#ifndef SLIPWAY_SHARED_TAP_H
#define SLIPWAY_SHARED_TAP_H

#include <net/if.h>
#include <stdbool.h>

#include "../../src/agent/agent.h"
#include "connection.h"
#include "target.h"

struct tap {
  int fd;      /* -1: there is none */
  int process; /* pidfd of the process that the namespace was named by; -1: none */
  struct agent agent; /* its socket is -1 when there is none */
  int index;
  char name[IFNAMSIZ];
};

/*
 * Enters the namespaces and opens the TAP. The pidfd is opened before the namespace: see tap_process_lives(). On
 * failure `tap` holds what is open. The agent overwrites its copy of `argv`.
 */
bool tap_open(struct tap *tap, const struct target *target, char **argv);

/* Sends the TAP to the daemon. */
bool tap_send(const struct tap *tap, const struct target *target, struct connection *connection);

/* Applies the settings of the UP received. Returns where its text begins, or NULL: one of them failed. */
char *tap_configure(const struct tap *tap, struct connection *connection);

/*
 * Whether the process still lives. If not, its number may have been another process's when the namespace was
 * entered.
 */
bool tap_process_lives(const struct tap *tap);

void tap_end_agent(struct tap *tap);

/* Gives the agent's socket to the daemon, which ends the agent by closing it. */
bool tap_pass_agent(struct tap *tap, struct connection *connection);

#endif
