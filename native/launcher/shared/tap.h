/* The TAP in its namespace, by an agent: opened, and set up as the daemon says. */
#ifndef SLIPWAY_SHARED_TAP_H
#define SLIPWAY_SHARED_TAP_H

#include <net/if.h>
#include <stdbool.h>

#include "../../src/agent/agent.h"
#include "connection.h"
#include "target.h"

struct tap {
  int fd;      /* -1: there is none */
  int process; /* a pidfd of the process whose namespace it is; -1: it is not one's */
  struct agent agent; /* its socket is -1 when there is none */
  int index;
  char name[IFNAMSIZ];
};

/*
 * Enters the namespaces and opens the TAP. The process is opened before its namespace, so that tap_process_lives() tells
 * whether the namespace was still that process's. On failure what is open stays in `tap`.
 */
bool tap_open(struct tap *tap, const struct target *target);

/* Sends the TAP to the daemon. */
bool tap_send(const struct tap *tap, const struct target *target, struct connection *connection);

/* Makes the settings of the UP received. Where its text begins, or NULL: one of them failed. */
char *tap_configure(const struct tap *tap, struct connection *connection);

/* What had the process's number when its namespace was entered may have been another one: then this is false. */
bool tap_process_lives(const struct tap *tap);

void tap_end_agent(struct tap *tap);

#endif
