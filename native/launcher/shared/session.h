/* One run of shared mode: all that is open, all that has to be undone, and the steps that serving and asking share. */
#ifndef SLIPWAY_SESSION_H
#define SLIPWAY_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "api-socket.h"
#include "connection.h"
#include "plan.h"
#include "tap.h"

struct session {
  char **argv;
  const char *name; /* by which we were called */
  struct connection daemon;
  struct plan plan;
  struct tap tap;
  struct api_socket api;
  int kept; /* a memfd with what was KEPT; -1: there is none */
};

/* A large one: there is one in a process, in static memory. */
void session_begin(struct session *session, char **argv);

/* Reads the PLAN received. False: it is none, or not what the caller said. */
bool session_take_plan(struct session *session);

/* Opens a TAP and sends it to the daemon. */
bool session_open_tap(struct session *session, const struct target *target);

/* Waits for UP and makes its settings. Its text, or NULL: the network is not up. */
char *session_set_up(struct session *session);

/* Closes everything: the process that is started instead will open a TAP of that name. */
void session_undo(struct session *session);

/* Text of the daemon's, on its way to somebody who may read it no more. */
void session_say(int fd, const char *text, size_t length);

/* A number that is no status would be cut to one: of 256 to that of success. */
int session_status(int number);

#endif
