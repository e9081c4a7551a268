/* A held_plan as bytes in a memfd: on its way from the addon to the broker. */
#ifndef TUNTAP2_PLAN_H
#define TUNTAP2_PLAN_H

#include <stddef.h>

#include "held.h"

/* In bytes; execve(2) takes 6 MiB of arguments and variables (_STK_LIM of the kernel). */
enum { PLAN_MAX = 8 * 1024 * 1024 };

/* A plan that was read. It points into `bytes`, and lasts until plan_free. */
struct plan_copy {
  struct held_plan plan;
  void *bytes;
  size_t size;
};

/* Returns a descriptor of a sealed memfd, or a negative errno. */
int plan_write(const struct held_plan *plan);

/*
 * Reads what plan_write has written. Returns 0 or a negative errno: EINVAL for what is no sealed memfd, or
 * has another form, E2BIG for more than PLAN_MAX. Nothing is to be freed then.
 */
int plan_read(int memfd, struct plan_copy *copy);

void plan_free(struct plan_copy *copy);

#endif
