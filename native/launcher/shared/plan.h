/* What the daemon makes of the command line. */
#ifndef SLIPWAY_PLAN_H
#define SLIPWAY_PLAN_H

#include <stdbool.h>

#include "../pasta/options.h"
#include "connection.h"
#include "target.h"

struct plan {
  struct target target;
  int ready_fd; /* these two SHARED_NONE when there is none */
  int exit_fd;
  const char *api_path; /* "": no socket */
  char texts[SHARED_REQUEST_MAX];
};

/* Reads the PLAN received. False: it is none, or incomplete. */
bool plan_take(struct plan *plan, const struct connection *connection);

/*
 * Whether the caller's command line asks for this plan. The daemon reads guests' packets, and we may have rights
 * that it has not. So each part of a plan must stand on the command line, as the value of its option or as an
 * argument by itself. If we cannot tell, Node is started, which parses the whole command line.
 */
bool plan_is_given(const struct plan *plan, char **argv);

/* The same for a command line of pasta. The interface is named by it, or after one of the host's, as the daemon sees it. */
bool plan_is_pastas(const struct plan *plan, const struct pasta_options *options);

#endif
