/*
 * One run of shared mode: everything that is open or must be undone, and the steps that serving and asking share.
 */
#ifndef SLIPWAY_SESSION_H
#define SLIPWAY_SESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "../pasta/options.h"
#include "api-socket.h"
#include "connection.h"
#include "netns-file.h"
#include "plan.h"
#include "tap.h"

struct session {
  char **argv;
  const struct pasta_options *pasta; /* NULL: another program */
  int parent;   /* pasta in the background: who waits for it; -1: nobody */
  int pid_file; /* -1: there is none */
  struct netns_file netns;
  const char *name; /* of the program (common/program.h) */
  struct connection daemon;
  struct plan plan;
  struct tap tap;
  struct api_socket api;
  int kept; /* a memfd with what was KEPT; -1: there is none */
};

/* It is large: keep it in static memory. */
void session_begin(struct session *session, char **argv);

/* Reads the PLAN received. False: it is none, or the caller did not ask for it. */
bool session_take_plan(struct session *session);

/* Opens a TAP and sends it to the daemon. */
bool session_pass_tap(struct session *session, const struct target *target);

/* Applies the settings of the UP received. Returns its text, or NULL: the network is not up. */
char *session_set_up(struct session *session);

/* Closes everything: Node will open a TAP of the same name. */
void session_undo(struct session *session);

/* Writes text, as far as somebody reads it. */
void session_write(int fd, const char *text, size_t length);

/* An exit status from the daemon; 1 for a number that is none, which exit(2) would cut, 256 to success. */
int session_status(int number);

#endif
