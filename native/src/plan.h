/* A held_plan as bytes in a memfd: on its way from the addon to the broker. */
#ifndef TUNTAP2_PLAN_H
#define TUNTAP2_PLAN_H

#include "held.h"

/* Returns a descriptor, or a negative errno. */
int plan_write(const struct held_plan *plan);

/* Fills `plan` with pointers into memory that lasts. Returns 0 or a negative errno. */
int plan_read(int memfd, struct held_plan *plan);

#endif
