#include "failure.h"

#include <stdio.h>

int failure_set(struct failure *failure, enum step step, const char *path, int error) {
  failure->step = step;
  snprintf(failure->path, sizeof(failure->path), "%s", path);
  return error;
}
