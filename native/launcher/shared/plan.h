/* What the daemon makes of the command line. */
#ifndef SLIPWAY_PLAN_H
#define SLIPWAY_PLAN_H

#include <stdbool.h>

#include "connection.h"
#include "target.h"

struct plan {
  struct target target;
  int ready_fd; /* these two SHARED_NONE when there is none */
  int exit_fd;
  const char *api_path; /* "": no socket */
  char texts[SHARED_REQUEST_MAX];
};

/* Reads the message received. False: it is no PLAN, or not whole. */
bool plan_take(struct plan *plan, const struct connection *connection);

/*
 * Whether a plan is the caller's wish. The daemon reads guests' packets, and we may have rights that it has not, so we
 * do what it says only if the caller said it, too, and for that: as the value of the option, or as an argument by
 * itself. Where we can't tell, a process is started that parses all of the command line.
 */
bool plan_is_given(const struct plan *plan, char **argv);

#endif
