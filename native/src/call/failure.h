/* Which step of an operation failed, and on what: for one sentence to the user. */
#ifndef TUNTAP2_FAILURE_H
#define TUNTAP2_FAILURE_H

#include "../os/step.h"

struct failure {
  enum step step;
  char path[256]; /* cut when longer */
};

/* Returns `error` (negative errno), so that it can stand in a return statement. */
int failure_set(struct failure *failure, enum step step, const char *path, int error);

#endif
